"""Bijections that a formula writes: `2 * f(u) + 1` is a bijection of `f(u)`, and `x + density` a density moved by x."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.bijections import FIXED_AFFINE, SHIFT
from dgmppl.graph.bijections import codomain
from dgmppl.graph.nodes import Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Block, Chain, Constant, Image, Operation, Use, Value
from dgmppl.source import Span
from dgmppl.supports import Type


def as_bijection(scope: Scope, variable: Variable, value: Value) -> Value:
    """A definition's value with what can be inverted in it as bijections: numbers that scale and shift a flow, or a
    latent, are an elementwise bijection, also inside `floor`. Any other value is returned as it is."""
    if isinstance(value, Operation) and value.op == "floor":
        return replace(value, operands=(as_bijection(scope, variable, value.operands[0]),))
    found = _affine(scope, value)
    if found is None:
        return value
    scale, shift, inner = found
    if not scale or (scale, shift) == (1.0, 0.0) or inner.shape != value.shape:
        return value
    numbers = (("scale", scale),) if not shift else (("scale", scale), ("shift", shift))
    block = Block(value.span, FIXED_AFFINE, inner.shape, numbers=numbers)
    chain = Chain(value.span, scope.attribute(f"{variable.ident}_scale"), (block,))
    return Image(Type(codomain(chain, inner.type.support), inner.shape), value.span, chain, inner)


def _affine(scope: Scope, value: Value) -> tuple[float, float, Value] | None:
    """The a, b and v of `a * v + b` with v a flow's image or a latent of real numbers."""
    if isinstance(value, Image) or (isinstance(value, Use) and _is_latent(scope, value)):
        return 1.0, 0.0, value
    if not isinstance(value, Operation):
        return None
    if value.op == "negate":
        inner = _affine(scope, value.operands[0])
        return None if inner is None else (-inner[0], -inner[1], inner[2])
    if value.op not in ("+", "-", "*", "/"):
        return None
    left, right = value.operands
    if isinstance(right, Constant) and (inner := _affine(scope, left)) is not None:
        scale, shift, core = inner
        if value.op in "+-":
            return scale, shift + (right.number if value.op == "+" else -right.number), core
        factor = right.number if value.op == "*" else (1 / right.number if right.number else 0.0)
        return scale * factor, shift * factor, core
    if isinstance(left, Constant) and value.op != "/" and (inner := _affine(scope, right)) is not None:
        scale, shift, core = inner
        if value.op == "*":
            return scale * left.number, shift * left.number, core
        sign = 1.0 if value.op == "+" else -1.0
        return sign * scale, left.number + sign * shift, core
    return None


def _is_latent(scope: Scope, value: Use) -> bool:
    variable = scope.variable(value.variable)
    return variable is not None and variable.role == "latent" and not variable.type.support.discrete


def shift_by(scope: Scope, value: Value, shape: tuple[int, ...], span: Span, hint: str) -> Chain:
    """The bijection `v + value` of tensors of a shape."""
    if isinstance(value, Constant):
        block = Block(span, FIXED_AFFINE, shape, numbers=(("shift", value.number),))
    else:
        block = Block(span, SHIFT, shape, context=((scope.context_name(value, direct=True), value),))
    return Chain(span, scope.attribute(f"{hint}_shift"), (block,))
