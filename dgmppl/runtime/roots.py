"""Roots of increasing functions, with gradients: the inverses of bijections that have none in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# A function of x and whatever it closes over: its values and its slopes, both of the shape of x.
Increasing = Callable[[Tensor], tuple[Tensor, Tensor]]


def increasing_root(f: Increasing, y: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x with ``f(x) = y``, element by element, where ``f(low) <= y <= f(high)``.

    Halves the interval without gradient until neighbouring numbers are left, then takes two steps of Newton's method,
    ``x - (f(x) - y - r) / f'(x)``, for their gradient alone: with r, what is left of f(x) - y, they change nothing, and
    x follows f and y as the implicit function does. Two steps have its second derivatives right as well.

    Args:
        f: gives values and positive slopes, and takes x of the shape that f, y, low and high broadcast to.
    """
    with torch.no_grad():
        low, high = torch.broadcast_tensors(low, high)
        # Tensors of the meta device have shapes and no values, and one step has those of all.
        for _ in range(1 if y.is_meta else 64 if y.dtype == torch.double else 32):
            middle = (low + high) / 2
            below = f(middle)[0] < y
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        x = (low + high) / 2
    if not torch.is_grad_enabled():
        return x
    for _ in range(2):
        value, slope = f(x)
        error = value - y
        x = x - (error - error.detach()) / slope.clamp_min(torch.finfo(slope.dtype).tiny)
    return x
