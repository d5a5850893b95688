"""Variables that a model counts in no units of their data: an expression or a flow gives them, or multiplies them, as
they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.graph.held import statements
from dgmppl.graph.units import HAS_UNITS, counted, laws_of
from dgmppl.graph.values import At, Declared, Element, Operation, Parametric, Use, walk
from dgmppl.supports import POSITIVE, REAL

if TYPE_CHECKING:
    from dgmppl.graph.nodes import Graph


@dataclass(frozen=True)
class Unscaled:
    """`learned`: the names of what is learned that gives the values, or multiplies them where they are `read`."""

    learned: tuple[str, ...]
    read: bool = False


def without_units(graph: Graph) -> Mapping[str, Unscaled]:
    """The variables without bounds that are counted in no units, by name."""
    raw = {
        v.name
        for v in graph.data
        if v.type.support in (REAL, POSITIVE)
        and v.data is not None
        and not (v.data.transforms and v.data.transforms[-1][0] in HAS_UNITS)
    }
    found = {name: Unscaled(tuple(factors), read=True) for name, factors in _multiplied(graph, raw).items()}
    for name in raw:
        factor, definition = graph.factor("p", name), graph.definition(name)
        laws = list(laws_of(factor.density)) if factor is not None else []
        if definition is not None or (factor is not None and not laws) or not all(map(_has_place, laws)):
            values = [value for law in laws for _, value in law.arguments]
            found[name] = Unscaled(tuple(dict.fromkeys(n for v in values for n in _learned(graph, v))))
    return found


def _has_place(law: Parametric) -> bool:
    """Whether the place of a distribution's values is given in units of the data, where it has one."""
    places = {p.name for p in DISTRIBUTIONS[law.kind].parameters if p.counts in ("place", "log")}
    return places <= set(counted(law))


def _learned(graph: Graph, value: object) -> Iterator[str]:
    """The names of parameters that an expression reads, and of what rows have in common with what its prior reads."""
    for one in walk(value):
        if isinstance(one, Declared) and one.learns:
            yield one.name
        elif isinstance(one, Use):
            variable = graph[one.variable]
            if variable.shared:
                prior = graph.factor("p", variable.name)
                yield variable.name
                yield from _learned(graph, prior.density if prior is not None else ())
            elif variable.role == "let" and (definition := graph.definition(variable.name)) is not None:
                yield from _learned(graph, definition.value)


def _multiplied(graph: Graph, raw: set[str]) -> dict[str, dict[str, None]]:
    """The variables that formulas multiply by what is learned, each with the names of that."""
    found: dict[str, dict[str, None]] = {}
    for term, _ in statements(graph):
        for one in walk(term):
            if not isinstance(one, Operation) or one.op not in ("*", "@"):
                continue
            names = [_name(value) for value in one.operands]
            learned = {n: None for v, n in zip(one.operands, names, strict=True) if n and any(_learned(graph, v))}
            for name in {*names} & raw if learned else ():
                found.setdefault(name, {}).update(learned)
    return found


def _name(value: object) -> str:
    """What a variable or a parameter is called, an element of it or its value at another position; else ""."""
    while isinstance(value, (At, Element)):
        value = value.value
    return value.variable if isinstance(value, Use) else value.name if isinstance(value, Declared) else ""


__all__ = ["Unscaled", "without_units"]
