"""Values that are computed from no others: numbers, variables, parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from dgmppl.graph.values.base import Value, walk
from dgmppl.supports import Type, real


@dataclass(frozen=True)
class Constant(Value):
    """A number."""

    number: float


@dataclass(frozen=True)
class _Tensor(Value):
    """What is a tensor of its own."""

    @property
    def own_tensor(self) -> bool:
        return True


@dataclass(frozen=True)
class Use(_Tensor):
    """A variable, by its name in the graph (`z[3]` for a member of a family). `in_rows`: see `Variable.rows`."""

    variable: str
    in_rows: bool = True

    @property
    def own_rows(self) -> bool:
        return self.in_rows


@dataclass(frozen=True)
class SeenPart(Use):
    """What a network of a q reads of a variable whose elements may be missing: those that are seen, 0 for the others,
    and which they are. `of` is the type of the variable, its own that of what is read."""

    of: Type = field(default_factory=real)


@dataclass(frozen=True)
class Past(_Tensor):
    """A variable as a causal network reads it: each position along its first `axes`, in the order of rows, sees what is
    before it. Its type is that of the whole variable."""

    variable: str
    axes: int = 1

    @property
    def own_rows(self) -> bool:
        return True

    @property
    def own_positions(self) -> bool:
        return True


@dataclass(frozen=True)
class Declared(_Tensor):
    """A `param` declared by name, or a tensor of fixed values, which learns nothing."""

    name: str
    learns: bool = True


@dataclass(frozen=True)
class Learned(_Tensor):
    """`param` inside an expression; `copies` of it where it stands inside a mixture."""

    attribute: str
    copies: int = 0


@dataclass(frozen=True)
class Points(_Tensor):
    """The grid points that a mixture's components are indexed by, `count` of them."""

    attribute: str
    sides: tuple[int, ...]

    @property
    def count(self) -> int:
        n = 1
        for s in self.sides:
            n *= s
        return n


def variables(term: object) -> tuple[str, ...]:
    """Names of the variables that an expression reads, in order of appearance, each once."""
    found = [t.variable for t in walk(term) if isinstance(t, (Use, Past))]
    return tuple(dict.fromkeys(found))
