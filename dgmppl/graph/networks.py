"""Networks: their configuration in brackets, and the sizes that their inputs and their place give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dgmppl.catalogue.axes import Axes, axes_of
from dgmppl.catalogue.networks import NETWORKS, Form, Network
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.options import read_options
from dgmppl.graph.scope import MAX_ELEMENTS, NamedNet, Scope
from dgmppl.graph.values import Apply, Constant, Module, NetworkSpec, Past, Points, Stage, Value, walk
from dgmppl.source import Span
from dgmppl.supports import real
from dgmppl.syntax import tree

Specs = tuple[NetworkSpec, ...]


def is_network(scope: Scope, expr: object) -> bool:
    """Whether an expression names a network: `mlp[256]`, `linear`, the name of a `net`, or a chain of networks."""
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        return is_network(scope, expr.left)
    target = expr.target if isinstance(expr, tree.Bracket) else expr
    if not isinstance(target, tree.Name):
        return False
    return target.name in NETWORKS or isinstance(scope.names.get(target.name), NamedNet)


def causal_names(axes: int) -> str:
    """The networks that read a past along so many axes."""
    return ", ".join(n.name for n in NETWORKS.values() if n.causal and n.causal.rank in (1, axes))


# --- configuration -------------------------------------------------------------------------------


def check_network(scope: Scope, expr: tree.Expr, ctx: Context) -> tuple[Specs, NamedNet | None]:
    """The configurations that a network expression writes, one behind another, and its declaration if it has a name."""
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        return _chain(scope, expr, ctx), None
    if isinstance(expr, tree.Name):
        binding = scope.names.get(expr.name)
        if isinstance(binding, NamedNet):
            return binding.specs, binding
        return (_configure(scope, expr, expr, (), ctx),), None
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        if isinstance(scope.names.get(expr.target.name), NamedNet):
            scope.fail(
                "E209",
                f"`{expr.target.name}` is configured where it is declared",
                expr.span,
                "takes no brackets",
            )
        return (_configure(scope, expr, expr.target, expr.items, ctx),), None
    scope.fail("E217", "a network is needed here", expr.span, "not a network", help="mlp[256, 256]")


def _chain(scope: Scope, expr: tree.Binary, ctx: Context) -> Specs:
    """`conv[32] >> mlp[64]`. Reports a name in it (E217), whose weights the chain would share, and a network that
    cannot stand before another (E209)."""
    found: list[NetworkSpec] = []
    for side in (expr.left, expr.right):
        if isinstance(side, tree.Name) and side.name not in NETWORKS:
            help_ = "name the whole chain, net f = conv[32] >> mlp[64], or what one gives: let h : real[64] = f(z)"
            scope.fail("E217", "a name stands for one network, whole", side.span, "in a chain", help=help_)
        found += check_network(scope, side, ctx)[0]
    for spec in found[:-1]:
        _verify_before_another(scope, spec, expr)
    return tuple(found)


def _verify_before_another(scope: Scope, spec: NetworkSpec, expr: tree.Binary) -> None:
    kept = [form for form in NETWORKS[spec.kind].plain if form.hidden is not None]
    if not kept:
        others = ", ".join(n.name for n in NETWORKS.values() if any(f.hidden for f in n.plain))
        scope.fail(
            "E209",
            f"{spec.kind} has no hidden layer that another network could read",
            expr.left.span,
            "before another network",
            help=f"before `>>` there may be {others}",
        )
    if "out" in dict(spec.options):
        scope.fail(
            "E209",
            f"`out` is of the last layer, and {spec.kind} has none here",
            expr.left.span,
            "gives its last hidden layer to the next network",
            help="`activation` stands behind each hidden layer",
        )


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


# --- in a place ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a network reads, position by position, the axes of it side by side, what conditions it as a vector, and what
    a causal one reads at each position itself."""

    form: Form
    read: tuple[Value, ...]
    axes: Axes
    context: tuple[Value, ...]
    aligned: tuple[Value, ...] = ()

    @property
    def width(self) -> int:
        """The size of what conditions it."""
        return sum(v.type.features for v in self.context)

    @property
    def beside(self) -> int:
        """The size of what it reads at each position itself."""
        return sum(v.type.features for v in self.aligned)


def apply_network(
    scope: Scope, expr: tree.Call, inputs: tuple[Value, ...], expected: tuple[int, ...] | None, ctx: Context
) -> Apply:
    """`mlp[256](z)` with the sizes that follow from `z` and from the shape that is expected of it."""
    specs, named = check_network(scope, expr.target, ctx)
    entry = NETWORKS[specs[0].kind]
    if not inputs:
        scope.fail("E209", f"{entry.name} needs inputs", expr.span, help=f"{entry.name}[...](z)")
    _verify_past(scope, expr, specs, inputs)
    if expected is None:
        scope.fail(
            "E211",
            f"the output size of {specs[-1].kind} does not follow from its place",
            expr.span,
            "how many outputs?",
            help="bind it with a type: let h : real[64] = ...",
        )
    copies = ctx.copies if not any(isinstance(t, Points) for v in inputs for t in walk(v)) else 0
    past = next((v for v in inputs if isinstance(v, Past)), None)
    if past is None:
        _verify_no_past(scope, expr, specs)
        reading = _reading(entry, inputs, expected if len(specs) == 1 else (), ctx.each)
        stages = _stages(scope, expr, specs, reading.form, reading.axes, reading.width, expected, ctx.each, copies)
    else:
        reading, stages = _causal_stage(specs[0], past, inputs, expected, copies)
    module = _module(scope, expr, stages, named, inputs, ctx)
    return Apply(real(*expected), expr.span, module, reading.read, reading.context, copies, reading.aligned)


def _causal_stage(
    spec: NetworkSpec, past: Past, inputs: tuple[Value, ...], expected: tuple[int, ...], copies: int
) -> tuple[Reading, tuple[Stage, ...]]:
    """A network that reads a past: at each of its positions it gives what is expected there, an element's."""
    form = NETWORKS[spec.kind].causal
    assert form is not None  # `_verify_past` lets no other pass
    reads = axes_of(past.shape, past.type.support.width, past.axes)
    outputs = Axes(math.prod(expected) * (copies or 1), reads.extent)
    along = [axes.along(form.rank) for axes in (reads, outputs)]
    reads, outputs = (axes for axes in along if axes is not None)
    aligned = tuple(v for v in inputs if v.positional and v is not past)
    context = tuple(v for v in inputs if not v.positional)
    reading = Reading(form, (past,), reads, context, aligned)
    return reading, (Stage(spec, form, reads, outputs, reading.width, reading.beside),)


def _stages(
    scope: Scope,
    expr: tree.Expr,
    specs: Specs,
    form: Form,
    reads: Axes,
    context: int,
    expected: tuple[int, ...],
    each: int = 0,
    copies: int = 0,
) -> tuple[Stage, ...]:
    """A chain of networks that read no past, from these axes to a place of this shape; `form` is that of the first."""
    found: list[Stage] = []
    for k, spec in enumerate(specs):
        if k:
            last = k + 1 == len(specs)
            form = _behind(spec, found[-1].outputs, expected if last else (), each)
            reads, context = _handed_on(found[-1], form), 0
        if k + 1 < len(specs):
            hidden = Stage(spec, form, reads, reads, context, ends=False)
            _verify_fits(scope, expr, hidden)
            assert form.hidden is not None
            found.append(replace(hidden, outputs=form.hidden(hidden.sizes)))
        else:
            given = form.gives(expected, reads, each)
            outputs = replace(given, channels=given.channels * (copies or 1))
            found.append(Stage(spec, form, reads, outputs, context))
    return tuple(found)


def _handed_on(before: Stage, form: Form) -> Axes:
    """What a network reads of the one before it: along its axes, or as a vector."""
    if not form.rank and before.form.pool:
        return Axes(before.outputs.channels)
    return before.outputs.along(form.rank) or Axes(before.outputs.size)


def _behind(spec: NetworkSpec, reads: Axes, expected: tuple[int, ...], each: int) -> Form:
    """The form of a network that reads what another gives: the first that finds its positions there or in its place."""
    forms = NETWORKS[spec.kind].plain
    found = (f for f in forms if f.axes(expected, 1, each).extent or (f.rank and reads.along(f.rank)))
    return next(found, forms[-1])


def _verify_past(scope: Scope, expr: tree.Call, specs: Specs, inputs: tuple[Value, ...]) -> None:
    """Only a causal network reads a past, and it reads one, by itself (E214)."""
    past = [v for v in inputs if isinstance(v, Past)]
    entry = NETWORKS[specs[0].kind]
    form = entry.causal
    if past and (form is None or len(specs) > 1):
        other = next((s.kind for s in specs if NETWORKS[s.kind].causal is None), "a chain")
        scope.fail(
            "E214",
            f"{other} is not causal, and `{past[0].variable}[<d]` is the past",
            expr.span,
            "would read the present and the future too",
            help=f"use a causal network: {causal_names(past[0].axes)}; or read some of the elements before it: "
            f"{past[0].variable}[d - 1]",
        )
    if form is None or (not past and entry.plain):
        return
    usage = f"{entry.name}[...](x[<i, <j])" if form.rank > 1 else f"{entry.name}[...](x[<d])"
    if len(past) != 1:
        what = "grid" if form.rank > 1 else "sequence"
        found = "reads none" if not past else ""
        scope.fail("E214", f"{entry.name} reads the past of one {what}", expr.span, found, help=usage)
    if form.rank not in (1, past[0].axes):
        what = "of a sequence" if past[0].axes < form.rank else f"along {past[0].axes} axes"
        scope.fail("E214", f"{entry.name} reads the past of a grid", expr.span, f"{what} here", help=usage)


def _reading(entry: Network, inputs: tuple[Value, ...], expected: tuple[int, ...], each: int = 0) -> Reading:
    """What a network that reads no past reads of its inputs, in its first form that finds its positions in one of them
    or in its place.

    It reads the values of one extent, each as channels: that of its output where some have it, else that of the first.
    Where none has positions, it reads all of them as one vector.
    """

    def extent(form: Form, value: Value) -> tuple[int, ...]:
        return form.axes(value.shape, value.type.support.width).extent

    forms = entry.plain
    met = (f for f in forms if f.axes(expected, 1, each).extent or any(extent(f, v) for v in inputs))
    form = next(met, forms[-1])
    extents = [found for v in inputs if (found := extent(form, v))]
    wanted = form.axes(expected, 1, each).extent
    chosen = wanted if wanted in extents else (extents or [()])[0]
    read = tuple(v for v in inputs if extent(form, v) == chosen)
    channels = sum(form.axes(v.shape, v.type.support.width).channels for v in read)
    return Reading(form, read, Axes(channels, chosen), tuple(v for v in inputs if not any(v is r for r in read)))


# --- in brackets ---------------------------------------------------------------------------------


def check_slot(scope: Scope, expr: tree.Expr, reads: Axes, gives: Axes, context: int, ctx: Context) -> Module:
    """A network given without inputs, in a bijection's brackets, with what it reads and gives there, and the size of a
    vector that conditions it beside that."""
    specs, named = check_network(scope, expr, ctx)
    _verify_no_past(scope, expr, specs)
    form = _form_along(specs, len(reads.extent))
    stages = _stages(scope, expr, specs, form, reads, context, gives.shape)
    return _module(scope, expr, stages, named, (), ctx)


def reads_grids(scope: Scope, expr: tree.Expr, ctx: Context) -> bool:
    """Whether a network given without inputs reads a grid where there is one."""
    specs, _ = check_network(scope, expr, ctx)
    _verify_no_past(scope, expr, specs)
    return _form_along(specs, 2).rank == 2


def _form_along(specs: Specs, rank: int) -> Form:
    """The form of the first network that reads positions along so many axes, or else the one of vectors."""
    forms = NETWORKS[specs[0].kind].plain
    return next((f for f in forms if f.rank == rank), forms[-1])


def check_past_slot(scope: Scope, expr: tree.Expr, length: int, each: int, context: int, ctx: Context) -> Module:
    """A causal network given without inputs: from the past of each element of a vector to so many numbers."""
    specs, named = check_network(scope, expr, ctx)
    form = NETWORKS[specs[0].kind].causal
    if form is None or form.rank > 1 or len(specs) > 1:
        what = "reads the past of a grid, and this is a vector" if form and form.rank > 1 else "is not causal"
        headline = f"{specs[-1].kind} {what}: an element is transformed by what is before it"
        scope.fail("E214", headline, expr.span, help=f"use a causal network: {causal_names(1)}")
    stage = Stage(specs[0], form, Axes(1, (length,)), Axes(each, (length,)), context)
    return _module(scope, expr, (stage,), named, (), ctx)


def apply_slot(scope: Scope, expr: tree.Expr, inputs: tuple[Value, ...], ctx: Context) -> Apply:
    """A network given without inputs, as an adversary, applied to these: a number."""
    specs, named = check_network(scope, expr, ctx)
    _verify_no_past(scope, expr, specs)
    reading = _reading(NETWORKS[specs[0].kind], inputs, ())
    stages = _stages(scope, expr, specs, reading.form, reading.axes, reading.width, ())
    return Apply(real(), expr.span, _module(scope, expr, stages, named, (), ctx), reading.read, reading.context)


def _verify_no_past(scope: Scope, expr: tree.Expr, specs: Specs) -> None:
    for spec in specs:
        if not NETWORKS[spec.kind].plain:
            help_ = "use mlp[256, 256]"
            scope.fail("E214", f"{spec.kind} reads a past, and there is none here", expr.span, help=help_)


# --- modules -------------------------------------------------------------------------------------


def _module(
    scope: Scope,
    expr: tree.Expr,
    stages: tuple[Stage, ...],
    named: NamedNet | None,
    inputs: tuple[Value, ...],
    ctx: Context,
) -> Module:
    """The module for a use: a named network's own, one shared along an index that it reads, or a new one."""
    weights = sum(_verify_fits(scope, expr, stage) for stage in stages)
    if weights > MAX_ELEMENTS:
        scope.fail("E216", f"this network has {weights:,} weights", expr.span, "too large for any machine")

    def made(attribute: str, named: bool, span: Span) -> Module:
        return Module(attribute, stages, named=named, span=span)

    if named is not None:
        if named.module is None:
            attribute = scope.attribute(_declared_name(scope, named), own=True)
            named.module = made(attribute, True, named.span)
        return _same_size(scope, expr, named.module, stages)
    if any(isinstance(v, Constant) for v in inputs):
        key = (expr.span, ctx.elements)
        if key not in scope.shared:
            scope.shared[key] = made(scope.attribute(f"{ctx.hint}_net"), False, expr.span)
        return _same_size(scope, expr, scope.shared[key], stages)
    return made(scope.attribute(f"{ctx.hint}_net"), False, expr.span)


def _verify_fits(scope: Scope, expr: tree.Expr, stage: Stage) -> int:
    """How many weights it has. Reports a network that does not fit its place (E204)."""
    kind = stage.spec.kind
    try:
        return stage.form.weights(stage.sizes)
    except ValueError as error:
        where = f"reads {stage.inputs.describe()}"
        where += f" and gives {stage.outputs.describe()}" if stage.ends else ""
        grid = stage.inputs.extent or stage.outputs.extent
        fits = _BRACKETS.get(kind) or (_FITS if grid else _OF_VECTORS)
        scope.fail("E204", f"{kind} does not fit its place: {error}", expr.span, where, help=fits)


# What brackets may hold, of networks that fit any place but for these.
_BRACKETS = {
    "transformer": "the width once a layer, and heads that divide it: transformer[64, 64, heads = 4]",
    "pixelcnn": "hidden channels and an odd kernel: pixelcnn[64, 64, kernel = 5]",
    "unet": "it reads and gives grids of one extent, and has two channels or more: unet[32, 64]",
    "gated_pixelcnn": "hidden channels and an odd kernel: gated_pixelcnn[64, 64, kernel = 5]",
}
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
