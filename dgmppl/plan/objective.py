"""The objective in words and in LaTeX, with its reasons: its name follows from the terms, not the other way round."""

from __future__ import annotations

from dgmppl.catalogue.figures import Figure
from dgmppl.graph.held import statements
from dgmppl.graph.values import Autoregressive, Block, SeenPart, walk
from dgmppl.plan import latex
from dgmppl.plan.figures import quantity
from dgmppl.plan.nodes import Loss, Objective, Reason, Term
from dgmppl.plan.rules import RULES
from dgmppl.plan.rules.compose import ComposedKL
from dgmppl.plan.rules.energy import NegativePhase
from dgmppl.plan.rules.game import Score, described
from dgmppl.plan.rules.invert import Dequantise
from dgmppl.plan.rules.match import Matching, words
from dgmppl.plan.sampler import FreeEnergy
from dgmppl.plan.state import Elimination
from dgmppl.source import Span


def describe_objective(state: Elimination, fitted: Loss) -> Objective:
    """Names what elimination left, and says it as a formula."""
    graph = state.graph
    noisy = [s for s in state.steps if isinstance(s, Dequantise)]
    posteriors = state.posteriors()
    replaced = [q.head for q in posteriors if q.head in state.judged]
    implicit = [d.variable for d in state.implicit]
    terms = tuple(t for t in fitted.terms if t.rowwise)
    scored = any(t.scored for t in terms)
    beside = tuple(t for t in terms if t.beside and not isinstance(t, NegativePhase))
    terms = tuple(t for t in terms if t not in beside)
    sampler = state.sampler
    weighs = any(t.times or (isinstance(t, ComposedKL) and t.simple) for t in terms)
    weighted = "weighted terms of the " if weighs else ""
    target = quantity(state) + (" up to log Z" if sampler is not None else "")
    parts: list[str] = []
    kind = ""
    if scored and replaced:
        seen = ", ".join(v.name for v in graph.data if v.name not in (*graph.conditions, *implicit))
        parts.append(f"{weighted}expected log-likelihood of {seen} under q")
    elif scored and posteriors:
        many = f"importance-weighted bound of {fitted.samples} samples" if fitted.samples > 1 else "ELBO"
        of_all = " of all N rows, 1/N of it a row" if any(t.shared for t in terms) else ""
        parts.append(f"{weighted}{many}, a lower bound on {target}{of_all}")
        kind = "elbo"
    elif scored and noisy:
        parts.append(f"{weighted}dequantised likelihood, a lower bound on {target}")
        kind = "elbo"
    elif scored:
        parts.append(f"{weighted}exact log-likelihood {target}")
        kind = "log_prob"
    if beside:
        parts.append(_signed(f"log q of the seen {', '.join(t.owner for t in beside)}", 0, beside[0].times))
    chain = next((t.chain for t in terms if isinstance(t, NegativePhase)), None)
    if sampler is not None and chain is not None:
        parts.append(f"{'persistent ' if chain.persistent else ''}contrastive divergence")
        whole = all(graph[n].role == "observed" for n in sampler.form.state)
        exact = not scored or (kind == "log_prob" and _apart_from_energy(state, sampler.form))
        kind = "log_prob" if exact and sampler.form.partition and whole else ""
    games = [t for t in fitted.terms if isinstance(t, Score)]
    if games:
        parts.append(f"adversarial ({games[0].game})")
        kind = "" if implicit or replaced else kind
    formula, maths = _formula(state, terms, fitted.samples, scored)
    formula = " ".join([formula, *(_signed(t.label, 1, t.times) for t in beside)])
    maths = " ".join([maths, *(_signed(t.latex, 1, t.times) for t in beside)])
    for adversary in graph.adversaries if games else ():
        shown, typeset = described(state, adversary)
        call = f"{adversary.name}({', '.join(adversary.arguments)})"
        formula = f"{formula} + game({call})" if terms else f"{formula}; {shown}" if formula else shown
        maths = rf"{maths}, \quad {typeset}" if maths else typeset
    estimates = [text for rule in RULES for text in rule.estimates(state, fitted.terms)]
    if any(isinstance(t, Block) and dict(t.numbers).get("estimated") for s, _ in statements(graph) for t in walk(s)):
        estimates.append("log-determinants without bias from one random direction, and exact in figures")
    return Objective(
        " + ".join(parts) or "nothing",
        kind,
        formula,
        maths,
        "; ".join(estimates) or "every term is exact",
        _reasons(state, beside, games),
    )


def _apart_from_energy(state: Elimination, energy: FreeEnergy) -> bool:
    """Whether what is scored beside an energy multiplies its density: nothing else gives its members one, and no sum
    is taken around both."""
    members = state.members()
    alone = all(f.head not in members for f in state.graph.factors) and energy.enumerated is None
    return alone and not state.summed()


def describe_matching(state: Elimination, fitted: Loss, figures: tuple[Figure, ...]) -> Objective:
    """Names a loss of flow matching, with what else is fitted, by likelihood, beside it."""
    matched = [t for t in fitted.terms if isinstance(t, Matching)]
    others = tuple(t for t in fitted.terms if t not in matched)
    weighted = "weighted " if any(t.times for t in fitted.terms) else ""
    what = ", ".join(t.variable for t in matched)
    parts = [f"{weighted}flow matching of {what} {words(matched[0].path, matched[0].target)}"]
    parts += [f"log-likelihood of {', '.join(dict.fromkeys(t.owner for t in others))}"] if others else []
    inside = " ".join(_signed(t.label, k, t.times) for k, t in enumerate(matched))
    shown = " ".join(_signed(t.latex, k, t.times) for k, t in enumerate(matched))
    rest = " ".join(_signed(t.label, 1, t.times) for t in others)
    rest_shown = " ".join(_signed(t.latex or t.label, 1, t.times) for t in others)
    known = next((f for f in figures if f.is_likelihood), None)
    why = "the likelihood is that of the solver's steps, and is evaluated once the fit has ended"
    if known is None:
        why = "a likelihood of so many elements is not evaluated: it takes a whole Jacobian of each row"
    return Objective(
        " + ".join(parts),
        known.kind if known is not None else "",
        f"E_t[ {inside} ] {rest}".rstrip(),
        rf"\mathbb{{E}}_t\left[ {shown} \right] {rest_shown}".rstrip(),
        "one random time, and one draw of the noise, a row",
        (*(t.because for t in matched), Reason(why, matched[0].because.line)),
    )


def _formula(state: Elimination, terms: tuple[Term, ...], samples: int, scored: bool) -> tuple[str, str]:
    """The sum of the terms as text and in LaTeX, under the expectation over what is drawn."""
    phase = tuple(t for t in terms if t.beside) if samples > 1 else ()
    inside = tuple(t for t in terms if t not in phase)
    formula = " ".join(_signed(t.label, k, t.times) for k, t in enumerate(inside))
    maths = " ".join(_signed(t.latex or t.label, k, t.times) for k, t in enumerate(inside))
    if samples > 1:
        formula = f"log 1/{samples} sum of {samples} exp( {formula} )"
        maths = rf"\log \frac{{1}}{{{samples}}} \sum_{{k=1}}^{{{samples}}} \exp\left( {maths} \right)"
    posteriors = state.posteriors()
    if posteriors and scored:
        formula = f"E_{{{', '.join(q.key for q in posteriors)}}}[ {formula} ]"
        over = ", ".join(latex.factor(q) for q in posteriors)
        maths = rf"\mathbb{{E}}_{{{over}}}\left[ {maths} \right]"
    formula = " ".join([formula, *(_signed(t.label, 1, t.times) for t in phase)])
    maths = " ".join([maths, *(_signed(t.latex or t.label, 1, t.times) for t in phase)])
    return formula, maths


def _reasons(state: Elimination, beside: tuple[Term, ...], games: list[Score]) -> tuple[Reason, ...]:
    graph = state.graph
    found = [s.because for s in state.steps if s.explains]
    found += [t.because for t in beside]
    for q in state.posteriors() if not beside else ():
        if graph[q.head].role == "partial" and not graph[q.head].elementwise:
            why = (
                f"{q.key} learns from the rows that miss {q.head}: elbo(classify = 1) fits it to those that have it too"
            )
            found.append(state.reason(why, q.span))
    readers: list[tuple[str, object, Span]] = [(q.key, q.density, q.span) for q in state.posteriors()]
    readers += [(d.variable, d.value, d.span) for d in graph.definitions]
    for reader, term, span in readers:
        for name in dict.fromkeys(t.variable for t in walk(term) if isinstance(t, SeenPart)):
            why = f"{reader} reads which elements of {name} are seen beside them, and 0 for those that are not"
            found.append(state.reason(why, span))
    for f in graph.factors:
        if f.side == "p" and isinstance(f.density, Autoregressive):
            found.append(state.reason(f"{f.head} is modelled element by element, each given those before it", f.span))
    found += [t.because for t in games]
    if state.sampler is not None and graph.energy is not None:
        form = state.sampler.form
        found += [u.because for u in state.sampler.updates if u.variable != form.enumerated]
        if form.enumerated is not None:
            why = f"{form.enumerated} is one element of few values: it is summed exactly"
            found.append(state.reason(why, graph.energy.span))
    return tuple(found)


def _signed(label: str, position: int, times: str) -> str:
    if label.startswith("-"):
        return f"- {times}{label[1:]}" if position else f"-{times}{label[1:]}"
    return f"+ {times}{label}" if position else f"{times}{label}"
