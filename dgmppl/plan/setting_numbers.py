"""Numbers and flags as values of settings, and what all readers of settings say of a value that is something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from dgmppl.graph.binding import Bound
from dgmppl.graph.scope import Scope
from dgmppl.syntax import tree

Read = Callable[[Scope, Bound], object]
Called = tuple[str, tuple["tree.Expr | tree.Keyword", ...]]

_WHAT: dict[type, str] = {
    tree.String: "text",
    tree.Boolean: "true or false",
    tree.Record: "a record",
    tree.Learned: "`param`",
    tree.Number: "a number",
    tree.Quotation: "a distribution",
    tree.Sizes: "a list",
}


def wrong(scope: Scope, expr: tree.Node, wanted: str, help: str = "") -> NoReturn:
    """Reports what is something else than what is wanted (E305)."""
    found = f"`{expr.name}`" if isinstance(expr, tree.Name) else _WHAT.get(type(expr), "something else")
    scope.fail("E305", f"{wanted} is expected", expr.span, f"this is {found}", help=help)


def called_name(expr: tree.Expr) -> Called | None:
    """Name and arguments of `name` or `name(arguments)`."""
    if isinstance(expr, tree.Name):
        return expr.name, ()
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name):
        return expr.target.name, expr.arguments
    return None


def read_number(scope: Scope, bound: Bound, low: float = 0.0, strict: bool = False, wanted: str = "") -> float:
    wanted = wanted or f"`{bound.argument.name}`"
    value = _constant(scope, bound.value, wanted)
    if value < low or (strict and value == low):
        relation = "above" if strict else "at least"
        scope.fail("E305", f"{wanted} is {relation} {low:g}", bound.value.span, f"this is {value:g}")
    return value


def _constant(scope: Scope, expr: tree.Expr, wanted: str) -> float:
    if isinstance(expr, (tree.Number, tree.Negate, tree.Binary)):
        return scope.number(expr, {}, wanted)
    if isinstance(expr, tree.Name):
        binding = scope.lookup(expr.name, expr.span, "constant")
        if isinstance(binding, float):
            return binding
    wrong(scope, expr, f"a number for {wanted}")


def read_whole(scope: Scope, bound: Bound, low: int = 1) -> int:
    value = read_number(scope, bound, low)
    if not value.is_integer() or value > 1e12:
        most = " up to 10^12" if value > 1e12 else ""
        scope.fail("E305", f"`{bound.argument.name}` is a whole number{most}", bound.value.span, f"this is {value:g}")
    return int(value)


def _seed(scope: Scope, bound: Bound) -> int:
    return read_whole(scope, bound, 0)


def read_positive(scope: Scope, bound: Bound) -> float:
    wanted = "a learning rate" if bound.argument.name == "lr" else ""
    return read_number(scope, bound, strict=True, wanted=wanted)


def _fraction(scope: Scope, bound: Bound) -> float:
    value = read_number(scope, bound, strict=True)
    return _below_one(scope, bound, value, "ema = 0.999")


def _momentum(scope: Scope, bound: Bound) -> float:
    return _below_one(scope, bound, read_number(scope, bound))


def _below_one(scope: Scope, bound: Bound, value: float, help: str = "") -> float:
    if value >= 1:
        scope.fail("E305", f"`{bound.argument.name}` is below 1", bound.value.span, f"this is {value:g}", help=help)
    return value


def _factor(scope: Scope, bound: Bound, strict: bool = False) -> float:
    value = read_number(scope, bound)
    if value > 1 or (strict and value == 0):
        scope.fail("E305", f"`{bound.argument.name}` is a factor up to 1", bound.value.span, f"this is {value:g}")
    return value


def _share(scope: Scope, bound: Bound) -> float:
    value = read_number(scope, bound)
    if value > 1:
        scope.fail("E305", f"`{bound.argument.name}` is a share, from 0 to 1", bound.value.span, f"this is {value:g}")
    return value


def _rate(scope: Scope, bound: Bound) -> float:
    return _factor(scope, bound, strict=True)


def _epochs(scope: Scope, bound: Bound) -> float:
    value = read_number(scope, bound)
    if value < 1 or not value.is_integer():
        name = bound.argument.name
        scope.fail("E305", f"`{name}` is a whole number of epochs", bound.value.span, f"this is {value:g}")
    return value


def _rows(scope: Scope, bound: Bound) -> float:
    return read_number(scope, bound, strict=True, wanted="the size of a split")


def _flag(scope: Scope, bound: Bound) -> bool:
    if not isinstance(bound.value, tree.Boolean):
        wrong(scope, bound.value, f"true or false for `{bound.argument.name}`")
    return bound.value.value


NUMBERS: dict[str, Read] = {
    "count": read_whole,
    "seed": _seed,
    "number": read_number,
    "positive": read_positive,
    "fraction": _fraction,
    "momentum": _momentum,
    "factor": _factor,
    "share": _share,
    "rate": _rate,
    "epochs": _epochs,
    "rows": _rows,
    "flag": _flag,
}
"""A reader for each kind of number, and for flags."""
