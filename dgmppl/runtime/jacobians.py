"""Jacobians of maps of vectors: whole, along directions, and the roots that they lead to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# A map of vectors (..., D), each row of which follows from the same row.
Map = Callable[[Tensor], Tensor]


def along(f: Map, x: Tensor, direction: Tensor) -> Tensor:
    """``J(x) v`` for directions v of the shape of x, by one pass."""
    found: Tensor = torch.func.jvp(f, (x,), (direction,))[1]
    return found


# Rows and directions together that pass at once where nothing is taught.
PASSES = 2**15


def jacobian(f: Map, x: Tensor) -> Tensor:
    """``J(x)``, ``(..., D, D)``, by D passes at once; by fewer where there are many rows and no gradient."""
    size = x.shape[-1]
    basis = torch.eye(size, dtype=x.dtype, device=x.device)
    rows = max(1, x.numel() // size)
    chunk = None if torch.is_grad_enabled() or rows * size <= PASSES else max(1, PASSES // rows)
    found: Tensor = torch.func.vmap(lambda v: along(f, x, v.expand_as(x).clone()), out_dims=-1, chunk_size=chunk)(basis)
    return found


def log_det(matrix: Tensor) -> Tensor:
    """``log |det|``, ``(...)``."""
    return torch.linalg.slogdet(matrix).logabsdet


def polished(f: Map, y: Tensor, x: Tensor, steps: int) -> Tensor:
    """A root of ``f(x) = y`` near x, which follows f and y as the implicit function does.

    Some steps without gradient, all with the Jacobian at the first x, ``x - J^-1 (f(x) - y)``, bring x to the root. Two
    with a gradient alone follow, as in `increasing_root`, so that first and second derivatives are right.
    """
    with torch.no_grad():
        if steps:
            factors = torch.linalg.lu_factor(jacobian(f, x))
            for _ in range(steps):
                x = x - torch.linalg.lu_solve(*factors, (f(x) - y).unsqueeze(-1)).squeeze(-1)
    if not torch.is_grad_enabled():
        return x
    for _ in range(2):
        error = f(x) - y
        x = x - torch.linalg.solve(jacobian(f, x), (error - error.detach()).unsqueeze(-1)).squeeze(-1)
    return x
