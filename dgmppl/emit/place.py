"""The expression of a value, whatever it is, and the place that it is emitted at. Tensors have the batch first.

A module for each kind of values registers what it emits: `leaves`, `positions`, `networks`, `arithmetic`, `axes`,
`bijections`. `dgmppl.emit.values` is all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch

from dgmppl.emit.expr import Expr, Name, sizes
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.units import Units
from dgmppl.graph.values import At, Feature, State, Use, Value, children


class Step:
    """One step of a recurrence. What it is given is computed at all positions `outside`, and comes by name and in
    order: the expression of each, with the positions on its first axis."""

    def __init__(self, outside: Place, state: str) -> None:
        self.outside, self.names = outside, {state}
        self.arguments: dict[str, Expr] = {}

    def given(self, value: Value, outside: Expr, behind: int) -> Expr:
        """The name in the step of a value that has so many axes behind those of positions."""
        first = outside.call("movedim", -1 - behind, 0)
        for name, known in self.arguments.items():
            if known == first:
                return Name(name)
        read = value.value if isinstance(value, At) else value
        own = read.ident if isinstance(read, Feature) else None
        own = self.outside.variable(read.variable) if isinstance(read, Use) else own
        name, k = own or str(self.outside.local("given")), 2
        while name in self.names:
            name, k = str(self.outside.local(f"{own or 'given'}_{k}")), k + 1
        self.names.add(name)
        self.arguments[name] = first
        return Name(name)


def of_state(value: object) -> bool:
    """Whether a value is computed from the state of the recurrence that it stands in. Another feature that it reads has
    a state of its own, and is known at all positions."""
    if isinstance(value, Feature):
        return False
    return isinstance(value, State) or any(of_state(child) for child in children(value))


@dataclass(frozen=True)
class Place:
    """Where an expression is emitted. `spread`: inside a mixture's component, variables get an axis for it. `axes`:
    how many axes of positions stand behind the batch, where elements are modelled one by one; `ordered`: whether they
    are drawn one after another; `order`: the local name of another order than row by row. `step`: of a recurrence, one
    position of which is computed. `units`: what a network's location and scale count, (middle, half) of a range.
    `of_data`: the units of the data that parameters are given in. `part`: the law of some positions alone,
    which `at` gives and what is computed at all of them is cut to; `whole`: features that are known at all positions;
    `computed`: the local names of values that are."""

    writer: Writer
    graph: Graph
    rename: Mapping[str, str] = field(default_factory=dict)
    spread: bool = False
    axes: int = 0
    ordered: bool = False
    order: Name | None = None
    step: Step | None = None
    units: tuple[float, float] | None = None
    of_data: Units | None = None
    part: bool = False
    whole: frozenset[str] = frozenset()
    computed: Mapping[Value, Name] = field(default_factory=dict)

    def variable(self, name: str) -> str:
        return self.rename[name] if name in self.rename else self.graph[name].ident

    def local(self, name: str) -> Name:
        """A local of the method, unlike every variable."""
        return Name(self.graph.local(name))


@singledispatch
def emitted(value: Value, place: Place) -> Expr:
    """The expression of one kind of values; each registers its own."""
    raise TypeError(f"nothing is emitted for {type(value).__name__}")


def shape_source(shape: tuple[int, ...]) -> str:
    return str(sizes(shape))


def value_source(value: Value, place: Place) -> str:
    """The source of a value."""
    return str(value_expr(value, place))


def value_expr(value: Value, place: Place) -> Expr:
    """The expression of a value: behind the batch, if it has rows, the axes of positions, if it is read at them; then
    that of a mixture's components, and its own."""
    if place.computed and value in place.computed:
        return place.computed[value]
    if place.step is not None and value.positional and not of_state(value):
        return place.step.given(value, value_expr(value, place.step.outside), len(value.shape))
    if place.axes and value.rows and not value.positional:  # one for all positions
        found = value_expr(value, replace(place, axes=0))
        items = (":", *["None"] * place.axes)
        return found[items]
    return emitted(value, place)
