"""What a model holds: parameters, networks and flows, each once, and how many weights they have.

The constructor of emitted source is written from it, and weights are counted by it, so that both agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dgmppl.graph.nodes import Adversary, Definition, Energy, Factor, Graph, Parameter
from dgmppl.graph.values import (
    Apply,
    Bijection,
    Block,
    Composition,
    Inverse,
    Learned,
    Levels,
    Mixture,
    Module,
    Points,
    children,
    walk,
)

Statement = Parameter | Definition | Factor | Energy | Adversary
Holdable = Parameter | Module | Composition | Learned | Points


@dataclass(frozen=True)
class Held:
    """Something that the model holds under a name of its own, with the statement that first needs it.

    `shape` is that of a learned value, with an axis for the components of a mixture where it has one for each;
    `zeros`: it starts at zero, as the logits of a mixture do.
    """

    term: Holdable
    statement: Statement
    shape: tuple[int, ...] = ()
    zeros: bool = False


def statements(graph: Graph) -> Iterator[tuple[object, Statement]]:
    """Every typed expression of the graph, with the statement that it stands in."""
    for d in graph.definitions:
        yield d.value, d
    for f in graph.factors:
        yield f.density, f
    if graph.energy is not None:
        yield graph.energy.value, graph.energy
    for a in graph.adversaries:
        yield a.module, a


def held(graph: Graph) -> tuple[Held, ...]:
    """Everything that the model holds, in order of first use; what a flow names stands before the flow."""
    found: dict[str, Held] = {p.ident: Held(p, p, p.type.shape) for p in graph.parameters}
    for term, statement in statements(graph):
        for one in held_by(term, statement):
            attribute = one.term.ident if isinstance(one.term, Parameter) else one.term.attribute
            found.setdefault(attribute, one)
    return tuple(found.values())


def held_by(term: object, statement: Statement) -> Iterator[Held]:
    """What a typed expression needs the model to hold, shared or not."""
    if isinstance(term, Composition) and term.attribute:
        yield from _named_inside(term, statement)
        yield Held(term, statement)
    elif isinstance(term, Module):
        yield Held(term, statement)
    elif isinstance(term, Learned):
        yield Held(term, statement, (term.copies, *term.shape) if term.copies else term.shape)
    elif isinstance(term, Points):
        yield Held(term, statement)
    inside = {id(m) for m in _modules_inside(term)} if isinstance(term, Block) else set()
    for child in children(term):
        if isinstance(term, Mixture) and child is term.weights and isinstance(child, Learned):
            yield Held(child, statement, child.shape, zeros=True)
        elif id(child) not in inside:
            yield from held_by(child, statement)


def _named_inside(chain: Composition, statement: Statement) -> Iterator[Held]:
    """The named networks and flows that a flow is made of."""
    for part in chain.parts:
        for t in walk(part):
            if isinstance(t, Composition) and t.attribute:
                yield from held_by(t, statement)
            elif isinstance(t, Block):
                yield from (Held(m, statement) for _, m in t.slots if m.named)


def _modules_inside(block: Block) -> tuple[Module, ...]:
    """The networks that a bijection holds itself: those without a name."""
    return tuple(m for _, m in block.slots if not m.named)


def blocks(bijection: Bijection, times: int = 1) -> Iterator[tuple[Block, int]]:
    """The bijections that a flow holds itself, with how many of each; not those of flows that it names."""
    if isinstance(bijection, Block):
        yield bijection, times
    elif isinstance(bijection, Composition):
        for part in bijection.parts:
            if not (isinstance(part, Composition) and part.attribute):
                yield from blocks(part, times * bijection.repeat)
    elif isinstance(bijection, Inverse) and not (
        isinstance(bijection.inner, Composition) and bijection.inner.attribute
    ):
        yield from blocks(bijection.inner, times)
    elif isinstance(bijection, Levels):
        for level in bijection.levels:
            if not (isinstance(level, Composition) and level.attribute):
                yield from blocks(level, times)


def every_block(bijection: Bijection, times: int = 1) -> Iterator[tuple[Block, int]]:
    """The bijections that a flow applies, those of flows that it names included, with how many of each."""
    if isinstance(bijection, Block):
        yield bijection, times
    elif isinstance(bijection, Composition):
        for part in bijection.parts:
            yield from every_block(part, times * bijection.repeat)
    elif isinstance(bijection, Inverse):
        yield from every_block(bijection.inner, times)
    elif isinstance(bijection, Levels):
        for level in bijection.levels:
            yield from every_block(level, times)


def networks(one: Held) -> Iterator[tuple[Module, int]]:
    """The networks that one holds, with how many of each."""
    if isinstance(one.term, Module):
        yield one.term, 1
    elif isinstance(one.term, Composition):
        for block, times in blocks(one.term):
            yield from ((m, times) for m in _modules_inside(block))


def random_networks(graph: Graph) -> dict[str, str]:
    """Networks with random weights: the variable of the weights of each, and the name that the model holds it by."""
    terms = (term for value, _ in statements(graph) for term in walk(value))
    return {t.weights.variable: t.module.attribute for t in terms if isinstance(t, Apply) and t.weights is not None}


def own(one: Held) -> tuple[str, ...]:
    """The classes of a user's that it holds, whose weights are known once they are built."""
    return tuple(path for module, _ in networks(one) for path in module.own)


def weights(one: Held) -> int:
    """How many numbers it learns, without those of a user's own networks."""
    if isinstance(one.term, Points) or (isinstance(one.term, Parameter) and not one.term.learns):
        return 0
    if isinstance(one.term, (Parameter, Learned)):
        return math.prod(one.shape)
    own = sum(b.own_weights * times for b, times in blocks(one.term)) if isinstance(one.term, Composition) else 0
    return own + sum(m.weights * times for m, times in networks(one) if not m.random)
