"""Supports of real numbers: all of them, and ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgmppl.supports.base import Form, Function, Noise, Support, number_text

if TYPE_CHECKING:
    from dgmppl.supports.base import Mask, Values

SCALED = "scaled to [-1, 1]"


def to_unit_range(low: float, high: float) -> Function:
    """The embedding that scales a range to [-1, 1]."""
    return Function("") if (low, high) == (-1.0, 1.0) else Function("rescale", (low, high))


class Real(Support):
    """All real numbers."""

    word = "real"
    forms = (Form("real", "any number"),)
    posterior = "Normal"

    def holds(self, other: Support) -> bool:
        return self == other or other.numeric

    def lands(self, found: Support) -> bool:
        return not found.discrete

    def reaches_outside(self, support: Support) -> bool:
        return support.draws_may_leave


@dataclass(frozen=True)
class Channels(Real):
    """Real numbers, `channels` of them an element: what a network reads of some variables. No spec declares it."""

    channels: int = 1

    @property
    def width(self) -> int:
        return self.channels


class Positive(Support):
    """The numbers above 0."""

    word = "positive"
    forms = (Form("positive", "above 0"),)
    condition = "> 0"
    open = True
    posterior = "LogNormal"
    expected = "expected a value above 0"

    def __init__(self) -> None:
        super().__init__(low=0.0)

    def contains(self, values: Values) -> Mask:
        return values.astype("float32") > 0  # what is 0 in single precision has no logarithm

    def feasible(self, length: int = 1) -> float:
        return 1.0

    def holds(self, other: Support) -> bool:
        return self == other or (other.numeric and other.low is not None and other.low > 0)

    def floored(self) -> Support:
        from dgmppl.supports.whole import Natural

        return Natural()

    def summed(self) -> Support:
        return self

    def affine(self, scale: float, shift: float) -> Support:
        if scale > 0:
            return self if shift == 0 else HalfLine(shift, None)
        return HalfLine(None, shift)

    @property
    def link(self) -> Function:
        return Function("positive")

    @property
    def noise(self) -> Noise:
        return Noise("exponential")

    @property
    def clamp(self) -> tuple[float | None, float | None]:
        return 1e-6, None  # 0 itself is not positive


class HalfLine(Support):
    """The numbers on one side of one: where a positive value comes to lie that is scaled and shifted. No spec declares
    it, and no variable has it."""

    open = True

    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__(low=low, high=high)

    def describe(self) -> str:
        return f"above {number_text(self.low)}" if self.low is not None else f"below {number_text(self.high or 0.0)}"

    def floored(self) -> Support:
        from dgmppl.supports.whole import HalfIntegers

        low, high = self.low, self.high
        return HalfIntegers(None if low is None else math.floor(low), None if high is None else math.ceil(high) - 1)

    def affine(self, scale: float, shift: float) -> Support:
        low, high = (None if end is None else scale * end + shift for end in (self.low, self.high))
        low, high = (low, high) if scale > 0 else (high, low)
        return Positive() if low == 0 else HalfLine(low, high)


class Interval(Support):
    """The numbers from `low` to `high`."""

    word = "interval"
    arguments, bare = "ends", False
    forms = (Form("interval(a, b)", "a to b", SCALED),)
    landing = "end the network in that range: out = tanh, and rescale(..., -1, 1)"
    low: float
    high: float

    @property
    def posterior(self) -> str:  # type: ignore[override]
        return "Beta" if (self.low, self.high) == (0.0, 1.0) else ""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low=float(low), high=float(high))

    @classmethod
    def of(cls, *numbers: float) -> Support:
        low, high = numbers
        if not low < high:
            raise ValueError(f"{number_text(low)} is not below {number_text(high)}")
        return cls(low, high)

    def describe(self) -> str:
        return f"{self.word}({number_text(self.low)}, {number_text(self.high)})"

    def contains(self, values: Values) -> Mask:
        return (values >= self.low) & (values <= self.high)

    def feasible(self, length: int = 1) -> float:
        return (self.low + self.high) / 2

    def holds(self, other: Support) -> bool:
        return self == other or (other.numeric and other.within(self.low, self.high))

    def same_values_as(self, support: Support) -> bool:
        return isinstance(support, Interval) and (support.low, support.high) == (self.low, self.high)

    def lands(self, found: Support) -> bool:
        return self.same_values_as(found)

    def floored(self) -> Support:
        from dgmppl.supports.whole import Integers

        return Integers(math.floor(self.low), math.ceil(self.high) - 1)

    def affine(self, scale: float, shift: float) -> Support:
        low, high = sorted((scale * self.low + shift, scale * self.high + shift))
        return Unit() if (low, high) == (0.0, 1.0) else Interval(low, high)

    def transform(self, found: Support | None = None) -> str:
        return f"rescale(..., {number_text(self.low)}, {number_text(self.high)})"

    @property
    def draws_may_leave(self) -> bool:
        return True

    @property
    def link(self) -> Function:
        return Function("bounded", (self.low, self.high))

    @property
    def embedding(self) -> Function:
        return to_unit_range(self.low, self.high)

    @property
    def noise(self) -> Noise:
        return Noise("uniform", self.low, self.high)


class Unit(Interval):
    """The numbers from 0 to 1."""

    word = "unit"
    arguments, bare = "", True
    forms = (Form("unit", "0 to 1", SCALED),)
    landing = "end the network in that range: out = sigmoid"
    expected = "expected a value from 0 to 1"

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)

    @classmethod
    def of(cls, *numbers: float) -> Support:
        return cls()

    def describe(self) -> str:
        return self.word

    @property
    def draws_may_leave(self) -> bool:
        return False

    @property
    def link(self) -> Function:
        return Function("unit")
