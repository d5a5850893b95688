"""The objective in words and in LaTeX, with its reasons."""

from __future__ import annotations

import re

from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.supports import number_text
from dgmppl.graph.values import Autoregressive
from dgmppl.plan.eliminate import Elimination
from dgmppl.plan.figures import quantity
from dgmppl.plan.nodes import (
    Dequantise,
    Draw,
    EnergyPlan,
    GamePlan,
    GivenSome,
    Impute,
    Invert,
    LogDet,
    LogProb,
    LogQSeen,
    MinusKL,
    MinusLogProb,
    Objective,
    Reason,
    Settle,
    Sum,
    Term,
)


def latex_name(name: str) -> str:
    """`z[3]` as z_{3}, `z1` as z_{1}, longer words upright."""
    base, _, index = name.partition("[")
    digits = re.fullmatch(r"([A-Za-z]+?)_?(\d+)", base)
    subscripts = [digits.group(2)] if digits else []
    stem = digits.group(1) if digits else base
    subscripts += [index.rstrip("]")] if index else []
    shown = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}".replace("_", r"\_")
    return shown + (f"_{{{','.join(subscripts)}}}" if subscripts else "")


def latex_factor(factor: Factor) -> str:
    given = ", ".join(latex_name(p) for p in factor.parents)
    inside = latex_name(factor.head) + (rf" \mid {given}" if given else "")
    return f"{factor.side}({inside})"


def latex_log(factor: Factor) -> str:
    return rf"\log {latex_factor(factor)}"


def latex_kl(q: Factor, p: Factor) -> str:
    return rf"-\mathrm{{KL}}\left({latex_factor(q)} \,\|\, {latex_factor(p)}\right)"


def latex_rows(name: str, which: str) -> str:
    """The indicator of the rows in which a partial variable is seen, or missing."""
    return rf"\,\mathbf{{1}}[{latex_name(name)}\ \mathrm{{{which}}}]\,"


# What D maximises and the model minimises, or each of them maximises, as dgmppl.runtime.games has it.
_GAMES = {
    "nonsaturating": (
        "{D}: max E_data[log s({of})] + E_model[log s(-{of})]; model: max E_model[log s({of})], s the sigmoid",
        r"\max_{{{D}}} \mathbb{{E}}_{{\mathrm{{data}}}}[\log \sigma({of})] + "
        r"\mathbb{{E}}_{{\theta}}[\log \sigma(-{of})], \quad "
        r"\max_{{\theta}} \mathbb{{E}}_{{\theta}}[\log \sigma({of})]",
    ),
    "wasserstein": (
        "min over the model, max over {D}: E_data[{of}] - E_model[{of}]",
        r"\min_{{\theta}} \max_{{{D}}} \mathbb{{E}}_{{\mathrm{{data}}}}[{of}] - \mathbb{{E}}_{{\theta}}[{of}]",
    ),
    "hinge": (
        "{D}: max E_data[min(0, {of} - 1)] + E_model[min(0, -{of} - 1)]; model: max E_model[{of}]",
        r"\max_{{{D}}} \mathbb{{E}}_{{\mathrm{{data}}}}[\min(0, {of} - 1)] + "
        r"\mathbb{{E}}_{{\theta}}[\min(0, -{of} - 1)], \quad \max_{{\theta}} \mathbb{{E}}_{{\theta}}[{of}]",
    ),
    "least_squares": (
        "{D}: min 1/2 E_data[({of} - 1)^2] + 1/2 E_model[{of}^2]; model: min 1/2 E_model[({of} - 1)^2]",
        r"\min_{{{D}}} \tfrac{{1}}{{2}} \mathbb{{E}}_{{\mathrm{{data}}}}[({of} - 1)^2] + \tfrac{{1}}{{2}} "
        r"\mathbb{{E}}_{{\theta}}[{of}^2], \quad "
        r"\min_{{\theta}} \tfrac{{1}}{{2}} \mathbb{{E}}_{{\theta}}[({of} - 1)^2]",
    ),
}


def _game(g: GamePlan, sides: str, latex_sides: str) -> tuple[str, str]:
    """The game of an adversary in words and in LaTeX, with its penalty."""
    shown, typeset = _GAMES[g.game]
    shown, typeset = shown.format(D=g.adversary, of=sides), typeset.format(D=g.adversary, of=latex_sides)
    if g.penalty:
        size = number_text(g.penalty)
        shown += f"; {g.adversary} pays {size} E[(|grad {g.adversary}| - 1)^2]"
        typeset += rf" - {size}\, \mathbb{{E}}[(\lVert \nabla {g.adversary} \rVert - 1)^2]"
    return shown, typeset


def describe_objective(
    scope: Scope,
    graph: Graph,
    elimination: Elimination,
    terms: tuple[Term, ...],
    energy: EnergyPlan | None,
    games: tuple[GamePlan, ...],
    closed: bool,
    why_open: str,
    importance: int,
) -> Objective:
    """Names what elimination left: the name follows from the terms, not the other way round."""
    noisy = [s for s in elimination.steps if isinstance(s, Dequantise)]
    drawn = [q.head for q in elimination.drawn]
    implicit = [d.variable for d in elimination.implicit]
    replaced = [h for h in drawn if any(h in _arguments(graph, g) for g in games)]
    seen = ", ".join(v.name for v in graph.data if v.name not in (*graph.conditions, *implicit))
    target = quantity(graph, elimination)
    parts: list[str] = []
    kind = ""
    scored = any(isinstance(t, (LogProb, LogDet, MinusKL, MinusLogProb)) for t in terms)
    beside = tuple(t for t in terms if isinstance(t, LogQSeen))
    terms = tuple(t for t in terms if t not in beside)
    weighted = "weighted terms of the " if any(t.weight != 1 for t in terms) else ""
    target += " up to log Z" if energy is not None else ""
    if scored and replaced:
        parts.append(f"{weighted}expected log-likelihood of {seen} under q")
    elif scored and drawn:
        name = f"importance-weighted bound of {importance} samples" if importance > 1 else "ELBO"
        parts.append(f"{weighted}{name}, a lower bound on {target}")
        kind = "elbo"
    elif scored and noisy:
        parts.append(f"{weighted}dequantised likelihood, a lower bound on {target}")
        kind = "elbo"
    elif scored:
        parts.append(f"{weighted}exact log-likelihood {target}")
        kind = "log_prob"
    if beside:
        parts.append(_signed(f"log q of the seen {', '.join(t.owner for t in beside)}", 0, beside[0].weight))
    if energy is not None:
        persistent = "persistent " if energy.persistent else ""
        parts.append(f"{persistent}contrastive divergence")
        whole = all(graph[n].role == "observed" for n in energy.state)
        kind = "log_prob" if not scored and energy.partition and whole else ""
    if games:
        parts.append(f"adversarial ({games[0].game})")
        kind = "" if implicit or replaced else kind
    formula = " ".join(_signed(t.label, k, t.weight) for k, t in enumerate(terms))
    latex = " ".join(_signed(t.latex or t.label, k, t.weight) for k, t in enumerate(terms))
    if importance > 1:
        formula = f"log 1/{importance} sum of {importance} exp( {formula} )"
        latex = rf"\log \frac{{1}}{{{importance}}} \sum_{{k=1}}^{{{importance}}} \exp\left( {latex} \right)"
    if drawn and scored:
        over = ", ".join(q.key for q in elimination.drawn)
        formula = f"E_{{{over}}}[ {formula} ]"
        latex = rf"\mathbb{{E}}_{{{', '.join(latex_factor(q) for q in elimination.drawn)}}}\left[ {latex} \right]"
    formula = " ".join([formula, *(_signed(t.label, 1, t.weight) for t in beside)])
    latex = " ".join([latex, *(_signed(t.latex, 1, t.weight) for t in beside)])
    for g in games:
        sides = f"{g.adversary}({', '.join(_arguments(graph, g))})"
        inside = ", ".join(map(latex_name, _arguments(graph, g)))
        shown, typeset = _game(g, sides, f"{g.adversary}({inside})")
        formula = f"{formula} + game({sides})" if terms else f"{formula}; {shown}" if formula else shown
        latex = rf"{latex}, \quad {typeset}" if latex else typeset
    reasons = tuple(s.because for s in elimination.steps if isinstance(s, (Dequantise, Invert)))
    reasons += tuple(s.because for s in elimination.steps if isinstance(s, (Draw, Sum, GivenSome, Settle)))
    reasons += tuple(t.because for t in beside)
    for q in elimination.drawn if not beside else ():
        if graph[q.head].role == "partial":
            why = (
                f"{q.key} learns from the rows that miss {q.head}: elbo(classify = 1) fits it to those that have it too"
            )
            reasons += (Reason(why, scope.source.position(q.span.start)[0]),)
    for f in graph.factors:
        if f.side == "p" and isinstance(f.density, Autoregressive):
            line = scope.source.position(f.span.start)[0]
            reasons += (Reason(f"{f.head} is modelled element by element, each given those before it", line),)
    reasons += tuple(g.because for g in games)
    if energy is not None:
        reasons += tuple(u.because for u in energy.updates if u.variable != energy.enumerated)
        if energy.enumerated is not None and graph.energy is not None:
            line = scope.source.position(graph.energy.span.start)[0]
            reasons += (Reason(f"{energy.enumerated} is one element of few values: it is summed exactly", line),)
    return Objective(
        " + ".join(parts) or "nothing",
        kind,
        formula,
        latex,
        _estimator(elimination, terms, energy, games, closed, why_open, importance),
        reasons,
    )


def _arguments(graph: Graph, game: GamePlan) -> tuple[str, ...]:
    return next(a.arguments for a in graph.adversaries if a.name == game.adversary)


def _signed(label: str, position: int, weight: float) -> str:
    times = "" if weight == 1 else f"{number_text(weight)} "
    if label.startswith("-"):
        return f"- {times}{label[1:]}" if position else f"-{times}{label[1:]}"
    return f"+ {times}{label}" if position else f"{times}{label}"


def _estimator(
    elimination: Elimination,
    terms: tuple[Term, ...],
    energy: EnergyPlan | None,
    games: tuple[GamePlan, ...],
    closed: bool,
    why_open: str,
    importance: int,
) -> str:
    parts: list[str] = []
    if elimination.drawn:
        sums = [s for s in elimination.steps if isinstance(s, Sum)]
        for s in sums:
            where = " where it is missing" if s.partial else ""
            parts.append(f"{s.variable} summed over its {s.values} values{where}")
        many = f"{importance} reparameterised samples" if importance > 1 else "one reparameterised sample"
        imputed = [s.variable for s in elimination.steps if isinstance(s, Impute)]
        names = ", ".join(q.head for q in elimination.drawn if q.head not in {*elimination.summed, *imputed})
        parts += [f"{many} of {names}"] if names else []
        parts += [f"{many} of {name} where it is missing" for name in imputed]
        exact = [t for t in terms if isinstance(t, MinusKL)]
        if exact:
            parts.append(
                "KL in closed form"
                if len(exact) == len(elimination.drawn) - len(sums)
                else f"KL in closed form for {', '.join(t.owner for t in exact)}"
            )
        elif not closed:
            parts.append(why_open)
    if any(isinstance(s, Dequantise) for s in elimination.steps):
        parts.append("uniform noise in [0, 1) on the integers")
    if any(isinstance(s, Invert) for s in elimination.steps):
        parts.append("change of variables")
    if energy is not None:
        kinds = {u.kind for u in energy.updates if u.variable in energy.state}
        ways = {
            "block": "block Gibbs",
            "sites": "Gibbs, one element at a time",
            "langevin": "Langevin dynamics",
        }
        how = " and ".join(ways[k] for k in sorted(kinds))
        start = (
            "persistent chains" if energy.persistent else "chains started at the data" if energy.from_data else "chains"
        )
        parts.append(f"{how}, {energy.steps} step{'s' if energy.steps > 1 else ''}, {start}")
        if energy.summed:
            parts.append(f"{', '.join(energy.summed)} summed out in closed form")
        if energy.enumerated:
            parts.append(f"{energy.enumerated} summed over its values")
    if games:
        parts.append("two optimisers, the adversary's step first")
    return "; ".join(parts) or "every term is exact"
