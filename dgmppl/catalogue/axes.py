"""Axes and sizes: what a network reads and gives, and all that how many weights it has depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Axes:
    """What a network reads or gives: a position for each index of `extent`, with so many `channels` at each.

    A vector has no extent; its numbers are channels.
    """

    channels: int
    extent: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers these are."""
        return self.channels * math.prod(self.extent)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.extent, self.channels)

    def describe(self) -> str:
        """`16`, or `8 x 8 x 17`."""
        return " x ".join(map(str, self.shape))

    def along(self, rank: int) -> Axes | None:
        """The same numbers along so many axes of positions: all as one vector, or the positions of a grid as a
        sequence, row by row; None where there are too few axes."""
        if rank == len(self.extent):
            return self
        if rank == 0:
            return Axes(self.size)
        return Axes(self.channels, (math.prod(self.extent),)) if rank == 1 and self.extent else None


def axes_of(shape: tuple[int, ...], width: int, rank: int, each: int = 0, behind: int = 0) -> Axes:
    """The axes of a value of this shape, an element of which is `width` numbers, for a network that reads positions
    along `rank` axes: those come first, and what is behind them is channels.

    A value of fewer axes is a vector, and so is one that has fewer than `behind` of them behind its positions, where
    the numbers of an element are one. `each`: how many of the last axes are no axes of a variable but hold what an
    element has, such as the parameters of its distribution.
    """
    vectors = len(shape) + (width > 1) - rank
    if not rank or len(shape) - each < rank or vectors < behind:
        return Axes(math.prod(shape) * width)
    return Axes(math.prod(shape[rank:]) * width, shape[:rank])


@dataclass(frozen=True)
class Sizes:
    """The sizes of a network: of its input, of each hidden layer and of its output, with its options.

    `outputs` is None for one that has no last layer and gives its last hidden one. `context` is the size of a vector
    that conditions a network which reads positions, `aligned` that of what a causal one reads at each position itself,
    beside the past.
    """

    inputs: Axes
    hidden: tuple[int, ...]
    outputs: Axes | None
    context: int = 0
    aligned: int = 0
    options: Mapping[str, str | float] = field(default_factory=dict)

    def count(self, option: str, default: int) -> int:
        """An option that is a number."""
        return int(self.options.get(option, default))

    @property
    def given(self) -> tuple[Axes, ...]:
        """What its last layer gives, if it has one."""
        return (self.outputs,) if self.outputs is not None else ()
