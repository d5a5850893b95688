"""Folded families that depend on each other's earlier members: they are drawn in turn, member by member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from dgmppl.graph.elements import reads_through
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import Sequence


@dataclass(frozen=True)
class Turns:
    """Families of one index that depend on each other, in the order in which their members at a position come. `lag`:
    how far back they look, None for all that is before; `backward`: they look at those after them instead."""

    variables: tuple[str, ...]
    lag: int | None
    backward: bool


def turns(graph: Graph, side: str) -> tuple[Turns, ...]:
    """The groups of families that are drawn in turn by the factors of a side. What depends on itself in another way is
    in none: `dgmppl.graph.cycles` reports it."""
    factors = {f.head: f for f in graph.factors if f.side == side}
    if sum(isinstance(f.density, Sequence) for f in factors.values()) < 2:
        return ()
    return tuple(t for group in _circles(graph, factors) if (t := _turns(graph, factors, group)) is not None)


def _turns(graph: Graph, factors: Mapping[str, Factor], group: frozenset[str]) -> Turns | None:
    members = {name: factors[name] for name in group if name in factors}
    first = next(iter(sorted(group)))
    if len(members) < len(group) or any(not isinstance(f.density, Sequence) for f in members.values()):
        return None
    if len({(graph[name].along, graph[name].type.shape[0]) for name in group}) > 1 or graph[first].along is None:
        return None
    reads = [(head, name, by) for head, f in members.items() for name, by in distances(graph, f) if name in group]
    signs = {by is None or by < 0 for _, _, by in reads if by != 0}
    if any(by == WHOLE for _, _, by in reads) or len(signs) > 1:
        return None
    sorter: TopologicalSorter[str] = TopologicalSorter({name: set() for name in sorted(group)})
    for head, name, by in reads:
        if by == 0:
            sorter.add(head, name)
    try:
        order = tuple(sorter.static_order())
    except CycleError:
        return None
    away = [by for _, _, by in reads]
    lag = None if None in away else max((abs(by) for by in away if by is not None), default=0)
    return Turns(order, lag, signs == {False})


WHOLE = 10**9
"""The distance of a read of all members."""


def distances(graph: Graph, factor: Factor) -> Iterator[tuple[str, int | None]]:
    """The variables that a factor reads, through features too, each with how far from the member that it models: None
    for all that are before, `WHOLE` for all."""
    for read in reads_through(factor.density):
        if graph[read.variable].role == "let":
            yield from ((name, WHOLE) for name in graph.roots((read.variable,)))
        elif read.past:
            yield read.variable, None
        else:
            yield read.variable, read.offsets[0] if read.offsets else WHOLE


def _circles(graph: Graph, factors: Mapping[str, Factor]) -> list[frozenset[str]]:
    """The sets of variables of which each depends on each other through these factors, and on no more."""
    parents = {head: {p for p in graph.roots(f.parents) if p != head} for head, f in factors.items()}
    below = {head: _reached(parents, head) for head in factors}
    found = {frozenset({a, *(b for b in below[a] if a in below.get(b, ()))}) for a in factors if a in below[a]}
    return sorted(found, key=sorted)


def _reached(parents: Mapping[str, Iterable[str]], start: str) -> set[str]:
    found: set[str] = set()
    pending = list(parents[start])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += parents.get(name, ())
    return found


__all__ = ["WHOLE", "Turns", "distances", "turns"]
