"""Bijections as a spec writes them, read before anything is built: chains, repeats, names and formulas.

`dgmppl.graph.flow_shapes` sets what each one takes and gives, and `dgmppl.graph.bijections` builds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from dgmppl.catalogue.bijections import BIJECTIONS, BijectionKind
from dgmppl.catalogue.functions import AXES, FUNCTIONS
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.configuration import is_network
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
    a named "flow", the "levels" of a multi-scale one, a "block" of the catalogue with what stands in its brackets
    and parentheses, a "step" of a formula, which the value `by` is the other operand of, or a "triangular" `formula` of
    one element, which has one part."""

    expr: tree.Expr
    kind: str
    parts: tuple[Outline, ...] = ()
    count: int = 1
    entry: BijectionKind | None = None
    items: tuple[object, ...] = ()
    call: tree.Call | None = None
    flow: NamedFlow | None = None
    by: tree.Expr | None = None
    formula: tree.Flow | None = None
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
    first = read_outline(scope, body, ctx)
    _verify_length(scope, count * first.length, expr.span)
    parts = (first, *(read_outline(scope, body, ctx) for _ in range(count - 1)))
    return Outline(expr, "levels", parts, entry=entry, items=items)


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
            context = Context(hint=name.name)
            flow.outline = (
                read_outline(scope, flow.statement.value, context)
                if flow.statement.argument is None
                else _read_formula(scope, flow.statement, context)
            )
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
    _verify_length(scope, outline.length, span)
    return outline


def _verify_length(scope: Scope, length: int, span: Span) -> None:
    """Nested repeats multiply: a short line could ask for more than any machine has (E216)."""
    if length > MAX_IN_A_ROW:
        scope.fail("E216", f"{length:,} bijections in a row", span, f"at most {MAX_IN_A_ROW:,}")


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


# --- formulas ------------------------------------------------------------------------------------


def _read_formula(scope: Scope, flow: tree.Flow, ctx: Context) -> Outline:
    """`flow f(u) = 2 * tanh(u) + b`: the bijections that the formula applies to its argument, innermost first. Of a
    formula of one element, `f(u[d])`, they are those of a number.

    Reports an argument that has another meaning (E202), and a step that is no bijection (E217).
    """
    argument = flow.argument or ""
    if argument in scope.names:
        scope.fail(
            "E202",
            f"`{argument}` is declared, and so cannot be the argument of a flow",
            flow.name_span,
            notes=(Note(scope.places[argument], "declared here"),),
            help="choose another name for it",
        )
    formula = _Formula(scope, argument, ctx, flow.indices.names if flow.indices is not None else ())
    if not formula.reads(flow.value):
        headline = f"the flow `{flow.name}` does not read `{formula.text}`"
        scope.fail("E217", headline, flow.value.span, "not a bijection", help=_usage(flow))
    steps = tuple(formula.steps(flow.value))
    if not steps:
        headline = f"the flow `{flow.name}` leaves `{formula.text}` as it is"
        scope.fail("E217", headline, flow.value.span, "no bijection", help=_usage(flow))
    chain = _verified(scope, Outline(flow.value, "chain", steps), flow.value.span)
    return chain if flow.indices is None else Outline(flow.value, "triangular", (chain,), formula=flow)


def _usage(flow: tree.Flow) -> str:
    return _FORMULA if flow.indices is None else TRIANGLE


TRIANGLE = "flow f(u[d]) = u[d] * exp(s(u[<d])) + m(u[<d]), with causal networks: net s = masked[64]"
_FORMULA = "flow f(u) = 2 * tanh(u) + 1; without an argument a flow names a bijection: flow f = coupling[mlp[64]]"


@dataclass(frozen=True)
class _Formula:
    """Reads what a formula applies to its argument, or to an element of it, one bijection after another."""

    scope: Scope
    argument: str
    ctx: Context
    indices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.argument}[{', '.join(self.indices)}]" if self.indices else self.argument

    def reads(self, term: object) -> bool:
        """Whether what is mapped stands in an expression."""
        if isinstance(term, tuple):
            return any(map(self.reads, term))
        return self._mapped(term) or (isinstance(term, tree.Node) and any(map(self.reads, vars(term).values())))

    def _mapped(self, term: object) -> bool:
        """Whether an expression is what is mapped: `u`, or `u[d]`."""
        if self.indices:
            if not isinstance(term, tree.Bracket):
                return False
            names = tuple(item.name if isinstance(item, tree.Name) else "" for item in term.items)
            term = term.target if names == self.indices else None
        return isinstance(term, tree.Name) and term.name == self.argument

    def steps(self, expr: tree.Expr) -> Iterator[Outline]:
        if self._mapped(expr):
            return
        if isinstance(expr, tree.Negate):
            yield from self.steps(expr.operand)
            yield Outline(expr, "step")
        elif isinstance(expr, tree.Binary):
            yield from self._operation(expr)
        elif isinstance(expr, tree.Call):
            yield from self._applied(expr)
        else:
            self._none(expr, "not a bijection", "a bijection maps all of its argument: exp(u), W @ u, f(u)")

    def _operation(self, expr: tree.Binary) -> Iterator[Outline]:
        left, right = self.reads(expr.left), self.reads(expr.right)
        if left and right:
            if not self.indices and _has_past(expr):
                self._none(expr, "reads what is before an element", f"of one element at a time: {TRIANGLE}")
            if self.indices:
                help_ = f"what an element is scaled and shifted by follows from those before it: {TRIANGLE}"
            elif expr.op == "+":
                help_ = "kinds that keep such a sum invertible: planar, radial, sylvester, and residual[mlp[64]]"
            else:
                help_ = "what scales or shifts one part by another is a coupling: coupling[mlp[64]]"
            self._none(expr, f"`{self.text}` stands on both sides of `{expr.op}`", help_)
        if expr.op not in "+-*/@" or (expr.op == "/" and right):
            self._none(expr, f"`{expr.op}` of `{self.text}` is none here", "+, -, *, /, a square matrix, exp, log")
        yield from self.steps(expr.left if left else expr.right)
        if expr.op == "-" and right:  # b - u is b + (-u)
            yield Outline(tree.Negate(expr.span, expr.right), "step")
            expr = tree.Binary(expr.span, "+", expr.left, expr.right)
        yield Outline(expr, "step", by=expr.right if left else expr.left)

    def _applied(self, expr: tree.Call) -> Iterator[Outline]:
        """`bijection(u)`, whatever the bijection is: `exp`, a flow's name, `coupling[mlp[64]](y)`."""
        scope, target, given = self.scope, expr.target, expr.arguments
        name = target.name if isinstance(target, tree.Name) else ""
        if is_network(scope, target):
            self._none(expr, "a network is none", "a flow made of networks: coupling[mlp[64]], residual[mlp[64]]")
        if self.reads(target) or len(given) != 1 or isinstance(given[0], tree.Keyword):
            self._none(expr, f"`{self.text}` is not the one thing that is mapped", "f(u), coupling[mlp[64]](y)(u)")
        if name in (*FUNCTIONS, *AXES) and name not in BIJECTIONS and name != "log":
            known = ", ".join(n for n in FUNCTIONS if n in BIJECTIONS)
            self._none(expr, f"`{name}` is none", f"of the functions, {known} and log are")
        if self.indices and isinstance(scope.names.get(name), NamedFlow):
            self._none(expr, f"`{name}` maps a whole value", f"behind this one: flow g(v) = {name}(f(v))")
        yield from self.steps(given[0])
        if name == "log":
            exp = Outline(expr, "block", entry=BIJECTIONS["exp"])
            yield Outline(expr, "inverse", (exp,))
        else:
            yield read_outline(scope, target, self.ctx)

    def _none(self, expr: tree.Expr, label: str, help_: str) -> NoReturn:
        self.scope.fail("E217", "this step of a flow is no bijection", expr.span, label, help=help_)


def _has_past(term: object) -> bool:
    """Whether `u[<d]` stands in an expression."""
    if isinstance(term, tuple):
        return any(map(_has_past, term))
    return isinstance(term, tree.Past) or (isinstance(term, tree.Node) and any(map(_has_past, vars(term).values())))
