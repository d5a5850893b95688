"""The arrows of a picture: who reads whom, how each looks, and which end is drawn above the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dgmppl.graph.elements import lag_of
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import Autoregressive, Density, Mapped, Pushforward, Residual, Sequence, variables, walk
from dgmppl.picture import style
from dgmppl.picture.style import label, plain, written
from dgmppl.picture.text import function_text, value_text


@dataclass(frozen=True)
class Edge:
    """An arrow from `tail` to `head`. `upward`: its head is placed above its tail."""

    tail: str
    head: str
    role: str
    text: str = ""
    hover: str = ""
    look: dict[str, str] = field(default_factory=dict)
    upward: bool = False

    def ends(self) -> tuple[str, str]:
        """Its two ends, the one that is drawn above first: Graphviz ranks by the order in which it reads them."""
        return (self.head, self.tail) if self.upward else (self.tail, self.head)

    def attributes(self) -> dict[str, str]:
        """How it looks, in Graphviz's words."""
        look = {**style.EDGES[self.role], **self.look}
        if self.upward:
            look["dir"] = "back"
            if "arrowhead" in look:
                look["arrowtail"] = look.pop("arrowhead")
        if self.text:
            look = {"label": label(["&nbsp;&nbsp;" + written(self.text, 9, style.QUIET, longest=44)]), **look}
        if self.hover:
            look["tooltip"] = plain(self.hover)
        return look


def node_ids(graph: Graph) -> dict[str, str]:
    """What DOT calls each variable, the energy `E()` and each adversary `D()`.

    Names of a spec would not do: in an edge's end, what follows a colon is a port.
    """
    names = [v.name for v in graph.variables]
    names += ["E()"] if graph.energy is not None else []
    names += [f"{a.name}()" for a in graph.adversaries]
    return {name: f"n{k}" for k, name in enumerate(names)}


def edges(graph: Graph) -> Iterator[Edge]:
    """Causes stand above effects and data at the bottom; inference, which runs the other way, goes upward."""
    below = _descendants(graph)
    recognised = _recognised(graph)
    for f in graph.factors:
        for tail, look in _reads(graph, f):
            upward = f.side == "q" and (tail in recognised or tail in below.get(f.head, ()))
            yield Edge(tail, f.head, f.side, hover=f.key, look=look, upward=upward)
        if any(isinstance(part, Autoregressive) for part in walk(f.density)):
            yield Edge(f.head, f.head, f.side, text=f"{f.head}[<d]", hover=f.key)
        if isinstance(f.density, Sequence) and (away := lag_of(f.density)) != 0:
            yield Edge(f.head, f.head, f.side, text=_others(graph[f.head], away, f.density.backward), hover=f.key)
    for d in graph.definitions:
        role = "let" if graph[d.variable].role == "let" else "define"
        maps = any(isinstance(t, Mapped) for t in walk(d.value))
        text = function_text(d.value) if role == "define" else ""
        for tail in variables(d.value):
            look = {"color": style.twice(style.INK)} if maps and role == "define" else {}
            upward = role == "let" and tail in recognised
            yield Edge(tail, d.variable, role, text, f"{d.variable} = {value_text(d.value)}", look, upward)
            text = ""
    if graph.energy is not None:
        for a in graph.energy.arguments:
            bottom = graph[a].role == "observed" and a not in graph.conditions
            yield Edge("E()", a, "energy") if bottom else Edge(a, "E()", "energy")
    for adversary in graph.adversaries:
        for a in adversary.arguments:
            yield Edge(a, f"{adversary.name}()", "adversary")


def _others(variable: Variable, lag: int | None, backward: bool) -> str:
    """The members of a folded family that another depends on: `z[t - 1]`, or all that are before."""
    letter = variable.along.letter if variable.along is not None else ""
    if lag == 1:
        return member_name(variable.name, f"{letter} {'+' if backward else '-'} 1")
    return member_name(variable.name, f"{'>' if backward else '<'}{letter}")


def _reads(graph: Graph, factor: Factor) -> list[tuple[str, dict[str, str]]]:
    """What a factor reads, let-bound features as themselves, and how the edge from each looks."""
    double = {"color": style.twice(style.INK)} if factor.side == "p" and pushes(factor.density) else {}
    found = {name: dict(double) for name in variables(factor.density) if name != factor.head}
    for part in walk(factor.density):
        if isinstance(part, Residual):
            for name in variables(part.delta):
                found[name] = found.get(name, {}) | style.CORRECTION
    covered = set(graph.roots(found))
    for name in factor.parents:
        if name not in covered and name != factor.head:
            found.setdefault(name, dict(double))
    return list(found.items())


def _descendants(graph: Graph) -> dict[str, set[str]]:
    """For each variable those that the generative model makes from it, directly or not."""
    below: dict[str, set[str]] = {}
    for f in graph.factors:
        if f.side == "p":
            for parent in f.parents:
                below.setdefault(parent, set()).add(f.head)
    for d in graph.definitions:
        if graph[d.variable].role != "let":
            for parent in graph.roots(variables(d.value)):
                below.setdefault(parent, set()).add(d.variable)
    for start in below:
        pending = list(below[start])
        while pending:
            new = below.get(pending.pop(), set()) - below[start]
            below[start] |= new
            pending += new
    return below


def _recognised(graph: Graph) -> set[str]:
    """Modelled data and the features that are computed from it."""
    data = {v.name for v in graph.observed} - set(graph.conditions)
    lets = (v.name for v in graph.variables if v.role == "let")
    return data | {name for name in lets if data & set(graph.roots([name]))}


def pushes(density: Density) -> bool:
    """Whether a bijection is part of a density."""
    return any(isinstance(part, Pushforward) for part in walk(density))
