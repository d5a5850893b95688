"""Units of the data: what networks read of a variable without a range, and what they give for it, is counted from where
its training rows lie, and in how far they spread.

A bounded variable enters a network scaled to [-1, 1]. One without bounds has no such scale in its type: its data has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.graph.held import held, statements
from dgmppl.graph.values import (
    Apply,
    At,
    Block,
    Parametric,
    Past,
    Pushforward,
    Use,
    Value,
    children,
    is_bare,
    walk,
)
from dgmppl.supports import INTEGER, NATURAL, POSITIVE, REAL

if TYPE_CHECKING:
    from dgmppl.graph.nodes import Factor, Graph, Variable

_UNBOUNDED = (REAL, POSITIVE, INTEGER, NATURAL)
# What has a mean of 0 and a deviation of 1, column by column, has its units already.
HAS_UNITS = frozenset({"standardize"})


@dataclass(frozen=True)
class Units:
    """The units of a `variable`, held by the model as `attribute`: a mean and a deviation, of this shape.

    `read`: networks read it in them. `given`: the parameters of its factors that are given in them, `p(x | z)` with
    their names. `positive`: its values are never below 0.
    """

    variable: str
    attribute: str
    shape: tuple[int, ...]
    positive: bool
    read: bool
    given: tuple[tuple[str, tuple[str, ...]], ...] = ()


def find_units(graph: Graph) -> tuple[Units, ...]:
    """The units of each variable that has data and no bounds, where something reads it or is given in them."""
    taken = {getattr(one.term, "ident", "") or getattr(one.term, "attribute", "") for one in held(graph)}
    read = frozenset(_read(graph))
    found: list[Units] = []
    for variable in graph.data:
        support, source = variable.type.support, variable.data
        if support not in _UNBOUNDED:
            continue
        if source is None or (source.transforms and source.transforms[-1][0] in HAS_UNITS):
            continue
        factors = [f for f in graph.factors if f.head == variable.name]
        given = tuple((f.key, names) for f in factors if (names := _given(f)))
        if not given and variable.name not in read:
            continue
        attribute = f"{variable.ident}_units"
        while attribute in taken:
            attribute += "_"
        shape = _shape(variable, factors)
        found.append(Units(variable.name, attribute, shape, support.low == 0, variable.name in read, given))
    return tuple(found)


def with_units(graph: Graph, units: tuple[Units, ...]) -> Graph:
    """The graph with those of these units that its data have."""
    data = {v.name for v in graph.data}
    return replace(graph, units=tuple(one for one in units if one.variable in data))


def counted(density: Parametric) -> tuple[str, ...]:
    """The parameters of a distribution that are given in units of the data: those with a place or a scale of the
    values, where a network or `param` gives them."""
    entry, values = DISTRIBUTIONS[density.kind], dict(density.arguments)
    return tuple(
        p.name for p in entry.parameters if p.counts and (density.joint is not None or is_bare(values.get(p.name)))
    )


def _given(factor: Factor) -> tuple[str, ...]:
    laws = laws_of(factor.density)
    return tuple(dict.fromkeys(name for law in laws for name in counted(law)))


def laws_of(density: object) -> Iterator[Parametric]:
    """The distributions of the catalogue whose values are those of the variable itself."""
    if isinstance(density, Parametric):
        yield density
    elif not isinstance(density, (Pushforward, Value)):
        for child in children(density):
            yield from laws_of(child)


def _shape(variable: Variable, factors: list[Factor]) -> tuple[int, ...]:
    """A number for each along the last axis; one where elements are modelled alike, and for whole numbers, which count
    the same things."""
    if variable.type.support.discrete:
        return ()
    shapes = [law.type.shape for f in factors for law in laws_of(f.density)]
    return min((s[-1:] for s in [variable.element.shape, *shapes]), key=len)


def _read(graph: Graph) -> Iterator[str]:
    """The variables that networks read as they are."""
    for term, _ in statements(graph):
        for one in walk(term):
            if isinstance(one, Apply):
                values = (*one.inputs, *one.context, *one.aligned)
            elif isinstance(one, Block) and not one.direct:
                values = tuple(value for _, value in one.context)
            else:
                continue
            yield from (found for value in values if (found := variable_read(value)))


def variable_read(value: object) -> str:
    """The variable that a value is, there or at another position; "" where it is another value."""
    while isinstance(value, At):
        value = value.value
    return value.variable if isinstance(value, (Use, Past)) else ""
