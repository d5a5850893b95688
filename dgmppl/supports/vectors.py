"""Supports of whole vectors, along the last axis. Tolerances are those of sums in float32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dgmppl.supports.base import Form, Function, Support, number_text

if TYPE_CHECKING:
    from dgmppl.supports.base import Mask, Values

TOLERANCE = 1e-4


class Simplex(Support):
    """Vectors of numbers from 0 that sum to 1."""

    word = "simplex"
    forms = (Form("simplex", "vectors of numbers from 0 that sum to 1"),)
    event_rank, smooth = 1, False
    moves, chart = "exchanged", "shares"
    posterior = "Dirichlet"
    expected = "expected numbers from 0 that sum to 1"

    def contains(self, values: Values) -> Mask:
        inside: Mask = (values >= 0).all(-1) & (abs(values.sum(-1) - 1) < TOLERANCE)
        return inside

    def faults(self, values: Values) -> tuple[tuple[Mask, str], ...]:
        outside = ~self.contains(values)
        off: Mask = outside & (values >= 0).all(-1)
        expected = self.expected
        if off.any():
            expected += f", and these sum to {number_text(round(float(values[off].sum(-1)[0]), 6))}"
        return (off, expected), (outside, self.expected)

    def transform(self, found: Support | None = None) -> str:
        return "closure(...)" if found is None or (found.numeric and found.within(0.0, None)) else ""

    @property
    def ends(self) -> tuple[float, float]:
        return 0.0, 1.0

    def free(self, length: int) -> int:
        return length - 1

    def feasible(self, length: int = 1) -> float:
        return 1 / length

    @property
    def link(self) -> Function:
        return Function("simplex")

    @property
    def noise(self) -> None:
        return None


class Sphere(Support):
    """Vectors of length 1."""

    word = "sphere"
    forms = (Form("sphere", "vectors of length 1"),)
    event_rank, smooth, convex = 1, False, False
    moves, chart = "turned", "angles"
    posterior = "VonMisesFisher"
    shortest = 2  # of one number there are two directions, which have no density
    condition = "of length 1"
    expected = "expected a vector of length 1"

    def contains(self, values: Values) -> Mask:
        inside: Mask = abs((values**2).sum(-1) - 1) < TOLERANCE
        return inside

    @property
    def ends(self) -> tuple[float, float]:
        return -1.0, 1.0

    def free(self, length: int) -> int:
        return length - 1

    def feasible(self, length: int = 1) -> float:
        return 1 / math.sqrt(length)

    @property
    def link(self) -> Function:
        return Function("direction")

    @property
    def noise(self) -> None:
        return None


class Increasing(Support):
    """Vectors whose numbers increase: a constraint of parameters, which no variable has."""

    word, forms = "increasing", ()
    condition = "increasing"
    event_rank, smooth = 1, False

    def contains(self, values: Values) -> Mask:
        steps = values[..., 1:] - values[..., :-1]
        inside: Mask = steps.min(-1) > 0
        return inside

    @property
    def link(self) -> Function:
        return Function("increasing")
