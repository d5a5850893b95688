"""Marginalise: a latent of few values without a q takes each of them, weighed by its own prior, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.inverse import joint_values
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.draw import MinusLogProb
from dgmppl.plan.rules.enumerate import Enumerate
from dgmppl.plan.rules.exact import LogExact
from dgmppl.plan.rules.filter import filtered
from dgmppl.plan.rules.forward import chained
from dgmppl.plan.rules.integrate import integrable
from dgmppl.plan.rules.invert import follows
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted


@dataclass(frozen=True)
class Marginalise(Step):
    """Takes each of its `values`, which its prior weighs; of a `partial` one, which rows miss or whose elements are
    missing (`elementwise`), those that agree with what is seen."""

    values: int
    partial: bool = False
    elementwise: bool = False
    estimator: str = "summed"

    explains: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    def words(self) -> str:
        if self.partial and not self.elementwise:
            over = f"over its {counted(self.values, 'value')} under {self.factor}"
            return f"take {self.variable} where it is seen, sum it out {over} where it is missing"
        if self.partial:
            return f"take what is seen of {self.variable}, sum the rest out under {self.factor}"
        return f"sum {self.variable} out over its {counted(self.values, 'value')} under {self.factor}"


@dataclass(frozen=True)
class LogSum(Term):
    """log sum_k p(k) exp(terms), where `terms` depend on k; the sums of several variables are nested, outermost
    first. `factor_keys` are those of the priors."""

    variables: tuple[str, ...]
    factor_keys: tuple[str, ...]
    terms: tuple[Term, ...]

    scored: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return (*self.factor_keys, *(key for t in self.terms for key in t.factors()))


@dataclass(frozen=True)
class MinusLogProbAnew(MinusLogProb):
    """-log q of a draw whose rows were repeated since: q is evaluated anew, for what it reads."""


class Marginalising(Rule):
    """Latents of few values that have no q are summed out exactly, once everything else is known, but for what follows
    from the data given them, or is integrated out given them. So is a variable of few values that rows miss, or of
    which elements are missing, where it is needed.

    log sum_k p(k) p(x | k) is the likelihood itself where nothing is drawn, and a tighter bound than any q of k where
    something is (Tomczak, 2022, Eq. 1.7, for the mixture).
    """

    def apply(self, state: Elimination) -> bool:
        along = chained(state)
        fitting = {v.name for v in state.open if v.name not in along and self.fits(state, v)}
        later = fitting | along | filtered(state) | integrable(state) | follows(state, fitting)
        if any(v.name not in later for v in state.open):
            return False
        for v in state.open:
            p = state.graph.factor("p", v.name)
            if p is None or v.name in along or not set(state.graph.reads(p)) <= state.known or not state.can_sum(v):
                continue
            values = int(joint_values(v))
            text = (
                f"{v.name} is latent, of few values and has no q: it is summed out over its {counted(values, 'value')}"
            )
            if v.elementwise:
                many = counted(values, "value")
                text = f"{v.name} is seen in part, and has {many}: those that agree with it are summed out"
            elif v.role == "partial":
                text = (
                    f"{v.name} is seen in some rows, and missing in others, of few values and has no q: there it is "
                    f"summed out over its {counted(values, 'value')}"
                )
            why, reads = state.reason(text, v.span), state.graph.reads(p)
            some = v.role == "partial"
            state.add(Marginalise(v.name, why, values, some, v.elementwise, factor=p.key, reads=reads))
            return True
        return False

    @staticmethod
    def fits(state: Elimination, variable: Variable) -> bool:
        """Whether a variable may be summed out under its prior."""
        graph = state.graph
        alone = state.may_be_taken_out(variable)
        modelled = graph.factor("p", variable.name) is not None and variable.name not in state.members()
        return alone and modelled and state.few(variable) and variable.name not in state.assumed

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        # The prior weighs the values: it is no term of its own.
        return () if isinstance(state.step_of(factor.head), Marginalise) else None

    def collect(self, state: Elimination, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        sums = [s for s in state.steps if isinstance(s, (Marginalise, Enumerate))]
        if not sums:
            return terms
        graph = state.graph
        first = state.steps.index(sums[0])
        cases = {name for s in state.steps[first:] for name in s.gives}
        within = tuple(t for t in terms if set(t.reads) & cases and not t.beside)
        outside = tuple(t for t in terms if t not in within)
        inside = tuple(_anew(state, t) for t in within)
        names = tuple(s.variable for s in sums)
        priors = tuple(s.factor for s in sums if s.factor)
        drawn = [t for t in inside if isinstance(t, MinusLogProb)]
        scored = [t for t in inside if t.factors() and t not in drawn]
        label = f"log sum over {', '.join(names)} of {' '.join([*priors, *map(_product, scored)])}"
        shown = rf"\log \sum_{{{', '.join(map(latex.name, names))}}} " + r" \, ".join(
            [*(latex.factor(graph.keyed(key)) for key in priors), *(_latex(graph, t) for t in scored)]
        )
        label += "".join(f" / {' '.join(t.factors())}" for t in drawn)
        shown += "".join(rf" \, / \, {_latex(graph, t)}" for t in drawn)
        others = [t for t in inside if not t.factors()]
        if others:
            label += "".join(f" exp({t.label})" for t in others)
            shown += "".join(rf"\, \exp\left( {t.latex or t.label} \right)" for t in others)
        reads = tuple(dict.fromkeys(name for t in inside for name in t.reads)) or names
        owner = min((t.owner for t in inside if isinstance(t, (LogProb, LogExact))), default=names[0])
        total = LogSum(label, owner, sums[0].because, names, priors, inside, reads=(*names, *reads), latex=shown)
        at = next((k for k, t in enumerate(terms) if t in within), 0)
        return (*(t for t in terms[:at] if t in outside), total, *(t for t in terms[at:] if t in outside))

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, Marginalise):
                where = " where it is missing" if s.partial and not s.elementwise else ""
                yield f"{s.variable} summed out over its {counted(s.values, 'value')}{where}"


def _anew(state: Elimination, term: Term) -> Term:
    """A term as it stands in a sum over cases."""
    if type(term) is not MinusLogProb:
        return term
    q = state.graph.keyed(term.factor)
    if not any(s.repeats for s in state.steps[state.position(q.head) :]):
        return term
    reads = (q.head, *state.graph.reads(q))
    return MinusLogProbAnew(term.label, term.owner, term.because, term.factor, reads=reads, latex=term.latex)


def _product(term: Term) -> str:
    """The densities that a term is the logarithm of."""
    return term.label.removeprefix("log ") if isinstance(term, LogExact) else " ".join(term.factors())


def _latex(graph: Graph, term: Term) -> str:
    if isinstance(term, LogExact):
        return term.latex.removeprefix(r"\log ")
    return r" \, ".join(latex.factor(graph.keyed(key)) for key in term.factors())
