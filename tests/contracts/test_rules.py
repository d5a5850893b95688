"""Rules of the plan and what the emitter makes of them: a kind of step or term that nothing writes is found here."""

from __future__ import annotations

import pytest

from dgmppl.emit.steps import STEPS
from dgmppl.emit.term_kinds import TERMS
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules import RULES
from dgmppl.plan.rules.compose import GoBack
from dgmppl.plan.rules.energy import RunChain, Settle
from dgmppl.plan.rules.exact import Exact, ExactAlong, LogExact
from dgmppl.plan.rules.game import Score, Tell

# Chains are run, and gone back along, by the sampling program, what settles under an energy is written together, and
# games have methods of their own (emit/games.py).
ELSEWHERE = {RunChain, GoBack, Settle, Score, Tell}


def _kinds(base: type) -> list[type]:
    found = [kind for sub in base.__subclasses__() for kind in (sub, *_kinds(sub))]
    bases = {Exact, ExactAlong, LogExact}  # what kinds have in common, and none of them
    return [kind for kind in found if kind.__module__.startswith("dgmppl.plan.rules") and kind not in bases]


@pytest.mark.parametrize("kind", [*_kinds(Step), *_kinds(Term)], ids=lambda kind: kind.__name__)
def test_the_emitter_has_a_function_for_each_kind(kind) -> None:
    table = STEPS if issubclass(kind, Step) else TERMS
    assert kind in table or kind in ELSEWHERE or (issubclass(kind, Step) and kind.repeats)


@pytest.mark.parametrize("kind", _kinds(Step), ids=lambda kind: kind.__name__)
def test_each_kind_of_step_has_words(kind) -> None:
    assert any("words" in base.__dict__ for base in kind.__mro__[: kind.__mro__.index(Step)])


def test_each_rule_stands_once() -> None:
    assert len({type(rule) for rule in RULES}) == len(RULES)
