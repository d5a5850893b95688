"""Rounding of densities to whole numbers: `Logistic(...) >> round(0..255)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dgmppl.catalogue.bijections import ENTRIES
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.diagnostics import Note
from dgmppl.graph.context import Context
from dgmppl.graph.families import ROUNDED, Head
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Block, Density, Mixture, Parametric, Pushforward, Rounded, walk
from dgmppl.supports import REAL, Integers, Type
from dgmppl.syntax import tree

Check = Callable[[Scope, tree.Expr, Head, Context], Density]


def is_rounding(expr: tree.Expr) -> bool:
    """Whether an expression is `round` or `round(0..255)`."""
    target = expr.target if isinstance(expr, tree.Call) else expr
    return isinstance(target, tree.Name) and target.name == "round"


def check_rounded(scope: Scope, expr: tree.Binary, head: Head, ctx: Context, check: Check) -> Density:
    """The mass of each whole number's bin under the density on the left of `>> round`.

    Reports a variable that is not of these whole numbers, and what has no distribution function (E213).
    """
    _verify_range(scope, expr.right, head, ctx)
    base = check(scope, expr.left, replace(head, type=Type(REAL, head.type.shape), rounded=True), ctx)
    return _rounded(scope, base, head.type)


def _verify_range(scope: Scope, expr: tree.Expr, head: Head, ctx: Context) -> None:
    support = head.type.support
    notes = (Note(head.declared, "declared here"),)
    if not support.integral:
        headline = f"`round` gives whole numbers, but `{head.name}` is {support.describe()}"
        scope.fail("E213", headline, expr.span, "whole numbers", notes=notes, help="leave `round` out")
    if not isinstance(expr, tree.Call):
        return
    arguments = expr.arguments
    if len(arguments) != 1 or not isinstance(arguments[0], tree.Range):
        scope.fail("E209", "`round` takes a range, or nothing", expr.span, help="round(0..255)")
    low, high = (scope.integer(end, ctx.env, "an end of the range") for end in (arguments[0].low, arguments[0].high))
    if (support.low, support.high) != (low, high):
        headline = f"this rounds to {low}..{high}, but `{head.name}` is {support.describe()}"
        shown = Integers(low, high).describe() if low < high else "a range of whole numbers"
        scope.fail("E213", headline, expr.span, shown, notes=notes, help="`round` alone takes the variable's range")


def _rounded(scope: Scope, base: Density, type_: Type) -> Density:
    """Rounding moves into a mixture: what is rounded is each component's draw."""
    if isinstance(base, Mixture):
        return replace(base, type=type_, component=_rounded(scope, base.component, type_))
    if isinstance(base, Pushforward) and isinstance(base.base, Mixture):
        moved = replace(base, base=base.base.component)
        return replace(base.base, type=type_, component=_rounded(scope, moved, type_))
    inner = base.base if isinstance(base, Pushforward) else base
    if not isinstance(inner, Parametric) or not DISTRIBUTIONS[inner.kind].rounded:
        scope.fail(
            "E213",
            "the mass of a bin needs the distribution function of what is rounded",
            inner.span,
            "has none that is known here",
            help=ROUNDED,
        )
    if isinstance(base, Pushforward):
        mixing = next((t for t in walk(base.bijection) if isinstance(t, Block) and not _by_element(t)), None)
        if mixing is not None:
            scope.fail(
                "E213",
                f"{mixing.kind} mixes elements, and the mass of a bin is one element's",
                mixing.span,
                "not by element",
                help="define the variable in place: x = floor(f(u)), which bounds its probability",
            )
    return Rounded(type_, base.span, base)


def _by_element(block: Block) -> bool:
    entry = ENTRIES[block.kind]
    return entry.elementwise and entry.codomain == REAL
