"""Distributions of the catalogue with their parameters: given one by one, or all by one network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from dgmppl.catalogue.distributions import (
    DISTRIBUTIONS,
    Distribution,
    DistributionParameter,
    fits,
    leaks,
    suggestions,
)
from dgmppl.diagnostics import Note
from dgmppl.graph.binding import bind, verify_whole
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context, Elements
from dgmppl.graph.expressions import check_value
from dgmppl.graph.nodes import Schedule
from dgmppl.graph.numbers import Index, NotClosed, numbers
from dgmppl.graph.positions import of_sequences
from dgmppl.graph.scope import SMALLEST, Scope
from dgmppl.graph.values import (
    Constant,
    Parametric,
    Value,
    is_bare,
)
from dgmppl.source import Span
from dgmppl.supports import POSITIVE, REAL, Every, Support, Type, number_text, real
from dgmppl.syntax import tree

ROUNDED = f"round one of {', '.join(d.name for d in DISTRIBUTIONS.values() if d.rounded)}, or a mixture of them"


@dataclass(frozen=True)
class Head:
    """The variable that a density is for, or what is `rounded` to it. `quote` finds another factor's key and its
    parents' types."""

    name: str
    type: Type
    declared: Span
    quote: Callable[[tree.Quotation], tuple[str, tuple[Type, ...]]]
    prior: Callable[[tree.Quotation], str]
    rounded: bool = False

    @property
    def subject(self) -> str:
        """What messages call that which has the type."""
        return f"what is rounded to `{self.name}`" if self.rounded else f"`{self.name}`"


def check_family(scope: Scope, expr: tree.Call, entry: Distribution, head: Head, ctx: Context) -> Parametric:
    _verify_support(scope, expr, entry, head)
    given = bind(scope, entry.signature, expr.arguments, expr.span, whole=False)
    arguments: dict[str, Value] = {}
    linked: list[str] = []
    sole = expr.arguments[0] if len(expr.arguments) == 1 else None
    joint: Value | None = None
    if entry.can_be_uniform and isinstance(sole, tree.Node) and _is_uniform(sole):
        numbers = {p.name: Constant(real(), sole.span, p.uniform or 0.0) for p in entry.parameters}
        return Parametric(head.type, expr.span, entry.name, tuple(numbers.items()))
    # Which no network supplies: a number of draws, and what says by itself how many numbers it has.
    apart = any(p.constraint.discrete or p.size == "R" for p in entry.parameters)
    if sole is not None and not isinstance(sole, tree.Keyword) and _supplies_all(scope, sole) and not apart:
        joint, arguments = _joint(scope, sole, entry, head, ctx)
        return Parametric(head.type, expr.span, entry.name, tuple(arguments.items()), joint, tuple(arguments))
    for parameter in entry.parameters:
        if parameter.name in given:
            value, link = _parameter(scope, given[parameter.name].value, entry, parameter, head, ctx)
            arguments[parameter.name] = value
            linked += [parameter.name] if link else []
    verify_whole(scope, entry.signature, given, expr.span)  # last: what stands there may be wrong in itself
    return Parametric(head.type, expr.span, entry.name, tuple(arguments.items()), None, tuple(linked))


def _verify_support(scope: Scope, expr: tree.Call, entry: Distribution, head: Head) -> None:
    support = head.type.support
    if leaks(entry, support):
        scope.report(
            "W403",
            f"{entry.name} reaches outside {support.describe()}",
            expr.target.span,
            "its density does not end where the support does",
            notes=(Note(head.declared, "declared here"),),
            help="the likelihood stays comparable, but samples can leave the support; they are clamped",
            severity="warning",
        )
        return
    if fits(entry, support):
        rank = entry.event_rank(support)
        vector = Type(support, head.type.shape[-1:] or (3,))
        if rank and len(head.type.shape) != rank:
            scope.fail(
                "E204",
                f"{entry.name} is over one vector, but `{head.name}` is {head.type.describe()}",
                expr.target.span,
                "one vector",
                notes=(Note(head.declared, "declared here"),),
                help=f"{vector.describe()} is a vector; a family has one for each index",
            )
        return
    scope.fail(
        "E203",
        f"{entry.name} has {entry.support.domain_text()} support, but {head.subject} is {support.describe()}",
        expr.target.span,
        entry.support.domain_text(),
        notes=(Note(head.declared, "declared here"),),
        help=ROUNDED if head.rounded else _remedy(entry, support, head.name, suggestions(support)),
    )


def _remedy(entry: Distribution, support: Support, name: str, fit: list[str]) -> str:
    """A way out: a distribution that fits or, between kinds of whole numbers, the other support."""
    said = f"{fit[0]} has the support of `{name}`" if fit else "no distribution here has this support"
    other = entry.support
    if isinstance(other, Support) and other.integral and support.integral:
        return f"{said}; {other.forms[-1].values} are `{name} : {other.describe()}`"
    if isinstance(other, Every) and support.finite and support.numeric and support.low is not None:
        moved = f", read by shift(..., {number_text(-support.low)})" if support.low else ""
        return f"{said}; values in order are `{name} : {other.kind.word}({support.size})`{moved}"
    return said


def _supplies_all(scope: Scope, expr: tree.Expr) -> bool:
    """Whether an argument on its own stands for every parameter: a network, one of sequences at a position, `param`."""
    if isinstance(expr, tree.Bracket) and of_sequences(scope, expr.target):
        return True
    return isinstance(expr, tree.Learned) or (isinstance(expr, tree.Call) and is_network(scope, expr.target))


def _is_uniform(expr: object) -> bool:
    return isinstance(expr, tree.Name) and expr.name == "uniform"


def _size(parameter: DistributionParameter, head: Head) -> Type:
    return real(*parameter.shape(head.type))


def _joint(
    scope: Scope, expr: tree.Expr, entry: Distribution, head: Head, ctx: Context
) -> tuple[Value | None, dict[str, Value]]:
    """One network (or `param`) for all the parameters: its last axis holds them one after another."""
    if isinstance(expr, tree.Learned) or len(entry.parameters) == 1:
        hints = {p.name: f"{ctx.hint}_{p.name}" for p in entry.parameters}
        single = len(entry.parameters) == 1
        values = {
            p.name: check_value(
                scope,
                expr,
                _size(p, head),
                replace(
                    ctx,
                    hint=ctx.hint if single and not isinstance(expr, tree.Learned) else hints[p.name],
                    each=len(p.axis(head.type.support)),
                ),
            )
            for p in entry.parameters
        }
        return None, values
    if len({p.axis(head.type.support) for p in entry.parameters}) > 1:
        names = ", ".join(p.name for p in entry.parameters)
        usage = f"{entry.name}({', '.join(['mlp[64](x)', *['param'] * (len(entry.parameters) - 1)])})"
        scope.fail("E209", f"{entry.name} takes {names} one by one", expr.span, "one network for all", help=usage)
    shapes = [p.shape(head.type) for p in entry.parameters]
    # In a vector they lie one after another; else they have an axis of their own, the last.
    beside = len(head.type.shape) == 1
    total = real(sum(math.prod(s) for s in shapes)) if beside else real(*head.type.shape, len(shapes))
    joint = check_value(scope, expr, total, replace(ctx, each=0 if beside else 1))
    return joint, {p.name: Constant(real(), expr.span, 0.0) for p in entry.parameters}


def _parameter(
    scope: Scope, expr: tree.Expr, entry: Distribution, parameter: DistributionParameter, head: Head, ctx: Context
) -> tuple[Value, bool]:
    """A parameter's value, and whether it passes through the parameter's link (bare networks and `param` do)."""
    if parameter.size == "R":
        return _sized_by_itself(scope, expr, entry, parameter, head, ctx), False
    wanted = _size(parameter, head)
    if _is_uniform(expr) and len(entry.parameters) == 1 and parameter.uniform is not None:
        return Constant(real(), expr.span, parameter.uniform), False
    each = len(parameter.axis(head.type.support))
    value = check_value(scope, expr, wanted, replace(ctx, hint=f"{ctx.hint}_{parameter.name}", each=each))
    if parameter.constraint.discrete:
        _verify_count(scope, value, entry, parameter)
    elif isinstance(value, Constant):
        _verify_constant(scope, value, entry, parameter)
    elif parameter.constraint == POSITIVE and ctx.elements is not None and ctx.elements.about is not None:
        _verify_numbers(scope, value, entry, parameter, ctx.elements)
    if not isinstance(value, Constant) and parameter.axis(head.type.support) and value.shape != wanted.shape:
        scope.fail("E204", f"{parameter.name} has shape {list(wanted.shape)}", expr.span, f"{list(value.shape)}")
    linked = parameter.constraint != REAL or bool(parameter.range)
    return value, linked and is_bare(value)


def _sized_by_itself(
    scope: Scope, expr: tree.Expr, entry: Distribution, parameter: DistributionParameter, head: Head, ctx: Context
) -> Value:
    """A parameter with an axis behind those of the variable, of the size that what is given has (E204, E211)."""
    shape = head.type.shape
    usage = f"param U : {real(*shape, 2).describe()}   {entry.name}(param, param, U)"
    if isinstance(expr, tree.Learned):
        headline = f"how many numbers the {parameter.name} of {entry.name} has does not follow from its place"
        scope.fail("E211", headline, expr.span, "how many?", help=usage)
    value = check_value(scope, expr, None, replace(ctx, hint=f"{ctx.hint}_{parameter.name}"))
    if value.shape[:-1] != shape or len(value.shape) != len(shape) + 1:
        wanted = f"[{', '.join([*map(str, shape), 'R'])}]"
        headline = f"the {parameter.name} of {entry.name} has shape {wanted} here, for any R"
        scope.fail("E204", headline, expr.span, f"{list(value.shape)}", help=usage)
    return value


def _verify_count(scope: Scope, value: Value, entry: Distribution, parameter: DistributionParameter) -> None:
    """A number of draws is given: a number, or a variable of counts."""
    number = value.number if isinstance(value, Constant) else 0.0
    counts = isinstance(value, Constant) or parameter.constraint.holds(value.type.support)
    if counts and number >= 0 and float(number).is_integer():
        return
    found = number_text(number) if isinstance(value, Constant) else value.type.support.describe()
    scope.fail(
        "E210",
        f"the {parameter.name} of {entry.name} is {parameter.constraint.describe()}",
        value.span,
        f"this is {found}",
        help="a number, or how many there are in each row: "
        f"observed n : {parameter.constraint.describe()} from total(...)",
    )


def _verify_numbers(
    scope: Scope, value: Value, entry: Distribution, parameter: DistributionParameter, elements: Elements
) -> None:
    """A positive parameter that is a number for each member is so for all of them (E210)."""
    assert elements.about is not None
    known = {name: b for name, b in scope.names.items() if isinstance(b, Schedule)}
    first, last = elements.about
    try:
        found = numbers(value, Index(first, last, known))
    except NotClosed:
        return
    for position, number in zip(range(first, last + 1), found):
        if number is not None and number < SMALLEST:
            letter, place = elements.indices[0], elements.start + position
            written = scope.source.text[value.span.start : value.span.end]
            scope.fail(
                "E210",
                f"the {parameter.name} of {entry.name} is positive",
                value.span,
                f"for {letter} = {place} this is {number_text(number)}",
                help=f"make `{written}` larger than 0 at {letter} = {place}, say 1e-4",
            )


def _verify_constant(scope: Scope, value: Constant, entry: Distribution, parameter: DistributionParameter) -> None:
    if parameter.constraint.event_rank:
        verb = "are" if parameter.name.endswith("s") else "is"
        what = f"the {parameter.name} of {entry.name} {verb} {parameter.constraint.condition}"
        scope.fail("E210", what, value.span, "one number for all of them", help=f"{parameter.name} = param")
    if parameter.constraint == POSITIVE and value.number < SMALLEST:
        scope.fail(
            "E210",
            f"the {parameter.name} of {entry.name} is positive",
            value.span,
            f"this is {number_text(value.number)}" + (", 0 in single precision" if value.number > 0 else ""),
        )
