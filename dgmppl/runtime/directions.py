"""Distributions of directions: of vectors of length 1, by their density on the sphere (its surface, not the space).

Numbers are computed in double precision, for the logarithm of a Bessel function and the squared distance of two
directions that are near lose most digits in single precision.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.nn import functional as F

from dgmppl.runtime.distributions import Size, Unchecked
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.special import wide

# How far the squared length of a direction in single precision may be from 1.
_LENGTH_TOLERANCE = 1e-4


# --- Bessel functions ----------------------------------------------------------------------------

_SERIES_UP_TO = 30.0  # of sqrt(v^2 + x^2); beyond it six terms of the uniform expansion have ten digits
_SERIES_TERMS = 64


class _LogBessel(torch.autograd.Function):
    """``g_v(x) = log(I_v(x) / x^v) - x``, I_v the modified Bessel function of the first kind, for x >= 0.

    By its power series (NIST DLMF 10.25.2) or, where ``v^2 + x^2`` is large, by the uniform expansion for large orders
    (10.41.3), written in ``t = sqrt(v^2 + x^2)`` so that it holds for v = 0 too. The derivative is that of
    ``I_{v+1}(x) / x^v = d/dx (I_v(x) / x^v)`` (10.29.4): ``g_v' = x exp(g_{v+1} - g_v) - 1``, and so on.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.order = order
        t = (x.square() + order**2).sqrt()
        return torch.where(t < _SERIES_UP_TO, _by_series(x.clamp_max(_SERIES_UP_TO), order), _by_expansion(x, t, order))

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad[0] * (_bessel_ratio(x, ctx.order) - 1), None


def log_bessel(x: Tensor, order: float) -> Tensor:
    """``log(I_v(x) / x^v) - x`` for the order v >= 0 and x >= 0, in double precision."""
    found: Tensor = _LogBessel.apply(x, order)
    return found


def _bessel_ratio(x: Tensor, order: float) -> Tensor:
    """``I_{v+1}(x) / I_v(x)``, which grows from 0 to 1."""
    return x * (log_bessel(x, order + 1) - log_bessel(x, order)).exp()


def _by_series(x: Tensor, order: float) -> Tensor:
    quarter, total = x.square() / 4, torch.ones_like(x)
    for k in range(_SERIES_TERMS, 0, -1):  # all terms are positive, so that none of their digits cancel
        total = 1 + total * quarter / (k * (k + order))
    return total.log() - math.lgamma(order + 1) - order * math.log(2) - x


def _by_expansion(x: Tensor, t: Tensor, order: float) -> Tensor:
    t = t.clamp_min(_SERIES_UP_TO)
    s = (order / t).square()
    total = torch.zeros_like(t)
    for coefficients in reversed(_DEBYE):
        polynomial = torch.zeros_like(t)
        for c in reversed(coefficients):
            polynomial = polynomial * s + c
        total = (total + polynomial) / t
    leading = order**2 / (t + x) - order * (order + t).log() - 0.5 * (2 * math.pi * t).log()
    return leading + torch.log1p(total)


def _debye(count: int) -> tuple[tuple[float, ...], ...]:
    """The polynomials of the expansion: ``U_k(p) / v^k = t^-k sum_j c_j (v / t)^(2 j)`` with ``p = v / t``.

    ``U_{k+1}(p) = p^2 (1 - p^2) U_k'(p) / 2 + int_0^p (1 - 5 s^2) U_k(s) ds / 8`` (DLMF 10.41.9); U_k has the powers k,
    k + 2, ..., 3 k of p.
    """
    found = []
    u = np.polynomial.Polynomial([1.0])
    p = np.polynomial.Polynomial([0.0, 1.0])
    for k in range(1, count + 1):
        u = 0.5 * p**2 * (1 - p**2) * u.deriv() + ((1 - 5 * p**2) * u).integ() / 8
        found.append(tuple(float(c) for c in u.coef[k::2]))
    return tuple(found)


_DEBYE = _debye(6)


# --- the von Mises-Fisher distribution -----------------------------------------------------------


class VonMisesFisher(Unchecked):
    r"""The von Mises-Fisher distribution: ``p(x) = C_D(k) exp(k loc . x)`` on the sphere of the D-dimensional space.

    ``C_D(k) = k^v / ((2 pi)^(D/2) I_v(k))`` with ``v = D / 2 - 1`` (Mardia and Jupp, 2000, Eq. 9.3.4), a density with
    respect to the area of the sphere. With concentration 0 it is uniform.

    Args:
        loc: ``(..., D)``; its direction counts.
        concentration: ``(...)``, from 0 on.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor | float) -> None:
        concentration = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        batch = broadcast_shapes(loc.shape[:-1], concentration.shape)
        self.loc = F.normalize(loc, dim=-1).expand(*batch, -1)
        self.concentration = concentration.expand(batch)
        super().__init__(batch, loc.shape[-1:])

    @property
    def support(self) -> Any:
        return constraints.real_vector  # torch has no constraint for the sphere

    @property
    def _order(self) -> float:
        return self._event_shape[0] / 2 - 1

    def expand(self, batch_shape: Size, _instance: Any = None) -> Any:
        new = self.__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        new.loc = self.loc.expand(*batch_shape, -1)
        new.concentration = self.concentration.expand(batch_shape)
        return new

    @property
    def mean(self) -> Tensor:
        """``I_{v+1}(k) / I_v(k) loc``, inside of the sphere."""
        (k,) = wide(self.concentration)
        return self.loc * _bessel_ratio(k, self._order).to(self.loc.dtype).unsqueeze(-1)

    @property
    def mode(self) -> Tensor:
        return self.loc

    def _log_normaliser(self, k: Tensor) -> Tensor:
        """``log C_D(k) + k``."""
        return -(self._order + 1) * math.log(2 * math.pi) - log_bessel(k, self._order)

    def log_prob(self, value: Tensor) -> Tensor:
        k, x, loc = wide(self.concentration, value, self.loc)
        wrong = (x.square().sum(-1) - 1).abs() > _LENGTH_TOLERANCE
        # Of two directions, loc . x - 1 is minus half their squared distance, which loses no digits.
        apart = (F.normalize(x, dim=-1) - F.normalize(loc, dim=-1)).square().sum(-1)
        found = self._log_normaliser(k) - 0.5 * k * apart
        return found.masked_fill(wrong, -torch.inf).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        (k,) = wide(self.concentration)
        found = k * (1 - _bessel_ratio(k, self._order)) - self._log_normaliser(k)
        return found.to(self.loc.dtype)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        """``cos(a) loc + sin(a) u``, the angle a by rejection and u uniform among the directions across from loc."""
        shape = self._extended_shape(torch.Size(sample_shape))
        k, loc = wide(self.concentration.expand(shape[:-1]), self.loc.expand(shape))
        loc = F.normalize(loc, dim=-1)
        noise = torch.randn(shape, dtype=loc.dtype, device=loc.device)
        across = F.normalize(noise - (noise * loc).sum(-1, keepdim=True) * loc, dim=-1)
        angle = _angle(k, shape[-1]).unsqueeze(-1)
        return (angle.cos() * loc + angle.sin() * across).to(self.loc.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        return self.rsample(sample_shape)


@register_kl(VonMisesFisher, VonMisesFisher)
def _kl_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    """``E_p[k_p loc_p . x - k_q loc_q . x] + log C(k_p) - log C(k_q)`` with ``E_p[x] = A(k_p) loc_p``."""
    k_p, k_q, loc_p, loc_q = wide(p.concentration, q.concentration, p.loc, q.loc)
    ratio = _bessel_ratio(k_p, p._order)
    apart = (F.normalize(loc_p, dim=-1) - F.normalize(loc_q, dim=-1)).square().sum(-1)
    expected = (k_p - k_q) * (ratio - 1) + 0.5 * k_q * ratio * apart
    return (expected + p._log_normaliser(k_p) - q._log_normaliser(k_q)).to(p.loc.dtype)


# --- angles --------------------------------------------------------------------------------------

_NODES, _WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(64))
_REACH = 15.0  # standard deviations beyond which nothing is left of the density of an angle


class _Angle(torch.autograd.Function):
    """Draws of the angle between x and loc, of density proportional to ``exp(k cos a) sin(a)^(D - 2)``.

    By rejection from a transformed Beta (Ulrich, 1984, as mended by Wood, 1994). The derivative is the implicit one,
    ``da/dk = -(dF/dk) / p`` (Figurnov, Mohamed and Mnih, 2018, Eq. 5) for the distribution function F, which leaves no
    correction for the rejections.
    """

    @staticmethod
    def forward(ctx: Any, k: Tensor, dimension: int) -> Tensor:
        angle = _draw_angle(k, dimension)
        ctx.save_for_backward(k, angle)
        ctx.dimension = dimension
        return angle

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        k, angle = ctx.saved_tensors
        return grad[0] * _angle_slope(k, angle, ctx.dimension), None


def _angle(k: Tensor, dimension: int) -> Tensor:
    found: Tensor = _Angle.apply(k, dimension)
    return found


def _draw_angle(k: Tensor, dimension: int) -> Tensor:
    m = dimension - 1
    b = m / (2 * k + (4 * k.square() + m**2).sqrt())
    x0 = (1 - b) / (1 + b)
    most = k * x0 + m * (4 * b / (1 + b).square()).log()
    angle = torch.full_like(k, torch.nan)
    left = k.isfinite()
    half = torch.full_like(k, m / 2)
    while bool(left.any()):
        first, second = torch._standard_gamma(half), torch._standard_gamma(half)
        z = first / (first + second)
        short = 2 * b * z / (1 - (1 - b) * z)  # 1 - cos(a)
        fits = k * (1 - short) + m * (1 - x0 * (1 - short)).log() - most >= torch.rand_like(k).log()
        angle = torch.where(left & fits, 2 * (short / 2).sqrt().clamp_max(1.0).asin(), angle)
        left = left & ~fits
    return angle


def _angle_slope(k: Tensor, angle: Tensor, dimension: int) -> Tensor:
    """``da/dk = -int_0^a (cos s - A(k)) p(s) ds / p(a)``, the integral over the side where it has one sign."""
    ratio, angle = _bessel_ratio(k, dimension / 2 - 1), angle.clamp_min(1e-12)
    inner = angle.cos() > ratio
    end = torch.where(inner, 0.0, (angle + _REACH / (k + dimension - 2).sqrt()).clamp_max(math.pi))
    nodes, weights = _NODES.to(k.device), _WEIGHTS.to(k.device)
    width = (end - angle).unsqueeze(-1)
    s = angle.unsqueeze(-1) + 0.5 * width * (nodes + 1)
    relative = k.unsqueeze(-1) * (s.cos() - angle.cos().unsqueeze(-1))
    relative = relative + torch.xlogy(dimension - 2, s.sin() / angle.sin().unsqueeze(-1))
    integrand = (s.cos() - ratio.unsqueeze(-1)) * relative.exp()
    return 0.5 * (integrand * weights).sum(-1) * width.squeeze(-1)


__all__ = ["VonMisesFisher"]
