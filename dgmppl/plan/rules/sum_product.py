"""Sum-product: latents of few values without a q are summed out one after another, where their sum factorises."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dgmppl.graph.independence import told_in_part
from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.graph.plates import plate_axes
from dgmppl.plan import latex
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.exact import Exact, LogExact, other_reads
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination
from dgmppl.words import counted

MAX_TABLE = 4096  # values of the largest table that a row has at a position


@dataclass(frozen=True)
class SumOut(Exact):
    """Latents of few values, summed out one after another, in this order.

    Args:
        axes: how many axes of each are positions, at all of which it is summed out at once.
        largest: how many values the largest table has, for each row and position.
    """

    axes: tuple[int, ...]
    largest: int

    def words(self) -> str:
        return f"sum {', '.join(self.variables)} out of {' '.join(self.factor_keys)} one after another"


class LogSumProduct(LogExact):
    """log of the sum over `variables` of the product of the densities with these keys."""


class SummingProducts(Rule):
    """Latents of few values without a q are summed out exactly once everything else is known, each out of the densities
    that speak of it alone (variable elimination), where that needs smaller tables than all of their joint values.

    A latent that has few values at each of many positions is summed out at all of them at once.
    """

    def apply(self, state: Elimination) -> bool:
        found = [v for v in state.open if summable(state, v)]
        if not found or len(found) < len(state.open):
            return False
        ordered = _factors(state, found)
        order = elimination_order(state, found, ordered)
        whole = math.prod(joint_values(v) for v in found)
        reads = other_reads(state.graph, ordered, (v.name for v in found))
        if order is None or order.largest >= whole or not set(reads) <= state.known:
            return False
        axes = tuple(plate_axes(state.graph, state.graph[n]) for n in order.names)
        keys = tuple(f.key for f in ordered)
        why = state.reason(_why(state, order, axes), found[0].span)
        step = SumOut(order.names[0], why, order.names, keys, axes, order.largest, reads=reads)
        state.add(step)
        return True

    def terms(self, state: Elimination) -> Iterator[Term]:
        graph = state.graph
        for step in state.steps:
            if not isinstance(step, SumOut):
                continue
            keys = _telling(state, step)
            found = [graph.keyed(key) for key in keys]
            told = tuple(n for n in step.variables if any(n in _spoken_of(state, f) for f in found))
            if not found:
                continue
            owner = next((f.head for f in found if f.head not in step.variables), step.variables[0])
            shown = rf"\log \sum_{{{', '.join(map(latex.name, told))}}} " + r" \, ".join(map(latex.factor, found))
            label = f"log sum over {', '.join(told)} of {' '.join(keys)}"
            reads = (*step.variables, *step.reads)
            yield LogSumProduct(label, owner, step.because, told, keys, reads=reads, latex=shown)

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for s in state.steps:
            if isinstance(s, SumOut):
                yield f"{', '.join(s.variables)} summed out by tables of {counted(s.largest, 'value', ',')} or fewer"


def summable(state: Elimination, variable: Variable) -> bool:
    """Whether a variable may be summed out under its prior: it has few values, or few at each of its positions."""
    graph, name = state.graph, variable.name
    alone = variable.role == "latent" and not variable.shared and not variable.length and name not in state.assumed
    alone = alone and graph.factor("q", name) is None
    modelled = graph.factor("p", name) is not None and name not in (*state.members(), *state.judged)
    return alone and modelled and values_at(state, variable) <= MAX_CASES


def values_at(state: Elimination, variable: Variable) -> float:
    """How many values a variable has: at each of its positions, where it has any."""
    size, axes = variable.type.support.size, plate_axes(state.graph, variable)
    if size is None or not axes:
        return joint_values(variable)
    behind = math.prod(variable.type.shape[axes:])
    return float(size) ** behind if behind <= 64 else math.inf


def _factors(state: Elimination, found: Sequence[Variable]) -> list[Factor]:
    """The factors of p that speak of these latents, their own first, whichever order they are written in."""
    names = {v.name for v in found}
    spoken = [f for f, read in state.readings if f.side == "p" and names & read]
    return sorted(spoken, key=lambda f: (f.head not in names, state.graph[f.head].family or f.head, f.key))


def _spoken_of(state: Elimination, factor: Factor) -> frozenset[str]:
    return next(read for f, read in state.readings if f is factor)


def _telling(state: Elimination, step: SumOut) -> tuple[str, ...]:
    """The densities that tell something: a prior of what nothing else depends on sums to one."""
    found = [state.graph.keyed(key) for key in step.factor_keys]
    while True:
        barren = [
            f
            for f in found
            if f.head in step.variables and not any(f.head in _spoken_of(state, g) for g in found if g is not f)
        ]
        if not barren:
            return tuple(f.key for f in found)
        found = [f for f in found if f not in barren]


# --- orders --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """An order of elimination, and how many values its largest table has."""

    names: tuple[str, ...]
    largest: int


def elimination_order(state: Elimination, found: Sequence[Variable], factors: Sequence[Factor]) -> Order | None:
    """The order that joins the fewest variables at each step (min-fill: Koller and Friedman, 2009, Sec. 9.4.3.2), those
    with positions first. None where a density has too many cases, a table too many values, or rows miss some data."""
    graph = state.graph
    sizes = {v.name: int(values_at(state, v)) for v in found}
    positions = {v.name for v in found if plate_axes(graph, v)}
    scopes = [frozenset(_spoken_of(state, f) & sizes.keys()) for f in factors]
    partial = any(
        graph[f.head].role == "partial" and (scope & positions or not told_in_part(graph, f))
        for f, scope in zip(factors, scopes)
    )
    if partial or any(math.prod(sizes[n] for n in scope) > MAX_CASES for scope in scopes):
        return None
    near: dict[str, set[str]] = {n: set().union(*(s for s in scopes if n in s)) - {n} for n in sizes}
    order, largest = [], 1
    while near:
        first = positions & near.keys() or near.keys()
        chosen = min(first, key=lambda n: (_fill(near, n), _table(near, n, sizes), n))
        largest = max(largest, _table(near, chosen, sizes))
        joined = near.pop(chosen)
        for n in joined:
            near[n] = (near[n] | joined) - {n, chosen}
        order.append(chosen)
    return Order(tuple(order), largest) if largest <= MAX_TABLE else None


def _fill(near: Mapping[str, set[str]], name: str) -> int:
    """How many pairs of neighbours are not neighbours of each other yet."""
    return sum(b not in near[a] for a, b in itertools.combinations(sorted(near[name]), 2))


def _table(near: Mapping[str, set[str]], name: str, sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[n] for n in (name, *near[name]))


def _why(state: Elimination, order: Order, axes: Sequence[int]) -> str:
    names = ", ".join(order.names)
    each = "is latent, of few values and has no q: it is" if len(axes) == 1 else "have few values and no q: they are"
    if len(axes) == 1:
        (variable,) = (state.graph[n] for n in order.names)
        count = math.prod(variable.type.shape[: axes[0]])
        return (
            f"{names} {each} summed out at each of {counted(count, 'position')}, over {counted(order.largest, 'value')}"
        )
    many = counted(order.largest, "value", ",")
    return f"{names} {each} summed out one after another, by tables of at most {many} a row"
