"""Draw: a latent is drawn from its q, and adds log p - log q, or a divergence in closed form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.catalogue.distributions import CLOSED_KL, DISTRIBUTIONS, suggestions
from dgmppl.diagnostics import Note
from dgmppl.graph.elements import lag_of
from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import (
    Autoregressive,
    Delta,
    Density,
    Mixture,
    Parametric,
    Plate,
    Pushforward,
    Quoted,
    Residual,
    Rounded,
    Sequence,
)
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.density import log_prob
from dgmppl.plan.rules.filter import IntegrateAlong, filtered
from dgmppl.plan.rules.forward import SumAlong, chained
from dgmppl.plan.rules.integrate import Integrate, integrable
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.state import Elimination
from dgmppl.supports import REAL


@dataclass(frozen=True)
class Draw(Step):
    """A draw from its factor: the step of a latent on the data's side, and of any variable of p when sampling."""

    estimator: str = "reparameterised"

    explains: ClassVar[bool] = True

    def words(self) -> str:
        return f"draw {self.variable} from {self.factor}"


CERTAIN = "certain"
"""The estimator of a draw that can have one value only."""


@dataclass(frozen=True)
class MinusLogProb(Term):
    """-log q of a draw; of a partial variable, in the rows that miss it."""

    factor: str

    scored: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return (self.factor,)


@dataclass(frozen=True)
class MinusKL(Term):
    """-KL(q || p) in closed form; `along` an index it is so member by member, given those drawn before."""

    q: str
    p: str
    along: bool = False

    scored: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return (self.q, self.p)


def ready(state: Elimination) -> list[tuple[Variable, Factor]]:
    """What needs a value and has a q whose parents are known."""
    found = [(v, state.graph.factor("q", v.name)) for v in state.open]
    readable = state.readable
    return [(v, q) for v, q in found if q is not None and readable.issuperset(q.parents)]


def takes_each_value(variable: Variable, q: Factor) -> bool:
    """Whether a variable that rows have in common takes each of its values in turn, and is not drawn."""
    return variable.type.support.discrete and not isinstance(q.density, Delta)


class DrawingShared(Rule):
    """What rows have in common is drawn from its q before anything is said of a row.

    The bound is that on the evidence of all rows, of which each has its log-likelihood and 1/N of the divergences
    (Hoffman et al., 2013, Stochastic variational inference, Eq. 4, whose global variables these are).
    """

    def apply(self, state: Elimination) -> bool:
        found = [(v, q) for v, q in ready(state) if v.shared and not takes_each_value(v, q)]
        # Parents first, so that divergences from what depends on them have a closed form.
        found.sort(key=lambda pair: not self._known_above(state, pair[0]))
        for v, q in found[:1]:
            draw(state, v, q)
        return bool(found)

    @staticmethod
    def _known_above(state: Elimination, variable: Variable) -> bool:
        p = state.graph.factor("p", variable.name)
        return p is None or set(state.graph.roots(p.parents)) <= state.known


class Drawing(Rule):
    """Latents of many values that have a q whose parents are known are drawn from it."""

    def apply(self, state: Elimination) -> bool:
        for v, q in ready(state):
            if v.role == "latent" and not state.few(v) and not (v.shared and takes_each_value(v, q)):
                draw(state, v, q)
                return True
        return False

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        step = state.step_of(factor.head)
        if type(step) is not Draw:
            return None
        q = state.graph.keyed(step.factor)
        if isinstance(q.density, Delta):
            return (log_prob(state, factor, factor.head),)  # log q is 0
        if not why_open(state, q, factor):
            along = isinstance(factor.density, Sequence)
            pairs = pairs_of(q.density, factor.density)
            families = "; ".join(dict.fromkeys(", ".join(pair) for pair in pairs))
            member = ", each member given those before" if along else ""
            why = state.reason(f"KL({q.key} || {factor.key}) has a closed form ({families}{member})", q.span)
            reads = (q.head, *state.graph.reads(factor))
            shown = "-" + latex.kl(q, factor)
            return (
                MinusKL(
                    f"-KL({q.key} || {factor.key})",
                    factor.head,
                    why,
                    q.key,
                    factor.key,
                    along,
                    reads=reads,
                    latex=shown,
                    estimator="closed form",
                ),
            )
        return log_prob(state, factor, factor.head), minus_log_prob(state, q)

    def terms(self, state: Elimination) -> Iterator[Term]:
        """The entropy of a q whose variable has no factor of p: the energy speaks of it."""
        for step in state.steps:
            apart = state.graph.factor("p", step.variable) is None and step.variable not in state.judged
            if type(step) is Draw and apart:
                yield minus_log_prob(state, state.graph.keyed(step.factor))

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        drawn = [s for s in state.steps if type(s) is Draw and s.estimator == Draw.estimator]
        certain = [s.variable for s in state.steps if type(s) is Draw and s.estimator == CERTAIN]
        samples = samples_of(state)
        if drawn:
            many = f"{samples} reparameterised samples" if samples > 1 else "one reparameterised sample"
            yield f"{many} of {', '.join(s.variable for s in drawn)}"
        if certain:
            yield f"{', '.join(certain)} without noise"
        exact = [t for t in terms if type(t) is MinusKL]
        if exact:
            others = [t for t in terms if isinstance(t, MinusLogProb)]
            yield f"KL in closed form for {', '.join(t.owner for t in exact)}" if others else "KL in closed form"
        for s in drawn:
            p = state.graph.factor("p", s.variable)
            if p is None or any(t.owner == s.variable for t in exact) or s.variable in state.judged:
                continue
            why = why_open(state, state.graph.keyed(s.factor), p)
            if ":" in why:
                yield why.partition(": ")[2]


def draw(state: Elimination, variable: Variable, q: Factor) -> None:
    """The step that draws a latent. Reports a draw that cannot be differentiated (E308)."""
    verify_drawable(state, q)
    if isinstance(q.density, Delta):
        text = f"{variable.name} is latent, and {q.key} says with certainty what it is: log q is 0"
        why = state.reason(text, q.span)
        state.add(Draw(variable.name, why, factor=q.key, reads=state.graph.reads(q), estimator=CERTAIN))
        return
    text = f"{variable.name} is latent and no bijection of the data: it is drawn from {q.key}"
    if variable.shared:
        each = f"one for each {variable.group}" if variable.group else "one for all rows"
        text = f"{variable.name} is {each}: it is drawn from {q.key}, and its divergence is counted once, 1/N a row"
    name = variable.name
    exact = name in state.normal and name in integrable(state, beside=name)
    if exact or (name in state.normal | state.normal_along and name in filtered(state, beside=name)):
        text += ", without which it would be integrated out exactly"
    state.add(Draw(variable.name, state.reason(text, q.span), factor=q.key, reads=reads_of(state.graph, variable, q)))


def reads_of(graph: Graph, variable: Variable, factor: Factor) -> tuple[str, ...]:
    """What a draw of a variable is computed from: of one for each group, which row is in which group as well."""
    reads = graph.reads(factor)
    return (*reads, *(g for g in [variable.group] if g is not None and g not in reads))


def samples_of(state: Elimination) -> int:
    """How many draws of the latents the bound weighs: those of `iwae(K)`, where there are draws to weigh."""
    asked = state.asked
    drawn = (key for s in state.steps for key in s.comes_from)
    weighs = asked is not None and asked.name == "iwae" and any(key[:1] == "q" for key in drawn)
    return int(asked.options.get("samples", 50)) if asked is not None and weighs else 1


def why_open(state: Elimination, q: Factor, p: Factor) -> str:
    """Why KL(q || p) is not used in closed form, "" where it is; behind ": " what is worth telling.

    The divergence replaces the expectation of log p - log q over the variable's draw, so nothing that p reads may be
    known through that draw. What is drawn later, and not from it, is as good as drawn before.
    """
    if not closes(q.density, p.density):
        return "no closed form"
    if samples_of(state) > 1:
        return "weighed: an importance-weighted bound needs the ratio p / q of every draw"
    at = state.position(q.head)
    late = [x for x in state.graph.roots(p.parents) if state.position(x) > at and not _drawn_apart(state, x, q.head)]
    if not late:
        return ""
    step = state.step_of(late[0])
    if isinstance(step, (SumOut, SumAlong)):
        return f"summed: no closed KL: {late[0]} is summed out of {p.key}"
    how = (
        "summed"
        if step is not None and (step.repeats or step.enumerates)
        else "drawn"
        if type(step) is Draw
        else "known"
    )
    if isinstance(step, (Integrate, IntegrateAlong)):
        return f"integrated: no closed KL: {late[0]} is integrated out of {p.key}"
    return f"late: no closed KL: {p.key} reads {late[0]}, which is {how} after {q.head}"


def _drawn_apart(state: Elimination, name: str, other: str) -> bool:
    """Whether a variable is drawn, once a row, and neither from another's draw nor from what is known through that; or
    takes each of its values, weighed by what is as far from that draw."""
    start, end = state.position(other), state.position(name)
    if any(s.repeats for s in state.steps[start:end]):
        return False
    pending, seen = [name], set[str]()
    while pending:
        step = state.step_of(pending.pop())
        if step is None or step.variable in seen:
            continue
        if other in step.gives:
            return False
        seen.add(step.variable)
        pending += step.reads
    step = state.step_of(name)
    return type(step) is Draw or (step is not None and step.enumerates)


def minus_log_prob(state: Elimination, q: Factor) -> MinusLogProb:
    why = state.reason(f"{q.head} comes from {q.key}", q.span)
    return MinusLogProb(f"-log {q.key}", q.head, why, q.key, reads=(q.head,), latex="-" + latex.log(q))


def verify_drawable(state: Elimination, q: Factor) -> None:
    """A draw must be differentiable in q's parameters (E308)."""
    blocking = not_reparameterised(q.density)
    if not blocking:
        return
    head = state.graph[q.head]
    values = joint_values(head)
    for name in state.summed():
        values *= joint_values(state.graph[name])
    finite = head.type.support.finite
    many = f", and {_count(values)} values are too many to sum" if values > MAX_CASES and finite else ""
    fit = [name for name in suggestions(head.type.support) if DISTRIBUTIONS[name].reparameterised]
    state.scope.fail(
        "E308",
        f"a draw from {blocking} cannot be differentiated{many}",
        q.head_span,
        "no gradient reaches this q",
        notes=(Note(q.density.span, blocking),),
        help="draw it through a flow: q(...) = Normal(...) >> inverse(autoregressive[masked[64]](...))"
        if isinstance(q.density, Autoregressive) and head.type.support == REAL and len(head.type.shape) == 1
        else f"use a distribution whose draws are differentiable: {', '.join(fit)}"
        if fit
        else f"leave {state.graph.written(q)} out: `{head.name}` is then summed out exactly"
        if head.name in chained(state, beside=head.name)
        else f"make `{head.name}` real, or model it by an energy E(...), which needs no q",
    )


def _count(values: float) -> str:
    return "more than a billion" if values > 1e9 else f"{int(values):,}"


def not_reparameterised(density: Density) -> str:
    """What keeps a density's draws from being differentiable, or "" where nothing does."""
    if isinstance(density, Parametric):
        return "" if DISTRIBUTIONS[density.kind].reparameterised else density.kind
    if isinstance(density, Pushforward):
        return not_reparameterised(density.base)
    if isinstance(density, Mixture):
        return "a mixture"
    if isinstance(density, Rounded):
        return "a rounded distribution"
    if isinstance(density, Autoregressive):
        return "an autoregressive factor"
    if isinstance(density, Plate):
        return not_reparameterised(density.element)
    if isinstance(density, Sequence):
        return next(filter(None, (not_reparameterised(s.law) for s in density.segments)), "")
    if isinstance(density, Quoted):
        return "a quoted factor"
    return ""


def closes(q: Density, p: Density) -> bool:
    """Whether KL(q || p) has a closed form: along an index, that of each member."""
    pairs = pairs_of(q, p)
    return bool(pairs) and all(pair in CLOSED_KL for pair in pairs)


def pairs_of(q: Density, p: Density) -> list[tuple[str, str]]:
    """The distributions of which a divergence is made: one pair, or one for each part of an index.

    Member by member it is one of laws that know the same: those before, in the order in which q draws them.
    """
    if not isinstance(q, Sequence) or not isinstance(p, Sequence):
        return [(family_of(q), family_of(p))]
    if p.backward != q.backward and lag_of(p) != 0 and lag_of(q) != 0:
        return []
    return [
        (family_of(a.law), family_of(b.law))
        for a in q.segments
        for b in p.segments
        if a.first <= b.last and b.first <= a.last
    ]


def family_of(density: Density | None) -> str:
    """The distribution whose closed forms a density has, or ""."""
    if isinstance(density, Residual):
        return "Normal"
    if isinstance(density, Plate):
        return family_of(density.element)
    return density.kind if isinstance(density, Parametric) else ""
