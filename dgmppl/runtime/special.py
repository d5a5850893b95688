"""Numerics that densities share: differences of log-gamma functions, what lies outside a support, and gradients of
numbers that are one of two."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# From here on three terms of Stirling's series give the log-gamma function to the last digit of float64.
_LARGE = 100.0


def wide(*values: Tensor | float) -> tuple[Tensor, ...]:
    """Numbers in double precision.

    ``lgamma(1e7)`` is 1.5e8, where the spacing of single precision is 16: its differences need double precision. It
    costs little next to a log-gamma function.
    """
    return tuple(torch.as_tensor(v).double() for v in values)


def lgamma_rise(a: Tensor, b: Tensor) -> Tensor:
    """``log Gamma(a + b) - log Gamma(a)`` for a > 0 and b >= 0, without cancellation where a is large.

    By Stirling's series, as in `algdiv` of Didonato and Morris (1992, ACM TOMS 708).
    """
    large = a > _LARGE
    c = torch.where(large, a, _LARGE)
    d = torch.where(large, b, 1.0)
    series = (c - 0.5) * torch.log1p(d / c) + d * ((c + d).log() - 1) + _stirling(c + d) - _stirling(c)
    e, f = torch.where(large, 1.0, a), torch.where(large, 1.0, b)
    return torch.where(large, series, torch.lgamma(e + f) - torch.lgamma(e))


def _stirling(x: Tensor) -> Tensor:
    """``log Gamma(x) - ((x - 1/2) log x - x + 1/2 log 2 pi)`` for large x."""
    square = x.square()
    return (1 / 12 - (1 / 360 - 1 / (1260 * square)) / square) / x


def outside(value: Tensor, low: float | None = None, high: float | None = None, whole: bool = False) -> Tensor:
    """Where a value is none of the numbers from low to high (the infinities are none); NaN counts as inside.

    Args:
        whole: whether only whole numbers are meant.
    """
    wrong = value.isinf()
    if low is not None:
        wrong = wrong | (value < low)
    if high is not None:
        wrong = wrong | (value > high)
    # A NaN is smaller than nothing, and so passes.
    return wrong | (value.floor() < value) if whole else wrong


def by_difference(log_prob: Callable[[Tensor], Tensor], value: Tensor, low: float | None, high: float | None) -> Tensor:
    """The log-probability of a value that is one of two numbers, low and low + 1, with the difference between both as
    its gradient; of other ranges, what it is.

    A bijection of integers passes a gradient on. That of a formula at the ends of a range points inwards at both, so of
    two numbers it would always tell to take the other.
    """
    if low is None or high != low + 1 or not value.requires_grad:
        return log_prob(value)
    here = value.detach()
    slope = (log_prob(torch.full_like(here, high)) - log_prob(torch.full_like(here, low))).detach()
    return log_prob(here) + slope * (value - here)
