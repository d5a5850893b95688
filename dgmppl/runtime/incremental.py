"""Sampling position by position without computing the past anew: causal networks keep what they found of it.

An autoregressive sampler evaluates one function of the whole sequence again and again, and of each result needs the
next position alone. Inside `Incremental.at(d)` every causal network computes its output at d, from what it kept of the
positions before, and gives that output alone, along axes of size 1. What is done with it goes element by element.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn

_CURRENT: ContextVar[Incremental | None] = ContextVar("incremental", default=None)


class Incremental:
    """The state of one draw: the position that is computed, and what each use of a network keeps."""

    def __init__(self) -> None:
        self.position = 0
        self._kept: dict[tuple[int, int], dict[str, Any]] = {}
        self._uses: dict[int, int] = {}

    @contextmanager
    def at(self, position: int) -> Iterator[None]:
        """Networks compute this position inside; positions come in order, from 0."""
        self.position, self._uses = position, {}
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def kept(self, network: nn.Module) -> dict[str, Any]:
        """What this use of a network keeps from one position to the next: one that is used twice has two."""
        use = self._uses[id(network)] = self._uses.get(id(network), -1) + 1
        return self._kept.setdefault((id(network), use), {})


def current() -> Incremental | None:
    """The draw that is going on, if any."""
    return _CURRENT.get()
