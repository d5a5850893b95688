"""Functions of the axes of values: joined, cut, reshaped, reduced, one-hot; each shape checked where it is made.

Axes are counted from 0, and what a message says of one is what the spec says: `axis 0 of `h``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from dgmppl.catalogue.functions import REDUCTIONS
from dgmppl.catalogue.signature import Signature
from dgmppl.graph.binding import Arguments, bind
from dgmppl.graph.context import Context
from dgmppl.graph.scope import Scope
from dgmppl.graph.shapes import Evaluate, is_open
from dgmppl.graph.values import Constant, Dropped, Joined, OneHot, Part, Reduced, Reshaped, Softmax, Value
from dgmppl.source import Span
from dgmppl.supports import REAL, SIMPLEX, Support, Type, number_text, real
from dgmppl.syntax import tree
from dgmppl.words import counted

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Call:
    """A function of axes applied, with what it is given."""

    scope: Scope
    span: Span
    given: Arguments
    expected: Type | None
    ctx: Context
    evaluate: Evaluate

    def value(self, wanted: Type | None = None) -> Value:
        """The value that it is of. One that has no shape of its own takes that which is wanted."""
        return self.evaluate(self.scope, self.given["value"].value, wanted, self.ctx)

    def values(self) -> tuple[Value, ...]:
        """Several of them."""
        return tuple(self.evaluate(self.scope, b.value, None, self.ctx) for b in self.given.many)


def check_axes(
    scope: Scope, expr: tree.Call, signature: Signature, expected: Type | None, ctx: Context, evaluate: Evaluate
) -> Value:
    """A function of `AXES` applied. Reports axes that do not fit (E204), supports that do not (E213)."""
    given = bind(scope, signature, expr.arguments, expr.span)
    call = _Call(scope, expr.span, given, expected, ctx, evaluate)
    if signature.name in REDUCTIONS:
        return reduced(scope, expr.span, signature.name, call.value(), given.value("axis"), ctx)
    return _CHECKS[signature.name](call)


def _text(scope: Scope, value: Value) -> str:
    """A value as the spec writes it, if that is short."""
    text = " ".join(scope.source.text[value.span.start : value.span.end].split())
    return f"`{text}`" if 0 < len(text) <= 40 else "this value"


def shape_text(shape: Shape) -> str:
    return f"shape {list(shape)}" if shape else "a number"


def _axis(scope: Scope, expr: tree.Expr, value: Value, ctx: Context) -> int:
    """An axis of a value by its number from 0. Reports one that it has not (E204)."""
    axis = scope.integer(expr, ctx.env, "an axis", low=0)
    if axis >= len(value.shape):
        count = len(value.shape)
        last = f"its axes are 0 to {count - 1}" if count > 1 else "its axis is 0" if count else "it has no axes"
        scope.fail("E204", f"{_text(scope, value)} has {shape_text(value.shape)}", expr.span, last)
    return axis


# --- joining -------------------------------------------------------------------------------------


def concat(scope: Scope, span: Span, parts: tuple[Value, ...], ctx: Context, option: tree.Expr | None = None) -> Value:
    """Values side by side, along the last axis where no other is named. A number is a vector of one. Reports axes that
    do not fit (E204), and classes beside numbers (E213)."""
    shapes = [p.shape or (1,) for p in parts]
    first, rank = parts[0], len(shapes[0])
    widest = max(parts, key=lambda p: len(p.shape))
    axis = rank - 1 if option is None else _axis(scope, option, widest, ctx)
    for part, shape in zip(parts, shapes):
        if len(shape) != rank:
            headline = f"`concat` joins values of as many axes: {_text(scope, first)} has {shape_text(first.shape)}"
            scope.fail("E204", headline, part.span, f"{shape_text(part.shape)}", help="reshape(a, [4, 4, 8])")
        wrong = next((k for k in range(rank) if k != axis and shape[k] != shapes[0][k]), None)
        if wrong is not None:
            headline = (
                f"`concat` joins along axis {axis}: axis {wrong} of {_text(scope, first)} is {shapes[0][wrong]}, "
                f"that of {_text(scope, part)} {shape[wrong]}"
            )
            scope.fail("E204", headline, part.span, shape_text(part.shape))
    size = sum(s[axis] for s in shapes)
    joined = (*shapes[0][:axis], size, *shapes[0][axis + 1 :])
    support = _common(scope, "concat", parts, whole=axis < rank - 1)
    return Joined(Type(support, joined), span, parts, axis - rank)


def _concat(call: _Call) -> Value:
    return concat(call.scope, call.span, call.values(), call.ctx, call.given.value("axis"))


def _stack(call: _Call) -> Value:
    """Values of one shape side by side along a new last axis."""
    scope, parts = call.scope, call.values()
    first = parts[0]
    for part in parts:
        if part.shape != first.shape:
            headline = f"`stack` joins values of one shape: {_text(scope, first)} has {shape_text(first.shape)}"
            scope.fail("E204", headline, part.span, shape_text(part.shape), help="concat(a, b) joins vectors")
    support = _common(scope, "stack", parts, whole=False)
    return Joined(Type(support, (*first.shape, len(parts))), call.span, parts, stacked=True)


def _common(scope: Scope, name: str, parts: tuple[Value, ...], whole: bool) -> Support:
    """The support of values side by side; `whole`: vectors stay the vectors that they are."""
    first = parts[0].type.support
    different = next((p for p in parts if p.type.support != first), None)
    if different is None:
        return first if whole or not first.event_rank else REAL
    for part in parts:
        if not part.type.support.numeric:
            numbers = next(p for p in parts if p.type.support != part.type.support)
            scope.fail(
                "E213",
                f"`{name}` joins classes with {numbers.type.support.describe()} values",
                part.span,
                part.type.support.describe(),
                help=f"one_hot({_text(scope, part).strip('`')}) makes numbers of classes",
            )
    return REAL


# --- parts and shapes ----------------------------------------------------------------------------


def part(scope: Scope, span: Span, value: Value, items: tuple[tree.Expr, ...], ctx: Context) -> Value:
    """`value[2, 0..7]`, where one index at least is a range. Reports ends beyond an axis (E215)."""
    index: list[int | tuple[int, int]] = []
    rest: list[int] = []
    for axis, (item, size) in enumerate(zip(items, value.shape)):
        if isinstance(item, tree.Range):
            low = scope.integer(item.low, ctx.env, "an end of the range", low=0)
            high = scope.integer(item.high, ctx.env, "an end of the range", low=0)
        else:
            low = high = scope.integer(item, ctx.env, "an index beside a range", low=0)
        if low > high:
            scope.fail("E215", f"the range {low}..{high} is empty", item.span, "no element")
        if high >= size:
            headline = f"axis {axis} of {_text(scope, value)} has {counted(size, 'element')}"
            end = f"both ends count: 0..{size - 1} is all of it"
            scope.fail("E215", headline, item.span, f"goes to {high}", help=end)
        index.append((low, high) if isinstance(item, tree.Range) else low)
        rest += [high - low + 1] if isinstance(item, tree.Range) else []
    untouched = value.shape[len(items) :]
    support = value.type.support if untouched or not value.type.support.event_rank else REAL
    return Part(Type(support, (*rest, *untouched)), span, value, tuple(index))


def _shape(scope: Scope, expr: tree.Expr, ctx: Context) -> Shape:
    if not isinstance(expr, tree.Sizes):
        scope.fail("E217", "a shape is needed here", expr.span, help="reshape(a, [4, 4, 8])")
    return tuple(scope.integer(size, ctx.env, "a size", low=1) for size in expr.sizes)


def _reshape(call: _Call) -> Value:
    shape = _shape(call.scope, call.given["shape"].value, call.ctx)
    size = math.prod(shape)
    value = call.value(real(size) if is_open(call.scope, call.given["value"].value) else None)
    if size != value.type.elements:
        headline = f"{_text(call.scope, value)} has {counted(value.type.elements, 'element')}, {list(shape)} {size}"
        call.scope.fail("E204", headline, call.span, shape_text(value.shape))
    return _reshaped(call.span, value, shape)


def _flatten(call: _Call) -> Value:
    value = call.value()
    return _reshaped(call.span, value, (value.type.elements,))


def _reshaped(span: Span, value: Value, shape: Shape) -> Value:
    whole = bool(value.shape) and value.shape[-1] == shape[-1]
    support = value.type.support if whole or not value.type.support.event_rank else REAL
    return Reshaped(Type(support, shape), span, value)


# --- over an axis --------------------------------------------------------------------------------


def reduced(scope: Scope, span: Span, op: str, value: Value, axis: tree.Expr | None, ctx: Context) -> Value:
    """A reduction over all axes, or over one. Reports classes, which have none (E213)."""
    if not value.type.support.numeric:
        _of_numbers(scope, op, value)
    rank = len(value.shape)
    over = tuple(range(rank)) if axis is None else (_axis(scope, axis, value, ctx),)
    shape = tuple(size for k, size in enumerate(value.shape) if k not in over)
    vectors = value.type.support.event_rank and rank - 1 in over
    support = REAL if vectors else REDUCTIONS[op](value.type.support)
    return Reduced(Type(support, shape), span, op, value, tuple(k - rank for k in over))


def _of_numbers(scope: Scope, op: str, value: Value) -> NoReturn:
    written = _text(scope, value).strip("`")
    scope.fail(
        "E213",
        f"classes have no {op}",
        value.span,
        value.type.support.describe(),
        help=f"{op}(one_hot({written}), axis = 0) counts them",
    )


def _softmax(call: _Call) -> Value:
    scope, value = call.scope, call.value(None if call.expected is None else real(*call.expected.shape))
    if not value.shape:
        scope.fail("E204", "`softmax` is of a vector, along its last axis", call.span, "a number")
    if not value.type.support.numeric:
        scope.fail("E213", "`softmax` is of numbers", value.span, value.type.support.describe())
    return Softmax(Type(SIMPLEX, value.shape), call.span, value)


def _one_hot(call: _Call) -> Value:
    value = call.value()
    support = value.type.support
    if isinstance(value, Constant):
        return _one_of(call, value)
    if support.size is None:
        call.scope.fail(
            "E213",
            "`one_hot` is of classes, and of whole numbers of a range",
            value.span,
            f"this is {value.type.describe()}",
            help="declare it categorical(K), or read it as the number that it is",
        )
    return OneHot(Type(SIMPLEX, (*value.shape, support.size)), call.span, value)


def _one_of(call: _Call, value: Constant) -> Value:
    """The indicator of one value that is known, `one_hot(8)`: its place says of how many."""
    if call.expected is None or not call.expected.shape:
        headline = "of how many values this is one does not follow from its place"
        call.scope.fail("E211", headline, call.span, "how many?", help="Categorical(log(one_hot(8))), or one_hot(y)")
    size = call.expected.shape[-1]
    if value.number not in range(size):
        headline = f"one of {counted(size, 'value')} is a number from 0 to {size - 1}"
        call.scope.fail("E210", headline, value.span, f"this is {number_text(value.number)}")
    return OneHot(Type(SIMPLEX, call.expected.shape), call.span, value)


def _drop(call: _Call) -> Value:
    """Classes as indicators, and numbers as they are."""
    value, share = call.value(), call.given["share"].value
    if not value.rows:
        call.scope.fail("E213", "`drop` is of what rows have", value.span, "has no rows", help="drop(y, 0.1)")
    number = call.scope.number(share, call.ctx.env, "the share of the rows")
    if not 0 < number < 1:
        call.scope.fail("E210", "a share of the rows lies between 0 and 1", share.span, f"this is {number:g}")
    kept = value if value.type.support.numeric else _one_hot(call)
    return Dropped(Type(REAL, kept.shape), call.span, kept, number)


_CHECKS: dict[str, Callable[[_Call], Value]] = {
    "concat": _concat,
    "stack": _stack,
    "flatten": _flatten,
    "reshape": _reshape,
    "softmax": _softmax,
    "one_hot": _one_hot,
    "drop": _drop,
}
