"""Supports of whole numbers: all of them, a range, the natural numbers, 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmppl.supports.base import Form, Function, Noise, Support, number_text
from dgmppl.supports.continuous import SCALED, to_unit_range

if TYPE_CHECKING:
    from dgmppl.supports.base import Mask, Values

# Above this, float32 no longer tells neighbouring whole numbers apart.
LARGEST_EXACT = 2**24


class _Whole(Support):
    """What the supports of whole numbers share."""

    discrete, integral, smooth = True, True, False

    def contains(self, values: Values) -> Mask:
        return (values == values.round()) & (abs(values) <= LARGEST_EXACT) & self._in_range(values)

    def _in_range(self, values: Values) -> Mask:
        above = values == values if self.low is None else values >= self.low
        return above if self.high is None else above & (values <= self.high)

    def faults(self, values: Values) -> tuple[tuple[Mask, str], ...]:
        inexact = self._in_range(values) & (abs(values) > LARGEST_EXACT)
        exact = f"expected whole numbers up to {LARGEST_EXACT}, exact in single precision"
        return ((inexact, exact), *super().faults(values))

    def holds(self, other: Support) -> bool:
        return self == other or (other.integral and other.within(self.low, self.high))

    def lands(self, found: Support) -> bool:
        """A rounded value lies here when it takes each of these values: the mass of others is only lost."""
        if not found.integral:
            return False
        return self.within(found.low, found.high)

    def floored(self) -> Support:
        return self

    def summed(self) -> Support:
        return Integers() if self.low is None or self.low < 0 else Natural()


class Integers(_Whole):
    """The whole numbers, or those from `low` to `high`."""

    word = "integer"
    arguments = "range"
    shiftable = True
    forms = (
        Form("integer(a..b)", "whole numbers a to b, ordered", SCALED, finite=True),
        Form("integer", "whole numbers: ..., -1, 0, 1, ..."),
    )
    landing = "round it: floor(...)"

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        if low is None or high is None:
            super().__init__()
        else:
            super().__init__(float(low), float(high), int(high - low) + 1)

    @classmethod
    def of(cls, *numbers: float) -> Support:
        if numbers and not numbers[0] < numbers[1]:
            raise ValueError(f"{number_text(numbers[0])} is not below {number_text(numbers[1])}")
        return cls(*numbers)

    def describe(self) -> str:
        if self.low is None or self.high is None:
            return self.word
        return f"{self.word}({number_text(self.low)}..{number_text(self.high)})"

    @property
    def expected(self) -> str:
        return super().expected if self.finite else "expected a whole number"

    @property
    def posterior(self) -> str:  # type: ignore[override]
        return "Categorical" if self.finite else ""

    @property
    def link(self) -> Function:
        return Function("") if self.low is None or self.high is None else Function("bounded", (self.low, self.high))

    @property
    def embedding(self) -> Function:
        return Function("") if self.low is None or self.high is None else to_unit_range(self.low, self.high)

    @property
    def noise(self) -> Noise | None:
        return Noise("integers", self.low, self.high) if self.finite else None


class Natural(_Whole):
    """The natural numbers with 0, as of counts."""

    word = "natural"
    forms = (Form("natural", "counts: 0, 1, 2, ..."),)
    landing = "round what is positive: floor(exp(...))"
    expected = "expected a whole number from 0"

    def __init__(self) -> None:
        super().__init__(low=0.0)

    @property
    def link(self) -> Function:
        return Function("positive")

    @property
    def noise(self) -> None:
        return None


class HalfIntegers(_Whole):
    """The whole numbers on one side of one, that one included. No spec declares it, and no variable has it."""

    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__(low=low, high=high)

    def describe(self) -> str:
        side, end = ("from", self.low) if self.low is not None else ("up to", self.high)
        return f"whole numbers {side} {number_text(end or 0.0)}"


class Binary(_Whole):
    """0 and 1."""

    word = "binary"
    forms = (Form("binary", "0 or 1", SCALED, finite=True),)
    takes_text = True
    conditional = "Bernoulli"
    posterior = "Bernoulli"
    expected = "expected 0 or 1"

    def __init__(self) -> None:
        super().__init__(0.0, 1.0, 2)

    def transform(self, found: Support | None = None) -> str:
        known = found is not None and found.low is not None and found.high is not None
        return f"threshold(..., {number_text((found.low + found.high) / 2) if known else 't'})"  # type: ignore[union-attr,operator]

    @property
    def link(self) -> Function:
        return Function("bounded", (0.0, 1.0))

    @property
    def embedding(self) -> Function:
        return to_unit_range(0.0, 1.0)

    @property
    def noise(self) -> Noise:
        return Noise("integers", 0.0, 1.0)
