"""Values that a variable may have by its type, and that its factor gives density 0 whatever its parameters are.

Such a value makes the log-likelihood minus infinity from the first step on. What a factor leaves out is known from
its distribution, the numbers that stand for its parameters, and the last of its bijections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmppl.catalogue.bijections import ENTRIES
from dgmppl.data.rows import Array
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import (
    Autoregressive,
    Bijection,
    Block,
    Composition,
    Constant,
    Density,
    Mixture,
    Parametric,
    Plate,
    Pushforward,
    Quoted,
    Sequence,
)
from dgmppl.source import Span

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Impossible:
    """Values that a density leaves out.

    Attributes:
        test: which of some values, rounded to single precision, are among them; each element for itself, or each
            vector.
        why: the reason: `under sigmoid, which reaches neither 0 nor 1`.
        factor: the density's factor, `p(x | z)`.
        span: where the spec says it.
        help: a way out.
    """

    test: Callable[[Array], Mask]
    why: str
    factor: str
    span: Span
    help: str = ""


# What follows is (test, why, help).
Rule = tuple[Callable[[Array], Mask], str, str]

_INSIDE = "rescale(..., 0.01, 0.99) keeps values away from the ends"
_POSITIVE = "leave such rows out, or add a small number to all values in the file"
_PROPORTIONS = "add a small number to every element of a row, and divide by the new sum"
_COUNTS = "is it the code of a value that is missing? a `partial` variable may be, where the file has nan"


def impossible_values(graph: Graph, variable: str) -> tuple[Impossible, ...]:
    """What the factor p of an observed variable leaves out; nothing where no density of it is computed."""
    factor = graph.factor("p", variable)
    # Samples of a game are compared with data by an adversary, whatever their density is.
    if factor is None or any(variable in adversary.arguments for adversary in graph.adversaries):
        return ()
    rules = _rules(factor.density, graph)
    return tuple(Impossible(test, why, factor.key, factor.density.span, help_) for test, why, help_ in rules)


def _rules(density: Density, graph: Graph) -> list[Rule]:
    if isinstance(density, Parametric):
        numbers = {name: value.number for name, value in density.arguments if isinstance(value, Constant)}
        # Of a joint network the arguments are placeholders.
        return _of_family(density.kind, numbers if density.joint is None else {})
    if isinstance(density, Mixture):
        return _rules(density.component, graph)
    if isinstance(density, Autoregressive):
        return _rules(density.step, graph)
    if isinstance(density, Plate):
        return _rules(density.element, graph)
    if isinstance(density, Sequence):
        return _rules(density.segments[-1].law, graph)
    if isinstance(density, Quoted):
        other = next((f for f in graph.factors if f.key == density.factor), None)
        return _rules(other.density, graph) if other is not None else []
    if isinstance(density, Pushforward):
        last = _last(density.bijection)
        if last in _OPEN_ENDS:
            ends, kept = _OPEN_ENDS[last]
            reached = " or ".join(f"{end:g}" for end in ends)
            return [
                (lambda v: np.isin(v, ends), f"{last} reaches values near {reached}, and not {reached} itself", kept)
            ]
        return _rules(density.base, graph) if _only_orders(density.bijection) else []
    return []


# The ends of what these bijections map to, which they reach for no finite value.
_OPEN_ENDS: Mapping[str, tuple[tuple[float, ...], str]] = {
    "sigmoid": ((0.0, 1.0), _INSIDE),
    "tanh": ((-1.0, 1.0), "rescale(..., -0.99, 0.99) keeps values away from the ends"),
    "exp": ((0.0,), _POSITIVE),
    "softplus": ((0.0,), _POSITIVE),
    "stick_breaking": ((0.0,), _PROPORTIONS),
}


def _last(bijection: Bijection) -> str:
    """The kind of the bijection that comes last; what maps onto a bounded range can only stand there."""
    if isinstance(bijection, Composition):
        return _last(bijection.parts[-1]) if bijection.parts else ""
    return bijection.kind if isinstance(bijection, Block) else ""


def _only_orders(bijection: Bijection) -> bool:
    if isinstance(bijection, Composition):
        return all(_only_orders(part) for part in bijection.parts)
    return isinstance(bijection, Block) and ENTRIES[bijection.kind].moves


def _of_family(kind: str, numbers: Mapping[str, float]) -> list[Rule]:
    if kind in ("Poisson", "Geometric", "NegativeBinomial"):
        return [(lambda v: v < 0, f"{kind} is a law of counts, from 0 on", _COUNTS)]
    if kind == "Multinomial":
        below_zero: Rule = (lambda v: v < 0, "Multinomial is a law of counts, from 0 on", _COUNTS)
        return [below_zero, *([_total(numbers["total_count"])] if "total_count" in numbers else [])]
    if kind == "LogNormal":
        return [(lambda v: v <= 0, "LogNormal is a law of values above 0", _POSITIVE)]
    if kind in ("Exponential", "HalfNormal", "HalfCauchy"):
        return [(lambda v: v < 0, f"{kind} is a law of values from 0 on", _POSITIVE)]
    if kind == "Gamma":
        below: Rule = (lambda v: v < 0, "Gamma is a law of values from 0 on", _POSITIVE)
        return [below, *_end(kind, numbers, "concentration", 0.0, _POSITIVE)]
    if kind == "Beta":
        outside: Rule = (lambda v: (v < 0) | (v > 1), "Beta is a law of values from 0 to 1", _INSIDE)
        ends = (("concentration1", 0.0), ("concentration0", 1.0))
        return [outside, *(rule for name, end in ends for rule in _end(kind, numbers, name, end, _INSIDE))]
    if kind == "Dirichlet":
        return _end(kind, numbers, "concentration", 0.0, _PROPORTIONS)
    if kind == "Uniform" and {"low", "high"} <= numbers.keys():
        low, high = numbers["low"], numbers["high"]
        return [(lambda v: (v < low) | (v > high), f"Uniform is a law of values from {low:g} to {high:g}", "")]
    return []


def _total(draws: float) -> Rule:
    """The counts of so many draws add up to their number."""
    why = f"rows of Multinomial({draws:g}, ...) add up to {draws:g}"
    help_ = "how many there are in each row: observed n : natural from total(...)   Multinomial(n, ...)"
    # Where some counts are missing, no more than so many are seen.
    return lambda v: np.where(np.isnan(v).any(-1), np.nansum(v, -1) > draws, v.sum(axis=-1) != draws), why, help_


def _end(kind: str, numbers: Mapping[str, float], name: str, end: float, help_: str) -> list[Rule]:
    """x^(c - 1) at x = 0: 0 for a number c above 1, infinite below, and 1 for c = 1."""
    c = numbers.get(name, 1.0)
    if c == 1:
        return []
    has = "density 0" if c > 1 else "an infinite density"
    return [(lambda v: v == end, f"{kind} has {has} at {end:g} where its {name} is {c:g}", help_)]
