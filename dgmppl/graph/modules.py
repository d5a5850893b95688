"""The modules that networks become: each once, of one size wherever it is used, and small enough for a machine."""

from __future__ import annotations

from dgmppl.diagnostics import Note
from dgmppl.graph.context import Context
from dgmppl.graph.scope import MAX_ELEMENTS, NamedNet, Scope
from dgmppl.graph.values import Constant, Module, Position, Stage, Value
from dgmppl.source import Span
from dgmppl.syntax import tree
from dgmppl.words import counted


def module_of(
    scope: Scope,
    expr: tree.Expr,
    stages: tuple[Stage, ...],
    named: NamedNet | None,
    inputs: tuple[Value, ...],
    ctx: Context,
) -> Module:
    """The module for a use: a named network's own, one shared along an index that it reads, or a new one."""
    weights = sum(verify_fits(scope, expr, stage) for stage in stages)
    if weights > MAX_ELEMENTS:
        scope.fail(
            "E216", f"this network has {counted(weights, 'weight', ',')}", expr.span, "too large for any machine"
        )

    def made(attribute: str, named: bool, span: Span, random: bool = False) -> Module:
        return Module(attribute, stages, named=named, random=random, span=span)

    if named is not None:
        if named.module is None:
            attribute = scope.attribute(_declared_name(scope, named), own=True)
            named.module = made(attribute, True, named.span, named.weights is not None)
        return _same_size(scope, expr, named.module, stages)
    along = ctx.elements is not None and ctx.elements.about is not None
    if any(isinstance(v, Constant) or (along and isinstance(v, Position)) for v in inputs):
        key = (expr.span, None if along else ctx.elements)
        if key not in scope.shared:
            scope.shared[key] = made(scope.attribute(f"{ctx.hint}_net"), False, expr.span)
        return _same_size(scope, expr, scope.shared[key], stages)
    return made(scope.attribute(f"{ctx.hint}_net"), False, expr.span)


def verify_fits(scope: Scope, expr: tree.Expr, stage: Stage) -> int:
    """How many weights it has. Reports a network that does not fit its place (E204)."""
    kind = stage.spec.kind
    try:
        return stage.form.weights(stage.sizes)
    except ValueError as error:
        where = f"reads {stage.inputs.describe()}"
        where += f" and gives {stage.outputs.describe()}" if stage.ends else ""
        grid = stage.inputs.extent or stage.outputs.extent
        fits = _OWN if stage.spec.is_own else _BRACKETS.get(kind) or (_FITS if grid else _OF_VECTORS)
        scope.fail("E204", f"{kind} does not fit its place: {error}", expr.span, where, help=fits)


_OF_PIXELS = "hidden channels, a multiple of the colours where it reads these one by one, and an odd kernel"
# What brackets may hold, of networks that fit any place but for these.
_BRACKETS = {
    "transformer": "the width once a layer, and heads that divide it: transformer[64, 64, heads = 4]",
    "masked": "larger layers, or no normalisation: masked[256, 256]",
    "pixelcnn": f"{_OF_PIXELS}: pixelcnn[63, 63, kernel = 5]",
    "unet": "grids of one extent, two channels or more, and heads that divide those of a level with attention: "
    "unet[32, 64, attention = 1, heads = 4]",
    "gated_pixelcnn": f"{_OF_PIXELS}: gated_pixelcnn[63, 63, kernel = 5]",
}
_OWN = "positions are the axes of [T, C] for rank = 1, and of [8, 8] or [8, 8, 3] for rank = 2; without it: a vector"
_OF_VECTORS = "between two vectors there are mlp[64], resnet[64], densenet[64] and linear"
_FITS = (
    "a grid has two axes, as [8, 8] and [8, 8, 3] have; each hidden layer divides it by the stride, or multiplies it"
)


def _declared_name(scope: Scope, named: NamedNet) -> str:
    return next(name for name, binding in scope.names.items() if binding is named)


def _same_size(scope: Scope, expr: tree.Expr, module: Module, stages: tuple[Stage, ...]) -> Module:
    if module.stages != stages:
        what, help_ = f"`{module.attribute}`", "declare a second network, or give the two places variables of one size"
        if not module.named:
            what = "this network reads the index, so that all members share it, and"
            help_ = "leave the index out of its inputs, so that each member has its own, or give them one size"
        scope.fail(
            "E212",
            f"{what} is used at two sizes",
            expr.span,
            f"{_sizes_text(stages)} here",
            notes=(Note(module.span, f"{_sizes_text(module.stages)} at its first use"),),
            help=help_,
        )
    return module


def _sizes_text(stages: tuple[Stage, ...]) -> str:
    beside = stages[0].context + stages[0].aligned
    given = f" given {beside}" if beside else ""
    return f"{stages[0].inputs.describe()}{given} -> {stages[-1].outputs.describe()}"
