"""Supports and types: which values a variable takes, in which shape."""

from __future__ import annotations

import math
from dataclasses import dataclass


def number_text(value: float) -> str:
    """A number as a person would write it: 16 and not 16.0."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


@dataclass(frozen=True)
class Support:
    """A set of values. `low` and `high` bound it where it is bounded; `size` counts it where it is finite."""

    name: str
    low: float | None = None
    high: float | None = None
    size: int | None = None

    @property
    def discrete(self) -> bool:
        return self.name in ("binary", "integer", "categorical")

    @property
    def finite(self) -> bool:
        return self.size is not None

    @property
    def width(self) -> int:
        """Features an element has when a network reads it: one-hot for categories, else one number."""
        return self.size if self.name == "categorical" and self.size else 1

    def describe(self) -> str:
        if self.name == "integer" and self.low is not None and self.high is not None:
            return f"integer({number_text(self.low)}..{number_text(self.high)})"
        if self.name == "interval" and self.low is not None and self.high is not None:
            return f"interval({number_text(self.low)}, {number_text(self.high)})"
        return f"categorical({self.size})" if self.name == "categorical" else self.name


REAL = Support("real")
POSITIVE = Support("positive", low=0.0)
UNIT = Support("unit", low=0.0, high=1.0)
BINARY = Support("binary", low=0.0, high=1.0, size=2)
INTEGER = Support("integer")
SIMPLEX = Support("simplex")
SPHERE = Support("sphere")

# The supports that take no arguments; interval(a, b), integer(a..b) and categorical(K) are read in `types`.
PLAIN = {s.name: s for s in (REAL, POSITIVE, UNIT, BINARY, INTEGER, SIMPLEX, SPHERE)}
NAMES = (*PLAIN, "interval", "categorical")


@dataclass(frozen=True)
class Type:
    """A support and a shape: `integer(0..16)[64]`."""

    support: Support
    shape: tuple[int, ...] = ()

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def features(self) -> int:
        """Size of the vector that a network gets for a variable of this type."""
        return self.elements * self.support.width

    def describe(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        return self.support.describe() + shape


def real(*shape: int) -> Type:
    return Type(REAL, shape)
