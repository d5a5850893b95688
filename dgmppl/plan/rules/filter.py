"""Filter: normal latents along an index, with means affine in them, are integrated out position by position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.graph.affine import normal_along, slopes_have_rows, why_not_normal
from dgmppl.graph.chains import Chain, chain_of, looks_near
from dgmppl.graph.independence import told_in_part
from dgmppl.graph.nodes import Variable
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.exact import (
    ExactAlong,
    LogExact,
    components,
    is_free,
    is_told,
    log_integral,
    normal_readers,
    of_several_rows,
    other_reads,
    why_not_together,
)
from dgmppl.plan.rules.forward import chained, factors_of, goes_backward, stands_alone
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted

MAX_STATE = 200
"""Numbers of the members that a position looks back at, together: the time of a step grows with their cube."""


@dataclass(frozen=True)
class IntegrateAlong(ExactAlong):
    """Normal families, integrated out position by position.

    Args:
        alike: of each factor, whether what the families are multiplied with is the same in all rows.
    """

    alike: tuple[bool, ...]

    def words(self) -> str:
        return self._words("integrate")


class LogIntegralAlong(LogExact):
    """log of the integral of the densities with these keys over `variables`, families along an index."""


class IntegratingAlong(Rule):
    """Families along an index without a q that are normal, and of which all that depends on them is normal with a mean
    that is affine in a few neighbours, are integrated out once all else is known.

    That is Kalman's filter (1960), at a cost that is linear in the length; their posterior is that of the smoother of
    Rauch, Tung and Striebel (1965).
    """

    def apply(self, state: Elimination) -> bool:
        graph = state.graph
        for chain in normal_chains(state):
            factors = [graph.keyed(key) for key in chain.factor_keys]
            reads = other_reads(graph, factors, chain.gives)
            if not set(reads) <= state.known:
                continue
            names, one = ", ".join(chain.variables), len(chain.variables) == 1
            beside = f", with {', '.join(chain.still)} in the state" if chain.still else ""
            partial = tuple(n for n in chain.variables if graph[n].role == "partial")
            missing = " where it is missing" if partial else ""
            if partial and not one:
                missing = f", {', '.join(partial)} where missing,"
            text = (
                f"{names}: normal at each position, and all that reads {'it' if one else 'them'} is normal with an "
                f"affine mean: {'it is' if one else 'they are'} integrated out exactly{missing} by Kalman's filter"
                f"{' from the last position to the first' if chain.backward else ''}, {_steps(chain)} of a state "
                f"of {_size(state, chain)}{beside}"
            )
            why = state.reason(text, graph[chain.variables[0]].span)
            gone = frozenset(chain.gives)
            alike = tuple(not slopes_have_rows(graph, f.density, gone) for f in factors)
            gives, keys = chain.gives, chain.factor_keys
            state.add(IntegrateAlong(gives[0], why, gives, keys, chain, alike, partial=partial, reads=reads))
            return True
        return False

    def terms(self, state: Elimination) -> Iterator[Term]:
        yield from (log_integral(LogIntegralAlong, state, s) for s in state.steps if isinstance(s, IntegrateAlong))

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, IntegrateAlong):
                yield f"{', '.join(s.gives)} integrated out by Kalman's filter, {_steps(s.chain)}"

    def declines(self, state: Elimination, variable: Variable) -> str:
        graph, readers = state.graph, normal_readers(state, variable)
        if variable.along is None or not readers:
            return ""
        for f in readers:
            if found := why_not_normal(graph, f, frozenset({variable.name})):
                return found
            if f.head not in state.normal_along | {variable.name} and not told_in_part(graph, f):
                return f"elements of {graph[f.head].shown} are missing, and what remains has no density of its own"
        if variable.shared:
            return of_several_rows(variable)
        if variable.length and any(f.head == variable.name and goes_backward(f) for f in readers):
            return "rows differ in length, and it goes backward: with rows turned round in the data it goes forward"
        far = next((f for f in readers if not looks_near(graph, f, variable.name)), None)
        if far is not None:
            written = graph.written(far, variable.name)
            return f"{written} reads more of {variable.shown} than a few members before, or a few after"
        chain = chain_of(graph, frozenset({variable.name}), tuple(readers))
        if chain is None:
            return f"some densities read members of {variable.shown} before theirs, and some after"
        if _size(state, chain) > MAX_STATE:
            return f"a state of {counted(_size(state, chain), 'number', ',')} > {MAX_STATE:,}"
        if variable.role == "partial" and not variable.elementwise and state.classified:
            return "`classify` fits its q"
        return why_not_together(state, variable, readers)


def normal_chains(state: Elimination, beside: str = "") -> list[Chain]:
    """The open families that can be integrated out along their index once all others are known, those together of which
    a factor reads two, with the normal latents of a row that are read with them. None of them has a q, but for one that
    is asked about `beside` them. What a family of few values reads or is read with, which is summed out along it, is
    known before."""
    families = _families(state, beside)
    if not families:
        return []
    still = frozenset(v.name for v in state.open if _may_stand_still(state, v, beside))
    still = still - _read_with(state, chained(state), still)
    while (culprit := _culprit(state, families, still)) is not None:
        families, still = families - {culprit}, still - {culprit}
    found: list[Chain] = []
    for group in components(state, families | still):
        moving = group & families
        whole = _chain(state, moving, group - families) if moving else None
        parts = [whole] if whole is not None else [_chain(state, part) for part in components(state, moving)]
        found += [c for c in parts if c is not None]
    return found


def filtered(state: Elimination, beside: str = "") -> frozenset[str]:
    """The open latents that are integrated out along their index once all others are known."""
    return frozenset(name for chain in normal_chains(state, beside) for name in chain.gives)


def beside_families(state: Elimination, names: frozenset[str], beside: str = "") -> frozenset[str]:
    """Those of these latents that are read with families which are summed or integrated out along their index."""
    return _read_with(state, chained(state, beside) | filtered(state, beside), names)


def _families(state: Elimination, beside: str) -> frozenset[str]:
    found = (v.name for v in state.open if v.name in state.normal_along and stands_alone(state, v, beside))
    names = frozenset(found)
    return names - _read_with(state, chained(state), names) if names else names


def _read_with(state: Elimination, others: frozenset[str], names: frozenset[str]) -> frozenset[str]:
    """Those of some latents of which a factor of p reads one of the others too."""
    spoken = (read for f, read in state.readings if f.side == "p" and read & others)
    return frozenset(n for read in spoken for n in names & read)


def _may_stand_still(state: Elimination, variable: Variable, beside: str) -> bool:
    alone = variable.along is None and variable.role == "latent"
    return alone and variable.name in state.normal and is_free(state, variable, beside)


def _culprit(state: Elimination, families: frozenset[str], still: frozenset[str]) -> str | None:
    """One of these latents of which a density is not normal in several, one of a row where it reads any; None where all
    is well."""
    names = families | still
    for factor, read in state.readings:
        together = names & read
        if factor.side == "p" and len(together) > 1 and not normal_along(state.graph, factor, names):
            return min(together & still or together)
    return None


def _chain(state: Elimination, names: frozenset[str], still: frozenset[str] = frozenset()) -> Chain | None:
    """The chain of these families, where a state is of few numbers and data depend on it."""
    chain = chain_of(state.graph, names, factors_of(state, names | still), still)
    if chain is None or _size(state, chain) > MAX_STATE:
        return None
    return chain if is_told(state.graph, chain) else None


def _steps(chain: Chain) -> str:
    return counted(chain.length, "step")


def _size(state: Elimination, chain: Chain) -> int:
    """How many numbers the state has that a position looks back at."""
    graph = state.graph
    partial = any(graph[n].role == "partial" for n in chain.variables)
    # What is seen of a family depends on members as far back as its own law looks, beside those at its own position.
    back = max(chain.lag, chain.seen + 1, chain.lag + 1 if partial else 0)
    moving = back * sum(graph[n].element.elements for n in chain.variables)
    return moving + sum(graph[n].type.elements for n in chain.still)
