"""Choices of values of latents by their exact posterior: draws, the most probable ones, or what a coder says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from dgmppl.runtime.distributions import Categorical

Known = Callable[[Mapping[str, Tensor]], Tensor]
"""The index of a choice, from the values that the latents have."""

_BY: ContextVar[Callable[[Tensor, Known], Tensor] | None] = ContextVar("by", default=None)


@contextmanager
def chosen_by(choose: Callable[[Tensor, Known], Tensor]) -> Iterator[None]:
    """Inside, choices are made by a function of scores ``(..., C)`` and of the index that they have where the values of
    all latents are known, which gives their indices ``(...)``."""
    token = _BY.set(choose)
    try:
        yield
    finally:
        _BY.reset(token)


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


__all__ = ["chosen", "chosen_by", "index_of"]
