"""Sums that are bijections: with a contraction, with an integral over time, along one direction of a vector.

Each is read as the kind of the catalogue that it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from dgmppl.catalogue.bijections import ARITHMETIC, BIJECTIONS, CONVEX, FIELD
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context
from dgmppl.graph.outline import Outline
from dgmppl.graph.scope import Scope
from dgmppl.syntax import tree

CONTRACTION = "u + 0.9 * mlp[64, norm = spectral](u)"
INTEGRAL = "u + integrate(t in 0..1: mlp[64](u, t))"
PLANAR = "u + a * tanh(w @ u + b), with vectors a and w"
POTENTIAL = "u + W @ tanh(u @ W + b)"
SUMS = f"sums that can be undone are {CONTRACTION}, {INTEGRAL}, {POTENTIAL}, and {PLANAR}"


def read_sum(
    scope: Scope, expr: tree.Binary, reads: Callable[[object], bool], ctx: Context
) -> tuple[tree.Expr, Outline] | None:
    """What a sum starts from, and the bijection that it is of that: `u + 0.9 * mlp[64, norm = spectral](u)` is a
    residual flow of u. None where it has no such form.

    Reports a sum that has the form of one and may fold (E217).
    """
    if expr.op not in "+-":
        return None
    for base, other in ((expr.left, expr.right), (expr.right, expr.left)):
        negative = expr.op == "-"
        if negative and base is expr.right:
            continue
        found = _Sum(scope, expr, base, negative, reads, ctx).outline(other)
        if found is not None:
            if (several := _several(base)) is not None:
                label = "each of the two places of this has weights of its own"
                help_ = "a name stands for one: flow g = coupling[mlp[64]], and g(u)"
                scope.fail("E217", "this sum need not be a bijection", several.span, label, help=help_)
            return base, found
    return None


@dataclass(frozen=True)
class _Sum:
    """`base + other`, or `base - other`, where both read the argument."""

    scope: Scope
    expr: tree.Binary
    base: tree.Expr
    negative: bool
    reads: Callable[[object], bool]
    ctx: Context

    def outline(self, other: tree.Expr) -> Outline | None:
        factors = list(_factors(other))
        moved = [f for f in factors if self.reads(f)]
        rest = [f for f in factors if not self.reads(f)]
        if len(moved) != 1:
            return None
        (term,) = moved
        if isinstance(term, tree.Integral):
            return self._integral(term, rest)
        if isinstance(term, tree.Call) and is_network(self.scope, term.target) and self._of_base(term.arguments):
            return self._contraction(term, term.target, rest)
        if isinstance(term, tree.Binary) and term.op == "@" and _is_tanh(term.right):
            return self._potential(term, rest)
        if _is_tanh(term):
            return self._direction(term, rest)
        return None

    def _of_base(self, arguments: tuple[object, ...]) -> bool:
        """Whether the base stands first among some arguments, and in no other."""
        return bool(arguments) and arguments[0] == self.base and not self.reads(arguments[1:])

    # --- contractions ----------------------------------------------------------------------------

    def _contraction(self, call: tree.Call, network: tree.Expr, factors: list[tree.Expr]) -> Outline:
        """`u + 0.9 * mlp[64, norm = spectral](u, y)` is `residual[mlp[64], lipschitz = 0.9](y)`."""
        bounded = _without_norm(network)
        if isinstance(network, tree.Name) and network.name not in NETWORKS:
            headline = "a network by name is normalised for all of its places, and here its norms are bounded"
            self._fail(call, headline, f"write it in its place: {CONTRACTION}")
        if bounded is None:
            self._fail(call, "nothing bounds the slope of this network", f"below 1 it can be undone: {CONTRACTION}")
        slope = -1.0 if self.negative else 1.0
        for factor in factors:
            slope *= self.scope.number(factor, self.ctx.env, "a bound of the slope")
        if slope <= 0:
            self._fail(self.expr, "a network is added, whichever sign it has", CONTRACTION)
        if slope >= 1:
            found = f"its slope may reach {slope:g}" if factors else "its slope may reach 1"
            self._fail(call, found, f"below 1 it can be undone: {CONTRACTION}")
        number = tree.Number(call.span, slope, f"{slope:g}")
        items = (bounded, tree.Keyword(call.span, "lipschitz", number))
        return Outline(self.expr, "block", entry=BIJECTIONS["residual"], items=items, call=_given(call))

    # --- differential equations ------------------------------------------------------------------

    def _integral(self, integral: tree.Integral, factors: list[tree.Expr]) -> Outline:
        """`u + integrate(t in 0..1: mlp[64](u, t, y))`; `dgmppl.graph.fields` makes a bijection of it."""
        if self.negative or factors:
            self._fail(self.expr, "an integral is added as it is", INTEGRAL)
        if integral.index in self.scope.names or self.reads(tree.Name(integral.span, integral.index)):
            self.scope.fail("E202", f"`{integral.index}` is already taken", integral.span, "choose another letter")
        ends = [self.scope.number(e, self.ctx.env, "a time") for e in (integral.range.low, integral.range.high)]
        if not 0 <= ends[0] < ends[1] <= 1:
            headline = "the time of an integral goes from 0 to 1, or over a part of that"
            help_ = f"{INTEGRAL}{'; backwards it is inverse(f)' if ends[0] > ends[1] else ''}"
            self.scope.fail("E217", headline, integral.range.span, f"from {ends[0]:g} to {ends[1]:g}", help=help_)
        if not _names(integral.body, integral.index):
            headline = f"what is integrated over `{integral.index}` reads `{integral.index}`"
            self.scope.fail("E217", headline, integral.body.span, "it is read nowhere", help=INTEGRAL)
        return Outline(
            self.expr, "integral", entry=ARITHMETIC[FIELD], items=integral.options, integral=integral, base=self.base
        )

    # --- one direction ---------------------------------------------------------------------------

    def _direction(self, bent: tree.Expr, factors: list[tree.Expr]) -> Outline | None:
        """`u + a * tanh(w @ u + b)` is a planar flow by these a, w and b."""
        assert isinstance(bent, tree.Call)
        inner, shift = self._shifted(bent.arguments[0])
        if not (isinstance(inner, tree.Binary) and inner.op == "@" and factors):
            return None
        sides = (inner.left, inner.right)
        if self.base not in sides or all(map(self.reads, sides)):
            return None
        along = sides[0] if sides[1] == self.base else sides[1]
        towards = factors[0]
        for factor in factors[1:]:
            towards = tree.Binary(self.expr.span, "*", towards, factor)
        towards = tree.Negate(towards.span, towards) if self.negative else towards
        return Outline(self.expr, "step", entry=BIJECTIONS["planar"], operands=(towards, along, *shift))

    # --- matrices --------------------------------------------------------------------------------

    def _potential(self, term: tree.Binary, factors: list[tree.Expr]) -> Outline:
        """`u + W @ tanh(u @ W + b)`, the same matrix on both sides, is the gradient of a convex function."""
        assert isinstance(term.right, tree.Call)
        read, shift = self._shifted(term.right.arguments[0])
        same = isinstance(read, tree.Binary) and read == tree.Binary(read.span, "@", self.base, term.left)
        if not same or factors or self.negative or self.reads(term.left):
            self._fail(term, "this folds for some matrices", _MATRICES)
        if (several := _several(term.left)) is not None:
            label = "each of the two places of this has weights of its own"
            self._fail(several, label, f"a name stands for one: let W = ..., and {POTENTIAL}")
        return Outline(self.expr, "step", entry=ARITHMETIC[CONVEX], operands=(term.left, *shift))

    def _shifted(self, inner: object) -> tuple[object, tuple[tree.Expr, ...]]:
        """What of `w @ u + b` reads the argument, and b where there is one."""
        if not (isinstance(inner, tree.Binary) and inner.op in "+-"):
            return inner, ()
        left, right = self.reads(inner.left), self.reads(inner.right)
        if left and not right:
            shift = inner.right
            return inner.left, (tree.Negate(shift.span, shift) if inner.op == "-" else shift,)
        return (inner.right, (inner.left,)) if right and not left and inner.op == "+" else (inner, ())

    def _fail(self, expr: tree.Node, label: str, help_: str) -> NoReturn:
        self.scope.fail("E217", "this sum need not be a bijection", expr.span, label, help=help_)


_MATRICES = f"by one matrix on both sides it never does: {POTENTIAL}; of two there is sylvester[orthogonal = 4]"


def _several(term: object) -> tree.Node | None:
    """What is another thing in each place where it is written: a `param`, a network, a bijection with weights."""
    if isinstance(term, tuple):
        return next((found for part in term if (found := _several(part)) is not None), None)
    if isinstance(term, tree.Learned):
        return term
    if isinstance(term, tree.Name):
        entry = BIJECTIONS.get(term.name)
        plain = entry is None or (not entry.context and (entry.elementwise or entry.name == "reverse"))
        return None if plain and term.name not in (*NETWORKS, "python") else term
    return _several(tuple(vars(term).values())) if isinstance(term, tree.Node) else None


def _names(term: object, name: str) -> bool:
    """Whether a name stands in an expression."""
    if isinstance(term, tuple):
        return any(_names(part, name) for part in term)
    if isinstance(term, tree.Name):
        return term.name == name
    return isinstance(term, tree.Node) and any(_names(part, name) for part in vars(term).values())


def _factors(expr: tree.Expr) -> Iterator[tree.Expr]:
    """What is multiplied."""
    if isinstance(expr, tree.Binary) and expr.op == "*":
        yield from _factors(expr.left)
        yield from _factors(expr.right)
    else:
        yield expr


def _is_tanh(expr: object) -> bool:
    named = isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name) and expr.target.name == "tanh"
    return named and isinstance(expr, tree.Call) and len(expr.arguments) == 1


def _without_norm(network: tree.Expr) -> tree.Expr | None:
    """A network with `norm = spectral`, without it; None for any other."""
    if isinstance(network, tree.Binary):
        left, right = _without_norm(network.left), _without_norm(network.right)
        return None if left is None or right is None else tree.Binary(network.span, network.op, left, right)
    if not isinstance(network, tree.Bracket):
        return None
    kept = tuple(item for item in network.items if not (isinstance(item, tree.Keyword) and item.name == "norm"))
    norm = [item.value for item in network.items if isinstance(item, tree.Keyword) and item.name == "norm"]
    if [v.name if isinstance(v, tree.Name) else "" for v in norm] != ["spectral"]:
        return None
    return tree.Bracket(network.span, network.target, kept)


def _given(call: tree.Call) -> tree.Call | None:
    """A network's further inputs, behind the first; None where there are none."""
    rest = call.arguments[1:]
    return tree.Call(call.span, call.target, rest) if rest else None


__all__ = ["INTEGRAL", "PLANAR", "POTENTIAL", "SUMS", "read_sum"]
