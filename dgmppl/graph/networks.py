"""Networks in a place: the sizes that their inputs and what is expected of them give them.

How a spec writes them is in `dgmppl.graph.configuration`, what becomes of them in `dgmppl.graph.modules`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dgmppl.catalogue.axes import Axes, axes_of
from dgmppl.catalogue.networks import Form, Network
from dgmppl.graph.configuration import Specs, causal_names, check_network
from dgmppl.graph.context import Context
from dgmppl.graph.modules import module_of, verify_fits
from dgmppl.graph.random_weights import verify_learned, weights_of
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Apply, Module, NetworkSpec, Past, Points, Stage, State, Use, Value, walk
from dgmppl.supports import real
from dgmppl.syntax import tree


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
    entry = specs[0].entry
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
        if len(specs) == 1 and entry.plain[-1].state:
            inputs = _state_last(scope, expr, entry, inputs, math.prod(expected) * (copies or 1))
        reading = _reading(scope, entry, inputs, expected if len(specs) == 1 else (), ctx.each)
        stages = _stages(scope, expr, specs, reading.form, reading.axes, reading.width, expected, ctx.each, copies)
    else:
        reading, stages = _causal_stage(specs[0], past, inputs, expected, copies)
    module = module_of(scope, expr, stages, named, inputs, ctx)
    weights = weights_of(scope, expr, named, module, past is not None)
    return Apply(real(*expected), expr.span, module, reading.read, reading.context, copies, reading.aligned, weights)


def _state_last(
    scope: Scope, expr: tree.Call, entry: Network, inputs: tuple[Value, ...], size: int
) -> tuple[Value, ...]:
    """The inputs of a cell with the state behind the others: of a feature its value before, wherever that is written.
    Reports a last input of another size, which would be a state in part only (E204)."""
    *others, last = sorted(inputs, key=lambda v: isinstance(v, State))
    if others and last.type.features != size:
        scope.fail(
            "E204",
            f"the last input of {entry.name} is its state, as large as what it gives: {size}",
            last.span,
            "one number" if last.type.features == 1 else f"{last.type.features} numbers",
            help=f"{entry.name}(..., h), where h is the state before: of a feature h[d] it is h[d - 1]",
        )
    return (*others, last)


def _causal_stage(
    spec: NetworkSpec, past: Past, inputs: tuple[Value, ...], expected: tuple[int, ...], copies: int
) -> tuple[Reading, tuple[Stage, ...]]:
    """A network that reads a past: at each of its positions it gives what is expected there, an element's."""
    form = spec.entry.causal_along(past.axes)
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
            verify_fits(scope, expr, hidden)
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
    forms = spec.entry.plain
    found = (f for f in forms if f.axes(expected, 1, each).extent or (f.rank and reads.along(f.rank)))
    return next(found, forms[-1])


def _verify_past(scope: Scope, expr: tree.Call, specs: Specs, inputs: tuple[Value, ...]) -> None:
    """Only a causal network reads a past, and it reads one, by itself (E214)."""
    past = [v for v in inputs if isinstance(v, Past)]
    entry = specs[0].entry
    if past and (not entry.causal or len(specs) > 1):
        other = next((s.kind for s in specs if not s.entry.causal), "a chain")
        help_ = f"use a causal network: {causal_names(past[0].axes)}; or read some of the elements before it: "
        help_ += f"{past[0].variable}[d - 1]"
        if specs[0].is_own and len(specs) == 1:
            help_ = f'a class of sequences may be causal: python("{specs[0].kind}")[rank = 1](...)'
        scope.fail(
            "E214",
            f"{other} is not causal, and `{past[0].variable}[<d]` is the past",
            expr.span,
            "would read the present and the future too",
            help=help_,
        )
    if not entry.causal or (not past and entry.plain):
        return
    grid = entry.causal[0].rank > 1
    usage = f"{entry.name}[...](x[<i, <j])" if grid else f"{entry.name}[...](x[<d])"
    if len(past) != 1:
        what = "grid" if grid else "sequence"
        found = "reads none" if not past else ""
        scope.fail("E214", f"{entry.name} reads the past of one {what}", expr.span, found, help=usage)
    if entry.causal_along(past[0].axes) is None:
        what = "of a sequence" if past[0].axes == 1 else f"along {past[0].axes} axes"
        scope.fail("E214", f"{entry.name} reads the past of a grid", expr.span, f"{what} here", help=usage)


def _reading(
    scope: Scope, entry: Network, inputs: tuple[Value, ...], expected: tuple[int, ...], each: int = 0
) -> Reading:
    """What a network that reads no past reads of its inputs, in its first form that finds its positions in one of them
    or in its place.

    It reads the values of one extent, each as channels: that of its output where some have it, else that of the first.
    Where none has positions, it reads all of them as one vector.
    """

    def axes(form: Form, value: Value) -> Axes:
        variable = scope.variable(value.variable) if isinstance(value, Use) else None
        # A family of numbers is a sequence of one channel.
        one = variable is not None and variable.along is not None and len(value.shape) == 1
        return form.axes((*value.shape, 1) if one else value.shape, value.type.support.width)

    forms = entry.plain
    for form in forms:
        found = [axes(form, v) for v in inputs]
        wanted = form.axes(expected, 1, each).extent
        if wanted or any(one.extent for one in found):
            break
    extents = [one.extent for one in found if one.extent]
    chosen = wanted if wanted in extents else (extents or [()])[0]
    read = tuple(v for v, one in zip(inputs, found) if one.extent == chosen)
    channels = sum(one.channels for one in found if one.extent == chosen)
    context = tuple(v for v, one in zip(inputs, found) if one.extent != chosen)
    return Reading(form, read, Axes(channels, chosen), context)


# --- in brackets ---------------------------------------------------------------------------------


def check_slot(scope: Scope, expr: tree.Expr, reads: Axes, gives: Axes, context: int, ctx: Context) -> Module:
    """A network given without inputs, in a bijection's brackets, with what it reads and gives there, and the size of a
    vector that conditions it beside that."""
    specs, named = check_network(scope, expr, ctx)
    verify_learned(scope, expr, named)
    _verify_no_past(scope, expr, specs)
    form = _form_along(specs, len(reads.extent))
    stages = _stages(scope, expr, specs, form, reads, context, gives.shape)
    return module_of(scope, expr, stages, named, (), ctx)


def reads_grids(scope: Scope, expr: tree.Expr, ctx: Context) -> bool:
    """Whether a network given without inputs reads a grid where there is one."""
    specs, _ = check_network(scope, expr, ctx)
    _verify_no_past(scope, expr, specs)
    return _form_along(specs, 2).rank == 2


def _form_along(specs: Specs, rank: int) -> Form:
    """The form of the first network that reads positions along so many axes, or else the one of vectors."""
    forms = specs[0].entry.plain
    return next((f for f in forms if f.rank == rank), forms[-1])


def check_past_slot(
    scope: Scope, expr: tree.Expr, shape: tuple[int, ...], each: int, context: int, ctx: Context
) -> Module:
    """A causal network given without inputs: from the past of each element of a vector, or of a grid, to so many
    numbers. The elements of a grid are a sequence to one that reads such a past."""
    specs, named = check_network(scope, expr, ctx)
    verify_learned(scope, expr, named)
    form = specs[0].entry.causal_along(len(shape))
    if form is None or len(specs) > 1:
        grids = specs[0].entry.causal and not form
        what = "reads the past of a grid, and this is a vector" if grids else "is not causal"
        headline = f"{specs[-1].kind} {what}: an element is transformed by what is before it"
        scope.fail("E214", headline, expr.span, help=f"use a causal network: {causal_names(len(shape))}")
    extent = shape if form.rank > 1 else (math.prod(shape),)
    stage = Stage(specs[0], form, Axes(1, extent), Axes(each, extent), context)
    return module_of(scope, expr, (stage,), named, (), ctx)


def apply_slot(scope: Scope, expr: tree.Expr, inputs: tuple[Value, ...], ctx: Context) -> Apply:
    """A network given without inputs, as an adversary, applied to these: a number."""
    specs, named = check_network(scope, expr, ctx)
    verify_learned(scope, expr, named)
    _verify_no_past(scope, expr, specs)
    reading = _reading(scope, specs[0].entry, inputs, ())
    stages = _stages(scope, expr, specs, reading.form, reading.axes, reading.width, ())
    return Apply(real(), expr.span, module_of(scope, expr, stages, named, (), ctx), reading.read, reading.context)


def _verify_no_past(scope: Scope, expr: tree.Expr, specs: Specs) -> None:
    for spec in specs:
        if not spec.entry.plain:
            help_ = "use mlp[256, 256]"
            scope.fail("E214", f"{spec.kind} reads a past, and there is none here", expr.span, help=help_)
