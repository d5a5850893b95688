"""Values whose axes are joined, cut, reshaped or reduced, and one-hot vectors.

How each is checked is in `dgmppl.graph.axes`, what is emitted for it in `dgmppl.emit.axes`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.graph.values.base import Value


@dataclass(frozen=True)
class Joined(Value):
    """`concat(a, b)`: values side by side along `axis`, counted from the last, -1; `stack(a, b)`: along a new last
    axis. Single numbers are vectors of one."""

    parts: tuple[Value, ...]
    axis: int = -1
    stacked: bool = False


@dataclass(frozen=True)
class Part(Value):
    """`value[2, 0..7]`: numbers pick along the first axes, ranges (both ends included) keep a part of them."""

    value: Value
    index: tuple[int | tuple[int, int], ...]


@dataclass(frozen=True)
class Reshaped(Value):
    """The elements of a value in order, in another shape."""

    value: Value


@dataclass(frozen=True)
class Reduced(Value):
    """The "sum", "mean" or another of `REDUCTIONS` over `axes`, each counted from the last, -1. `lengths`: how far the
    first axis goes, where that differs from row to row and it is one of them."""

    op: str
    value: Value
    axes: tuple[int, ...]
    lengths: Value | None = None


@dataclass(frozen=True)
class Softmax(Value):
    """Numbers along the last axis as probabilities: `exp(v) / sum(exp(v))`."""

    value: Value


@dataclass(frozen=True)
class OneHot(Value):
    """`one_hot(y)`: the indicator of each of a variable's values, along a new last axis."""

    value: Value


@dataclass(frozen=True)
class Dropped(Value):
    """`drop(y, 0.1)`: a value whose numbers are all 0 in a share of the rows, drawn anew in each step of a fit."""

    value: Value
    share: float
