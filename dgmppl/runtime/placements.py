"""Densities of some positions of an index, as densities along all of it."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributions as td
import torch.nn.functional as F
from torch import Tensor

from dgmppl.runtime.along import Sequence


class OnlyAt:
    """A distribution of a row at one position of an index of so many, as one along it that tells nothing elsewhere.

    Args:
        p: of batch shape ``(n,)`` or less.
        place: the position, from 0, of all rows or, ``(n,)``, of each.
        length: how many positions there are.
    """

    def __init__(self, p: td.Distribution, place: int | Tensor, length: int) -> None:
        self.p, self.place, self.length = p, place, length
        self.event_shape = torch.Size((length, *p.event_shape))

    def log_probs(self, value: Tensor) -> Tensor:
        """``log p`` at the position, and 0 at all others, ``(..., T)`` nats."""
        axis = value.dim() - len(self.event_shape)
        if isinstance(self.place, Tensor):
            here = value[torch.arange(len(value), device=value.device), self.place.long()]
        else:
            here = value.select(axis, self.place)
        return self._spread(self.p.log_prob(here), 0, 0.0)

    def moments(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation, ``(..., T, *element)`` each, with 0 and 1 elsewhere."""
        rank = len(self.p.event_shape)
        return self._spread(self.p.mean, rank, 0.0), self._spread(self.p.stddev, rank, 1.0)

    def _spread(self, found: Tensor, rank: int, fill: float) -> Tensor:
        """Values of elements of so many axes along the index, with another number at all other positions."""
        if isinstance(self.place, Tensor):
            shape = found.shape[found.dim() - rank :]
            return only_at(found.expand(len(self.place), *shape), self.place, self.length, fill)
        sides = (*(0, 0) * rank, self.place, self.length - 1 - self.place)
        return F.pad(found.unsqueeze(-1 - rank), sides, value=fill)


def only_at(value: Tensor, place: int | Tensor, length: int, fill: float = torch.nan) -> Tensor:
    """A value of each row as one of so many along an index, ``(n, T, ...)``, of which all others are missing (NaN), or
    have another value. The position is that of all rows or, ``(n,)``, of each."""
    behind = value.dim() - 1
    if isinstance(place, Tensor):
        there = torch.arange(length, device=value.device) == place.unsqueeze(-1)
        whole = value.unsqueeze(1).expand(-1, length, *value.shape[1:])
        return torch.where(there.reshape(*there.shape, *(1,) * behind), whole, fill)
    return F.pad(value.unsqueeze(1), (*(0, 0) * behind, place, length - 1 - place), value=fill)


class Placed:
    """A density along an index as one along a longer one, at the positions from `start` on: it tells nothing at others.

    Args:
        p: a `Sequence`, or what is seen of one.
        start: the position of its first element, from 0.
        length: how many positions there are.
    """

    def __init__(self, p: Any, start: int, length: int) -> None:
        self.p, self.start, self.length = p, start, length
        self.sequence: Sequence = getattr(p, "p", p)
        self.inner = torch.Size(self.sequence.event_shape)
        self.event_shape = torch.Size((length, *self.inner[1:]))

    def log_probs(self, value: Tensor) -> Tensor:
        """``log p`` at each of its positions, and 0 at all others, ``(..., T)`` nats."""
        return F.pad(self.p.log_probs(self._inside(value)), self._sides())

    def moments(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation, ``(..., T, *element)`` each, with 0 and 1 elsewhere."""
        shape = self.inner
        mean, deviation = self.sequence.moments(self._inside(given))
        batch = mean.shape[: mean.dim() - len(shape)]
        sides = (*(0, 0) * (len(shape) - 1), *self._sides())
        mean, deviation = (m.expand(*batch, *shape) for m in (mean, deviation))
        return F.pad(mean, sides), F.pad(deviation, sides, value=1.0)

    def _inside(self, value: Tensor) -> Tensor:
        return value.narrow(value.dim() - len(self.inner), self.start, self.inner[0])

    def _sides(self) -> tuple[int, int]:
        return self.start, self.length - self.start - self.inner[0]


def placed(value: Tensor, start: int, length: int) -> Tensor:
    """A value along an index ``(n, T', ...)`` as one along a longer one, ``(n, T, ...)``, of which all others are
    missing: NaN, or 0 of whole numbers, which no density reads."""
    sides = (*(0, 0) * (value.dim() - 2), start, length - start - value.shape[1])
    return F.pad(value, sides, value=torch.nan if value.is_floating_point() else 0)


__all__ = ["OnlyAt", "Placed", "only_at", "placed"]
