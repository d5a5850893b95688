"""Enumerate: in an importance-weighted bound a latent of few values takes each of them, and no q weighs these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.inverse import joint_values
from dgmppl.graph.nodes import Variable
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted


@dataclass(frozen=True)
class Enumerate(Step):
    """Takes each of its `values`, which its density weighs once that is known."""

    values: int
    estimator: str = "summed"

    explains: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    def words(self) -> str:
        return f"take each of the {counted(self.values, 'value')} of {self.variable}"


class Enumerating(Rule):
    """Where draws are weighed, latents of few values that have a q, or that the q of another reads, are summed out once
    nothing can be drawn without them.

    With z drawn for each value, ``sum_y p(x, y, z_y) / q(z_y | x, y)`` has the mean p(x), whatever a q(y | x) says: the
    ratio p / q of a value, weighed by q, is p.
    """

    def apply(self, state: Elimination) -> bool:
        if state.asked is None or state.asked.name != "iwae":
            return False
        for v in state.open:
            if v.role == "latent" and v.name not in state.members() and state.can_sum(v) and self._is_due(state, v):
                values = int(joint_values(v))
                text = (
                    f"{v.name} is latent and has few values: a bound that weighs draws takes each of the {values}, and "
                    f"needs no q of {v.name}"
                )
                state.add(Enumerate(v.name, state.reason(text, v.span), values))
                return True
        return False

    @staticmethod
    def _is_due(state: Elimination, variable: Variable) -> bool:
        """Whether its q could be evaluated, or another q waits for its value."""
        graph, q = state.graph, state.graph.factor("q", variable.name)
        if q is not None:
            return set(q.parents) <= state.readable
        waiting = {v.name for v in state.open}
        return any(
            f.side == "q" and f.head in waiting and variable.name in graph.roots(f.parents) for f in graph.factors
        )

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, Enumerate):
                yield f"{s.variable} summed out over its {counted(s.values, 'value')}"
