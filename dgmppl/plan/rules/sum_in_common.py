"""Sum in common: of few values that rows have in common, all that follows is computed once for each value.

A class of each group, with a q that is independent from group to group, reaches each row by the class of its own group
alone, and each density of a group likewise. So an expectation of their sum needs no joint values of all groups: with
all groups at one value, each row and each group is weighed by what q gives that value in its own,

    E_q[sum_i f(x_i, k[g_i])] = sum_v sum_i q(k[g_i] = v) f(x_i, v),

which has none of the noise of a draw (Rao-Blackwell).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.density import log_prob
from dgmppl.plan.rules.draw import reads_of, ready, takes_each_value
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.rules.sum_under_q import Entropy
from dgmppl.plan.state import Elimination
from dgmppl.words import counted


@dataclass(frozen=True)
class SumInCommon(Step):
    """Takes each of its `values`, in all groups at once, which the factor weighs in each group."""

    values: int
    estimator: str = "summed"

    explains: ClassVar[bool] = True
    enumerates: ClassVar[bool] = True

    def words(self) -> str:
        return f"sum {self.variable} over its {counted(self.values, 'value')} under {self.factor}"


@dataclass(frozen=True)
class EntropyInCommon(Entropy):
    """-E_q log q of what rows have in common: of each group, or of the one value of all rows."""


def sum_in_common(state: Elimination, v: Variable, q: Factor) -> None:
    """The step that takes each value. Reports more values together than can be summed (E220)."""
    values = int(joint_values(v))
    others = [s.variable for s in state.steps if s.enumerates]
    if math.prod((joint_values(state.graph[name]) for name in others), start=values) > MAX_CASES:
        state.scope.fail(
            "E220",
            f"{', '.join(others)} and {v.name}, which rows have in common, have more than {MAX_CASES} values together",
            v.span,
            "they would be summed, each value with each",
            help="fewer of them, or fewer classes of each",
        )
    each = f"one for each {v.group}" if v.group else "one for all rows"
    text = (
        f"{v.name} is {each}: it is summed over its {counted(values, 'value')} under {q.key}, "
        "and its divergence is counted once, 1/N a row"
    )
    reads = reads_of(state.graph, v, q)
    state.add(SumInCommon(v.name, state.reason(text, q.span), values, factor=q.key, reads=reads))


class SummingInCommon(Rule):
    """What rows have in common and takes few values is summed under its q, once nothing can be drawn without it."""

    def apply(self, state: Elimination) -> bool:
        for v, q in ready(state):
            if not v.shared or not takes_each_value(v, q):
                continue
            sum_in_common(state, v, q)
            return True
        return False

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        step = state.step_of(factor.head)
        if not isinstance(step, SumInCommon):
            return None
        q = state.graph.keyed(step.factor)
        why = state.reason(f"{q.head} comes from {q.key}", q.span)
        entropy = EntropyInCommon(
            f"-log {q.key}", q.head, why, q.key, reads=(q.head, *state.graph.reads(q)), latex="-" + latex.log(q)
        )
        return log_prob(state, factor, factor.head), entropy

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, SumInCommon):
                group = state.graph[s.variable].group
                yield f"{s.variable} summed over its {counted(s.values, 'value')}{f' in each {group}' if group else ''}"

    def declines(self, state: Elimination, variable: Variable) -> str:
        if not variable.shared or not variable.type.support.discrete:
            return ""
        whole = f"a {variable.group}" if variable.group else "the data"
        return f"an exact sum needs all rows of {whole} at once, and the bound is of rows one by one"


__all__ = ["EntropyInCommon", "SumInCommon", "SummingInCommon"]
