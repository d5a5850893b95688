"""Places of an index that are chosen by how large a loss was there: importance sampling of one place a row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LEAST = 10
"""Losses that each place has had before places are chosen by them."""

_KEPT = 0.9
_EVEN = 0.01


class PlacesByLoss(nn.Module):
    """Chooses places with probabilities in proportion to ``sqrt(E[loss^2])`` there, which has an estimate of the sum
    over all places, ``loss / probability``, vary least (Nichol and Dhariwal, 2021, Eq. 18).

    The mean squares are those of the epochs so far, older ones counting less; a hundredth of the choices is even, so
    that no place is left out. What an epoch finds is heeded from the next one on (`renew`).

    Args:
        length: how many places there are.
    """

    seen: Tensor
    new: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(2, length), persistent=False)  # sums of squares, how many
        self.register_buffer("new", torch.zeros(2, length), persistent=False)

    def probabilities(self, first: int, last: int) -> Tensor:
        """Of the places from `first` to `last`: even until each has had some losses."""
        squares, counts = self.seen[:, first : last + 1]
        even = torch.full_like(squares, 1 / len(squares))
        sizes = (squares / counts).sqrt()
        chosen = (1 - _EVEN) * sizes / sizes.sum() + _EVEN * even
        return torch.where((counts.min() >= LEAST) & (sizes.sum() > 0), chosen, even)

    def choose(self, first: int, last: int, shares: Tensor) -> tuple[Tensor, Tensor]:
        """The place that lies at each share, from 0 to 1, of the probabilities, and how many places it stands for."""
        probabilities = self.probabilities(first, last)
        ends = probabilities.cumsum(0)
        found = torch.searchsorted(ends, shares * ends[-1], right=True).clamp(max=last - first)
        return first + found, 1 / probabilities[found]

    def note(self, place: Tensor, loss: Tensor) -> None:
        """The loss of each row at its place."""
        squares = loss.detach().square().to(self.new.dtype)
        self.new[0].index_add_(0, place, squares)
        self.new[1].index_add_(0, place, torch.ones_like(squares))

    def renew(self) -> None:
        """An epoch has ended: what it found counts from here on."""
        self.seen.mul_(_KEPT).add_(self.new)
        self.new.zero_()

    def state(self) -> dict[str, Tensor]:
        """All that it has found, which is no weight of the model."""
        return {"seen": self.seen, "new": self.new}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Raises KeyError or RuntimeError for the state of another."""
        self.seen.copy_(state["seen"])
        self.new.copy_(state["new"])


__all__ = ["PlacesByLoss"]
