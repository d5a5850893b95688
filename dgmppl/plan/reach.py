"""Reachability: which of the weights of a spec the terms of its losses teach. What they do not: `untaught`.

A term teaches the density that it evaluates and, through the values that it reads, what those come from: the q of a
reparameterised draw, the flow of what is inverted, the network of a feature. Gradients end at data, at draws without
one, at `floor`, and at samples of a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dgmppl.catalogue.functions import STRAIGHT_THROUGH
from dgmppl.graph.nodes import Definition, Factor, Graph
from dgmppl.graph.values import (
    Apply,
    Composition,
    Constant,
    Declared,
    Element,
    Learned,
    Mapped,
    Module,
    Operation,
    Parametric,
    Pushforward,
    Quoted,
    Residual,
    Use,
    Value,
    children,
    walk,
)
from dgmppl.plan.cancel import cancelling, summands
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw, not_reparameterised
from dgmppl.plan.rules.energy import LogConditional, MinusEnergy, NegativePhase, RunChain, Settle
from dgmppl.plan.rules.game import Score
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.invert import Invert, LogDet
from dgmppl.plan.rules.marginalise import LogSum
from dgmppl.plan.rules.match import Matching

# Functions of whole values: no gradient passes.
STEPS = ("floor",)


@dataclass
class _Reach:
    """What the gradients of a plan's losses reach: names of what the model holds, and statements."""

    graph: Graph
    taught: set[str] = field(default_factory=set)
    statements: set[str] = field(default_factory=set)

    def term(self, term: object) -> Iterator[str]:
        """Marks what an expression holds as taught, and yields the variables through which gradients go on."""
        if isinstance(term, Operation) and term.op in STEPS:
            return
        if isinstance(term, Operation) and term.op == STRAIGHT_THROUGH and isinstance(term.operands[0], Operation):
            # The gradient is that of what is rounded.
            for operand in term.operands[0].operands:
                yield from self.term(operand)
            return
        if isinstance(term, Apply):
            self.taught.add(term.module.attribute)
            for value in (*term.inputs, *term.context, *term.aligned):
                yield from self.term(value)
            return
        elif isinstance(term, (Module, Learned)):
            self.taught.add(term.attribute)
        elif isinstance(term, Declared) and term.learns:
            self.taught.add(term.name)
        elif isinstance(term, Composition) and term.attribute:
            self.taught.add(term.attribute)
        elif isinstance(term, Use):
            yield term.variable
        elif isinstance(term, Residual):
            yield from self.factor(self.graph.keyed(term.prior))
        elif isinstance(term, Quoted):
            quoted = self.graph.keyed(term.factor)
            # What it reads itself is replaced by what is given here.
            list(self.factor(quoted))
        if isinstance(term, Element):
            yield from self.term(term.value)
            return
        for child in children(term):
            yield from self.term(child)

    def factor(self, factor: Factor) -> Iterator[str]:
        self.statements.add(factor.key)
        yield from self.term(factor.density)

    def definition(self, definition: Definition) -> Iterator[str]:
        self.statements.add(definition.variable)
        yield from self.term(definition.value)


def reach(graph: Graph, plan: Plan) -> _Reach:
    """What the losses of a plan teach."""
    found = _Reach(graph)
    given = {name: s for s in plan.steps for name in s.gives}
    sampled = {name: s for s in plan.generate for name in s.gives}
    through: dict[str, set[str]] = {"given": set(), "sampled": set()}
    for loss in plan.losses:
        if loss.adversary is not None:
            adversary = next(a for a in graph.adversaries if a.name == loss.adversary)
            found.taught.add(adversary.module.attribute)
            continue
        for term in loss.terms:
            _follow(found, given, _starts(found, plan, term, given), through["given"])
            if isinstance(term, Score):
                arguments = next(a.arguments for a in graph.adversaries if a.name == term.owner)
                if term.real:
                    _follow(found, given, arguments, through["given"])
                if term.fake:
                    _follow(found, sampled, arguments, through["sampled"])
    return found


def _starts(found: _Reach, plan: Plan, term: object, given: dict[str, Step]) -> Iterator[str]:
    """The variables that a term's gradient goes to first; what it evaluates itself is marked as taught."""
    graph = found.graph
    inner = getattr(term, "terms", ())
    if isinstance(term, LogSum) and not inner and not any(graph[n].role == "partial" for n in term.variables):
        return  # probabilities that sum to 1
    for t in inner:
        yield from _starts(found, plan, t, given)
    for key in term.factors():  # type: ignore[attr-defined]
        factor = graph.keyed(key)
        if not _is_flat(factor):
            yield factor.head
        yield from found.factor(factor)
    if isinstance(term, Matching):
        yield from _of_fields(found, term)
    if isinstance(term, LogDet) and not graph[term.variable].type.support.integral:  # where it is 0
        yield term.variable
    if isinstance(term, (MinusEnergy, NegativePhase, LogConditional)) and graph.energy is not None:
        apart = cancelling_summands(graph, plan)
        yield from (name for t in summands(graph.energy.value) if t not in apart for name in found.term(t))
        found.statements.add("E")
        if not isinstance(term, NegativePhase):
            yield from term.reads


def _of_fields(found: _Reach, term: Matching) -> Iterator[str]:
    """What the error of a field teaches: the field, and what conditions it. Noise is drawn without a gradient."""
    definition, factor = found.graph.definition(term.variable), found.graph.factor("p", term.variable)
    found.statements.add(term.variable if definition is not None else factor.key if factor is not None else "")
    source = definition.value if definition is not None else factor.density if factor is not None else None
    for part in walk(source):
        if isinstance(part, (Mapped, Pushforward)):
            yield from found.term(part.bijection)


def _is_flat(factor: Factor) -> bool:
    """Whether all values have one probability, which teaches nothing about where they come from."""
    density = factor.density
    if not isinstance(density, Parametric) or density.kind != "Categorical" or density.joint is not None:
        return False
    return all(isinstance(value, Constant) for _, value in density.arguments)


def cancelling_summands(graph: Graph, plan: Plan) -> list[Value]:
    """The summands of the energy that no loss depends on."""
    if graph.energy is None:
        return []
    anchored = {name for loss in plan.losses for term in loss.terms for name in _anchors(term)}
    return cancelling(graph, graph.energy.value, anchored)


def _anchors(term: object) -> Iterator[str]:
    for t in getattr(term, "terms", ()):
        yield from _anchors(t)
    if isinstance(term, MinusEnergy):
        yield from term.reads
    if isinstance(term, LogConditional):
        yield from (*term.reads, term.variable)


def _follow(found: _Reach, steps: dict[str, Step], names: Iterable[str], seen: set[str]) -> None:
    """Marks what gives these variables their values as taught, as far as gradients pass; those `seen` are."""
    graph = found.graph
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        step = steps.get(name)
        definition = graph.definition(name)
        if isinstance(step, Invert):
            image = graph.definition(step.image)
            assert image is not None
            found.statements.add(image.variable)
            # Read backwards, rounding is noise that was added: gradients pass through the flow below it.
            value = image.value.operands[0] if isinstance(image.value, Operation) else image.value
            pending += [v for v in found.term(value) if v != name]
            pending.append(step.image)
        elif isinstance(step, Compute) and definition is not None:
            pending += found.definition(definition)
        elif isinstance(step, (Settle, RunChain)):
            continue
        elif isinstance(step, DrawInTurn):
            key = next(k for k in step.factor_keys if graph.keyed(k).head == name)
            if not not_reparameterised(graph.keyed(key).density):
                pending += found.factor(graph.keyed(key))
        elif step is not None and step.factor and graph.keyed(step.factor).head == name:
            factor = graph.keyed(step.factor)
            if step.repeats or not (isinstance(step, Draw) and not_reparameterised(factor.density)):
                pending += found.factor(factor)
        elif step is None and definition is not None and graph[name].role == "let":
            pending += found.definition(definition)


__all__ = ["STEPS", "cancelling_summands", "reach"]
