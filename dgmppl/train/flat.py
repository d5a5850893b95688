"""The weights of a group as one vector, so that a step of the optimiser is a few operations however many there are.

A small network's step is otherwise spent between its weights: on the way from one to the next, not on any of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

LARGEST = 1 << 22
"""So many weights are moved as one vector at most. With 2^12 it saves a third of a step of Adam, with 2^20 a tenth (on
one thread of a CPU); much beyond, torch's optimisers take as long either way."""


def can_flatten(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether these can be one vector, and it pays: they are few, of one type, and on one device."""
    kinds = {(p.dtype, p.device, p.layout) for p in parameters}
    return len(kinds) == 1 and sum(p.numel() for p in parameters) <= LARGEST


def flatten(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """One parameter that shares its memory, and that of its gradient, with these.

    Args:
        parameters: distinct, of one type, on one device; they keep their names, shapes and values.
    """
    flat = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for p in parameters:
        rows = slice(start, start + p.numel())
        p.data = flat.data[rows].view_as(p)
        p.grad = flat.grad[rows].view_as(p)
        start = rows.stop
    return flat
