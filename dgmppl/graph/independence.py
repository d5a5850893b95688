"""Elements that are independent of each other: which densities say of some of them alone how likely they are."""

from __future__ import annotations

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    Density,
    Mixture,
    Parametric,
    Plate,
    Residual,
    Rounded,
    SeenPart,
    Sequence,
    Use,
    variables,
    walk,
)
from dgmppl.graph.values.leaves import Past


def of_elements(density: Density) -> bool:
    """Whether the density of some elements, the others integrated out, has a closed form: they are independent of each
    other, normal together, or counts that add up, or so in each component of a mixture."""
    if isinstance(density, Parametric):
        entry = DISTRIBUTIONS[density.kind]
        return entry.in_part or not entry.event_rank(density.type.support)
    if isinstance(density, Mixture):
        return of_elements(density.component)
    if isinstance(density, Plate):
        return of_elements(density.element)
    if isinstance(density, Sequence):
        return all(of_elements(s.law) and density.variable not in variables(s.law) for s in density.segments)
    return isinstance(density, (Rounded, Residual))


def needs_all(graph: Graph, variable: Variable) -> bool:
    """Whether a partial variable is needed whole: something of p depends on it, or, where elements of it are missing
    one by one, its own factor does not say how likely some of them are."""
    name = variable.name
    sides = ("p",) if variable.elementwise else ("p", "q")
    if any(name in graph.roots(f.parents) for f in graph.factors if f.side in sides):
        return True
    p = graph.factor("p", name)
    return variable.elementwise and p is not None and not of_elements(p.density)


def told_in_part(graph: Graph, factor: Factor) -> bool:
    """Whether what is seen of a factor's variable has a density wherever some of it is missing: it is data, or its
    elements are independent of each other and nothing needs those that are missing."""
    head = graph[factor.head]
    return head.role != "partial" or (of_elements(factor.density) and not is_needed(graph, head))


def is_needed(graph: Graph, variable: Variable) -> bool:
    """Whether a partial variable is given a value where it is missing: all of it is needed, or it has a q."""
    return graph.factor("q", variable.name) is not None or needs_all(graph, variable)


def whole_uses(term: object, name: str) -> list[Use | Past]:
    """Where an expression reads all elements of a variable, and not only those that are seen."""
    found = (t for t in walk(term) if isinstance(t, (Use, Past)) and not isinstance(t, SeenPart))
    return [t for t in found if t.variable == name]


def verify_seen(scope: Scope, graph: Graph) -> None:
    """Where elements of a variable may be missing, a q and a feature read what is seen of it, through a network, which
    is told which elements that is; and a factor of p reads all of it, so through no feature (E227)."""
    for v in (v for v in graph.partial if v.elementwise):
        of_q = [f.density for f in graph.factors if f.side == "q"]
        for term in (*of_q, *(d.value for d in graph.definitions if graph[d.variable].role == "let")):
            for use in whole_uses(term, v.name)[:1]:
                scope.report(
                    "E227",
                    f"elements of `{v.name}` may be missing, and this reads them as numbers",
                    use.span,
                    "what stands for a missing one?",
                    notes=(Note(v.span, "elementwise"),),
                    help=f"a network reads what is seen, and which elements that is: mlp[64]({v.name})",
                )
        for f in graph.factors:
            in_part = any(isinstance(t, SeenPart) and t.variable == v.name for t in walk(f.density))
            written = graph.written(f, v.name)
            if f.side == "p" and (in_part or _by_feature(graph, f, v.name)):
                scope.report(
                    "E227",
                    f"{written} reads `{v.name}` through a feature, which knows what is seen of it alone",
                    f.head_span,
                    f"p depends on all of `{v.name}`",
                    notes=(Note(v.span, "elementwise"),),
                    help=f"read it in the factor itself: mlp[64]({v.name})",
                )


def _by_feature(graph: Graph, factor: Factor, name: str) -> bool:
    features = (n for n in graph.reads(factor) if graph[n].role == "let")
    return any(name in graph.roots((n,)) for n in features)
