"""Arithmetic: operations on two values, and sums."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.diagnostics import Note
from dgmppl.graph.axes import reduced
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context
from dgmppl.graph.polynomial import polynomial
from dgmppl.graph.scope import Scope
from dgmppl.graph.shapes import Evaluate, infer_ranges, is_open
from dgmppl.graph.values import Constant, IndexSum, Operation, Value
from dgmppl.supports import Type, real
from dgmppl.syntax import tree


def check_binary(scope: Scope, expr: tree.Binary, expected: Type | None, ctx: Context, evaluate: Evaluate) -> Value:
    """An operation on two values, element by element or `@`. Reports shapes that do not go together (E204)."""
    if is_network(scope, expr):
        headline, help_ = "these networks have no inputs", "in parentheses, with their inputs: (conv[32] >> mlp[64])(x)"
        scope.fail("E217", headline, expr.span, "needs its inputs", help=help_)
    if expr.op == ">>":
        scope.fail(
            "E217",
            "`>>` makes a distribution or a flow, and a value is needed here",
            expr.span,
            help="name the flow and apply it: flow f = ...; f(u)",
        )
    wanted = None if expected is None else real(*expected.shape)
    if expr.op == "@":
        left, right = evaluate(scope, expr.left, None, ctx), evaluate(scope, expr.right, None, ctx)
        if not left.shape or not right.shape or left.shape[-1] != right.shape[0]:
            _disagree(scope, expr, left, right, "the last size of the left must be the first of the right")
        shape = left.shape[:-1] + right.shape[1:]
        return Operation(real(*shape), expr.span, "@", (left, right))
    if wanted is None and is_open(scope, expr.left) and not is_open(scope, expr.right):
        right = evaluate(scope, expr.right, None, ctx)
        left = evaluate(scope, expr.left, real(*right.shape), ctx)
    else:
        left = evaluate(scope, expr.left, wanted, ctx)
        right = evaluate(scope, expr.right, wanted or real(*left.shape), ctx)
    if isinstance(left, Constant) and isinstance(right, Constant):
        number = scope.arithmetic(expr, left.number, right.number)
        return Constant(real(), expr.span, scope.representable(number, expr.span))
    if expr.op == "/" and isinstance(right, Constant) and right.number == 0:
        scope.fail("E210", "this arithmetic has no result", expr.span, "a division by 0")
    if left.shape and right.shape and left.shape != right.shape:
        _disagree(scope, expr, left, right, f"`{expr.op}` works element by element")
    return Operation(real(*(left.shape or right.shape)), expr.span, expr.op, (left, right))


def _disagree(scope: Scope, expr: tree.Binary, left: Value, right: Value, why: str) -> None:
    scope.fail(
        "E204",
        f"shapes {list(left.shape)} and {list(right.shape)} do not go together",
        expr.span,
        why,
        notes=(
            Note(expr.left.span, f"shape {list(left.shape)}"),
            Note(expr.right.span, f"shape {list(right.shape)}"),
        ),
    )


def check_summation(scope: Scope, expr: tree.Summation, ctx: Context, evaluate: Evaluate) -> Value:
    """A sum of all elements, over one axis, or over indices."""
    if not expr.indices:
        body = evaluate(scope, expr.body, None, ctx)
        if expr.option is None:
            return Operation(Type(body.type.support.summed()), expr.span, "sum", (body,))
        if expr.option.name != "axis":
            headline = f"sum has no option `{expr.option.name}`"
            scope.fail("E209", headline, expr.option.span, help="sum(a, axis = 0)")
        return reduced(scope, expr.span, "sum", body, expr.option.value, ctx)
    ranges: dict[str, int] = {}
    for name in expr.indices:
        element = ctx.elements is not None and name in ctx.elements.indices
        if name in scope.names or name in ctx.sums or element or expr.indices.count(name) > 1:
            scope.fail("E202", f"the index `{name}` is already taken", expr.span, "choose another letter")
    infer_ranges(scope, expr.body, set(expr.indices), ranges, ctx)
    for name in expr.indices:
        if name not in ranges:
            scope.fail("E211", f"the range of the index `{name}` does not follow", expr.span, "never used")
    body = evaluate(scope, expr.body, None, replace(ctx, sums={**ctx.sums, **ranges}))
    if body.shape:
        scope.fail("E204", "what is summed over indices is a number", expr.body.span, f"shape {list(body.shape)}")
    value = IndexSum(real(), expr.span, tuple(ranges.items()), body)
    if polynomial(value, ()) is None:
        scope.fail(
            "E217",
            "a sum over indices is of products of variables and parameters",
            expr.body.span,
            "no such sum",
            help="without indices a sum is of any tensor: sum(tanh(x) * b)",
        )
    return value
