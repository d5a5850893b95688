"""Values over which densities are summed or integrated: all of some whole numbers, grids of a line and of the plane."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from tests.contracts.support import COMPOSITIONS, checked


def composition(stem: str):
    return checked(next(p for p in COMPOSITIONS if p.stem == stem))


def every(values: range, count: int) -> Tensor:
    """All rows of `count` such values."""
    return torch.tensor(list(itertools.product(values, repeat=count))).float()


def plane(low: float, high: float, sides: int) -> tuple[Tensor, float]:
    """Midpoints of a grid over a square, (sides^2, 2), and the area of a cell."""
    step = (high - low) / sides
    axis = low + step * (torch.arange(sides) + 0.5)
    return torch.cartesian_prod(axis, axis), step * step


def line(low: float, high: float, count: int) -> tuple[Tensor, float]:
    step = (high - low) / count
    return low + step * (torch.arange(count) + 0.5), step
