"""`Delta(value)`: the posterior of a latent that is a function of what is known.

Where y = d(x) with certainty, ``log p(x) >= log p(x, y)`` for every y that has a probability, since p(x) is the sum of
p(x, y) over all of them: log q(y | x) is 0. So a model may draw a coarse version of the data first, and the data given
that (Gatopoulos and Tomczak, 2021, Self-supervised variational auto-encoders, Eq. 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dgmppl.catalogue.functions import STRAIGHT_THROUGH
from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Constant, Delta, Operation, Reduced, Reshaped, Use, Value, walk
from dgmppl.supports import number_text

Ends = tuple[float, float]
_LINE = (-math.inf, math.inf)


def verify_certain(scope: Scope, graph: Graph) -> None:
    """Reports a Delta that is no posterior of a latent (E217), and one that may be no value of its variable (E203)."""
    for factor in graph.factors:
        for density in walk(factor.density):
            if not isinstance(density, Delta):
                continue
            if factor.side == "q" and density is factor.density and graph[factor.head].role == "latent":
                _verify_values(scope, graph, factor, density)
            else:
                scope.report(
                    "E217",
                    "Delta is the posterior of a latent, which the data says with certainty",
                    density.span,
                    f"stands in {factor.key}",
                    help=f"in the model a function of others is a definition: {factor.head} = ...",
                )


def _verify_values(scope: Scope, graph: Graph, factor: Factor, density: Delta) -> None:
    head = graph[factor.head]
    support, found = head.type.support, density.value.type.support
    whole = found.integral and support.integral
    if not whole and support.holds(found):
        return
    low, high = ends_of(graph, density.value)
    if whole and (support.low is None or support.low <= low) and (support.high is None or high <= support.high):
        return
    notes = (Note(head.span, "declared here"),)
    described = support.describe()
    if not whole:
        help_ = f"round it: floor(...), or floor({number_text(support.high or 1)} * sigmoid(...) + 0.5)"
        headline = f"this is {found.describe()}, but `{head.name}` is {described}"
        scope.report("E203", headline, density.value.span, found.describe(), notes=notes, help=help_)
        return
    reach = " to ".join("any number" if math.isinf(end) else number_text(end) for end in (low, high))
    scope.report(
        "E203",
        f"`{head.name}` is {described}, and this may be another number",
        density.value.span,
        f"from {reach}",
        notes=notes,
        help=f"declare it wider, or bring the value into range: floor({number_text(support.high or 1)} * sigmoid(...))",
    )


def ends_of(graph: Graph, value: Value) -> Ends:
    """Between which numbers the elements of a value lie, ends included, as far as arithmetic tells."""
    if isinstance(value, Constant):
        return value.number, value.number
    if isinstance(value, Use):
        definition = graph.definition(value.variable)
        if definition is not None and graph[value.variable].role == "let":
            return ends_of(graph, definition.value)
    if isinstance(value, Reshaped) or (isinstance(value, Reduced) and value.op == "mean"):
        return ends_of(graph, value.value)
    if isinstance(value, Operation):
        parts = [ends_of(graph, operand) for operand in value.operands]
        if value.op in _ENDS:
            return _ENDS[value.op](*parts)
    support = value.type.support
    return (-math.inf if support.low is None else support.low), (math.inf if support.high is None else support.high)


def _of_products(a: Ends, b: Ends) -> Ends:
    products = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(products), max(products)


def _of_ratios(a: Ends, b: Ends) -> Ends:
    return _LINE if b[0] <= 0 <= b[1] else _of_products(a, (1 / b[1], 1 / b[0]))


def _floors(a: Ends) -> Ends:
    low, high = (end if math.isinf(end) else float(math.floor(end)) for end in a)
    return low, high


_ENDS: dict[str, Callable[..., Ends]] = {
    "negate": lambda a: (-a[1], -a[0]),
    "+": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "-": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "*": _of_products,
    "/": _of_ratios,
    "floor": _floors,
    STRAIGHT_THROUGH: lambda a: a,
    "mean": lambda a: a,
    "relu": lambda a: (max(a[0], 0.0), max(a[1], 0.0)),
}
