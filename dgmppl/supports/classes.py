"""Supports of classes: names, which the numbers 0, 1, ... stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmppl.supports.base import Form, Function, Noise, Support

if TYPE_CHECKING:
    from dgmppl.supports.base import Mask, Values


class Categorical(Support):
    """K classes without order, 0 to K - 1."""

    word = "categorical"
    arguments, bare = "count", False
    forms = (Form("categorical(K)", "0 to K - 1, without order", "one-hot, K numbers an element", finite=True),)
    discrete, numeric, smooth, takes_text = True, False, False, True
    conditional = "Categorical"
    posterior = "Categorical"

    def __init__(self, size: int) -> None:
        super().__init__(0.0, float(size - 1), int(size))

    @classmethod
    def of(cls, *numbers: float) -> Support:
        return cls(int(numbers[0]))

    def describe(self) -> str:
        return f"{self.word}({self.size})"

    @property
    def expected(self) -> str:
        return f"expected a class from 0 to {(self.size or 0) - 1}"

    def contains(self, values: Values) -> Mask:
        return (values == values.round()) & (values >= 0) & (values < (self.size or 0))

    def holds(self, other: Support) -> bool:
        return other.finite and other.within(self.low, self.high)

    @property
    def link(self) -> None:
        return None

    @property
    def embedding(self) -> Function:
        return Function("one_hot", (self.width,))

    @property
    def width(self) -> int:
        return self.size or 0

    @property
    def noise(self) -> Noise:
        return Noise("integers", self.low, self.high)
