"""What the rules that take latents out exactly have in common: their steps and terms, and what else they need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from dgmppl.graph.affine import is_normal, why_not_normal
from dgmppl.graph.chains import Chain
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import variables
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.state import Elimination
from dgmppl.supports import REAL


@dataclass(frozen=True)
class Exact(Step):
    """`variables` have their exact posterior under the factors with these keys (`variable` is the first of them); of
    those that are `partial`, what is missing."""

    variables: tuple[str, ...]
    factor_keys: tuple[str, ...]
    partial: tuple[str, ...] = field(default=(), kw_only=True)

    explains: ClassVar[bool] = True

    @property
    def gives(self) -> tuple[str, ...]:
        return self.variables

    @property
    def absorbs(self) -> tuple[str, ...]:
        return self.factor_keys


@dataclass(frozen=True)
class ExactAlong(Exact):
    """The same for the families of a `chain`, position by position."""

    chain: Chain

    def _words(self, how: str) -> str:
        of = " ".join(self.absorbs)
        if not self.partial:
            return f"{how} {', '.join(self.gives)} out along the index, of {of}"
        rest = ["the rest", *(n for n in self.gives if n not in self.partial)]
        return f"take what is seen of {', '.join(self.partial)}, {how} {', '.join(rest)} out along the index, of {of}"


@dataclass(frozen=True)
class LogExact(Term):
    """log of what the product of the densities with these keys is once `variables` are summed or integrated out."""

    variables: tuple[str, ...]
    factor_keys: tuple[str, ...]

    scored: ClassVar[bool] = True

    def factors(self) -> tuple[str, ...]:
        return self.factor_keys


T = TypeVar("T", bound=LogExact)


def is_told(graph: Graph, chain: Chain) -> bool:
    """Whether data say something of a chain: they depend on it, or they are what is seen of it."""
    heads = {graph.keyed(key).head for key in chain.factor_keys}
    return not heads <= set(chain.gives) or any(graph[name].role == "partial" for name in chain.variables)


def other_reads(graph: Graph, factors: Iterable[Factor], names: Iterable[str]) -> tuple[str, ...]:
    """What these densities speak of besides the latents that are taken out, and features of those."""
    found = dict.fromkeys(n for f in factors for n in (f.head, *graph.reads(f)))
    gone = frozenset(names)
    return tuple(n for n in found if gone.isdisjoint(graph.roots((n,))))


def log_sum(kind: type[T], state: Elimination, step: Exact) -> T:
    """The term of what a step sums out."""
    below = ", ".join(map(latex.name, step.variables))
    return _term(kind, state, step, "sum", rf"\log \sum_{{{below}}} {_product(state, step)}")


def log_integral(kind: type[T], state: Elimination, step: Exact) -> T:
    """The term of what a step integrates out."""
    measure = " ".join(rf"\mathrm{{d}} {latex.name(n)}" for n in step.variables)
    return _term(kind, state, step, "integral", rf"\log \int {_product(state, step)} \, {measure}")


def _product(state: Elimination, step: Exact) -> str:
    return " ".join(latex.factor(state.graph.keyed(key)) for key in step.factor_keys)


def _term(kind: type[T], state: Elimination, step: Exact, word: str, shown: str) -> T:
    heads = (state.graph.keyed(key).head for key in step.factor_keys)
    owner = next((head for head in heads if head not in step.variables), step.variable)
    label = f"log {word} over {', '.join(step.variables)} of {' '.join(step.factor_keys)}"
    reads = (*step.variables, *step.reads)
    return kind(label, owner, step.because, step.variables, step.factor_keys, reads=reads, latex=shown)


def is_free(state: Elimination, variable: Variable, beside: str) -> bool:
    """Whether nothing but its prior and what depends on it says where a latent's values come from."""
    name = variable.name
    apart = name not in state.judged and name not in state.members() and name not in state.assumed
    return apart and (name == beside or state.may_be_taken_out(variable))


def components(state: Elimination, names: frozenset[str]) -> list[frozenset[str]]:
    """These latents in groups of which no factor reads two."""
    groups: list[set[str]] = []
    for factor, read in state.readings:
        joined = set(names & read) if factor.side == "p" else set()
        for group in [g for g in groups if g & joined]:
            joined |= group
            groups.remove(group)
        groups += [joined] if joined else []
    return sorted(map(frozenset, groups), key=sorted)


def normal_readers(state: Elimination, variable: Variable) -> list[Factor]:
    """The factors of p that speak of a real latent, or of data of which some are missing, where all are normal and
    nothing else speaks of it; else none."""
    graph, name = state.graph, variable.name
    own, apart = graph.factor("p", name), name not in state.judged and name not in state.members()
    defined = (d for d in graph.definitions if graph[d.variable].role != "let")
    if own is None or not apart or variable.role == "observed" or variable.type.support != REAL:
        return []
    if any(name in (d.variable, *graph.roots(variables(d.value))) for d in defined):
        return []
    found = sorted((f for f, read in state.readings if f.side == "p" and name in read), key=lambda f: f.key)
    told = variable.role == "partial" or any(f.head != name for f in found)
    return found if told and all(map(is_normal, found)) else []


def of_several_rows(variable: Variable) -> str:
    """Why what rows have in common is drawn."""
    return f"one for {f'each {variable.group}' if variable.group else 'all rows'}, and integrals are those of a row"


def why_not_together(state: Elimination, variable: Variable, readers: Iterable[Factor]) -> str:
    """Which q reads a latent, or of which density the mean is affine in it, and in another latent, but not in both."""
    graph, name = state.graph, variable.name
    others = state.normal | state.normal_along
    for f in readers:
        read = next(read for g, read in state.readings if g is f)
        for other in sorted(read & others - {name}):
            if found := why_not_normal(graph, f, frozenset({name, other})):
                return found
    of_others = (f for f, read in state.readings if f.side == "q" and name in read and f.head != name)
    reading = () if variable.elementwise else of_others
    q = min(reading, key=lambda f: f.key, default=None)
    return f"{graph.written(q, name)} reads it" if q is not None else ""
