"""Examples of a split as tensors: shuffled into batches for a fit, in order for figures; from memory or from disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dgmppl.data.table import Table

# Blocks that are shuffled together. A batch has rows of as many blocks, or of twice as many where windows meet.
_WINDOW = 8


class Examples(Protocol):
    """A split's rows as the tensors `model.data`, each (rows, ...)."""

    count: int

    def order(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The numbers of all rows, each once, in a random order, some at a time."""
        ...

    def take(self, index: Tensor) -> list[Tensor]:
        """The rows of these numbers."""
        ...

    def chunks(self, size: int) -> Iterator[list[Tensor]]:
        """All rows in order, `size` at a time."""
        ...

    def number(self, row: int) -> int:
        """The number of a row in its file."""
        ...

    def describe(self, row: int) -> str:
        """A row by its place in the files and its values."""
        ...


class MemoryExamples:
    """Tensors that lie on the device, taken by index.

    Args:
        tensors: each (rows, ...).
        table: where they come from, where that is known.
    """

    def __init__(self, tensors: Sequence[Tensor], table: Table | None = None) -> None:
        self.tensors, self.table = list(tensors), table
        self.count = len(self.tensors[0])

    def order(self, generator: torch.Generator) -> Iterator[Tensor]:
        yield torch.randperm(self.count, generator=generator).to(self.tensors[0].device)

    def take(self, index: Tensor) -> list[Tensor]:
        return [tensor[index] for tensor in self.tensors]

    def chunks(self, size: int) -> Iterator[list[Tensor]]:
        for start in range(0, self.count, size):
            yield [tensor[start : start + size] for tensor in self.tensors]

    def number(self, row: int) -> int:
        return row if self.table is None else self.table.number(row)

    def describe(self, row: int) -> str:
        return f"row {row}" if self.table is None else self.table.describe(row)


class StreamedExamples:
    """Examples that are read from disk when they are needed.

    Blocks of neighbouring rows are put in a random order, and the rows of `_WINDOW` blocks are shuffled together:
    rows that lie far apart in the file meet in a batch when their blocks come together.

    Args:
        table: the rows on disk.
        names: of the variables, in the order of `model.data`.
        device: where the tensors go.
    """

    def __init__(self, table: Table, names: Sequence[str], device: torch.device) -> None:
        self.table, self.names, self.device = table, tuple(names), device
        self.count = len(table)
        self._blocks: OrderedDict[int, list[np.ndarray]] = OrderedDict()

    def order(self, generator: torch.Generator) -> Iterator[Tensor]:
        size = self.table.block_rows
        blocks = torch.randperm(-(-self.count // size), generator=generator)
        for window in blocks.split(_WINDOW):
            rows = torch.cat([torch.arange(b * size, min((b + 1) * size, self.count)) for b in window.tolist()])
            yield rows[torch.randperm(len(rows), generator=generator)]

    def take(self, index: Tensor) -> list[Tensor]:
        rows = index.numpy()
        blocks = rows // self.table.block_rows
        taken: list[np.ndarray] = []
        for number in np.unique(blocks).tolist():
            here = blocks == number
            block = self._block(number)
            taken = taken or [np.empty((len(rows), *values.shape[1:]), np.float32) for values in block]
            for out, values in zip(taken, block, strict=True):
                out[here] = values[rows[here] - number * self.table.block_rows]
        return [torch.from_numpy(values).to(self.device) for values in taken]

    def _block(self, number: int) -> list[np.ndarray]:
        if number not in self._blocks:
            while len(self._blocks) >= 2 * _WINDOW:
                self._blocks.popitem(last=False)
            start = number * self.table.block_rows
            read = self.table.read(start, min(start + self.table.block_rows, self.count))
            self._blocks[number] = [read[name] for name in self.names]
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def chunks(self, size: int) -> Iterator[list[Tensor]]:
        for start in range(0, self.count, size):
            read = self.table.read(start, min(start + size, self.count))
            yield [torch.from_numpy(read[name]).to(self.device) for name in self.names]

    def number(self, row: int) -> int:
        return self.table.number(row)

    def describe(self, row: int) -> str:
        return self.table.describe(row)


def open_examples(table: Table, names: Sequence[str], device: torch.device) -> Examples:
    """The rows of a split: on the device at once, or read from disk as they are needed where the table is streamed."""
    if table.streamed:
        return StreamedExamples(table, names, device)
    read = table.read(0, len(table))
    return MemoryExamples([torch.from_numpy(read[name]).to(device) for name in names], table)


def batches_of(rows: Examples, generator: torch.Generator, size: int) -> Iterator[Tensor]:
    """One epoch of row numbers, `size` at a time; the last batch has what is left."""
    left: Tensor | None = None
    for window in rows.order(generator):
        pending = window if left is None else torch.cat([left, window])
        whole = len(pending) - len(pending) % size
        yield from pending[:whole].split(size) if whole else ()
        left = pending[whole:]
    if left is not None and len(left):
        yield left


def with_next(batches: Iterator[Tensor], count: int) -> Iterator[list[Tensor]]:
    """Each batch with the `count - 1` that come after it; after the last comes the first again."""
    head = list(islice(batches, count - 1))
    if count == 1:
        yield from ([batch] for batch in batches)
        return
    window = list(head)
    for batch in batches:
        window.append(batch)
        yield list(window)
        window.pop(0)
    # The last count - 1 batches, or all of them where there are fewer.
    for _ in range(len(window)):
        yield [*window, *islice(cycle(head), count - len(window))]
        window.pop(0)
