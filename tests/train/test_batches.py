"""Batches: every row once an epoch, in an order that the seed fixes; from memory and from disk the same rows."""

import numpy as np
import pytest
import torch

from dgmppl.train.batches import MemoryExamples, StreamedExamples, batches_of, with_next


class Counted:
    """Stands for a table on disk: row k of `x` is (k, k + 0.5), and reads are counted."""

    def __init__(self, rows, block_rows):
        self.rows, self.block_rows, self.reads, self.streamed = rows, block_rows, [], True

    def read(self, start, stop):
        assert 0 <= start < stop <= self.rows
        self.reads.append((start, stop))
        numbers = np.arange(start, stop, dtype=np.float32)
        return {"y": -numbers, "x": np.stack([numbers, numbers + 0.5], 1)}

    def __len__(self):
        return self.rows


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def streamed(rows=1000, block_rows=30):
    table = Counted(rows, block_rows)
    return table, StreamedExamples(table, ("x", "y"), torch.device("cpu"))


def in_memory(rows=1000):
    numbers = torch.arange(rows, dtype=torch.float32)
    return MemoryExamples([torch.stack([numbers, numbers + 0.5], 1), -numbers])


@pytest.mark.parametrize("examples", [lambda: streamed()[1], in_memory])
@pytest.mark.parametrize("size", [1, 64, 999, 1000, 5000])
def test_an_epoch_has_every_row_once(examples, size):
    rows = examples()
    batches = list(batches_of(rows, generator(), size))
    assert [len(b) for b in batches[:-1]] == [min(size, 1000)] * (len(batches) - 1)
    assert sorted(torch.cat(batches).tolist()) == list(range(1000))
    again = list(batches_of(rows, generator(), size))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    if size < 1000:
        other = list(batches_of(rows, generator(1), size))
        assert not torch.equal(torch.cat(batches), torch.cat(other))


def test_rows_from_disk_are_those_in_memory():
    _, rows = streamed()
    for index in batches_of(rows, generator(), 64):
        for found, expected in zip(rows.take(index), in_memory().take(index), strict=True):
            assert torch.equal(found, expected)
    chunks = [torch.cat(column) for column in zip(*rows.chunks(300), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(chunks, in_memory().tensors, strict=True))


def test_an_epoch_from_disk_reads_each_block_about_once():
    table, rows = streamed(rows=5000)
    for index in batches_of(rows, generator(), 64):
        rows.take(index)
    assert len(set(table.reads)) == len(table.reads) == 167


def test_neighbours_on_disk_are_parted():
    """Rows of a batch come from several blocks, so that a sorted file is no sorted epoch."""
    _, rows = streamed(rows=5000)
    first = next(batches_of(rows, generator(), 64))
    assert len({int(k) // 30 for k in first}) > 4


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_each_batch_comes_with_those_after_it(count, batches):
    numbers = [torch.tensor([k]) for k in range(batches)]
    found = [[int(b) for b in group] for group in with_next(iter(numbers), count)]
    assert found == [[(k + step) % batches for step in range(count)] for k in range(batches)]
