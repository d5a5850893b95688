"""The positions that are asked for, and sampling position by position without computing the past anew.

Densities and networks along an index are written for all of its positions, and `at` reads their values at those that
are asked for: all, a window of them, one of each row, or the one that is drawn.

An autoregressive sampler evaluates one function of the whole sequence again and again, and of each result needs the
next position alone. Inside `Incremental.at(d)` every causal network computes its output at d, from what it kept of the
positions before, and gives that output alone, along axes of size 1. What is done with it goes element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.nn import functional as F

from dgmppl.permutations import order_of
from dgmppl.runtime.lengths import within


class Positions:
    """The positions of an index, or of a grid, that are asked for: all of them, where no subclass says otherwise."""

    def of(self, x: Tensor, axis: int, offsets: tuple[int, ...]) -> Tensor:
        """``x[d + offset]`` at each of them, zeros where there is none; the axes of positions begin at `axis`."""
        if not any(offsets):
            return x
        # What is cut off at one end is padded at the other, axis by axis from the last.
        padding = [0, 0] * (x.dim() - axis - len(offsets))
        for by in reversed(offsets):
            padding += [-by, by]
        return F.pad(x, padding)


@dataclass(frozen=True)
class Window(Positions):
    """Those from `first` to `last`, along an axis as long as that."""

    first: int
    last: int

    def of(self, x: Tensor, axis: int, offsets: tuple[int, ...]) -> Tensor:
        first, last, size = self.first + offsets[0], self.last + offsets[0], x.shape[axis]
        found = x.narrow(axis, max(first, 0), max(min(last, size - 1) - max(first, 0) + 1, 0))
        padding = (max(-first, 0), max(last - size + 1, 0))
        return F.pad(found, (*[0, 0] * (x.dim() - 1 - axis), *padding)) if any(padding) else found


@dataclass(frozen=True)
class OfRows(Positions):
    """That which each of n rows has in an index ``(n,)``, along an axis of size 1. What has one position is the one
    member that is read, wherever that is."""

    index: Tensor

    def of(self, x: Tensor, axis: int, offsets: tuple[int, ...]) -> Tensor:
        """``x[row, index[row] + offset]``, or without a row of x for each of them ``x[index + offset]``."""
        if x.shape[axis] == 1:
            return x
        there = self.index + offsets[0]
        inside = (there >= 0) & (there < x.shape[axis])
        there = there.clamp(0, x.shape[axis] - 1)
        found = x[torch.arange(len(there), device=there.device), there] if axis else x[there]
        return (found * inside.reshape(-1, *(1,) * (found.dim() - 1))).unsqueeze(1)


class Incremental(Positions):
    """The one that is drawn, along axes of size 1, and the state of the draw: the position by its place in the order in
    which they come, which causal networks count by, and as an `element` by its number row by row; and what each use of
    a network keeps."""

    def __init__(self, lag: int | None = None, backward: bool = False) -> None:
        """`lag`: of what is drawn, functions are given so many positions before the one that is computed, or after it
        if `backward`, and perhaps itself, but not all."""
        self.position = self.element = 0
        self.lag, self.backward = lag, backward
        self._kept: dict[tuple[int, int], dict[str, Any]] = {}
        self._uses: dict[int, int] = {}
        self._parts: dict[int, tuple[Tensor, tuple[Tensor, ...]]] = {}

    @contextmanager
    def at(self, position: int, element: int | None = None) -> Iterator[None]:
        """Networks compute this position inside; positions come in order, from 0. `element`: its number row by row,
        where that is another."""
        self.move(position, position if element is None else element)
        with asking(self):
            yield

    def move(self, position: int, element: int) -> None:
        """Goes on to another position, inside of `at`."""
        self.position, self.element, self._uses = position, element, {}

    def parts(self, x: Tensor, axis: int) -> tuple[Tensor, ...]:
        """A tensor cut along an axis, once for the whole draw: so its gradient is put together once."""
        found = self._parts.get(id(x))
        if found is None:
            found = self._parts[id(x)] = (x, x.split(1, axis))
        return found[1]

    def kept(self, owner: object) -> dict[str, Any]:
        """What this use of a network, or of a function, keeps from one position to the next: one that is used twice has
        two."""
        use = self._uses[id(owner)] = self._uses.get(id(owner), -1) + 1
        return self._kept.setdefault((id(owner), use), {})

    def of(self, x: Tensor, axis: int, offsets: tuple[int, ...]) -> Tensor:
        if len(offsets) == 1:
            return self._along(x, axis, offsets[0])
        found, left = x, self.element
        for k, by in reversed(list(enumerate(offsets, axis))):
            left, place = divmod(left, x.shape[k])
            there = 0 <= place + by < x.shape[k]
            found = found.narrow(k, place + by if there else 0, 1)
            found = found if there else torch.zeros_like(found)
        return found

    def _along(self, x: Tensor, axis: int, by: int) -> Tensor:
        """The same along a single axis, of which x may be the last positions alone."""
        size, lag = x.shape[axis], self.lag
        if by == 0 and size == 1:
            return x  # it is that of the position already
        if lag is not None and size in (lag, lag + 1):  # the last of what is drawn
            place = by - (size == lag) if self.backward else by + lag
            return x if size == 1 else x.narrow(axis, place, 1)
        place = self.element + by
        if not 0 <= place < size:
            return torch.zeros_like(x.narrow(axis, 0, 1))
        return self.parts(x, axis)[place] if x.requires_grad else x.narrow(axis, place, 1)


ALL = Positions()

_ASKED: ContextVar[Positions] = ContextVar("asked", default=ALL)


@contextmanager
def asking(positions: Positions) -> Iterator[None]:
    """Inside, these positions are asked for."""
    token = _ASKED.set(positions)
    try:
        yield
    finally:
        _ASKED.reset(token)


def current() -> Incremental | None:
    """The draw that is going on, if any."""
    asked = _ASKED.get()
    return asked if isinstance(asked, Incremental) else None


def at(x: Tensor, offset: int | tuple[int, ...], behind: int = 0, lengths: Tensor | None = None) -> Tensor:
    """``x[d + offset]`` at every position d that is asked for, zeros where there is none.

    Args:
        x: values with axes of positions, and so many axes `behind` them.
        offset: how far from each position: a number for each of its axes.
        lengths: how many positions each row has, where that differs.
    """
    x = x if lengths is None else within(x, lengths, behind)
    offsets = (offset,) if isinstance(offset, int) else offset
    return _ASKED.get().of(x, x.dim() - behind - len(offsets), offsets)


def here(x: Tensor, behind: int = 0) -> Tensor:
    """What was computed at all positions, with so many axes `behind` those, at the ones that are asked for."""
    return x if current() is not None else at(x, 0, behind)


def everywhere(function: Callable[..., Tensor], *given: Tensor, behind: int = 0) -> Tensor:
    """What a function of whole sequences gives, as a recurrence does, at the positions that are asked for."""
    if not isinstance(_ASKED.get(), Window):
        return function(*given)
    with asking(ALL):
        found = function(*given)
    return at(found, 0, behind)


def position(extent: tuple[int, ...], axis: int, like: Tensor) -> Tensor:
    """The index of every position along one axis of a grid ``extent``, counted from 0; or of the one that is drawn."""
    index = torch.arange(extent[axis], device=like.device, dtype=like.dtype)
    index = index.reshape(-1, *(1,) * (len(extent) - axis - 1)).expand(extent)
    return at(index, (0,) * len(extent))


class Order:
    """The positions of a grid in another order than row by row: `positions` are their numbers row by row, in the order
    in which they come."""

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions
        self._places = tuple(sorted(range(len(positions)), key=positions.__getitem__))

    def of(self, x: Tensor) -> Tensor:
        """A sequence ``(..., D, C)`` of all positions row by row in this order; the one that is drawn is left alone."""
        return self._selected(x, self.positions)

    def back(self, x: Tensor) -> Tensor:
        """A sequence ``(..., D, C)`` in this order row by row; the one that is drawn is left alone."""
        return self._selected(x, self._places)

    @staticmethod
    def _selected(x: Tensor, index: tuple[int, ...]) -> Tensor:
        if x.shape[-2] == 1:
            return x
        return x.index_select(-2, torch.tensor(index, device=x.device))


@cache
def order(kind: str, extent: tuple[int, ...], seed: int = 0) -> Order:
    """An order of the positions of a grid ``extent`` by its name (see `dgmppl.permutations.order_of`)."""
    return Order(order_of(kind, extent, seed))


def recur(step: Callable[..., Tensor], state: Tensor, *given: Tensor) -> Tensor:
    """``h[d] = step(h[d - 1], given[d], ...)`` at every position d, from a `state` before the first; or at the one that
    is drawn, from what was kept.

    Args:
        state: the shape of h without its batch.
        given: values with the positions on their first axis.

    Returns:
        h, ``(*batch, D, *state.shape)``.
    """
    draw = current()
    kept = {} if draw is None else draw.kept(step.__code__)
    h, found = kept.get("state", state), []
    for values in zip(*given):
        h = step(h, *values)
        found.append(h)
    kept["state"] = h
    return torch.stack(found, -1 - state.dim())


def plate(element: td.Distribution, extent: tuple[int, ...]) -> td.Distribution:
    """The distribution of independent elements at each position of a grid ``extent``, from that of one, which has axes
    of size 1 for them or no batch axes at all."""
    batch = element.batch_shape[: -len(extent)]
    found: td.Distribution = element.expand(torch.Size((*batch, *extent))).to_event(len(extent))
    return found


__all__ = ["at", "everywhere", "here", "order", "plate", "position", "recur"]
