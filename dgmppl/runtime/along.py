"""Distributions of sequences: laws of an element along an index, part by part."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Row
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.nn import functional as F

from dgmppl.runtime.densities import Logistic, _Density
from dgmppl.runtime.distributions import Independent, Laplace, Normal, Size, kl_divergence
from dgmppl.runtime.incremental import Incremental, Window, asking
from dgmppl.runtime.means import mean_of
from dgmppl.runtime.shapes import broadcast_shapes


@dataclass(frozen=True)
class Segment:
    """The law of each element from position `first` to `last`, counted from 0.

    Args:
        law: maps the sequence ``(..., T, *element)`` to a distribution of elements, whose last batch axis is that of
            positions; of size 1, or without any batch, it is the same at all of them.
        short: of sequences of different lengths, how many elements at the end of each have another law.
        final: of those, whether it is the law of the last element of each alone.
        whole: whether the law is that of all positions, as that of a causal network is which reads other sequences too;
            else it is that of the positions of a window.
    """

    first: int
    last: int
    law: Callable[[Tensor], td.Distribution]
    short: int = 0
    final: bool = False
    whole: bool = False

    @property
    def count(self) -> int:
        """How many positions it has."""
        return self.last - self.first + 1

    def holds(self, first: int, count: int, lengths: Tensor) -> Tensor:
        """At which of so many positions from `first` on this is the law, ``(*lengths.shape, count)``."""
        place = torch.arange(first, first + count, device=lengths.device)
        end = lengths[..., None] - self.short
        found = (place >= self.first) & (place <= self.last)
        return found & (place == end - 1 if self.final else place < end)


class Sequence(_Density):
    """``p(x) = prod_t p(x_t | ...)`` along an index, where segments of it have laws of their own.

    Args:
        shape: of x, whose first axis is the index.
        segments: in order, together all positions.
        batch_shape: the batch shape that the laws have of other values than x.
        like: a tensor of the dtype and on the device in which to sample; None is torch's default.
        lag: how far from an element the laws look for others of x: 0 where they do not, None for all that are before.
        backward: whether an element depends on those after it, and not before.
        has_rsample: whether draws have a gradient.
        lengths: how many elements each row of the batch has, where that differs; None: all. Those beyond are no part of
            a density, and are `fill` in draws.
    """

    def __init__(
        self,
        shape: Size,
        segments: Row[Segment],
        batch_shape: Size = (),
        like: Tensor | None = None,
        lag: int | None = None,
        backward: bool = False,
        has_rsample: bool = True,
        lengths: Tensor | None = None,
        fill: float = 0.0,
    ) -> None:
        self.has_rsample = has_rsample
        self.lengths, self.fill = lengths, fill
        self.segments, self.lag, self.backward = tuple(segments), lag, backward
        self.like = torch.empty(0) if like is None else like
        self._latest: tuple[Tensor, Drawn] | None = None
        super().__init__(torch.Size(batch_shape), torch.Size(shape))

    def _expand_parameters(self) -> None:
        self._latest = None

    @property
    def support(self) -> Any:
        return constraints.real

    def endless(self) -> Sequence:
        """The same where all sequences have all elements: those beyond an end go on as those before."""
        found = copy(self)
        found.lengths = None
        return found

    def law(self, s: Segment, value: Tensor, first: int, count: int) -> tuple[td.Distribution, bool]:
        """The law of a segment at so many positions, and whether it is that of these alone, or else of all."""
        drawn = self._drawn_from(s, value, first, count)
        if drawn is not None:
            return drawn, True
        if s.whole:
            return s.law(value), False
        with asking(Window(first, first + count - 1)):
            return s.law(value), True

    def _drawn_from(self, s: Segment, value: Tensor, first: int, count: int) -> td.Distribution | None:
        """The laws from which the latest draw came, where that is the value: nothing is computed twice."""
        if self._latest is None or self._latest[0] is not value:
            return None
        found = [self._latest[1].get((s.first, s.final, d)) for d in range(first, first + count)]
        laws = [law for law in found if law is not None]
        return side_by_side(laws, len(laws[0].batch_shape) - 1) if len(laws) == count else None

    def _log_probs(self, s: Segment, value: Tensor, given: Tensor) -> Tensor:
        """log p of each element of a segment, ``(..., count)``, 0 where it is not the law."""
        law, alone = self.law(s, given, s.first, s.count)
        if alone:
            found = law.log_prob(value.narrow(value.dim() - len(self._event_shape), s.first, s.count))
        else:
            found = law.log_prob(value).narrow(-1, s.first, s.count)
        return found if self.lengths is None else torch.where(s.holds(s.first, s.count, self.lengths), found, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of a sequence, nats."""
        parts = [self._log_probs(s, value, value).sum(-1) for s in self.segments]
        found = sum(parts[1:], parts[0])
        shape = broadcast_shapes(found.shape, self._batch_shape)
        return found if found.shape == shape else found.expand(shape)

    def log_probs(self, value: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of each element ``(..., T)``, nats, each given the others that its law reads of `value`, or of another
        sequence that is `given`; of those that do not exist 0."""
        parts = [self._log_probs(s, value, value if given is None else given) for s in self.segments]
        shape = broadcast_shapes(*(part.shape[:-1] for part in parts))
        if self.lengths is not None:
            size = self._event_shape[0]
            padded = [F.pad(part, (s.first, size - s.last - 1)) for s, part in zip(self.segments, parts)]
            return sum(padded[1:], padded[0])
        return torch.cat([part.expand(*shape, -1) for part in parts], -1) if len(parts) > 1 else parts[0]

    def moments(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of each element given the others, ``(..., T, *element)`` each."""
        rank = len(self._event_shape) - 1
        parts: list[tuple[Tensor, Tensor]] = []
        for s in self.segments:
            law, alone = self.law(s, given, s.first, s.count)
            part = [m if m.dim() > rank else m.unsqueeze(0) for m in (law.mean, law.stddev)]
            if not alone:
                part = [m.narrow(-1 - rank, s.first, s.count) if m.shape[-1 - rank] > 1 else m for m in part]
            shapes = [torch.Size((*m.shape[: m.dim() - rank - 1], s.count, *self._event_shape[1:])) for m in part]
            parts.append((part[0].expand(shapes[0]), part[1].expand(shapes[1])))
        shape = broadcast_shapes(*(m.shape[: m.dim() - rank - 1] for part in parts for m in part))
        means, deviations = (
            [m.expand(*shape, *m.shape[m.dim() - rank - 1 :]) for m in moments] for moments in zip(*parts)
        )
        if self.lengths is not None and any(s.final for s in self.segments):
            return self._placed(means, 0.0), self._placed(deviations, 1.0)
        return torch.cat(means, len(shape)), torch.cat(deviations, len(shape))

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        return self._draw(sample_shape, "sample")

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        return self._draw(sample_shape, "rsample")

    @torch.no_grad()
    def continued(self, value: Tensor, counts: Tensor) -> Tensor:
        """Draws that begin with the first elements of a value ``(n, *shape)``, so many in each row, ``(n,)``."""
        if self.lag == 0:
            drawn = self.sample(() if self.batch_shape else (len(value),))
            return torch.where(_first(counts, self._event_shape), value, drawn)
        batch = torch.Size((len(value),))
        turns = _Turns([self._event_shape], batch, self.like, self.lag, self.backward, "sample", ([value], [counts]))
        return turns.drawn([lambda _: self])[0]

    def means(self, n: int | None) -> Tensor:
        """The mean of each element given the means of those before, ``(n, *shape)``; of None once, ``shape``."""
        return self._draw(() if self.batch_shape or n is None else (n,), "mean")

    def _draw(self, sample_shape: Size, how: str) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        batch = shape[: len(shape) - len(self._event_shape)]
        if self.lag == 0:
            parts: list[Tensor] = []
            for s in self.segments:
                law, alone = self.law(s, self.like.new_empty(0), s.first, s.count)
                first, count = (s.first, s.count) if alone else (0, self._event_shape[0])
                law = law.expand(torch.Size((*batch, count)))
                drawn = mean_of(law) if how == "mean" else getattr(law, how)()
                parts.append(drawn.narrow(len(batch), s.first - first, s.count))
            return torch.cat(parts, len(batch)) if self.lengths is None else self._placed(parts, self.fill)
        turns = _Turns([self._event_shape], batch, self.like, self.lag, self.backward, how)
        (drawn,) = turns.drawn([lambda _: self])
        if how == "rsample":
            self._latest = drawn, turns.laws
        return drawn

    def _placed(self, parts: Row[Tensor], fill: float) -> Tensor:
        """What each segment gives at the positions of which it is the law; `fill` beyond the ends."""
        found: Tensor | float = fill
        size, behind = self._event_shape[0], len(self._event_shape) - 1
        for s, part in zip(self.segments, parts):
            padded = F.pad(part, (*[0, 0] * behind, s.first, size - s.last - 1))
            found = torch.where(self.where(s, 0, size), padded, found)
        assert isinstance(found, Tensor)
        return found

    def where(self, s: Segment, first: int, count: int) -> Tensor:
        """At which positions a segment is the law, with axes for those of an element."""
        assert self.lengths is not None
        found = s.holds(first, count, self.lengths)
        return found.reshape(*found.shape, *[1] * (len(self._event_shape) - 1))

    def element(self, value: Tensor, position: int, draw: Callable[[Segment, td.Distribution], Tensor]) -> Tensor:
        """What `draw` makes of the law of the element at the position that is drawn."""
        if self.lengths is None:
            s = next(s for s in self.segments if s.first <= position <= s.last)
            return draw(s, s.law(value))
        found: Tensor | float = self.fill
        for s in self.segments:
            # That of the last element is followed from the first on: recurrent networks keep what came before.
            if s.final or s.first <= position <= s.last:
                found = torch.where(self.where(s, position, 1), draw(s, s.law(value)), found)
        assert isinstance(found, Tensor)
        return found


Drawn = dict[tuple[int, bool, int], td.Distribution]
"""The laws that elements were drawn from, by their segment and position."""


def in_turn(
    functions: Row[Callable[..., Sequence]],
    shapes: Row[Size],
    n: int,
    like: Tensor,
    lag: int | None = None,
    backward: bool = False,
    how: str = "sample",
    begin: tuple[Row[Tensor], Row[Tensor]] | None = None,
) -> list[Tensor]:
    """Draws of sequences of which each depends on what is before in all of them: position by position, at each in the
    order in which they stand here.

    Args:
        functions: the distribution of each, given all of them.
        shapes: of each, with the index first.
        n: how many to draw.
        like: a tensor of the dtype and on the device in which to draw.
        lag: how far back the laws look; None for all that is before.
        backward: whether they look at what comes after, and not before.
        how: "rsample" for draws with a gradient, "mean" for the mean of each given those before.
        begin: values of each whose first elements the draws begin with, and how many in each row, ``(n,)``.
    """
    return _Turns(shapes, torch.Size((n,)), like, lag, backward, how, begin).drawn(functions)


def _first(counts: Tensor, shape: Size) -> Tensor:
    """Which elements are among the first so many along an index, ``(n, T, 1, ...)``."""
    return (torch.arange(shape[0], device=counts.device) < counts[:, None]).reshape(-1, shape[0], *[1] * len(shape[1:]))


class _Turns:
    """Draws that go on position by position. Without a gradient the laws are given all positions, zeros at those to
    come. With one they are given the last that they look for, or what is put together anew for each."""

    def __init__(
        self,
        shapes: Row[Size],
        batch: Size,
        like: Tensor,
        lag: int | None,
        backward: bool,
        how: str,
        begin: tuple[Row[Tensor], Row[Tensor]] | None = None,
    ) -> None:
        values, counts = begin if begin is not None else ((), ())
        self.begin = [(value, _first(count, shape)) for value, count, shape in zip(values, counts, shapes)]
        self.batch, self.how, self.backward = torch.Size(batch), how, backward
        self.length = shapes[0][0]
        self.blank = [like.new_zeros((*batch, 1, *shape[1:])) for shape in shapes]
        graded = how == "rsample" or (how == "mean" and torch.is_grad_enabled())
        self.whole = None if graded else [like.new_zeros((*batch, *shape)) for shape in shapes]
        self.lag = lag if lag is not None and self.whole is None and self.length > lag + 2 else None
        self.found: list[list[Tensor]] = [[] for _ in shapes]
        self.laws: Drawn = {}
        self._position = 0

    def drawn(self, functions: Row[Callable[..., Sequence]]) -> list[Tensor]:
        draw = Incremental(self.lag, self.backward)
        places = range(self.length)
        with draw.at(0):
            for place, d in enumerate(reversed(places) if self.backward else places):
                draw.move(place, d)
                self._position = d
                for k, function in enumerate(functions):
                    given = self._given(place, len(functions) > 1)
                    element = function(*given).element(given[k], d, self._element)
                    if self.begin:
                        value, there = (part.narrow(1, d, 1) for part in self.begin[k])
                        element = torch.where(there, value, element)
                    self.found[k].append(element)
                    if self.whole is not None:
                        self.whole[k].narrow(len(self.batch), d, 1).copy_(element)
        if self.whole is not None:
            return self.whole
        return [torch.cat(self._ordered(found), len(self.batch)) for found in self.found]

    def _element(self, s: Segment, law: td.Distribution) -> Tensor:
        one = torch.Size((*self.batch, 1))
        law = law if law.batch_shape == one else law.expand(one)
        self.laws[s.first, s.final, self._position] = law
        drawn: Tensor = mean_of(law) if self.how == "mean" else getattr(law, self.how)()
        return drawn

    def _given(self, place: int, several: bool) -> list[Tensor]:
        if self.whole is not None:
            return self.whole
        given: list[Tensor] = []
        for found, blank in zip(self.found, self.blank):
            if self.lag is None:
                parts = [*found, *[blank] * (self.length - len(found))]
            else:
                parts = [*[blank] * (self.lag - place), *found[max(place - self.lag, 0) : place]]
                parts += [*found[place:], blank][:1] if several else []
            given.append(parts[0] if len(parts) == 1 else torch.cat(self._ordered(parts), len(self.batch)))
        return given

    def _ordered(self, parts: list[Tensor]) -> list[Tensor]:
        return parts[::-1] if self.backward else parts


# Distributions that are made of these numbers for each element.
_NUMBERS = {Normal: ("loc", "scale"), Laplace: ("loc", "scale"), Logistic: ("loc", "scale")}


def side_by_side(laws: Row[td.Distribution], axis: int) -> td.Distribution | None:
    """Laws of one kind as one, along a batch axis; None of kinds of which it is not known how."""
    first = laws[0]
    if isinstance(first, Independent):
        base = side_by_side([law.base_dist for law in laws if isinstance(law, Independent)], axis)
        return base if base is None else Independent(base, first.reinterpreted_batch_ndims)
    names = _NUMBERS.get(type(first))
    if names is None or any(type(law) is not type(first) for law in laws):
        return None
    made: Callable[..., td.Distribution] = type(first)
    return made(*(torch.cat([getattr(law, name) for law in laws], axis) for name in names))


def kl_along(q: Sequence, p: Sequence, value: Tensor) -> Tensor:
    """``sum_t KL(q(x_t | x_<t) || p(x_t | x_<t))`` at a draw x of q, nats: its mean over draws is KL(q || p), with less
    variance than that of log q - log p (Chung et al., 2015, Eq. 11)."""
    parts: list[Tensor] = []
    for a in q.segments:
        for b in p.segments:
            first, count = max(a.first, b.first), min(a.last, b.last) - max(a.first, b.first) + 1
            if count > 0:
                parts.append(_kl_of_both(q, a, p, b, value, first, count))
    return sum(parts[1:], parts[0])


def _kl_of_both(q: Sequence, a: Segment, p: Sequence, b: Segment, value: Tensor, first: int, count: int) -> Tensor:
    """The divergences added up of so many elements, of which these segments of q and p are the laws."""
    (law_q, alone_q), (law_p, alone_p) = q.law(a, value, first, count), p.law(b, value, first, count)
    if not (alone_q and alone_p):  # both at all positions
        law_q, law_p = a.law(value), b.law(value)
    found = kl_divergence(law_q, law_p)
    if not (alone_q and alone_p) and found.dim() and found.shape[-1] > 1:
        found = found.narrow(-1, first, count)
    if q.lengths is not None:
        there = a.holds(first, count, q.lengths) & b.holds(first, count, q.lengths)
        return torch.where(there, found, 0.0).sum(-1)
    each = found.dim() and found.shape[-1] == count
    return found.sum(-1) if each else count * (found.squeeze(-1) if found.dim() else found)


__all__ = ["Segment", "Sequence", "in_turn", "kl_along"]
