"""Bijections as a spec writes them, read before anything is built: chains, repeats, names.

What a formula writes is read in `dgmppl.graph.formula_outlines`. `dgmppl.graph.flow_shapes` sets what each one takes
and gives, and `dgmppl.graph.bijections` builds them.
"""

from __future__ import annotations

from collections.abc import Iterator

from dgmppl.catalogue.bijections import BIJECTIONS, BijectionKind
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.formula_outlines import read_formula
from dgmppl.graph.options import read_options
from dgmppl.graph.outline import Outline
from dgmppl.graph.scope import Fail, NamedFlow, Scope
from dgmppl.source import Span
from dgmppl.syntax import tree

MAX_IN_A_ROW = 10_000


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
            if flow.statement.argument is None:
                flow.outline = read_outline(scope, flow.statement.value, context)
            else:
                flow.outline = _verified(scope, read_formula(scope, flow.statement, context, read_outline), name.span)
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


def is_changed(expr: tree.Expr) -> bool:
    """Whether an expression is `inverse(...)` or `reversible(...)`."""
    return isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name) and expr.target.name in CHANGES


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
