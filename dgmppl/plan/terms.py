"""What elimination left: the terms that add up to the objective."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.distributions import CLOSED_KL
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.plan import wording
from dgmppl.plan.eliminate import Elimination, family_of, is_drawn
from dgmppl.plan.nodes import (
    EnergyPlan,
    GivenSome,
    LogConditional,
    LogDet,
    LogProb,
    LogProbSeen,
    LogQSeen,
    MinusEnergy,
    MinusKL,
    MinusLogProb,
    NegativePhase,
    Reason,
    Term,
)
from dgmppl.plan.settings import ObjectiveSetting


def choose_terms(
    scope: Scope,
    graph: Graph,
    elimination: Elimination,
    covered: set[str],
    energy: EnergyPlan | None,
    closed: bool,
    asked: ObjectiveSetting | None = None,
) -> tuple[Term, ...]:
    """The terms of the objective: a log p for each factor whose variables are known, against the q of what was
    drawn, the log-determinants of what was inverted, and the phases of an energy.

    A latent that an adversary covers is compared by samples, so its ratio p / q is left out. With `closed`, p and q
    of one family stand together as a KL.
    """

    def line(offset: int) -> int:
        return scope.source.position(offset)[0]

    terms: list[Term] = []
    drawn = {q.head: q for q in elimination.drawn}
    sometimes = {s.variable for s in elimination.steps if isinstance(s, GivenSome)}
    # The data's factors first, as the maths is written.
    for factor in sorted(graph.factors, key=lambda f: graph[f.head].role != "observed"):
        if factor.side != "p" or factor.head not in elimination.known or not set(factor.parents) <= elimination.known:
            continue
        if factor.head in drawn and factor.head in covered:
            continue
        because = Reason(f"{factor.key} is a factor of the joint", line(factor.span.start))
        q = drawn.get(factor.head)
        paired = q is not None and is_drawn(graph, q, elimination.summed)
        pair = (family_of(q.density), family_of(factor.density)) if q is not None and paired else ("", "")
        if q is not None and closed and pair in CLOSED_KL:
            why = Reason(f"KL({q.key} || {factor.key}) has a closed form ({pair[0]}, {pair[1]})", line(q.span.start))
            label = f"-KL({q.key} || {factor.key})"
            terms.append(MinusKL(label, factor.head, why, q.key, factor.key, latex=wording.latex_kl(q, factor)))
            continue
        owner = elimination.inverted[factor.head].image if factor.head in elimination.inverted else factor.head
        latex = wording.latex_log(factor)
        if factor.head in sometimes:
            seen = wording.latex_rows(factor.head, "seen") + latex
            terms.append(LogProbSeen(f"log {factor.key} where seen", owner, because, factor.key, latex=seen))
        else:
            terms.append(LogProb(f"log {factor.key}", owner, because, factor.key, latex=latex))
        if q is not None:
            terms.append(_minus_log_q(graph, q, line(q.span.start)))
    for q in elimination.drawn:
        if graph.factor("p", q.head) is None and q.head not in covered:
            terms.append(_minus_log_q(graph, q, line(q.span.start)))
    for latent, step in elimination.inverted.items():
        label = f"log |d{latent}/d{step.image}|"
        why = Reason(f"change of variables from {step.image} to {latent}", step.because.line)
        latex = rf"\log\left|\det \frac{{\partial {latent}}}{{\partial {step.image}}}\right|"
        terms.append(LogDet(label, step.image, why, latent, latex=latex))
    if energy is not None:
        terms.extend(_energy_terms(scope, graph, energy))
    if asked is not None and asked.options.get("classify"):
        for q in elimination.drawn:
            if graph[q.head].role == "partial":
                why = Reason(f"classify fits {q.key} to the values of {q.head} that are seen", line(q.span.start))
                latex = wording.latex_rows(q.head, "seen") + wording.latex_log(q)
                terms.append(LogQSeen(f"log {q.key} where seen", q.head, why, q.key, latex=latex))
    return tuple(terms)


def _minus_log_q(graph: Graph, q: Factor, line: int) -> MinusLogProb:
    latex = wording.latex_log(q)
    if graph[q.head].role == "partial":
        why = Reason(f"{q.head} comes from {q.key} where it is missing", line)
        latex = "-" + wording.latex_rows(q.head, "missing") + latex
        return MinusLogProb(f"-log {q.key} where missing", q.head, why, q.key, latex=latex)
    return MinusLogProb(f"-log {q.key}", q.head, Reason(f"{q.head} comes from {q.key}", line), q.key, latex="-" + latex)


def _energy_terms(scope: Scope, graph: Graph, energy: EnergyPlan) -> list[Term]:
    assert graph.energy is not None
    line = scope.source.position(graph.energy.span.start)[0]
    inside = ", ".join(energy.state)
    name = "F" if energy.summed or energy.enumerated else "E"
    owner = energy.state[0]
    found: list[Term] = []
    if energy.enumerated is not None and graph[energy.enumerated].role != "latent":
        y = energy.enumerated
        why = Reason(f"{y} has few values: the energy is normalised over them exactly", line)
        some = graph[y].role == "partial"
        latex = (wording.latex_rows(y, "seen") if some else "") + rf"\log p({y} \mid {inside})"
        label = f"log p({y} | {inside})" + (" where seen" if some else "")
        found.append(LogConditional(label, y, why, y, latex=latex))
    positive = Reason("the energy of the data (the positive phase)", line)
    negative = Reason("the energy of the model's samples, whose gradient is that of -log Z", line)
    found.append(MinusEnergy(f"-{name}({inside})", owner, positive, latex=f"-{name}({inside})"))
    label = f"{name}({inside}) of samples"
    latex = rf"\mathbb{{E}}_{{p}}[{name}({inside})]"
    found.append(NegativePhase(label, owner, negative, latex=latex))
    return found


def weighted(graph: Graph, terms: tuple[Term, ...], asked: ObjectiveSetting | None) -> tuple[Term, ...]:
    """The terms with the weights that `train` asks for; `beta` weighs those of latents, `classify` those that are no
    part of the bound."""
    if asked is None:
        return terms
    beta = float(asked.options.get("beta", 1.0))
    latents = {t.owner for t in terms if isinstance(t, (MinusKL, MinusLogProb)) and graph[t.owner].role == "latent"}

    def weight(term: Term) -> float:
        if isinstance(term, LogQSeen):
            return float(asked.options["classify"])
        return asked.weights.get(term.owner, 1.0) * (beta if term.owner in latents else 1.0)

    return tuple(replace(t, weight=weight(t)) for t in terms)
