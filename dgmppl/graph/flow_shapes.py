"""Shapes through the bijections of a spec, from either end, before anything is built."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dgmppl.diagnostics import Note
from dgmppl.extents import channels_of
from dgmppl.graph.outline import Outline, Shape
from dgmppl.graph.scope import NamedFlow, Scope
from dgmppl.source import Span


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
    elif outline.kind in ("step", "integral"):
        pass
    elif outline.kind == "triangular":
        _follow_elements(outline, shape, onto)
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
            name, (headline, *ways_out) = outline.entry.name, error.args
            help_ = ways_out[0] if ways_out else _turned_round(outline, shape, onto)
            raise _Misfit("E213", f"{name} {headline}", outline.span, f"this is {list(shape)}", help=help_) from None
    outline.takes, outline.gives = (other, shape) if onto else (shape, other)
    return other


def _turned_round(outline: Outline, shape: Shape, onto: bool) -> str:
    """That a bijection acts on a shape from its other end, where it does."""
    assert outline.entry is not None
    try:
        (outline.entry.after if onto else outline.entry.before)(shape)
    except ValueError:
        return ""
    return f"turned round: inverse({outline.entry.name})" if onto else f"turned round: {outline.entry.name}"


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


def _follow_elements(outline: Outline, shape: Shape, onto: bool) -> None:
    """A formula of one element maps a number, and a value of as many axes as it has indices."""
    assert outline.formula is not None and outline.formula.indices is not None
    indices = outline.formula.indices.names
    if len(shape) != len(indices) or math.prod(shape) < 2:
        axes = f"{len(indices)} axes" if len(indices) > 1 else "one axis"
        headline = f"`{outline.formula.name}` maps values of two elements or more along {axes}"
        raise _Misfit("E213", headline, outline.span, f"this is {list(shape)}")
    _follow(outline.parts[0], (), onto)


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
