"""Values of latents by their exact posterior: draws, the most probable ones, or what a coder says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from dgmppl.runtime.distributions import Categorical

Known = Callable[[Mapping[str, Tensor]], Tensor]
"""The index of a choice, from the values that the latents have."""

SideBySide = Callable[[Mapping[str, Tensor]], Tensor]
"""The numbers that are drawn together, ``(n, d)``, from the values ``(n, *shape)`` that the latents have."""

Draw = Callable[[Tensor, Tensor, SideBySide], Tensor]

_BY: ContextVar[Callable[[Tensor, Known], Tensor] | None] = ContextVar("by", default=None)
_DRAWN_BY: ContextVar[Draw | None] = ContextVar("drawn_by", default=None)


@contextmanager
def chosen_by(choose: Callable[[Tensor, Known], Tensor], draw: Draw | None = None) -> Iterator[None]:
    """Inside, choices are made by a function of scores ``(..., C)`` and of the index that they have where the values of
    all latents are known, which gives their indices ``(...)``; and normal numbers ``(n, d)`` by one of their mean and a
    root of their covariance, and of what they are in the values of all latents."""
    token, other = _BY.set(choose), _DRAWN_BY.set(draw)
    try:
        yield
    finally:
        _BY.reset(token)
        _DRAWN_BY.reset(other)


def drawing() -> Draw | None:
    """Who says what normal numbers are; None where they are drawn."""
    return _DRAWN_BY.get()


def chosen(scores: Tensor, mean: bool, known: Known) -> Tensor:
    """The index of the best score along the last axis with `mean`, else a draw by their exponentials."""
    if mean:
        return scores.argmax(-1)
    choose = _BY.get()
    return Categorical(logits=scores).sample().long() if choose is None else choose(scores, known)


def index_of(value: Tensor, values: Tensor) -> Tensor:
    """Which of some values ``(K, *shape)`` each of others is, ``(..., *shape)`` to ``(...)``; 0 of what is none."""
    rank = values.dim() - 1
    same = value.unsqueeze(value.dim() - rank) == values
    same = same.flatten(-rank).all(-1) if rank else same
    return same.to(torch.uint8).argmax(-1)


__all__ = ["chosen", "chosen_by", "drawing", "index_of"]
