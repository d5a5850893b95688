"""Vectors whose elements fill no box, proportions and directions, by coordinates that do: of these there are cells.

A vector of D numbers that sum to 1, or of length 1, is told by D - 1 coordinates. Those here are such that the laws of
the language go from one to the next: proportions by a tree of halves, in which a Dirichlet is a Beta at each fork, and
directions by their angles, of which a von Mises-Fisher law gives each by a density of one dimension. The coordinates
are the same whatever law it is, so that a prior and a posterior choose among the same cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import scipy.special
import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import BINS, Bins, Cells
from dgmppl.coding.layout import bins_of
from dgmppl.coding.stack import CodingError
from dgmppl.runtime.bijections import NOTHING, Bijection, Context
from dgmppl.runtime.densities import Mixture, Pushforward
from dgmppl.runtime.directions import VonMisesFisher
from dgmppl.runtime.distributions import Delta, Independent, Unchecked

_FURTHEST = 600.0
"""The logarithm of no proportion lies below minus this: e^-708 is the smallest number of full precision."""


class Chart(Protocol):
    """Coordinates ``(..., D - 1)`` of vectors ``(..., D)``."""

    def coordinates(self, value: Tensor) -> Tensor:
        """Those of vectors."""

    def value(self, coordinates: Tensor) -> Tensor:
        """The vectors of these."""

    def law(self, law: td.Distribution) -> td.Distribution:
        """What the coordinates have where the vectors have this law, which is of one vector.

        Raises:
            CodingError: for a law whose coordinates have none that could be coded.
        """

    def cells(self, draws: Tensor) -> Cells:
        """Of the coordinates of a variable of which these are draws, ``(n, *shape)``."""


def charted(chart: Chart, law: td.Distribution) -> td.Distribution:
    """The law of the coordinates where the vectors have this one."""
    if isinstance(law, Delta):
        return Delta(chart.coordinates(law.v))
    if isinstance(law, Mixture):
        return Mixture(law.logits, charted(chart, law.components))
    if isinstance(law, td.Independent):
        inner, rank = charted(chart, law.base_dist), law.reinterpreted_batch_ndims
        if isinstance(inner, td.Independent):
            inner, rank = inner.base_dist, inner.reinterpreted_batch_ndims + rank
        return Independent(inner, rank)
    if isinstance(law, Pushforward):
        return Pushforward(law.base, _Charted(law.bijection, image=chart))
    return chart.law(law)


def over_coordinates(law: Pushforward) -> Pushforward:
    """The same law, over the coordinates of its base where that is of proportions or directions."""
    inner = law.base
    while isinstance(inner, td.Independent | Mixture):
        inner = inner.base_dist if isinstance(inner, td.Independent) else inner.components
    for kind, name in ((td.Dirichlet, "shares"), (VonMisesFisher, "angles")):
        if isinstance(inner, kind):
            chart = CHARTS[name](inner.event_shape[-1])
            return Pushforward(charted(chart, law.base), _Charted(law.bijection, source=chart))
    return law


@dataclass(frozen=True)
class Charted(Cells):
    """Vectors by the cells of their coordinates."""

    chart: Chart
    inner: Cells

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.inner.size

    def index(self, value: Tensor) -> Tensor:
        return self.inner.index(self.chart.coordinates(value))

    def value(self, index: Tensor) -> Tensor:
        return self.chart.value(self.inner.value(index))

    def part(self, axes: int, place: int) -> Cells:
        return replace(self, inner=self.inner.part(axes, place))


def cells_of(draws: Tensor, chart: str = "") -> Cells:
    """Cells for a variable of which these are draws, ``(n, *shape)``, NaN where there is none.

    Args:
        chart: the coordinates of its vectors, of `CHARTS`; "" for elements that have cells of their own.
    """
    if not chart:
        return bins_of(draws)
    of = CHARTS[chart](draws.shape[-1])
    return Charted(of, of.cells(draws))


# --- proportions -----------------------------------------------------------------------------------------


class Shares:
    """D proportions as D - 1 log-odds: the whole is split in two halves of its elements, these again, down to each one.

        s_f = log sum_{k left of f} x_k - log sum_{k right of f} x_k.

    Of a Dirichlet the share of the left half is ``Beta(sum_{left} a, sum_{right} a)``, whatever the others are (Connor
    and Mosimann, 1969). In halves, and not one after another, the smallest proportion is a product of few factors.
    """

    def __init__(self, length: int) -> None:
        self._left, self._right = _halves(length)

    def coordinates(self, value: Tensor) -> Tensor:
        x = value.clamp_min(torch.finfo(torch.float64).tiny)
        return (x @ self._left.mT).log() - (x @ self._right.mT).log()

    def value(self, coordinates: Tensor) -> Tensor:
        log_left, log_right = (torch.nn.functional.logsigmoid(s) for s in (coordinates, -coordinates))
        return (log_left @ self._left + log_right @ self._right).exp()

    def law(self, law: td.Distribution) -> td.Distribution:
        if not isinstance(law, td.Dirichlet):
            raise CodingError(
                f"of proportions under {type(law).__name__} the probability of one given others has no formula",
                "give them a Dirichlet, or a flow that ends in stick_breaking",
            )
        a = law.concentration
        return Independent(LogitBeta(a @ self._left.mT, a @ self._right.mT), 1)

    def cells(self, draws: Tensor) -> Bins:
        found = bins_of(self.coordinates(draws))
        depth = int((self._left + self._right).sum(0).max().clamp_min(1))
        most = _FURTHEST / depth / 2
        # The outermost bins of a normal stand for what is 3.3 deviations away.
        return replace(found, loc=found.loc.clamp(-most, most), scale=found.scale.clamp_max(most / 4))


@cache
def _halves(length: int) -> tuple[Tensor, Tensor]:
    """Which elements lie to the left and to the right of each fork, ``(D - 1, D)`` of zeros and ones."""
    left, right = (torch.zeros(max(length - 1, 0), length, dtype=torch.float64) for _ in range(2))
    parts, fork = [(0, length)], 0
    while parts:
        start, stop = parts.pop()
        if stop - start > 1:
            middle = (start + stop) // 2
            left[fork, start:middle], right[fork, middle:stop] = 1.0, 1.0
            parts += [(start, middle), (middle, stop)]
            fork += 1
    return left, right


class LogitBeta(Unchecked):
    """``s = log v - log(1 - v)`` for v of a Beta: ``p(s) = sigmoid(s)^a sigmoid(-s)^b / B(a, b)``.

    Args:
        a: the concentration of v; `b` that of 1 - v.
    """

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b
        super().__init__(a.shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return LogitBeta(self.a.expand(batch_shape), self.b.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        return torch.digamma(self.a) - torch.digamma(self.b)

    @property
    def variance(self) -> Tensor:
        return torch.polygamma(1, self.a) + torch.polygamma(1, self.b)

    def log_prob(self, value: Tensor) -> Tensor:
        log_v, log_rest = (torch.nn.functional.logsigmoid(s) for s in (value, -value))
        normaliser = torch.lgamma(self.a) + torch.lgamma(self.b) - torch.lgamma(self.a + self.b)
        return self.a * log_v + self.b * log_rest - normaliser

    def cdf(self, value: Tensor) -> Tensor:
        below = _beta_cdf(self.a, self.b, value.sigmoid())
        above = _beta_cdf(self.b, self.a, (-value).sigmoid())  # where v is near 1, it has few digits
        return torch.where(value < 0, below, 1 - above)


def _beta_cdf(a: Tensor, b: Tensor, v: Tensor) -> Tensor:
    return torch.as_tensor(scipy.special.betainc(a.numpy(), b.numpy(), v.numpy()))


# --- directions ------------------------------------------------------------------------------------------


class Angles:
    """D-dimensional directions as D - 1 angles,

        x_1 = cos a_1,  x_2 = sin a_1 cos a_2,  ...,  x_D = sin a_1 ... sin a_(D-1),

    all of them from 0 to pi, and the last from -pi to pi.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    def coordinates(self, value: Tensor) -> Tensor:
        from_here = value.square().flip(-1).cumsum(-1).flip(-1).sqrt()
        inner = torch.atan2(from_here[..., 1:-1], value[..., :-2])
        return torch.cat([inner, torch.atan2(value[..., -1:], value[..., -2:-1])], -1)

    def value(self, coordinates: Tensor) -> Tensor:
        one = torch.ones_like(coordinates[..., :1])
        across = torch.cat([one, coordinates.sin().cumprod(-1)], -1)
        return across * torch.cat([coordinates.cos(), one], -1)

    def law(self, law: td.Distribution) -> td.Distribution:
        if not isinstance(law, VonMisesFisher):
            raise CodingError(
                f"of directions under {type(law).__name__} the density of an angle given others has no formula",
                "give them a VonMisesFisher",
            )
        return AnglesOf(law.loc * law.concentration.unsqueeze(-1))

    def cells(self, draws: Tensor) -> Arcs:
        return Arcs(torch.tensor([*[0.0] * (self.length - 2), -math.pi]))


class AnglesOf(Unchecked):
    """The angles of a direction x whose density is proportional to ``exp(towards . x)``. See `dgmppl.coding.vectors`.

    Args:
        towards: ``(..., D)``.
    """

    def __init__(self, towards: Tensor) -> None:
        self.towards = towards
        super().__init__(towards.shape[:-1], torch.Size([towards.shape[-1] - 1]))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return AnglesOf(self.towards.expand(*batch_shape, -1))


@dataclass(frozen=True)
class Arcs(Cells):
    """Equal parts of each angle, from `low` to pi.

    A direction may be anywhere, far from what a prior finds probable; so no angle has wider cells than others.
    """

    low: Tensor
    size: int = BINS

    def index(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (math.pi - self.low) * self.size).long().clamp(0, self.size - 1)

    def value(self, index: Tensor) -> Tensor:
        return self.low + (math.pi - self.low) * (index + 0.5) / self.size

    def at(self, place: int, axes: int) -> Arcs:
        return replace(self, low=self.low[place % len(self.low)])


# --- flows -----------------------------------------------------------------------------------------------


class _Charted(Bijection):
    """A bijection from or onto vectors that are told by their coordinates. Its log-determinant is not asked for."""

    def __init__(self, bijection: Bijection, source: Chart | None = None, image: Chart | None = None) -> None:
        super().__init__()
        self.bijection, self.source, self.image, self.rank = bijection, source, image, bijection.rank

    @property
    def image_rank(self) -> int:
        return self.bijection.image_rank

    @property
    def batch_shape(self) -> torch.Size:
        return self.bijection.batch_shape

    def image_shape(self, shape: torch.Size) -> torch.Size:
        found = self.bijection.image_shape(_longer(shape, 1 if self.source else 0))
        return _longer(found, -1 if self.image else 0)

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        y = self.bijection(self.source.value(x) if self.source else x, context)
        return self.image.coordinates(y) if self.image else y

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        x = self.bijection.inverse(self.image.value(y) if self.image else y, context)
        return self.source.coordinates(x) if self.source else x


def _longer(shape: torch.Size, by: int) -> torch.Size:
    return torch.Size([*shape[:-1], shape[-1] + by]) if by else shape


CHARTS: dict[str, Callable[[int], Chart]] = {"shares": Shares, "angles": Angles}
"""By the names that supports know them by."""

__all__ = ["CHARTS", "AnglesOf", "Charted", "cells_of", "charted", "over_coordinates"]
