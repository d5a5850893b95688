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
class Index:
    """`i + 1`: an index of a sum, so many elements on."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Element(Value):
    """`value[index]`: an index is a number, that of a sum, or a value (picks by category). Fewer indices than axes pick
    what lies behind them, a row."""

    value: Value
    index: tuple[int | Index | Value, ...]


@dataclass(frozen=True)
class IndexSum(Value):
    """`sum(i, j: body)` with the range of each index."""

    indices: tuple[tuple[str, range], ...]
    body: Value
