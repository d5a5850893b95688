"""Reachability: whatever a spec has weights for is taught by some term of some loss, or one warning says why not.

A term teaches the density that it evaluates and, through the values that it reads, what those come from: the q of a
reparameterised draw, the flow of what is inverted, the network of a feature. Gradients end at data, at draws without
one, at `floor`, and at samples of a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dgmppl.catalogue.functions import STRAIGHT_THROUGH
from dgmppl.diagnostics import Note
from dgmppl.graph import held
from dgmppl.graph.nodes import Adversary, Definition, Energy, Factor, Graph, Parameter
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
    variables,
    walk,
)
from dgmppl.plan.cancel import cancelling, summands
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.pasts import warn_short_pasts
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw, not_reparameterised
from dgmppl.plan.rules.energy import LogConditional, MinusEnergy, NegativePhase, RunChain, Settle
from dgmppl.plan.rules.enumerate import Enumerate
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.game import Score
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.invert import Invert, LogDet
from dgmppl.plan.rules.marginalise import LogSum, Marginalise
from dgmppl.plan.rules.match import Matching
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.state import Elimination
from dgmppl.plan.unread import warn_unread_elements

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
    if isinstance(term, LogSum) and not inner and not any(graph[name].elementwise for name in term.variables):
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
        apart = _cancelling(graph, plan)
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


def _cancelling(graph: Graph, plan: Plan) -> list[Value]:
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


@dataclass(frozen=True)
class _Item:
    """Something with weights: its name among what is taught, and the statement that it stands in with its key."""

    name: str
    key: str
    statement: held.Statement


def _items(graph: Graph) -> Iterator[_Item]:
    """Everything that has weights, but for adversaries' networks: each is taught by its own loss."""
    for one in held.held(graph):
        statement = one.statement
        if isinstance(statement, Adversary) or not (held.weights(one) or held.own(one)):
            continue
        if not isinstance(one.term, Parameter):
            yield _Item(one.term.attribute, _key(statement), statement)
            continue
        # A parameter that is never used is told already.
        name = one.term.name
        uses = (s for term, s in held.statements(graph) if any(_is_use(t, name) for t in walk(term)))
        first = next(uses, None)
        if first is not None:
            yield _Item(name, _key(first), first)


def _is_use(term: object, parameter: str) -> bool:
    return isinstance(term, Declared) and term.name == parameter


def _key(statement: held.Statement) -> str:
    if isinstance(statement, Factor):
        return statement.key
    return statement.variable if isinstance(statement, Definition) else "E"


def _what(item: _Item) -> str:
    """A statement as a message names it."""
    statement = item.statement
    if isinstance(statement, Definition):
        return f"`{statement.variable} = ...`"
    return f"E({', '.join(statement.arguments)})" if isinstance(statement, Energy) else item.key


def warn_untaught(state: Elimination, plan: Plan) -> None:
    """Says of each statement with weights that no loss teaches why that is so (W404)."""
    if state.failed:
        return
    graph = state.graph
    found = reach(graph, plan)
    told: set[str] = set()
    apart = [t for t in _cancelling(graph, plan) if any(_holds(t, i.name) for i in _items(graph))]
    for summand in apart:
        state.scope.report(
            "W404",
            "this part of the energy shares no variable with the data: it cancels between data and samples",
            summand.span,
            "its weights stay as they start",
            help="remove it, or let it depend on what is observed",
            severity="warning",
        )
    places = {p.name: p.span for p in graph.parameters}
    items = [i for i in _items(graph) if not (i.name in found.taught or any(_holds(t, i.name) for t in apart))]
    for item in items:
        if item.key in told:
            continue
        told.add(item.key)
        declared = [i.name for i in items if i.key == item.key and i.name in places]
        reason, help_ = _why(state, plan, item)
        statement = item.statement
        span = statement.span if isinstance(statement, Definition) else statement.head_span  # type: ignore[union-attr]
        state.scope.report(
            "W404",
            f"nothing teaches {_what(item)}: {reason}",
            span,
            "its weights stay as they start",
            notes=tuple(Note(places[name], "this parameter is one of them") for name in declared),
            help=help_,
            severity="warning",
        )
    warn_unread_elements(state)
    untaught = {item.key for item in items}
    statements: list[Factor | Definition] = [*graph.factors, *graph.definitions]
    warn_short_pasts(state, [s for s in statements if _key(s) not in untaught])
    for factor in graph.factors:
        if factor.side == "q" and factor.key not in found.statements | told and not _reads(plan, factor.key):
            reason, help_ = _why(state, plan, _Item("", factor.key, factor))
            state.scope.report(
                "W404",
                f"{factor.key} has no effect: {reason}",
                factor.head_span,
                "nothing reads it",
                help=help_,
                severity="warning",
            )


def _reads(plan: Plan, key: str) -> bool:
    return any(s.factor == key for s in plan.steps)


def _why(state: Elimination, plan: Plan, item: _Item) -> tuple[str, str]:
    """Why nothing teaches a statement, and what to do about it."""
    statement = item.statement
    drawn = next((t for t in plan.terms if isinstance(t, Matching) and item.key in t.drawn), None)
    if drawn is not None:
        help_ = "fix it, as Normal(0, 1) is, or leave `objective` out: a likelihood teaches all of it"
        return "flow matching draws its noise from it, and teaches the field alone", help_
    if isinstance(statement, Factor):
        head = statement.head
        step = state.step_of(head)
        if statement.side == "q":
            if isinstance(step, Invert):
                return f"`{head}` is known by inversion of `{step.image}`", "remove it"
            if isinstance(step, Compute):
                return f"`{head}` is computed from what is known", "remove it"
            if isinstance(step, Enumerate):
                return (
                    f"a bound that weighs draws takes every value of `{head}`, and weighs it by p",
                    "remove it, or ask for an elbo, which needs it",
                )
            if step is not None and step.factor != statement.key:
                return f"`{head}` has its values from {step.factor or 'elsewhere'}", "remove it"
            if head not in state.needed:
                return (
                    f"`{head}` has no value on the data's side, since a game takes the place of its likelihood",
                    f"remove it, or let an adversary judge ({', '.join([*_implicit(state), head])}) together",
                )
        elif isinstance(step, (Marginalise, SumOut, SumAlong)):
            return f"no likelihood depends on `{head}`, whose probabilities sum to 1", "remove it, or read it"
        elif head in state.judged:
            blocking = not_reparameterised(statement.density)
            if blocking:
                return (
                    f"the game over `{head}` takes the place of its likelihood, and a draw from {blocking} has no "
                    "gradient",
                    "make its draws differentiable, or leave it out of the adversary's arguments",
                )
    cut = _cut(state, plan, item)
    if cut is not None:
        return cut
    return "no term of the objective depends on it", "remove it, or let something that is fitted depend on it"


def _cut(state: Elimination, plan: Plan, item: _Item) -> tuple[str, str] | None:
    """Where the gradient that would reach a statement ends: at `floor`, or at a draw."""
    graph = state.graph
    for text, term in _expressions(graph):
        inside = [t for t in _under_steps(term) if _holds(t, item.name) or _depends(graph, t, item.key)]
        if inside:
            return (
                f"no gradient passes through `floor` in {text}",
                "straight_through(floor(...)) has the gradient of what it rounds",
            )
    for step in (*plan.generate, *plan.steps):
        factor = graph.keyed(step.factor) if step.factor else None
        if factor is not None and isinstance(step, Draw) and not step.repeats and not_reparameterised(factor.density):
            read = [Use(graph[r].type, factor.span, r) for r in graph.reads(factor)]
            own = item.key == factor.key or any(_depends(graph, r, item.key) for r in read)
            if own:
                blocking = not_reparameterised(factor.density)
                return f"a draw from {blocking} in {factor.key} has no gradient", "use a reparameterised draw"
    return None


def _expressions(graph: Graph) -> Sequence[tuple[str, object]]:
    found: list[tuple[str, object]] = [(f"`{d.variable} = ...`", d.value) for d in graph.definitions]
    found += [(f.key, f.density) for f in graph.factors]
    found += [("the energy", graph.energy.value)] if graph.energy is not None else []
    return found


def _holds(term: object, name: str) -> bool:
    return any(name in (getattr(t, "attribute", None), getattr(t, "name", None)) for t in walk(term))


def _under_steps(term: object) -> Iterator[object]:
    if isinstance(term, Operation) and term.op == STRAIGHT_THROUGH:
        return
    if isinstance(term, Operation) and term.op in STEPS:
        yield term.operands[0]
        return
    for child in children(term):
        yield from _under_steps(child)


def _depends(graph: Graph, term: object, key: str) -> bool:
    """Whether an expression depends on what a statement models."""
    pending, seen = list(variables(term)), set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        definition, factor = graph.definition(name), graph.factor("p", name)
        if key == name or (factor is not None and key == factor.key):
            return True
        pending += variables(definition.value) if definition is not None else ()
        pending += graph.reads(factor) if factor is not None else ()
    return False


def _implicit(state: Elimination) -> list[str]:
    return [d.variable for d in state.implicit]


__all__ = ["reach", "warn_untaught"]
