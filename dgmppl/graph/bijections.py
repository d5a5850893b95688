"""Bijections: `4 * (coupling[mlp[64]] >> reverse)` with the sizes of the vector it acts on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.catalogue.bijections import Bijection as Entry
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.context import Context
from dgmppl.graph.networks import check_slot, is_network
from dgmppl.graph.scope import Fail, NamedFlow, Scope
from dgmppl.graph.supports import PLAIN, Support, Type
from dgmppl.graph.values import Apply, Bijection, Block, Chain, Image, Module, Value
from dgmppl.source import Span
from dgmppl.syntax import tree

Inputs = Callable[[Scope, tree.Call, Context], tuple[Value, ...]]
MAX_REPEAT = 10_000


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
        return Chain(expr.span, "", parts), target
    if isinstance(expr, tree.Binary) and expr.op == "*":
        count = scope.integer(expr.left, ctx.env, "the number of repeats", low=1)
        if count > MAX_REPEAT:
            scope.fail("E216", f"{count:,} bijections in a row", expr.left.span, f"at most {MAX_REPEAT:,}")
        body, target = check_bijection(scope, expr.right, source, ctx, inputs)
        if count > 1 and target != source.support:
            scope.fail(
                "E213",
                f"a bijection from {source.support.describe()} to {target.describe()} cannot be repeated",
                expr.span,
                f"its second repeat would get {target.describe()}",
            )
        return Chain(expr.span, "", _parts(body), count), target
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


def _parts(bijection: Bijection) -> tuple[Bijection, ...]:
    if isinstance(bijection, Chain) and bijection.repeat == 1 and not bijection.attribute:
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
    entry: Entry,
    items: tuple[object, ...],
    call: tree.Call | None,
    source: Type,
    ctx: Context,
    inputs: Inputs,
) -> tuple[Bijection, Support]:
    integer = source.support.name == "integer"
    if source.support.name != entry.domain and not (integer and entry.integers):
        scope.fail(
            "E213",
            f"{entry.name} maps {entry.domain} values, these are {source.support.describe()}",
            expr.span,
            f"gets {source.describe()}",
        )
    if len(source.shape) != 1 or (entry.slots and source.elements < 2):
        scope.fail(
            "E213",
            f"{entry.name} acts on a vector{' of two or more' if entry.slots else ''}",
            expr.span,
            f"this is {source.describe()}",
        )
    features = source.shape[0]
    context: tuple[Value, ...] = ()
    identity = False
    if call is not None:
        if not entry.context:
            scope.fail("E209", f"{entry.name} is conditioned on nothing", call.span, "takes no parentheses")
        context, slots, identity = _condition(scope, entry, call, features, ctx, inputs)
    else:
        slots = ()
    numbers: list[tuple[str, float]] = []
    width = sum(v.type.features for v in context) if entry.context == "network" else 0
    for item in items:
        if isinstance(item, tree.Keyword) and item.name in entry.numbers:
            low = 0
            numbers.append((item.name, float(scope.integer(item.value, ctx.env, f"`{item.name}`", low=low))))
        else:
            slots = (*slots, _slot(scope, entry, item, dict(slots), features, width, ctx))
    _verify_slots(scope, expr, entry, dict(slots), integer)
    target = source.support if integer else _codomain_of(entry)
    block = Block(expr.span, entry.name, features, slots, tuple(numbers), context, identity, integer and entry.rounds)
    if block.integer and source.support.finite:
        block = replace(block, low=int(source.support.low or 0), size=source.support.size)
    return block, target


def _codomain_of(entry: Entry) -> Support:
    return Support("interval", -1.0, 1.0) if entry.codomain == "interval" else PLAIN[entry.codomain]


def codomain(bijection: Bijection, support: Support) -> Support:
    """The support that values of `support` are mapped to."""
    if isinstance(bijection, Chain):
        for part in bijection.parts:
            support = codomain(part, support)
        return support
    assert isinstance(bijection, Block)
    return support if support.name == "integer" else _codomain_of(BIJECTIONS[bijection.kind])


def _condition(
    scope: Scope, entry: Entry, call: tree.Call, features: int, ctx: Context, inputs: Inputs
) -> tuple[tuple[Value, ...], tuple[tuple[str, Module], ...], bool]:
    """What parentheses hold: inputs of the slots' networks, or the bijection's parameters themselves."""
    if entry.context == "network":
        return inputs(scope, call, ctx), (), False
    wanted = entry.values * features
    if len(call.arguments) != 1:
        scope.fail("E209", f"{entry.name} takes its {wanted} parameters as one value", call.span)
    argument = call.arguments[0]
    if isinstance(argument, tree.Call) and is_network(scope, argument.target):
        values = inputs(scope, argument, ctx)
        size = sum(v.type.features for v in values)
        hint = replace(ctx, hint=f"{ctx.hint}_{entry.name}")
        return values, (("conditioner", check_slot(scope, argument.target, size, wanted, hint)),), False
    values = inputs(scope, call, ctx)
    if values[0].shape != (wanted,):
        scope.fail("E204", f"{entry.name} takes {wanted} numbers", call.span, f"shape {list(values[0].shape)}")
    return values, (), True


def _slot(
    scope: Scope,
    entry: Entry,
    item: object,
    given: dict[str, Module],
    features: int,
    width: int,
    ctx: Context,
) -> tuple[str, Module]:
    half, rest = features // 2, features - features // 2
    if isinstance(item, tree.Keyword):
        slot = next((s for s in entry.slots if s.name == item.name), None)
        expr = item.value
        known = [*(s.name for s in entry.slots), *entry.numbers]
        if slot is None:
            help_ = did_you_mean(item.name, known, f"{entry.name} takes {', '.join(known) or 'no options'}")
            scope.fail("E209", f"{entry.name} has no option `{item.name}`", item.span, help=help_)
    else:
        slot = entry.sole
        if slot is None or not isinstance(item, tree.Node) or isinstance(item, (tree.Binding, tree.Past)):
            scope.fail("E209", f"{entry.name} takes nothing of this kind", item.span)  # type: ignore[attr-defined]
        expr = item  # type: ignore[assignment]
    if slot.name in given:
        scope.fail("E209", f"{entry.name} has two networks for `{slot.name}`", expr.span)
    hint = replace(ctx, hint=f"{ctx.hint}_{slot.name}")
    return slot.name, check_slot(scope, expr, half + width, slot.outputs * rest, hint)


def _verify_slots(scope: Scope, expr: tree.Expr, entry: Entry, slots: dict[str, Module], integer: bool) -> None:
    if not entry.slots:
        return
    names = [s.name for s in entry.slots]
    if not slots:
        scope.fail("E209", f"{entry.name} needs a network", expr.span, help=f"{entry.name}[mlp[64]]")
    sole = entry.sole.name if entry.sole else ""
    if sole in slots and len(slots) > 1:
        scope.fail("E209", f"one network for all, or one each for {' and '.join(names)}", expr.span)
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
        chain = bijection if isinstance(bijection, Chain) else Chain(bijection.span, "", (bijection,))
        flow.bijection = replace(chain, attribute=scope.attribute(name.name, own=True))
        flow.features = source.elements
    if flow.features != source.elements:
        scope.fail(
            "E212",
            f"`{name.name}` is used at two sizes",
            name.span,
            f"{source.elements} here",
            notes=(Note(flow.statement.name_span, f"{flow.features} where it was first used"),),
            help="declare a second flow, or give the two variables one size",
        )
    return flow.bijection


def image(scope: Scope, name: tree.Name, flow: NamedFlow, value: Value, span: Span, inputs: Inputs) -> Image:
    """`f(u)`."""
    if isinstance(value, Apply):
        scope.fail("E211", "the size of a flow's argument must be known", value.span, help="bind it with `let`")
    bijection = sized_flow(scope, name, flow, value.type, inputs)
    return Image(Type(codomain(bijection, value.type.support), value.shape), span, bijection, value)
