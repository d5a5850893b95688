"""Markov chains for unnormalised models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def langevin(
    energy: Callable[[Tensor], Tensor],
    x: Tensor,
    steps: int,
    step_size: float,
    noise: float,
    low: float | None = None,
    high: float | None = None,
) -> Tensor:
    """Langevin dynamics: ``x <- x - step_size dE/dx + noise eps`` with eps standard normal.

    With ``noise = sqrt(2 step_size)`` and small steps the chain draws from ``exp(-E(x))`` (Welling and Teh,
    2011; Tomczak, 2022, Sec. 6.2), on an interval if a step beyond a bound is reflected in it. With another noise it
    is a descent to low energies, which a bound stops: there each step ends with a clamp. Nothing of it is kept in the
    graph: the draws are constants to the loss.

    Args:
        energy: maps x ``(n, ...)`` to ``(n,)``.
        x: where the chains start.
        low, high: the bounds of the interval; None leaves that side open.
    """
    reflects = math.isclose(noise**2, 2 * step_size, rel_tol=0.01)
    for _ in range(steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(energy(x).sum(), x)
        x = x.detach() - step_size * gradient + noise * torch.randn_like(x)
        if reflects:
            x = reflect(x, low, high)
        if low is not None or high is not None:
            x = x.clamp(low, high)
    return x.detach()


def reflect(x: Tensor, low: float | None, high: float | None) -> Tensor:
    """x folded into [low, high] as by mirrors at the bounds; None for a side without."""
    if low is not None and high is not None:
        width = high - low
        return high - ((x - low).remainder(2 * width) - width).abs()
    if low is not None:
        return low + (x - low).abs()
    return x if high is None else high - (high - x).abs()


@torch.no_grad()
def gibbs(updates: Sequence[Callable[..., Tensor] | None], *state: Tensor, steps: int = 1) -> tuple[Tensor, ...]:
    """Gibbs sampling: each step draws every block given the latest value of all of them, in the order given.

    Args:
        updates: for each block of the state, a function of the whole state that draws it; None clamps it.
        state: the blocks' values where the chain starts.
        steps: number of sweeps.
    """
    blocks = list(state)
    for _ in range(steps):
        for index, update in enumerate(updates):
            if update is not None:
                blocks[index] = update(*blocks)
    return tuple(blocks)


__all__ = ["gibbs", "langevin"]
