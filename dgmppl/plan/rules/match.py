"""Match: the field of an integral is taught by paths from noise to data, in the place of a likelihood.

Flow matching (Lipman et al., 2023) is an objective that a spec asks for. The model stays what it is, and so does its
likelihood, which is that of the flow and is what is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dgmppl.diagnostics import Note
from dgmppl.graph.flow_sums import INTEGRAL
from dgmppl.graph.held import every_block
from dgmppl.graph.nodes import Definition, Factor
from dgmppl.graph.values import (
    Apply,
    Bijection,
    Block,
    Composition,
    Declared,
    Inverse,
    Learned,
    Levels,
    Mapped,
    Pushforward,
    Value,
    variables,
    walk,
)
from dgmppl.plan import latex
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.invert import Invert, LogDet, invert
from dgmppl.plan.rules.observe import Given
from dgmppl.plan.settings import PathSetting
from dgmppl.plan.state import Elimination
from dgmppl.source import Span
from dgmppl.supports import number_text

MAX_JACOBIAN = 1_000
"""Elements of a variable whose likelihood by a whole Jacobian is among the figures."""


@dataclass(frozen=True)
class Matching(Term):
    """Minus the squared error of a field on a path from noise to the values of `variable`, at a random time.

    `latents` are what the noise is drawn as, where a definition maps it; else the base of the variable's own factor
    gives it. `drawn` are the keys of the factors that give it.
    """

    variable: str
    latents: tuple[str, ...]
    drawn: tuple[str, ...]
    path: PathSetting
    target: str


@dataclass(frozen=True)
class _Found:
    """A variable of the data that flows give: by a definition that is read backwards, or by its factor."""

    variable: str
    span: Span
    flows: tuple[Bijection, ...]
    definition: Definition | None = None
    factor: Factor | None = None

    @property
    def blocks(self) -> list[tuple[Block, int]]:
        return [found for flow in self.flows for found in every_block(flow)]

    @property
    def integrals(self) -> int:
        return sum(times for block, times in self.blocks if block.solves)


def match(state: Elimination, terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms of the loss: where flow matching is asked for, with the errors of fields in the place of the densities
    of what the flows give.

    Reports flows that it does not fit (E303).
    """
    if state.asked is None or state.asked.name != "flow_matching" or state.failed:
        return terms
    found = [f for f in _candidates(state) if f.integrals]
    _verify_model(state, found)
    for one in found:
        _verify(state, one, terms)
    kept = tuple(t for t in terms if not any(_replaced(state, one, t) for one in found))
    for one in found:
        _verify_unread(state, one, kept)
    return (*(_term(state, one) for one in found), *kept)


def words(path: PathSetting, target: str) -> str:
    """`along a linear path`, with what the error is measured as."""
    options = ", ".join(f"{name} = {number_text(value)}" for name, value in path.options.items())
    along = f"along a {path.name.replace('_', '-')} path" + (f" ({options})" if options else "")
    return along + (f", as an error of the {target}" if target != "velocity" else "")


def likelihood_shown(state: Elimination, terms: Iterable[Term]) -> bool:
    """Whether the likelihood of what flows give is cheap enough to be reported: its Jacobian has few elements."""
    return all(state.graph[t.variable].type.elements <= MAX_JACOBIAN for t in terms if isinstance(t, Matching))


def _candidates(state: Elimination) -> Iterator[_Found]:
    graph = state.graph
    for step in state.steps:
        definition = graph.definition(step.image) if isinstance(step, Invert) else None
        if definition is not None:
            flows = tuple(t.bijection for t in walk(definition.value) if isinstance(t, Mapped))
            yield _Found(definition.variable, definition.span, flows, definition=definition)
    for factor in graph.factors:
        seen = isinstance(state.step_of(factor.head), Given)
        if factor.side == "p" and seen:
            flows = tuple(t.bijection for t in walk(factor.density) if isinstance(t, Pushforward))
            yield _Found(factor.head, factor.head_span, flows, factor=factor)


def _fail(state: Elimination, why: str, help_: str, notes: tuple[Note, ...] = ()) -> None:
    assert state.asked is not None
    state.scope.fail("E303", "flow_matching does not fit this model", state.asked.span, why, notes=notes, help=help_)


def _verify_model(state: Elimination, found: list[_Found]) -> None:
    """Reports a model without an integral that gives data, or in which something is known through a q, a sum, an energy
    or a game: a squared error beside these bounds nothing."""
    by_likelihood = "without `objective`, the structure calls for its likelihood or a bound on it"
    if not found:
        why = "no integral gives what the data holds"
        _fail(state, why, f"it teaches the field of one: flow f(u) = {INTEGRAL}, p(u) = Normal(0, 1), and x = f(u)")
    through = [q.key for q in state.posteriors()] + [f"a sum over {name}" for name in state.summed()]
    if through:
        why = f"with {through[0]} its squared error would stand beside a bound, and the sum of both bounds nothing"
        _fail(state, why, f"{by_likelihood}; or fit the flow to codes that another run has found")
    if state.sampler is not None:
        _fail(state, "its squared error bounds nothing, beside an energy", by_likelihood)
    if state.judged:
        _fail(state, "an adversary judges the same model", "leave out either the adversary or `objective`")


def _verify(state: Elimination, found: _Found, terms: tuple[Term, ...]) -> None:
    """Reports flows of which the field is not all that there is to teach."""
    graph, x = state.graph, found.variable
    here = (Note(found.span, "given here"),)
    if graph[x].role == "partial":
        _fail(state, f"`{x}` is missing in some rows", "keep the rows that have it", here)
    if found.factor is not None and not isinstance(found.factor.density, Pushforward):
        why = f"the integral is inside of the distribution of `{x}`"
        _fail(state, why, f"p({x} | ...) = Normal(0, 1) >> f, of all of {x}", here)
    if found.integrals > 1:
        _fail(state, f"{found.integrals} integrals one after another give `{x}`", "one of them can do it all", here)
    if not all(_in_a_row(flow) for flow in found.flows):
        _fail(
            state, f"the integral that gives `{x}` is inside of another bijection", "write it behind, or before", here
        )
    other = next((block for block, _ in found.blocks if not block.solves and _learns(block)), None)
    if other is not None:
        why = f"it teaches a field alone, and `{other.kind}` learns too"
        _fail(state, why, "leave it out, or fit by likelihood: without `objective`", (Note(other.span, "here"),))
    known = {v.name for v in graph.data}
    for factor in _drawn(state, found):
        others = sorted(set(graph.roots(factor.parents)) - known - set(_latents(found)))
        if others:
            why = f"noise is drawn from {graph.written(factor)}, and `{others[0]}` is known through {x} alone"
            _fail(state, why, "a flow of noise that the data gives all the rest of: p(u) = Normal(0, 1)", here)


def _verify_unread(state: Elimination, found: _Found, kept: tuple[Term, ...]) -> None:
    """Reports a latent that another term reads: the flow would have to be solved for it."""
    for term in kept:
        read = sorted(set(state.graph.roots(term.reads)) & set(_latents(found)))
        if read:
            why = f"`{read[0]}` is read by {term.label}, and is known by solving the equation alone"
            _fail(state, why, "without `objective`, all of it is fitted by likelihood")


def _in_a_row(bijection: Bijection) -> bool:
    """Whether the integrals in a flow stand between other maps, and not inside of one."""
    if isinstance(bijection, Levels):
        return not any(block.solves for block, _ in every_block(bijection))
    if isinstance(bijection, Composition):
        return all(map(_in_a_row, bijection.parts))
    return _in_a_row(bijection.inner) if isinstance(bijection, Inverse) else True


def _learns(block: Block) -> bool:
    given = [t for _, value in block.context for t in walk(value)]
    read = any(isinstance(t, (Apply, Learned)) or (isinstance(t, Declared) and t.learns) for t in given)
    return bool(block.slots or block.own_weights or read)


def _latents(found: _Found) -> tuple[str, ...]:
    inverse = invert(found.definition.value) if found.definition is not None else None
    return inverse.latents if inverse is not None else ()


def _drawn(state: Elimination, found: _Found) -> tuple[Factor, ...]:
    """The factors that noise is drawn from."""
    factors = (state.graph.factor("p", name) for name in _latents(found))
    return tuple(f for f in factors if f is not None)


def _replaced(state: Elimination, found: _Found, term: Term) -> bool:
    """Whether a term is a part of the density that a field has."""
    if found.factor is not None:
        return found.factor.key in term.factors()
    heads = {state.graph.keyed(key).head for key in term.factors()}
    latents = set(_latents(found))
    return bool(heads & latents) or (isinstance(term, LogDet) and term.variable in latents)


def _term(state: Elimination, found: _Found) -> Matching:
    asked, graph, x = state.asked, state.graph, found.variable
    assert asked is not None
    latents, drawn = _latents(found), _drawn(state, found)
    if found.factor is not None:
        reads = graph.reads(found.factor)
        noise = f"the base of {found.factor.key}"
        keys: tuple[str, ...] = (found.factor.key,)
    else:
        assert found.definition is not None
        reads = tuple(n for n in _read(found.definition.value, drawn, state) if n not in latents)
        noise, keys = ", ".join(latents), tuple(f.key for f in drawn)
    text = f"the field that gives {x} is regressed on the velocity of paths from {noise} to {x}"
    shown = rf"-\left\| v({latex.name(x)}_t, t) - \dot{{{latex.name(x)}}}_t \right\|^2"
    return Matching(
        f"-|v - d{x}/dt|^2",
        x,
        state.reason(f"{text} {words(asked.path, asked.target)}", found.span),
        x,
        latents,
        keys,
        asked.path,
        asked.target,
        reads=(x, *dict.fromkeys(reads)),
        weight=asked.weights.get(x, 1.0),
        ramps=tuple(replace(r, epochs=r.epochs or state.settings.epochs) for n, r in asked.ramps.items() if n == x),
        latex=shown,
        estimator="one random time a row",
    )


def _read(value: Value, drawn: tuple[Factor, ...], state: Elimination) -> tuple[str, ...]:
    """What a definition and the factors of its latents read."""
    return (*variables(value), *(name for f in drawn for name in state.graph.reads(f)))


__all__ = ["Matching", "likelihood_shown", "match", "words"]
