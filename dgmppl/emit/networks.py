"""Networks as expressions: their constructors, what they read, and what they give."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.emit.expr import Expr, Name, Number, Text, call, sizes
from dgmppl.emit.leaves import call_function, linked
from dgmppl.emit.place import Place, emitted, of_state, value_expr
from dgmppl.emit.positions import there
from dgmppl.emit.writer import Writer
from dgmppl.graph.units import variable_read
from dgmppl.graph.values import Apply, At, Constant, Module, Past, SeenPart, Stage, Value


def embedded(value: Value, place: Place, rank: int = 0) -> Expr:
    """How a value enters a network that reads positions along `rank` axes: as its support suggests, with one axis
    behind those. A value of fewer axes is a vector."""
    support, axes = value.type.support, len(value.shape)
    if place.step is not None and value.positional and not of_state(value):
        return place.step.given(value, embedded(value, place.step.outside), 1)
    if isinstance(value, At):
        # The embedding of what is missing before the first element is zero, so that it is embedded before it is read.
        rank = rank if axes >= rank else 0
        whole = embedded(value.value, replace(place, axes=0, spread=False), len(value.offsets) + rank)
        found = there(whole, value, place, 1 + rank)
        return found.call("unsqueeze", -2 - rank) if place.spread else found
    if isinstance(value, Constant):
        return Name(f"self.like.new_tensor([{Number(value.number, real=True)}])")
    found = call_function(support.embedding, value_expr(value, place), place.writer)
    units = None if isinstance(value, SeenPart) else place.graph.unit_of(variable_read(value))
    if units is not None and units.read:
        found = call(f"self.{units.attribute}", found)
    rank = rank if axes >= rank else 0
    axes += support.width > 1  # the embedding added one
    if axes == rank:
        return found.call("unsqueeze", -1)
    return found if axes == rank + 1 else found.call("flatten", rank - axes)


def inputs_expr(values: tuple[Value, ...], place: Place, rank: int = 0) -> Expr:
    """The inputs of a network side by side: as one vector, or at each position."""
    parts = [embedded(v, place, rank) for v in values]
    return parts[0] if len(parts) == 1 else call(place.writer.use("concat"), *parts)


@emitted.register(SeenPart)
def _seen_part(value: SeenPart, place: Place) -> Expr:
    """What is seen, as it enters the network, and beside each element whether it is."""
    embedding = value.of.support.embedding
    function = embedding.of("v", place.writer.use(embedding.name)) if embedding.name else ""
    given = [Name(f"lambda v: {function}")] if function else []
    if (units := place.graph.unit_of(value.variable)) is not None and units.read:
        given = [Name(f"self.{units.attribute}")]
    name = Name(place.variable(value.variable))
    found = call(place.writer.use("beside_mask"), name, Number(value.of.feasible, real=True), *given)
    return found.call("unsqueeze", 1) if place.spread and value.rows else found


@emitted.register(Apply)
def _apply(value: Apply, place: Place) -> Expr:
    # Several components from one output need no axis for them in the input.
    inner = replace(place, spread=place.spread and not value.copies)
    rank = len(value.module.inputs.extent)
    past = next((v.axes for v in value.inputs if isinstance(v, Past)), 0)
    whole = replace(inner, axes=0) if past else inner  # what conditions a past does so at every position
    read = inputs_expr(value.inputs, whole, max(past, rank))
    named: dict[str, Expr] = {}
    if value.aligned:
        named["aligned"] = inputs_expr(value.aligned, replace(inner, spread=False))
        if inner.spread:
            named["aligned"] = named["aligned"].call("unsqueeze", 1)
    if past > rank:  # the positions of a grid are a sequence, row by row
        read = read.call("flatten", -1 - past, -2)
        named = {name: given.call("flatten", -1 - past, -2) for name, given in named.items()}
    if past and place.order is not None:
        read = place.order.call("of", read)
        named = {name: place.order.call("of", given) for name, given in named.items()}
    context = [inputs_expr(value.context, whole)] if value.context else []
    if value.lengths is not None:
        named["lengths"] = value_expr(value.lengths, replace(place, axes=0, spread=False))
    weights = [Name(place.variable(value.weights.variable))] if value.weights is not None else []
    found = call(f"self.{value.module.attribute}", *weights, read, *context, **named)
    if past and place.order is not None:
        found = place.order.call("back", found)
    if past > rank:
        extent = next(v.shape[: v.axes] for v in value.inputs if isinstance(v, Past))
        found = call(place.writer.use("as_grid"), found, sizes(extent))
    if past and inner.spread:  # the components stand behind the positions
        found = found.call("movedim", -2 - past, -2)
    if past and place.part:
        found = call(place.writer.use("here"), found, 1)
    grid = 0 if past else len(value.module.outputs.extent)
    rest = value.shape[grid:]
    if not value.copies:
        shaped = _shaped(found, rest)
    elif grid:  # the components are among the channels of each position
        split = found.call("unflatten", -1, sizes((value.copies, *rest))) if rest else found
        shaped = split.call("movedim", -1 - len(rest), -1 - len(value.shape))
    else:
        shaped = _shaped(found, (value.copies, *rest))
    return linked(shaped, value.type.support, place.writer)


def _shaped(vector: Expr, shape: tuple[int, ...]) -> Expr:
    """A vector of outputs with the axes of this shape."""
    if not shape:
        return vector.call("squeeze", -1)
    return vector if len(shape) == 1 else vector.call("unflatten", -1, sizes(shape))


def module_source(module: Module, writer: Writer) -> str:
    """The constructor of a network, or of a chain of them."""
    items: list[Expr] = []
    for before, stage in zip((None, *module.stages), module.stages):
        if before is not None and len(before.outputs.extent) > len(stage.inputs.extent):
            items.append(_between(before, stage, writer))
        items.append(_stage(stage, module.bias or stage is not module.stages[-1], writer))
    return str(items[0] if len(items) == 1 else call(writer.use("Sequential"), *items))


def _between(before: Stage, stage: Stage, writer: Writer) -> Expr:
    """What makes a vector of positions, or of those of a grid a sequence."""
    if before.form.pool and not stage.inputs.extent:
        return call(writer.use(before.form.pool))
    return call("nn.Flatten", -1 - len(before.outputs.extent), -2 if stage.inputs.extent else -1)


def _stage(stage: Stage, bias: bool, writer: Writer) -> Expr:
    reads, gives = stage.inputs, stage.outputs
    named = {name: _option(value) for name, value in stage.spec.options}
    if stage.context:
        named["context"] = Number(stage.context)
    if stage.aligned:
        named["aligned"] = Number(stage.aligned)
    if stage.form.takes == "colours":
        named["colours"] = Number(reads.extent[-1])
    if not bias:
        named["bias"] = Name("False")
    hidden, nothing = sizes(stage.spec.hidden), Name("None")
    arguments: dict[str, tuple[Expr | int, ...]] = {
        "ends": (reads.size, gives.size),
        "sizes": (reads.size, hidden, gives.size if stage.ends else nothing),
        "channels": (reads.channels, hidden, gives.channels if stage.ends else nothing),
        "colours": (reads.channels, hidden, gives.channels),
        "length": (*reads.extent, reads.channels, hidden, gives.channels if stage.ends else nothing),
        "shapes": (sizes(reads.shape), hidden, sizes(gives.shape) if stage.ends else nothing),
    }
    if stage.form.takes == "own":
        ends = (sizes(axes.shape if stage.form.rank else (axes.size,)) for axes in (reads, gives))
        return call(writer.use(stage.form.runtime), Name(writer.use_class(stage.spec.kind)), *ends, **named)
    runtime = "nn.Linear" if stage.form.runtime == "Linear" else writer.use(stage.form.runtime)
    return call(runtime, *arguments[stage.form.takes], **named)


def _option(value: str | float) -> Expr:
    if isinstance(value, bool):
        return Name(str(value))
    return Text(value) if isinstance(value, str) else Number(value)
