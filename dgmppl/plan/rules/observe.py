"""Observe: the data gives a variable its value, in every row or in those that have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.nodes import Factor
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class Given(Step):
    """From the data, or as a condition."""

    def words(self) -> str:
        return f"take {self.variable}"


@dataclass(frozen=True)
class GivenSome(Given):
    """From the data in the rows that have it. In the others nothing depends on it, and it integrates to one."""

    elementwise: bool = False

    explains: ClassVar[bool] = True

    def words(self) -> str:
        return f"take what is seen of {self.variable}" if self.elementwise else f"take {self.variable} where it is seen"


@dataclass(frozen=True)
class LogProbSeen(LogProb):
    """log p in the rows that have its variable, and 0 in the others; or of the elements that are seen."""


class Observe(Rule):
    """Observed variables are known; a partial one that nothing needs where it is missing is known as far as it is
    seen."""

    def apply(self, state: Elimination) -> bool:
        found = False
        for v in state.graph.observed:
            if v.name not in state.known:
                condition = v.name in state.graph.conditions
                why = f"{v.name} is {'a condition: nothing models it' if condition else 'observed'}"
                state.add(Given(v.name, state.reason(why, v.span)))
                found = True
        for v in state.graph.partial:
            if v.name not in state.needed | state.known:
                others = "it is summed out of the energy" if v.name in state.members() else "nothing depends on it"
                why = f"{v.name} is seen in some rows, and {others} in the others"
                if v.elementwise:
                    why = f"elements of {v.name} are missing, and nothing depends on those: they are integrated out"
                state.add(GivenSome(v.name, state.reason(why, v.span), elementwise=v.elementwise))
                found = True
        return found

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        if not isinstance(state.step_of(factor.head), GivenSome):
            return None
        reads = (factor.head, *state.graph.reads(factor))
        why = state.reason(f"{factor.key} is a factor of the joint", factor.span)
        shown = latex.rows(factor.head, "seen") + latex.log(factor)
        return (LogProbSeen(f"log {factor.key} where seen", factor.head, why, factor.key, reads=reads, latex=shown),)
