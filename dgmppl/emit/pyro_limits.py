"""What Pyro cannot express, each with a sentence that says why."""

from __future__ import annotations

from typing import NoReturn

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.emit.pyro_sums import needs_factor, summed
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.values import Block, Density, Mapped, Operation, Parametric, Pushforward, Use, walk
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.compose import ComposedKL
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.match import Matching

_TORCH = "compile it with --target torch"


def verify_pyro(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) with a plain sentence where Pyro cannot express the model."""
    energy = graph.energy
    if energy is not None:
        raise SpecError(
            [
                Diagnostic(
                    "E310",
                    "Pyro cannot express this model: an energy is unnormalised, and Pyro's densities are not",
                    energy.head_span,
                    "no density in closed form",
                    help=_TORCH,
                )
            ],
            graph.source,
        )
    if plan.played:
        adversary = graph.adversaries[0]
        raise SpecError(
            [
                Diagnostic(
                    "E310",
                    "Pyro cannot express this model: it is fitted by a game, and Pyro fits densities",
                    adversary.span,
                    "an adversary",
                    help=_TORCH,
                )
            ],
            graph.source,
        )
    _verify_turns(graph, plan)
    ramped = next((t for t in plan.terms if t.ramps), None)
    if ramped is not None:
        name = ramped.owner if any(v.name == ramped.owner for v in graph.variables) else graph.data[0].name
        why = f"the weight of {ramped.label} changes over the epochs, and Pyro's model knows of none"
        _refuse(graph, graph[name], why, "its weight", "give one number, or compile it with --target torch")
    simple = next((t for t in plan.terms if isinstance(t, ComposedKL) and t.simple), None)
    if simple is not None:
        why = f"the divergences of `{simple.owner}` have none of their own weights, and Pyro's have"
        _refuse(graph, graph[simple.owner], why, "its weight", "leave `simple` out, or compile it with --target torch")
    matched = next((t for t in plan.terms if isinstance(t, Matching)), None)
    if matched is not None:
        help_ = "leave `objective` out to fit its likelihood there, or compile it with --target torch"
        why = f"the flow of `{matched.variable}` is fitted by flow matching, and Pyro fits densities"
        _refuse(graph, graph[matched.variable], why, "its field is taught", help_)
    _verify_integers(graph, plan)
    _verify_rows(graph, plan)


def _verify_turns(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) where several latents are drawn in turn: each would be a site that waits for another."""
    for step in (*plan.steps, *plan.generate):
        latents = [n for n in step.gives if graph[n].role == "latent"] if isinstance(step, DrawInTurn) else []
        if latents[1:]:
            why = f"{' and '.join(f'`{n}`' for n in latents)} depend on each other member by member"
            _refuse(graph, graph[latents[1]], why, step.words())


def _verify_integers(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) where a law without a slope between whole numbers in Pyro would teach a flow of them."""
    laws: list[tuple[str, Density, object]] = []
    for step in plan.steps:
        factor = graph.factor("p", step.variable)
        definition = graph.definition(step.image) if isinstance(step, Invert) else None
        if factor is not None and definition is not None:
            laws.append((step.variable, factor.density, definition.value))
    for factor in graph.factors:
        pushed = (t for t in walk(factor.density) if isinstance(t, Pushforward))
        laws += [(factor.head, t.base, t.bijection) for t in pushed]
    for name, density, flow in laws:
        whole = any(isinstance(t, Block) and t.integer for t in walk(flow))
        if whole and any(isinstance(t, Parametric) and t.kind == "Categorical" for t in walk(density)):
            why = f"a Categorical teaches the flow of `{name}` by its slope between whole numbers, and Pyro's has none"
            _refuse(graph, graph[name], why, "of whole numbers")


def _verify_rows(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) where rows have cases, or not all the same variables."""
    exact = summed(graph, plan)
    apart = exact.steps if exact is not None else ()
    for step in (s for s in plan.steps if s not in apart):
        if isinstance(step, Invert) and _taken_apart(graph, step):
            _refuse(
                graph,
                graph[step.image],
                f"`{step.image}` is made of parts, and Pyro's sites are pushed forward one by one",
                step.words(),
            )
        if not (step.repeats or step.enumerates or isinstance(step, Impute) or needs_factor(graph, step)):
            continue
        variable = next((graph[n] for n in step.gives if graph[n].role == "partial"), graph[step.variable])
        help_ = _TORCH
        if variable.role == "partial":
            why, label = (
                f"`{variable.name}` is missing in some rows, and Pyro's guide has the same sites in all",
                "partial",
            )
        elif isinstance(step, IntegrateAlong):
            why = f"{', '.join(step.gives)} are integrated out together, and Pyro's sites are drawn one by one"
            why = f"`{variable.name}` is integrated out of rows of different lengths" if variable.length else why
            label = step.words()
        elif isinstance(step, SumAlong):
            why, label = f"`{variable.name}` is summed out along its index", step.words()
        elif step.enumerates:
            each = f"each {variable.group}" if variable.group else "all rows"
            why = f"`{variable.name}` is summed, one for {each}, and Pyro sums along axes that all rows lie along"
            label = step.words()
            if variable.group:
                help_ = (
                    f"{help_}; Pyro's TraceEnum_ELBO sums a class inside the plate of its {variable.group}, and would "
                    f"need the rows of each {variable.group} in a plate inside that, as many in each"
                )
        else:
            why = f"`{variable.name}` is summed row by row, and Pyro sums along an axis of its own"
            label = step.words()
        _refuse(graph, variable, why, label, help_)


def _refuse(graph: Graph, variable: Variable, why: str, label: str, help_: str = _TORCH) -> NoReturn:
    headline = f"Pyro cannot express this model: {why}"
    found = Diagnostic("E310", headline, variable.span, label, help=help_)
    raise SpecError([found], graph.source)


def _taken_apart(graph: Graph, step: Invert) -> bool:
    """Whether a definition is of several latents side by side, or of one in another shape."""
    definition = graph.definition(step.image)
    assert definition is not None
    value = definition.value
    while isinstance(value, (Mapped, Operation)):
        value = value.value if isinstance(value, Mapped) else value.operands[0]
    return not isinstance(value, Use)
