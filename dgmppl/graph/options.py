"""Options in brackets and parentheses: the value of each kind, read from a spec.

To add a kind: its reader here, by the name that `dgmppl.catalogue.signature.Argument` gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dgmppl.catalogue.networks import ACTIVATIONS, NORMS, WEIGHT_NORMS
from dgmppl.diagnostics import did_you_mean
from dgmppl.graph.binding import Bound
from dgmppl.graph.context import Context
from dgmppl.graph.scope import Scope
from dgmppl.permutations import MASKS, Mask
from dgmppl.syntax import tree

MAX_COUNT = 10_000
Option = str | float
_Reader = Callable[[Scope, str, Bound, Context], Option]


def read_options(scope: Scope, given: Mapping[str, Bound], ctx: Context) -> tuple[tuple[str, Option], ...]:
    """The options among these arguments with their values, in the order in which they are written.

    Reports a value that is none of its kind (E210), and one too large (E216).
    """
    kinds = ((name, bound, _READERS.get(bound.argument.kind)) for name, bound in given.items())
    return tuple((name, read(scope, name, bound, ctx)) for name, bound, read in kinds if read is not None)


def _count(scope: Scope, name: str, bound: Bound, ctx: Context) -> int:
    count = scope.integer(bound.value, ctx.env, f"`{name}`", low=1)
    if count > MAX_COUNT:
        scope.fail("E216", f"`{name}` of {count:,} fits no machine", bound.span, f"at most {MAX_COUNT:,}")
    return count


def _seed(scope: Scope, name: str, bound: Bound, ctx: Context) -> int:
    return scope.integer(bound.value, ctx.env, f"`{name}`", low=0)


def _share(scope: Scope, name: str, bound: Bound, ctx: Context) -> float:
    share = scope.number(bound.value, ctx.env, f"`{name}`")
    if not 0 <= share < 1:
        scope.fail("E210", f"{name} is a share", bound.value.span, "from 0, and below 1")
    return share


def _positive(scope: Scope, name: str, bound: Bound, ctx: Context) -> float:
    number = scope.number(bound.value, ctx.env, f"`{name}`")
    if number <= 0:
        scope.fail("E210", f"`{name}` is positive", bound.value.span)
    return number


def _one_of(names: Sequence[str], article: str, noun: str) -> _Reader:
    """The reader of an option that is one of these names."""

    def read(scope: Scope, name: str, bound: Bound, ctx: Context) -> str:
        expr = bound.value
        if isinstance(expr, tree.Name) and expr.name in names:
            return expr.name
        meant = did_you_mean(expr.name if isinstance(expr, tree.Name) else "", names).rstrip("?")
        help_ = f"{meant}, or another of {', '.join(names)}" if meant else f"one of {', '.join(names)}"
        scope.fail("E210", f"{article} {noun} is expected", expr.span, f"not {article} {noun}", help=help_)

    return read


def read_mask(scope: Scope, expr: tree.Expr | None, ctx: Context) -> Mask:
    """`checkerboard`, `random(seed)`, or the `complement(mask)` of one; by default the first half."""
    if expr is None:
        return Mask()
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name) and len(expr.arguments) == 1:
        (argument,) = expr.arguments
        if not isinstance(argument, tree.Keyword) and expr.target.name == "complement":
            inner = read_mask(scope, argument, ctx)
            return replace(inner, complement=not inner.complement)
        if not isinstance(argument, tree.Keyword) and expr.target.name == "random":
            return Mask("random", scope.integer(argument, ctx.env, "the seed", low=0))
    name = expr.name if isinstance(expr, tree.Name) else ""
    if name in MASKS:
        return Mask(name)
    help_ = did_you_mean(name, MASKS, f"one of {', '.join(MASKS)}, or the complement(...) of one")
    scope.fail("E210", "a mask is expected", expr.span, "not a mask", help=help_)


def _flag(scope: Scope, name: str, bound: Bound, ctx: Context) -> float:
    if not isinstance(bound.value, tree.Boolean):
        scope.fail("E210", f"`{name}` is true or false", bound.value.span)
    return float(bound.value.value)


_READERS: dict[str, _Reader] = {
    "count": _count,
    "seed": _seed,
    "flag": _flag,
    "share": _share,
    "positive": _positive,
    "activation": _one_of(ACTIVATIONS, "an", "activation"),
    "norm": _one_of((*NORMS, *WEIGHT_NORMS), "a", "normalisation"),
    "norm of a position": _one_of(("layer",), "a", "normalisation of each position by itself"),
}
