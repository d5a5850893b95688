"""Densities: the right-hand sides of factors."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.catalogue.distributions import (
    DISTRIBUTIONS,
    suggestions,
)
from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.bijections import check_bijection
from dgmppl.graph.binding import bind
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context
from dgmppl.graph.elements import reads_past, verify_order
from dgmppl.graph.expressions import check_inputs, check_value
from dgmppl.graph.families import Head, check_family
from dgmppl.graph.flow_shapes import follow
from dgmppl.graph.formulas import shift_by
from dgmppl.graph.outlines import read_outline
from dgmppl.graph.rounding import check_rounded, is_rounding
from dgmppl.graph.scope import Scope
from dgmppl.graph.sequences import Members
from dgmppl.graph.values import (
    Apply,
    Autoregressive,
    Composition,
    Constant,
    Delta,
    Density,
    Learned,
    Mixture,
    Plate,
    Points,
    Pushforward,
    Quoted,
    Residual,
    Segment,
    Value,
    walk,
)
from dgmppl.supports import REAL, Support, Type, real
from dgmppl.syntax import tree
from dgmppl.words import counted

WORDS = ("mixture", "residual", "Delta")
MIXTURE = Signature(
    "mixture",
    (Argument("count", "count", by="position"), Argument("weights", "logits", by="name")),
    usage="mixture[16](...)",
)
GRID = Signature("grid", (Argument("sides", "count", required=True, by="position", many=True),), usage="grid(4, 4)")
MAX_COMPONENTS = 100_000


def check_density(scope: Scope, expr: tree.Expr, head: Head, ctx: Context, members: Members | None = None) -> Density:
    """The density that an expression writes for a variable, or for some `members` of a folded family. Reports E203,
    E204, E208, E209, E210, E213, E217, E223."""
    elements = ctx.elements
    if elements is None:
        return _density(scope, expr, head, ctx)
    each = Type(head.type.support, head.type.shape[elements.axes :])
    if head.type.support.event_rank > len(each.shape):
        word = head.type.support.word
        scope.fail(
            "E223",
            f"`{head.name}` is {head.type.describe()}: its elements have one law together, and none each",
            expr.span,
            f"a distribution of one element of a {word}",
            notes=(Note(head.declared, "declared here"),),
            help=f"model it as a whole: p({head.name}) = ..., or read other variables that are known",
        )
    density = _density(scope, expr, replace(head, type=each), ctx)
    quoted = next((t for t in walk(density) if isinstance(t, Quoted)), None)
    if quoted is not None:
        scope.fail(
            "E223",
            f"another factor's distribution is of all of `{head.name}` at once",
            quoted.span,
            "not of one element",
            help=f"write a distribution of an element, or model them at once: p({head.name}) = ...",
        )
    verify_order(scope, density, elements)
    if members is not None:
        return Segment(each, expr.span, members.first, members.last, density, members.short, members.final)
    if reads_past(density, head.name):
        return Autoregressive(head.type, expr.span, head.name, density, elements.axes, elements.order)
    return Plate(head.type, expr.span, density, elements.axes)


def _density(scope: Scope, expr: tree.Expr, head: Head, ctx: Context) -> Density:
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        if is_rounding(expr.right):
            return check_rounded(scope, expr, head, ctx, _density)
        return _pushforward(scope, expr, head, ctx)
    if isinstance(expr, tree.Binary) and expr.op == "+":
        for value, density in ((expr.left, expr.right), (expr.right, expr.left)):
            if _writes_density(density) and not _writes_density(value):
                return _moved(scope, expr, value, density, head, ctx)
    if isinstance(expr, tree.Quotation):
        return _quoted(scope, expr, head, ctx)
    if isinstance(expr, tree.Call):
        if isinstance(expr.target, tree.Name):
            name = expr.target.name
            if name in DISTRIBUTIONS:
                return check_family(scope, expr, DISTRIBUTIONS[name], head, ctx)
            if name == "Delta":
                return _delta(scope, expr, head, ctx)
            if name == "residual":
                return _residual(scope, expr, head, ctx)
            if name == "mixture":
                scope.fail(
                    "E209", "a mixture needs the number of its components", expr.target.span, help="mixture[16](...)"
                )
            if name == "quantize":
                _quantize(scope, expr)
            if not is_network(scope, expr.target) and name not in scope.names:
                fitting = suggestions(head.type.support)
                support = head.type.support.describe()
                otherwise = f"for {support}: {', '.join(fitting)}" if fitting else f"there is none for {support}"
                help_ = did_you_mean(name, [*fitting, *WORDS], otherwise)
                scope.fail("E208", f"unknown distribution `{name}`", expr.target.span, help=help_)
        if isinstance(expr.target, tree.Bracket) and isinstance(expr.target.target, tree.Name):
            if expr.target.target.name == "mixture":
                return _mixture(scope, expr, expr.target, head, ctx)
            if expr.target.target.name == "quantize":
                _quantize(scope, expr)
    if isinstance(expr, tree.Name) and expr.name in DISTRIBUTIONS:
        needs = ", ".join(p.name for p in DISTRIBUTIONS[expr.name].parameters)
        scope.fail("E209", f"{expr.name} needs {needs}", expr.span, "has no parameters", help=f"{expr.name}({needs})")
    _verify_no_bijection(scope, expr)
    fit = suggestions(head.type.support)
    help_ = f"wrap it in a distribution: {fit[0]}(...)" if fit else ""
    scope.fail("E217", "a distribution is needed here", expr.span, "not a distribution", help=help_)


def _quantize(scope: Scope, expr: tree.Call) -> NoReturn:
    scope.fail(
        "E220",
        "`quantize` is read but cannot be compiled yet",
        expr.span,
        "no objective is derived for it",
        help="a latent of real numbers has a posterior that can be fitted: q(z | x) = Normal(...)",
    )


def _mixture(scope: Scope, expr: tree.Call, bracket: tree.Bracket, head: Head, ctx: Context) -> Mixture:
    if ctx.copies or ctx.points:
        scope.fail("E217", "a mixture inside a mixture", expr.span, "one mixture with more components is the same")
    if len(expr.arguments) != 1 or isinstance(expr.arguments[0], tree.Keyword):
        scope.fail(
            "E209",
            "a mixture takes its component's distribution",
            expr.span,
            help="mixture[16](Normal(param))",
        )
    bindings = [i for i in bracket.items if isinstance(i, tree.Binding)]
    given = bind(scope, MIXTURE, [i for i in bracket.items if i not in bindings], bracket.span)
    if len(bindings) + ("count" in given) > 1:
        scope.fail("E209", "a mixture has a count of components, or points for them", bracket.span, "more than one")
    count, points, inner = 0, None, ctx
    if bindings:
        points = _points(scope, bindings[0], ctx)
        inner = replace(ctx, points=((bindings[0].name, points),))
        count = points.count
    elif "count" in given:
        count = scope.integer(given["count"].value, ctx.env, "the number of components", low=1)
        inner = replace(ctx, copies=count)
    weights = given.value("weights")
    if not count:
        scope.fail("E209", "a mixture needs the number of its components", bracket.span, help="mixture[16](...)")
    if count > MAX_COMPONENTS:
        scope.fail("E216", f"a mixture of {count:,} components", bracket.span, f"at most {MAX_COMPONENTS:,}")
    where = replace(ctx, hint=f"{ctx.hint}_weights")
    logits = check_value(scope, weights or tree.Learned(bracket.span), real(count), where)
    if isinstance(logits, Constant):
        scope.fail(
            "E210",
            "mixing weights are logits, one a component",
            logits.span,
            "one number for all",
            help=f"weights = param, or a declared one: param w : real[{count}]",
        )
    component = _density(scope, expr.arguments[0], head, inner)
    return Mixture(head.type, expr.span, count, logits, component, points)


def _points(scope: Scope, item: tree.Binding, ctx: Context) -> Points:
    values = item.values
    if not (
        isinstance(values, tree.Call)
        and isinstance(values.target, tree.Name)
        and values.target.name == "grid"
        and values.arguments
    ):
        scope.fail("E209", "components are indexed by the points of a grid", values.span, help="u in grid(4, 4)")
    taken = ctx.elements is not None and item.name in ctx.elements.indices
    if item.name in scope.names or item.name in ctx.env or taken:
        scope.fail("E202", f"`{item.name}` is already declared", item.span, "choose another name")
    given = bind(scope, GRID, values.arguments, values.span)
    sides = tuple(scope.integer(b.value, ctx.env, "a side of the grid", low=1) for b in given.many)
    points = Points(real(len(sides)), values.span, scope.attribute(f"{ctx.hint}_{item.name}"), sides)
    if points.count > MAX_COMPONENTS:
        scope.fail("E216", f"a mixture of {points.count:,} components", values.span, f"at most {MAX_COMPONENTS:,}")
    return points


def _base_support(expr: tree.Expr) -> Support | None:
    """The support on which the density to the left of `>>` lives."""
    if isinstance(expr, tree.Call):
        if isinstance(expr.target, tree.Name) and expr.target.name in DISTRIBUTIONS:
            support = DISTRIBUTIONS[expr.target.name].support
            return support if isinstance(support, Support) else None
        if isinstance(expr.target, tree.Name) and expr.target.name == "residual":
            return REAL
        if isinstance(expr.target, tree.Bracket) and expr.arguments:
            first = expr.arguments[0]
            return None if isinstance(first, tree.Keyword) else _base_support(first)
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        return REAL
    return None


def _writes_density(expr: tree.Expr) -> bool:
    """Whether an expression has the form of a density."""
    if isinstance(expr, tree.Binary):
        if expr.op == "+":
            return _writes_density(expr.left) or _writes_density(expr.right)
        return expr.op == ">>" and _writes_density(expr.left)
    if isinstance(expr, tree.Call):
        target = expr.target.target if isinstance(expr.target, tree.Bracket) else expr.target
        return isinstance(target, tree.Name) and target.name in (*DISTRIBUTIONS, *WORDS)
    return isinstance(expr, tree.Quotation)


def _moved(
    scope: Scope, expr: tree.Binary, value: tree.Expr, density: tree.Expr, head: Head, ctx: Context
) -> Pushforward:
    """`value + density`: the density of a draw to which a value is added, a bijection without weights."""
    if head.type.support != REAL:
        scope.fail(
            "E213",
            f"a sum is real, but `{head.name}` is {head.type.support.describe()}",
            expr.span,
            "real",
            notes=(Note(head.declared, "declared here"),),
            help=f"declare `{head.name}` {real(*head.type.shape).describe()}, or leave the sum out",
        )
    by = check_value(scope, value, real(*head.type.shape), replace(ctx, hint=f"{ctx.hint}_shift"))
    if by.shape != head.type.shape and not isinstance(by, Constant):
        scope.fail("E204", f"`{head.name}` has shape {list(head.type.shape)}", value.span, "one number")
    if isinstance(density, tree.Binary) and density.op == ">>":
        inner: Density = _pushforward(scope, density, head, ctx, anywhere=True)
    else:
        support = _base_support(density) or REAL
        inner = _density(scope, density, replace(head, type=Type(support, head.type.shape)), ctx)
    return Pushforward(head.type, expr.span, inner, shift_by(scope, by, head.type.shape, expr.span, ctx.hint))


def _pushforward(scope: Scope, expr: tree.Binary, head: Head, ctx: Context, anywhere: bool = False) -> Pushforward:
    """`density >> bijection`, which lands in the support of the variable, or `anywhere`."""
    parts: list[tree.Expr] = []
    base: tree.Expr = expr
    while isinstance(base, tree.Binary) and base.op == ">>":
        parts.insert(0, base.right)
        base = base.left
    early = next((part for part in parts if is_rounding(part)), None)
    if early is not None:
        scope.fail("E217", "rounding comes last", early.span, "a bijection follows it")
    support = _base_support(base) or head.type.support
    _verify_no_bijection(scope, base)
    whole: tree.Expr = parts[0]
    for part in parts[1:]:
        whole = tree.Binary(whole.span.to(part.span), ">>", whole, part)
    where = replace(ctx, hint=f"{ctx.hint}_flow")
    outline = read_outline(scope, whole, where)
    source = Type(support, follow(scope, outline, head.type.shape, onto=True))
    density = _density(scope, base, replace(head, type=source), ctx)
    bijection, target = check_bijection(scope, outline, support, where, check_inputs)
    if not head.type.support.same_values_as(target) and not anywhere:
        scope.fail(
            "E213",
            f"this lands in {target.describe()}, but {head.subject} is {head.type.support.describe()}",
            whole.span,
            target.describe(),
            notes=(Note(head.declared, "declared here"),),
            help=("" if head.rounded else f"declare `{head.name}` {Type(target, head.type.shape).describe()}, or ")
            + f"end in a bijection onto {head.type.support.describe()}",
        )
    if not (isinstance(bijection, Composition) and bijection.attribute):
        chain = bijection if isinstance(bijection, Composition) else Composition(bijection.span, "", (bijection,))
        bijection = replace(chain, attribute=scope.attribute(f"{ctx.hint}_flow"))
    return Pushforward(Type(target, head.type.shape), expr.span, density, bijection)


def _verify_no_bijection(scope: Scope, expr: tree.Expr) -> None:
    """Reports a bijection where a distribution stands (E217)."""
    if isinstance(expr, tree.Name) and expr.name in BIJECTIONS:
        scope.fail(
            "E217",
            "a distribution is needed here",
            expr.span,
            "a bijection",
            help=f"the distribution stands on the left: Normal(0, 1) >> {expr.name}",
        )


def _delta(scope: Scope, expr: tree.Call, head: Head, ctx: Context) -> Delta:
    """`Delta(value)`; which values it may have, and where it may stand, follows from the whole (`graph.certain`)."""
    support = head.type.support
    if not support.discrete:
        scope.fail(
            "E203",
            f"Delta has no density, and `{head.name}` is {support.describe()}",
            expr.span,
            "of whole numbers and classes only",
            notes=(Note(head.declared, "declared here"),),
            help=f"a value with a probability of one bounds log p(x) by log p(x, {head.name}); of {support.describe()} "
            f"values none has a probability: round it, or give `{head.name}` a density",
        )
    if ctx.elements is not None or len(expr.arguments) != 1 or isinstance(expr.arguments[0], tree.Keyword):
        usage = f"q({head.name} | x) = Delta(...)"
        scope.fail("E209", "Delta takes one value, that of the whole variable", expr.span, help=usage)
    argument = expr.arguments[0]
    value = check_value(scope, argument, real(*head.type.shape), replace(ctx, hint=f"{ctx.hint}_value"))
    if value.shape != head.type.shape:
        headline, notes = f"`{head.name}` has shape {list(head.type.shape)}", (Note(head.declared, "declared here"),)
        scope.fail("E204", headline, argument.span, f"{list(value.shape)}", notes=notes)
    return Delta(head.type, expr.span, value)


def _residual(scope: Scope, expr: tree.Call, head: Head, ctx: Context) -> Residual:
    usage = "residual(p(z | parents), network)"
    if len(expr.arguments) != 2 or not isinstance(expr.arguments[0], tree.Quotation):
        scope.fail("E209", "residual takes a prior and a network", expr.span, help=usage)
    prior, delta = expr.arguments
    assert isinstance(prior, tree.Quotation)
    if isinstance(delta, tree.Keyword) or head.type.support != REAL or not head.type.shape:
        scope.fail("E209", "residual takes a prior over a real vector, and a network", expr.span, help=usage)
    key = scope_prior(scope, prior, head)
    shape = head.type.shape
    value = check_value(scope, delta, real(*shape[:-1], 2 * shape[-1]), ctx)
    if isinstance(value, Constant):
        scope.fail("E209", "residual takes a prior and a network", delta.span, help=usage)
    return Residual(head.type, expr.span, key, value)


def scope_prior(scope: Scope, quotation: tree.Quotation, head: Head) -> str:
    if quotation.side != "p":
        scope.fail(
            "E209",
            "residual is relative to a prior p(...)",
            quotation.span,
            "a posterior",
            help="residual(p(z | parents), network)",
        )
    return head.prior(quotation)


def _quoted(scope: Scope, expr: tree.Quotation, head: Head, ctx: Context) -> Quoted:
    key, types = head.quote(expr)
    if len(types) != len(expr.given):
        parents = counted(len(types), "parent")
        scope.fail("E209", f"{key} has {parents}", expr.span, f"{len(expr.given)} given")
    given: list[Value] = []
    for argument, wanted in zip(expr.given, types):
        value = check_value(scope, argument, wanted, replace(ctx, hint=f"{ctx.hint}_input"))
        if isinstance(value, (Apply, Learned)) and wanted.support.link is None:
            scope.fail(
                "E210",
                f"a learned value cannot stand for {wanted.support.describe()}",
                argument.span,
                help="quote a factor whose parents are real or bounded",
            )
        given.append(replace(value, type=wanted) if isinstance(value, Apply) else value)
    return Quoted(head.type, expr.span, key, tuple(given))
