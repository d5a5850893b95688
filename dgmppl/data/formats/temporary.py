"""Rows that came from a text block by block: in memory while they are few, else in a file of no name."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from typing import IO

import numpy as np

from dgmppl.data.rows import Array, Origin, Rows, Values, block_rows

KEPT = 64 * 2**20
"""Bytes of values that are kept in memory."""


class Store:
    """Values of double precision, put behind each other block by block.

    What is more than `KEPT` goes into a temporary file. It has no name, or loses it at once: nothing is left of it
    however the process ends. Its folder is that of Python's `tempfile`, which TMPDIR names.

    Attributes:
        shape: of one row.
        count: how many rows there are so far.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.count = shape, 0
        self._values = math.prod(shape)
        self._blocks: list[Array] = []
        self._file: IO[bytes] | None = None

    @property
    def on_disk(self) -> bool:
        return self._file is not None

    def append(self, values: Array) -> None:
        """Puts rows, (n, *shape), behind the others. Raises OSError where the disk is full."""
        self.count += len(values)
        if self._file is not None:
            self._write(values)
            return
        self._blocks.append(values)
        if 8 * self.count * self._values > KEPT:
            try:
                self._file = tempfile.TemporaryFile(prefix="dgmppl-", buffering=0)  # noqa: SIM115
            except OSError as error:
                raise _full(error) from None
            for block in self._blocks:
                self._write(block)
            self._blocks = []

    def read(self, start: int, stop: int) -> Array:
        """Rows `start` to `stop`."""
        if self._file is None:
            if len(self._blocks) > 1:
                self._blocks = [np.concatenate(self._blocks)]
            return self._blocks[0][start:stop] if self._blocks else np.empty((0, *self.shape))
        values = np.empty((stop - start, *self.shape))
        left = values.reshape(-1).view(np.uint8).data
        at = 8 * start * self._values
        while left:
            # Read, not mapped: mapped pages would count as this process's memory until something else needs it.
            got = os.preadv(self._file.fileno(), [left], at)
            if not got:
                raise OSError(f"it ends before row {stop}")
            left, at = left[got:], at + got
        return values

    def change(self, function: Callable[[Array], Array]) -> None:
        """Puts a function's values in the place of all values, (n, *shape) to the same."""
        if self._file is None:
            self._blocks = [function(block) for block in self._blocks]
            return
        size = block_rows(self.shape)
        for start in range(0, self.count, size):
            values = function(self.read(start, min(start + size, self.count)))
            self._file.seek(8 * start * self._values)
            self._write(values)

    def _write(self, values: Array) -> None:
        assert self._file is not None
        left = np.ascontiguousarray(values, np.float64).reshape(-1).view(np.uint8).data
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _full(error) from None


def _full(error: OSError) -> OSError:
    # Told in one text: an error with a number would be that of the file that is read.
    what = f"of its numbers a temporary file is kept, which cannot be written ({error.strerror})"
    return OSError(f"{what}; TMPDIR names another folder")


class StoredRows(Rows):
    """The rows of a store; those that do not stream are put into an array once they are what the model takes."""

    def __init__(self, store: Store, origin: Origin, streams: bool = True) -> None:
        self.store, self.origin, self.streams = store, origin, streams
        self.count, self.shape = store.count, store.shape

    def read(self, start: int, stop: int) -> Values:
        return self.store.read(start, stop)

    def resident(self) -> Rows:
        return StoredRows(self.store, self.origin, False) if self.store.on_disk else super().resident()
