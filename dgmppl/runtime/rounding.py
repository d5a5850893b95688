"""Rounded distributions: the mass of each whole number's bin."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.nn import functional as F

from dgmppl.runtime.bijections import Bijection
from dgmppl.runtime.densities import Logistic, _Density
from dgmppl.runtime.distributions import Size
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.special import by_difference, outside

# Below this width of a bin, in scales, its mass is the density in its middle times the width: exact to 1e-5.
_NARROW = 1e-2


def _laplace(z: Tensor) -> Tensor:
    tail = torch.log1p(-0.5 * torch.exp(-z.clamp_min(0.0)))
    return torch.where(z < 0, z - math.log(2), tail)


# log F(z) of the standard distribution, accurate in the lower tail; each is symmetric about 0.
_LOG_CDF: dict[type[td.Distribution], Callable[[Tensor], Tensor]] = {
    td.Normal: torch.special.log_ndtr,
    td.Laplace: _laplace,
    td.Cauchy: lambda z: torch.log(torch.atan2(torch.ones_like(z), -z) / math.pi),
    Logistic: F.logsigmoid,
}
_LOG_PDF: dict[type[td.Distribution], Callable[[Tensor], Tensor]] = {
    td.Normal: lambda z: -0.5 * z.square() - 0.5 * math.log(2 * math.pi),
    td.Cauchy: lambda z: -torch.log1p(z.square()) - math.log(math.pi),
}


def _logistic_mass(lower: Tensor, upper: Tensor) -> Tensor:
    """``sigmoid(b) sigmoid(-a) (1 - exp(a - b))``."""
    return F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))


def _laplace_mass(lower: Tensor, upper: Tensor) -> Tensor:
    """``(exp(b) - exp(a)) / 2`` below 0, and ``1 - (exp(a) + exp(-b)) / 2`` around it."""
    below = upper.clamp_max(0.0) + torch.log(-torch.expm1(lower - upper))
    around = torch.log(-torch.expm1(lower.clamp_max(0.0)) - torch.expm1(-upper.clamp_min(0.0)))
    return torch.where(upper <= 0, below, around) - math.log(2)


# log (F(b) - F(a)) of those that have it in closed form, for a + b <= 0.
_LOG_MASS: dict[type[td.Distribution], Callable[[Tensor, Tensor], Tensor]] = {
    td.Laplace: _laplace_mass,
    Logistic: _logistic_mass,
}


class Rounded(_Density):
    """A real variable rounded to the nearest whole number: ``P(k) = F(k + 1/2) - F(k - 1/2)``.

    On a range low..high what rounds to less or more counts as its end (Salimans et al., 2017, Eq. 2), so that
    ``P(low) = F(low + 1/2)`` and ``P(high) = 1 - F(high - 1/2)``; others have probability 0.

    Args:
        base: a Normal, Laplace, Cauchy or Logistic, without event dimensions.
        low, high: the ends of the range; None leaves that side open.
        bijection: a monotone map of each element that the base is pushed forward by before it is rounded.

    Raises:
        TypeError: for another base.
    """

    support = constraints.real  # torch has no constraint for all the integers

    def __init__(
        self,
        base: td.Distribution,
        low: float | None = None,
        high: float | None = None,
        bijection: Bijection | None = None,
    ) -> None:
        kinds = [kind for kind in _LOG_CDF if isinstance(base, kind)]
        if not kinds or base.event_shape:
            raise TypeError(f"{type(base).__name__} cannot be rounded: it has no distribution function of one element")
        self.kind, self.low, self.high, self.bijection = kinds[0], low, high, bijection
        self.base = base
        batch = base.batch_shape
        if bijection is not None:
            inner = batch[len(batch) - bijection.rank :]
            batch = broadcast_shapes(batch, (*bijection.batch_shape, *inner))
        super().__init__(batch)

    def _expand_parameters(self) -> None:
        self.base = self.base.expand(self._batch_shape)

    @property
    def mean(self) -> Tensor:
        """The mean on a range; without one, what the middle of the base is mapped to."""
        loc: Tensor = self.base.loc  # type: ignore[attr-defined]
        if self.low is None or self.high is None:
            return loc if self.bijection is None else self.bijection(loc)
        total = torch.full_like(loc, self.low)
        for k in range(int(self.low), int(self.high)):
            total = total + self._log_cdf(-self._standard(torch.full_like(loc, k + 0.5))).exp()
        return total

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        base = self.base if self.base.batch_shape == self._batch_shape else self.base.expand(self._batch_shape)
        drawn = base.sample(torch.Size(sample_shape))
        if self.bijection is not None:
            drawn = self.bijection(drawn)
        return torch.round(drawn).clamp(self.low, self.high) if self._bounded else torch.round(drawn)

    def log_prob(self, value: Tensor) -> Tensor:
        return by_difference(self._log_prob, value, self.low, self.high)

    def _log_prob(self, value: Tensor) -> Tensor:
        upper, lower = self._standard(value + 0.5), self._standard(value - 0.5)
        found = self._log_mass(lower, upper)
        if self.low is not None:
            found = torch.where(value <= self.low, self._log_cdf(upper), found)
        if self.high is not None:
            found = torch.where(value >= self.high, self._log_cdf(-lower), found)
        return found.masked_fill(outside(value, self.low, self.high, whole=True), -torch.inf)

    @property
    def _bounded(self) -> bool:
        return self.low is not None or self.high is not None

    def _log_cdf(self, z: Tensor) -> Tensor:
        return _LOG_CDF[self.kind](z)

    def _standard(self, edge: Tensor) -> Tensor:
        """An edge of a bin in scales from the middle, upwards, even where the bijection decreases."""
        loc, scale = self.base.loc, self.base.scale  # type: ignore[attr-defined]
        if self.bijection is None:
            z: Tensor = (edge - loc) / scale
            return z
        up = torch.sign(self.bijection.inverse(edge + 1) - self.bijection.inverse(edge)).detach()
        return up * (self.bijection.inverse(edge) - loc) / scale

    def _log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        """``log (F(upper) - F(lower))`` from whichever tail is nearer, where no digits are lost."""
        lower, upper = torch.where(lower + upper > 0, -upper, lower), torch.where(lower + upper > 0, -lower, upper)
        width = upper - lower
        if self.kind in _LOG_MASS:
            return _LOG_MASS[self.kind](lower, upper)
        narrow = width < _NARROW
        apart = self._log_cdf(torch.where(narrow, upper - 1.0, lower)) - self._log_cdf(upper)
        wide = self._log_cdf(upper) + torch.log(-torch.expm1(apart))
        return torch.where(narrow, _LOG_PDF[self.kind]((lower + upper) / 2) + width.log(), wide)


__all__ = ["Rounded"]
