"""Forecasts: rows whose sequences begin with what is known of them, and go on by p.

What is known of each row are the first members of the observed families of an index. Latents of the row and the first
members of latent families have their posterior given these, for which `dgmppl.graph.past` has the model; what follows
is drawn by the factors of p, one after another. That is the conditional law of the rest where every member depends on
what is before it, and on nothing that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Along, Factor, Graph, Variable
from dgmppl.graph.turns import WHOLE, distances
from dgmppl.graph.values import Apply, Position, Sequence, walk
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.observe import Given
from dgmppl.source import Span


@dataclass(frozen=True)
class Forecast:
    """How sequences go on.

    Args:
        along: their index.
        families: the observed families of which the first members are given.
        whole: other data of a row, which are given as they are.
        latents: what the past says something about: families, and others, which have one value in each row or more.
        without: what the past says nothing of: data that are drawn or left out, and latents of theirs.
        steps: the sampling program.
    """

    along: Along
    families: tuple[str, ...]
    whole: tuple[str, ...]
    latents: tuple[str, ...]
    without: tuple[str, ...]
    steps: tuple[Step, ...] = field(repr=False)

    @property
    def given(self) -> tuple[str, ...]:
        """The data that rows have."""
        return (*self.families, *self.whole)


def forecast_along(graph: Graph, plan: Plan, along: Along) -> Forecast:
    """How the sequences along an index go on.

    Raises:
        SpecError (E714): for what does not go forward along it.
    """
    inside = {v.name for v in graph.variables if _lies_along(v, along) and v.name not in graph.conditions}
    families = tuple(v.name for v in graph.observed if v.name in inside)
    _verify_forward(graph, plan, inside)
    modelled = [v for v in graph.data if v.name not in graph.conditions and v.name not in inside]
    sources = graph.sources(set(families))
    below = tuple(v.name for v in modelled if inside & graph.sources({v.name}) or v.name not in sources)
    latents = tuple(v.name for v in graph.latents if v.name in sources)
    read = {name for f in graph.factors if f.side == "q" and f.head in latents for name in graph.roots(graph.reads(f))}
    if not any(not graph[name].shared for name in latents):
        latents = ()
        read = set()
    late = next((f for f in graph.factors if f.side == "q" and f.head in latents and _reads(graph, f, below)), None)
    if late is not None:
        names = ", ".join(f"`{name}`" for name in _reads(graph, late, below))
        why = f"{graph.written(late)} reads {names}, which depends on all members"
        raise refused(graph, late.head_span, why, along)
    others = (graph[name] for name in latents if name not in inside)
    apart = next((v for v in others if inside & graph.sources({v.name})), None)
    if apart is not None:
        raise refused(graph, apart.span, f"`{apart.name}` depends on all members along {along.letter}", along)
    needed = (graph.sources({*families, *below}) | read) - {*families, *below}
    whole = tuple(v.name for v in graph.data if v.name in needed)
    steps = tuple(s for s in plan.generate if not isinstance(s, Given))
    unread = (*graph.data, *(v for v in graph.latents if v.name not in sources))
    without = tuple(v.name for v in unread if v.name not in (*families, *whole))
    return Forecast(along, families, whole, latents, without, steps)


def indices(graph: Graph) -> tuple[Along, ...]:
    """The indices along which observed families lie that are modelled."""
    found = (v.along for v in graph.observed if v.along is not None and v.name not in graph.conditions)
    return tuple({along.letter: along for along in found}.values())


def posterior_of(graph: Graph, plan: Plan, names: Iterable[str]) -> tuple[Step, ...]:
    """The steps that give values to these latents of rows, given data, and to what they depend on."""
    wanted, kept = set(names), list[Step]()
    for step in reversed(plan.steps):
        if wanted & set(step.gives):
            kept.insert(0, step)
            wanted |= set(step.reads)
    return tuple(s for s in kept if not isinstance(s, (Given, Compute)))


def approximate(graph: Graph, plan: Plan) -> tuple[Step, ...]:
    """Those of them that draw from a q, which need not be the posterior."""
    steps = posterior_of(graph, plan, plan.proposes)
    return tuple(s for s in steps if any(key[0] == "q" for key in s.comes_from) and not graph[s.variable].shared)


def is_weighed(graph: Graph, plan: Plan) -> bool:
    """Whether what is proposed has weights: where a q draws it, and its density is evaluated at each draw."""
    steps = posterior_of(graph, plan, plan.proposes)
    closed = any(t.estimator and not t.shared for t in plan.terms)
    return not closed and bool(approximate(graph, plan)) and not any(s.repeats for s in steps)


def _lies_along(variable: Variable, along: Along) -> bool:
    mine = variable.along is not None and variable.along.letter == along.letter
    return mine and variable.role != "let" and not variable.shared


def _reads(graph: Graph, factor: Factor, names: Iterable[str]) -> list[str]:
    read = graph.roots(graph.reads(factor))
    return [name for name in names if name in read]


def _verify_forward(graph: Graph, plan: Plan, inside: set[str]) -> None:
    """Every member has a law, given what is before it."""
    along = next(along for name in inside if (along := graph[name].along) is not None)
    if graph.energy is not None:
        raise refused(graph, graph.energy.head_span, "an energy is of all of a row at once", along)
    for name in sorted(inside):
        v, definition, factor = graph[name], graph.definition(name), graph.factor("p", name)
        if definition is not None:
            raise refused(graph, definition.span, f"`{name}` is a function of others", along)
        if v.role == "partial":
            raise refused(graph, v.span, f"`{name}` is partial: how much of it is known is no first part", along)
        if factor is not None:
            _verify_factor(graph, factor, inside, along)
    for s in plan.generate:
        if not isinstance(s, (Given, Draw, DrawInTurn, Compute)):
            raise refused(graph, graph[s.variable].span, f"`{s.variable}` is not drawn member by member", along)


def _verify_factor(graph: Graph, factor: Factor, inside: set[str], along: Along) -> None:
    density = factor.density
    if not isinstance(density, Sequence):
        raise refused(graph, factor.head_span, f"{graph.written(factor)} is of all members at once", along)
    own = graph[factor.head].members.start
    for segment in density.segments:
        for name, by in distances(graph, replace(factor, density=segment)):
            if name not in inside or by is None:
                continue
            away = by + graph[name].members.start - own  # positions are counted from each family's own first member
            if by == WHOLE or away > 0:
                what = f"all members of `{name}`" if by == WHOLE else f"`{name}[{along.letter}+{away}]`"
                written = graph.written(replace(factor, density=segment, head_span=segment.head_span))
                raise refused(graph, segment.head_span, f"{written} depends on {what}", along)


def verify_alike(graph: Graph, forecast: Forecast) -> None:
    """The laws of members behind the last of the data are those of members before.

    Raises:
        SpecError (E714): where a network reads the index.
    """
    along = forecast.along
    for name in (*forecast.families, *forecast.latents):
        factor = graph.factor("p", name)
        if factor is not None and counts(factor, along):
            written = graph.written(factor)
            why = f"{written} reads {along.letter} by a network, which knows it up to the last member alone"
            raise refused(graph, factor.head_span, why, along)


def counts(factor: Factor, along: Along) -> bool:
    """Whether a network reads the index as a number, which is scaled by how many members there are."""
    applied = (t for t in walk(factor.density) if isinstance(t, Apply))
    return any(isinstance(i, Position) and i.name == along.letter for t in applied for v in t.inputs for i in walk(v))


def refused(graph: Graph, span: Span | None, why: str, along: Along) -> SpecError:
    """What keeps sequences from being continued (E714)."""
    letter = along.letter
    headline = f"{graph.name} cannot be continued along {letter}: {why}"
    help_ = (
        f"what is known are first members: a law of each, given those before it, as in p(x[{letter}] | x[{letter}-1])"
    )
    return SpecError([Diagnostic("E714", headline, span, "here" if span else "", help=help_)], graph.source)


__all__ = [
    "Forecast",
    "approximate",
    "counts",
    "forecast_along",
    "indices",
    "is_weighed",
    "posterior_of",
    "refused",
    "verify_alike",
]
