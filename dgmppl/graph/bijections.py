"""Bijections: `4 * (coupling[mlp[64]] >> reverse)` with the sizes of the vector it acts on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dgmppl.catalogue.bijections import BIJECTIONS, ENTRIES, FIXED_AFFINE, SCALE, TRANSFORMS, BijectionKind, Slot
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.networks import check_network, check_past_slot, check_slot, is_network
from dgmppl.graph.options import read_options
from dgmppl.graph.scope import Fail, NamedFlow, Scope
from dgmppl.graph.values import (
    Apply,
    Bijection,
    Block,
    Composition,
    Inverse,
    Mapped,
    Module,
    Points,
    Transform,
    Value,
    walk,
)
from dgmppl.permutations import MASKS, halves
from dgmppl.source import Span
from dgmppl.supports import REAL, Support, Type
from dgmppl.syntax import tree

Inputs = Callable[[Scope, tree.Call, Context], tuple[Value, ...]]
MAX_IN_A_ROW = 10_000


def check_bijection(
    scope: Scope, expr: tree.Expr, source: Type, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    """A bijection of vectors of type `source`, and the support that it maps to.

    Reports what is none (E208, E217), a wrong support (E213) and a vector that it cannot act on (E213).
    """
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        left, middle = check_bijection(scope, expr.left, source, ctx, inputs)
        right, target = check_bijection(scope, expr.right, Type(middle, source.shape), ctx, inputs)
        parts = (*_parts(left), *_parts(right))
        _verify_length(scope, sum(map(_length, parts)), expr.span)
        return Composition(expr.span, "", parts), target
    if isinstance(expr, tree.Binary) and expr.op == "*":
        count = scope.integer(expr.left, ctx.env, "the number of repeats", low=1)
        _verify_length(scope, count, expr.left.span)
        body, target = check_bijection(scope, expr.right, source, ctx, inputs)
        _verify_length(scope, count * _length(body), expr.left.span)
        if count > 1:
            _verify_fresh(scope, expr, count, body)
        if count > 1 and target != source.support:
            scope.fail(
                "E213",
                f"a bijection from {source.support.describe()} to {target.describe()} cannot be repeated",
                expr.span,
                f"its second repeat would get {target.describe()}",
            )
        return Composition(expr.span, "", _parts(body), count), target
    if isinstance(expr, tree.Call) and (backwards := _inverted(scope, expr)) is not None:
        return _inverse(scope, expr, backwards, source, ctx, inputs)
    name, items, call = _pieces(expr)
    if name is not None:
        binding = scope.names.get(name.name)
        if isinstance(binding, NamedFlow) and call is None and not items:
            flow = sized_flow(scope, name, binding, source, inputs)
            return flow, codomain(flow, source.support)
        if name.name in BIJECTIONS:
            return _block(scope, expr, BIJECTIONS[name.name], items, call, source, ctx, inputs)
        if name.name not in scope.names or name.name in scope.poisoned:
            if name.name in scope.poisoned:
                scope.lookup(name.name, name.span)
            known = [*BIJECTIONS, *(n for n, b in scope.names.items() if isinstance(b, NamedFlow))]
            help_ = did_you_mean(name.name, known, f"one of {', '.join(known)}")
            scope.fail("E208", f"unknown bijection `{name.name}`", name.span, "not a bijection", help=help_)
    scope.fail("E217", "a bijection is needed here", expr.span, "not a bijection", help="coupling[mlp[64]]")


def _inverted(scope: Scope, expr: tree.Call) -> tree.Expr | None:
    """The bijection of `inverse(bijection)`, which may be conditioned behind it: `inverse(bijection)(y)`."""
    call: tree.Expr = expr
    given: tuple[tree.Expr | tree.Keyword, ...] | None = None
    if isinstance(expr.target, tree.Call):
        call, given = expr.target, expr.arguments
    if not (isinstance(call, tree.Call) and isinstance(call.target, tree.Name) and call.target.name == "inverse"):
        return None
    if len(call.arguments) != 1 or isinstance(call.arguments[0], tree.Keyword):
        scope.fail("E209", "inverse takes one bijection", call.span, help="inverse(autoregressive[masked[64]])")
    inner = call.arguments[0]
    return inner if given is None else tree.Call(expr.span, inner, given)


def _inverse(
    scope: Scope, expr: tree.Call, inner: tree.Expr, source: Type, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    """`inverse(f)` maps what f gives to what f takes."""
    taken = source if source.support.integral else Type(REAL, source.shape)
    bijection, given = check_bijection(scope, inner, taken, ctx, inputs)
    if not given.same_values_as(source.support):
        headline = f"its inverse maps {given.describe()} values, these are {source.support.describe()}"
        scope.fail("E213", headline, expr.span, f"gets {source.describe()}")
    return Inverse(expr.span, bijection), taken.support


def _length(bijection: Bijection) -> int:
    """How many bijections are applied one after another, repeats within repeats included."""
    if isinstance(bijection, Composition):
        return bijection.repeat * sum(map(_length, bijection.parts))
    return _length(bijection.inner) if isinstance(bijection, Inverse) else 1


def _verify_length(scope: Scope, length: int, span: Span) -> None:
    """Nested repeats multiply: a short line could ask for more than any machine has (E216)."""
    if length > MAX_IN_A_ROW:
        scope.fail("E216", f"{length:,} bijections in a row", span, f"at most {MAX_IN_A_ROW:,}")


def _verify_fresh(scope: Scope, expr: tree.Binary, count: int, body: Bijection) -> None:
    """Says that the repeats of a named flow share its weights, as uses of a name do, since `n * b` makes n (W406)."""
    named = body if isinstance(body, Composition) and body.attribute else None
    if named is None and isinstance(body, Composition):
        named = next((p for p in body.parts if isinstance(p, Composition) and p.attribute), None)
    if named is None or not any(isinstance(t, Module) or (isinstance(t, Block) and t.own_weights) for t in walk(named)):
        return
    scope.report(
        "W406",
        f"the {count} repeats of `{named.attribute}` share its weights",
        expr.span,
        "a name stands for one flow, however often it is used",
        help=f"write the bijection itself for fresh weights: {count} * (coupling[mlp[64]] >> reverse)",
        severity="warning",
    )


def _parts(bijection: Bijection) -> tuple[Bijection, ...]:
    if isinstance(bijection, Composition) and bijection.repeat == 1 and not bijection.attribute:
        return bijection.parts
    return (bijection,)


def _pieces(expr: tree.Expr) -> tuple[tree.Name | None, tuple[object, ...], tree.Call | None]:
    """The name, bracket items and call of `name[items](arguments)`."""
    call = expr if isinstance(expr, tree.Call) else None
    target = expr.target if isinstance(expr, tree.Call) else expr
    items: tuple[object, ...] = ()
    if isinstance(target, tree.Bracket):
        items, target = target.items, target.target
    return (target if isinstance(target, tree.Name) else None), items, call


def _block(
    scope: Scope,
    expr: tree.Expr,
    entry: BijectionKind,
    items: tuple[object, ...],
    call: tree.Call | None,
    source: Type,
    ctx: Context,
    inputs: Inputs,
) -> tuple[Bijection, Support]:
    integer = source.support.integral
    _verify_source(scope, expr, entry, source)
    context: tuple[tuple[str, Value], ...] = ()
    slots: tuple[tuple[str, Module], ...] = ()
    found = bind(scope, entry.signature, items, expr.span)
    transform = _transform(scope, found["transform"].value, ctx) if "transform" in found else None
    if entry.conditioner == "given" and transform is None:
        scope.fail("E209", f"{entry.name} needs a transform", expr.span, help=entry.signature.usage)
    if call is not None:
        if not entry.context:
            scope.fail("E209", f"{entry.name} is conditioned on nothing", call.span, "takes no parentheses")
        parameters = transform.parameters if transform and entry.conditioner == "given" else entry.learned
        context, slots = _condition(scope, entry, call, source, parameters, ctx, inputs)
    options = dict(read_options(scope, found.given, ctx))
    mask = str(options.pop("mask", ""))
    width = sum(v.type.features for _, v in context) if entry.context == "network" else 0
    for name, bound in found.given.items():
        if bound.argument.kind == "network":
            slot, transform = _as_slot(entry, entry.slot(name), transform)
            each = slot.outputs or (transform or _AFFINE).parameters
            slots = (*slots, (slot.name, _slot(scope, bound.value, entry, slot, each, source, width, ctx)))
    _verify_slots(scope, expr, entry, dict(slots), transform, integer)
    if entry.conditioner == "past" and transform is None:
        transform = _AFFINE
    copies = _copies(scope, expr, entry, slots, context, ctx)
    target = source.support if integer else entry.codomain
    range_ = None
    if integer and entry.rounds and source.support.size is not None:
        range_ = (int(source.support.low or 0), source.support.size)
    block = Block(
        expr.span,
        entry.name,
        source.shape,
        slots,
        tuple((name, float(number)) for name, number in options.items()),
        transform,
        "" if mask == MASKS[0] else mask,
        context,
        copies,
        integer and entry.rounds,
        range_,
    )
    return block, target


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
    others = entry.conditioner in ("half", "past")  # elements that it reads beside the one that it transforms
    if not entry.elementwise and (len(source.shape) != 1 or (others and source.elements < 2)):
        apart = ", ".join(b.name for b in BIJECTIONS.values() if b.elementwise)
        scope.fail(
            "E213",
            f"{entry.name} acts on a vector{' of two or more' if others else ''}",
            expr.span,
            f"this is {source.describe()}",
            help=f"element by element, in any shape, there are: {apart}",
        )


def _copies(
    scope: Scope,
    expr: tree.Expr,
    entry: BijectionKind,
    slots: tuple[tuple[str, Module], ...],
    context: tuple[tuple[str, Value], ...],
    ctx: Context,
) -> int:
    """How many sets of its own parameters a bijection has: one for each component of a mixture that it stands in.

    Reports a network there that all components would share (E217), unless it reads which component it is.
    """
    components = ctx.copies or (ctx.points[0][1].count if ctx.points else 0)
    if not components or any(isinstance(t, Points) for _, v in context for t in walk(v)):
        return 0
    if not slots:
        return components if (entry.learned or entry.conditioner == "given") and not context else 0
    scope.fail(
        "E217",
        f"the components of this mixture would share one {entry.name}",
        expr.span,
        "one network for all of them",
        help="push the mixture forward: mixture[4](Normal(param)) >> coupling[mlp[64]]; or give the flow a name, which "
        "says that it is shared: flow f = ...",
    )


def _domain(entry: BijectionKind) -> str:
    return f"{entry.domain.describe()} values" + (" or whole numbers" if entry.integers else "")


def codomain(bijection: Bijection, support: Support) -> Support:
    """The support that values of `support` are mapped to."""
    if isinstance(bijection, Composition):
        for part in bijection.parts:
            support = codomain(part, support)
        return support
    if isinstance(bijection, Inverse):
        return support if support.integral else REAL
    assert isinstance(bijection, Block)
    if bijection.kind == FIXED_AFFINE:
        numbers = {"scale": 1.0, "shift": 0.0, **dict(bijection.numbers)}
        return support.affine(numbers["scale"], numbers["shift"])
    if bijection.kind == SCALE:  # by something positive
        return support
    return support if support.integral else ENTRIES[bijection.kind].codomain


def _condition(
    scope: Scope, entry: BijectionKind, call: tree.Call, source: Type, parameters: int, ctx: Context, inputs: Inputs
) -> tuple[tuple[tuple[str, Value], ...], tuple[tuple[str, Module], ...]]:
    """What parentheses hold: inputs of the slots' networks, or the bijection's parameters themselves."""
    if entry.context == "network":
        return _named(scope, inputs(scope, call, ctx)), ()
    wanted = parameters * source.elements
    if len(call.arguments) != 1:
        scope.fail("E209", f"{entry.name} takes its {wanted} parameters as one value", call.span)
    argument = call.arguments[0]
    if isinstance(argument, tree.Call) and is_network(scope, argument.target):
        values = inputs(scope, argument, ctx)
        if not values:
            scope.fail("E209", "a network needs inputs", argument.span, help=f"{entry.name}(mlp[64](y))")
        _verify_vector_network(scope, entry, argument, ctx)
        size = sum(v.type.features for v in values)
        hint = replace(ctx, hint=f"{ctx.hint}_{entry.name}")
        return _named(scope, values), (("conditioner", check_slot(scope, argument.target, size, wanted, hint)),)
    values = inputs(scope, call, ctx)
    if values[0].shape != (wanted,):
        scope.fail("E204", f"{entry.name} takes {wanted} numbers", call.span, f"shape {list(values[0].shape)}")
    return _named(scope, values, direct=True), ()


def _verify_vector_network(scope: Scope, entry: BijectionKind, call: tree.Call, ctx: Context) -> None:
    """The numbers of a bijection follow from a vector: a network that reads positions stands before it (E217)."""
    specs, _ = check_network(scope, call.target, ctx)
    spec = specs[0]
    if all(form.rank for form in NETWORKS[spec.kind].forms):
        headline = f"{entry.name} takes its numbers from a vector, and {spec.kind} reads positions"
        help_ = f"let h : real[64] = {spec.kind}[...](...), and {entry.name}(mlp[64](h))"
        scope.fail("E217", headline, call.span, "reads positions", help=help_)


def _named(scope: Scope, values: tuple[Value, ...], direct: bool = False) -> tuple[tuple[str, Value], ...]:
    """Values with the names by which bijections take them; one that stands there twice is read twice by one name."""
    return tuple((scope.context_name(v, direct), v) for v in values)


_AFFINE, _SHIFT = Transform("affine"), Transform("shift")


def _as_slot(entry: BijectionKind, slot: Slot, transform: Transform | None) -> tuple[Slot, Transform | None]:
    """Of a bijection that has slots of its own for an affine transform: `coupling[net, affine]` is `coupling[net]`, and
    `coupling[net, shift]` is `coupling[shift = net]`."""
    if entry.slots and slot == entry.sole and transform in (_AFFINE, _SHIFT):
        return (slot if transform == _AFFINE else entry.slot("shift")), None
    return slot, transform


def _transform(scope: Scope, expr: tree.Expr, ctx: Context) -> Transform:
    """`affine`, `spline(bins = 8)`, or `inverse(mixture_cdf(8))`."""
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name) and expr.target.name == "inverse":
        if len(expr.arguments) != 1 or isinstance(expr.arguments[0], tree.Keyword):
            scope.fail("E209", "inverse takes one transform", expr.span, help="inverse(mixture_cdf(8))")
        inner = _transform(scope, expr.arguments[0], ctx)
        return replace(inner, inverted=not inner.inverted)
    target = expr.target if isinstance(expr, tree.Call) else expr
    if not isinstance(target, tree.Name) or target.name not in TRANSFORMS:
        name = target.name if isinstance(target, tree.Name) else ""
        help_ = did_you_mean(name, TRANSFORMS, f"one of {', '.join(TRANSFORMS)}")
        scope.fail(
            "E208", f"unknown transform `{name}`" if name else "a transform is needed here", expr.span, help=help_
        )
    signature = TRANSFORMS[target.name].signature
    if isinstance(expr, tree.Call) and not signature.arguments:
        scope.fail("E209", f"{target.name} takes no options", expr.span, help=target.name)
    given = bind(scope, signature, expr.arguments if isinstance(expr, tree.Call) else (), expr.span).given
    options = read_options(scope, given, ctx)
    return Transform(target.name, tuple((name, float(number)) for name, number in options))


def _slot(
    scope: Scope,
    expr: tree.Expr,
    entry: BijectionKind,
    slot: Slot,
    each: int,
    source: Type,
    width: int,
    ctx: Context,
) -> Module:
    """The network of a slot, which gives so many numbers for each element that is transformed: from the other half and
    a context of a `width`, or from the past."""
    features = source.elements
    hint = replace(ctx, hint=f"{ctx.hint}_{slot.name}")
    if entry.conditioner == "past":
        return check_past_slot(scope, expr, features, each, width, hint)
    kept, moved = (len(half) for half in halves(features))
    return check_slot(scope, expr, kept + width, each * moved, hint)


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


# --- named flows ---------------------------------------------------------------------------------


def sized_flow(scope: Scope, name: tree.Name, flow: NamedFlow, source: Type, inputs: Inputs) -> Bijection:
    """A declared flow at the size of its first use; every other use must agree (E212)."""
    if flow.failed:
        raise Fail
    if flow.entered:
        scope.fail(
            "E205",
            f"the flow `{name.name}` stands inside itself",
            name.span,
            "closes the circle",
            notes=(Note(flow.statement.name_span, "declared here"),),
            help="repeat a bijection with a number: 2 * (coupling[mlp[64]] >> reverse)",
        )
    if flow.bijection is None:
        context = Context(hint=name.name)
        flow.entered = True
        try:
            bijection, _ = check_bijection(scope, flow.statement.value, source, context, inputs)
        except Fail:
            flow.failed = True
            raise
        finally:
            flow.entered = False
        if isinstance(bijection, Composition) and bijection.attribute:
            flow.bijection = bijection  # another name of one flow
        else:
            chain = bijection if isinstance(bijection, Composition) else Composition(bijection.span, "", (bijection,))
            flow.bijection = replace(chain, attribute=scope.attribute(name.name, own=True))
        flow.source = source
    assert flow.source is not None
    if flow.source.shape != source.shape:
        scope.fail(
            "E212",
            f"`{name.name}` is used at two sizes",
            name.span,
            f"{_size_text(source)} here",
            notes=(Note(flow.statement.name_span, f"{_size_text(flow.source)} where it was first used"),),
            help="declare a second flow, or give the two variables one size",
        )
    return flow.bijection


def _size_text(source: Type) -> str:
    return str(source.elements) if len(source.shape) == 1 else str(list(source.shape))


def image(scope: Scope, name: tree.Name, flow: NamedFlow, value: Value, span: Span, inputs: Inputs) -> Mapped:
    """`f(u)`."""
    if isinstance(value, Apply):
        scope.fail("E211", "the size of a flow's argument must be known", value.span, help="bind it with `let`")
    bijection = sized_flow(scope, name, flow, value.type, inputs)
    return Mapped(Type(codomain(bijection, value.type.support), value.shape), span, bijection, value)
