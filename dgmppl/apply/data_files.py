"""A file of rows that a run is applied to, with how it is read: `people.csv`, or `people.csv[decimal = ","]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dgmppl.catalogue.formats import format_of
from dgmppl.catalogue.readings import AS_IT_IS, Reading
from dgmppl.data.formats.csv import separator_of
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.readings import check_readings
from dgmppl.graph.scope import Scope
from dgmppl.source import Source
from dgmppl.syntax import tree
from dgmppl.syntax.parse import parse_spec

COMMAS = (",", ".")
"""What separates cells, and the decimal mark, where nothing says anything else."""


@dataclass(frozen=True)
class DataFile:
    """A file, and the options that its brackets give.

    Attributes:
        path: of the file.
        reading: what the options say.
        said: their names; for all others the spec speaks, or the file.
    """

    path: Path
    reading: Reading = AS_IT_IS
    said: frozenset[str] = frozenset()

    @property
    def format(self) -> str:
        """The format that its name says."""
        return format_of(str(self.path))

    def read_as(self, of_spec: Reading) -> Reading:
        """How a field is read from it that the spec reads so from its own file: `missing` and `decimal` hold here too
        where the brackets say nothing else, and what is about the spec's own file does not."""
        kept = {name: getattr(of_spec, name) for name in ("missing", "decimal") if name not in self.said}
        return replace(self.reading, **kept, others="decimal" not in self.said)

    def marks(self, of_spec: Iterable[Reading]) -> tuple[str, str]:
        """What separates its cells, and its decimal mark, where it is a table of text. Raises ValueError where its
        first row has no names."""
        if self.format != "csv":
            return COMMAS
        read = [self.read_as(reading) for reading in of_spec] or [self.reading]
        decimals = [reading.decimal_beside(self.separator) for reading in read]
        return self.separator, next((mark for mark in decimals if mark != "."), ".")

    @property
    def separator(self) -> str:
        """What separates the cells of a table of text."""
        return separator_of(self.path, self.reading.separator, self.reading.decimal)


def file_given(data: Any) -> DataFile | None:
    """The file that rows are given as, by its path or with options in brackets; None where they are given otherwise.

    Raises:
        SpecError: for options that are none (E218), or cannot be read (E713).
    """
    if isinstance(data, DataFile):
        return data
    if not isinstance(data, str | Path):
        return None
    text = str(data)
    if not text.endswith("]") or Path(text).exists():
        return DataFile(Path(text))
    name = next((n for n in _before_brackets(text) if Path(n).exists()), next(_before_brackets(text), ""))
    if not name:
        return DataFile(Path(text))
    return _with_options(Path(name), text[len(name) :])


def _before_brackets(text: str) -> Iterator[str]:
    """What stands before each opening bracket."""
    return (text[:place] for place, character in enumerate(text) if character == "[" and place)


def _with_options(path: Path, brackets: str) -> DataFile:
    """A file with the options of its brackets, which are read as those of a spec."""
    source = Source(str(path), f'model rows\nobserved x : real from "rows"{brackets}')
    spec, problems = parse_spec(source)
    found = spec.statements[0] if spec is not None and len(spec.statements) == 1 else None
    field = found.data if isinstance(found, tree.Variable) else None
    if problems or not isinstance(field, tree.Field):
        headline = f"cannot read the options {brackets} of {path}"
        help_ = f'{path}[decimal = ",", separator = ";"], as a spec has them'
        raise SpecError([Diagnostic("E713", headline, help=help_)])
    if field.columns:
        headline = f"`{field.columns[0]}` is no option of {path}: the columns are those that the run was fitted to"
        raise SpecError([Diagnostic("E713", headline, help=f'{path}[decimal = ","], options alone')])
    scope, reading = Scope(source), AS_IT_IS
    with scope.statement():
        reading = check_readings(scope, replace(field, dataset=str(path)))
    if scope.diagnostics:
        raise SpecError([unplaced(found) for found in scope.diagnostics])
    return DataFile(path, reading, frozenset(r.name for r in field.readings))


def unplaced(found: Diagnostic) -> Diagnostic:
    """A diagnostic without its place in a spec, which is none of what was given: its label joins the headline."""
    said = found.label and found.label not in found.headline
    headline = f"{found.headline}: {found.label}" if said else found.headline
    return replace(found, span=None, label="", headline=headline, notes=())


__all__ = ["COMMAS", "DataFile", "file_given", "unplaced"]
