"""Bijections by numbers and values: steps of a formula, `2 * u + b` and `W @ u`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dgmppl.catalogue.bijections import CONVEX, FIXED_AFFINE, MATRIX, SCALE, SHIFT
from dgmppl.graph.context import Context, Inputs
from dgmppl.graph.flow_sums import PLANAR, POTENTIAL
from dgmppl.graph.outline import Outline
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Bijection, Block, Constant, Joined, Operation, Value
from dgmppl.source import Span
from dgmppl.supports import POSITIVE, REAL, Support, Type, real
from dgmppl.syntax import tree
from dgmppl.words import counted


def by_value(scope: Scope, kind: str, value: Value, shape: tuple[int, ...], span: Span) -> Block:
    return Block(span, kind, shape, context=((scope.context_name(value, form="value"), value),))


def is_positive(value: Value) -> bool:
    """Whether a value is above 0 by its form: a function onto the positive numbers, or sums and products of such."""
    if isinstance(value, Constant):
        return value.number > 0
    if value.type.support == POSITIVE:
        return True
    if not isinstance(value, Operation):
        return False
    if value.op == "^":
        return is_positive(value.operands[0])
    return value.op == "sigmoid" or (value.op in ("+", "*", "/") and all(map(is_positive, value.operands)))


def check_step(scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs) -> Block:
    """One operation of a formula on values of this support: by a number, by a value as large as they are, or by a
    square matrix.

    Reports values that it does not map (E213), what is no matrix of theirs or not as large (E204), and a scale that may
    be 0 (E217).
    """
    shape, expr = outline.takes, outline.expr
    if outline.entry is not None:
        return (_potential if outline.entry.name == CONVEX else _direction)(scope, outline, support, ctx, inputs)
    if outline.by is None:
        return _affine(scope, outline, support, -1.0, 0.0)
    assert isinstance(expr, tree.Binary)
    first = outline.by is expr.left
    matrix = expr.op == "@"
    expected = real(*shape, *shape) if matrix else real(*shape)
    hint = replace(ctx, hint=f"{ctx.hint}_{_NAMES[expr.op]}")
    (value,) = inputs(scope, tree.Call(outline.by.span, outline.by, (outline.by,)), hint, expected=expected)
    if isinstance(value, Constant) and not matrix:
        return _affine(scope, outline, support, *_numbers(scope, expr.op, value))
    if matrix and len(shape) != 1:
        scope.fail("E213", "a matrix multiplies a vector", expr.span, f"gets shape {list(shape)}")
    if value.shape != expected.shape:
        whole = f"{expected.describe()} is expected here"
        help_ = (
            "a square matrix keeps all that it multiplies" if matrix else "a value for each element: linear(...), param"
        )
        scope.fail("E204", whole, value.span, f"shape {list(value.shape)}", help=help_)
    if matrix:
        _verify_real(scope, outline, support, "multiplies")
        block = by_value(scope, MATRIX, value, shape, expr.span)
        return block if first else replace(block, numbers=(("transposed", 1.0),))
    if expr.op in "+-":
        _verify_real(scope, outline, support, "shifts")
        value = Operation(Type(REAL, shape), value.span, "negate", (value,)) if expr.op == "-" else value
        return by_value(scope, SHIFT, value, shape, expr.span)
    return _scale(scope, outline, support, value)


def _direction(scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs) -> Block:
    """`u + a * tanh(w @ u + b)`: the planar flow of these numbers, whose part of a along w is bent so that nothing
    folds (Rezende and Mohamed, 2015, Appendix A.1)."""
    if len(outline.takes) != 1:
        scope.fail("E213", "a direction is one of a vector", outline.span, f"gets shape {list(outline.takes)}")
    _verify_real(scope, outline, support, "moves")
    vector, found = real(*outline.takes), []
    for operand, expected, name in zip(outline.operands, (vector, vector, real()), ("towards", "along", "shift")):
        call, hint = tree.Call(operand.span, operand, (operand,)), replace(ctx, hint=f"{ctx.hint}_{name}")
        (value,) = inputs(scope, call, hint, expected=expected)
        if value.shape != expected.shape:
            headline, help_ = f"{expected.describe()} is expected here", f"{PLANAR} of the shape of u, and a number b"
            scope.fail("E204", headline, operand.span, f"shape {list(value.shape)}", help=help_)
        found.append(value)
    found += [Constant(real(), outline.span, 0.0)] if len(found) < 3 else []
    numbers = Joined(real(2 * outline.takes[0] + 1), outline.span, tuple(found))
    return by_value(scope, "planar", numbers, outline.takes, outline.span)


def _potential(scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs) -> Block:
    """`u + W @ tanh(u @ W + b)`: a matrix of as many rows as u has elements, and a number for each of its columns."""
    if len(outline.takes) != 1:
        scope.fail("E213", "a matrix multiplies a vector", outline.span, f"gets shape {list(outline.takes)}")
    _verify_real(scope, outline, support, "moves")
    found: list[Value] = []
    for operand, name in zip(outline.operands, ("matrix", "shift")):
        call, hint = tree.Call(operand.span, operand, (operand,)), replace(ctx, hint=f"{ctx.hint}_{name}")
        expected = real(*found[0].shape[1:]) if found else None
        (value,) = inputs(scope, call, hint, expected=expected)
        if found and not value.shape:  # a number goes with every column
            value, expected = Joined(real(1), operand.span, (value,)), real(1)
        fits = value.shape == expected.shape if expected else len(value.shape) == 2 and value.shape[:1] == outline.takes
        if not fits:
            wanted = expected.describe() if expected else f"a matrix of {counted(outline.takes[0], 'row')}"
            scope.fail("E204", f"{wanted} is expected here", operand.span, f"shape {list(value.shape)}", help=POTENTIAL)
        found.append(value)
    context = tuple((scope.context_name(v, form="value"), v) for v in found)
    return Block(outline.span, CONVEX, outline.takes, context=context)


_NAMES = {"+": "shift", "-": "shift", "*": "scale", "/": "scale", "@": "matrix"}


def _numbers(scope: Scope, op: str, value: Constant) -> tuple[float, float]:
    """The scale and the shift of an operation by a number. Reports a scale of 0 (E217)."""
    if op in "+-":
        return 1.0, -value.number if op == "-" else value.number
    if not value.number:
        scope.fail("E217", "this step of a flow is no bijection", value.span, "0 leaves nothing of what it multiplies")
    return (1 / value.number if op == "/" else value.number), 0.0


def _affine(scope: Scope, outline: Outline, support: Support, scale: float, shift: float) -> Block:
    if support.integral or support.discrete or support.event_rank:
        headline = f"numbers scale and shift real values, these are {support.describe()}"
        scope.fail("E213", headline, outline.span, f"gets {Type(support, outline.takes).describe()}")
    return _fixed(outline.span, outline.takes, scale, shift)


def _fixed(span: Span, shape: tuple[int, ...], scale: float, shift: float) -> Block:
    numbers = {"scale": scale, "shift": shift}
    return Block(span, FIXED_AFFINE, shape, numbers=tuple((n, v) for n, v in numbers.items() if v or n == "scale"))


def _scale(scope: Scope, outline: Outline, support: Support, value: Value) -> Block:
    """Values scaled by others, which are positive: nothing else is known not to be 0."""
    if support not in (REAL, POSITIVE):
        _verify_real(scope, outline, support, "scales")
    if not is_positive(value):
        headline = "a value scales where it is never 0: a positive one"
        help_ = "exp(...), softplus(...), sigmoid(...), and sums and products of such"
        scope.fail("E217", headline, value.span, f"this is {value.type.describe()}", help=help_)
    assert isinstance(outline.expr, tree.Binary)
    if outline.expr.op == "/":
        one = Constant(real(), value.span, 1.0)
        value = Operation(value.type, value.span, "/", (one, value))
    return by_value(scope, SCALE, value, outline.takes, outline.span)


def _verify_real(scope: Scope, outline: Outline, support: Support, verb: str) -> None:
    if support != REAL:
        headline = f"a value {verb} real values, these are {support.describe()}"
        help_ = "before what maps them there: exp(u + b)"
        scope.fail("E213", headline, outline.span, f"gets {Type(support, outline.takes).describe()}", help=help_)


def joined(parts: Iterable[Bijection]) -> tuple[Bijection, ...]:
    """Bijections in a row, those that scale and shift by numbers one after another as one."""
    found: list[Bijection] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Block) and isinstance(last, Block) and part.kind == last.kind == FIXED_AFFINE:
            one, other = ({"scale": 1.0, "shift": 0.0, **dict(block.numbers)} for block in (last, part))
            scale = one["scale"] * other["scale"]
            found[-1] = _fixed(part.span, part.shape, scale, other["shift"] + other["scale"] * one["shift"])
        else:
            found.append(part)
    return tuple(found)
