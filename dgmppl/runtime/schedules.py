"""Schedules: numbers along an index, computed in double precision where a model is built."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def linear_schedule(count: int, start: float, end: float) -> Tensor:
    """``count`` numbers in equal steps from ``start`` to ``end``."""
    return torch.linspace(start, end, count, dtype=torch.float64)


def geometric_schedule(count: int, start: float, end: float) -> Tensor:
    """``count`` numbers in equal ratios from ``start`` to ``end``, both of one sign."""
    return start * (end / start) ** linear_schedule(count, 0, 1)


def cosine_schedule(count: int, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """Variances of steps of which the share of the signal that is left falls as a squared cosine (Nichol and Dhariwal,
    2021, Eq. 17), none above ``largest``."""
    t = torch.arange(count + 1, dtype=torch.float64)
    left = torch.cos((t / count + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - left[1:] / left[:-1]).clamp(max=largest)


def cumprod(values: Tensor, missing: int = 0) -> Tensor:
    """The product of the numbers up to each one, with 1 for so many before the first."""
    return F.pad(values.cumprod(0), (missing, 0), value=1.0)


def doubles(values: Tensor | float, count: int) -> Tensor:
    """So many numbers in double precision; one number stands for all."""
    return torch.as_tensor(values, dtype=torch.float64).expand(count)


__all__ = ["cosine_schedule", "cumprod", "doubles", "geometric_schedule", "linear_schedule"]
