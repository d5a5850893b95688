"""From the typed graph to a plan, by elimination.

The factors multiply to a joint. What the data does not fix is inverted, summed or drawn from its q; what stays
unnormalised needs a negative phase; what has no density needs an opponent. The terms that remain add up.
"""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.distributions import CLOSED_KL
from dgmppl.diagnostics import Diagnostic
from dgmppl.graph.inverse import can_derive, omissions
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import variables
from dgmppl.plan import wording
from dgmppl.plan.eliminate import Elimination, closed_form, eliminate, family_of, invert
from dgmppl.plan.energy import choose_sampler
from dgmppl.plan.games import choose_games
from dgmppl.plan.generate import choose_generation
from dgmppl.plan.nodes import (
    EnergyPlan,
    GamePlan,
    LogConditional,
    LogDet,
    LogProb,
    MinusEnergy,
    MinusKL,
    MinusLogProb,
    NegativePhase,
    Plan,
    Reason,
    Settle,
    Term,
)
from dgmppl.plan.settings import ObjectiveSetting, check_settings
from dgmppl.plan.structure import describe_structure
from dgmppl.syntax import tree


def missing_posteriors(graph: Graph) -> tuple[str, ...]:
    """The latents that need a q, have none, and can be given one derived from the graph."""
    scope = Scope(graph.source)
    covered = {a for adversary in graph.adversaries for a in adversary.arguments}
    with scope.statement():
        known = eliminate(scope, graph, _needed(graph, covered)).known
        pending = [v for v in graph.latents if v.name in _needed(graph, covered) and v.name not in known]
        return tuple(v.name for v in pending if graph.factor("q", v.name) is None and can_derive(v))
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
    plan: Plan | None = None
    with scope.statement():
        settings, asked = check_settings(scope, spec)
        plan = _choose(scope, graph, spec, settings, asked, derived)
    failed = any(d.severity == "error" for d in scope.diagnostics)
    return (None if failed else plan), tuple(scope.diagnostics)


def _choose(scope, graph, spec, settings, asked, derived):  # type: ignore[no-untyped-def]
    covered = {a for adversary in graph.adversaries for a in adversary.arguments}
    needed = _needed(graph, covered)
    elimination = eliminate(scope, graph, needed)
    games = choose_games(scope, graph, elimination, asked)
    _warn_omissions(scope, graph, elimination, covered)
    energy = None
    drawn = {q.head for q in elimination.drawn}
    if graph.energy is not None:
        energy = choose_sampler(scope, graph, graph.energy, drawn, asked, settings)
        _settle(scope, graph, elimination, energy)
    closed, why = closed_form(graph, elimination.drawn)
    importance = int(asked.options.get("samples", 50)) if asked and asked.name == "iwae" else 1
    if importance > 1:
        closed, why = False, "an importance-weighted bound needs the ratio p / q of every draw"
    terms = _terms(scope, graph, elimination, covered, energy, closed)
    _verify_fitted(scope, graph, spec, terms, games)
    terms = _weighted(terms, asked)
    objective = wording.describe_objective(scope, graph, elimination, terms, energy, games, closed, why, importance)
    _verify_asked(scope, objective.name, asked, elimination, energy, games, terms)
    generate = choose_generation(scope, graph, energy)
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
        criterion=_criterion(objective.kind, energy),
        settings=settings,
        importance=importance,
        derived=derived,
    )


def _warn_omissions(scope: Scope, graph: Graph, elimination: Elimination, covered: set[str]) -> None:
    """Says where a given q leaves out a dependence that the posterior has (W401)."""
    if any(d.severity == "error" for d in scope.diagnostics):
        return
    for omission in omissions(graph, tuple(elimination.drawn)):
        q, other = omission.factor, omission.variable
        if q.head in covered:
            continue
        given = (*q.parents, other)
        scope.report(
            "W401",
            f"the posterior of `{q.head}` depends on `{other}`, and {q.key} does not read it",
            q.head_span,
            f"leaves out {' - '.join(omission.path)}",
            help=f"a closer posterior reads it too: q({q.head} | {', '.join(given)}) = ...",
            severity="warning",
        )


def _needed(graph: Graph, covered: set[str]) -> list[str]:
    """Latents that need a value on the data's side.

    One that only feeds an implicit variable is played by the adversary instead, unless that asks for it too.
    """
    implicit = {d.variable for d in graph.definitions if graph[d.variable].role != "let" and invert(d.value) is None}
    found: list[str] = []
    for v in graph.latents:
        readers = [f.head for f in graph.factors if f.side == "p" and v.name in graph.roots(f.parents)]
        defines = [d.variable for d in graph.definitions if v.name in graph.roots(variables(d.value))]
        targets = {r for r in [*readers, *defines] if graph[r].role != "let"}
        played = v.name not in covered and targets and _only_feeds(graph, v.name, implicit)
        summed = graph.energy is not None and v.name in graph.energy.arguments and not graph.factor("q", v.name)
        if not played and not summed:
            found.append(v.name)
    return found


def _only_feeds(graph: Graph, name: str, implicit: set[str]) -> bool:
    """Whether every observed variable that depends on a latent is implicit."""
    seen, pending, reached = set(), [name], set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        for f in graph.factors:
            if f.side == "p" and current in graph.roots(f.parents):
                pending.append(f.head)
        for d in graph.definitions:
            if current in graph.roots(variables(d.value)):
                pending.append(d.variable)
        if graph[current].role == "observed":
            reached.add(current)
    return bool(reached) and reached <= implicit


def _settle(scope: Scope, graph: Graph, elimination: Elimination, energy: EnergyPlan) -> None:
    """Latents of the energy that are neither summed nor drawn get values from their conditionals."""
    assert graph.energy is not None
    for name in energy.state:
        if graph[name].role == "latent" and name not in elimination.known:
            why = f"{name} is latent in the energy and cannot be summed out: it is drawn with the data held fixed"
            line = scope.source.position(graph.energy.span.start)[0]
            elimination.add(Settle(name, Reason(why, line)))


def _terms(
    scope: Scope,
    graph: Graph,
    elimination: Elimination,
    covered: set[str],
    energy: EnergyPlan | None,
    closed: bool,
) -> tuple[Term, ...]:
    def line(offset: int) -> int:
        return scope.source.position(offset)[0]

    terms: list[Term] = []
    drawn = {q.head: q for q in elimination.drawn}
    # The data's factors first, as the maths is written.
    for factor in sorted(graph.factors, key=lambda f: graph[f.head].role != "observed"):
        if factor.side != "p" or factor.head not in elimination.known or not set(factor.parents) <= elimination.known:
            continue
        if factor.head in drawn and factor.head in covered:
            continue
        because = Reason(f"{factor.key} is a factor of the joint", line(factor.span.start))
        q = drawn.get(factor.head)
        pair = (family_of(q.density), family_of(factor.density)) if q else ("", "")
        if q is not None and closed and pair in CLOSED_KL:
            why = Reason(f"KL({q.key} || {factor.key}) has a closed form ({pair[0]}, {pair[1]})", line(q.span.start))
            label = f"-KL({q.key} || {factor.key})"
            terms.append(MinusKL(label, factor.head, why, q.key, factor.key, latex=wording.latex_kl(q, factor)))
            continue
        owner = elimination.inverted[factor.head].image if factor.head in elimination.inverted else factor.head
        terms.append(LogProb(f"log {factor.key}", owner, because, factor.key, latex=wording.latex_log(factor)))
        if q is not None:
            terms.append(_minus_log_q(q, line(q.span.start)))
    for q in elimination.drawn:
        if graph.factor("p", q.head) is None and q.head not in covered:
            terms.append(_minus_log_q(q, line(q.span.start)))
    for latent, step in elimination.inverted.items():
        label = f"log |d{latent}/d{step.image}|"
        why = Reason(f"change of variables from {step.image} to {latent}", step.because.line)
        latex = rf"\log\left|\det \frac{{\partial {latent}}}{{\partial {step.image}}}\right|"
        terms.append(LogDet(label, step.image, why, latent, latex=latex))
    if energy is not None:
        terms.extend(_energy_terms(scope, graph, energy))
    return tuple(terms)


def _minus_log_q(q: Factor, line: int) -> MinusLogProb:
    why = Reason(f"{q.head} was drawn from {q.key}", line)
    return MinusLogProb(f"-log {q.key}", q.head, why, q.key, latex="-" + wording.latex_log(q))


def _energy_terms(scope: Scope, graph: Graph, energy: EnergyPlan) -> list[Term]:
    assert graph.energy is not None
    line = scope.source.position(graph.energy.span.start)[0]
    inside = ", ".join(energy.state)
    name = "F" if energy.summed or energy.enumerated else "E"
    owner = energy.state[0]
    found: list[Term] = []
    if energy.enumerated is not None and graph[energy.enumerated].role == "observed":
        y = energy.enumerated
        why = Reason(f"{y} has few values: the energy is normalised over them exactly", line)
        latex = rf"\log p({y} \mid {inside})"
        found.append(LogConditional(f"log p({y} | {inside})", y, why, y, latex=latex))
    positive = Reason("the energy of the data (the positive phase)", line)
    negative = Reason("the energy of the model's samples, whose gradient is that of -log Z", line)
    found.append(MinusEnergy(f"-{name}({inside})", owner, positive, latex=f"-{name}({inside})"))
    label = f"{name}({inside}) of samples"
    latex = rf"\mathbb{{E}}_{{p}}[{name}({inside})]"
    found.append(NegativePhase(label, owner, negative, latex=latex))
    return found


def _verify_fitted(
    scope: Scope, graph: Graph, spec: tree.Spec, terms: tuple[Term, ...], games: tuple[GamePlan, ...]
) -> None:
    if terms or games or any(d.severity == "error" for d in scope.diagnostics):
        return
    scope.fail(
        "E309",
        "nothing here says how the data came about",
        spec.name_span,
        "no factor, energy or adversary",
        help=f"model {graph.observed[0].name}: p({graph.observed[0].name}) = ...",
    )


def _verify_asked(
    scope: Scope,
    derived: str,
    asked: ObjectiveSetting | None,
    elimination: Elimination,
    energy: EnergyPlan | None,
    games: tuple[GamePlan, ...],
    terms: tuple[Term, ...],
) -> None:
    """An objective asked for must be one that the structure allows (E303)."""
    if asked is None or any(d.severity == "error" for d in scope.diagnostics):
        return
    bound = bool(elimination.drawn)
    allowed = {
        "elbo": (bound, "an ELBO needs a latent that is drawn from a q, and none is"),
        "iwae": (bound, "an importance-weighted bound needs a latent that is drawn from a q, and none is"),
        "likelihood": (
            not bound and energy is None and bool(terms),
            "the likelihood is not exact here: it has "
            + ("latents drawn from q" if bound else "an energy" if energy else "no density"),
        ),
        "contrastive_divergence": (energy is not None, "contrastive divergence needs an energy E(...)"),
        "adversarial": (bool(games), "a game needs an adversary: adversary D(x) = mlp[256]"),
    }
    fine, why = allowed[asked.name]
    if not fine:
        scope.fail(
            "E303",
            f"{asked.name} does not fit this model",
            asked.span,
            why,
            help=f"its structure calls for: {derived}",
        )
    owners = {t.owner for t in terms} | {a for g in games for a in [g.adversary]}
    for name in asked.weights:
        if name not in owners:
            scope.fail(
                "E305",
                f"no term of the objective belongs to `{name}`",
                asked.span,
                f"terms belong to {', '.join(sorted(owners))}",
            )


def _weighted(terms: tuple[Term, ...], asked: ObjectiveSetting | None) -> tuple[Term, ...]:
    if asked is None:
        return terms
    beta = float(asked.options.get("beta", 1.0))
    latents = {t.owner for t in terms if isinstance(t, (MinusKL, MinusLogProb))}
    return tuple(
        replace(t, weight=asked.weights.get(t.owner, 1.0) * (beta if t.owner in latents else 1.0)) for t in terms
    )


def _criterion(kind: str, energy: EnergyPlan | None) -> str | None:
    """The figure that says which epoch was best, or None where nothing comparable can be computed."""
    if energy is None:
        return kind or None
    if energy.enumerated is not None:
        return f"log p({energy.enumerated} | {', '.join(energy.state)})"
    if kind:
        return kind
    return "pseudo-likelihood" if energy.pseudo else None
