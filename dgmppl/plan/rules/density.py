"""Density: a factor of p whose variables are known is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.nodes import Factor
from dgmppl.plan import latex
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class LogProb(Term):
    """log p of a factor's variable."""

    factor: str

    scored: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return (self.factor,)


class Evaluating(Rule):
    """log p for each factor that no other rule has a term for."""

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        return (log_prob(state, factor, factor.head),)


def log_prob(state: Elimination, factor: Factor, owner: str) -> LogProb:
    """log p of a factor, weighed as a term of `owner`."""
    why = state.reason(f"{factor.key} is a factor of the joint", factor.span)
    reads = (factor.head, *state.graph.reads(factor))
    return LogProb(f"log {factor.key}", owner, why, factor.key, reads=reads, latex=latex.log(factor))
