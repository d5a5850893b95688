"""Elimination: what the data does not fix has to go, one variable at a time, by the cheapest rule its place allows."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.graph.independence import needs_all
from dgmppl.graph.inverse import MAX_CASES, can_derive, shared_posterior, some_posterior
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.values import Autoregressive, variables
from dgmppl.plan.nodes import Reason, Step, Term
from dgmppl.plan.rules import RULES
from dgmppl.plan.rules.draw import MinusKL, MinusLogProb
from dgmppl.plan.rules.filter import filtered
from dgmppl.plan.rules.forward import chained, way_out
from dgmppl.plan.rules.impute import LogQSeen
from dgmppl.plan.rules.integrate import integrable
from dgmppl.plan.rules.invert import invert
from dgmppl.plan.rules.sum_under_q import Entropy
from dgmppl.plan.settings import RampSetting
from dgmppl.plan.state import Elimination
from dgmppl.source import Span
from dgmppl.supports import Type


def eliminate(state: Elimination) -> None:
    """Gives a value to every variable that the data leaves open and the objective needs one for.

    The first rule that makes something known is followed by all of them anew, so that a dearer one never takes what a
    cheaper one could, and the order of statements means nothing. Reports latents without a q (E306) and a q that can
    never be drawn from (E308).
    """
    exhaust(state)
    _report_open(state)
    for rule in RULES:
        rule.close(state)


def exhaust(state: Elimination) -> None:
    """Applies the rules until none makes anything known."""
    while any(rule.apply(state) for rule in RULES):
        pass


def choose_terms(state: Elimination) -> tuple[Term, ...]:
    """The terms of the model's loss: those that stand for the factors of p whose variables are known, the data's
    first, as the maths is written; then what steps leave by themselves."""
    graph = state.graph
    absorbed = {key for step in state.steps for key in step.absorbs}
    terms: list[Term] = []
    for factor in sorted(graph.factors, key=lambda f: graph[f.head].role != "observed"):
        if factor.side == "p" and factor.head in state.known and set(factor.parents) <= state.known:
            found = next(found for rule in RULES if (found := rule.stands_for(state, factor)) is not None)
            found = tuple(map(_shared, found)) if graph[factor.head].shared else found
            terms += [t for t in found if not (factor.key in absorbed and factor.key in t.factors())]
    for rule in RULES:
        terms += rule.terms(state)
    whole = tuple(terms)
    for rule in RULES:
        whole = rule.collect(state, whole)
    return _weighed(state, whole)


def _shared(term: Term) -> Term:
    """A term of what rows have in common, as the share that each of N rows has in it."""
    minus = "-" if term.latex.startswith("-") else ""
    shown = rf"{minus}\tfrac{{1}}{{N}} {term.latex.removeprefix('-')}"
    return replace(term, label=f"{term.label} / N", latex=shown, shared=True)


def _weighed(state: Elimination, terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms with the weights that `train` asks for; `beta` weighs those of latents, `classify` those that are no
    part of the bound."""
    asked = state.asked
    if asked is None:
        return terms
    beta = float(asked.options.get("beta", 1.0))
    divergences = (MinusKL, MinusLogProb, Entropy)
    latents = {t.owner for t in terms if isinstance(t, divergences) and state.graph[t.owner].role == "latent"}

    def weight(term: Term) -> float:
        if isinstance(term, LogQSeen):
            return float(asked.options["classify"])
        return asked.weights.get(term.owner, 1.0) * (beta if term.owner in latents else 1.0)

    def ramps(term: Term) -> tuple[RampSetting, ...]:
        found = (asked.ramps.get(term.owner), asked.beta if term.owner in latents else None)
        return tuple(replace(r, epochs=r.epochs or state.settings.epochs) for r in found if r is not None)

    return tuple(replace(t, weight=weight(t), ramps=() if isinstance(t, LogQSeen) else ramps(t)) for t in terms)


def _report_open(state: Elimination) -> None:
    graph, later = state.graph, integrable(state) | chained(state) | filtered(state)
    pending = [v for v in state.open if v.name not in later]
    without = [v.name for v in pending if graph.factor("q", v.name) is None]
    declared: dict[Span, list[Variable]] = {}
    for v in pending:
        if graph.factor("q", v.name) is None:
            declared.setdefault(v.span, []).append(v)
    for members in declared.values():
        _report_without(state, members)
    for v in pending:
        q = graph.factor("q", v.name)
        if q is not None and not set(without) & set(q.parents):
            unknown = [p for p in q.parents if p not in state.readable]
            state.scope.report(
                "E308",
                f"{graph.written(q)} cannot be drawn from: {', '.join(unknown)} has no value by then",
                q.head_span,
                "reads it",
                help="make the parents observed, or latents with a q of their own",
            )


def _report_without(state: Elimination, members: list[Variable]) -> None:
    """One error for what one statement declares: a variable, or members of a family (E306)."""
    v, *more = members
    kind = "latent" if v.role == "latent" else "partial variable"
    if more:
        names = [f"`{m.name}`" for m in members]
        shown = [*names[:2], f"{len(names) - 2} more"] if names[3:] else names
        missing, verb = f"the {kind}s {', '.join(shown[:-1])} and {shown[-1]}", "have"
    else:
        missing, verb = f"what is missing of `{v.name}`" if v.elementwise else f"the {kind} `{v.name}`", "has"
    help_ = _with_the_index_first(state, v) or _way_out(state, v)
    state.scope.report("E306", f"{missing} {verb} no posterior", v.span, "needs a q", help=help_)


def _with_the_index_first(state: Elimination, variable: Variable) -> str:
    """A way out for `s[k in 1..2, t in 1..8]` of few values, where data lie along `t`: only by its first index is a
    family summed out."""
    if variable.family is None or not variable.type.support.finite:
        return ""
    brackets = state.scope.source.text[variable.span.end :].partition("]")[0]
    first, *others = (part.strip(" [").split(" in ") for part in brackets.split(","))
    letters = {v.along.letter: v for v in state.graph.data if v.along is not None}
    for one in others:
        if one[0] in letters and first[0] not in letters:
            ranges = ", ".join(" in ".join(index) for index in (one, first, *(o for o in others if o is not one)))
            name = variable.name.partition("[")[0]
            return (
                f"a family is summed out along its first index: write `{one[0]}` first, along which "
                f"`{letters[one[0]].name}` lies, latent {name}[{ranges}], and so wherever it is read"
            )
    return ""


def _way_out(state: Elimination, variable: Variable) -> str:
    seen = ", ".join(o.name for o in state.graph.data if o is not variable) or variable.name
    finite = variable.type.support.finite
    if variable.shared and can_derive(variable):
        return shared_posterior(state.graph, variable).text()
    if variable.elementwise and variable.length:
        most = f"{variable.name}[{variable.along.letter if variable.along else 't'} in 1..20]"
        return (
            "members that rows of different lengths miss are summed or integrated out, where they have few values or "
            f"are normal with affine means, and depend on a few before them; with rows of one length, {most} and nan "
            "behind the end, they are drawn from a q"
        )
    if variable.elementwise and finite and not can_derive(variable):
        return (
            f"at most {MAX_CASES} joint values are summed out; elements that are independent given what they depend "
            "on, and that nothing depends on, need no value where they are missing"
        )
    if finite and variable.name in state.judged:
        return "an adversary compares draws, and those of few values cannot be differentiated: leave it out"
    if finite and variable.along is not None and not can_derive(variable):
        return way_out(state, variable)
    if finite and not can_derive(variable):
        if variable.type.shape and variable.type.support.size is not None:
            name = variable.name
            factor = state.graph.factor("p", name)
            if factor is not None and isinstance(factor.density, Autoregressive) and factor.density.axes == 1:
                count, *rest = variable.type.shape
                member = Type(variable.type.support, tuple(rest)).describe()
                return (
                    "elements that depend on each other are summed out along an index, as paths: "
                    f"latent {name}[t in 1..{count}] : {member}, and what reads them with it"
                )
            reader = next((f.head for f in state.graph.readers(name)), seen.split(", ")[0])
            each = f"{reader}[d] | {name}[d]"
            return (
                f"at most {MAX_CASES} joint values can be summed out, or as many at each position, where what depends "
                f"on `{name}` is written position by position: p({each}) = ..."
            )
        return f"at most {MAX_CASES} joint values can be summed out; others are real, or part of an energy"
    if can_derive(variable):
        return some_posterior(variable, seen, "mlp[256, 256]")
    support = variable.type.support
    if not support.discrete and not support.event_rank:
        onto = next((b.name for b in BIJECTIONS.values() if b.codomain.same_values_as(support)), "...")
        end = f"give it a q that ends in a bijection onto {support.describe()}"
        return f"{end}: q({variable.name} | {seen}) = Normal(mlp[256, 256]({seen})) >> {onto}"
    return "latents are real, positive, unit, simplex or sphere: others have no draw that can be differentiated"


# --- what needs a value, and a q -----------------------------------------------------------------


def needed(graph: Graph) -> frozenset[str]:
    """Variables that the data leaves open and that need a value on its side.

    A latent that only feeds an implicit variable is played by the adversary instead, unless that asks for it too. A
    partial variable that nothing but an energy depends on, and that has no q, integrates to one in the rows that miss
    it, or is summed out of the energy there.
    """
    judged = judged_by_adversaries(graph)
    implicit = {d.variable for d in graph.definitions if graph[d.variable].role != "let" and invert(d.value) is None}
    readers = _readers(graph)
    found: set[str] = set()
    for v in graph.latents:
        read = any(graph[name].role != "let" for name in readers.get(v.name, ()))
        played = v.name not in judged and read and _only_feeds(graph, v.name, readers, implicit)
        # Summed out of the energy, or settled under it: only where nothing else speaks about it.
        member = graph.energy is not None and v.name in graph.energy.arguments
        summed = member and not read and not graph.factor("q", v.name)
        if not played and not summed:
            found.add(v.name)
    defined = (d for d in graph.definitions if graph[d.variable].role != "let")
    used = {name for d in defined for name in graph.roots(variables(d.value))}
    open_ = (v for v in graph.partial if v.name in used | judged or graph.factor("q", v.name) or needs_all(graph, v))
    return frozenset(found | {v.name for v in open_})


def judged_by_adversaries(graph: Graph) -> frozenset[str]:
    """The arguments of adversaries."""
    return frozenset(a for adversary in graph.adversaries for a in adversary.arguments)


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


class Assumed(Step):
    """Known as if it had a q: where it is asked which latents need one."""

    def words(self) -> str:
        return f"assume {self.variable}"


def missing_posteriors(state: Elimination) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The latents that need a q, have none, and can be given one derived from the graph; and those that become known
    through them, without a q of their own.

    Latents are taken for known one by one, each followed by what the rules make of it, so that no q is derived for
    what is then inverted, computed or summed out.
    """
    exhaust(state)
    at_once = set(state.known)
    while candidates := _candidates(state):
        chosen = candidates[0]
        state.assumed.add(chosen.name)
        state.add(Assumed(chosen.name, Reason("")))
        exhaust(state)
    through = {name for name in state.known - at_once - state.assumed if state.graph.factor("q", name) is None}
    rows = {v.name for v in (*state.graph.latents, *(v for v in state.graph.partial if not v.elementwise))}
    return tuple(sorted(state.assumed)), tuple(sorted(through & rows))


def _candidates(state: Elimination) -> list[Variable]:
    """What a q may be derived for next, the best first: what is not summed out, and is nearest to the data."""
    graph, later = state.graph, integrable(state) | chained(state) | filtered(state)
    found: list[tuple[bool, bool, bool, Variable]] = []
    # A q waits for what it reads; of few values, all else is then summed out.
    awaited = {n for v in state.open if (q := graph.factor("q", v.name)) is not None for n in graph.roots(q.parents)}
    for v in state.open:
        definition = graph.definition(v.name)
        finite_judged = v.name in state.judged and v.type.support.finite
        if graph.factor("q", v.name) is not None or not can_derive(v) or finite_judged or v.name in later:
            continue
        if definition is not None and invert(definition.value) is None:
            continue  # it is computed from what has a q
        # What a definition is inverted to comes last, be it that the inversion waits for what conditions it.
        inverses = [invert(d.value) for d in graph.definitions]
        base = any(i is not None and v.name in i.latents for i in inverses)
        found.append((base, state.few(v), v.name not in awaited, v))
    return [v for *_, v in sorted(found, key=lambda c: c[:3])]
