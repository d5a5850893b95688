"""The parameters of a player as one vector, so that a step of the optimiser is a few operations however many there are.

A small network's step is otherwise spent between its weights: on the way from one to the next, not on any of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def flatten(parameters: Sequence[nn.Parameter]) -> tuple[nn.Parameter, Tensor]:
    """One parameter that shares its memory with these, and the gradient that it shares with theirs.

    A gradient stays where it is: it is set to zero between steps, never to None, so a parameter that a loss does not
    depend on has the gradient 0. The elementwise optimisers do not see the difference.

    Args:
        parameters: of one type, on one device; they keep their names, shapes and values.
    """
    flat = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
    flat.grad = gradient = torch.zeros_like(flat)
    start = 0
    for p in parameters:
        rows = slice(start, start + p.numel())
        p.data = flat.data[rows].view_as(p)
        p.grad = gradient[rows].view_as(p)
        start = rows.stop
    return flat, gradient
