"""What is read at the position of an element, `c[d]`, `x[d - 1]`, or before it, `x[<d]`, and the position itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import NoReturn

from dgmppl.diagnostics import Note
from dgmppl.graph.axes import shape_text
from dgmppl.graph.configuration import check_network, is_network
from dgmppl.graph.context import Context, Elements
from dgmppl.graph.nodes import Schedule, Variable
from dgmppl.graph.offsets import names_in, offset_of
from dgmppl.graph.recurrences import read_feature
from dgmppl.graph.scope import IndexedFeature, Scope, describe_binding
from dgmppl.graph.shapes import Evaluate, is_open
from dgmppl.graph.values import At, Constant, Declared, Element, Past, Position, Use, Value
from dgmppl.source import Span
from dgmppl.supports import REAL, Type, real
from dgmppl.supports.whole import Integers
from dgmppl.syntax import tree


def check_past(scope: Scope, expr: tree.Bracket, read: list[tree.Past], ctx: Context) -> Past:
    """`x[<d]`, what is before each position. Reports one of other positions (E204, E223)."""
    if not isinstance(expr.target, tree.Name):
        _of_no_variable(scope, expr, ctx.elements)
    name, elements = expr.target.name, ctx.elements
    past = f"{name}[{', '.join(f'<{i}' for i in elements.indices)}]" if elements is not None else ""
    if elements is None or len(expr.items) != len(read) or tuple(p.index for p in read) != elements.indices:
        scope.fail(
            "E223",
            "the past of a variable is read where its elements are modelled one after another",
            expr.span,
            "not the past of what is modelled here",
            help=past if elements is not None and elements.maps else f"p({name}[d] | {name}[<d]) = ...",
        )
    binding = scope.lookup(name, expr.span, "variable")
    if not isinstance(binding, Variable):
        scope.fail("E223", f"`{name}` is {describe_binding(binding)}: variables have a past", expr.span)
    _verify_extent(scope, expr, binding.type.shape, elements)
    return Past(binding.type, expr.span, binding.name, elements.axes)


def _of_no_variable(scope: Scope, expr: tree.Bracket, elements: Elements | None) -> NoReturn:
    """Reports the past of a value that has no name (E223)."""
    indices = elements.indices if elements is not None else ("d",)
    text = scope.source.text[expr.target.span.start : expr.target.span.end]
    scope.fail(
        "E223",
        "a variable has a past, by its name, and what is computed has none",
        expr.span,
        "of a value",
        help=f"x[{', '.join(f'<{i}' for i in indices)}] is that of a variable `x`; "
        f"a value is read at the position: ({text})[{', '.join(indices)}]",
    )


def check_at(
    scope: Scope,
    expr: tree.Bracket,
    items: tuple[tree.Expr, ...],
    elements: Elements,
    expected: Type | None,
    ctx: Context,
    evaluate: Evaluate,
) -> Value:
    """`x[d - 1]`, `c[i, j]`, `conv[8](z)[i, j]`: what a value has at the position, or so far from it."""
    target, axes = expr.target, elements.axes
    name = target.name if isinstance(target, tree.Name) else "this"
    away = offsets(scope, items[:axes], expr.span, name, elements)
    binding = scope.names.get(name)
    if isinstance(binding, Schedule):
        return read_schedule(scope, expr, binding, items, away, elements)
    if isinstance(binding, IndexedFeature):
        return read_feature(scope, expr, binding, away, elements, evaluate)
    if set(names_in(items[axes:])) & set(elements.indices):
        scope.fail("E223", "an index of the element stands at its own axis", expr.span, "a second time")
    wanted, single = None, False
    if is_open(scope, target):
        shape = _hidden(scope, target) if expected is None else expected.shape
        if shape is None:
            scope.fail("E211", "the size of this does not follow", target.span, help="bind it with a type: `let`")
        single = not shape and of_sequences(scope, target)  # which gives channels
        wanted = real(*elements.extent, *((1,) if single else shape))
    value = evaluate(scope, target, wanted, replace(ctx, elements=None))
    if not (isinstance(binding, Variable) and binding.along is not None and axes == 1):
        _verify_extent(scope, expr, value.shape, elements)
    rest = value.shape[axes:]
    support = value.type.support if value.type.support.event_rank <= len(rest) else REAL
    found = At(Type(support, rest), expr.span, value, away)
    if isinstance(value, Use) and value.variable == elements.variable:
        verify_earlier(scope, found, expr.span, value.variable, elements, ())
    return Element(real(), expr.span, found, (0,)) if single and rest == (1,) else found


def of_sequences(scope: Scope, target: tree.Expr) -> bool:
    """Whether an expression is a network that reads and gives sequences."""
    if not isinstance(target, tree.Call) or not is_network(scope, target.target):
        return False
    specs, _ = check_network(scope, target.target, Context(""))
    return any(form.rank == 1 for form in specs[-1].entry.plain)


def _hidden(scope: Scope, target: tree.Expr) -> tuple[int, ...] | None:
    """As many numbers as the last hidden layer of a network has: what it gives where nothing asks for another size."""
    if not isinstance(target, tree.Call) or not is_network(scope, target.target):
        return None
    specs, _ = check_network(scope, target.target, Context(""))
    return specs[-1].hidden[-1:] or None


def position(expr: tree.Name, elements: Elements) -> Value:
    """`d`, the position itself: a number from 0."""
    return moved_position(expr, expr.name, elements, 0)


def moved_position(expr: tree.Expr, index: str, elements: Elements, by: int) -> Value:
    """`d`, or so many positions from it: as an input of a network on the scale of the index."""
    axis = elements.indices.index(index)
    size = elements.extent[axis]
    low, high = elements.range or (elements.start, elements.start + size - 1)
    if low == high:
        return Constant(real(), expr.span, float(low + by))
    return Position(Type(Integers(low, high)), expr.span, index, axis, elements.extent, elements.start + by)


def _verify_extent(scope: Scope, expr: tree.Bracket, shape: tuple[int, ...], elements: Elements) -> None:
    """What is read at a position has one for each of the statement's (E204)."""
    if shape[: elements.axes] != elements.extent:
        indices, extent = ", ".join(elements.indices), " x ".join(map(str, elements.extent))
        whose = f" of `{elements.variable}`" if elements.variable else ""
        headline = f"[{indices}] goes over the {extent} positions{whose}"
        scope.fail("E204", headline, expr.span, f"this has {shape_text(shape)}")


def offsets(scope: Scope, items: tuple[tree.Expr, ...], span: Span, name: str, elements: Elements) -> tuple[int, ...]:
    """The distances of `[i - 1, j]` from the position. Reports other indices (E223)."""
    found = [offset_of(scope, item, index) for item, index in zip(items, elements.indices)]
    known = tuple(k for k in found if k is not None)
    if len(known) != elements.axes:
        misplaced(scope, span, name, elements)
    start = _start_of(scope, name)
    if start is not None and elements.axes == 1:
        return (known[0] + elements.start - start,)
    beyond = next((n for k, n in zip(known, elements.extent) if abs(k) >= n), None)
    if beyond is not None:
        many = f"{beyond} elements" if beyond > 1 else "one element"
        text = scope.source.text[span.start : span.end]
        scope.fail("E215", f"`{text}` exists at no position", span, f"along {many}")
    return known


def _start_of(scope: Scope, name: str) -> int | None:
    """The number of the first of what lies along an index of its own."""
    binding = scope.names.get(name)
    if isinstance(binding, Schedule):
        return binding.start
    return binding.along.start if isinstance(binding, Variable) and binding.along is not None else None


def read_schedule(
    scope: Scope,
    expr: tree.Bracket,
    schedule: Schedule,
    items: tuple[tree.Expr, ...],
    away: tuple[int, ...],
    elements: Elements,
) -> Value:
    """`beta[t - 1]`: the number of a schedule at the position. Reports a position at which it has none (E215)."""
    if elements.axes > 1 or len(items) > 1:
        scope.fail("E215", f"`{schedule.name}` has one index", expr.span, f"{len(items)} indices")
    first, last = elements.about or (0, elements.extent[0] - 1)
    missing = next((k for k in (first, last) if not 0 <= k + away[0] < len(schedule.numbers)), None)
    if missing is not None and not elements.schedule:
        number = schedule.start + missing + away[0]
        no_number(scope, schedule, number, expr.span, f"for {elements.indices[0]} = {elements.start + missing}")
    scope.read.add(schedule.name)
    return At(real(), expr.span, Declared(schedule.type, expr.span, schedule.name, False), away)


def no_number(scope: Scope, schedule: Schedule, number: int, span: Span, label: str = "") -> NoReturn:
    """Reports an index at which a schedule has no number (E215)."""
    low, high = schedule.members.start, schedule.members.stop - 1
    scope.fail(
        "E215",
        f"`{schedule.name}[{number}]` does not exist: `{schedule.name}` goes from {low} to {high}",
        span,
        label,
        notes=(Note(schedule.span, "declared here"),),
    )


def misplaced(scope: Scope, span: Span, name: str, elements: Elements) -> None:
    first, *rest = elements.indices
    here, before = ", ".join(elements.indices), ", ".join([f"{first} - 1", *rest])
    scope.fail(
        "E223",
        f"`{name}` is read at the position of the element, or so many positions from it",
        span,
        "no such place",
        help=f"{name}[{here}], or {name}[{before}]",
    )


def verify_earlier(scope: Scope, found: At, span: Span, name: str, elements: Elements, notes: tuple[Note, ...]) -> None:
    """What is modelled may be read before the element alone, in the order of rows or in its own (E205)."""
    if elements.before(found.offsets):
        return
    text = scope.source.text[span.start : span.end]
    element = f"{name}[{', '.join(elements.indices)}]"
    later = "comes later" if elements.order is None else f"is not always so in the order {elements.order[0]}"
    what = f"depends on `{element}` itself" if found.here else later
    near = _near(elements)
    one = f"{name}[{near}] is before it, and all that is" if near else "what is before it"
    scope.fail(
        "E205",
        f"`{element}` is given what is before it, and this {what}",
        span,
        f"`{text}`",
        notes=notes,
        help=f"{one}: {name}[{', '.join(f'<{i}' for i in elements.indices)}]",
    )


def _near(elements: Elements) -> str:
    """Next to an element, what is before it in its order: `i - 1, j`; "" where nothing always is."""
    for axis, sign in product(range(elements.axes), (-1, 1)):
        offsets = tuple(sign if k == axis else 0 for k in range(elements.axes))
        if elements.extent[axis] > 1 and elements.before(offsets):
            by = " - 1" if sign < 0 else " + 1"
            return ", ".join(i + by if k == axis else i for k, i in enumerate(elements.indices))
    return ""
