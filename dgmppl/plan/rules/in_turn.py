"""In turn: latents along an index that depend on each other's earlier members are drawn together, member by member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.turns import Turns, turns
from dgmppl.plan.nodes import Reason, Step, Term
from dgmppl.plan.rules.density import log_prob
from dgmppl.plan.rules.draw import minus_log_prob, verify_drawable
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class DrawInTurn(Step):
    """Draws of families of one index, at each position one after another, from the factors with these keys."""

    turns: Turns
    factor_keys: tuple[str, ...]
    estimator: str = "reparameterised"

    explains: ClassVar[bool] = True

    @property
    def gives(self) -> tuple[str, ...]:
        return self.turns.variables

    @property
    def comes_from(self) -> tuple[str, ...]:
        return self.factor_keys

    def words(self) -> str:
        return f"draw {', '.join(self.gives)} in turn from {' '.join(self.factor_keys)}"


def draw_in_turn(graph: Graph, side: str, group: Turns, because: Reason) -> DrawInTurn:
    """The step that draws a group by the factors of a side."""
    factors = _factors(graph, side, group)
    reads = tuple(n for f in factors for n in graph.reads(f) if n not in group.variables)
    keys = tuple(f.key for f in factors)
    return DrawInTurn(group.variables[0], because, group, keys, reads=tuple(dict.fromkeys(reads)))


def _factors(graph: Graph, side: str, group: Turns) -> list[Factor]:
    found = [graph.factor(side, name) for name in group.variables]
    return [f for f in found if f is not None]


class DrawingInTurn(Rule):
    """Latents whose q read each other's earlier members are drawn together once all else that these read is known."""

    def apply(self, state: Elimination) -> bool:
        graph, open_ = state.graph, {v.name for v in state.open}
        for group in turns(graph, "q"):
            factors = _factors(graph, "q", group)
            outside = {p for f in factors for p in f.parents} - set(group.variables)
            if not set(group.variables) <= open_ or not outside <= state.known:
                continue
            for q in factors:
                verify_drawable(state, q)
            names = ", ".join(group.variables)
            text = f"{names} depend on each other's earlier members under q: they are drawn in turn, member by member"
            state.add(draw_in_turn(graph, "q", group, state.reason(text, factors[0].span)))
            return True
        return False

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        if not isinstance(state.step_of(factor.head), DrawInTurn):
            return None
        q = state.graph.factor("q", factor.head)
        assert q is not None
        return log_prob(state, factor, factor.head), minus_log_prob(state, q)

    def terms(self, state: Elimination) -> Iterator[Term]:
        for step in state.steps:
            for name in step.gives if isinstance(step, DrawInTurn) else ():
                q = state.graph.factor("q", name)
                if q is not None and state.graph.factor("p", name) is None:
                    yield minus_log_prob(state, q)

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for step in state.steps:
            if isinstance(step, DrawInTurn):
                yield f"one reparameterised sample of {', '.join(step.gives)}, drawn in turn"
