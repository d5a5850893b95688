"""What classes of the data pick elements of: `skill[home]`, one element of `skill` for each value of `home`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from dgmppl.graph.held import statements
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import At, Declared, Element, Use, Value, walk

Picked = tuple[str, int]
"""The name of a tensor, and the axis along which a class picks of it."""


def picked(graph: Graph) -> Mapping[str, frozenset[Picked]]:
    """By variable of the data, what its values pick elements of."""
    data = {v.name for v in graph.data}
    found: dict[str, set[Picked]] = defaultdict(set)
    for term, _ in statements(graph):
        for element in walk(term):
            if not isinstance(element, Element) or not (name := _name(element.value)):
                continue
            for axis, index in enumerate(element.index):
                by = _name(index) if isinstance(index, Value) else ""
                if by in data:
                    found[by].add((name, axis))
    return {name: frozenset(picks) for name, picks in found.items()}


def _name(value: Value) -> str:
    if isinstance(value, At):
        return _name(value.value)
    if isinstance(value, Use):
        return value.variable
    return value.name if isinstance(value, Declared) else ""


__all__ = ["Picked", "picked"]
