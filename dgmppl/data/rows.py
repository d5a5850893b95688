"""Rows of numbers that are read block by block, wherever they lie, and what their places are called in messages."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.forms import NUMBERS, Form

Array = NDArray[np.float64]
Values = NDArray[Any]

# 8 MiB of float32: what is read, checked and hashed at once.
BLOCK_VALUES = 2**21


def block_rows(shape: tuple[int, ...]) -> int:
    """How many rows of this shape make a block."""
    return max(1, BLOCK_VALUES // max(1, math.prod(shape)))


class BadCell(OSError):
    """What lies in a file can be read, and is no number, or not as many of them as elsewhere."""


@dataclass(frozen=True)
class Origin:
    """Where rows come from, in words.

    Attributes:
        name: of the file and what is read of it: `mine.npz, array x`.
        first: number of the first row.
        counted: how rows and columns are counted.
        columns: names of the columns of a row that is a vector, or of the one column.
        classes: the texts that the values 0, 1, ... stand for.
        missing: what a value that is not there is called.
        marks: texts without quotes that were taken for missing values, though no spec says so.
        form: what the values are, where they are not just numbers.
    """

    name: str
    first: int = 0
    counted: str = "rows and columns are counted from 0"
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    missing: str = "nan"
    marks: tuple[str, ...] = ()
    form: Form = NUMBERS

    @property
    def whole(self) -> str:
        """All rows: `column `height` of x.csv`, where that is one column of a table."""
        return f"column `{self.columns[0]}` of {self.name}" if len(self.columns) == 1 else self.name

    def place(self, row: int, column: tuple[int, ...] | None = None, width: int = 1) -> str:
        """`row 7, column 2 of mine.npz, array x`; without a column the whole row. `width`: columns a row has."""
        return f"row {self.first + row}{self.column(column, width)} of {self.name}"

    def column(self, column: tuple[int, ...] | None, width: int) -> str:
        if column is None or (not column and not self.columns):
            return ""
        if len(self.columns) == width and len(column) <= 1:
            return f", column `{self.columns[column[0] if column else 0]}`"
        return f", column {column[0] if len(column) == 1 else column}"


class Rows(ABC):
    """Rows of numbers, all of one shape.

    Attributes:
        count: how many there are.
        shape: of one row.
        origin: what they are called.
        streams: whether reading some leaves the others where they lie; false: all are in memory.
        obstacle: why it does not stream, where it does not.
    """

    count: int
    shape: tuple[int, ...]
    origin: Origin
    streams: bool = False
    obstacle: str = "it is held in memory only"

    @abstractmethod
    def read(self, start: int, stop: int) -> Values:
        """Rows `start` to `stop`, (stop - start, *shape), of any numeric type."""

    def resident(self) -> Rows:
        """The same rows, which do not stream."""
        return ArrayRows(self.read(0, self.count), self.origin, self.obstacle)

    def numbering(self) -> Callable[[int], int]:
        """The number that a row has in its origin, as a function that holds none of the values."""
        return int

    def number(self, row: int) -> int:
        """The number that a row has in its origin."""
        return self.numbering()(row)

    def cuts(self) -> Sequence[int] | None:
        """Where blocks of rows begin that are best read whole; None: anywhere."""
        return None

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """All rows in blocks, each with the position of its first row."""
        size = block_rows(self.shape)
        for start in range(0, self.count, size):
            yield start, self.read(start, min(start + size, self.count)).astype(np.float64, copy=False)


class ArrayRows(Rows):
    """The rows of an array in memory; `numbering` tells which rows of their origin they are, where not the same."""

    def __init__(
        self, array: Values, origin: Origin, obstacle: str = "", numbering: Callable[[int], int] = int
    ) -> None:
        self.array = array
        self.obstacle = obstacle or self.obstacle
        self._numbering = numbering
        self.count, self.shape, self.origin = len(array), array.shape[1:], origin

    def read(self, start: int, stop: int) -> Values:
        return self.array[start:stop]

    def resident(self) -> Rows:
        return self

    def numbering(self) -> Callable[[int], int]:
        return self._numbering


class SliceRows(Rows):
    """Rows `first` to `stop` of others."""

    def __init__(self, rows: Rows, first: int, stop: int) -> None:
        self.rows, self.first = rows, first
        self.count, self.shape, self.origin, self.streams = stop - first, rows.shape, rows.origin, rows.streams

    def read(self, start: int, stop: int) -> Values:
        return self.rows.read(self.first + start, self.first + stop)

    def numbering(self) -> Callable[[int], int]:
        inner, first = self.rows.numbering(), self.first
        return lambda row: inner(first + row)


class PickedRows(Rows):
    """Rows in memory in the order of `index`; `obstacle` says why they do not stream."""

    def __init__(self, rows: Rows, index: NDArray[np.int64], obstacle: str = "") -> None:
        self.rows, self.index = rows, index
        self.obstacle = obstacle or self.obstacle
        self.count, self.shape, self.origin = len(index), rows.shape, rows.origin
        # What lies in memory is not copied; of what does not, no more is held than was picked.
        self._array = rows.array if isinstance(rows, ArrayRows) else _picked(rows, index)
        self._places = index if isinstance(rows, ArrayRows) else None

    def read(self, start: int, stop: int) -> Values:
        return self._array[start:stop] if self._places is None else self._array[self._places[start:stop]]

    def numbering(self) -> Callable[[int], int]:
        inner, index = self.rows.numbering(), self.index
        return lambda row: inner(int(index[row]))


def _picked(rows: Rows, index: NDArray[np.int64]) -> Values:
    """The rows of these numbers, in their order, read block by block."""
    order = np.argsort(index, kind="stable")
    ascending = index[order]
    found = rows.read(0, 0)
    found = np.empty((len(index), *rows.shape), found.dtype)
    size = block_rows(rows.shape)
    for start in range(0, rows.count, size):
        stop = min(start + size, rows.count)
        first, last = np.searchsorted(ascending, (start, stop))
        if first < last:
            block = rows.read(start, stop)
            found = found.astype(np.result_type(found, block), copy=False)  # whole numbers until one is missing
            found[order[first:last]] = block[ascending[first:last] - start]
    return found


class RunRows(Rows):
    """Runs of rows one after another: the order of streamed rows, whose blocks are shuffled as wholes."""

    def __init__(self, rows: Rows, runs: Sequence[tuple[int, int]]) -> None:
        self.rows, self.runs = rows, runs
        self._ends = list(accumulate(stop - start for start, stop in runs))
        self.count = self._ends[-1] if runs else 0
        self.shape, self.origin, self.streams = rows.shape, rows.origin, rows.streams

    def read(self, start: int, stop: int) -> Values:
        pieces = []
        while start < stop:
            begin, end = self._at(start)
            taken = min(end - begin, stop - start)
            pieces.append(self.rows.read(begin, begin + taken))
            start += taken
        return np.concatenate(pieces) if pieces else self.rows.read(0, 0)

    def numbering(self) -> Callable[[int], int]:
        inner = self.rows.numbering()
        return lambda row: inner(self._at(row)[0])

    def _at(self, row: int) -> tuple[int, int]:
        """Where a row lies, and where its run ends."""
        run = bisect_right(self._ends, row)
        end = self.runs[run][1]
        return end - (self._ends[run] - row), end


class MappedRows(Rows):
    """Rows with a function applied to each block, which maps (n, *shape) to (n, *new shape)."""

    def __init__(
        self,
        rows: Rows,
        function: Callable[[Array], Array],
        shape: tuple[int, ...] | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.rows, self.function = rows, function
        self.count, self.origin, self.streams = rows.count, origin or rows.origin, rows.streams
        self.shape = rows.shape if shape is None else shape

    def read(self, start: int, stop: int) -> Values:
        return self.function(self.rows.read(start, stop).astype(np.float64, copy=False))

    def numbering(self) -> Callable[[int], int]:
        return self.rows.numbering()


class EndedRows(Rows):
    """Sequences of which each goes as far as another variable says; what lies beyond is `fill`, whatever it was.

    `ends` has the number of the last position of each, which are counted from `first`. `gaps`: rows that miss all that
    exists of a sequence miss it as a whole.
    """

    def __init__(self, rows: Rows, ends: Rows, first: int, fill: float, gaps: bool = False) -> None:
        self.rows, self.ends, self.first, self.fill, self.gaps = rows, ends, first, fill, gaps
        self.count, self.shape, self.origin, self.streams = rows.count, rows.shape, rows.origin, rows.streams
        self.obstacle = rows.obstacle

    def read(self, start: int, stop: int) -> Values:
        values = self.rows.read(start, stop).astype(np.float64)  # a copy
        ends = np.asarray(self.ends.read(start, stop), dtype=np.float64)
        beyond = self.first + np.arange(self.shape[0]) > ends[:, None]
        values[beyond] = np.nan
        gone = np.isnan(values).reshape(len(values), -1).all(axis=1)
        values[beyond] = self.fill
        if self.gaps:
            values[gone] = np.nan
        return values

    def numbering(self) -> Callable[[int], int]:
        return self.rows.numbering()

    def cuts(self) -> Sequence[int] | None:
        return self.rows.cuts()


class MaskedRows(Rows):
    """Rows of which only some are given; the others are missing (NaN). An infinite value stays, to be named."""

    def __init__(self, rows: Rows, given: NDArray[np.bool_]) -> None:
        self.rows, self.given = rows, given
        self.count, self.shape, self.origin, self.streams = rows.count, rows.shape, rows.origin, rows.streams

    def read(self, start: int, stop: int) -> Values:
        values = self.rows.read(start, stop).astype(np.float64)  # a copy
        hidden = ~self.given[start:stop] & ~np.isinf(values).reshape(len(values), -1).any(axis=1)
        values[hidden] = np.nan
        return values

    def numbering(self) -> Callable[[int], int]:
        return self.rows.numbering()
