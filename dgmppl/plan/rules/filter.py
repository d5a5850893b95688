"""Filter: normal latents along an index, with means affine in them, are integrated out position by position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.graph.affine import normal_along, slopes_have_rows
from dgmppl.graph.chains import Chain, chain_of
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.exact import ExactAlong, LogExact, log_integral, other_reads
from dgmppl.plan.rules.forward import chained, factors_of, stands_alone
from dgmppl.plan.rules.integrate import components
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination

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
        return f"integrate {', '.join(self.gives)} out along the index, of {' '.join(self.absorbs)}"


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
            reads = other_reads(graph, factors, chain.variables)
            if not set(reads) <= state.known:
                continue
            names, one = ", ".join(chain.variables), len(chain.variables) == 1
            text = (
                f"{names}: normal at each position, and all that reads {'it' if one else 'them'} is normal with an "
                f"affine mean: {'it is' if one else 'they are'} integrated out exactly by Kalman's filter, "
                f"{chain.length} steps of a state of {_size(state, chain)}"
            )
            why = state.reason(text, graph[chain.variables[0]].span)
            alike = tuple(not slopes_have_rows(graph, f.density, frozenset(chain.variables)) for f in factors)
            families, keys = chain.variables, chain.factor_keys
            state.add(IntegrateAlong(families[0], why, families, keys, chain, alike, reads=reads))
            return True
        return False

    def terms(self, state: Elimination) -> Iterator[Term]:
        yield from (log_integral(LogIntegralAlong, state, s) for s in state.steps if isinstance(s, IntegrateAlong))

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, IntegrateAlong):
                yield f"{', '.join(s.gives)} integrated out by Kalman's filter, {s.chain.length} steps"


def normal_chains(state: Elimination, beside: str = "") -> list[Chain]:
    """The open families that can be integrated out along their index once all others are known, those together of which
    a factor reads two. None of them has a q, but for one that is asked about `beside` them. What a family of few values
    reads or is read with, which is summed out along it, is known before."""
    graph = state.graph
    names = frozenset(v.name for v in state.open if v.name in state.normal_along and stands_alone(state, v, beside))
    if not names:
        return []
    summed = chained(state)
    names -= {n for f, read in state.readings if f.side == "p" and read & summed for n in names & read}
    for factor, read in state.readings:
        together = names & read
        if factor.side == "p" and len(together) > 1 and not normal_along(graph, factor, names):
            names -= {min(together)}
    found: list[Chain] = []
    for group in components(state, names):
        chain = chain_of(graph, group, factors_of(state, group))
        if chain is None or _size(state, chain) > MAX_STATE:
            continue
        if any(f.head not in group for f in map(graph.keyed, chain.factor_keys)):
            found.append(chain)
    return found


def filtered(state: Elimination, beside: str = "") -> frozenset[str]:
    """The open latents that are integrated out along their index once all others are known."""
    return frozenset(name for chain in normal_chains(state, beside) for name in chain.variables)


def _size(state: Elimination, chain: Chain) -> int:
    """How many numbers the state has that a position looks back at."""
    graph = state.graph
    seen = [w for f, w in zip(chain.factor_keys, chain.windows) if graph.keyed(f).head not in chain.variables]
    behind = 1 - min((w.first for ws in seen for w in ws), default=0)
    moves = max(chain.lag, behind, 1)
    return moves * sum(graph[n].element.elements for n in chain.variables)
