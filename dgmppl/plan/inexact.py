"""What keeps an objective from being exact: why latents are drawn, and what their posteriors leave out."""

from __future__ import annotations

from collections.abc import Iterator

from dgmppl.graph.inverse import choices_left_out
from dgmppl.plan.nodes import Reason
from dgmppl.plan.rules import RULES
from dgmppl.plan.rules.draw import CERTAIN, Draw
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.sum_in_common import SumInCommon
from dgmppl.plan.state import Elimination


def inexact(state: Elimination) -> tuple[Reason, ...]:
    """Of each latent that is drawn, or summed over values that rows have in common, why the rule that comes nearest
    does not take it out exactly; and what a q leaves out by choice, of which no warning is given. Nothing of latents
    that no such rule comes near."""
    return (*_drawn(state), *_left_out(state))


def _drawn(state: Elimination) -> Iterator[Reason]:
    for step in state.steps:
        if type(step) not in (Draw, DrawInTurn, Impute, SumInCommon) or getattr(step, "estimator", "") == CERTAIN:
            continue
        for variable in (state.graph[name] for name in step.gives):
            text = next((text for rule in RULES if (text := rule.declines(state, variable))), "")
            if text:
                yield state.reason(f"{variable.shown}: {text}", variable.span)


def _left_out(state: Elimination) -> Iterator[Reason]:
    for q, text in choices_left_out(state.graph, tuple(state.posteriors())):
        yield state.reason(f"{state.graph.written(q)} {text}", q.span)
