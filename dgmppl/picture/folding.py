"""Families folded in a picture: members that are said alike are one node, with its range, and their arrows are one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Graph
from dgmppl.picture.edges import Edge
from dgmppl.plan.families import Families, away, families_of

_BETWEEN = "\2"


@dataclass(frozen=True)
class Run:
    """Variables that one node stands for: one, or members of a family from one to another, `z[l]` with `l = 1..3`.
    `texts` are what is written of each, in terms of its index."""

    members: tuple[str, ...]
    texts: tuple[str, ...]
    range: str = ""

    @property
    def first(self) -> str:
        """The variable whose node it is."""
        return self.members[0]


@dataclass(frozen=True)
class Folding:
    """Which node stands for each variable of a graph."""

    families: Families
    runs: tuple[Run, ...]
    of: dict[str, Run] = field(repr=False)

    def edges(self, found: Iterable[Edge]) -> list[Edge]:
        """Arrows between nodes: those between the same two that look alike are one."""
        alike: dict[tuple[str, str, str, bool, tuple[tuple[str, str], ...]], list[Edge]] = {}
        for e in found:
            tail, head = (self.of[end].first if end in self.of else end for end in (e.tail, e.head))
            alike.setdefault((tail, head, e.role, e.upward and tail != head, tuple(e.look.items())), []).append(e)
        return [self._one(key[0], key[1], key[3], edges) for key, edges in alike.items()]

    def _one(self, tail: str, head: str, upward: bool, edges: Sequence[Edge]) -> Edge:
        texts = list(dict.fromkeys(e.text for e in edges if e.text))
        text = "; ".join(filter(None, [self._which(edges), *self.families.lines(texts)]))
        hover = "; ".join(self.families.lines(list(dict.fromkeys(e.hover for e in edges if e.hover))))
        return replace(edges[0], tail=tail, head=head, text=text, hover=hover, upward=upward)

    def _which(self, edges: Sequence[Edge]) -> str:
        """Which members an arrow is between, where that is not each and the one of the same index: `z[l - 1]`."""
        tails, heads = (tuple(dict.fromkeys(ends)) for ends in ([e.tail for e in edges], [e.head for e in edges]))
        first, last = self.of.get(edges[0].tail), self.of.get(edges[0].head)
        if first is None or last is None or (len(first.members) == 1 and heads == last.members):
            return ""
        if len(first.members) == 1:
            return self._named(heads)
        if len(last.members) == 1:
            return "" if set(tails) == set(first.members) else self._named(tails)
        found = {_steps(e.tail, e.head) for e in edges}
        steps = found.pop()
        return _moved(first.texts[0], steps) if not found and steps is not None and first.range else self._named(tails)

    def _named(self, names: Sequence[str]) -> str:
        return self.families.shortened(", ".join(names))


def folded(graph: Graph, texts_of: Callable[[str], tuple[str, ...]], members: bool) -> Folding:
    """The nodes of a graph: `texts_of` each variable is written what they say; with `members` each has its own."""
    lines = () if members else families_of(graph)
    families = Families(lines)
    runs: dict[str, list[Run]] = {}
    for line in lines:
        runs[line.name] = _runs(families, [Run((m,), texts_of(m)) for m in line.members])
    found: list[Run] = []
    for v in graph.variables:
        name = declared_name(v.name)
        if name not in runs:
            found.append(Run((v.name,), texts_of(v.name)))
        elif v.name == runs[name][0].first:  # all of its nodes stand where its first member does
            found += runs[name]
    return Folding(families, tuple(found), {m: run for run in found for m in run.members})


def _runs(families: Families, runs: list[Run]) -> list[Run]:
    """Members next to each other of which the same is said, over and over for families of several indices."""
    while True:
        found = families.repeated([_BETWEEN.join([*r.texts, r.range]) for r in runs], 1)
        if len(found) == len(runs):
            return runs
        joined: list[Run] = []
        for one in found:
            parts = [runs[k] for k in one.places]
            *texts, _ = one.texts[0].split(_BETWEEN)
            range_ = ", ".join(filter(None, [parts[0].range, one.range]))
            members = tuple(m for part in parts for m in part.members)
            joined.append(Run(members, tuple(texts), range_) if one.range else parts[0])
        runs = joined


def _steps(tail: str, head: str) -> tuple[int, ...] | None:
    """How far a member is from another in each of their indices; None where they have other indices."""
    ends = [_indices(name) for name in (tail, head)]
    if len(ends[0]) != len(ends[1]) or not all(i.lstrip("-").isdigit() for i in (*ends[0], *ends[1])):
        return None
    return tuple(int(a) - int(b) for a, b in zip(*ends))


def _indices(name: str) -> list[str]:
    return name[len(declared_name(name)) + 1 : -1].split(", ")


def _moved(shown: str, steps: tuple[int, ...]) -> str:
    """`z[l]` so far from the index, `z[l + 1]`; "" where it is at that itself."""
    indices = _indices(shown)
    moved = [away(i, by) if i.isidentifier() else i for i, by in zip(indices, steps)]
    return "" if moved == indices else f"{declared_name(shown)}[{', '.join(moved)}]"
