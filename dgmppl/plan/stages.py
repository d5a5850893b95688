"""The stages of a fit: which weights each moves, and what is wrong where one moves none, or some are in no stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dgmppl.diagnostics import did_you_mean
from dgmppl.graph import held
from dgmppl.graph.nodes import Adversary, Definition, Energy, Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Declared, variables, walk
from dgmppl.plan.setting_types import Stage
from dgmppl.plan.settings import TrainSettings

Moved = Factor | Definition | Energy | Adversary


def resolve_stages(scope: Scope, graph: Graph, settings: TrainSettings) -> TrainSettings:
    """The settings with the weights of each stage: those of the factors that it names, and of the features they read.

    Reports a name that nothing models and a stage without weights (E305), and weights that no stage moves (W404).
    """
    if not settings.stages:
        return settings
    stages = tuple(_resolved(scope, graph, stage) for stage in settings.stages)
    moved = {name for stage in stages for name in stage.weights}
    told: set[str] = set()
    for statement in _statements(graph):
        left = [name for name in _own(graph, statement) if name not in moved]
        key = _key(statement)
        if left and key not in told:
            told.add(key)
            span = statement.span if isinstance(statement, (Definition, Energy, Adversary)) else statement.head_span
            help_ = f"name it in a stage: fit({key.partition('|')[0].strip()}{')' if '|' in key else ''})"
            headline = f"nothing teaches {key}: no stage of the fit moves its weights"
            scope.report("W404", headline, span, "its weights stay as they start", help=help_, severity="warning")
    return replace(settings, stages=stages)


def _resolved(scope: Scope, graph: Graph, stage: Stage) -> Stage:
    found: dict[str, Moved] = {}
    for side, name in stage.parts:
        named = [s for s in _statements(graph) if _is(graph, s, side, name)]
        if not named:
            known = sorted({f.head for f in graph.factors} | {a.name for a in graph.adversaries})
            what = f"{side}({name})" if side else f"`{name}`"
            help_ = did_you_mean(name, known, f"what has a factor: {', '.join(known)}")
            scope.fail("E305", f"no factor is {what}", stage.span, "nothing to fit", help=help_)
        found.update({_key(s): s for s in named})
    weights = dict.fromkeys(w for s in found.values() for w in (*_own(graph, s), *_read(graph, s)))
    if not weights:
        scope.fail(
            "E305",
            f"{' and '.join(found)} {'has' if len(found) == 1 else 'have'} no weights",
            stage.span,
            "nothing to fit",
        )
    return replace(stage, statements=tuple(found), weights=tuple(weights))


def _statements(graph: Graph) -> Iterator[Moved]:
    yield from graph.factors
    yield from graph.definitions
    yield from (graph.energy,) if graph.energy is not None else ()
    yield from graph.adversaries


def _is(graph: Graph, statement: Moved, side: str, name: str) -> bool:
    if isinstance(statement, Factor):
        return side in ("", statement.side) and name in (statement.head, graph[statement.head].family)
    if isinstance(statement, Definition):
        return not side and name in (statement.variable, graph[statement.variable].family)
    return not side and name == (statement.name if isinstance(statement, Adversary) else "E")


def _key(statement: Moved) -> str:
    if isinstance(statement, Factor):
        return statement.key
    if isinstance(statement, Definition):
        return statement.variable
    return statement.name if isinstance(statement, Adversary) else "E"


def _term(statement: Moved) -> object:
    if isinstance(statement, Factor):
        return statement.density
    return statement.module if isinstance(statement, Adversary) else statement.value


def _own(graph: Graph, statement: Moved) -> Iterator[str]:
    """What holds the weights of a statement in the model, shared ones included."""
    learned = {p.name: p.ident for p in graph.parameters if p.learns}
    for one in held.held_by(_term(statement), statement):
        if not isinstance(one.term, held.Parameter) and (held.weights(one) or held.own(one)):
            yield one.term.attribute
    for term in walk(_term(statement)):
        if isinstance(term, Declared) and term.name in learned:
            yield learned[term.name]


def _read(graph: Graph, statement: Moved) -> Iterator[str]:
    """What holds the weights of the features that a statement reads, at any depth."""
    pending, seen = list(variables(_term(statement))), set[str]()
    while pending:
        name = pending.pop()
        definition = graph.definition(name)
        if name in seen or definition is None:
            continue
        seen.add(name)
        yield from _own(graph, definition)
        pending += variables(definition.value)
