"""Shards: the part of some rows that one process, or one microbatch of a process, computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """The shard `index`, counted from 0, of `count` shards of about the same size."""

    index: int = 0
    count: int = 1

    def rows(self, total: int) -> slice:
        """Which of `total` rows are in this shard; of fewer rows than shards, none in some."""
        return slice(total * self.index // self.count, total * (self.index + 1) // self.count)
