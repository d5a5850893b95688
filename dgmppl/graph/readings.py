"""Options of a file, `"table.csv".age[missing = "?", decimal = ","]`, as a spec writes them: E218 for what is none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NoReturn

from dgmppl.catalogue.formats import FORMATS, format_of
from dgmppl.catalogue.readings import AS_IT_IS, READINGS, Condition, Mark, Reading
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.nodes import DataSource
from dgmppl.graph.scope import Scope
from dgmppl.syntax import tree


def check_readings(scope: Scope, node: tree.Field) -> Reading:
    """How a field is read, as its brackets say it."""
    if not node.readings:
        return AS_IT_IS
    format = format_of(node.dataset) if node.file else ""
    if not node.file:
        headline = f"{node.dataset} is read as it is"
        scope.fail("E218", headline, node.readings[0].span, "an option of files", help="leave it out")
    found: dict[str, tree.Reading] = {}
    for reading in node.readings:
        _verify_known(scope, reading, format)
        if reading.name in found:
            scope.fail("E218", f"`{reading.name}` is given twice", reading.span, "given before")
        found[reading.name] = reading
    separator, decimal = _character(scope, found.get("separator")), _character(scope, found.get("decimal")) or "."
    if separator and separator == decimal:
        span = found["separator"].span
        scope.fail("E218", f'"{decimal}" is the decimal mark', span, "cells and numbers would be cut alike")
    return Reading(
        missing=tuple(_marks(scope, found["missing"])) if "missing" in found else None,
        where=tuple(_conditions(scope, found["where"])) if "where" in found else (),
        separator=separator,
        decimal=decimal,
        sheet=_text(scope, found["sheet"]) if "sheet" in found else "",
    )


def _verify_known(scope: Scope, reading: tree.Reading, format: str) -> None:
    option = READINGS.get(reading.name)
    if option is None:
        help_ = did_you_mean(reading.name, READINGS, f"one of {', '.join(READINGS)}")
        scope.fail("E218", f"unknown option `{reading.name}` of a file", reading.span, help=help_)
    if option.formats and format not in option.formats:
        formats = ", ".join(FORMATS[f].example.partition(".")[2].partition('"')[0] for f in option.formats)
        headline = f"`{reading.name}` is no option of this file, which is {FORMATS[format].holds}"
        scope.fail(
            "E218", headline, reading.span, "does not apply", help=f"it is one of .{formats.replace(', ', ', .')}"
        )


def _marks(scope: Scope, reading: tree.Reading) -> Iterable[Mark]:
    for entry in reading.entries:
        if not isinstance(entry, tree.Mark):
            _fail_kind(scope, reading, entry)
        yield entry.value


def _text(scope: Scope, reading: tree.Reading) -> str:
    (value, *more) = [*_marks(scope, reading), ""]
    if not isinstance(value, str) or not value or more[1:]:
        _fail_kind(scope, reading, reading)
    return str(value)


def _character(scope: Scope, reading: tree.Reading | None) -> str:
    if reading is None:
        return ""
    text = {"tab": "\t"}.get(found := _text(scope, reading), found)
    allowed = (",", ".") if reading.name == "decimal" else None
    if len(text) != 1 or (allowed and text not in allowed) or text in '"\r\n':
        _fail_kind(scope, reading, reading)
    return text


def _conditions(scope: Scope, reading: tree.Reading) -> Iterable[Condition]:
    for entry in reading.entries:
        if not isinstance(entry, tree.Condition):
            _fail_kind(scope, reading, entry)
        if not isinstance(entry.values, tree.MarkRange):
            yield Condition(entry.column, tuple(mark.value for mark in entry.values))
            continue
        low, high = (None if end is None else end.value for end in (entry.values.low, entry.values.high))
        for end in (low, high):
            if isinstance(end, str) and not _is_date(end):
                help_ = f'{entry.column} in ["{end}"], or a date: {entry.column} in "2024-01-31"..'
                scope.fail("E218", f'"{end}" is no end of a range', entry.span, "texts have no order", help=help_)
        mixed = low is not None and high is not None and isinstance(low, str) != isinstance(high, str)
        if mixed or (low is not None and high is not None and low > high):  # type: ignore[operator]
            scope.fail("E218", "the range begins at its low end", entry.span, "no value lies in it")
        yield Condition(entry.column, None, low, high)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _fail_kind(scope: Scope, reading: tree.Reading, node: tree.Node) -> NoReturn:
    option = READINGS[reading.name]
    scope.fail("E218", f"`{reading.name}` takes {option.takes}", node.span, help=option.example)


def verify_same_rows(scope: Scope, sources: Iterable[tuple[str, DataSource]]) -> None:
    """Variables are observed together, so of one file they have the same rows. Reports (E505) those that have not."""
    first: dict[str, tuple[str, DataSource]] = {}
    for name, source in sources:
        other, found = first.setdefault(source.dataset if source.is_file else "", (name, source))
        if source.is_file and set(found.reading.where) != set(source.reading.where):
            headline = f"`{name}` and `{other}` are observed together, and take other rows of {source.dataset}"
            chosen = [o for o in found.reading.written() + source.reading.written() if o.startswith("where")]
            notes = (Note(found.span, f"`{other}`"),)
            help_ = f"say the same of both: {chosen[0]}"
            scope.report("E505", headline, source.span, "rows of its own", notes=notes, help=help_)
            return
