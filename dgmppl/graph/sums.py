"""Sums: of all elements, over an axis, and over indices, whose ranges follow from the axes that they stand at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dgmppl.graph.axes import reduced
from dgmppl.graph.context import Context
from dgmppl.graph.nodes import Parameter, Variable
from dgmppl.graph.offsets import names_in, offset_of
from dgmppl.graph.polynomial import polynomial
from dgmppl.graph.scope import IndexedFeature, Scope, VariableFamily
from dgmppl.graph.shapes import Evaluate, resolve_member
from dgmppl.graph.values import Index, IndexSum, Operation, Value
from dgmppl.supports import Type, real
from dgmppl.syntax import tree
from dgmppl.words import counted


def check_summation(scope: Scope, expr: tree.Summation, ctx: Context, evaluate: Evaluate) -> Value:
    """A sum of all elements, over one axis, or over indices."""
    if not expr.indices:
        body = evaluate(scope, expr.body, None, ctx)
        if expr.option is None:
            return Operation(Type(body.type.support.summed()), expr.span, "sum", (body,))
        if expr.option.name != "axis":
            headline = f"sum has no option `{expr.option.name}`"
            scope.fail("E209", headline, expr.option.span, help="sum(a, axis = 0)")
        return reduced(scope, expr.span, "sum", body, expr.option.value, ctx)
    for name in expr.indices:
        element = ctx.elements is not None and name in ctx.elements.indices
        if name in scope.names or name in ctx.sums or element or expr.indices.count(name) > 1:
            scope.fail("E202", f"the index `{name}` is already taken", expr.span, "choose another letter")
    places = tuple(_places(scope, expr.body, expr.indices, ctx))
    ranges = {name: _range(scope, expr, name, _of(places, name)) for name in expr.indices}
    for place in places:
        _verify_fit(scope, place, _of(places, place.name))
    for name, values in ranges.items():
        _verify_some(scope, name, values, _of(places, name))
    _verify_terms(scope, expr, places, ctx)
    body = evaluate(scope, expr.body, None, replace(ctx, sums={**ctx.sums, **ranges}))
    if body.shape:
        scope.fail("E204", "what is summed over indices is a number", expr.body.span, f"shape {list(body.shape)}")
    value = IndexSum(real(), expr.span, tuple(ranges.items()), body)
    if polynomial(value, ()) is None:
        scope.fail(
            "E217",
            "a sum over indices is of products of variables and parameters",
            expr.body.span,
            "no such sum",
            help="at a position products are `@`: W[d] @ y"
            if body.positional
            else "without indices a sum is of any tensor: sum(tanh(x) * b), sum(abs(x[0..6] - x[1..7]))",
        )
    return value


# --- ranges --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where an index stands: `name + offset` at an axis of this size."""

    name: str
    offset: int
    size: int
    item: tree.Expr


def _places(scope: Scope, expr: object, names: Sequence[str], ctx: Context) -> Iterator[_Place]:
    """Every place of these indices in an expression."""
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        shape, items = _indexed(scope, expr, expr.target, ctx)
        for item, size in zip(items, shape):
            if not isinstance(item, (tree.Name, tree.Binary)):
                continue
            found = set(names_in(item)) & {*names, *ctx.sums}
            for name in found & set(names) if len(found) == 1 else ():
                offset = offset_of(scope, item, name, ctx.env)
                if offset is not None:
                    yield _Place(name, offset, size, item)
    for child in vars(expr).values() if isinstance(expr, tree.Node) else ():
        for part in child if isinstance(child, tuple) else (child,):
            yield from _places(scope, part, names, ctx)


def _indexed(
    scope: Scope, expr: tree.Bracket, target: tree.Name, ctx: Context
) -> tuple[tuple[int, ...], tuple[object, ...]]:
    """The shape of what stands before brackets, and the indices of its axes in them."""
    binding = scope.lookup(target.name, target.span, "variable")
    if isinstance(binding, VariableFamily) and len(expr.items) > 1:
        first, *rest = expr.items
        if not isinstance(first, (tree.Keyword, tree.Binding, tree.Past)):
            member = resolve_member(scope, binding, scope.integer(first, ctx.env, "an index"), expr.span)
            return member.type.shape, tuple(rest)
    return (binding.type.shape if isinstance(binding, (Variable, Parameter)) else ()), tuple(expr.items)


def _range(scope: Scope, expr: tree.Summation, name: str, places: list[_Place]) -> range:
    """The values of an index for which every element exists that it picks. Reports one that is not used (E211)."""
    if not places:
        text = scope.source.text[expr.span.start : expr.span.end]
        features = (n for n, b in scope.names.items() if isinstance(b, IndexedFeature) and f"{n}[{name}]" in text)
        help_ = next((f"of a feature at all positions: sum({n}, axis = 0)" for n in features), "")
        scope.fail("E211", f"the range of the index `{name}` does not follow", expr.span, "never used", help=help_)
    return _common(places)


def _verify_fit(scope: Scope, place: _Place, places: list[_Place]) -> None:
    """Axes at which an index stands likewise have one size, unless it goes no further for other reasons (E204): of
    `J[i] * x[i] * x[i + 1]` the first may have one element less."""
    first = next(p for p in places if p.offset == place.offset)
    smaller = min(first.size, place.size)
    others = [p for p in places if (p.offset, p.size) != (place.offset, smaller)]
    if place.size != first.size and _common(others) != _common(places):
        headline = f"`{place.name}` ranges over {first.size} elsewhere in the sum, and over {place.size} here"
        scope.fail("E204", headline, place.item.span)


def _verify_some(scope: Scope, name: str, values: range, places: list[_Place]) -> None:
    """An index has a value (E215)."""
    if not values:
        widest = max(places, key=lambda p: abs(p.offset))
        text = scope.source.text[widest.item.span.start : widest.item.span.end]
        headline = f"there is no `{name}` for which all elements of this sum exist"
        elements = counted(widest.size, "element")
        scope.fail("E215", headline, widest.item.span, f"`{text}` along {elements}")


def _verify_terms(scope: Scope, expr: tree.Summation, places: tuple[_Place, ...], ctx: Context) -> None:
    """The terms of what is summed exist for the same values of an index (E204): nobody would see that some of them are
    left out."""
    terms = _terms(expr.body)
    within = [tuple(_places(scope, term, expr.indices, ctx)) for term in terms]
    for name in expr.indices:
        everywhere = [p for p in places if p.name == name and not any(p in found for found in within)]
        for term, found in zip(terms, within):
            here = [p for p in found if p.name == name]
            values, common = _common([*everywhere, *here]) if here else range(0), _common(_of(places, name))
            if here and values != common:
                many = counted(len(values), "value")
                headline = f"`{name}` has {many} in this term of the sum, {len(common)} in all of them"
                scope.fail("E204", headline, term.span, "would be cut short", help="a sum for each term")


def _terms(expr: tree.Expr) -> list[tree.Expr]:
    """What is added up in an expression. The parts of a square or of a function are none of it."""
    if isinstance(expr, tree.Negate):
        return _terms(expr.operand)
    if not isinstance(expr, tree.Binary) or expr.op not in ("+", "-", "*", "/"):
        return [expr]
    left, right = _terms(expr.left), _terms(expr.right)
    if expr.op in ("+", "-"):
        return [*left, *right]
    if len(left) > 1 and len(right) > 1:
        return [expr]
    return left if len(left) > 1 else right if len(right) > 1 and expr.op == "*" else [expr]


def _of(places: Sequence[_Place], name: str) -> list[_Place]:
    return [p for p in places if p.name == name]


def _common(places: list[_Place]) -> range:
    return range(max(-p.offset for p in places), min(p.size - p.offset for p in places))


def summed_index(scope: Scope, item: tree.Expr, size: int, ctx: Context) -> Index | None:
    """`i + 1` at an axis of this size, where `i` is an index of a sum; None for other expressions.

    Reports one that goes beyond the axis (E204), and other arithmetic (E215).
    """
    found = [n for n in names_in(item) if n in ctx.sums]
    if not found:
        return None
    name = found[0]
    offset = offset_of(scope, item, name, ctx.env) if len(found) == 1 else None
    if offset is None:
        headline = "an index of a sum stands in brackets as it is, or so many elements on"
        scope.fail("E215", headline, item.span, "no such index", help=f"x[{name}], or x[{name} + 1]")
    low, high = ctx.sums[name][0] + offset, ctx.sums[name][-1] + offset
    if low < 0 or high >= size:
        scope.fail("E204", f"this index goes from {low} to {high}, its axis from 0 to {size - 1}", item.span)
    return Index(name, offset)
