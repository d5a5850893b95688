"""Chains: latents of few values along an index, of which everything that depends on them reads a few neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dgmppl.graph.elements import reads_of
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import Apply, Sequence, variables, walk


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
        lag: how far back the furthest member lies that is read.
    """

    variables: tuple[str, ...]
    factor_keys: tuple[str, ...]
    windows: tuple[tuple[Window, ...], ...]
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
    """What the law of each element reads of these families, by how far away that lies; None where it reads more than
    members at, or before, its own position, or where it is no law of elements along their index."""
    wanted, density = frozenset(names), factor.density
    if not isinstance(density, Sequence):
        return None
    direct = [n for n in variables(density) if n not in wanted]
    if any(graph[n].role == "let" for n in direct) and not wanted.isdisjoint(graph.roots(direct)):
        return None
    for term in walk(density):
        # What a network of the past reads at each position, it has read at all before.
        if isinstance(term, Apply) and any(not wanted.isdisjoint(variables(v)) for v in term.aligned):
            return None
    found: dict[str, tuple[int, int]] = {}
    for read in reads_of(density, factor.head):
        if read.variable not in wanted:
            continue
        if read.past or len(read.offsets) != 1 or read.offsets[0] > 0:
            return None
        first, last = found.get(read.variable, (0, -density.type.shape[0]))
        found[read.variable] = (min(first, read.offsets[0]), max(last, read.offsets[0]))
    return tuple(Window(n, *found[n]) for n in sorted(found))


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
    return Chain(tuple(sorted(names)), keys, tuple(found), lag, length)
