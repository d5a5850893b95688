"""From the typed graph to a plan, by elimination.

The factors multiply to a joint. What the data does not fix is inverted, summed or drawn from its q; what stays
unnormalised needs a negative phase; what has no density needs an opponent. The terms that remain add up.
"""

from __future__ import annotations

from dgmppl.diagnostics import Diagnostic
from dgmppl.graph.inverse import can_derive
from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Family, Scope
from dgmppl.graph.values import variables
from dgmppl.plan import wording
from dgmppl.plan.eliminate import Elimination, closed_form, eliminate, invert
from dgmppl.plan.energy import choose_sampler
from dgmppl.plan.figures import choose_figures, criterion_of
from dgmppl.plan.games import choose_games
from dgmppl.plan.generate import choose_generation
from dgmppl.plan.nodes import (
    EnergyPlan,
    Plan,
    Reason,
    Settle,
)
from dgmppl.plan.settings import ObjectiveSetting, TrainSettings, check_settings
from dgmppl.plan.structure import describe_structure
from dgmppl.plan.terms import choose_terms, weighted
from dgmppl.plan.verify import verify_asked, verify_fitted, verify_members, verify_reached, verify_rows, warn_omissions
from dgmppl.syntax import tree


def missing_posteriors(graph: Graph) -> tuple[str, ...]:
    """The latents that need a q, have none, and can be given one derived from the graph."""
    scope = Scope(graph.source)
    covered = {a for adversary in graph.adversaries for a in adversary.arguments}
    with scope.statement():
        needed = _needed(graph, covered)
        known = eliminate(scope, graph, needed, covered).known
        pending = [v for v in graph.inferred if v.name in set(needed) - known]
        # What an adversary judges must be drawn, which a variable of few values is not.
        open_ = [v for v in pending if graph.factor("q", v.name) is None and can_derive(v)]
        return tuple(v.name for v in open_ if not (v.name in covered and v.type.support.finite))
    return ()  # type: ignore[unreachable]  # elimination failed, which the plan will report


def check_plan(
    graph: Graph, spec: tree.Spec, derived: tuple[str, ...] = ()
) -> tuple[Plan | None, tuple[Diagnostic, ...]]:
    """The plan that a graph's structure calls for, or None with what it lacks (E3xx).

    `derived` are the posteriors that were derived for it, as text.
    """
    scope = Scope(graph.source)
    scope.names.update(dict(graph.constants))
    scope.names.update({v.name: v for v in graph.variables})
    scope.names.update({a.name: a for a in graph.adversaries})
    scope.names.update({v.family: Family(v.family, v.counter or "") for v in graph.variables if v.family})
    scope.names.update({p.name: p for p in graph.parameters})
    scope.places.update({v.name: v.span for v in graph.variables})
    scope.places.update({p.name: p.span for p in graph.parameters})
    scope.places.update({v.family: v.span for v in graph.variables if v.family})
    plan: Plan | None = None
    with scope.statement():
        settings, asked = check_settings(scope, spec)
        plan = _choose(scope, graph, spec, settings, asked, derived)
    failed = any(d.severity == "error" for d in scope.diagnostics)
    return (None if failed else plan), tuple(scope.diagnostics)


def _choose(
    scope: Scope,
    graph: Graph,
    spec: tree.Spec,
    settings: TrainSettings,
    asked: ObjectiveSetting | None,
    derived: tuple[str, ...],
) -> Plan:
    covered = {a for adversary in graph.adversaries for a in adversary.arguments}
    verify_rows(scope, graph)
    needed = _needed(graph, covered)
    elimination = eliminate(scope, graph, needed, covered)
    games = choose_games(scope, graph, elimination, asked)
    warn_omissions(scope, graph, elimination, covered)
    energy = None
    drawn = {q.head for q in elimination.drawn} | set(needed)
    if graph.energy is not None:
        verify_reached(scope, graph, graph.energy, elimination)
        energy = choose_sampler(scope, graph, graph.energy, drawn, asked, settings, elimination.repeated)
        verify_members(scope, graph, energy)
        _settle(scope, graph, elimination, energy)
    closed, why = closed_form(graph, elimination.drawn, elimination.summed)
    weighs = asked is not None and asked.name == "iwae" and not elimination.summed
    importance = int(asked.options.get("samples", 50)) if asked and weighs else 1
    if importance > 1:
        closed, why = False, "an importance-weighted bound needs the ratio p / q of every draw"
    terms = choose_terms(scope, graph, elimination, covered, energy, closed, asked)
    verify_fitted(scope, graph, spec, terms, games)
    terms = weighted(graph, terms, asked)
    objective = wording.describe_objective(scope, graph, elimination, terms, energy, games, closed, why, importance)
    verify_asked(scope, objective.name, asked, elimination, energy, games, terms)
    generate = choose_generation(scope, graph, energy)
    figures = choose_figures(graph, elimination, energy, objective.kind, importance)
    return Plan(
        model=graph.name,
        source=graph.source.name,
        structure=describe_structure(graph),
        objective=objective,
        steps=tuple(elimination.steps),
        terms=terms,
        generate=generate,
        conditions=graph.conditions,
        energy=energy,
        games=games,
        figures=figures,
        criterion=criterion_of(figures),
        settings=settings,
        importance=importance,
        derived=derived,
    )


def _needed(graph: Graph, covered: set[str]) -> list[str]:
    """Variables that the data leaves open and that need a value on its side.

    A latent that only feeds an implicit variable is played by the adversary instead, unless that asks for it too. A
    partial variable that nothing but an energy depends on, and that has no q, integrates to one in the rows that miss
    it, or is summed out of the energy there.
    """
    implicit = {d.variable for d in graph.definitions if graph[d.variable].role != "let" and invert(d.value) is None}
    readers = _readers(graph)
    found: list[str] = []
    for v in graph.latents:
        read = any(graph[name].role != "let" for name in readers.get(v.name, ()))
        played = v.name not in covered and read and _only_feeds(graph, v.name, readers, implicit)
        # Summed out of the energy, or settled under it: only where nothing else speaks about it.
        member = graph.energy is not None and v.name in graph.energy.arguments
        summed = member and not read and not graph.factor("q", v.name)
        if not played and not summed:
            found.append(v.name)
    used = {p for f in graph.factors for p in graph.roots(f.parents)} | covered
    used |= {name for d in graph.definitions for name in graph.roots(variables(d.value))}
    return found + [v.name for v in graph.partial if v.name in used or graph.factor("q", v.name)]


def _readers(graph: Graph) -> dict[str, set[str]]:
    """The variables that p and definitions make of each variable, features followed back to their roots."""
    found: dict[str, set[str]] = {}
    for f in graph.factors:
        for parent in graph.roots(f.parents) if f.side == "p" else ():
            found.setdefault(parent, set()).add(f.head)
    for d in graph.definitions:
        for parent in graph.roots(variables(d.value)):
            found.setdefault(parent, set()).add(d.variable)
    return found


def _only_feeds(graph: Graph, name: str, readers: dict[str, set[str]], implicit: set[str]) -> bool:
    """Whether every observed variable that depends on a latent, given the others, is implicit."""
    seen: set[str] = set()
    pending, reached = [name], set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if graph[current].role == "observed":
            reached.add(current)
        else:
            pending.extend(readers.get(current, ()))
    return bool(reached) and reached <= implicit


def _settle(scope: Scope, graph: Graph, elimination: Elimination, energy: EnergyPlan) -> None:
    """Latents of the energy that are neither summed nor drawn get values from their conditionals."""
    assert graph.energy is not None
    for name in energy.state:
        if graph[name].role == "latent" and name not in elimination.known:
            why = f"{name} is latent in the energy and cannot be summed out: it is drawn with the data held fixed"
            line = scope.source.position(graph.energy.span.start)[0]
            elimination.add(Settle(name, Reason(why, line)))
