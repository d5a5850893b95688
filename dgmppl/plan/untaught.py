"""Warnings about statements with weights that no loss teaches, each with the reason (W404)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dgmppl.catalogue.functions import STRAIGHT_THROUGH
from dgmppl.diagnostics import Note
from dgmppl.graph import held
from dgmppl.graph.nodes import Adversary, Definition, Energy, Factor, Graph, Parameter
from dgmppl.graph.values import Declared, Operation, Use, children, variables, walk
from dgmppl.plan.nodes import Plan
from dgmppl.plan.pasts import warn_short_pasts
from dgmppl.plan.reach import STEPS, cancelling_summands, reach
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw, not_reparameterised
from dgmppl.plan.rules.enumerate import Enumerate
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.plan.rules.match import Matching
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.state import Elimination
from dgmppl.plan.unread import warn_unread_elements


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
    apart = [t for t in cancelling_summands(graph, plan) if any(_holds(t, i.name) for i in _items(graph))]
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
                f"{graph.written(factor)} has no effect: {reason}",
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
                drawn = f"a draw from {blocking} in {graph.written(factor)}"
                return f"{drawn} has no gradient", "use a reparameterised draw"
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


__all__ = ["warn_untaught"]
