"""What is read at the position of an element, where elements are modelled or computed one by one."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.graph.values.base import Value, walk


@dataclass(frozen=True)
class _Positional(Value):
    """What is itself read at a position."""

    @property
    def own_positions(self) -> bool:
        return True

    @property
    def own_tensor(self) -> bool:
        return True


@dataclass(frozen=True)
class At(_Positional):
    """`value[d - 1]`: of a value whose first axes are those of the positions, what stands `offsets` away from each.
    `lengths`: how far the positions go, where that differs from row to row and what is read may lie beyond."""

    value: Value
    offsets: tuple[int, ...]
    lengths: Value | None = None

    @property
    def here(self) -> bool:
        """Whether it is that of the position itself."""
        return not any(self.offsets)


@dataclass(frozen=True)
class Feature(_Positional):
    """`h[d]`: a feature with a value at each position of an `extent`, computed by `body` from what is read there."""

    name: str
    ident: str
    extent: tuple[int, ...]
    body: Value

    @property
    def recurrent(self) -> bool:
        """Whether it is computed from its own value at the position before."""
        return any(isinstance(t, State) and t.name == self.name for t in walk(self.body))


@dataclass(frozen=True)
class Everywhere(Value):
    """`h`: a feature at all of its positions, whose axes are the first."""

    feature: Feature

    @property
    def positional(self) -> bool:
        return False


@dataclass(frozen=True)
class State(_Positional):
    """`h[d - 1]` in the feature `h[d]` itself: its value at the position before, zeros at the first."""

    name: str
    ident: str


@dataclass(frozen=True)
class Position(_Positional):
    """An index of an element by element factor as a value, counted from `start`: the `axis`-th of those over
    `extent`."""

    name: str
    axis: int
    extent: tuple[int, ...]
    start: int = 0


@dataclass(frozen=True)
class Scheduled(_Positional):
    """Numbers along an index of a usual form, `linear(1e-4, 0.02)`: a `kind` of the catalogue with its `arguments`,
    over an index of so many numbers."""

    kind: str
    arguments: tuple[float, ...]
    count: int


@dataclass(frozen=True)
class Cumulative(_Positional):
    """`cumprod(1 - beta[t])`: the product of what a value has up to each number of an index; `missing`: at so many of
    the first it has none, where the product is 1."""

    value: Value
    missing: int = 0
