"""Plates inside of variables: positions along the first axes at which elements are independent of those elsewhere."""

from __future__ import annotations

from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import Apply, At, Feature, Parametric, Past, Plate, Use, children, walk


def plate_axes(graph: Graph, variable: Variable) -> int:
    """How many of the first axes of a variable are positions of a plate: given all other variables, what stands at one
    is independent of what stands at the others. 0 where they are no plate.

    So it is if its own density is one of independent elements, and whatever depends on it is a plate of the same
    positions that reads it at each position itself.
    """
    own = graph.factor("p", variable.name)
    if own is None or variable.type.support.event_rank:
        return 0
    readers = [f for f in graph.readers(variable.name) if f is not own]
    axes = {f.density.axes if isinstance(f.density, Plate) and _pointwise(graph, f, variable) else 0 for f in readers}
    if isinstance(own.density, Plate):
        axes.add(own.density.axes)
    elif not isinstance(own.density, Parametric):
        return 0
    elif not axes:
        axes.add(len(variable.type.shape))
    return axes.pop() if len(axes) == 1 else 0


def _pointwise(graph: Graph, factor: Factor, variable: Variable) -> bool:
    """Whether a plate reads a variable at each position itself, and nowhere else."""
    density, name = factor.density, variable.name
    assert isinstance(density, Plate)
    extent = graph[factor.head].type.shape[: density.axes]
    if variable.type.shape[: density.axes] != extent:
        return False
    through = {r for r in graph.reads(factor) if r != name and name in graph.roots((r,))}  # features of all of it
    return not through and _reads_here(density, name)


def _reads_here(term: object, name: str) -> bool:
    """Whether a variable stands in a term at the position itself only, and nothing moves it to another."""
    if isinstance(term, At) and isinstance(term.value, Use) and term.value.variable == name:
        return term.here
    if isinstance(term, (Use, Past)) and term.variable == name:
        return False
    mixes = isinstance(term, Apply) and any(isinstance(t, Past) for t in walk(term))
    mixes = mixes or (isinstance(term, Feature) and term.recurrent)
    if mixes and any(isinstance(t, Use) and t.variable == name for t in walk(term)):
        return False
    return all(_reads_here(child, name) for child in children(term))
