"""Operations, functions of each element, elements by index and sums over indices as expressions."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.functions import FUNCTIONS, STRAIGHT_THROUGH
from dgmppl.emit.expr import Attribute, Binary, Expr, Name, Negative, Number, Text, Tuple, call
from dgmppl.emit.place import Place, emitted, value_expr
from dgmppl.emit.polynomials import polynomial_expr
from dgmppl.graph.polynomial import polynomial
from dgmppl.graph.values import Element, IndexSum, Operation, Value, variables


@emitted.register(Operation)
def _operation(value: Operation, place: Place) -> Expr:
    if value.op == "@":
        return _matmul(value, place)
    operands = value.operands
    if value.op == "sum":
        axes = range(-len(operands[0].shape), 0)
        found = value_expr(operands[0], place)
        return found.call("sum", Tuple(tuple(Number(k) for k in axes))) if axes else found
    if value.op == STRAIGHT_THROUGH:
        (rounded,) = operands
        assert isinstance(rounded, Operation)
        operands = rounded.operands
    rank = len(value.shape)
    parts = [value_expr(o, place).lifted(rank - len(o.shape) if _leads(o) else 0) for o in operands]
    if value.op == "negate":
        return Negative(parts[0])
    if value.op in FUNCTIONS:
        function = FUNCTIONS[value.op].runtime
        name = function if "." in function else place.writer.use(function)
        return call(name, call("self.like.new_tensor", parts[0]) if value.constant else parts[0])
    return Binary("**" if value.op == "^" else value.op, parts[0], parts[1])


def _leads(value: Value) -> bool:
    """Whether axes stand before those of a value: of the batch, or of positions."""
    return value.rows or value.positional


def _matmul(value: Operation, place: Place) -> Expr:
    """The last axis of the left with the first of the right; the batch axes stay in front."""
    left, right = value.operands
    a, b = value_expr(left, place), value_expr(right, place)
    ranks = (len(left.shape), len(right.shape))
    if _leads(left) and _leads(right) and ranks == (1, 1):
        return Binary("*", a, b).call("sum", -1)
    if max(ranks) > 2 or (_leads(left) and _leads(right)):
        letters = "ijklmopq"
        x = letters[: ranks[0]]
        y = x[-1] + letters[ranks[0] : ranks[0] + ranks[1] - 1]
        return call("torch.einsum", Text(f"...{x},...{y}->...{x[:-1]}{y[1:]}"), a, b)
    if _leads(right) and ranks[1] == 1:  # a batch of vectors stands on the left of a matrix
        return Binary("@", b, Attribute(a, "mT") if ranks[0] == 2 else a)
    return Binary("@", a, b)


@emitted.register(Element)
def _element(value: Element, place: Place) -> Expr:
    values = [i for i in value.index if isinstance(i, Value)]
    if place.spread and _leads(value.value) and any(map(_leads, values)):  # each row picks its own, then components
        return _element(value, replace(place, spread=False)).call("unsqueeze", -1 - len(value.shape))
    base = value_expr(value.value, place)
    items = [value_expr(i, place).call("long") if isinstance(i, Value) else Name(str(i)) for i in value.index]
    rest = [":"] * len(value.shape)
    # Pyro puts axes before those of a latent in common too: of draws, and of plates.
    drawn = bool(variables(value.value))
    if not _leads(value.value) and not drawn:
        return base[items]
    if not _leads(value.value) or not any(_leads(i) for i in values):
        leading = ("...", *items, *rest)
        return base[leading]
    if place.axes:
        for behind, item in zip(range(len(value.value.shape) - 1, -1, -1), items):
            base = call(place.writer.use("pick"), base, item, *([behind] if behind else []))
        return base
    if len(items) == 1 and not rest:
        return base.call("gather", -1, items[0].call("unsqueeze", -1)).call("squeeze", -1)
    picked = (call("torch.arange", call("len", base)), *items)
    return base[picked]


@emitted.register(IndexSum)
def _index_sum(value: IndexSum, place: Place) -> Expr:
    form = polynomial(value, ())
    assert form is not None  # elaboration lets no other sum over indices pass
    found = polynomial_expr(form, place.graph, place.writer, place.rename)
    return found.call("unsqueeze", -1 - len(value.shape)) if place.spread and value.rows else found
