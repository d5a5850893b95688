"""Schedules: `schedule beta[t in 1..T] = linear(1e-4, 0.02)`, numbers along an index that are known when a model is
built."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dgmppl.diagnostics import Note
from dgmppl.graph.context import Context, Elements
from dgmppl.graph.declare import family_range
from dgmppl.graph.expressions import evaluate
from dgmppl.graph.nodes import Graph, Schedule
from dgmppl.graph.numbers import Index, NoResult, NotClosed, numbers
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Declared, Value, walk
from dgmppl.supports import REAL, Type
from dgmppl.syntax import tree


def declare_schedules(scope: Scope, spec: tree.Spec) -> None:
    """The schedules of a spec, each after those that it reads. Reports those that read each other (E205)."""
    pending = [s for s in spec.statements if isinstance(s, tree.Schedule)]
    waiting = {s.name for s in pending}
    while pending:
        ready = next((s for s in pending if not (set(_names(s.value)) & waiting)), None)
        if ready is None:
            _report_circle(scope, pending)
            return
        pending.remove(ready)
        with scope.statement(ready.name):
            _declare(scope, ready)
        waiting = {s.name for s in pending}


def _names(term: object) -> Iterator[str]:
    """Every name in an expression."""
    if isinstance(term, tree.Name):
        yield term.name
    elif isinstance(term, tuple):
        for part in term:
            yield from _names(part)
    elif isinstance(term, tree.Node):
        for part in vars(term).values():
            yield from _names(part)


def _report_circle(scope: Scope, pending: list[tree.Schedule]) -> None:
    scope.poisoned.update(s.name for s in pending)
    first, *others = pending
    headline = f"`{first.name}` is computed from itself"
    if others:
        headline = f"{', '.join(f'`{s.name}`' for s in pending)} are computed from each other"
    help_ = "the product of what is so far: cumprod(1 - beta[t])"
    scope.report("E205", headline, first.name_span, "closes the circle", help=help_)


def _declare(scope: Scope, statement: tree.Schedule) -> None:
    name, family = statement.name, statement.family
    if family is None:
        usage = f"schedule {name}[t in 1..T] = ..."
        scope.fail("E211", "a schedule has a number at each place of an index", statement.name_span, help=usage)
    members = family_range(scope, tree.Axis(family.span, family.index, family.range))
    elements = Elements((family.index,), (len(members),), start=members.start, schedule=True)
    value = evaluate(scope, statement.value, None, Context(name, elements=elements))
    found = _numbers(scope, statement, family.index, value, members)
    attribute = scope.attribute(name, own=True)
    type_ = Type(REAL, (len(members),))
    schedule = Schedule(name, attribute, type_, 0.0, statement.name_span, value, members.start, found)
    scope.declare(name, schedule, statement.name_span)


def _numbers(scope: Scope, statement: tree.Schedule, letter: str, value: Value, members: range) -> tuple[float, ...]:
    """What it comes to. Reports what is no number (E210), at one place of the index or at all."""
    known = {name: b for name, b in scope.names.items() if isinstance(b, Schedule)}
    try:
        found = numbers(value, Index(0, len(members) - 1, known))
    except NotClosed:
        scope.fail(
            "E210",
            "a schedule is computed from numbers: constants, the index and other schedules",
            statement.value.span,
            "not known when the model is built",
            help=f"{statement.name}[{letter} in ...] = linear(1e-4, 0.02), or any arithmetic with {letter}",
        )
    except NoResult as error:
        at = f"for {letter} = {members.start + error.position}"
        scope.fail("E210", "this arithmetic has no result", statement.value.span, at)
    for number, result in zip(members, found):
        if result is None:
            read = sorted({t.name for t in walk(value) if isinstance(t, Declared)})
            notes = tuple(Note(scope.places[name], f"`{name}` is declared here") for name in read)
            headline = f"`{statement.name}[{number}]` is computed from a number that does not exist"
            scope.fail("E215", headline, statement.value.span, f"for {letter} = {number}", notes=notes)
        if not math.isfinite(result):
            scope.fail("E210", "this arithmetic has no result", statement.value.span, f"for {letter} = {number}")
        scope.representable(result, statement.value.span)
    return tuple(r for r in found if r is not None)


def used_schedules(graph: Graph, scope: Scope) -> tuple[Schedule, ...]:
    """The schedules that the model reads along an index, and those that these are computed from, these first."""
    known = {name: b for name, b in scope.names.items() if isinstance(b, Schedule)}
    terms: list[object] = [f.density for f in graph.factors] + [d.value for d in graph.definitions]
    pending = [t.name for term in terms for t in walk(term) if isinstance(t, Declared) and t.name in known]
    needed: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += [t.name for t in walk(known[name].value) if isinstance(t, Declared)]
    return tuple(schedule for name, schedule in known.items() if name in needed)
