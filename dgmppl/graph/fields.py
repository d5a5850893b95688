"""Flows of differential equations, `u + integrate(t in 0..1: ...)`, along a field that a formula writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dgmppl.catalogue.bijections import BIJECTIONS, FIELD
from dgmppl.graph.binding import bind
from dgmppl.graph.blocks import build_block, verify_network
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context, Inputs
from dgmppl.graph.flow_sums import INTEGRAL
from dgmppl.graph.options import read_options
from dgmppl.graph.outline import Outline
from dgmppl.graph.outside import Outside, bound
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Apply, Bijection, Block, Field, Mapped, Module, Operation, Value, walk
from dgmppl.supports import REAL, Support, Type, real
from dgmppl.syntax import tree


def check_field(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    """The bijection that an integral over a time writes: the flow of a differential equation, whose field is any value
    of the shape of what it moves.

    A network of a vector and of the time is the kind `ode` of the catalogue (Chen et al., 2018).

    Reports values that it does not map (E213), a field of another shape (E204), and one that jumps (E217).
    """
    plain = _plain(scope, outline)
    if plain is not None:
        return build_block(scope, plain, Type(support, outline.takes), ctx, inputs)
    integral, base = outline.integral, outline.base
    assert integral is not None and base is not None and outline.entry is not None
    if support != REAL:
        headline = f"an integral moves real values, these are {support.describe()}"
        gets, help_ = Type(support, outline.takes).describe(), "before what maps them there: exp(f(u))"
        scope.fail("E213", headline, outline.span, f"gets {gets}", help=help_)
    argument = base.name if isinstance(base, tree.Name) else scope.attribute(f"{ctx.hint}_moved")
    body = _moved(integral.body, base, tree.Name(base.span, argument))
    moved = real(*outline.takes)
    call, hint = tree.Call(body.span, body, (body,)), replace(ctx, hint=f"{ctx.hint}_field")
    with bound(scope, {argument: moved, integral.index: real()}, integral.span):
        (value,) = inputs(scope, call, hint, expected=moved)
    if value.shape != moved.shape:
        headline = f"what is integrated has the shape of what it moves: {moved.describe()}"
        scope.fail("E204", headline, body.span, f"shape {list(value.shape)}", help=INTEGRAL)
    _verify(scope, value, ctx)
    outside = Outside(scope, (argument, integral.index))
    found: Value = outside.given(value)
    modules = {m.attribute: replace(m, named=True) for m in walk(found) if isinstance(m, Module)}
    options = bind(scope, outline.entry.signature, outline.items, outline.span)
    start, end = (scope.number(e, ctx.env, "a time") for e in (integral.range.low, integral.range.high))
    method = scope.attribute(f"field_{ctx.hint}")
    field = Field(ctx.hint, method, argument, integral.index, found, start, end)
    block = Block(
        outline.span,
        FIELD,
        outline.takes,
        tuple(modules.items()),
        tuple((name, float(number)) for name, number in read_options(scope, options.given, ctx)),
        context=tuple(outside.context.items()),
        field=field,
    )
    return block, support


def _plain(scope: Scope, outline: Outline) -> Outline | None:
    """The kind `ode` of an integral of a network that reads a vector, then the time, then what both are not read in."""
    integral = outline.integral
    assert integral is not None
    call, time = integral.body, tree.Name(integral.span, integral.index)
    whole = [scope.number(e, {}, "a time") for e in (integral.range.low, integral.range.high)] == [0.0, 1.0]
    if len(outline.takes) != 1 or not (whole and isinstance(call, tree.Call) and is_network(scope, call.target)):
        return None
    if call.arguments[:2] != (outline.base, time) or any(_holds(call.arguments[2:], e) for e in (outline.base, time)):
        return None
    given = tree.Call(call.span, call.target, call.arguments[2:]) if call.arguments[2:] else None
    return Outline(
        outline.expr,
        "block",
        entry=BIJECTIONS["ode"],
        items=(call.target, *outline.items),
        call=given,
        takes=outline.takes,
        gives=outline.gives,
    )


def _holds(term: object, part: object) -> bool:
    if isinstance(term, tuple):
        return any(_holds(t, part) for t in term)
    return term == part or (isinstance(term, tree.Node) and any(_holds(t, part) for t in vars(term).values()))


def _moved(term: Any, base: tree.Expr, name: tree.Name) -> Any:
    """An expression with a name in the place of what moves."""
    if isinstance(term, tuple):
        return tuple(_moved(part, base, name) for part in term)
    if term == base:
        return replace(name, span=term.span)
    if not isinstance(term, tree.Node):
        return term
    return replace(term, **{key: _moved(part, base, name) for key, part in vars(term).items()})


def _verify(scope: Scope, value: Value, ctx: Context) -> None:
    """Reports what makes a field no smooth function of what it moves: steps, and networks that are another function in
    each pass (E217)."""
    for term in walk(value):
        if isinstance(term, Operation) and term.op == "floor":
            headline, help_ = "what is integrated is smooth, and `floor` jumps", "tanh(...), sin(...), or a network"
            scope.fail("E217", headline, term.span, "jumps", help=help_)
        if isinstance(term, Mapped):
            help_ = "what moves is mapped before and behind: flow g(v) = exp(f(v))"
            scope.fail("E217", "no flow is applied in what is integrated", term.span, "a bijection", help=help_)
        if isinstance(term, Apply):
            entry = BIJECTIONS["ode"]
            verify_network(scope, term.span, "an integral", term.module.specs, entry.slot("network"))


__all__ = ["check_field"]
