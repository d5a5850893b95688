"""Densities of some positions of an index, as densities along all of it."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributions as td
import torch.nn.functional as F
from torch import Tensor

from dgmppl.runtime.along import Sequence


class OnlyAt:
    """A distribution of a row at one position of an index of so many, as one along it that tells nothing elsewhere."""

    def __init__(self, p: td.Distribution, place: int, length: int) -> None:
        self.p, self.place, self.length = p, place, length
        self.event_shape = torch.Size((length, *p.event_shape))

    def log_probs(self, value: Tensor) -> Tensor:
        """``log p`` at the position, and 0 at all others, ``(..., T)`` nats."""
        logs = self.p.log_prob(value.select(value.dim() - len(self.event_shape), self.place))
        return F.pad(logs.unsqueeze(-1), (self.place, self.length - 1 - self.place))

    def moments(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation, ``(..., T, *element)`` each, with 0 and 1 elsewhere."""
        rank = len(self.p.event_shape)
        sides = (*(0, 0) * rank, self.place, self.length - 1 - self.place)
        mean, deviation = (m.unsqueeze(-1 - rank) for m in (self.p.mean, self.p.stddev))
        return F.pad(mean, sides), F.pad(deviation, sides, value=1.0)


def only_at(value: Tensor, place: int, length: int) -> Tensor:
    """A value of each row as one of so many along an index, ``(n, T, ...)``, of which all others are missing (NaN)."""
    behind = value.dim() - 1
    return F.pad(value.unsqueeze(1), (*(0, 0) * behind, place, length - 1 - place), value=torch.nan)


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
