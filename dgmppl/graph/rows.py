"""Which values have rows: all but those that depend on parameters, constants and what all rows share alone.

A variable has one value for each example, a parameter has one for all of them, and so have a latent `per data` and a
feature that is computed from such. Only what has rows carries the batch axis in emitted source. What is one a group
has that axis too: it counts the groups where groups are modelled, and the rows where rows are, each with the value of
its group.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import Density, Quoted, Residual, SeenPart, Use, Value, variables, walk

T = TypeVar("T")


def with_rows(graph: Graph) -> Graph:
    """The graph in which each feature, and each use of one, says whether it has rows, or is one of a group.

    It is asked once the whole graph is known: a feature may be read before the statement that defines it.
    """
    shared, grouped = _without_rows(graph), _of_groups(graph)
    if not shared and not grouped:
        return graph
    marked = tuple(replace(v, rows=v.name not in shared, group=grouped.get(v.name, v.group)) for v in graph.variables)
    return _marked(replace(graph, variables=marked), shared)


def _reads(graph: Graph) -> dict[str, set[str]]:
    """What each feature is computed from."""
    return {d.variable: set(variables(d.value)) for d in graph.definitions if graph[d.variable].role == "let"}


def _without_rows(graph: Graph) -> frozenset[str]:
    """The latents that are one for all rows, and the features that read nothing but these and such features."""
    reads = _reads(graph)
    found = {v.name for v in graph.variables if not v.rows}
    while more := {name for name, inputs in reads.items() if name not in found and inputs <= found}:
        found |= more
    return frozenset(found)


def _of_groups(graph: Graph) -> dict[str, str]:
    """The column of each feature that is one a group: which reads nothing but that column, what is one of its groups,
    and what all rows share."""
    reads, shared = _reads(graph), _without_rows(graph)
    of = {v.name: v.group for v in graph.variables if v.group is not None} | {
        v.group: v.group for v in graph.variables if v.group is not None
    }
    found: dict[str, str] = {}
    while True:
        more = {}
        for name, inputs in reads.items():
            groups = {of.get(i) for i in inputs - shared}
            if name not in of and len(groups) == 1 and (group := groups.pop()) is not None:
                more[name] = group
        if not more:
            return found
        of |= more
        found |= more


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
        itself = getattr(term, "variable", None) == head and not isinstance(term, SeenPart)
        if isinstance(term, Value) and term.own_rows and not itself:
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
