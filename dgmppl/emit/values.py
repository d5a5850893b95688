"""Values as Python expressions over tensors whose first axis is the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from dgmppl.catalogue.functions import FUNCTIONS, STRAIGHT_THROUGH
from dgmppl.emit.expr import (
    Attribute,
    Binary,
    Call,
    Expr,
    Name,
    Negative,
    Number,
    Text,
    Tuple,
    call,
    sizes,
)
from dgmppl.emit.polynomials import polynomial_expr
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.polynomial import polynomial
from dgmppl.graph.values import (
    Apply,
    At,
    Bijection,
    Block,
    Composition,
    Constant,
    Declared,
    Element,
    Feature,
    IndexSum,
    Joined,
    Learned,
    Mapped,
    Module,
    OneHot,
    Operation,
    Part,
    Past,
    Points,
    Position,
    Reduced,
    Reshaped,
    Softmax,
    Stage,
    State,
    Use,
    Value,
    walk,
)
from dgmppl.supports import Function, Support


class Step:
    """One step of a recurrence. What it is given is computed at all positions `outside`, and comes by name and in
    order: the expression of each, with the positions on its first axis."""

    def __init__(self, outside: Place, state: str) -> None:
        self.outside, self.names = outside, {state}
        self.arguments: dict[str, Expr] = {}

    def given(self, value: Value, outside: Expr, behind: int) -> Expr:
        """The name in the step of a value that has so many axes behind those of positions."""
        first = outside.call("movedim", -1 - behind, 0)
        for name, known in self.arguments.items():
            if known == first:
                return Name(name)
        read = value.value if isinstance(value, At) else value
        own = read.ident if isinstance(read, Feature) else None
        own = self.outside.variable(read.variable) if isinstance(read, Use) else own
        name, k = own or str(self.outside.local("given")), 2
        while name in self.names:
            name, k = str(self.outside.local(f"{own or 'given'}_{k}")), k + 1
        self.names.add(name)
        self.arguments[name] = first
        return Name(name)


def _of_state(value: Value) -> bool:
    """Whether a value is computed from the state of a recurrence."""
    return any(isinstance(t, State) for t in walk(value) if not isinstance(t, Feature))


@dataclass(frozen=True)
class Place:
    """Where an expression is emitted. `spread`: inside a mixture's component, variables get an axis for it. `axes`:
    how many axes of positions stand behind the batch, where elements are modelled one by one; `ordered`: whether they
    are drawn one after another. `step`: of a recurrence, one position of which is computed. `units`: what a network's
    location and scale count, (middle, half) of a range."""

    writer: Writer
    graph: Graph
    rename: Mapping[str, str] = field(default_factory=dict)
    spread: bool = False
    axes: int = 0
    ordered: bool = False
    step: Step | None = None
    units: tuple[float, float] | None = None

    def variable(self, name: str) -> str:
        return self.rename.get(name, self.graph[name].ident)

    def local(self, name: str) -> Name:
        """A local of the method, unlike every variable."""
        return Name(self.graph.local(name))


def shape_source(shape: tuple[int, ...]) -> str:
    return str(sizes(shape))


def value_source(value: Value, place: Place) -> str:
    """The source of a value."""
    return str(value_expr(value, place))


def value_expr(value: Value, place: Place) -> Expr:
    """The expression of a value: behind the batch, if it has rows, the axes of positions, if it is read at them; then
    that of a mixture's components, and its own."""
    if place.step is not None and value.positional and not _of_state(value):
        return place.step.given(value, value_expr(value, place.step.outside), len(value.shape))
    if place.axes and value.rows and not value.positional:  # one for all positions
        found = value_expr(value, replace(place, axes=0))
        items = (":", *["None"] * place.axes)
        return found[items]
    return _EMIT[type(value)](value, place)


def _constant(value: Value, place: Place) -> Expr:
    assert isinstance(value, Constant)
    return Number(value.number)


def _use(value: Value, place: Place) -> Expr:
    assert isinstance(value, (Use, Past))
    name = Name(place.variable(value.variable))
    return name.call("unsqueeze", 1) if place.spread and value.rows else name


def _at(value: Value, place: Place) -> Expr:
    assert isinstance(value, At)
    whole = value_expr(value.value, replace(place, axes=0, spread=False))
    found = _there(whole, value, place, len(value.shape))
    return found.call("unsqueeze", -1 - len(value.shape)) if place.spread else found


def _there(whole: Expr, value: At, place: Place, behind: int) -> Expr:
    """What a value with so many axes behind those of positions has there, or so far from there."""
    if value.here and not place.ordered:
        return whole
    offsets = Number(value.offsets[0]) if len(value.offsets) == 1 else Tuple(tuple(map(Number, value.offsets)))
    return call(place.writer.use("at"), whole, offsets, **({"behind": Number(behind)} if behind else {}))


def _feature(value: Value, place: Place) -> Expr:
    assert isinstance(value, (Feature, State))
    found = Name(value.ident)
    return found.call("unsqueeze", -1 - len(value.shape)) if place.spread else found


def _position(value: Value, place: Place) -> Expr:
    assert isinstance(value, Position)
    found = call(place.writer.use("position"), sizes(value.extent), value.axis, Name("self.like"))
    return found.call("unsqueeze", -1) if place.spread else found


def _declared(value: Value, place: Place) -> Expr:
    assert isinstance(value, Declared)
    ident = next(p.ident for p in place.graph.parameters if p.name == value.name)
    return Name(f"self.{ident}")


def call_function(function: Function, value: Expr, writer: Writer) -> Expr:
    """The call of a function that a support names; one of no name changes nothing."""
    numbers = (Number(n) for n in function.arguments)
    return call(writer.use(function.name), value, *numbers) if function.name else value


def linked(raw: Expr, support: Support, writer: Writer) -> Expr:
    """A learned value typed like a variable, kept inside the variable's support."""
    return raw if support.link is None else call_function(support.link, raw, writer)


def _learned(value: Value, place: Place) -> Expr:
    assert isinstance(value, Learned)
    return linked(Name(f"self.{value.attribute}"), value.type.support, place.writer)


def _points(value: Value, place: Place) -> Expr:
    assert isinstance(value, Points)
    return Name(f"self.{value.attribute}")


# --- networks ------------------------------------------------------------------------------------


def embedded(value: Value, place: Place, rank: int = 0) -> Expr:
    """How a value enters a network that reads positions along `rank` axes: as its support suggests, with one axis
    behind those. A value of fewer axes is a vector."""
    support, axes = value.type.support, len(value.shape)
    if place.step is not None and value.positional and not _of_state(value):
        return place.step.given(value, embedded(value, place.step.outside), 1)
    if isinstance(value, At):
        # The embedding of what is missing before the first element is zero, so that it is embedded before it is read.
        rank = rank if axes >= rank else 0
        whole = embedded(value.value, replace(place, axes=0, spread=False), len(value.offsets) + rank)
        found = _there(whole, value, place, 1 + rank)
        return found.call("unsqueeze", -2 - rank) if place.spread else found
    if isinstance(value, Constant):
        return Name(f"self.like.new_tensor([{Number(value.number, real=True)}])")
    found = call_function(support.embedding, value_expr(value, place), place.writer)
    rank = rank if axes >= rank else 0
    axes += support.width > 1  # the embedding added one
    if axes == rank:
        return found.call("unsqueeze", -1)
    return found if axes == rank + 1 else found.call("flatten", rank - axes)


def inputs_expr(values: tuple[Value, ...], place: Place, rank: int = 0) -> Expr:
    """The inputs of a network side by side: as one vector, or at each position."""
    parts = [embedded(v, place, rank) for v in values]
    return parts[0] if len(parts) == 1 else call(place.writer.use("concat"), *parts)


def _apply(value: Value, place: Place) -> Expr:
    assert isinstance(value, Apply)
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
    context = [inputs_expr(value.context, whole)] if value.context else []
    found = call(f"self.{value.module.attribute}", read, *context, **named)
    if past > rank:
        extent = next(v.shape[: v.axes] for v in value.inputs if isinstance(v, Past))
        found = call(place.writer.use("as_grid"), found, sizes(extent))
    if past and inner.spread:  # the components stand behind the positions
        found = found.call("movedim", -2 - past, -2)
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


# --- arithmetic ----------------------------------------------------------------------------------


def _operation(value: Value, place: Place) -> Expr:
    assert isinstance(value, Operation)
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
        function = FUNCTIONS[value.op][0]
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


def _element(value: Value, place: Place) -> Expr:
    assert isinstance(value, Element)
    base = value_expr(value.value, place)
    values = [i for i in value.index if isinstance(i, Value)]
    items = [value_expr(i, place).call("long") if isinstance(i, Value) else Name(str(i)) for i in value.index]
    if not _leads(value.value):
        return base[items]
    rest = [":"] * len(value.shape)
    if not any(_leads(i) for i in values):
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


def _joined(value: Value, place: Place) -> Expr:
    assert isinstance(value, Joined)
    parts = [_as_tensor(p, place) for p in value.parts]
    lifted = [p if of.shape and not value.stacked else p.call("unsqueeze", -1) for p, of in zip(parts, value.parts)]
    named = {} if value.axis == -1 else {"axis": Number(value.axis)}
    return call(place.writer.use("concat"), *lifted, **named)


def _as_tensor(value: Value, place: Place) -> Expr:
    """A value that is a tensor even where it is a number."""
    found = value_expr(value, place)
    return call("self.like.new_tensor", found) if value.constant else found


def _part(value: Value, place: Place) -> Expr:
    assert isinstance(value, Part)
    items = [str(i) if isinstance(i, int) else f"{i[0]}:{i[1] + 1}" for i in value.index]
    rest = [":"] * (len(value.value.shape) - len(items))
    index = ("...", *items, *rest)
    return value_expr(value.value, place)[index]


def _reshaped(value: Value, place: Place) -> Expr:
    assert isinstance(value, Reshaped)
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


def _reduced(value: Value, place: Place) -> Expr:
    assert isinstance(value, Reduced)
    if not value.axes:
        return value_expr(value.value, place)
    axes: Expr = Number(value.axes[0]) if len(value.axes) == 1 else sizes(value.axes)
    return value_expr(value.value, place).call(value.op, axes)


def _softmax(value: Value, place: Place) -> Expr:
    assert isinstance(value, Softmax)
    return call("torch.softmax", value_expr(value.value, place), -1)


def _one_hot(value: Value, place: Place) -> Expr:
    assert isinstance(value, OneHot)
    return call(place.writer.use("one_hot"), value_expr(value.value, place), value.shape[-1])


def _index_sum(value: Value, place: Place) -> Expr:
    form = polynomial(value, ())
    assert form is not None  # elaboration lets no other sum over indices pass
    return polynomial_expr(form, place.graph, place.writer, place.rename)


def _image(value: Value, place: Place) -> Expr:
    assert isinstance(value, Mapped)
    return Call(bijection_expr(value.bijection, place), (value_expr(value.value, place),))


# --- bijections ----------------------------------------------------------------------------------


def bijection_source(bijection: Bijection, place: Place) -> str:
    """The source of a bijection."""
    return str(bijection_expr(bijection, place))


def bijection_expr(bijection: Bijection, place: Place) -> Expr:
    """A bijection that the model holds, with everything by name that it is conditioned on."""
    assert isinstance(bijection, Composition)
    given: dict[str, Expr] = {}
    for t in (t for t in walk(bijection) if isinstance(t, Block)):
        for name, value in t.context:
            rank = 2 if name in t.grids else 0
            given[name] = value_expr(value, place) if t.direct else embedded(value, place, rank)
    held = Name(f"self.{bijection.attribute}")
    return held.call("given", **given) if given else held


_EMIT: dict[type[Value], Callable[[Value, Place], Expr]] = {
    Constant: _constant,
    Use: _use,
    Past: _use,
    At: _at,
    Position: _position,
    Feature: _feature,
    State: _feature,
    Declared: _declared,
    Learned: _learned,
    Points: _points,
    Apply: _apply,
    Operation: _operation,
    Element: _element,
    IndexSum: _index_sum,
    Joined: _joined,
    Part: _part,
    Reshaped: _reshaped,
    Reduced: _reduced,
    Softmax: _softmax,
    OneHot: _one_hot,
    Mapped: _image,
}
