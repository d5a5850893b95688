"""Integrate: latents whose densities are normal, with means affine in them, are integrated out exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.graph.affine import normal_along, why_not_normal
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.exact import (
    Exact,
    LogExact,
    components,
    is_free,
    log_integral,
    normal_readers,
    of_several_rows,
    other_reads,
    why_not_together,
)
from dgmppl.plan.rules.filter import beside_families
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted

MAX_ELEMENTS = 1000
"""More are not integrated out together: the time of a step grows with the cube of their number."""

MAX_OF_ROWS = 256
"""The same where some of them are seen in some rows, so that each row has a matrix of its own."""


@dataclass(frozen=True)
class Integrate(Exact):
    """Normal latents, integrated out together."""

    def words(self) -> str:
        of = " ".join(self.factor_keys)
        if not self.partial:
            return f"integrate {', '.join(self.variables)} out of {of}"
        rest = ["the rest", *(n for n in self.variables if n not in self.partial)]
        return f"take what is seen of {', '.join(self.partial)}, integrate {', '.join(rest)} out of {of}"


class LogIntegral(LogExact):
    """log of the integral of the densities with these keys over `variables`."""


class Integrating(Rule):
    """Latents without a q that are normal given what they depend on, and on which others depend in the same way, are
    integrated out once all else is known. So is what is missing of partial variables.

    What is integrated is a Gaussian: log int p(z) p(x | z) dz and p(z | x) are exact (Bishop, 2006, Pattern Recognition
    and Machine Learning, Eqs. 2.113 to 2.117; Roweis and Ghahramani, 1999, for the models that this makes exact).
    """

    def apply(self, state: Elimination) -> bool:
        graph = state.graph
        for names in components(state, integrable(state)):
            found = _factors(state, names)
            reads = other_reads(graph, found, names)
            if not set(reads) <= state.known:
                continue
            order = [f.head for f in found if f.head in names]
            some = tuple(n for n in order if graph[n].role == "partial")
            one, missing = len(order) == 1, ""
            if some:
                missing = " where it is missing" if one else f", {', '.join(some)} where missing"
            text = (
                f"{', '.join(order)}: normal, and all that depends on {'it' if one else 'them'} is normal with an "
                f"affine mean: {'it is' if one else 'they are'} integrated out exactly{missing}"
            )
            why = state.reason(text, graph[order[0]].span)
            keys = tuple(f.key for f in found)
            state.add(Integrate(order[0], why, tuple(order), keys, partial=some, reads=reads))
            return True
        return False

    def terms(self, state: Elimination) -> Iterator[Term]:
        yield from (log_integral(LogIntegral, state, s) for s in state.steps if isinstance(s, Integrate))

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, Integrate):
                yield f"{', '.join(s.variables)} integrated out in closed form"

    def declines(self, state: Elimination, variable: Variable) -> str:
        readers, one = normal_readers(state, variable), frozenset({variable.name})
        if variable.along is not None or not readers:
            return ""
        for f in readers:
            if found := why_not_normal(state.graph, f, one):
                return found
        if variable.shared:
            return of_several_rows(variable)
        most = _most(state, one)
        if variable.type.elements > most:
            of_rows = " in each row" if most < MAX_ELEMENTS else ""
            return f"{counted(variable.type.elements, 'number', ',')}{of_rows} > {most:,}"
        return why_not_together(state, variable, readers)


def integrable(state: Elimination, beside: str = "") -> frozenset[str]:
    """The open latents that can be integrated out together once all others are known: each is normal, and so is all
    that depends on it, with means affine in them. None of them has a q, but for one that is asked about `beside` them.

    Where a density is not, as that of a product of two of them, one of those it depends on is left to other rules. So
    is what families depend on, or are read with, that are summed or integrated out along their index: it is integrated
    out with them, or known before.
    """
    if not state.normal:
        return state.normal
    names = frozenset(v.name for v in state.open if v.name in state.normal and is_free(state, v, beside))
    names -= beside_families(state, names, beside)
    while (culprit := _culprit(state, names)) is not None:
        names -= {culprit}
    graph = state.graph
    groups = [c for c in components(state, names) if sum(graph[n].type.elements for n in c) <= _most(state, c)]
    anchored = (
        c for c in groups if any(f.head not in c or graph[f.head].role == "partial" for f in _factors(state, c))
    )
    return frozenset(name for c in anchored for name in c)


def _most(state: Elimination, names: Iterable[str]) -> int:
    """How many elements these may have together."""
    return MAX_OF_ROWS if any(state.graph[n].role == "partial" for n in names) else MAX_ELEMENTS


def _culprit(state: Elimination, names: frozenset[str]) -> str | None:
    """One of these latents of which a density is not normal in several; None where all is well."""
    for factor, read in state.readings:
        together = names & read
        if len(together) > 1 and factor.side == "p" and not normal_along(state.graph, factor, names):
            return min(together)
    return None


def _factors(state: Elimination, names: frozenset[str]) -> list[Factor]:
    """The factors of p that speak of these latents, their own first, whichever order they are written in."""
    found = [f for f, read in state.readings if f.side == "p" and names & read]
    return sorted(found, key=lambda f: (f.head not in names, *_place(state.graph[f.head])))


def _place(variable: Variable) -> tuple[str, int]:
    """Members of a family one after another, whichever way they are written."""
    return variable.family or variable.name, variable.index or 0
