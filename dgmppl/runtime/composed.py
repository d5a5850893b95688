"""Chains of steps whose numbers are known: any member given the start, and given the next one, in closed form."""

from __future__ import annotations

from collections.abc import Sequence as Row
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributions as td

from dgmppl.runtime.along import Segment, Sequence
from dgmppl.runtime.by_loss import PlacesByLoss
from dgmppl.runtime.distributions import Categorical, Normal, kl_divergence
from dgmppl.runtime.incremental import OfRows, Window, asking
from dgmppl.runtime.schedules import doubles
from dgmppl.runtime.weighing import weighing

EVALUATED = 20
"""At so many places of an index, or at all of fewer, terms along it are evaluated for figures."""


class ComposedChain(nn.Module):
    """A chain ``q(z_1 | m)``, ``q(z_t | z_{t-1})`` of ``length`` members, each of which follows from the start m, and
    given the next one."""

    length: int
    by_loss: PlacesByLoss | None
    """How often each place is chosen in training; None: all alike."""

    def start(self, q: Sequence) -> Tensor:
        """m of each row, from the law of the first member."""
        raise NotImplementedError

    def given_start(self, start: Tensor, place: Tensor) -> td.Distribution:
        """``q(z_t | m)`` at a place of each row, counted from 0."""
        raise NotImplementedError

    def given_next(self, start: Tensor, later: Tensor, place: Tensor) -> td.Distribution:
        """``q(z_t | z_{t+1}, m)`` at a place of each row, counted from 0."""
        raise NotImplementedError

    def law_back(self, p: Sequence, n: int, place: int, known: Tensor | None) -> td.Distribution:
        """p of the member at a place, given the next one of n rows; of the last member, None."""
        segment = next(s for s in p.segments if s.first <= place <= s.last)
        numbers = next(self.buffers())
        with asking(OfRows(torch.full((n,), place, device=numbers.device))):
            return segment.law(numbers if known is None else known)

    def first(self, q: Sequence) -> Tensor:
        """A draw of the first member of each row, ``(n, 1, *element)``."""
        start = self.start(q)
        return _drawn(self.given_start(start, torch.zeros(len(start), dtype=torch.long, device=start.device)))

    def kl(self, q: Sequence, p: Sequence, simple: bool = False) -> Tensor:
        """An estimate without bias of ``KL(q(z) || p(z))``, ``(n,)`` nats, where p goes back from the last member:
        ``KL(q(z_T | m) || p(z_T)) + sum_t E KL(q(z_t | z_{t+1}, m) || p(z_t | z_{t+1}))`` (Ho et al., 2020, Eq. 5).

        The sum is estimated at one random place of each row in training, chosen by their losses or all alike, else at
        ``EVALUATED`` of them.

        Args:
            simple: in a loss each divergence is weighed so that it is a squared error of the noise in the next member,
                where p has the variance of q (Ho et al., 2020, Eq. 14).
        """
        start = self.start(q)
        found = ((s, *place) for s in p.segments for place in self._places(s, start))
        parts = [self._divergence(segment, start, here, times, simple) for segment, here, times in found]
        return sum(parts[1:], parts[0])

    def _places(self, segment: Segment, start: Tensor) -> Row[tuple[Tensor, Tensor | float]]:
        """Places of a segment for each row, each with how many places it stands for. Those of the rows of a batch lie
        evenly, as do those of a row (Kingma et al., 2021, App. I.1)."""
        n, size = len(start), segment.last + 1 - segment.first
        count = 1 if self.training else min(size, EVALUATED)
        shares = (torch.rand((), device=start.device) + torch.arange(n, device=start.device) / max(n, 1)) % 1
        if self.by_loss is not None and self.training:
            return [self.by_loss.choose(segment.first, segment.last, shares)]
        found = (((shares + k) * (size / count)).long().clamp(max=size - 1) for k in range(count))
        return [(segment.first + place, size / count) for place in found]

    def _divergence(self, segment: Segment, start: Tensor, here: Tensor, times: Tensor | float, simple: bool) -> Tensor:
        if segment.last + 1 == self.length:
            given, known = self.given_start(start, here), start
        else:
            known = _drawn(self.given_start(start, here + 1))
            given = self.given_next(start, known, here)
        with asking(OfRows(here)):
            law = segment.law(known)
        found = kl_divergence(given, law).squeeze(-1)
        if simple and weighing() and segment.last + 1 < self.length:
            found = found * self.weight(here)
        if self.by_loss is not None and self.training and weighing():
            self.by_loss.note(here, found)
        return times * found

    def weight(self, place: Tensor) -> Tensor:
        """What a divergence is weighed by where that is asked to be `simple`."""
        raise NotImplementedError


class NormalChain(ComposedChain):
    """``q(z_1 | m) = N(m, s_1^2)`` and ``q(z_t | z_{t-1}) = N(a_t z_{t-1}, s_t^2)``, for t to ``length``. Then
    ``q(z_t | m) = N(A_t m, S_t^2)`` with ``A_t = a_t A_{t-1}``, ``S_t^2 = a_t^2 S_{t-1}^2 + s_t^2``, and
    ``q(z_t | z_{t+1}, m)`` is normal with the variance ``(S_t s_{t+1} / S_{t+1})^2`` and the mean
    ``(A_t s_{t+1}^2 m + a_{t+1} S_t^2 z_{t+1}) / S_{t+1}^2`` (Ho et al., 2020, Eq. 4, 6 and 7).

    Args:
        length: how many members there are.
        slopes: ``a_2`` to the last, in double precision; one number for all of them.
        scales: ``s_1`` to the last.
        by_loss: choose places by how large their divergences were.
    """

    signal: Tensor
    noise: Tensor
    of_start: Tensor
    of_next: Tensor
    deviation: Tensor
    error: Tensor

    def __init__(self, length: int, slopes: Tensor | float, scales: Tensor | float, by_loss: bool = False) -> None:
        super().__init__()
        self.by_loss = PlacesByLoss(length) if by_loss else None
        a = [1.0, *doubles(slopes, length - 1).tolist()]
        s = doubles(scales, length).tolist()
        signal, variance = [1.0], [s[0] ** 2]
        for t in range(1, length):
            signal.append(a[t] * signal[-1])
            variance.append(a[t] ** 2 * variance[-1] + s[t] ** 2)
        next_ = range(1, length)
        numbers = {
            "signal": signal,
            "noise": [v**0.5 for v in variance],
            "of_start": [signal[t - 1] * s[t] ** 2 / variance[t] for t in next_],
            "of_next": [a[t] * variance[t - 1] / variance[t] for t in next_],
            "deviation": [s[t] * (variance[t - 1] / variance[t]) ** 0.5 for t in next_],
            # 1 / KL of an error of 1 in the noise of the next member, between normals of this deviation
            "error": [2 * variance[t - 1] * signal[t] ** 2 / (s[t] * signal[t - 1]) ** 2 for t in next_],
        }
        self.length = length
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def start(self, q: Sequence) -> Tensor:
        """m of each row, ``(n, 1, *element)``: the mean of the first member."""
        with asking(Window(0, 0)):
            mean: Tensor = q.segments[0].law(self.signal).mean
        return mean

    def given_start(self, start: Tensor, place: Tensor) -> td.Distribution:
        rank = start.dim() - 2
        law = Normal(_along(self.signal, place, rank) * start, _along(self.noise, place, rank))
        return law.to_event(rank) if rank else law

    def given_next(self, start: Tensor, later: Tensor, place: Tensor) -> td.Distribution:
        rank = start.dim() - 2
        loc = _along(self.of_start, place, rank) * start + _along(self.of_next, place, rank) * later
        law = Normal(loc, _along(self.deviation, place, rank))
        return law.to_event(rank) if rank else law

    def weight(self, place: Tensor) -> Tensor:
        return self.error[place]

    def draw(
        self,
        p: Sequence,
        n: int,
        steps: int | None = None,
        noise: float = 1.0,
        guidance: float = 0.0,
        without: Sequence | None = None,
    ) -> Tensor:
        """Draws of the first member, ``(n, 1, *element)``, by p from the last one back.

        Args:
            steps: at so many members alone, evenly from the last to the first. What p says of a member at the next one
                gives m, and with it q any earlier member (Song et al., 2021, Eq. 12). None: at all of them, by p.
            noise: of the steps back; 1 is that of ``q(z_s | z_t, m)``, with 0 the last member decides (DDIM).
            guidance: w of ``(1 + w) mean - w mean_without``, the mean of each step back, where `without` is p without
                what it is given: 0 is p, -1 the other (Ho and Salimans, 2022, Eq. 6; a mean is linear in the noise that
                a network predicts).
        """
        other = without if guidance else None
        if steps is None and noise == 1 and other is None:
            drawn: Tensor = p.sample(() if p.batch_shape else (n,))
            return drawn.narrow(1, 0, 1)
        count = min(steps or self.length, self.length)
        if count < 1 or not 0 <= noise <= 1:
            raise ValueError(f"steps are a number from 1, and noise is one from 0 to 1, not {steps} and {noise}")
        last = self.length - 1
        z = self.law_back(p, n, last, None).expand(torch.Size((n, 1))).sample()

        def lead(place: int, z: Tensor) -> Tensor | float:
            """What guidance adds to the mean of the member at a place."""
            if other is None:
                return 0.0
            return guidance * (self.law_back(p, n, place, z).mean - self.law_back(other, n, place, z).mean)

        if steps is None and noise == 1:
            for t in range(last - 1, -1, -1):
                z = self.law_back(p, n, t, z).sample() + lead(t, z)
            return z
        where = [round(last * k / (count - 1)) for k in range(count)][::-1] if count > 1 else [last, 0]
        for t, s in pairwise(where):
            mean = self.law_back(p, n, t - 1, z).mean + lead(t - 1, z)
            start = (mean - self.of_next[t - 1] * z) / self.of_start[t - 1]
            spread = self.noise[s] ** 2 * (1 - (self.signal[t] * self.noise[s] / (self.signal[s] * self.noise[t])) ** 2)
            width = noise * noise * spread
            ahead = (z - self.signal[t] * start) / self.noise[t]
            z = (
                self.signal[s] * start
                + (self.noise[s] ** 2 - width).sqrt() * ahead
                + width.sqrt() * torch.randn_like(z)
            )
        return z


class CategoricalChain(ComposedChain):
    """``q(z_t | z_{t-1})`` keeps the class with the probability ``k_t``, and else draws one by the probabilities r: of
    ``classes`` all alike, or of one of them, which absorbs the others. Given the start they have the probabilities
    ``K_t m + (1 - K_t) r``, with ``K_t`` the product of all ``k`` so far (Austin et al., 2021, App. A.2). m are the
    probabilities of the first member.

    Args:
        length: how many members there are.
        classes: how many values one has.
        slopes, shifts: of the second member to the last, the weight that its last class has beside what each class has,
            or the one that absorbs; together they need not sum to 1.
        towards: the class that absorbs; None: each is drawn alike.
        by_loss: as for `NormalChain`.
    """

    kept: Tensor
    keeps: Tensor
    anew: Tensor

    def __init__(
        self,
        length: int,
        classes: int,
        slopes: Tensor | float,
        shifts: Tensor | float,
        towards: int | None = None,
        by_loss: bool = False,
    ) -> None:
        super().__init__()
        self.by_loss = PlacesByLoss(length) if by_loss else None
        a, b = doubles(slopes, length - 1), doubles(shifts, length - 1)
        keeps = torch.cat([doubles(1.0, 1), a / (a + (classes if towards is None else 1) * b)])
        self.length, self.classes = length, classes
        dtype = torch.get_default_dtype()
        anew = torch.full((classes,), 1 / classes) if towards is None else torch.eye(classes)[towards]
        self.register_buffer("keeps", keeps.to(dtype), persistent=False)
        self.register_buffer("kept", keeps.cumprod(0).to(dtype), persistent=False)
        self.register_buffer("anew", anew, persistent=False)

    def start(self, q: Sequence) -> Tensor:
        """m of each row, ``(n, 1, *element, classes)``."""
        with asking(Window(0, 0)):
            law = q.segments[0].law(self.kept)
        return _logits(law).softmax(-1)

    def given_start(self, start: Tensor, place: Tensor) -> td.Distribution:
        return self._law(self._mixed(start, self.anew, self.kept, place).log())

    def given_next(self, start: Tensor, later: Tensor, place: Tensor) -> td.Distribution:
        which = later.long()
        one_hot = nn.functional.one_hot(which, self.classes).to(start.dtype)
        ahead = self._mixed(one_hot, self.anew[which].unsqueeze(-1), self.keeps, place + 1)
        return self._law(ahead.log() + self._mixed(start, self.anew, self.kept, place).log())

    def draw(self, p: Sequence, n: int, guidance: float = 0.0, without: Sequence | None = None) -> Tensor:
        """Draws of the first member, ``(n, 1, *element)``, by p from the last one back.

        Args:
            guidance: w of ``(1 + w) log p - w log p_without`` of each member, up to what it takes to sum to 1, where
                `without` is p without what it is given: 0 is p, -1 the other (Ho and Salimans, 2022, Eq. 6, whose score
                is the slope of a logarithm; Schiff et al., 2025, for classes). What has no probability has none.
        """
        if not guidance or without is None:
            drawn: Tensor = p.sample(() if p.batch_shape else (n,))
            return drawn.narrow(1, 0, 1)
        z: Tensor | None = None
        for place in range(self.length - 1, -1, -1):
            given, other = (self.law_back(each, n, place, z) for each in (p, without))
            law = Categorical(logits=_guided(_logits(given), _logits(other), guidance))
            rank = len(given.event_shape)
            z = (law.to_event(rank) if rank else law).expand(torch.Size((n, 1))).sample()
        assert z is not None
        return z

    def _mixed(self, probabilities: Tensor, anew: Tensor, shares: Tensor, place: Tensor) -> Tensor:
        share = _along(shares, place, probabilities.dim() - 2)
        return share * probabilities + (1 - share) * anew

    @staticmethod
    def _law(logits: Tensor) -> td.Distribution:
        rank = logits.dim() - 3
        law = Categorical(logits=logits)
        return law.to_event(rank) if rank else law


def _logits(law: Any) -> Tensor:
    """Logarithms of the probabilities of classes."""
    while isinstance(law, td.Independent):
        law = law.base_dist
    found: Tensor = law.logits
    return found


def _guided(logits: Tensor, without: Tensor, guidance: float) -> Tensor:
    """Logits led away from others, where these give a class a probability."""
    if guidance == -1:
        return without
    led = (1 + guidance) * logits - guidance * without
    return torch.where(logits.isinf() | without.isinf(), logits, led)


def _drawn(law: td.Distribution) -> Tensor:
    """A draw, with a gradient where there is one."""
    found: Tensor = law.rsample() if law.has_rsample else law.sample()
    return found


def _along(numbers: Tensor, place: Tensor, rank: int) -> Tensor:
    """The number at a place of each row, with axes for positions and for what an element has."""
    return numbers[place].reshape(-1, 1, *(1,) * rank)


__all__ = ["CategoricalChain", "NormalChain"]
