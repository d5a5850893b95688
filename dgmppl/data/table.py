"""Loaded data: a table of each split, in memory or read block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.fields import Field
from dgmppl.data.rows import EndedRows, Rows, block_rows
from dgmppl.diagnostics import Diagnostic, SpecError

# Numbers of a value that are shown one by one.
_LISTED = 6
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Table:
    """One split: the same rows of every observed variable, checked against their types.

    `block_rows` rows, about 8 MB of float32, are what is best read at once where the table is streamed.
    """

    columns: Mapping[str, Rows]

    def __len__(self) -> int:
        return self.rows

    @property
    def rows(self) -> int:
        return next((rows.count for rows in self.columns.values()), 0)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    @property
    def streamed(self) -> bool:
        """Whether some variable is read from its file on every use; otherwise all rows are in memory."""
        return any(rows.streams for rows in self.columns.values())

    @property
    def block_rows(self) -> int:
        return min((block_rows(rows.shape) for rows in self.columns.values()), default=1)

    def number(self, row: int) -> int:
        """The number of a row in the file that the first variable is read from, as messages count it."""
        rows = next(iter(self.columns.values()))
        return rows.origin.first + rows.number(row)

    def describe(self, row: int) -> str:
        """A row by its place in the files and its values: `row 1234 of x.npy (x = 0)`."""
        places = dict.fromkeys(rows.origin.place(rows.number(row)) for rows in self.columns.values())
        values = (f"{name} = {_short(value[0])}" for name, value in self.read(row, row + 1).items())
        return f"{' and '.join(islice(places, 2))} ({', '.join(islice(values, 4))})"

    def read(self, start: int, stop: int) -> dict[str, NDArray[np.float32]]:
        """Rows `start` to `stop` of each variable, (n, *shape). Arrays of a table in memory are views of it.

        Raises:
            SpecError: when the file of a streamed variable can no longer be read.
        """
        found = {}
        for name, rows in self.columns.items():
            try:
                # Writable, as tensors are: columns of a table file may be views of its memory.
                found[name] = np.require(rows.read(start, stop), np.float32, ("C", "W"))
            except OSError as error:
                reason = error.strerror or str(error)
                raise SpecError([Diagnostic("E503", f"cannot read {rows.origin.name}: {reason}")]) from None
        return found


def _short(value: NDArray[np.float32]) -> str:
    """A value as text: a number, a short list, or the smallest and largest of many numbers."""
    if value.size > _LISTED:
        return f"{list(value.shape)} from {value.min():g} to {value.max():g}"
    return (
        str(np.array2string(value, separator=", ", formatter={"float_kind": lambda v: f"{v:g}"}))
        if value.shape
        else f"{value:g}"
    )


@dataclass(frozen=True)
class Splits:
    """The data of a model by split.

    Attributes:
        fingerprint: digest of all values in their split, by which changed data is noticed.
        rule: how rows were split: "rule" ("ordered", "shuffled", "given"), "sizes" in rows, "seed", "streamed".
        warnings: what is odd about the values, and no error.
        folder: where relative paths of files started from.
        fields: what a run keeps of the data of each variable.
        ends: of sequences of different lengths which variable says how far each goes, and the number of the first
            member.
        originals: the values of each split as they were read, before all transforms, by variable, where these are kept;
            not those of which some are none to the model.
    """

    train: Table
    validation: Table
    test: Table
    fingerprint: str
    rule: Mapping[str, Any]
    warnings: tuple[Diagnostic, ...] = ()
    folder: Path = Path()
    fields: Mapping[str, Field] = field(default_factory=dict)
    ends: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    originals: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)

    def there(self, table: Table, name: str) -> Rows:
        """The values of a variable in a split, with nan beyond the end of each sequence."""
        rows = table.columns[name]
        if name not in self.ends:
            return rows
        length, first = self.ends[name]
        return EndedRows(rows, table.columns[length], first, math.nan)

    def __iter__(self) -> Iterator[tuple[str, Table]]:
        return iter((("train", self.train), ("validation", self.validation), ("test", self.test)))
