"""`Delta(value)`: the posterior of a latent that is a function of what is known.

Where y = d(x) with certainty, ``log p(x) >= log p(x, y)`` for every y that has a probability, since p(x) is the sum of
p(x, y) over all of them: log q(y | x) is 0. So a model may draw a coarse version of the data first, and the data given
that (Gatopoulos and Tomczak, 2021, Self-supervised variational auto-encoders, Eq. 6).
"""

from __future__ import annotations

import math

from dgmppl.diagnostics import Note
from dgmppl.graph.ends import ends_of
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Delta, walk
from dgmppl.supports import number_text


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
                    f"stands in {graph.written(factor)}",
                    help=f"in the model a function of others is a definition: {factor.head} = ...",
                )


def _verify_values(scope: Scope, graph: Graph, factor: Factor, density: Delta) -> None:
    head = graph[factor.head]
    support, found = head.type.support, density.value.type.support
    whole = found.integral and support.integral
    if not whole and support.holds(found):
        return
    ends = ends_of(graph, density.value)
    low, high = ends.low, ends.high
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
