"""From the typed graph to a plan, by elimination.

The factors multiply to a joint. What the data does not fix is inverted, summed or drawn from its q; what stays
unnormalised needs a negative phase; what has no density needs an opponent. The terms that remain add up.
"""

from __future__ import annotations

from dataclasses import replace

from dgmppl.diagnostics import Diagnostic
from dgmppl.graph.dropping import dropped_by
from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope, VariableFamily
from dgmppl.graph.units import find_units
from dgmppl.plan import eliminate
from dgmppl.plan.figures import choose_figures, criterion_of, figures_of_matching
from dgmppl.plan.generate import choose_generation
from dgmppl.plan.inexact import inexact
from dgmppl.plan.nodes import Loss, Plan
from dgmppl.plan.objective import describe_matching, describe_objective
from dgmppl.plan.rules.compose import Compose
from dgmppl.plan.rules.draw import samples_of
from dgmppl.plan.rules.energy import NegativePhase, sampler_of, verify_energy
from dgmppl.plan.rules.game import opponents, verify_games
from dgmppl.plan.rules.match import Matching, match
from dgmppl.plan.sampler import verify_options
from dgmppl.plan.settings import ObjectiveSetting, TrainSettings, check_settings
from dgmppl.plan.stages import resolve_stages
from dgmppl.plan.state import Elimination
from dgmppl.plan.structure import describe_structure
from dgmppl.plan.untaught import warn_untaught
from dgmppl.plan.verify import (
    verify_asked,
    verify_fitted,
    verify_gradient,
    verify_posterior,
    verify_preimages,
    verify_rows,
    warn_omissions,
    warn_shared,
)
from dgmppl.syntax import tree


def missing_posteriors(graph: Graph, spec: tree.Spec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The latents that need a q, have none, and can be given one derived from the graph; and those that become known
    through them, without a q of their own."""
    scope = Scope(graph.source)
    state = Elimination(scope, graph, eliminate.needed(graph), eliminate.judged_by_adversaries(graph))
    with scope.statement():  # which needs no q of some latents; what is wrong with it is told later
        state.asked = check_settings(_scope(graph), spec)[1]
    with scope.statement():
        return eliminate.missing_posteriors(state)
    # Elimination failed, which the plan will report: of those that were asked for so far it need not speak.
    return tuple(sorted(state.assumed)), ()  # type: ignore[unreachable]


def check_plan(
    graph: Graph, spec: tree.Spec, derived: tuple[str, ...] = ()
) -> tuple[Plan | None, tuple[Diagnostic, ...]]:
    """The plan that a graph's structure calls for, or None with what it lacks (E3xx).

    `derived` are the posteriors that were derived for it, as text.
    """
    scope = _scope(graph)
    plan: Plan | None = None
    with scope.statement():
        settings, asked = check_settings(scope, spec)
        plan = _choose(scope, graph, spec, settings, asked, derived)
    failed = any(d.severity == "error" for d in scope.diagnostics)
    return (None if failed else plan), tuple(scope.diagnostics)


def _scope(graph: Graph) -> Scope:
    """The names that settings may speak of."""
    scope = Scope(graph.source)
    scope.names.update(dict(graph.constants))
    scope.names.update({v.name: v for v in graph.variables})
    scope.names.update({a.name: a for a in graph.adversaries})
    for v in (v for v in graph.variables if v.family):
        family = scope.names.setdefault(v.family or "", VariableFamily(v.family or "", v.counter or ""))
        if isinstance(family, VariableFamily) and v.index is not None:
            family.members[v.index] = v
    scope.names.update({p.name: p for p in graph.parameters})
    scope.places.update({v.name: v.span for v in graph.variables})
    scope.places.update({p.name: p.span for p in graph.parameters})
    scope.places.update({v.family: v.span for v in graph.variables if v.family})
    return scope


def _choose(
    scope: Scope,
    graph: Graph,
    spec: tree.Spec,
    settings: TrainSettings,
    asked: ObjectiveSetting | None,
    derived: tuple[str, ...],
) -> Plan:
    verify_rows(scope, graph)
    judged = eliminate.judged_by_adversaries(graph)
    state = Elimination(scope, graph, eliminate.needed(graph), judged, asked, settings)
    eliminate.eliminate(state)
    verify_games(state)
    verify_preimages(state)
    warn_omissions(state)
    warn_shared(state)
    verify_energy(state)
    sampler = sampler_of(state)
    whole = Loss(None, eliminate.choose_terms(state), samples_of(state))
    fitted = replace(whole, terms=match(state, whole.terms))
    matched = any(isinstance(t, Matching) for t in fitted.terms)
    chain = next((t.chain for t in fitted.terms if isinstance(t, NegativePhase)), None)
    if sampler is not None and chain is not None:
        verify_options(scope, asked, sampler, chain)
    verify_fitted(state, spec, fitted)
    objective = describe_objective(state, whole)
    verify_asked(state, objective.name, fitted)
    verify_gradient(state, spec, fitted)
    figures = choose_figures(state, objective.kind, fitted)
    if matched:
        figures = figures_of_matching(state, fitted, figures)
        objective = describe_matching(state, fitted, figures)
    remark = verify_posterior(state, spec, derived)
    if remark is not None:
        objective = replace(objective, reasons=(*objective.reasons, remark))
    losses = (*opponents(state), fitted)
    composed = {s.variable: (s.factor, s.family) for s in state.steps if isinstance(s, Compose) and _in_ways(graph, s)}
    settings = resolve_stages(scope, graph, settings)
    criterion = criterion_of(state, spec, figures, matched)
    # Weights are of the fit alone: how large they make the whole says nothing of the model.
    figures = tuple(f for f in figures if f.kind != "objective" or f.name == criterion)
    plan = Plan(
        model=graph.name,
        source=graph.source.name,
        structure=describe_structure(graph),
        objective=objective,
        steps=tuple(state.steps),
        losses=losses,
        generate=choose_generation(scope, graph, None, composed),
        conditions=graph.conditions,
        samplers=(sampler,) if sampler is not None else (),
        figures=figures,
        criterion=criterion,
        settings=settings,
        derived=derived,
        evaluated=whole.terms if matched else (),
        inexact=inexact(state),
        units=find_units(graph) if settings.units else (),
    )
    warn_untaught(state, plan)
    return plan


def _in_ways(graph: Graph, step: Compose) -> bool:
    """Whether samples go back along a chain in other ways than by p: of numbers, where a mean says what the start was;
    of classes where they may be led."""
    p = graph.factor("p", step.variable)
    return step.family == "Normal" or (p is not None and bool(dropped_by(graph, graph.reads(p))))
