"""What causal networks read, step by step: rows with what is aligned with their positions, and what lies before one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.layers import rows_of
from dgmppl.runtime.shapes import broadcast_shapes


def rows_with(
    x: Tensor, rank: int, context: Tensor | None, aligned: Tensor | None, maps: nn.ModuleList | list[nn.Module]
) -> tuple[torch.Size, Tensor, list[Tensor], list[Tensor]]:
    """What `rows_of` gives, and what is aligned with the positions, with one axis for the same batch, in a list that is
    empty where nothing is."""
    if aligned is None:
        return *rows_of(x, rank, context, maps), []
    shapes = [v.shape[: v.dim() - rank - 1] for v in (x, aligned)]
    batch = broadcast_shapes(*shapes, *([] if context is None else [context.shape[:-1]]))
    x = x.expand(*batch, *x.shape[x.dim() - rank - 1 :])
    event = aligned.shape[aligned.dim() - rank - 1 :]
    beside = aligned.expand(*batch, *event).reshape(-1, *event)
    return *rows_of(x, rank, context, maps), [beside]


def shifted(x: Tensor) -> Tensor:
    """``x (..., D, C)`` with input d-1 at position d, and zeros at the first."""
    return F.pad(x, (0, 0, 1, -1))


def latest(x: Tensor, position: int) -> Tensor:
    """The input ``(N, 1, C)`` before a position."""
    return x[:, position - 1 : position] if position else torch.zeros_like(x[:, :1])


def so_far(aligned: Tensor, length: int, position: int, kept: dict[str, Any]) -> Tensor:
    """What is aligned with all of so many positions ``(..., D, C)``, zeros at those to come, where that of a position
    ``(..., 1, C)`` came just now and what came before is kept."""
    if "aligned" not in kept:
        kept["aligned"] = aligned.new_zeros(*aligned.shape[:-2], length, aligned.shape[-1])
    whole: Tensor = kept["aligned"]
    whole[..., position, :] = aligned[..., 0, :]
    return whole
