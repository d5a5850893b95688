"""Chains: latents of few values along an index, of which everything that depends on them reads a few neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dgmppl.graph.elements import reads_of
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import Apply, Density, Element, Past, Sequence, Use, Value, children, variables, walk

LAST = -1
"""The position of the last member of each row, where rows differ in length."""


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
        places: of each that is no law of elements along their index, the position of the members that it reads, `LAST`
            for that of the last of each row.
        starts: of each that is one, the position of the chain at which its first element stands: 1 for x[1], x[2], ...
            that read z[1], z[2], ... of z[0], z[1], z[2], ...
        lag: how far away the furthest member lies that is read.
        seen: the same of what is no law of the families themselves.
        still: normal latents that are one a row, and are eliminated with the families.
        backward: whether members depend on those after them, so that all is done from the last to the first.
    """

    variables: tuple[str, ...]
    factor_keys: tuple[str, ...]
    windows: tuple[tuple[Window, ...], ...]
    places: tuple[int | None, ...]
    starts: tuple[int, ...]
    lag: int
    seen: int
    length: int
    still: tuple[str, ...] = ()
    backward: bool = False

    @property
    def gives(self) -> tuple[str, ...]:
        """All that is eliminated."""
        return (*self.variables, *self.still)

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


def looks_near(graph: Graph, factor: Factor, name: str) -> bool:
    """Whether a factor reads a few neighbours of each position of a family, all at or before it, or at or after it."""
    wanted, still = frozenset({name}), frozenset[str]()
    return any(_windows(graph, factor, wanted, still, backward) is not None for backward in (False, True))


def _windows(
    graph: Graph, factor: Factor, wanted: frozenset[str], still: frozenset[str], backward: bool
) -> tuple[tuple[Window, ...], int] | None:
    """What the law of each element reads of these families, by how far before the position at which it stands, or what
    another law reads of their members at one position, and all of what is `still`; and the position at which the first
    element stands. Both are counted from the end where it goes `backward`.

    None where it reads more than members at, or before, one position, or has elements where the families have no
    members.
    """
    density, every = factor.density, wanted | still
    direct = [n for n in variables(density) if n not in every]
    if any(graph[n].role == "let" for n in direct) and not every.isdisjoint(graph.roots(direct)):
        return None
    everywhere = tuple(Window(n, 0, 0) for n in sorted(still & set(variables(density))))
    if factor.head in still:
        return everywhere, 0
    if not isinstance(density, Sequence):
        if factor.head in wanted or graph[factor.head].role == "partial" or place_of(graph, density, wanted) is None:
            return None
        return (*(Window(n, 0, 0) for n in sorted(wanted & set(variables(density)))), *everywhere), 0
    own = factor.head in wanted
    if own and (any(s.short or s.final for s in density.segments) or (backward and density.lengths is not None)):
        return None  # the last member of a row, wherever that is, has a law of its own
    for term in walk(density):
        # What a network of the past reads at each position, it has read at all before.
        if isinstance(term, Apply) and any(not every.isdisjoint(variables(v)) for v in term.aligned):
            return None
    offsets: dict[str, list[int]] = {}
    for read in reads_of(density, factor.head):
        if read.variable not in wanted:
            continue
        if read.past or len(read.offsets) != 1:
            return None
        offsets.setdefault(read.variable, []).append(read.offsets[0])
    read_or_own = (*offsets, *((factor.head,) if own else ()))
    room = {graph[n].type.shape[0] - density.type.shape[0] for n in read_or_own or (min(wanted),)}
    if len(room) > 1:
        return None
    (left,) = room
    if backward:
        offsets = {n: [left - by for by in found] for n, found in offsets.items()}
    start = max((0, *(by for found in offsets.values() for by in found)))
    if left < start or (own and left):
        return None
    windows = [Window(n, min(0, min(by) - start), max(by) - start) for n, by in sorted(offsets.items())]
    return (*windows, *everywhere), start


def place_of(graph: Graph, density: Density, names: frozenset[str]) -> int | None:
    """The position, from 0, of the only members of these families that a law reads which is no law of elements along
    their index, the first where it reads none, `LAST` for the last of each row; None where it reads others, or all."""
    places = set(_places(graph, density, names)) or {0}
    return next(iter(places)) if len(places) == 1 else None


def _places(graph: Graph, term: object, names: frozenset[str]) -> Iterator[int | None]:
    if isinstance(term, Element) and isinstance(term.value, Use) and term.value.variable in names:
        first, length = term.index[0], graph[term.value.variable].length
        last = LAST if length and isinstance(first, Value) and tuple(variables(first)) == (length,) else None
        yield first if isinstance(first, int) else last
        for index in term.index:
            yield from _places(graph, index, names)
    elif isinstance(term, (Use, Past)):
        if term.variable in names:
            yield None
    else:
        for child in children(term):
            yield from _places(graph, child, names)


def chain_of(
    graph: Graph, names: frozenset[str], factors: tuple[Factor, ...], still: frozenset[str] = frozenset()
) -> Chain | None:
    """The chain of families that are read by these factors, with what is `still`; None where one of them reads more
    than a few neighbours, or some read what is before, and some what is after."""
    found = _chain(graph, names, factors, still, backward=False)
    return found if found is not None else _chain(graph, names, factors, still, backward=True)


def _chain(
    graph: Graph, names: frozenset[str], factors: tuple[Factor, ...], still: frozenset[str], backward: bool
) -> Chain | None:
    own = sorted((f for f in factors if f.head in names), key=lambda f: f.head)
    fixed = sorted((f for f in factors if f.head in still), key=lambda f: f.head)
    others = sorted((f for f in factors if f.head not in names | still), key=lambda f: f.head)
    ordered = (*own, *fixed, *others)
    read = [_windows(graph, f, names, still, backward) for f in ordered]
    found = [r for r in read if r is not None]
    if len(found) < len(read):
        return None
    reach = [-min((w.first for w in windows), default=0) for windows, _ in found]
    length = graph[min(names)].type.shape[0]
    along = [isinstance(f.density, Sequence) for f in ordered]
    places = [None if a or f.head in still else place_of(graph, f.density, names) for a, f in zip(along, ordered)]
    starts = [
        length - f.density.type.shape[0] - start if backward and a else start
        for a, f, (_, start) in zip(along, ordered, found)
    ]
    windows = tuple(
        tuple(Window(w.variable, -w.last, -w.first) if backward else w for w in windows) for windows, _ in found
    )
    return Chain(
        tuple(sorted(names)),
        tuple(f.key for f in ordered),
        windows,
        tuple(places),
        tuple(starts),
        max(reach, default=0),
        max(reach[len(own) + len(fixed) :], default=0),
        length,
        tuple(sorted(still)),
        backward,
    )
