"""Impute: in the rows that miss a partial variable it is drawn from its q."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.diagnostics import Note
from dgmppl.graph.independence import of_elements
from dgmppl.graph.inverse import some_posterior
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.density import log_prob
from dgmppl.plan.rules.draw import MinusLogProb, ready, samples_of, verify_drawable
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class Impute(Step):
    """From the data in the rows that have it, or as far as its elements are seen, and drawn from the factor else."""

    estimator: str = "reparameterised"
    elementwise: bool = False

    explains: ClassVar[bool] = True

    def words(self) -> str:
        if self.elementwise:
            return f"take what is seen of {self.variable}, draw the rest from {self.factor}"
        return f"take {self.variable} where it is seen, draw it from {self.factor} where it is missing"


@dataclass(frozen=True)
class LogQSeen(Term):
    """log q of a partial variable in the rows that have it, and 0 in the others: no part of the bound."""

    factor: str

    beside: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return (self.factor,)


class Imputing(Rule):
    """Partial variables of many values are drawn from their q where they are missing. `classify` fits any partial
    variable's q to the values that are seen."""

    def apply(self, state: Elimination) -> bool:
        for v, q in ready(state):
            if v.role == "partial" and not state.few(v):
                impute(state, v, q)
                return True
        return False

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        step = state.step_of(factor.head)
        if not isinstance(step, Impute):
            return None
        return log_prob(state, factor, factor.head), minus_log_q_missing(state, state.graph.keyed(step.factor))

    def terms(self, state: Elimination) -> Iterator[Term]:
        """The term that `classify` asks for."""
        if state.asked is None or not state.asked.options.get("classify"):
            return
        for q in state.posteriors():
            if state.graph[q.head].role == "partial" and not state.graph[q.head].elementwise:
                why = state.reason(f"classify fits {q.key} to the values of {q.head} that are seen", q.span)
                shown = latex.rows(q.head, "seen") + latex.log(q)
                yield LogQSeen(f"log {q.key} where seen", q.head, why, q.key, reads=(q.head,), latex=shown)

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        samples = samples_of(state)
        many = f"{samples} reparameterised samples" if samples > 1 else "one reparameterised sample"
        found = [s for s in state.steps if isinstance(s, Impute)]
        return [f"{many} of {'what is missing of ' * s.elementwise}{s.variable}{_where(s)}" for s in found]


def _where(step: Impute) -> str:
    return "" if step.elementwise else " where it is missing"


def impute(state: Elimination, variable: Variable, q: Factor) -> None:
    """The step that draws a partial variable where it is missing (E308 for a draw without a gradient)."""
    verify_of_elements(state, variable, q)
    verify_drawable(state, q)
    text = f"{variable.name} is seen in some rows, and missing in others: there it is drawn from {q.key}"
    if variable.elementwise:
        text = f"elements of {variable.name} are missing, and all of it is needed: those are drawn from {q.key}"
    reads, why = state.graph.reads(q), state.reason(text, q.span)
    state.add(Impute(variable.name, why, elementwise=variable.elementwise, factor=q.key, reads=reads))


def verify_of_elements(state: Elimination, variable: Variable, q: Factor) -> None:
    """A q says of any elements that are missing, the others left out, how likely they are (E227)."""
    if not variable.elementwise or of_elements(q.density):
        return
    written = state.graph.written(q)
    state.scope.fail(
        "E227",
        f"any elements of `{variable.name}` may be missing, and {written} has a density of all of them together alone",
        q.density.span,
        "its elements depend on each other",
        notes=(Note(variable.span, "elementwise"),),
        help=f"let them be independent given what it reads: {_independent(state, variable)}",
    )


def _independent(state: Elimination, variable: Variable) -> str:
    others = ", ".join(v.name for v in state.graph.observed)
    return some_posterior(variable, others or variable.name, "mlp[64]")


def minus_log_q_missing(state: Elimination, q: Factor) -> MinusLogProb:
    why = state.reason(f"{q.head} comes from {q.key} where it is missing", q.span)
    shown = "-" + latex.rows(q.head, "missing") + latex.log(q)
    return MinusLogProb(f"-log {q.key} where missing", q.head, why, q.key, reads=(q.head,), latex=shown)
