"""Functions of the axes of values as expressions."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.emit.expr import Binary, Expr, Name, Number, call, sizes
from dgmppl.emit.place import Place, emitted, value_expr
from dgmppl.graph.values import Constant, Dropped, Joined, OneHot, Part, Reduced, Reshaped, Softmax, Value


@emitted.register(Joined)
def _joined(value: Joined, place: Place) -> Expr:
    parts = [_as_tensor(p, place) for p in value.parts]
    lifted = [p if of.shape and not value.stacked else p.call("unsqueeze", -1) for p, of in zip(parts, value.parts)]
    named = {} if value.axis == -1 else {"axis": Number(value.axis)}
    return call(place.writer.use("concat"), *lifted, **named)


def _as_tensor(value: Value, place: Place) -> Expr:
    """A value that is a tensor even where it is a number."""
    found = value_expr(value, place)
    return call("self.like.new_tensor", found) if value.constant else found


@emitted.register(Part)
def _part(value: Part, place: Place) -> Expr:
    items = [str(i) if isinstance(i, int) else f"{i[0]}:{i[1] + 1}" for i in value.index]
    rest = [":"] * (len(value.value.shape) - len(items))
    index = ("...", *items, *rest)
    return value_expr(value.value, place)[index]


@emitted.register(Reshaped)
def _reshaped(value: Reshaped, place: Place) -> Expr:
    return reshaped(_as_tensor(value.value, place), value.value.shape, value.shape)


def reshaped(found: Expr, source: tuple[int, ...], shape: tuple[int, ...]) -> Expr:
    """A value of one shape in another: through one axis, which leaves the batch's alone."""
    if shape == source:
        return found
    if len(source) != 1:
        found = found.call("flatten", -len(source)) if source else found.call("unsqueeze", -1)
    if not shape:
        return found.call("squeeze", -1)
    return found if len(shape) == 1 else found.call("unflatten", -1, sizes(shape))


@emitted.register(Reduced)
def _reduced(value: Reduced, place: Place) -> Expr:
    if not value.axes:
        return value_expr(value.value, place)
    if value.lengths is not None and place.spread:  # each row ends where its own does, then components
        return _reduced(value, replace(place, spread=False)).call("unsqueeze", -1 - len(value.shape))
    axes: Expr = Number(value.axes[0]) if len(value.axes) == 1 else sizes(value.axes)
    found = value_expr(value.value, place)
    if value.lengths is not None:
        behind = len(value.value.shape) - 1
        named: dict[str, Expr] = {"behind": Number(behind)} if behind else {}
        named |= {"fill": Name("-torch.inf")} if value.op == "logsumexp" else {}
        function = place.writer.use("mean_within" if value.op == "mean" else "within")
        lengths = value_expr(value.lengths, replace(place, axes=0))
        found = call(function, found, lengths, **named)
    return found.call(value.op, axes)


@emitted.register(Softmax)
def _softmax(value: Softmax, place: Place) -> Expr:
    return call("torch.softmax", value_expr(value.value, place), -1)


@emitted.register(OneHot)
def _one_hot(value: OneHot, place: Place) -> Expr:
    inner = value_expr(value.value, place)
    if isinstance(value.value, Constant):
        inner = call("self.like.new_full", sizes(value.shape[:-1]), inner)
    elif value.value.type.support.low:
        inner = Binary("-", inner, Number(value.value.type.support.low))
    return call(place.writer.use("one_hot"), inner, value.shape[-1])


@emitted.register(Dropped)
def _dropped(value: Dropped, place: Place) -> Expr:
    return call(place.writer.use("dropped"), value_expr(value.value, place), Number(value.share), Name("self.training"))
