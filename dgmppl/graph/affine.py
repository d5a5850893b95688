"""Affine values: those that are a matrix times some variables, plus what does not depend on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import (
    Apply,
    At,
    Density,
    Element,
    Feature,
    IndexSum,
    Joined,
    Module,
    Operation,
    Parametric,
    Part,
    Plate,
    Reduced,
    Reshaped,
    Sequence,
    Use,
    Value,
    children,
    variables,
)

_NOT = 2  # the degree of what is no polynomial of degree 1


def is_affine(graph: Graph, value: Value, names: frozenset[str]) -> bool:
    """Whether a value is affine in these variables taken together, through features too."""
    return _degree(graph, value, names) < _NOT


def reads_any(graph: Graph, term: object, names: frozenset[str]) -> bool:
    """Whether an expression depends on any of these variables, through features too."""
    return not names.isdisjoint(graph.roots(variables(term)))


def normal_along(graph: Graph, factor: Factor, names: frozenset[str]) -> bool:
    """Whether a factor is a normal density of each element, or member of a family, whose mean is affine in these
    variables, and whose standard deviation does not depend on them."""
    return all(_normal(graph, law, names) for law in _laws(factor.density))


def why_not_normal(graph: Graph, factor: Factor, names: frozenset[str]) -> str:
    """What keeps a normal density from having a mean that is affine in these variables and a deviation that does not
    read them, in a few words; "" where nothing does, or where it is no normal density."""
    head, others = graph[factor.head].shown, sorted(names - {factor.head})
    read = " and ".join([*(["its other members"] if factor.head in names else []), *(graph[n].shown for n in others)])
    for law in _laws(factor.density):
        if not isinstance(law, Parametric) or law.kind != "Normal" or _normal(graph, law, names):
            continue
        if law.joint is not None:
            return f"one network of {read} gives the mean and the deviation of {head}"
        if reads_any(graph, dict(law.arguments)["scale"], names):
            return f"the deviation of {head} depends on {read}"
        together = " together" if len(names) > 1 else ""
        return f"the mean of {head} is not affine in {read}{together}"
    return ""


def is_normal(factor: Factor) -> bool:
    """Whether a factor is a normal density of each element, whatever its mean and deviation are."""
    return all(isinstance(law, Parametric) and law.kind == "Normal" for law in _laws(factor.density))


def _laws(density: Density) -> list[Density]:
    """The laws that a density consists of: those of members, that of one of many elements, or itself."""
    if isinstance(density, Sequence):
        return [law for s in density.segments for law in _laws(s.law)]
    return _laws(density.element) if isinstance(density, Plate) else [density]


def slopes_have_rows(graph: Graph, density: Density, names: frozenset[str]) -> bool:
    """Whether what these variables are multiplied with in an affine mean, or the deviation, differs from row to row."""
    if isinstance(density, Sequence):
        if any(s.final for s in density.segments):
            return True  # of which element it is the law differs
        return any(slopes_have_rows(graph, s.law, names) for s in density.segments)
    if isinstance(density, Plate):
        return slopes_have_rows(graph, density.element, names)
    if not isinstance(density, Parametric) or density.joint is not None:
        return density.joint.rows if isinstance(density, Parametric) and density.joint is not None else True
    arguments = dict(density.arguments)
    return arguments["scale"].rows or _mixes(graph, arguments["loc"], names)


def _mixes(graph: Graph, value: Value, names: frozenset[str]) -> bool:
    """Whether a value that is affine in these variables multiplies them with what has rows."""
    if not reads_any(graph, value, names):
        return False
    parts = [t for t in children(value) if isinstance(t, Value)]
    if isinstance(value, (Operation, Element)) and getattr(value, "op", "*") in ("*", "@", "/"):
        others = [p for p in parts if not reads_any(graph, p, names)]
        if any(p.rows for p in others):
            return True
    if isinstance(value, Use) and value.variable not in names:
        definition = graph.definition(value.variable)
        return definition is None or _mixes(graph, definition.value, names)
    return any(_mixes(graph, p, names) for p in parts)


def _normal(graph: Graph, density: Density, names: frozenset[str]) -> bool:
    if not isinstance(density, Parametric) or density.kind != "Normal":
        return False
    if density.joint is not None:
        return not reads_any(graph, density.joint, names)
    arguments = dict(density.arguments)
    return is_affine(graph, arguments["loc"], names) and not reads_any(graph, arguments["scale"], names)


def _degree(graph: Graph, value: Value, names: frozenset[str]) -> int:
    """0 for a value that does not depend on the variables, 1 for one that is affine in them, 2 for any other."""
    if not reads_any(graph, value, names):
        return 0
    rule = _RULES.get(type(value))
    return min(rule(graph, value, names), _NOT) if rule is not None else _NOT


def _use(graph: Graph, value: Use, names: frozenset[str]) -> int:
    definition = graph.definition(value.variable)
    if value.variable in names:
        return 1
    assert definition is not None  # a feature: nothing else that is read depends on them
    return _degree(graph, definition.value, names)


def _operation(graph: Graph, value: Operation, names: frozenset[str]) -> int:
    degrees = [_degree(graph, operand, names) for operand in value.operands]
    if value.op in ("+", "-", "negate", "sum"):
        return max(degrees)
    if value.op in ("*", "@"):
        return sum(degrees)
    return degrees[0] if value.op == "/" and not degrees[1] else _NOT


def _apply(graph: Graph, value: Apply, names: frozenset[str]) -> int:
    others = (*value.context, *value.aligned)
    if not _is_linear(value.module) or any(_degree(graph, v, names) for v in others):
        return _NOT
    return max(_degree(graph, v, names) for v in value.inputs)


def _is_linear(module: Module) -> bool:
    return all(spec.kind == "linear" for spec in module.specs)


def _element(graph: Graph, value: Element, names: frozenset[str]) -> int:
    picked = (i for i in value.index if isinstance(i, Value))
    return _NOT if any(_degree(graph, i, names) for i in picked) else _degree(graph, value.value, names)


def _joined(graph: Graph, value: Joined, names: frozenset[str]) -> int:
    return max(_degree(graph, part, names) for part in value.parts)


def _inside(graph: Graph, value: Part | Reshaped, names: frozenset[str]) -> int:
    return _degree(graph, value.value, names)


def _reduced(graph: Graph, value: Reduced, names: frozenset[str]) -> int:
    return _degree(graph, value.value, names) if value.op in ("sum", "mean") else _NOT


def _at(graph: Graph, value: At, names: frozenset[str]) -> int:
    return _degree(graph, value.value, names)


def _feature(graph: Graph, value: Feature, names: frozenset[str]) -> int:
    return _NOT if value.recurrent else _degree(graph, value.body, names)


def _sum(graph: Graph, value: IndexSum, names: frozenset[str]) -> int:
    return _degree(graph, value.body, names)


_RULES: dict[type[Value], Callable[[Graph, Any, frozenset[str]], int]] = {
    Use: _use,
    Operation: _operation,
    Apply: _apply,
    Element: _element,
    Joined: _joined,
    Part: _inside,
    Reshaped: _inside,
    Reduced: _reduced,
    IndexSum: _sum,
    At: _at,
    Feature: _feature,
}
