"""Invert: latents of which known data is a bijection are known exactly, and add a log-determinant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.graph.nodes import Definition, Factor
from dgmppl.graph.values import Block, Joined, Mapped, Operation, Reshaped, Use, Value, variables, walk
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.density import log_prob
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class Dequantise(Step):
    """Uniform noise in [0, 1) is added, so that a density bounds a probability (Theis et al., 2016)."""

    explains: ClassVar[bool] = True

    @property
    def gives(self) -> tuple[str, ...]:
        return ()

    def words(self) -> str:
        return f"add noise to {self.variable}"


@dataclass(frozen=True)
class Invert(Step):
    """`variable`, and `others` beside it, are what the bijection maps to `image`; `noisy`: to its dequantised value."""

    image: str
    noisy: bool
    others: tuple[str, ...] = ()

    explains: ClassVar[bool] = True

    @property
    def gives(self) -> tuple[str, ...]:
        return (self.variable, *self.others)

    def words(self) -> str:
        noisy = " with noise" if self.noisy else ""
        return f"invert {self.image}{noisy} to {', '.join(self.gives)}"


@dataclass(frozen=True)
class LogDet(Term):
    """log |det J| of the inverse that gives `variable`."""

    variable: str

    scored: ClassVar[bool] = True


@dataclass(frozen=True)
class Inverse:
    """A definition read backwards: the latents, and whether rounding stands outside the bijection."""

    latents: tuple[str, ...]
    rounded: bool
    direct: bool  # nothing but the rounding stands between the two


def invert(value: Value) -> Inverse | None:
    """How a definition is inverted: `f(u)`, `f(z, g(u))` or `floor(f(u))` with bijections. None where it cannot be."""
    rounded = isinstance(value, Operation) and value.op == "floor"
    outer = value.operands[0] if isinstance(value, Operation) and rounded else value
    latents = _latents(outer)
    if latents is None or (isinstance(outer, Use) and not rounded) or len(set(latents)) < len(latents):
        return None
    conditions = {name for t in walk(outer) if isinstance(t, Block) for _, v in t.context for name in variables(v)}
    return None if conditions & set(latents) else Inverse(latents, rounded, isinstance(outer, Use))


def _latents(value: Value) -> tuple[str, ...] | None:
    """What is left of a value when each bijection is undone, and what stands side by side is taken apart."""
    if isinstance(value, Use):
        return (value.variable,)
    if isinstance(value, (Mapped, Reshaped)):
        return _latents(value.value)
    if isinstance(value, Joined) and not value.stacked:
        found = [_latents(part) for part in value.parts if part.type.support == value.type.support]
        parts = tuple(name for names in found if names is not None for name in names)
        return parts if len(found) == len(value.parts) and None not in found else None
    return None


class Inverting(Rule):
    """Definitions whose variable is known are read backwards; those that cannot be are implicit.

    A `q` over the preimage of `x = floor(v)` is used: v is drawn from it, and x follows from v (variational
    dequantisation, Ho et al., 2019). Else uniform noise fills the bin.
    """

    def apply(self, state: Elimination) -> bool:
        for d in state.graph.definitions:
            inverse = invert(d.value)
            if inverse is None or not self.can(state, d, inverse):
                continue
            why = state.reason
            first, *more = inverse.latents
            others = tuple(name for name in variables(d.value) if name not in inverse.latents)
            if inverse.rounded:
                noise = f"floor makes {d.variable} whole numbers, and uniform noise in [0, 1) makes them a density's"
                state.add(Dequantise(d.variable, why(f"{noise} again", d.span), reads=(d.variable,)))
            listed = " and ".join(inverse.latents)
            text = f"{d.variable} is a bijection of {listed}, so {listed} {'are' if more else 'is'} known exactly"
            reads = (d.variable, *others)
            state.add(Invert(first, why(text, d.span), d.variable, inverse.rounded, tuple(more), reads=reads))
            return True
        return False

    @staticmethod
    def can(state: Elimination, d: Definition, inverse: Inverse, given: frozenset[str] = frozenset()) -> bool:
        """Whether a definition can be read backwards, if what is `given` is known as well."""
        known = state.known | given
        latents = [state.graph[name] for name in inverse.latents]
        if d.variable not in known or known & set(inverse.latents):
            return False
        if any(v.role != "latent" or v.shared for v in latents):
            return False
        if isinstance(state.step_of(d.variable), Compute) or images(state).get(d.variable):
            return False
        if inverse.rounded and inverse.direct and state.graph.factor("q", latents[0].name) is not None:
            return False
        return set(variables(d.value)) - set(inverse.latents) <= known

    def close(self, state: Elimination) -> None:
        """What has no inverse has no density: it needs an opponent."""
        inverted = images(state)
        for d in state.graph.definitions:
            computed = isinstance(state.step_of(d.variable), Compute)
            if d.variable not in state.known or computed or d.variable in inverted or preimage_drawn(state, d):
                continue
            state.implicit.append(d)

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        step = state.step_of(factor.head)
        return (log_prob(state, factor, step.image),) if isinstance(step, Invert) else None

    def terms(self, state: Elimination) -> Iterator[Term]:
        for step in state.steps:
            if isinstance(step, Invert):
                u, x = step.variable, step.image
                text, shown = ", ".join(step.gives), ", ".join(map(latex.name, step.gives))
                why = state.reason(f"change of variables from {x} to {text}", _definition(state, x).span)
                if step.others:
                    text, shown = f"({text})", f"({shown})"
                shown = rf"\log\left|\det \frac{{\partial {shown}}}{{\partial {latex.name(x)}}}\right|"
                yield LogDet(f"log |d{text}/d{x}|", x, why, u, reads=step.gives, latex=shown)

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        if any(isinstance(s, Dequantise) for s in state.steps):
            yield "uniform noise in [0, 1) on the integers"
        if any(isinstance(s, Invert) for s in state.steps):
            yield "change of variables"


def follows(state: Elimination, given: Iterable[str]) -> frozenset[str]:
    """What definitions give, read forwards or backwards, once these variables are known."""
    known = frozenset(given)
    while True:
        found = set(known)
        for d in state.graph.definitions:
            inverse = invert(d.value)
            if inverse is not None and Inverting.can(state, d, inverse, known):
                found |= set(inverse.latents)
            if set(variables(d.value)) <= state.known | known:
                found.add(d.variable)
        if found - state.known <= known:
            return known - frozenset(given)
        known = frozenset(found - state.known)


def images(state: Elimination) -> dict[str, Invert]:
    """The steps that invert, by what they invert."""
    return {s.image: s for s in state.steps if isinstance(s, Invert)}


def preimage_drawn(state: Elimination, d: Definition) -> bool:
    """Whether the preimage of a rounded variable has its value from its q."""
    inverse = invert(d.value)
    if inverse is None or not (inverse.rounded and inverse.direct) or inverse.latents[0] not in state.known:
        return False
    return (step := state.step_of(inverse.latents[0])) is not None and step.factor[:1] == "q"


def _definition(state: Elimination, variable: str) -> Definition:
    found = state.graph.definition(variable)
    assert found is not None
    return found
