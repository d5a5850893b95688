"""Chains: latents of few values along an index, of which everything that depends on them reads a few neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.graph.elements import reads_of
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import Apply, Density, Element, Past, Sequence, Use, children, variables, walk


@dataclass(frozen=True)
class Window:
    """What is read of a family: how far from an element the first and the last of its members lie, -1 and 0 for
    z[t - 1] and z[t]."""

    variable: str
    first: int
    last: int


@dataclass(frozen=True)
class Chain:
    """Families of one index that are eliminated together, and the factors of p that speak of them, their own first, by
    their keys.

    Args:
        windows: of each factor, what it reads of these families.
        places: of each that is no law of elements along their index, the position of the members that it reads.
        starts: of each that is one, the position of the chain at which its first element stands: 1 for x[1], x[2], ...
            that read z[1], z[2], ... of z[0], z[1], z[2], ...
        lag: how far back the furthest member lies that is read.
    """

    variables: tuple[str, ...]
    factor_keys: tuple[str, ...]
    windows: tuple[tuple[Window, ...], ...]
    places: tuple[int | None, ...]
    starts: tuple[int, ...]
    lag: int
    length: int

    def states(self, graph: Graph) -> int:
        """How many values the members at one position take together."""
        found = 1
        for name in self.variables:
            found *= values_of(graph[name])
        return found

    def cost(self, graph: Graph) -> int:
        """How many numbers the forward pass adds up for a row: ``T K^(lag + 1)``."""
        return int(self.length * self.states(graph) ** (self.lag + 1))

    def is_small(self, graph: Graph) -> bool:
        """Whether the values of all members that a position looks back at are few."""
        return self.states(graph) ** max(self.lag, 1) <= MAX_CASES


def values_of(variable: Variable) -> int:
    """How many values a member of a family takes; too many for any sum where it is not finite."""
    size, elements = variable.type.support.size, variable.element.elements
    return MAX_CASES + 1 if size is None or elements > 8 else int(size**elements)


def windows_of(graph: Graph, factor: Factor, names: Iterable[str]) -> tuple[Window, ...] | None:
    """What the law of each element reads of these families, by how far away that lies from the position at which it
    stands, or what another law reads of their members at one position; None where it reads more than members at, or
    before, one position, or has elements where the families have no members."""
    wanted, density = frozenset(names), factor.density
    direct = [n for n in variables(density) if n not in wanted]
    if any(graph[n].role == "let" for n in direct) and not wanted.isdisjoint(graph.roots(direct)):
        return None
    if not isinstance(density, Sequence):
        if graph[factor.head].role == "partial" or place_of(density, wanted) is None:
            return None
        return tuple(Window(n, 0, 0) for n in sorted(wanted & set(variables(density))))
    if factor.head in wanted and any(s.short or s.final for s in density.segments):
        return None  # the last member of a row, wherever that is, has a law of its own
    for term in walk(density):
        # What a network of the past reads at each position, it has read at all before.
        if isinstance(term, Apply) and any(not wanted.isdisjoint(variables(v)) for v in term.aligned):
            return None
    found: dict[str, tuple[int, int]] = {}
    for read in reads_of(density, factor.head):
        if read.variable not in wanted:
            continue
        if read.past or len(read.offsets) != 1:
            return None
        first, last = found.get(read.variable, (read.offsets[0], read.offsets[0]))
        found[read.variable] = (min(first, read.offsets[0]), max(last, read.offsets[0]))
    start = start_of(factor, wanted)
    own = factor.head in wanted
    room = {graph[n].type.shape[0] - density.type.shape[0] for n in (*found, *((factor.head,) if own else ()))}
    if len(room) > 1 or any(r < start or (own and r) for r in room):
        return None
    return tuple(Window(n, min(0, first - start), last - start) for n, (first, last) in sorted(found.items()))


def start_of(factor: Factor, names: frozenset[str]) -> int:
    """The position at which the first element of a law stands: from there the last member that it reads is its own."""
    offsets = (by for r in reads_of(factor.density, factor.head) if r.variable in names for by in r.offsets)
    return max((0, *offsets))


def place_of(density: Density, names: frozenset[str]) -> int | None:
    """The position, from 0, of the only members of these families that a law reads which is no law of elements along
    their index; None where it reads others, or all."""
    places = set(_places(density, names))
    return next(iter(places)) if len(places) == 1 else None


def _places(term: object, names: frozenset[str]) -> Iterator[int | None]:
    if isinstance(term, Element) and isinstance(term.value, Use) and term.value.variable in names:
        first = term.index[0]
        yield first if isinstance(first, int) else None
        for index in term.index:
            yield from _places(index, names)
    elif isinstance(term, (Use, Past)):
        if term.variable in names:
            yield None
    else:
        for child in children(term):
            yield from _places(child, names)


def chain_of(graph: Graph, names: frozenset[str], factors: tuple[Factor, ...]) -> Chain | None:
    """The chain of families that are read by these factors; None where one of them reads more than a few neighbours."""
    own = sorted((f for f in factors if f.head in names), key=lambda f: f.head)
    others = sorted((f for f in factors if f.head not in names), key=lambda f: f.head)
    windows = [windows_of(graph, f, names) for f in (*own, *others)]
    found = [w for w in windows if w is not None]
    if len(found) < len(windows):
        return None
    lag = -min((w.first for ws in found for w in ws), default=0)
    length = graph[min(names)].type.shape[0]
    keys = tuple(f.key for f in (*own, *others))
    along = [isinstance(f.density, Sequence) for f in (*own, *others)]
    places = [None if a else place_of(f.density, names) for a, f in zip(along, (*own, *others))]
    starts = [start_of(f, names) if a else 0 for a, f in zip(along, (*own, *others))]
    return Chain(tuple(sorted(names)), keys, tuple(found), tuple(places), tuple(starts), lag, length)
