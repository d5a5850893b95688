"""Networks: their configuration in brackets, and the sizes that their inputs and their place give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from dgmppl.catalogue.networks import NETWORKS, Axes, Network
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.options import read_options
from dgmppl.graph.scope import MAX_ELEMENTS, NamedNet, Scope
from dgmppl.graph.values import Apply, Constant, Module, NetworkSpec, Past, Points, Value, sizes_of, walk
from dgmppl.source import Span
from dgmppl.supports import real
from dgmppl.syntax import tree


def is_network(scope: Scope, expr: object) -> bool:
    """Whether an expression names a network: `mlp[256]`, `linear`, or the name of a `net`."""
    target = expr.target if isinstance(expr, tree.Bracket) else expr
    if not isinstance(target, tree.Name):
        return False
    return target.name in NETWORKS or isinstance(scope.names.get(target.name), NamedNet)


def causal_names(axes: int) -> str:
    """The networks that read a past along so many axes."""
    return ", ".join(n.name for n in NETWORKS.values() if n.causal and n.rank <= axes)


def check_network(scope: Scope, expr: tree.Expr, ctx: Context) -> tuple[NetworkSpec, NamedNet | None]:
    """The configuration that a network expression writes, and its declaration if it has a name."""
    if isinstance(expr, tree.Name):
        binding = scope.names.get(expr.name)
        if isinstance(binding, NamedNet):
            return binding.spec, binding
        return _configure(scope, expr, expr, (), ctx), None
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        if isinstance(scope.names.get(expr.target.name), NamedNet):
            scope.fail(
                "E209",
                f"`{expr.target.name}` is configured where it is declared",
                expr.span,
                "takes no brackets",
            )
        return _configure(scope, expr, expr.target, expr.items, ctx), None
    scope.fail("E217", "a network is needed here", expr.span, "not a network", help="mlp[256, 256]")


def _configure(scope: Scope, expr: tree.Expr, name: tree.Name, items: Sequence[object], ctx: Context) -> NetworkSpec:
    if name.name not in NETWORKS:
        help_ = did_you_mean(name.name, NETWORKS, f"one of {', '.join(NETWORKS)}")
        scope.fail("E208", f"unknown network `{name.name}`", name.span, "not a network", help=help_)
    entry = NETWORKS[name.name]
    given = bind(scope, entry.signature, items, expr.span)
    hidden = tuple(scope.integer(b.value, ctx.env, "a layer's size", low=1) for b in given.many)
    options = read_options(scope, given.given, ctx)
    if dict(options).get("norm") in ("layer", "group") and 1 in hidden:
        place = given.many[hidden.index(1)].span
        scope.fail("E210", "a row is normalised over its units, and a layer of one has no spread", place, "always 0")
    return NetworkSpec(entry.name, hidden, options)


def apply_network(
    scope: Scope, expr: tree.Call, inputs: tuple[Value, ...], expected: tuple[int, ...] | None, ctx: Context
) -> Apply:
    """`mlp[256](z)` with the sizes that follow from `z` and from the shape that is expected of it."""
    spec, named = check_network(scope, expr.target, ctx)
    entry = NETWORKS[spec.kind]
    if not inputs:
        scope.fail("E209", f"{spec.kind} needs inputs", expr.span, help=f"{spec.kind}[...](z)")
    _verify_past(scope, expr, entry, inputs)
    if expected is None:
        scope.fail(
            "E211",
            f"the output size of {spec.kind} does not follow from its place",
            expr.span,
            "how many outputs?",
            help="bind it with a type: let h : real[64] = ...",
        )
    copies = ctx.copies if not any(isinstance(t, Points) for v in inputs for t in walk(v)) else 0
    read, context = _read(entry, inputs, expected)
    axes = next((v.axes for v in read if isinstance(v, Past)), entry.rank)
    given = axes_of(expected, 1, axes)
    if entry.causal and given.extent != read[0].shape[:axes]:
        scope.fail(
            "E204",
            f"{spec.kind} gives something for each of {math.prod(read[0].shape[:axes])} positions",
            expr.span,
            f"shape {list(expected)} is expected here" if expected else "a single number is expected here",
            help="where all positions share a value, use a network that does not read the past: mlp[64](z)",
        )
    outputs = replace(given, channels=given.channels * (copies or 1))
    reads = _joined(read, axes)
    if entry.rank == 1 and axes > 1:  # positions of a grid are a sequence, row by row
        reads, outputs = (replace(a, extent=(math.prod(a.extent),)) for a in (reads, outputs))
    width = sum(v.type.features for v in context)
    module = _module(scope, expr, spec, named, reads, outputs, width, inputs, ctx)
    return Apply(real(*expected), expr.span, module, read, context, copies)


def _verify_past(scope: Scope, expr: tree.Call, entry: Network, inputs: tuple[Value, ...]) -> None:
    """Only a causal network reads a past, and it reads one (E214)."""
    past = [v for v in inputs if isinstance(v, Past)]
    if past and not entry.causal:
        scope.fail(
            "E214",
            f"{entry.name} is not causal, and `{past[0].variable}[<d]` is the past",
            expr.span,
            "would read the present and the future too",
            help=f"use a causal network: {causal_names(past[0].axes)}",
        )
    usage = f"{entry.name}[...](x[<i, <j])" if entry.rank > 1 else f"{entry.name}[...](x[<d])"
    if entry.causal and len(past) != 1:
        what = "grid" if entry.rank > 1 else "sequence"
        found = "reads none" if not past else ""
        scope.fail("E214", f"{entry.name} reads the past of one {what}", expr.span, found, help=usage)
    if entry.causal and past[0].axes < entry.rank:
        scope.fail("E214", f"{entry.name} reads the past of a grid", expr.span, "of a sequence here", help=usage)


def axes_of(shape: tuple[int, ...], width: int, rank: int) -> Axes:
    """The axes of a value of this shape, an element of which is `width` features, for a network that reads positions
    along `rank` axes: those come first, and what is behind them is channels. A value of fewer axes is a vector."""
    if not rank or len(shape) < rank:
        return Axes(math.prod(shape) * width)
    return Axes(math.prod(shape[rank:]) * width, shape[:rank])


def _axes(value: Value, rank: int) -> Axes:
    return axes_of(value.shape, value.type.support.width, rank)


def _read(
    entry: Network, inputs: tuple[Value, ...], expected: tuple[int, ...]
) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """What a network reads, position by position, and what conditions it as a vector.

    A causal network reads the past. Another reads the values of one extent, each as channels: that of its output where
    some have it, else that of the first. Where none has positions, it reads all of them as one vector.
    """
    read: tuple[Value, ...]
    if entry.causal:
        read = tuple(v for v in inputs if isinstance(v, Past))
    else:
        extents = [extent for v in inputs if (extent := _axes(v, entry.rank).extent)]
        wanted = axes_of(expected, 1, entry.rank).extent
        extent = wanted if wanted in extents else (extents or [()])[0]
        read = tuple(v for v in inputs if _axes(v, entry.rank).extent == extent)
    return read, tuple(v for v in inputs if not any(v is r for r in read))


def _joined(values: tuple[Value, ...], rank: int) -> Axes:
    """Values of one extent side by side."""
    found = [_axes(v, rank) for v in values]
    return Axes(sum(a.channels for a in found), found[0].extent)


def check_slot(scope: Scope, expr: tree.Expr, inputs: int, outputs: int, ctx: Context) -> Module:
    """A network given without inputs, in a bijection's brackets, between vectors of these sizes."""
    spec, named = check_network(scope, expr, ctx)
    _verify_no_past(scope, expr, spec)
    return _module(scope, expr, spec, named, Axes(inputs), Axes(outputs), 0, (), ctx)


def check_past_slot(scope: Scope, expr: tree.Expr, length: int, each: int, context: int, ctx: Context) -> Module:
    """A causal network given without inputs: from the past of each element of a vector to so many numbers."""
    spec, named = check_network(scope, expr, ctx)
    entry = NETWORKS[spec.kind]
    if not entry.causal or entry.rank > 1:
        what = "reads the past of a grid, and this is a vector" if entry.causal else "is not causal"
        headline = f"{spec.kind} {what}: an element is transformed by what is before it"
        scope.fail("E214", headline, expr.span, help=f"use a causal network: {causal_names(1)}")
    return _module(scope, expr, spec, named, Axes(1, (length,)), Axes(each, (length,)), context, (), ctx)


def apply_slot(scope: Scope, expr: tree.Expr, inputs: tuple[Value, ...], ctx: Context) -> Apply:
    """A network given without inputs, as an adversary, applied to these: a number."""
    spec, named = check_network(scope, expr, ctx)
    _verify_no_past(scope, expr, spec)
    read, context = _read(NETWORKS[spec.kind], inputs, ())
    width = sum(v.type.features for v in context)
    joined = _joined(read, NETWORKS[spec.kind].rank)
    module = _module(scope, expr, spec, named, joined, Axes(1), width, (), ctx)
    return Apply(real(), expr.span, module, read, context)


def _verify_no_past(scope: Scope, expr: tree.Expr, spec: NetworkSpec) -> None:
    if NETWORKS[spec.kind].causal:
        scope.fail("E214", f"{spec.kind} reads a past, and there is none here", expr.span, help="use mlp[256, 256]")


def _module(
    scope: Scope,
    expr: tree.Expr,
    spec: NetworkSpec,
    named: NamedNet | None,
    reads: Axes,
    gives: Axes,
    context: int,
    inputs: tuple[Value, ...],
    ctx: Context,
) -> Module:
    """The module for a use: a named network's own, one shared along an index that it reads, or a new one."""
    try:
        weights = NETWORKS[spec.kind].weights(sizes_of(spec, reads, gives, context))
    except ValueError as error:
        where = f"reads {reads.describe()} and gives {gives.describe()}"
        grid = reads.extent or gives.extent
        fits = _BRACKETS.get(spec.kind) or (_FITS if grid else "between two vectors there are mlp[64] and linear")
        scope.fail("E204", f"{spec.kind} does not fit its place: {error}", expr.span, where, help=fits)
    if weights > MAX_ELEMENTS:
        scope.fail("E216", f"this network has {weights:,} weights", expr.span, "too large for any machine")

    def made(attribute: str, named: bool, span: Span) -> Module:
        return Module(attribute, spec, reads, gives, context, named=named, span=span)

    if named is not None:
        if named.module is None:
            attribute = scope.attribute(_declared_name(scope, named), own=True)
            named.module = made(attribute, True, named.span)
        return _same_size(scope, expr, named.module, reads, gives, context)
    if any(isinstance(v, Constant) for v in inputs):
        key = (expr.span, ctx.past)
        if key not in scope.shared:
            scope.shared[key] = made(scope.attribute(f"{ctx.hint}_net"), False, expr.span)
        return _same_size(scope, expr, scope.shared[key], reads, gives, context)
    return made(scope.attribute(f"{ctx.hint}_net"), False, expr.span)


# What brackets may hold, of networks that fit any place but for these.
_BRACKETS = {
    "transformer": "the width once a layer, and heads that divide it: transformer[64, 64, heads = 4]",
    "pixelcnn": "hidden channels and an odd kernel: pixelcnn[64, 64, kernel = 5]",
}
_FITS = (
    "a grid has two axes, as [8, 8] and [8, 8, 3] have; each hidden layer divides it by the stride, or multiplies it"
)


def _declared_name(scope: Scope, named: NamedNet) -> str:
    return next(name for name, binding in scope.names.items() if binding is named)


def _same_size(scope: Scope, expr: tree.Expr, module: Module, reads: Axes, gives: Axes, context: int) -> Module:
    if (module.inputs, module.outputs, module.context) != (reads, gives, context):
        what, help_ = f"`{module.attribute}`", "declare a second network, or give the two places variables of one size"
        if not module.named:
            what = "this network reads the index, so that all members share it, and"
            help_ = "leave the index out of its inputs, so that each member has its own, or give them one size"
        scope.fail(
            "E212",
            f"{what} is used at two sizes",
            expr.span,
            f"{_sizes_text(reads, gives, context)} here",
            notes=(
                Note(module.span, f"{_sizes_text(module.inputs, module.outputs, module.context)} at its first use"),
            ),
            help=help_,
        )
    return module


def _sizes_text(reads: Axes, gives: Axes, context: int) -> str:
    given = f" given {context}" if context else ""
    return f"{reads.describe()}{given} -> {gives.describe()}"
