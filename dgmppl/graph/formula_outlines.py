"""Formulas of flows, `flow f(u) = 2 * tanh(u) + b`, as bijections one after another, before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.catalogue.functions import AXES, FUNCTIONS
from dgmppl.diagnostics import Note
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context
from dgmppl.graph.flow_sums import INTEGRAL, SUMS, read_sum
from dgmppl.graph.offsets import has_past
from dgmppl.graph.outline import Outline
from dgmppl.graph.scope import NamedFlow, Scope
from dgmppl.syntax import tree

Read = Callable[[Scope, tree.Expr, Context], Outline]

TRIANGLE = "flow f(u[d]) = u[d] * exp(s(u[<d])) + m(u[<d]), with causal networks: net s = masked[64]"
_FORMULA = "flow f(u) = 2 * tanh(u) + 1; without an argument a flow names a bijection: flow f = coupling[mlp[64]]"


def read_formula(scope: Scope, flow: tree.Flow, ctx: Context, read: Read) -> Outline:
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
    formula = _Formula(scope, argument, ctx, read, flow.indices.names if flow.indices is not None else ())
    if not formula.reads(flow.value):
        headline = f"the flow `{flow.name}` does not read `{formula.text}`"
        scope.fail("E217", headline, flow.value.span, "not a bijection", help=_usage(flow))
    steps = tuple(formula.steps(flow.value))
    if not steps:
        headline = f"the flow `{flow.name}` leaves `{formula.text}` as it is"
        scope.fail("E217", headline, flow.value.span, "no bijection", help=_usage(flow))
    chain = Outline(flow.value, "chain", steps)
    return chain if flow.indices is None else Outline(flow.value, "triangular", (chain,), formula=flow)


def _usage(flow: tree.Flow) -> str:
    return _FORMULA if flow.indices is None else TRIANGLE


@dataclass(frozen=True)
class _Formula:
    """Reads what a formula applies to its argument, or to an element of it, one bijection after another."""

    scope: Scope
    argument: str
    ctx: Context
    read: Read
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
        elif isinstance(expr, tree.Integral):
            self._none(expr, "it is added to what it moves", INTEGRAL)
        else:
            self._none(expr, "not a bijection", "a bijection maps all of its argument: exp(u), W @ u, f(u)")

    def _operation(self, expr: tree.Binary) -> Iterator[Outline]:
        left, right = self.reads(expr.left), self.reads(expr.right)
        if left and right:
            if not self.indices and (found := read_sum(self.scope, expr, self.reads, self.ctx)) is not None:
                base, moved = found
                yield from self.steps(base)
                yield moved
                return
            if not self.indices and has_past(expr):
                self._none(expr, "reads what is before an element", f"of one element at a time: {TRIANGLE}")
            if self.indices:
                help_ = f"what an element is scaled and shifted by follows from those before it: {TRIANGLE}"
            elif expr.op == "+":
                help_ = SUMS
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
            yield self.read(scope, target, self.ctx)

    def _none(self, expr: tree.Expr, label: str, help_: str) -> NoReturn:
        self.scope.fail("E217", "this step of a flow is no bijection", expr.span, label, help=help_)
