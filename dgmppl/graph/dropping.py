"""`drop(y, 0.1)`: what some rows of a fit do without.

It is a feature by itself, so that all that reads it sees the same, and so that a sampler can do without it.
"""

from __future__ import annotations

from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Dropped, variables, walk


def verify_dropped(scope: Scope, graph: Graph) -> None:
    """Reports a `drop` that is not all of a feature (E217)."""
    terms: list[object] = [f.density for f in graph.factors]
    terms += [p for d in graph.definitions for p in _inside(d.value, graph[d.variable].role == "let")]
    terms += [graph.energy.value] if graph.energy is not None else []
    for term in terms:
        for found in walk(term):
            if isinstance(found, Dropped):
                scope.report(
                    "E217",
                    "`drop` stands by itself in a feature",
                    found.span,
                    "inside of another expression",
                    help="let seen = drop(y, 0.1), and `seen` where this stands",
                )


def _inside(value: object, of_feature: bool) -> list[object]:
    return [value.value] if of_feature and isinstance(value, Dropped) else [value]


def dropped_by(graph: Graph, names: tuple[str, ...]) -> tuple[str, ...]:
    """The features with a `drop` that these variables are, or are computed from."""
    found: list[str] = []
    for name in names:
        definition = graph.definition(name)
        if definition is None or graph[name].role != "let":
            continue
        own = isinstance(definition.value, Dropped)
        found += [name] if own else dropped_by(graph, variables(definition.value))
    return tuple(dict.fromkeys(found))


__all__ = ["dropped_by", "verify_dropped"]
