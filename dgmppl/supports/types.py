"""Types: a support and a shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dgmppl.supports.base import Support
from dgmppl.supports.continuous import Real


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

    @property
    def feasible(self) -> float:
        """A number that every element may be at once."""
        return self.support.feasible(self.shape[-1] if self.shape else 1)

    def describe(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        return self.support.describe() + shape


def real(*shape: int) -> Type:
    return Type(Real(), shape)
