"""What several processes of one fit tell each other. With a single process nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.runtime import Chain
from dgmppl.runtime.shards import Shard

Value = TypeVar("Value")


class Processes:
    """The processes of a fit: how many they are, and which this one is.

    Every method is called by all of them at the same place.

    Args:
        fabric: launched.

    Raises:
        SpecError: by each method, when another process has ended.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.count, self.rank, self.device = fabric.world_size, fabric.global_rank, fabric.device

    def agree(self, value: float, bad: bool, interrupted: bool, due: bool) -> tuple[float, int | None, bool, bool]:
        """The sum of the values, the first process with a bad one, whether any was interrupted, and what the first
        process says is due.
        """
        told = torch.zeros(3 + self.count, dtype=torch.float64, device=self.device)
        told[0] = 0.0 if bad else value
        told[1] = interrupted
        told[2] = due and self.rank == 0
        told[3 + self.rank] = bad
        total, stop, keep, *wrong = self._sum(told).tolist()
        return total, next((k for k, found in enumerate(wrong) if found), None), stop > 0, keep > 0

    def add(self, values: Tensor) -> None:
        """Puts in place of the values their sum over all processes."""
        self._sum(values)

    def add_terms(self, terms: Mapping[str, Tensor], rows: int) -> tuple[dict[str, Tensor], int]:
        """Sums of terms, and of the rows that they are over."""
        count = torch.tensor(rows, dtype=torch.float64, device=self.device)
        own = torch.stack([*(term.double() for term in terms.values()), count])
        *sums, total = self._sum(own)
        return dict(zip(terms, sums, strict=True)), int(total.item())

    def gather_chains(self, chains: Sequence[Chain]) -> None:
        """Each process has moved its share of the persistent chains; afterwards all have all of them."""
        if self.count == 1:
            return
        for chain in chains:
            for state in chain.states():
                own = torch.zeros_like(state)
                rows = Shard(self.rank, self.count).rows(len(state))
                own[rows] = state[rows]
                state.copy_(self._sum(own))

    def gather(self, value: Value) -> list[Value]:
        """What each process gives, by its number."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _lost():
            distributed.all_gather_object(found, value)
        return found

    def share(self, value: Value, source: int) -> Value:
        """What the process `source` gives."""
        if self.count == 1:
            return value
        found = [value]
        with _lost():
            distributed.broadcast_object_list(found, src=source)
        return found[0]

    def disconnect(self) -> None:
        """Ends what connects the processes, once all of them are here: nothing is to be told any more."""
        if self.count > 1:
            with _lost():
                distributed.barrier()
            distributed.destroy_process_group()

    def _sum(self, own: Tensor) -> Tensor:
        with _lost():
            distributed.all_reduce(own)
        return own


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        help_ = "it has said why, unless it was killed; --resume continues the run from its last checkpoint"
        raise SpecError([Diagnostic("E622", "another process of this run has ended", help=help_)]) from error
