"""What a rule of elimination is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dgmppl.graph.nodes import Factor, Variable
from dgmppl.plan.nodes import Term
from dgmppl.plan.state import Elimination


class Rule:
    """A way in which variables become known, and the terms that it leaves.

    A rule asks what a variable's place in the graph allows, never which model it is looking at. Each stands in a
    module of its own, with its kinds of steps and terms, their words and their LaTeX; `dgmppl.plan.rules` has them in
    the order of their cost. What a rule does not do it inherits: nothing.
    """

    def apply(self, state: Elimination) -> bool:
        """Gives values to what it can, and says whether anything became known. Called until no rule does."""
        return False

    def close(self, state: Elimination) -> None:
        """Called once, when nothing more becomes known: what is left over is noted or reported."""

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        """The terms that stand for a factor of p whose variables are known; None leaves it to the next rule."""
        return None

    def terms(self, state: Elimination) -> Iterator[Term]:
        """The terms that belong to no factor of p."""
        yield from ()

    def collect(self, state: Elimination, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        """The terms once all are there: a rule may put several together."""
        return terms

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        """How the rule's steps and terms are computed, in a few words each."""
        return ()

    def declines(self, state: Elimination, variable: Variable) -> str:
        """What keeps the rule from taking a latent that is drawn out exactly, in a few words; "" where it says nothing:
        it would not come near it, or nothing keeps it but the q."""
        return ""
