"""What only schedules are computed from: those of a usual form, `linear(1e-4, 0.02)`, and products, `cumprod(...)`."""

from __future__ import annotations

from dgmppl.catalogue.schedules import CUMPROD, SCHEDULES
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.nodes import Schedule
from dgmppl.graph.numbers import Index, NoResult, NotClosed, numbers
from dgmppl.graph.scope import Scope
from dgmppl.graph.shapes import Evaluate
from dgmppl.graph.values import Cumulative, Scheduled, Value
from dgmppl.supports import real
from dgmppl.syntax import tree


def is_scheduled(expr: tree.Call, ctx: Context) -> bool:
    """Whether a call in a schedule is one of those that schedules have of their own."""
    name = expr.target.name if isinstance(expr.target, tree.Name) else ""
    return ctx.elements is not None and ctx.elements.schedule and (name in SCHEDULES or name == CUMPROD.name)


def check_scheduled(scope: Scope, expr: tree.Call, ctx: Context, evaluate: Evaluate) -> Value:
    """A schedule of a usual form, or a product of what is so far. Reports wrong arguments (E209, E210)."""
    assert isinstance(expr.target, tree.Name) and ctx.elements is not None
    count = ctx.elements.extent[0]
    if expr.target.name == CUMPROD.name:
        given = bind(scope, CUMPROD, expr.arguments, expr.span)
        value = evaluate(scope, given["value"].value, None, ctx)
        return Cumulative(real(), expr.span, value, _missing(scope, value, count))
    kind = SCHEDULES[expr.target.name]
    bound = bind(scope, kind.signature, expr.arguments, expr.span)
    found = dict(kind.defaults)
    for argument in kind.signature.arguments:
        if argument.name in bound:
            found[argument.name] = scope.number(bound[argument.name].value, {}, f"`{argument.name}`")
    arguments = tuple(found[a.name] for a in kind.signature.arguments)
    return Scheduled(real(), expr.span, kind.signature.name, arguments, count)


def _missing(scope: Scope, value: Value, count: int) -> int:
    """At how many of the first places a value has no number."""
    known = {name: b for name, b in scope.names.items() if isinstance(b, Schedule)}
    try:
        found = numbers(value, Index(0, count - 1, known))
    except (NotClosed, NoResult):
        return 0  # reported for the schedule as a whole
    return next((k for k, number in enumerate(found) if number is not None), count)
