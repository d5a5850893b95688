"""Operations on values, functions of each element, elements by index, and sums over indices."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.graph.values.base import Value


@dataclass(frozen=True)
class Operation(Value):
    """`op` is one of + - * / ^ @, "negate", "sum", or the name of a function."""

    op: str
    operands: tuple[Value, ...]


@dataclass(frozen=True)
class Element(Value):
    """`value[index]`: an index is a number, a summation's index, or a value (picks by category). Fewer indices than
    axes pick what lies behind them, a row."""

    value: Value
    index: tuple[int | str | Value, ...]


@dataclass(frozen=True)
class IndexSum(Value):
    """`sum(i, j: body)` with each index's range."""

    indices: tuple[tuple[str, int], ...]
    body: Value
