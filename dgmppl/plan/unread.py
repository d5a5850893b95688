"""Elements of parameters that nothing reads: a sum over indices, or a range, may leave some out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dgmppl.graph import held
from dgmppl.graph.nodes import Graph, Parameter
from dgmppl.graph.values import Declared, Element, Index, IndexSum, Part, children
from dgmppl.plan.state import Elimination
from dgmppl.words import are, counted


def warn_unread_elements(state: Elimination) -> None:
    """Says of each parameter which elements along an axis nothing reads, and so nothing teaches (W404)."""
    for parameter in state.graph.parameters:
        uses = list(_uses(state.graph, parameter)) if parameter.learns else []
        for axis, size in enumerate(parameter.type.shape):
            read = {k for use in uses for k in use[axis]}
            if not uses or len(read) == size:
                continue
            missing = min(set(range(size)) - read)
            place = ", ".join([*":" * axis, str(missing)]) if axis else str(missing)
            state.scope.report(
                "W404",
                f"nothing reads {parameter.name}[{place}]: along axis {axis} "
                f"{len(read)} of {counted(size, 'element')} {are(len(read))} read",
                parameter.span,
                "the others stay as they start",
                help=f"declare {len(read)} of them",
                severity="warning",
            )
            break


def _uses(graph: Graph, parameter: Parameter) -> Iterator[tuple[frozenset[int], ...]]:
    """What each use of a parameter reads along each axis."""
    for term, _ in held.statements(graph):
        yield from _within(term, parameter, {})


def _within(term: object, parameter: Parameter, ranges: Mapping[str, range]) -> Iterator[tuple[frozenset[int], ...]]:
    if isinstance(term, IndexSum):
        ranges = {**ranges, **dict(term.indices)}
    if isinstance(term, Declared) and term.name == parameter.name:
        yield tuple(frozenset(range(size)) for size in parameter.type.shape)
    elif isinstance(term, (Element, Part)) and isinstance(term.value, Declared):
        if term.value.name == parameter.name:
            given = [*term.index, *[None] * (len(parameter.type.shape) - len(term.index))]
            yield tuple(_along(i, size, ranges) for i, size in zip(given, parameter.type.shape))
        for index in term.index:
            yield from _within(index, parameter, ranges)
    else:
        for child in children(term):
            yield from _within(child, parameter, ranges)


def _along(index: object, size: int, ranges: Mapping[str, range]) -> frozenset[int]:
    """The elements of an axis that an index picks, for all values of what it depends on."""
    if isinstance(index, int):
        return frozenset((index % size,))
    if isinstance(index, tuple):  # both ends are included
        return frozenset(range(index[0], index[1] + 1))
    if isinstance(index, Index):
        return frozenset(i + index.offset for i in ranges[index.name])
    return frozenset(range(size))


__all__ = ["warn_unread_elements"]
