"""Sequences of different lengths in one batch: which of their positions exist, and what stands at those that do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WithLengths(nn.Module):
    """A network of sequences that takes their `lengths`, where these differ."""


def exists(lengths: Tensor, size: int) -> Tensor:
    """Whether each of `size` positions exists, ``(*batch, size)``, where the first ``lengths (*batch)`` do."""
    return torch.arange(size, device=lengths.device) < lengths[..., None]


def within(x: Tensor, lengths: Tensor, behind: int = 0, fill: float = 0.0) -> Tensor:
    """Sequences ``(*batch, T, ...)`` with `fill` at the positions that do not exist, and no gradient there.

    Args:
        lengths: how many positions each has.
        behind: how many axes stand behind that of positions.
    """
    there = exists(lengths, x.shape[-1 - behind])
    return torch.where(there.reshape(*there.shape, *[1] * behind), x, fill)


def mean_within(x: Tensor, lengths: Tensor, behind: int = 0) -> Tensor:
    """The mean of ``(*batch, T, ...)`` over the positions that exist, with an axis of size 1 in their place."""
    axis = -1 - behind
    count = lengths.reshape(*lengths.shape, *[1] * (behind + 1))
    return within(x, lengths, behind).sum(axis, keepdim=True) / count


def rows_of_lengths(lengths: Tensor | None, batch: torch.Size) -> Tensor | None:
    """The lengths of all rows of a batch, ``(N,)`` whole numbers; `lengths` has its first axes."""
    if lengths is None:
        return None
    lifted = lengths.reshape(*lengths.shape, *[1] * (len(batch) - lengths.dim()))
    return lifted.expand(batch).reshape(-1).long()


__all__ = ["exists", "mean_within", "within"]
