"""Rows of fixed size one after another in a file, read a block at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from dgmppl.data.rows import Origin, Rows, Values
from dgmppl.words import are, counted


class BinaryRows(Rows):
    """Rows that lie behind `offset` bytes of a file.

    A block is read, not mapped: mapped pages would count as this process's memory until something else needs it.
    """

    streams = True

    def __init__(
        self, path: Path, dtype: DTypeLike, offset: int, count: int, shape: tuple[int, ...], origin: Origin
    ) -> None:
        self.path, self.dtype, self.offset = path, np.dtype(dtype), offset
        self.count, self.shape, self.origin = count, shape, origin
        self._values = math.prod(shape)
        size, needed = path.stat().st_size, offset + count * self._values * self.dtype.itemsize
        if size < needed:
            raise OSError(f"it is cut off: {counted(needed, 'byte')} {are(needed)} announced, and it has {size}")

    def read(self, start: int, stop: int) -> Values:
        wanted = (stop - start) * self._values
        at = self.offset + start * self._values * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, wanted, offset=at)
        if values.size < wanted:
            raise OSError(f"it ends before row {stop}")
        return values.reshape(stop - start, *self.shape)
