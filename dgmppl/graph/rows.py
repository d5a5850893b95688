"""Which values have rows: all but those that depend on parameters and constants alone.

A variable has one value for each example, a parameter has one for all of them, and so has a feature that is computed
from parameters. Only what has rows carries the batch axis in emitted source.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import Density, Quoted, Residual, Use, Value, variables, walk

T = TypeVar("T")


def with_rows(graph: Graph) -> Graph:
    """The graph in which each feature, and each use of one, says whether it has rows.

    It is asked once the whole graph is known: a feature may be read before the statement that defines it.
    """
    shared = _features_without_rows(graph)
    if not shared:
        return graph
    marked = tuple(replace(v, rows=v.name not in shared) for v in graph.variables)
    return _marked(replace(graph, variables=marked), shared)


def _features_without_rows(graph: Graph) -> frozenset[str]:
    """The features of which every variable that they read is such a feature too, if they read any."""
    reads = {d.variable: set(variables(d.value)) for d in graph.definitions if graph[d.variable].role == "let"}
    found: set[str] = set()
    while more := {name for name, inputs in reads.items() if name not in found and inputs <= found}:
        found |= more
    return frozenset(found)


def _marked(item: T, shared: frozenset[str]) -> T:
    """A term, or a part of the graph that holds terms, with its uses of these features marked as without rows."""
    if isinstance(item, Use):
        return replace(item, in_rows=False) if item.variable in shared else item
    if isinstance(item, tuple):
        parts = tuple(_marked(part, shared) for part in item)
        return item if all(a is b for a, b in zip(parts, item)) else parts  # type: ignore[return-value]
    if not is_dataclass(item) or isinstance(item, type):
        return item
    changed = {}
    for f in fields(item):
        old = getattr(item, f.name)
        new = _marked(old, shared)
        if new is not old:
            changed[f.name] = new
    return replace(item, **changed) if changed else item


def density_has_rows(graph: Graph, density: Density, head: str) -> bool:
    """Whether a distribution of `head` has a batch axis: whether it depends on a value that has rows.

    The elements of an autoregressive `head` that its own density reads are no such value.
    """
    for term in walk(density):
        if isinstance(term, Value) and term.own_rows and getattr(term, "variable", None) != head:
            return True
        if isinstance(term, Residual) and factor_has_rows(graph, _factor(graph, term.prior)):
            return True
        if isinstance(term, Quoted) and any(v.rows for v in term.given):
            return True
    return False


def factor_has_rows(graph: Graph, factor: Factor) -> bool:
    """Whether a factor's distribution has a batch axis. One without has to be drawn from as often as there are rows."""
    return density_has_rows(graph, factor.density, factor.head)


def _factor(graph: Graph, key: str) -> Factor:
    return next(f for f in graph.factors if f.key == key)
