"""Schedules of a usual form, `linear(1e-4, 0.02)`: the numbers that they give along an index, in double precision.

The runtime has a function of the same arguments for each, and of how many numbers there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dgmppl.catalogue.signature import Argument, Signature


@dataclass(frozen=True)
class ScheduleKind:
    """A schedule of a usual form.

    Attributes:
        signature: what its parentheses hold, all numbers.
        defaults: those that need not be given.
        numbers: the numbers of so many members, with these arguments in order.
        runtime: the function of the runtime.
    """

    signature: Signature
    defaults: dict[str, float]
    numbers: Callable[..., list[float]]
    runtime: str


def _linear(count: int, start: float, end: float) -> list[float]:
    """Equal steps from `start` to `end`."""
    return [start + (end - start) * _share(k, count) for k in range(count)]


def _geometric(count: int, start: float, end: float) -> list[float]:
    """Equal ratios from `start` to `end`."""
    return [start * (end / start) ** _share(k, count) for k in range(count)]


def _cosine(count: int, offset: float, largest: float) -> list[float]:
    """Variances of steps of which the share of the signal that is left falls as a squared cosine (Nichol and Dhariwal,
    2021, Eq. 17), none above `largest`."""

    def left(t: int) -> float:
        return math.cos((t / count + offset) / (1 + offset) * math.pi / 2) ** 2

    return [min(1 - left(t) / left(t - 1), largest) for t in range(1, count + 1)]


def _share(k: int, count: int) -> float:
    return k / (count - 1) if count > 1 else 0.0


_ENDS = (Argument("start", required=True), Argument("end", required=True))

SCHEDULES: dict[str, ScheduleKind] = {
    kind.signature.name: kind
    for kind in (
        ScheduleKind(Signature("linear", _ENDS, usage="linear(1e-4, 0.02)"), {}, _linear, "linear_schedule"),
        ScheduleKind(Signature("geometric", _ENDS, usage="geometric(0.01, 1)"), {}, _geometric, "geometric_schedule"),
        ScheduleKind(
            Signature("cosine", (Argument("offset"), Argument("largest")), usage="cosine(0.008)"),
            {"offset": 0.008, "largest": 0.999},
            _cosine,
            "cosine_schedule",
        ),
    )
}

CUMPROD = Signature(
    "cumprod", (Argument("value", "value", required=True, by="position"),), usage="cumprod(1 - beta[t])"
)
