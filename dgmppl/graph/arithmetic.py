"""Arithmetic: operations on two values."""

from __future__ import annotations

from dgmppl.diagnostics import Note
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context, Elements
from dgmppl.graph.nodes import Schedule
from dgmppl.graph.numbers import Index, NoResult, NotClosed, numbers
from dgmppl.graph.scope import Scope
from dgmppl.graph.shapes import Evaluate, is_open
from dgmppl.graph.values import Constant, Operation, Value
from dgmppl.source import Span
from dgmppl.supports import Type, real
from dgmppl.syntax import tree


def check_binary(scope: Scope, expr: tree.Binary, expected: Type | None, ctx: Context, evaluate: Evaluate) -> Value:
    """An operation on two values, element by element or `@`. Reports shapes that do not go together (E204), and classes
    (E213)."""
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
        _verify_numbers(scope, left, right)
        if not left.shape or not right.shape or left.shape[-1] != right.shape[0]:
            why = "the last size of the left must be the first of the right"
            _disagree(scope, expr, left, right, why, _turned(scope, expr, left, right))
        shape = left.shape[:-1] + right.shape[1:]
        return Operation(real(*shape), expr.span, "@", (left, right))
    if wanted is None and is_open(scope, expr.left) and not is_open(scope, expr.right):
        right = evaluate(scope, expr.right, None, ctx)
        left = evaluate(scope, expr.left, real(*right.shape), ctx)
    else:
        left = evaluate(scope, expr.left, wanted, ctx)
        right = evaluate(scope, expr.right, wanted or real(*left.shape), ctx)
    _verify_numbers(scope, left, right)
    if isinstance(left, Constant) and isinstance(right, Constant):
        number = scope.arithmetic(expr, left.number, right.number)
        return Constant(real(), expr.span, scope.representable(number, expr.span))
    if expr.op == "/" and isinstance(right, Constant) and right.number == 0:
        scope.fail("E210", "this arithmetic has no result", expr.span, "a division by 0")
    if left.shape and right.shape and left.shape != right.shape:
        _disagree(scope, expr, left, right, f"`{expr.op}` works element by element")
    return Operation(real(*(left.shape or right.shape)), expr.span, expr.op, (left, right))


def _verify_numbers(scope: Scope, *sides: Value) -> None:
    """Classes are counted from 0, and that says nothing of how large they are (E213)."""
    for value in sides:
        if not value.type.support.numeric:
            scope.fail("E213", *classes_told(scope, value), help=numbers_of_classes(scope, value))


def classes_told(scope: Scope, value: Value) -> tuple[str, Span, str]:
    """That a value is a class where a number is needed: the headline, the place and what is there."""
    written = scope.source.text[value.span.start : value.span.end]
    return f"`{written}` is a class, and classes are no numbers", value.span, value.type.support.describe()


def numbers_of_classes(scope: Scope, value: Value) -> str:
    """What may stand in the place of a class."""
    written = scope.source.text[value.span.start : value.span.end]
    size = value.type.support.size
    return f"one_hot({written}), or a number for each class: param a : real[{size}], a[{written}]"


def verify_result(scope: Scope, value: Operation, elements: Elements) -> None:
    """Arithmetic with the index and schedules has a result at each position that a statement is about (E210)."""
    if elements.schedule or elements.axes > 1:
        return
    known = {name: b for name, b in scope.names.items() if isinstance(b, Schedule)}
    first, last = elements.about or (0, elements.extent[0] - 1)
    try:
        numbers(value, Index(first, last, known))
    except NotClosed:
        return
    except NoResult as error:
        at = f"for {elements.indices[0]} = {elements.start + error.position}"
        scope.fail("E210", "this arithmetic has no result", value.span, at)


def _turned(scope: Scope, expr: tree.Binary, left: Value, right: Value) -> str:
    """A way out where `a @ b` has no common size."""
    if not left.shape or not right.shape:
        return "a number multiplies by `*`"
    sides = [scope.source.text[side.span.start : side.span.end] for side in (expr.right, expr.left)]
    plain = all(isinstance(side, (tree.Name, tree.Bracket, tree.Call)) for side in (expr.left, expr.right))
    if plain and right.shape[-1] == left.shape[0] and {len(left.shape), len(right.shape)} == {1, 2}:
        return f"the other way round they go together: {' @ '.join(sides)}"
    needs = [*left.shape[:-1], right.shape[0]], [left.shape[-1], *right.shape[1:]]
    return f"the left needs the shape {needs[0]}, or the right {needs[1]}"


def _disagree(scope: Scope, expr: tree.Binary, left: Value, right: Value, why: str, help_: str = "") -> None:
    scope.fail(
        "E204",
        f"shapes {list(left.shape)} and {list(right.shape)} do not go together",
        expr.span,
        why,
        notes=(
            Note(expr.left.span, f"shape {list(left.shape)}"),
            Note(expr.right.span, f"shape {list(right.shape)}"),
        ),
        help=help_,
    )
