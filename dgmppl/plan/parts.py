"""The parts of a whole: factors of the data that nothing else reads, each with a figure of its own, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgmppl.graph.nodes import Variable
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.observe import Given, GivenSome
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class Known:
    """What the parents of a factor are known by.

    Args:
        names: variables of the data, and latents that are drawn or summed: of what is a function of others, those.
        drawn: those of them that have no value of their own in the data.
        noisy: whether noise was added to some of the data on the way.
    """

    names: tuple[str, ...]
    drawn: tuple[str, ...]
    noisy: bool


def leaves(state: Elimination) -> tuple[Variable, ...]:
    """Variables of the data with a factor of their own, that nothing reads but others of these.

    So the density of all the data is the product of their factors and of the density of the rest, and a bound without
    their terms is one on the rest.
    """
    graph = state.graph
    lengths = {v.length for v in graph.variables} | {v.group for v in graph.variables}
    other = {name for d in graph.definitions if graph[d.variable].role != "let" for name in variables(d.value)}
    other |= {d.variable for d in graph.definitions} | {a for adv in graph.adversaries for a in adv.arguments}
    taken = set(graph.roots(other)) | set(state.members()) | lengths | set(graph.conditions)
    found: dict[str, Variable] = {}
    while True:
        read = {name for f, names in state.readings if f.head not in found for name in names if name != f.head}
        more = [v for v in graph.data if v.name not in taken | read | found.keys() and _apart(state, v)]
        if not more:
            return tuple(v for v in graph.data if v.name in found)
        found |= {v.name: v for v in more}


def _apart(state: Elimination, v: Variable) -> bool:
    """Whether its factor is a term by itself, in the rows that have it."""
    factor, step = state.graph.factor("p", v.name), state.step_of(v.name)
    if factor is None or v.elementwise or v.family is not None or state.graph.factor("q", v.name) is not None:
        return False
    return isinstance(step, Given) and (v.role == "observed" or isinstance(step, GivenSome))


def terms_apart(terms: Sequence[Term], leaves: Iterable[str]) -> dict[str, Term]:
    """The term of each of these variables that stands alone; one that a sum is taken around has none."""
    wanted = set(leaves)
    return {t.owner: t for t in terms if isinstance(t, LogProb) and t.owner in wanted and t.reads[:1] == (t.owner,)}


def rest_of(terms: Sequence[Term], apart: Iterable[Term]) -> tuple[Term, ...]:
    """The terms of the whole that are no factors apart."""
    out = {t.label for t in apart}
    return tuple(t for t in terms if not t.beside and t.label not in out)


def known_by(state: Elimination, names: Iterable[str]) -> Known:
    """What gives these variables their values."""
    graph = state.graph
    found: dict[str, None] = {}
    drawn: dict[str, None] = {}
    pending, seen, noisy = list(graph.roots(names)), set[str](), False
    while pending:
        name = pending.pop(0)
        if name in seen:
            continue
        seen.add(name)
        step = state.step_of(name)
        if isinstance(step, (Invert, Compute)):
            noisy |= isinstance(step, Invert) and step.noisy
            pending = [*graph.roots(step.reads), *pending]
            continue
        found[name] = None
        if graph[name].role != "observed" and not isinstance(step, Given):
            drawn[name] = None
    return Known(tuple(found), tuple(drawn), noisy)
