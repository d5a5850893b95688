"""Bijections as a spec writes them, with the shapes that each one takes and gives.

A flow of a variable is known by the shape that it ends in, and one of a value by the shape that it begins with, so
shapes are followed through a chain from either end, before anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dgmppl.catalogue.bijections import BIJECTIONS, BijectionKind
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.extents import channels_of
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.options import read_options
from dgmppl.graph.scope import Fail, NamedFlow, Scope
from dgmppl.source import Span
from dgmppl.syntax import tree

Shape = tuple[int, ...]
MAX_IN_A_ROW = 10_000


@dataclass
class Outline:
    """A bijection of a spec: a "chain" of `parts`, a "repeat" of one part, the "inverse" of one, one made "reversible",
    a named "flow", the "levels" of a multi-scale one, or a "block" of the catalogue with what stands in its brackets
    and parentheses."""

    expr: tree.Expr
    kind: str
    parts: tuple[Outline, ...] = ()
    count: int = 1
    entry: BijectionKind | None = None
    items: tuple[object, ...] = ()
    call: tree.Call | None = None
    flow: NamedFlow | None = None
    takes: Shape = ()
    gives: Shape = ()

    @property
    def span(self) -> Span:
        return self.expr.span

    @property
    def length(self) -> int:
        """How many bijections are applied one after another, repeats within repeats included."""
        if self.flow is not None and self.flow.outline is not None:
            return self.flow.outline.length
        return self.count * sum(p.length for p in self.parts) if self.parts else 1


def read_outline(scope: Scope, expr: tree.Expr, ctx: Context) -> Outline:
    """The bijection that an expression writes. Reports what is none (E208, E217)."""
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        parts = tuple(read_outline(scope, e, ctx) for e in _chained(expr))
        return _verified(scope, Outline(expr, "chain", parts), expr.span)
    if isinstance(expr, tree.Binary) and expr.op == "*":
        count = scope.integer(expr.left, ctx.env, "the number of repeats", low=1)
        return _verified(scope, Outline(expr, "repeat", (read_outline(scope, expr.right, ctx),), count), expr.left.span)
    if isinstance(expr, tree.Call) and (changed := _changed(scope, expr)) is not None:
        kind, inner = changed
        return Outline(expr, kind, (read_outline(scope, inner, ctx),))
    name, items, call = _pieces(expr)
    if name is None:
        scope.fail("E217", "a bijection is needed here", expr.span, "not a bijection", help="coupling[mlp[64]]")
    if name.name in CHANGES:
        scope.fail("E209", f"{name.name} takes one bijection, in parentheses", expr.span, help=CHANGES[name.name])
    binding = scope.names.get(name.name)
    if isinstance(binding, NamedFlow) and call is None and not items:
        _read_flow(scope, name, binding)
        return Outline(expr, "flow", flow=binding)
    if name.name in BIJECTIONS:
        entry = BIJECTIONS[name.name]
        if entry.context == "bijection":
            return _levels(scope, expr, entry, items, call, ctx)
        return Outline(expr, "block", entry=entry, items=items, call=call)
    if name.name in scope.poisoned:
        scope.lookup(name.name, name.span)
    if name.name in scope.names:
        scope.fail("E217", "a bijection is needed here", expr.span, "not a bijection", help="coupling[mlp[64]]")
    known = [*BIJECTIONS, *(n for n, b in scope.names.items() if isinstance(b, NamedFlow))]
    help_ = did_you_mean(name.name, known, f"one of {', '.join(known)}")
    scope.fail("E208", f"unknown bijection `{name.name}`", name.span, "not a bijection", help=help_)


def _levels(
    scope: Scope, expr: tree.Expr, entry: BijectionKind, items: tuple[object, ...], call: tree.Call | None, ctx: Context
) -> Outline:
    """`multiscale[3](bijection)`: the bijection once for each level, with weights of its own."""
    given = bind(scope, entry.signature, items, expr.span)
    count = int(dict(read_options(scope, given.given, ctx)).get("levels", 2))
    if call is None or len(call.arguments) != 1 or isinstance(call.arguments[0], tree.Keyword):
        scope.fail("E209", f"{entry.name} takes one bijection", expr.span, help=entry.signature.usage)
    body = call.arguments[0]
    parts = tuple(read_outline(scope, body, ctx) for _ in range(count))
    return _verified(scope, Outline(expr, "levels", parts, entry=entry, items=items), expr.span)


def _read_flow(scope: Scope, name: tree.Name, flow: NamedFlow) -> None:
    """The outline of a declared flow, read at its first use. Reports one that stands inside itself (E205)."""
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
    if flow.outline is None:
        flow.entered = True
        try:
            flow.outline = read_outline(scope, flow.statement.value, Context(hint=name.name))
        except Fail:
            flow.failed = True
            raise
        finally:
            flow.entered = False


def _chained(expr: tree.Expr) -> Iterator[tree.Expr]:
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        yield from _chained(expr.left)
        yield from _chained(expr.right)
    else:
        yield expr


def _verified(scope: Scope, outline: Outline, span: Span) -> Outline:
    """Nested repeats multiply: a short line could ask for more than any machine has (E216)."""
    if outline.length > MAX_IN_A_ROW:
        scope.fail("E216", f"{outline.length:,} bijections in a row", span, f"at most {MAX_IN_A_ROW:,}")
    return outline


# What a bijection is made into, by the name before its parentheses, with an example of one.
CHANGES = {
    "inverse": "inverse(autoregressive[masked[64]])",
    "reversible": "reversible(8 * (coupling[mlp[64]] >> reverse))",
}


def _changed(scope: Scope, expr: tree.Call) -> tuple[str, tree.Expr] | None:
    """`inverse` or `reversible`, and the bijection in its parentheses. That may be conditioned behind them:
    `inverse(bijection)(y)`."""
    call: tree.Expr = expr
    given: tuple[tree.Expr | tree.Keyword, ...] | None = None
    if isinstance(expr.target, tree.Call):
        call, given = expr.target, expr.arguments
    if not (isinstance(call, tree.Call) and isinstance(call.target, tree.Name) and call.target.name in CHANGES):
        return None
    name = call.target.name
    if len(call.arguments) != 1 or isinstance(call.arguments[0], tree.Keyword):
        scope.fail("E209", f"{name} takes one bijection", call.span, help=CHANGES[name])
    inner = call.arguments[0]
    return name, inner if given is None else tree.Call(expr.span, inner, given)


def _pieces(expr: tree.Expr) -> tuple[tree.Name | None, tuple[object, ...], tree.Call | None]:
    """The name, bracket items and call of `name[items](arguments)`."""
    call = expr if isinstance(expr, tree.Call) else None
    target = expr.target if isinstance(expr, tree.Call) else expr
    items: tuple[object, ...] = ()
    if isinstance(target, tree.Bracket):
        items, target = target.items, target.target
    return (target if isinstance(target, tree.Name) else None), items, call


# --- shapes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Misfit(Exception):
    """A bijection that cannot act on a shape."""

    code: str
    headline: str
    span: Span
    label: str = ""
    notes: tuple[Note, ...] = ()
    help: str = ""


def follow(scope: Scope, outline: Outline, shape: Shape, onto: bool = False, wanted: Shape | None = None) -> Shape:
    """The shape at the other end of a bijection that takes this one, or that maps `onto` it; sets the shapes of every
    part.

    Where a shape is `wanted` at the other end, and the bijection gives it from that end, that holds: a grid of one
    channel may be declared with its axis of channels or without.

    Reports a shape that a bijection does not act on (E213), and a named flow that is used at two (E212).
    """
    try:
        if wanted is not None and _fits(outline, wanted, not onto, shape):
            return wanted
        return _follow(outline, shape, onto)
    except _Misfit as misfit:
        scope.fail(misfit.code, misfit.headline, misfit.span, misfit.label, notes=misfit.notes, help=misfit.help)


def _fits(outline: Outline, shape: Shape, onto: bool, other: Shape) -> bool:
    """Whether a bijection has this shape at the other end. Where it has not, the flows in it are of no size yet."""
    unsized = [f for f in _flows(outline) if not f.sized]
    try:
        if _follow(outline, shape, onto) == other:
            return True
    except _Misfit:
        pass
    for flow in unsized:
        flow.sized = False
    return False


def _flows(outline: Outline) -> Iterator[NamedFlow]:
    if outline.flow is not None and outline.flow.outline is not None:
        yield outline.flow
        yield from _flows(outline.flow.outline)
    for part in outline.parts:
        yield from _flows(part)


def _follow(outline: Outline, shape: Shape, onto: bool) -> Shape:
    other = shape
    if outline.kind == "chain":
        for part in reversed(outline.parts) if onto else outline.parts:
            other = _follow(part, other, onto)
    elif outline.kind == "repeat":
        other = _follow(outline.parts[0], shape, onto)
        if outline.count > 1 and other != shape:
            taken, given = (other, shape) if onto else (shape, other)
            headline = f"a bijection from shape {list(taken)} to {list(given)} cannot be repeated"
            raise _Misfit("E213", headline, outline.span, f"its second repeat would get {list(given)}")
    elif outline.kind == "reversible":
        other = _follow(outline.parts[0], shape, onto)
    elif outline.kind == "inverse":
        other = _follow(outline.parts[0], shape, not onto)
    elif outline.kind == "flow":
        other = _follow_flow(outline, shape, onto)
    elif outline.kind == "levels":
        other = _follow_levels(outline, shape, onto)
    else:
        assert outline.entry is not None
        try:
            other = outline.entry.before(shape) if onto else outline.entry.after(shape)
        except ValueError as error:
            name = outline.entry.name
            help_ = f"turned round: inverse({name})" if onto else ""
            raise _Misfit("E213", f"{name} {error}", outline.span, f"this is {list(shape)}", help=help_) from None
    outline.takes, outline.gives = (other, shape) if onto else (shape, other)
    return other


def _follow_flow(outline: Outline, shape: Shape, onto: bool) -> Shape:
    """The other end of a declared flow, at the size of its first use; every other use must agree."""
    flow = outline.flow
    assert flow is not None and flow.outline is not None
    if not flow.sized:
        other = _follow(flow.outline, shape, onto)
        flow.sized = True
        return other
    first = flow.outline.gives if onto else flow.outline.takes
    if first != shape:
        statement = flow.statement
        raise _Misfit(
            "E212",
            f"`{statement.name}` is used at two sizes",
            outline.span,
            f"{size_text(shape)} here",
            (Note(statement.name_span, f"{size_text(first)} where it was first used"),),
            "declare a second flow, write the bijection itself in each place, or give the two variables one size",
        )
    return flow.outline.takes if onto else flow.outline.gives


def _follow_levels(outline: Outline, shape: Shape, onto: bool) -> Shape:
    """Behind each level but the last, half of the channels are done, and the others go on; what is done at any level
    becomes one vector."""
    assert outline.entry is not None
    name = outline.entry.name
    if onto:
        raise _Misfit(
            "E213",
            f"what {name} takes does not follow from the vector that it gives",
            outline.span,
            f"gives {list(shape)}",
            help=f"from a vector to a grid: inverse({outline.entry.signature.usage})",
        )
    for k, part in enumerate(outline.parts):
        given = _follow(part, shape, onto)
        if k + 1 < len(outline.parts):
            channels = channels_of(given)
            if channels < 2:
                headline = f"{name} parts the channels behind each level, and there is one"
                raise _Misfit("E213", headline, part.span, f"gives {list(given)}", help="squeeze makes four of one")
            given = (*given[:-1], channels - channels // 2)
        shape = given
    return (math.prod(outline.parts[0].takes),)


def size_text(shape: Shape) -> str:
    return str(math.prod(shape)) if len(shape) == 1 else str(list(shape))
