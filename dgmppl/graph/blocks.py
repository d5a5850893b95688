"""One bijection of the catalogue, as a spec writes it: its networks, transform, mask and condition, at its shape."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dgmppl.catalogue.axes import Axes
from dgmppl.catalogue.bijections import (
    BIJECTIONS,
    TRANSFORMS,
    BijectionKind,
    Options,
    Slot,
)
from dgmppl.extents import channels_of
from dgmppl.graph.binding import Arguments, bind
from dgmppl.graph.configuration import Specs, check_network, is_network
from dgmppl.graph.context import Context, Inputs
from dgmppl.graph.networks import check_past_slot, check_slot, reads_grids
from dgmppl.graph.offsets import has_past
from dgmppl.graph.options import read_mask, read_options
from dgmppl.graph.outline import Outline
from dgmppl.graph.scope import Scope
from dgmppl.graph.transforms import read_transform
from dgmppl.graph.values import (
    Bijection,
    Block,
    Composition,
    Module,
    Points,
    Transform,
    Value,
    walk,
)
from dgmppl.permutations import Mask
from dgmppl.source import Span
from dgmppl.supports import Support, Type, real
from dgmppl.syntax import tree
from dgmppl.words import counted


def build_block(
    scope: Scope, outline: Outline, source: Type, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    """The bijection that an entry of the catalogue is of values of type `source`, and the support that it maps to.

    Reports what does not fit in its brackets and parentheses (E209, E210), and values or shapes that it does not map
    (E213).
    """
    expr, entry, call = outline.expr, outline.entry, outline.call
    assert entry is not None
    integer = source.support.integral
    _verify_source(scope, expr, entry, source)
    context: tuple[Value, ...] = ()
    slots: tuple[tuple[str, Module], ...] = ()
    found = bind(scope, entry.signature, outline.items, expr.span)
    transform = read_transform(scope, found["transform"].value, ctx) if "transform" in found else None
    if entry.conditioner == "given" and transform is None:
        scope.fail("E209", f"{entry.name} needs a transform", expr.span, help=entry.signature.usage)
    options = dict(read_options(scope, found.given, ctx))
    numbers = {name: float(number) for name, number in options.items()}
    wanted = _own_numbers(scope, expr, entry, source, numbers, transform)
    if call is not None:
        if not entry.context:
            scope.fail("E209", f"{entry.name} is conditioned on nothing", call.span, "takes no parentheses")
        context, slots = _condition(scope, entry, call, wanted, ctx, inputs)
    integer_range = None
    if integer and entry.rounds and source.support.size is not None:
        integer_range = (int(source.support.low or 0), source.support.size)
    parts = int(numbers.pop("parts", 1))
    blocks: list[Bijection] = []
    for mask in _masks(scope, expr, entry, found, parts, source, ctx):
        place = _Place(entry, source.shape, mask, context)
        modules, grids, of_elements = _networks(scope, found, place, transform, ctx)
        _verify_slots(scope, expr, entry, dict((*slots, *modules)), of_elements, integer)
        if entry.conditioner == "past" and of_elements is None:
            of_elements = _AFFINE
        if of_elements is not None and TRANSFORMS[of_elements.kind].joint:
            _verify_joint(scope, found["transform"].span, entry, of_elements, source, mask)
        named = _named(scope, context, grids, direct=not slots and not modules)
        block = Block(
            expr.span,
            entry.name,
            source.shape,
            (*slots, *modules),
            tuple(numbers.items()),
            of_elements,
            mask,
            named,
            tuple(name for name, value in named if value in grids),
            _copies(scope, expr, entry, (*slots, *modules), context, ctx),
            integer and entry.rounds,
            integer_range,
        )
        blocks.append(block)
    bijection = blocks[0] if len(blocks) == 1 else Composition(expr.span, "", tuple(blocks))
    return bijection, source.support if integer else entry.codomain


def _masks(
    scope: Scope, expr: tree.Expr, entry: BijectionKind, found: Arguments, parts: int, source: Type, ctx: Context
) -> tuple[Mask, ...]:
    """What the steps of a coupling keep: one, or `parts` of them. Reports a single part (E210), and parts that are not
    there (E213)."""
    if "parts" in found and parts == 1:
        label, help_ = "one part is the whole, and nothing says how it moves", "parts = 2, or a mask, which makes two"
        scope.fail("E210", "`parts` is at least 2", found["parts"].span, label, help=help_)
    if parts == 1:
        mask = read_mask(scope, found.value("mask"), ctx)
        if entry.masks:
            _verify_mask(scope, expr, found, mask, source)
        return (mask,)
    if "mask" in found:
        scope.fail("E209", "a mask makes two parts", found["mask"].span, help="leave out either `mask` or `parts`")
    if parts > channels_of(source.shape):
        many = channels_of(source.shape)
        help_ = f"up to parts = {many}" if many > 1 else "squeeze makes four channels of one"
        scope.fail(
            "E213", f"there are no {counted(parts, 'part')} of this", found["parts"].span, source.describe(), help=help_
        )
    return tuple(Mask("part", part=k, parts=parts) for k in range(parts))


def _networks(
    scope: Scope, found: Arguments, place: _Place, transform: Transform | None, ctx: Context
) -> tuple[tuple[tuple[str, Module], ...], tuple[Value, ...], Transform | None]:
    """The networks in a bijection's brackets by their slots, what they read of the context position by position, and
    the transform that they condition."""
    modules: list[tuple[str, Module]] = []
    grids: tuple[Value, ...] = ()
    for name, bound in found.given.items():
        if bound.argument.kind == "network":
            slot, transform = _as_slot(place.entry, place.entry.slot(name), transform)
            each = slot.outputs or (transform or _AFFINE).parameters
            specs, _ = check_network(scope, bound.value, ctx)
            verify_network(scope, bound.value.span, place.entry.name, specs, slot)
            module, read = _slot(scope, bound.value, place, each, replace(ctx, hint=f"{ctx.hint}_{slot.name}"))
            grids = grids or read
            modules.append((slot.name, module))
    return tuple(modules), grids, transform


def _own_numbers(
    scope: Scope, expr: tree.Expr, entry: BijectionKind, source: Type, options: Options, transform: Transform | None
) -> int:
    """How many numbers of its own a bijection has, given or learned. Reports options that do not fit (E204)."""
    each = transform.parameters if transform and entry.conditioner == "given" else 0
    try:
        return entry.learns(source.shape, options, each)
    except ValueError as error:
        headline, help_ = error.args
        where = f"gets {source.describe()}"
        scope.fail("E204", f"{entry.name} does not fit its place: {headline}", expr.span, where, help=help_)


def _verify_source(scope: Scope, expr: tree.Expr, entry: BijectionKind, source: Type) -> None:
    """Reports values that a bijection does not map (E213): of another support, or no vector where it needs one."""
    kept = source.support.integral and entry.integers and (source.support.shiftable or not entry.rounds)
    if source.support != entry.domain and not kept:
        scope.fail(
            "E213",
            f"{entry.name} maps {_domain(entry)}, these are {source.support.describe()}",
            expr.span,
            f"gets {source.describe()}",
        )
    shape, rank = source.shape, len(source.shape)
    fits = {
        "elements": True,
        "vector": rank == 1,
        "channels": rank == 1 or channels_of(shape) > 1,
        "grid": rank in (2, 3),
        "event": rank in (1, 2, 3),
    }
    if not fits[entry.acts] or source.elements < entry.least:
        apart = ", ".join(b.name for b in BIJECTIONS.values() if b.elementwise)
        on = {"channels": "the channels of a vector or a grid", "event": "a vector or a grid", "grid": "a grid"}
        many = " of two elements or more" if entry.least > 1 else ""
        help_ = f"element by element, in any shape, there are: {apart}"
        headline, label = f"{entry.name} acts on {on.get(entry.acts, 'a vector')}{many}", f"this is {source.describe()}"
        if entry.acts == "channels" and rank in (2, 3):
            headline, label = f"{entry.name} acts on channels, two or more", f"{label}, a grid of one channel"
            if shape[0] % 2 == shape[1] % 2 == 0:
                help_ = f"squeeze makes four channels of one: squeeze >> {entry.name} >> inverse(squeeze)"
        scope.fail("E213", headline, expr.span, label, help=help_)


def _verify_mask(scope: Scope, expr: tree.Expr, found: Arguments, mask: Mask, source: Type) -> None:
    """Reports a mask that parts nothing: channels where there is one, positions where there is no grid (E213)."""
    span = found["mask"].span if "mask" in found else expr.span
    grid = len(source.shape) > 1
    if mask.kind == "checkerboard" and not grid:
        headline = "a checkerboard mask parts the positions of a grid"
        scope.fail("E213", headline, span, f"this is {source.describe()}", help="mask = alternate, of a vector")
    if mask.kind == "checkerboard" and not all(mask.split(source.shape)):
        headline = "a checkerboard parts the positions of a grid, and this one has a single position"
        scope.fail("E213", headline, span, f"this is {source.describe()}", help="mask = half parts its channels")
    if not all(mask.split(source.shape)):
        headline = f"a mask `{mask.kind}` parts the channels of a grid, and this one has a single channel"
        help_ = "mask = checkerboard parts positions, and squeeze makes four channels of one"
        scope.fail("E213", headline, span, f"this is {source.describe()}", help=help_)


def _verify_joint(
    scope: Scope, span: Span, entry: BijectionKind, transform: Transform, source: Type, mask: Mask
) -> None:
    """Reports a transform of all elements together where they follow one another, or where there is one (E213)."""
    if entry.conditioner == "past":
        headline = f"{transform.kind} depends on the numbers of all elements, and here they follow one another"
        scope.fail("E213", headline, span, "not one by one", help=f"coupling[mlp[64], {transform.kind}]")
    moved = math.prod(source.shape)
    if entry.conditioner == "half":
        moved = len(mask.split(source.shape)[1]) * (math.prod(source.shape[:-1]) if mask.by_channel else 1)
    if moved < 2:
        headline = f"{transform.kind} has nothing to balance in a single element"
        scope.fail(
            "E213", headline, span, "transforms one", help="of a single element it is a shift: coupling[mlp[64], shift]"
        )


def _copies(
    scope: Scope,
    expr: tree.Expr,
    entry: BijectionKind,
    slots: tuple[tuple[str, Module], ...],
    context: tuple[Value, ...],
    ctx: Context,
) -> int:
    """How many sets of its own parameters a bijection has: one for each component of a mixture that it stands in.

    Reports a network there, or weights, that all components would share (E217), unless they read which one it is.
    """
    components = ctx.copies or (ctx.points[0][1].count if ctx.points else 0)
    if not components or any(isinstance(t, Points) for v in context for t in walk(v)):
        return 0
    if not slots and (entry.context == "value" or entry.own is None):
        return components if entry.context == "value" and not context else 0
    what = "network" if slots else "set of weights"
    count = str(components)
    if ctx.points:
        name, points = ctx.points[0]
        count = f"{name} in grid({', '.join(map(str, points.sides))})"
    scope.fail(
        "E217",
        f"the components of this mixture would share one {entry.name}",
        expr.span,
        f"one {what} for all of them",
        help=f"push the mixture forward: mixture[{count}](Normal(param)) >> {entry.signature.usage or entry.name}; or "
        "give the flow a name, which says that it is shared: flow f = ...",
    )


def _domain(entry: BijectionKind) -> str:
    return f"{entry.domain.describe()} values" + (" or whole numbers" if entry.integers else "")


def _condition(
    scope: Scope, entry: BijectionKind, call: tree.Call, wanted: int, ctx: Context, inputs: Inputs
) -> tuple[tuple[Value, ...], tuple[tuple[str, Module], ...]]:
    """What parentheses hold: inputs of the slots' networks, or the bijection's parameters themselves."""
    if entry.context == "network":
        return _once(inputs(scope, call, ctx)), ()
    if len(call.arguments) != 1:
        scope.fail("E209", f"{entry.name} takes its {counted(wanted, 'parameter')} as one value", call.span)
    argument = call.arguments[0]
    if ctx.elements is not None and (ctx.elements.maps or has_past(argument)):  # those of an element
        values = inputs(scope, call, ctx, expected=real(wanted))
    elif isinstance(argument, tree.Call) and is_network(scope, argument.target):
        values = _once(inputs(scope, argument, ctx))
        if not values:
            scope.fail("E209", "a network needs inputs", argument.span, help=f"{entry.name}(mlp[64](y))")
        _verify_vector_network(scope, entry, argument, ctx)
        size = sum(v.type.features for v in values)
        hint = replace(ctx, hint=f"{ctx.hint}_{entry.name}")
        return values, (("conditioner", check_slot(scope, argument.target, Axes(size), Axes(wanted), 0, hint)),)
    else:
        values = inputs(scope, call, ctx)
    if values[0].shape != (wanted,):
        headline, help_ = (
            f"{entry.name} takes {counted(wanted, 'number')}",
            f"a network gives them: {entry.name}(mlp[64](...))",
        )
        scope.fail("E204", headline, call.span, f"shape {list(values[0].shape)}", help=help_)
    return values, ()


def _once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Values without those that stand there again: by its name a bijection takes a value once."""
    return tuple(v for k, v in enumerate(values) if v not in values[:k])


def _verify_vector_network(scope: Scope, entry: BijectionKind, call: tree.Call, ctx: Context) -> None:
    """The numbers of a bijection follow from a vector: a network that reads positions stands before it (E217)."""
    specs, _ = check_network(scope, call.target, ctx)
    spec = specs[0]
    if all(form.rank for form in spec.entry.forms):
        headline = f"{entry.name} takes its numbers from a vector, and {spec.kind} reads positions"
        help_ = f"let h : real[64] = {spec.kind}[...](...), and {entry.name}(mlp[64](h))"
        scope.fail("E217", headline, call.span, "reads positions", help=help_)


def _named(
    scope: Scope, values: tuple[Value, ...], grids: tuple[Value, ...], direct: bool
) -> tuple[tuple[str, Value], ...]:
    """Values with the names by which bijections take them."""
    forms = ("value" if direct else "grid" if v in grids else "vector" for v in values)
    return tuple((scope.context_name(v, form), v) for v, form in zip(values, forms))


_AFFINE, _SHIFT = Transform("affine"), Transform("shift")


def _as_slot(entry: BijectionKind, slot: Slot, transform: Transform | None) -> tuple[Slot, Transform | None]:
    """Of a bijection that has slots of its own for an affine transform: `coupling[net, affine]` is `coupling[net]`, and
    `coupling[net, shift]` is `coupling[shift = net]`."""
    if entry.slots and slot == entry.sole and transform in (_AFFINE, _SHIFT):
        return (slot if transform == _AFFINE else entry.slot("shift")), None
    return slot, transform


@dataclass(frozen=True)
class _Place:
    """Where the network of a slot stands: in which bijection of which shape, parted how, and conditioned on what."""

    entry: BijectionKind
    shape: tuple[int, ...]
    mask: Mask
    context: tuple[Value, ...]


def _slot(scope: Scope, expr: tree.Expr, place: _Place, each: int, ctx: Context) -> tuple[Module, tuple[Value, ...]]:
    """The network of a slot, which gives so many numbers for each element that is transformed, from those that are kept
    or from the past, and what it reads of the context position by position.

    A network that reads vectors reads what is kept as one. A network of a grid reads and gives a grid: that of the
    channels that are kept and transformed, or, where the mask parts positions, the whole one, with zeros for what is
    transformed.
    """
    shape, width = place.shape, sum(v.type.features for v in place.context)
    if place.entry.beside is not None:
        return check_slot(scope, expr, Axes(shape[0] + place.entry.beside + width), Axes(each * shape[0]), 0, ctx), ()
    if place.entry.conditioner == "past":
        return check_past_slot(scope, expr, shape, each, width, ctx), ()
    kept, moved = map(len, place.mask.split(shape))
    if len(shape) == 1 or not reads_grids(scope, expr, ctx):
        positions = math.prod(shape[:2]) if place.mask.by_channel and len(shape) > 1 else 1
        return check_slot(scope, expr, Axes(positions * kept + width), Axes(each * positions * moved), 0, ctx), ()
    if not place.mask.by_channel:
        kept = moved = channels_of(shape)
    grids = tuple(v for v in place.context if v.shape[:2] == shape[:2] and len(v.shape) in (2, 3))
    more = sum(v.type.features // math.prod(shape[:2]) for v in grids)
    width -= more * math.prod(shape[:2])
    reads, gives = Axes(kept + more, shape[:2]), Axes(each * moved, shape[:2])
    return check_slot(scope, expr, reads, gives, width, ctx), grids


def verify_network(scope: Scope, span: Span, where: str, specs: Specs, slot: Slot) -> None:
    """Reports a network that may not stand in a slot (E217). `where` is what it would be a part of."""
    kinds = [spec.kind for spec in specs]
    wrong = [kind for kind in kinds if kind not in slot.networks]
    if slot.networks and (wrong or (len(kinds) > 1 and "densenet" in kinds)):
        headline = f"{where} needs a network of matrices and activations alone"
        label = f"{wrong[0]} has more" if wrong else "densenet stands by itself there"
        scope.fail("E217", headline, span, label, help=f"there are {', '.join(slot.networks)}")
    for spec in specs:
        for name, value in spec.options:
            why = slot.without.get(name, slot.without.get(str(value), "") if name == "norm" else "")
            if why and value:
                what = f"{name} = {value}" if name == "norm" else name
                scope.fail("E217", f"{where} takes no network with {what}", span, why, help="leave it out")


def _verify_slots(
    scope: Scope,
    expr: tree.Expr,
    entry: BijectionKind,
    slots: dict[str, Module],
    transform: Transform | None,
    integer: bool,
) -> None:
    if not entry.sole:
        return
    names = [s.name for s in entry.slots]
    if not slots:
        scope.fail("E209", f"{entry.name} needs a network", expr.span, help=entry.signature.usage)
    if entry.sole.name in slots and len(slots) > 1:
        scope.fail("E209", f"one network for all, or one each for {' and '.join(names)}", expr.span)
    if transform is not None and entry.sole.name not in slots:
        headline = f"{' and '.join(slots)} are those of an affine transform"
        scope.fail("E209", headline, expr.span, help=f"{entry.name}[mlp[64], {transform.kind}]")
    if integer and set(slots) != {"shift"}:
        scope.fail(
            "E213",
            f"{entry.name} of integers can only shift them",
            expr.span,
            "scaling leaves the integers",
            help="coupling[shift = mlp[64]]",
        )
