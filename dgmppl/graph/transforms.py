"""Transforms of an element as a spec writes them in the brackets of a bijection."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.bijections import TRANSFORMS
from dgmppl.diagnostics import did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.options import read_options
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Transform
from dgmppl.syntax import tree


def read_transform(scope: Scope, expr: tree.Expr, ctx: Context) -> Transform:
    """The transform that an expression names: `affine`, `spline(bins = 8)`, or `inverse(mixture_cdf(8))`. Reports what
    is none (E208), and options that do not fit (E209)."""
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name) and expr.target.name == "inverse":
        if len(expr.arguments) != 1 or isinstance(expr.arguments[0], tree.Keyword):
            scope.fail("E209", "inverse takes one transform", expr.span, help="inverse(mixture_cdf(8))")
        inner = read_transform(scope, expr.arguments[0], ctx)
        return replace(inner, inverted=not inner.inverted)
    target = expr.target if isinstance(expr, tree.Call) else expr
    if not isinstance(target, tree.Name) or target.name not in TRANSFORMS:
        name = target.name if isinstance(target, tree.Name) else ""
        help_ = did_you_mean(name, TRANSFORMS, f"one of {', '.join(TRANSFORMS)}")
        scope.fail(
            "E208", f"unknown transform `{name}`" if name else "a transform is needed here", expr.span, help=help_
        )
    signature = TRANSFORMS[target.name].signature
    if isinstance(expr, tree.Call) and not signature.arguments:
        scope.fail("E209", f"{target.name} takes no options", expr.span, help=target.name)
    given = bind(scope, signature, expr.arguments if isinstance(expr, tree.Call) else (), expr.span).given
    options = read_options(scope, given, ctx)
    return Transform(target.name, tuple((name, float(number)) for name, number in options))


__all__ = ["read_transform"]
