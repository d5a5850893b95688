"""Forward: latents of few values along an index are summed out exactly by the forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.graph.chains import Chain, chain_of, values_of
from dgmppl.graph.elements import reads_through
from dgmppl.graph.independence import told_in_part
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.graph.values import Sequence, variables
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.exact import ExactAlong, LogExact, components, is_told, log_sum, other_reads
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted


@dataclass(frozen=True)
class SumAlong(ExactAlong):
    """Families of few values, summed out position by position."""

    cost: str
    estimator: str = "summed"

    def words(self) -> str:
        return self._words("sum")


class LogSumAlong(LogExact):
    """log of the sum of the densities with these keys over `variables`, families along an index."""


class SummingAlong(Rule):
    """Latents of few values along an index, without a q, of which all that depends on them reads a few neighbours, are
    summed out once all else is known.

    The sum over all paths is done position by position, by the forward pass of hidden Markov models (Baum et al., 1970;
    Rabiner, 1989, Eqs. 19 to 21), at a cost that is linear in the length. Where members do not depend on each other it
    is a product of sums.
    """

    def apply(self, state: Elimination) -> bool:
        graph = state.graph
        for chain in chains(state):
            reads = other_reads(graph, map(graph.keyed, chain.factor_keys), chain.variables)
            if not set(reads) <= state.known:
                continue
            names, it = ", ".join(chain.variables), "it is" if len(chain.variables) == 1 else "they are"
            states = chain.states(graph)
            power = f"^{chain.lag + 1}" if chain.lag else ""
            cost = f"{chain.length} x {states}{power} = {chain.cost(graph):,}"
            way = " from the last position to the first" if chain.backward else ""
            partial = tuple(n for n in chain.variables if graph[n].role == "partial")
            what = (
                "latent" if not partial else "seen in part" if len(partial) == len(chain.variables) else "not all seen"
            )
            text = (
                f"{names}: {what}, of few values at each position, and without a q: {it} summed out by the forward pass"
                f"{', over paths that agree with what is seen' if partial else ''}"
            )
            why = state.reason(f"{text}{way}, at {cost} sums a row", graph[chain.variables[0]].span)
            keys, names_ = chain.factor_keys, chain.variables
            state.add(SumAlong(names_[0], why, names_, keys, chain, cost, partial=partial, reads=reads))
            return True
        return False

    def terms(self, state: Elimination) -> Iterator[Term]:
        yield from (log_sum(LogSumAlong, state, s) for s in state.steps if isinstance(s, SumAlong))

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, SumAlong):
                yield f"{', '.join(s.gives)} summed out by the forward pass, {s.cost}"


def chains(state: Elimination, beside: str = "") -> list[Chain]:
    """The open families that can be summed out along their index once all others are known, those together of which a
    factor reads two. None of them has a q, but for one that is asked about `beside` them."""
    names = frozenset(v.name for v in state.open if stands_alone(state, v, beside) and values_of(v) <= MAX_CASES)
    while names:
        wrong = {n for n in names if not all(_fits(state, f, n) for f in factors_of(state, frozenset({n})))}
        if not wrong:
            break
        names -= wrong
    found: list[Chain] = []
    for group in components(state, names):
        chain = chain_of(state.graph, group, factors_of(state, group))
        if chain is None or not chain.is_small(state.graph):
            continue
        if is_told(state.graph, chain):
            found.append(chain)
    return found


def chained(state: Elimination, beside: str = "") -> frozenset[str]:
    """The open latents that are summed out along their index once all others are known."""
    return frozenset(name for chain in chains(state, beside) for name in chain.variables)


def way_out(state: Elimination, variable: Variable) -> str:
    """What would let a family of few values be summed out along its index."""
    graph, name = state.graph, variable.name
    letter = variable.along.letter if variable.along is not None else "t"
    if variable.role == "partial" and not variable.elementwise and state.classified:
        return f"`{name}` is summed out along `{letter}` where `classify` fits no q of it: leave that out"
    reader = next((f for f, read in state.readings if f.side == "q" and name in read), None)
    if reader is not None:
        where = f"`{name}` is summed out along `{letter}` where no q reads it"
        return f"{where}, and {graph.written(reader, name)} does: let it read the data alone"
    for factor in factors_of(state, frozenset({name})):
        if factor.head == name and variable.length and goes_backward(factor):
            where = f"`{name}` is summed out along `{letter}` where it goes forward, as rows differ in length"
            return f"{where}: with each row turned round in the data its last member is the first"
        if chain_of(graph, frozenset({name}), (factor,)) is None:
            length, members = factor.density.type.shape[:1], variable.type.shape[:1]
            if isinstance(factor.density, Sequence) and length > members:
                head = graph[factor.head]
                ends = f"{head.name} has {counted(length[0], 'member')} along `{letter}`, and `{name}` {members[0]}"
                return f"`{name}` is summed out along `{letter}` where it has a member for each that reads it; {ends}"
            written = graph.written(factor, name)
            return (
                f"`{name}` is summed out along `{letter}` where all that depends on it reads "
                f"{member_name(name, letter)}, or a few members before that, or after; {written} reads more"
            )
    chain = chain_of(graph, frozenset({name}), factors_of(state, frozenset({name})))
    if chain is None:
        return f"`{name}` is summed out along `{letter}` where all look at members before theirs, or all at those after"
    count = values_of(variable) ** max(chain.lag, 1)
    found = f", here {values_of(variable)}^{chain.lag} = {count:,}" if values_of(variable) <= MAX_CASES < count else ""
    return (
        f"at most {MAX_CASES} values are summed out at a position, those of all that it looks back at together{found}: "
        f"give `{name}` fewer values, or let less depend on it and others together"
    )


def goes_backward(factor: Factor) -> bool:
    """Whether members of a family depend on those after them."""
    return any(r.variable == factor.head and by > 0 for r in reads_through(factor.density) for by in r.offsets)


def factors_of(state: Elimination, names: frozenset[str]) -> tuple[Factor, ...]:
    """The factors of p that speak of these latents."""
    return tuple(f for f, read in state.readings if f.side == "p" and names & read)


def stands_alone(state: Elimination, variable: Variable, beside: str = "") -> bool:
    """Whether a latent family has nothing but its prior and what depends on it, of p: no q, but for one that is asked
    about `beside` others, reads it, and no definition."""
    graph, name = state.graph, variable.name
    if variable.along is None or variable.role == "observed" or variable.shared:
        return False
    if variable.role == "partial" and not variable.elementwise and state.classified:
        return False
    apart = name not in state.judged and name not in state.members() and name not in state.assumed
    if not apart or graph.factor("p", name) is None:
        return False
    read_by_q = [f.head for f, read in state.readings if f.side == "q" and name in read]
    if variable.elementwise:  # others read what is seen of it
        read_by_q = [head for head in read_by_q if head == name]
    if any(name != beside or head != beside for head in read_by_q):
        return False
    defined = (d for d in graph.definitions if graph[d.variable].role != "let")
    return not any(name in (d.variable, *graph.roots(variables(d.value))) for d in defined)


def _is_chained(state: Elimination, name: str) -> bool:
    """Whether a variable that is seen in part may be one of a chain itself."""
    variable = state.graph[name]
    return stands_alone(state, variable) and values_of(variable) <= MAX_CASES


def _fits(state: Elimination, factor: Factor, name: str) -> bool:
    """Whether a factor lets a family be summed out along its index. Beside a latent that would be integrated out, few
    paths are rather taken one by one, in each of which it is."""
    if chain_of(state.graph, frozenset({name}), (factor,)) is None:
        return False
    if factor.head != name and not told_in_part(state.graph, factor) and not _is_chained(state, factor.head):
        return False
    if not state.few(state.graph[name]):
        return True
    open_ = {v.name for v in state.open if state.graph.factor("q", v.name) is None}
    read = next(r for f, r in state.readings if f is factor)
    return not read & open_ & (state.normal | state.normal_along)
