"""What a spec says of how a file is read, `"t.csv".age[missing = -1, where = age in 18..65]`, done to its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.dates import days_of
from dgmppl.data.rows import MappedRows, PickedRows, Rows
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.supports import REAL, Type
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.catalogue.readings import Condition, Mark
    from dgmppl.graph.nodes import DataSource

Open = Callable[["DataSource", Type], Opened]


def marked(field: Opened, source: DataSource) -> Opened:
    """The field with NaN where a value, or the text of a class, stands for a missing one."""
    marks = source.reading.missing or ()
    numbers = np.array([m for m in marks if not isinstance(m, str)], dtype=np.float64)
    parts = field.parts
    if numbers.size:
        parts = {split: MappedRows(rows, partial(_without, numbers)) for split, rows in parts.items()}
    if any(text in marks for rows in parts.values() for text in rows.origin.classes):
        parts = {split: _without_classes(rows, marks) for split, rows in parts.items()}
    return replace(field, parts=parts)


def _without(numbers: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isin(values, numbers), np.nan, values)


def _without_classes(rows: Rows, marks: Sequence[Mark]) -> Rows:
    kept = tuple(text for text in rows.origin.classes if text not in marks)
    codes = [kept.index(text) if text in kept else np.nan for text in rows.origin.classes]
    table = np.array([*codes, np.nan])  # the last: of what is missing
    origin = replace(rows.origin, classes=kept)
    return MappedRows(rows, partial(_recoded, table), origin=origin)


def _recoded(table: NDArray[np.float64], codes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(table[np.where(np.isnan(codes), -1, codes).astype(np.int64)])


def chosen(field: Opened, source: DataSource, open_: Open) -> Opened:
    """The rows that fulfil the conditions of a source, whose columns `open_` reads. They are held in memory.

    Raises:
        SpecError: for a column that cannot be compared (E516), or where no row is left (E505).
    """
    conditions = source.reading.where
    if not conditions:
        return field
    parts = dict(field.parts)
    for condition in conditions:
        transforms = (("dates", ()),) if condition.dates else ()
        reading = replace(source.reading, where=())
        asked = replace(source, field=condition.column, columns=(), transforms=transforms, reading=reading)
        found = open_(asked, Type(REAL))
        masks = {split: _fulfil(condition, rows, source) for split, rows in found.parts.items()}
        for split, mask in masks.items():
            parts[split] = _both(parts[split], field.parts[split], mask, source)
    if not any(rows.count for rows in parts.values()):
        said = "; ".join(map(str, conditions))
        raise SpecError([Diagnostic("E505", f"no row of {source.dataset} has {said}", source.span, "no rows")])
    return replace(field, parts=parts)


def _both(rows: Rows, every: Rows, mask: NDArray[np.bool_], source: DataSource) -> Rows:
    """Of the rows that are left of `every`, those that the mask of `every` has."""
    if len(mask) != every.count:
        headline = f"{every.origin.name} has {counted(every.count, 'row')}, and what chooses among them {len(mask)}"
        raise SpecError([Diagnostic("E505", headline, source.span, "other rows")])
    left = rows.index if isinstance(rows, PickedRows) and rows is not every else np.arange(every.count)
    return PickedRows(every, left[mask[left]], "its rows are chosen by `where`")


def _fulfil(condition: Condition, rows: Rows, source: DataSource) -> NDArray[np.bool_]:
    """Which rows have a value that the condition asks for; those where it is missing have none."""
    if rows.shape:
        headline = f"`{condition.column}` of {source.dataset} has more than a value in a row"
        raise SpecError([Diagnostic("E516", headline, source.span, "chooses no rows")])
    classes = rows.origin.classes
    if condition.values is not None:
        texts = any(isinstance(value, str) for value in condition.values)
        if texts != bool(classes) and any(np.isfinite(block).any() for _, block in rows.blocks()):
            kinds = ("numbers", "texts") if texts else ("texts", "numbers")
            headline = f"column `{condition.column}` of {source.dataset} holds {kinds[0]}"
            raise SpecError([Diagnostic("E516", headline, source.span, f"compared with {kinds[1]}")])
        known = [classes.index(v) if isinstance(v, str) else v for v in condition.values if not texts or v in classes]
        wanted = np.array(known, dtype=np.float64)
        return _mask(rows, lambda values: np.isin(values, wanted))
    if classes:
        headline = f"column `{condition.column}` of {source.dataset} holds texts, which have no order"
        raise SpecError([Diagnostic("E516", headline, source.span, "compared with numbers")])
    return _mask(rows, partial(_between, condition))


def _mask(rows: Rows, function: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """What a function says of every row."""
    return np.concatenate([np.zeros(0, np.bool_), *(function(block) for _, block in rows.blocks())])


def _between(condition: Condition, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        above = ~np.isnan(values) if condition.low is None else values >= _end(condition.low)
        return above if condition.high is None else above & (values <= _end(condition.high))


def _end(mark: Mark) -> float:
    return days_of(mark) if isinstance(mark, str) else mark
