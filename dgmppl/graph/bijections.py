"""Bijections: `4 * (coupling[mlp[64]] >> reverse)` with the shapes that it acts on."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.bijections import (
    ENTRIES,
    FIXED_AFFINE,
    SCALE,
)
from dgmppl.extents import channels_of
from dgmppl.graph.blocks import build_block
from dgmppl.graph.context import Context, Inputs
from dgmppl.graph.fields import check_field
from dgmppl.graph.flow_shapes import follow
from dgmppl.graph.outline import Outline
from dgmppl.graph.outlines import read_outline
from dgmppl.graph.scope import Fail, NamedFlow, Scope
from dgmppl.graph.steps import check_step, joined
from dgmppl.graph.triangular import check_triangular
from dgmppl.graph.values import (
    Apply,
    Bijection,
    Block,
    Composition,
    Inverse,
    Levels,
    Mapped,
    Module,
    Value,
    walk,
)
from dgmppl.source import Span
from dgmppl.supports import REAL, Support, Type
from dgmppl.syntax import tree


def check_bijection(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    """The bijection of an outline whose shapes are known, of values of this support, and the support that it maps to.

    Reports a wrong support (E213), and a shape that it cannot act on (E213).
    """
    if outline.kind == "chain":
        parts: list[Bijection] = []
        for part in outline.parts:
            bijection, support = check_bijection(scope, part, support, ctx, inputs)
            parts += _parts(bijection)
        return Composition(outline.span, "", joined(parts)), support
    if outline.kind == "repeat":
        return _repeated(scope, outline, support, ctx, inputs)
    if outline.kind == "inverse":
        return _inverse(scope, outline, support, ctx, inputs)
    if outline.kind == "reversible":
        return _reversible(scope, outline, support, ctx, inputs)
    if outline.kind == "step":
        step = check_step(scope, outline, support, ctx, inputs)
        return step, codomain(step, support)
    if outline.kind == "triangular":
        return check_triangular(scope, outline, support, ctx, inputs, check_bijection)
    if outline.kind == "integral":
        return check_field(scope, outline, support, ctx, inputs)
    if outline.kind == "levels":
        return _levels(scope, outline, support, ctx, inputs)
    if outline.flow is not None:
        flow = _declared_flow(scope, outline.flow, support, inputs)
        return flow, codomain(flow, support)
    return build_block(scope, outline, Type(support, outline.takes), ctx, inputs)


def _repeated(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    body, target = check_bijection(scope, outline.parts[0], support, ctx, inputs)
    if outline.count > 1:
        _verify_fresh(scope, outline, body)
    if outline.count > 1 and target != support:
        scope.fail(
            "E213",
            f"a bijection from {support.describe()} to {target.describe()} cannot be repeated",
            outline.span,
            f"its second repeat would get {target.describe()}",
        )
    return Composition(outline.span, "", _parts(body), outline.count), target


def _reversible(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    bijection, target = check_bijection(scope, outline.parts[0], support, ctx, inputs)
    if target != support:
        headline = f"reversible takes a bijection that stays in {support.describe()}"
        help_ = "what maps onto another support stands behind it: reversible(...) >> sigmoid"
        scope.fail("E213", headline, outline.span, f"lands in {target.describe()}", help=help_)
    named = isinstance(bijection, Composition) and bijection.attribute
    if isinstance(bijection, Composition) and not named:
        return replace(bijection, reversible=True), target
    return Composition(outline.span, "", (bijection,), reversible=True), target


def _inverse(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    """`inverse(f)` maps what f gives to what f takes."""
    taken = support if support.integral else REAL
    bijection, given = check_bijection(scope, outline.parts[0], taken, ctx, inputs)
    if not given.same_values_as(support):
        headline = f"its inverse maps {given.describe()} values, these are {support.describe()}"
        scope.fail("E213", headline, outline.span, f"gets {Type(support, outline.takes).describe()}")
    return Inverse(outline.span, bijection), taken


def _levels(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs
) -> tuple[Bijection, Support]:
    assert outline.entry is not None
    levels = []
    for part in outline.parts:
        level, target = check_bijection(scope, part, support, ctx, inputs)
        if target != support:
            headline = f"a level of {outline.entry.name} maps {support.describe()} values to such"
            scope.fail("E213", headline, part.span, f"gives {target.describe()}")
        levels.append(level)
    channels = tuple(channels_of(part.gives) for part in outline.parts)
    return Levels(outline.span, outline.entry.name, outline.takes, tuple(levels), channels), support


def _verify_fresh(scope: Scope, outline: Outline, body: Bijection) -> None:
    """Says that the repeats of a named flow share its weights, as uses of a name do, since `n * b` makes n (W406)."""
    named = body if isinstance(body, Composition) and body.attribute else None
    if named is None and isinstance(body, Composition):
        named = next((p for p in body.parts if isinstance(p, Composition) and p.attribute), None)
    if named is None or not any(isinstance(t, Module) or (isinstance(t, Block) and t.own_weights) for t in walk(named)):
        return
    scope.report(
        "W406",
        f"the {outline.count} repeats of `{named.attribute}` share its weights",
        outline.span,
        "a name stands for one flow, however often it is used",
        help=f"write the bijection itself for fresh weights: {outline.count} * (coupling[mlp[64]] >> reverse)",
        severity="warning",
    )


def _parts(bijection: Bijection) -> tuple[Bijection, ...]:
    if isinstance(bijection, Composition) and (bijection.repeat, bijection.attribute) == (1, ""):
        return (bijection,) if bijection.reversible else bijection.parts
    return (bijection,)


def codomain(bijection: Bijection, support: Support) -> Support:
    """The support that values of `support` are mapped to."""
    if isinstance(bijection, Composition):
        for part in bijection.parts:
            support = codomain(part, support)
        return support
    if isinstance(bijection, Levels):
        return support
    if isinstance(bijection, Inverse):
        mapped = bijection.inner if isinstance(bijection.inner, Block) else None
        if mapped is not None and mapped.triangular is not None:
            return mapped.triangular.gives
        return support if support.integral else REAL
    assert isinstance(bijection, Block)
    if bijection.kind == FIXED_AFFINE:
        numbers = {"scale": 1.0, "shift": 0.0, **dict(bijection.numbers)}
        return support.affine(numbers["scale"], numbers["shift"])
    if bijection.kind == SCALE:  # by something positive
        return support
    return support if support.integral else ENTRIES[bijection.kind].codomain


# --- named flows ---------------------------------------------------------------------------------


def _declared_flow(scope: Scope, flow: NamedFlow, support: Support, inputs: Inputs) -> Bijection:
    """A declared flow, built at its first use."""
    if flow.failed:
        raise Fail
    assert flow.outline is not None
    if flow.bijection is None:
        name = flow.statement.name
        try:
            bijection, _ = check_bijection(scope, flow.outline, support, Context(hint=name), inputs)
        except Fail:
            flow.failed = True
            raise
        if isinstance(bijection, Composition) and bijection.attribute:
            flow.bijection = bijection  # another name of one flow
        else:
            chain = bijection if isinstance(bijection, Composition) else Composition(bijection.span, "", (bijection,))
            flow.bijection = replace(chain, attribute=scope.attribute(name, own=True))
    return flow.bijection


def image(
    scope: Scope,
    mapping: tree.Expr,
    value: Value,
    span: Span,
    ctx: Context,
    inputs: Inputs,
    wanted: tuple[int, ...] | None = None,
) -> Mapped:
    """`f(u)` or `inverse(f)(u)`, where this shape is `wanted` of it."""
    if isinstance(value, Apply):
        scope.fail("E211", "the size of a flow's argument must be known", value.span, help="bind it with `let`")
    outline = read_outline(scope, mapping, ctx)
    shape = follow(scope, outline, value.shape, wanted=wanted)
    bijection, support = check_bijection(scope, outline, value.type.support, ctx, inputs)
    if not (isinstance(bijection, Composition) and bijection.attribute):
        parts = _parts(bijection)
        bijection = Composition(bijection.span, scope.attribute(f"{ctx.hint}_map"), parts)
    return Mapped(Type(support, shape), span, bijection, value)
