"""Distributions of positive numbers and of shares, and what is built from their draws.

torch's own draws of a gamma variable underflow for small concentrations, and its densities take differences of
log-gamma functions in single precision. Here draws are made as logarithms, which they remember (``preimages``), and
densities are computed in double precision (``special``).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import register_kl
from torch.nn import functional as F

from dgmppl.runtime import preimages
from dgmppl.runtime.distributions import Normal, Size, Unchecked, kl_divergence
from dgmppl.runtime.preimages import recall
from dgmppl.runtime.special import lgamma_rise, outside, wide

# How far a sum of shares in single precision may be from 1.
_SUM_TOLERANCE = 1e-4


def log_gamma_draw(concentration: Tensor) -> Tensor:
    """``log(g / concentration)`` for a draw g of Gamma(concentration, 1), differentiable in the concentration.

    ``g = g' u^(1 / concentration)`` with g' from Gamma(concentration + 1, 1) and u uniform (Marsaglia and Tsang,
    2000, Sec. 6): the logarithm is exact however small the concentration is.
    """
    larger = torch._standard_gamma(concentration + 1)
    return (larger / concentration).log() - torch.empty_like(larger).exponential_() / concentration


def _with_log(value: Tensor) -> tuple[Tensor, Tensor]:
    """A value and its logarithm, in double precision; those of a draw agree."""
    log = recall(value, "exp")
    if log is not None:
        (log,) = wide(log)
        return log.exp(), log
    (x,) = wide(value)
    return x, x.log()


def _times_log(factor: Tensor, log: Tensor) -> Tensor:
    """``factor * log``, 0 where the factor is, even if the logarithm is infinite."""
    return factor * log.masked_fill((factor == 0) & log.isinf(), 0.0)


class Gamma(Unchecked, td.Gamma):
    """``p(x) = rate^a x^(a - 1) exp(-rate x) / Gamma(a)`` for x > 0, with a the concentration."""

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        ratio = log_gamma_draw(self.concentration.expand(shape))
        return preimages.exp(ratio + (self.concentration.log() - self.rate.log()))

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = outside(value, 0.0)
        x, log_x = _with_log(value)
        a, rate = wide(self.concentration, self.rate)
        x, log_x = x.masked_fill(wrong, 1.0), log_x.masked_fill(wrong, 0.0)
        found = _times_log(a - 1, log_x) + a * rate.log() - rate * x - torch.lgamma(a)
        return found.masked_fill(wrong, -torch.inf).to(self.rate.dtype)


class Exponential(Unchecked, td.Exponential):
    """``p(x) = rate exp(-rate x)`` for x >= 0."""

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        return preimages.into(super().rsample(torch.Size(sample_shape)), 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        return (self.rate.log() - self.rate * value).masked_fill(outside(value, 0.0), -torch.inf)


class _Size(Unchecked, td.TransformedDistribution):
    """The size of a variable around 0."""

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        return preimages.into(self.base_dist.rsample(torch.Size(sample_shape)).abs(), 0.0)

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        return self.rsample(sample_shape)


class HalfNormal(_Size, td.HalfNormal):
    """``p(x) = 2 N(x; 0, scale)`` for x >= 0: the size of a normal variable."""

    def __init__(self, scale: Tensor | float) -> None:
        super().__init__(scale, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return (self.base_dist.log_prob(value) + math.log(2)).masked_fill(outside(value, 0.0), -torch.inf)


class HalfCauchy(_Size, td.HalfCauchy):
    """``p(x) = 2 / (pi scale (1 + (x / scale)^2))`` for x >= 0: the size of a Cauchy variable (Gelman, 2006, for
    standard deviations of groups)."""

    def __init__(self, scale: Tensor | float) -> None:
        super().__init__(scale, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = outside(value, 0.0)
        x, scale = wide(value.masked_fill(wrong, 1.0), self.scale)
        found = math.log(2 / math.pi) - scale.log() - torch.log1p((x / scale).square())
        return found.masked_fill(wrong, -torch.inf).to(self.scale.dtype)


class LogNormal(Unchecked, td.LogNormal):
    """``exp`` of a normal variable of mean loc and standard deviation scale."""

    def __init__(self, loc: Tensor | float, scale: Tensor | float) -> None:
        super().__init__(loc, scale, validate_args=False)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        return preimages.exp(self.base_dist.rsample(torch.Size(sample_shape)))

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = (value <= 0) | value.isposinf()
        log = recall(value, "exp")
        log = value.masked_fill(wrong, 1.0).log() if log is None else log.masked_fill(wrong, 0.0)
        return (self.base_dist.log_prob(log) - log).masked_fill(wrong, -torch.inf)


class Beta(Unchecked, td.Beta):
    """``p(x) = x^(a - 1) (1 - x)^(b - 1) / B(a, b)`` for 0 < x < 1, with a and b the concentrations 1 and 0."""

    def __init__(self, concentration1: Tensor | float, concentration0: Tensor | float) -> None:
        super().__init__(concentration1, concentration0, validate_args=False)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        a, b = self.concentration1, self.concentration0
        logit = log_gamma_draw(a.expand(shape)) - log_gamma_draw(b.expand(shape))
        return preimages.sigmoid(logit + (a.log() - b.log()))

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = outside(value, 0.0, 1.0)
        a, b = wide(self.concentration1, self.concentration0)
        logit = recall(value, "sigmoid")
        if logit is not None:
            (logit,) = wide(logit)
            log_x, log_rest = F.logsigmoid(logit), F.logsigmoid(-logit)
        else:
            (x,) = wide(value.masked_fill(wrong, 0.5))
            log_x, log_rest = x.log(), torch.log1p(-x)
        small, large = torch.minimum(a, b), torch.maximum(a, b)
        normaliser = torch.lgamma(small) - lgamma_rise(large, small)
        found = _times_log(a - 1, log_x) + _times_log(b - 1, log_rest) - normaliser
        return found.masked_fill(wrong, -torch.inf).to(self.concentration1.dtype)


class ContinuousBernoulli(Unchecked, td.ContinuousBernoulli):
    """``p(x) = C exp(l x) / (1 + exp(l))`` for 0 <= x <= 1, with l the logits (Loaiza-Ganem and Cunningham, 2019).

    torch's own works with probabilities, which are 1 beyond logits of 17 in single precision. Here everything is a
    function of the logits, draws and moments too, with ``C = l / tanh(l / 2)``, 2 at l = 0.
    """

    def __init__(self, probs: Tensor | float | None = None, logits: Tensor | float | None = None) -> None:
        super().__init__(probs, logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        found = self.logits * value + _log_normaliser(self.logits)
        return found.masked_fill(outside(value, 0.0, 1.0), -torch.inf)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        """By the inverse of the distribution function, from the end that the mass is at."""
        logits = self.logits.expand(self._extended_shape(torch.Size(sample_shape)))
        steep = -_away_from_zero(logits).abs()
        near = torch.log1p(torch.rand_like(logits) * torch.expm1(steep)) / steep
        return torch.where(logits > 0, 1 - near, near).clamp(0.0, 1.0)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    @property
    def mean(self) -> Tensor:
        safe = _away_from_zero(self.logits)
        mean = -1 / torch.expm1(-safe) - 1 / safe
        return torch.where(self.logits.abs() < _FLAT, 0.5 + self.logits / 12, mean)

    @property
    def variance(self) -> Tensor:
        (logits,) = wide(self.logits)  # a difference of large numbers where logits are small
        safe = _away_from_zero(logits)
        variance = 1 / safe.square() - 1 / (2 * torch.sinh(safe / 2)).square()
        return torch.where(logits.abs() < _FLAT, 1 / 12 - logits.square() / 240, variance).to(self.logits.dtype)


_FLAT = 1e-2
"""Logits this near 0 have a nearly uniform density, whose formulas would divide 0 by 0."""


def _away_from_zero(logits: Tensor) -> Tensor:
    return torch.where(logits.abs() < _FLAT, _FLAT, logits)


def _log_normaliser(logits: Tensor) -> Tensor:
    """``log C - log(1 + exp(l))``; near 0 by its series, ``log 2 + l^2 / 12``."""
    safe = _away_from_zero(logits)
    log_c = torch.where(logits.abs() < _FLAT, math.log(2) + logits.square() / 12, (safe / torch.tanh(safe / 2)).log())
    return log_c - F.softplus(logits)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    return p.mean * (p.logits - q.logits) + _log_normaliser(p.logits) - _log_normaliser(q.logits)


class Dirichlet(Unchecked, td.Dirichlet):
    """``p(x) = Gamma(sum a) prod_k x_k^(a_k - 1) / Gamma(a_k)`` for positive x that sum to 1."""

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        a = self.concentration
        ratio = log_gamma_draw(a.expand(self._extended_shape(torch.Size(sample_shape))))
        log_x = torch.log_softmax(ratio + (a.log() - a.sum(-1, keepdim=True).log()), -1)
        return preimages.remember(preimages.into(log_x.exp(), 0.0), "softmax", log_x)

    def log_prob(self, value: Tensor) -> Tensor:
        (a,) = wide(self.concentration)
        log_x = recall(value, "softmax")
        if log_x is not None:
            (log_x,) = wide(log_x)
            wrong = torch.zeros((), dtype=torch.bool, device=value.device)
        else:
            (x,) = wide(value)
            wrong = outside(value, 0.0).any(-1) | ((x.sum(-1) - 1).abs() > _SUM_TOLERANCE)
            log_x = x.masked_fill(wrong.unsqueeze(-1), 1.0).log()
        found = _times_log(a - 1, log_x).sum(-1) + torch.lgamma(a.sum(-1)) - torch.lgamma(a).sum(-1)
        return found.masked_fill(wrong, -torch.inf).to(self.concentration.dtype)


class StudentT(Unchecked, td.StudentT):
    """Student's t with df degrees of freedom, moved by loc and stretched by scale."""

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        normal = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        # The chi-square over df is a gamma variable of concentration df / 2 over that concentration.
        stretch = preimages.exp(-0.5 * log_gamma_draw((self.df / 2).expand(shape)))
        return preimages.into(self.loc + self.scale * normal * stretch)

    def log_prob(self, value: Tensor) -> Tensor:
        x, df, loc, scale = wide(value, self.df, self.loc, self.scale)
        half = torch.full_like(df, 0.5)
        normaliser = scale.log() + 0.5 * (df * math.pi).log() - lgamma_rise(df / 2, half)
        z = (x - loc) / scale
        return (-0.5 * (df + 1) * torch.log1p(z.square() / df) - normaliser).to(self.loc.dtype)


@register_kl(LogNormal, LogNormal)
def _kl_lognormal(p: LogNormal, q: LogNormal) -> Tensor:
    return kl_divergence(Normal(p.loc, p.scale), Normal(q.loc, q.scale))


@register_kl(HalfNormal, HalfNormal)
def _kl_halfnormal(p: HalfNormal, q: HalfNormal) -> Tensor:
    zero = torch.zeros_like(p.scale)
    return kl_divergence(Normal(zero, p.scale), Normal(zero, q.scale))


@register_kl(HalfCauchy, HalfCauchy)
def _kl_halfcauchy(p: HalfCauchy, q: HalfCauchy) -> Tensor:
    """``log((a + b)^2 / (4 a b))``, that of the Cauchy variables (Chyzak and Nielsen, 2019, Theorem 1)."""
    a, b = wide(p.scale, q.scale)
    return (2 * torch.log((a + b) / 2) - a.log() - b.log()).to(p.scale.dtype)


@register_kl(Gamma, Gamma)
def _kl_gamma(p: Gamma, q: Gamma) -> Tensor:
    return in_double(p, q, td.Gamma, "concentration", "rate")


@register_kl(Beta, Beta)
def _kl_beta(p: Beta, q: Beta) -> Tensor:
    return in_double(p, q, td.Beta, "concentration1", "concentration0")


@register_kl(Beta, ContinuousBernoulli)
def _kl_beta_continuous_bernoulli(p: Beta, q: ContinuousBernoulli) -> Tensor:
    """``-H(p) - l E_p[x] - log C + log(1 + exp(l))``."""
    a, b, logits = wide(p.concentration1, p.concentration0, q.logits)
    entropy = td.Beta(a, b, validate_args=False).entropy()
    return (-entropy - logits * a / (a + b) - _log_normaliser(logits)).to(q.logits.dtype)


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    return in_double(p, q, td.Dirichlet, "concentration")


def in_double(p: td.Distribution, q: td.Distribution, kind: Callable[..., td.Distribution], *names: str) -> Tensor:
    """torch's KL divergence of two distributions of a kind, from their parameters in double precision."""
    parameters = [[getattr(d, name) for name in names] for d in (p, q)]
    first, second = (kind(*wide(*values), validate_args=False) for values in parameters)
    return kl_divergence(first, second).to(parameters[0][0].dtype)


__all__ = [
    "Beta",
    "ContinuousBernoulli",
    "Dirichlet",
    "Exponential",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "LogNormal",
    "StudentT",
]
