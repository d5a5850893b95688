"""Where an expression stands, as far as elaborating it needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dgmppl.graph.values import Points, Value
from dgmppl.permutations import all_before

if TYPE_CHECKING:
    from dgmppl.graph.scope import Scope
    from dgmppl.supports import Type
    from dgmppl.syntax import tree


@dataclass(frozen=True)
class Elements:
    """What a statement is about one element of: `indices` that go over `extent`; of a `variable` where it models one,
    of a `feature` where it computes that; `maps`: the variable is the argument of a flow. `order`: another than row by
    row, with its seed. `start`: the number of the first position. `about`: the first and the last position that the
    statement is about, where it is not about all; `range`: the first and the last number of the index as declared;
    `schedule`: it computes numbers."""

    indices: tuple[str, ...]
    extent: tuple[int, ...]
    variable: str = ""
    feature: str = ""
    order: tuple[str, int] | None = None
    maps: bool = False
    start: int = 0
    about: tuple[int, int] | None = None
    range: tuple[int, int] | None = None
    schedule: bool = False

    @property
    def axes(self) -> int:
        """How many axes the elements lie along."""
        return len(self.indices)

    def before(self, offsets: tuple[int, ...]) -> bool:
        """Whether what is so far from an element comes before it, wherever there is something."""
        if self.order is None:
            return offsets < (0,) * self.axes
        return all_before(self.extent, offsets, *self.order)


@dataclass(frozen=True)
class Context:
    """`hint` names what the model will hold for this expression; `env` gives family indices their numbers.

    `elements`: where elements are modelled, or computed, one by one. Inside a mixture's component
    `copies` counts the components, or `points` names the grid point that stands for one. `sums` gives summation
    indices their ranges.
    `each`: how many of the last axes that are expected here are no axes of the variable but hold what an element has,
    such as the parameters of its distribution. `site` identifies the statement, so that instances of a family can
    share a network. `seen`: a variable whose elements may be missing stands for what is seen of it, as in a
    q and in a feature.
    """

    hint: str
    env: Mapping[str, int] = field(default_factory=dict)
    elements: Elements | None = None
    copies: int = 0
    each: int = 0
    points: tuple[tuple[str, Points], ...] = ()
    sums: Mapping[str, range] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    seen: bool = False


class Inputs(Protocol):
    """The values in the parentheses of a call, those of no size of their own as `expected`: what
    `dgmppl.graph.expressions` does."""

    def __call__(
        self, scope: Scope, expr: tree.Call, ctx: Context, /, *, expected: Type | None = None
    ) -> tuple[Value, ...]: ...
