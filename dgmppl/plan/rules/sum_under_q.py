"""Sum under q: a variable of few values takes each of them, weighed by its q, and adds the entropy of q."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.inverse import joint_values
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.density import log_prob
from dgmppl.plan.rules.draw import draw, ready
from dgmppl.plan.rules.impute import impute, verify_of_elements
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted


@dataclass(frozen=True)
class Sum(Step):
    """Takes each of its `values`, which the factor weighs; a `partial` one only in the rows that miss it, and its own
    value in the others."""

    values: int
    partial: bool = False
    estimator: str = "summed"

    explains: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    def words(self) -> str:
        over = f"over its {counted(self.values, 'value')} under {self.factor}"
        if self.partial:
            return f"take {self.variable} where it is seen, sum it {over} where it is missing"
        return f"sum {self.variable} {over}"


@dataclass(frozen=True)
class Entropy(Term):
    """-E_q log q of a variable that is summed out; where that is partial, in the rows that miss it."""

    factor: str

    scored: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return (self.factor,)


class SummingUnderQ(Rule):
    """Variables of few values that have a q are summed under it, once nothing else can be drawn: rows are repeated
    for each value from there on."""

    def apply(self, state: Elimination) -> bool:
        for v, q in ready(state):
            if state.can_sum(v):
                verify_of_elements(state, v, q)
                partial = v.role == "partial"
                open_ = "seen in some rows, and missing in others" if partial else "latent and no bijection of the data"
                values = int(joint_values(v))
                where = "there it is" if partial else "it is"
                if v.elementwise:
                    open_, where = "seen in part", "what is missing is"
                text = f"{v.name} is {open_}: {where} summed over its {counted(values, 'value')} under {q.key}"
                asked = partial and state.classified
                if not v.elementwise and not asked and _would_be_summed(state, v):
                    text += ", without which it would be summed out exactly"
                why = state.reason(text, q.span)
                reads = state.graph.reads(q)
                state.add(Sum(v.name, why, values, partial, factor=q.key, reads=reads))
            elif v.role == "partial":
                impute(state, v, q)
            else:
                draw(state, v, q)
            return True
        return False

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        step = state.step_of(factor.head)
        if not isinstance(step, Sum):
            return None
        return log_prob(state, factor, factor.head), entropy(state, step)

    def terms(self, state: Elimination) -> Iterable[Term]:  # type: ignore[override]
        """The entropy of a q whose variable has no factor of p: the energy speaks of it."""
        for step in state.steps:
            if isinstance(step, Sum) and state.graph.factor("p", step.variable) is None:
                yield entropy(state, step)

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, Sum):
                where = " where it is missing" if s.partial else ""
                yield f"{s.variable} summed over its {counted(s.values, 'value')}{where}"


def _would_be_summed(state: Elimination, variable: Variable) -> bool:
    """Whether a latent that can be summed has a prior, and nothing but its own q reads it on the data's side."""
    name, graph = variable.name, state.graph
    read = any(f.side == "q" and f.head != name and name in read for f, read in state.readings)
    return graph.factor("p", name) is not None and name not in state.members() and not read and variable.along is None


def entropy(state: Elimination, step: Sum) -> Entropy:
    q = state.graph.keyed(step.factor)
    where = " where it is missing" if step.partial else ""
    why = state.reason(f"{q.head} comes from {q.key}{where}", q.span)
    shown = "-" + (latex.rows(q.head, "missing") if step.partial else "") + latex.log(q)
    label = f"-log {q.key}" + (" where missing" if step.partial else "")
    return Entropy(label, q.head, why, q.key, reads=(q.head,), latex=shown)
