"""Ends: between which numbers the elements of a value lie, as far as its arithmetic tells, and whether it takes them.

Interval arithmetic (Moore, 1966) with open and closed ends: each operation is enclosed by itself, so that values which
go together, as in ``x - x``, are enclosed in more than they take.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dgmppl.catalogue.functions import FUNCTIONS, STRAIGHT_THROUGH
from dgmppl.graph.nodes import Graph, Schedule
from dgmppl.graph.numbers import Index, NoResult, NotClosed, numbers
from dgmppl.graph.values import (
    Apply,
    At,
    Constant,
    Declared,
    Dropped,
    Element,
    Feature,
    IndexSum,
    Joined,
    Operation,
    Part,
    Position,
    Reduced,
    Reshaped,
    Softmax,
    Use,
    Value,
)
from dgmppl.supports import REAL, Support

INF = math.inf


@dataclass(frozen=True)
class Ends:
    """From `low` to `high`; `least` and `most`: whether a value may be the one and the other."""

    low: float
    high: float
    least: bool = True
    most: bool = True

    @property
    def positive(self) -> bool:
        """Whether all of it is above 0."""
        return self.low > 0 or (self.low == 0 and not self.least)

    @property
    def reaches_zero(self) -> bool:
        """Whether 0 is in it."""
        if self.low < 0 < self.high:
            return True
        return (self.low == 0 and self.least) or (self.high == 0 and self.most)

    def within(self, others: Ends) -> bool:
        """Whether all of it lies between others."""
        above = self.low > others.low or (self.low == others.low and (others.least or not self.least))
        return above and (self.high < others.high or (self.high == others.high and (others.most or not self.most)))


LINE = Ends(-INF, INF, False, False)
_ZERO = Ends(0.0, 0.0)


@dataclass(frozen=True)
class Places:
    """The positions of an index at which a value is wanted, the first and the last, and how many there are."""

    first: int
    last: int
    count: int


def of_support(support: Support) -> Ends:
    """Between which numbers the elements of a support lie."""
    low, high = support.ends
    return Ends(low, high, not support.open and not math.isinf(low), not math.isinf(high))


def ends_of(graph: Graph, value: Value, places: Places | None = None) -> Ends:
    """Between which numbers the elements of a value lie, at some `places` of an index where it has one for each."""
    known = _numbers(graph, value, places)
    if known is not None:
        return known
    rule = _RULES.get(type(value))
    return of_support(value.type.support) if rule is None else rule(graph, value, places)


def _numbers(graph: Graph, value: Value, places: Places | None) -> Ends | None:
    """The ends of what is a number at each place; None for what is more."""
    if places is None or not isinstance(value, (At, Operation)):
        return None
    schedules = {p.name: p for p in graph.parameters if isinstance(p, Schedule)}
    try:
        found = numbers(value, Index(places.first, places.last, schedules))
    except (NotClosed, NoResult):
        return None
    return _hull([Ends(n, n) for n in found if n is not None] or [LINE])


def _hull(parts: list[Ends]) -> Ends:
    low, high = min(p.low for p in parts), max(p.high for p in parts)
    least, most = any(p.least for p in parts if p.low == low), any(p.most for p in parts if p.high == high)
    return Ends(low, high, least, most)


# --- what stands for itself ----------------------------------------------------------------------


def _use(graph: Graph, value: Use, places: Places | None) -> Ends:
    variable, definition = graph[value.variable], graph.definition(value.variable)
    found = of_support(value.type.support)
    if variable.role == "let" and definition is not None:
        computed = ends_of(graph, definition.value)
        return computed if computed.within(found) else found  # what is not as it is declared is reported for itself
    # A draw of a density is no end of a range: that has probability 0.
    drawn = variable.role == "latent" and not value.type.support.discrete
    return Ends(found.low, found.high, found.least and not drawn, found.most and not drawn)


def _declared(graph: Graph, value: Declared, places: Places | None) -> Ends:
    schedule = next((p for p in graph.parameters if isinstance(p, Schedule) and p.name == value.name), None)
    return of_support(value.type.support) if schedule is None else _hull([Ends(n, n) for n in schedule.numbers])


def _apply(graph: Graph, value: Apply, places: Places | None) -> Ends:
    """A network's output: as its last activation has it."""
    if value.type.support != REAL:  # it passes through a link, which takes no end
        ends = of_support(value.type.support)
        return Ends(ends.low, ends.high, False, False)
    return LINE if value.module.own else ENDS.get(value.module.out, LINE)


def _position(graph: Graph, value: Position, places: Places | None) -> Ends:
    if places is not None and value.axis == 0:
        return Ends(float(value.start + places.first), float(value.start + places.last))
    return Ends(float(value.start), float(value.start + value.extent[value.axis] - 1))


def _at(graph: Graph, value: At, places: Places | None) -> Ends:
    """What stands so far from a position: 0 where there is nothing."""
    inner = ends_of(graph, value.value)
    (by, *others) = value.offsets
    beyond = any(others) or places is None or places.first + by < 0 or places.last + by >= places.count
    return _hull([inner, _ZERO]) if beyond and not value.here else inner


def _feature(graph: Graph, value: Feature, places: Places | None) -> Ends:
    found, count = of_support(value.type.support), value.extent[0]
    computed = ends_of(graph, value.body, Places(0, count - 1, count) if len(value.extent) == 1 else None)
    return computed if computed.within(found) else found


# --- parts, and what is taken together -----------------------------------------------------------


def _inside(graph: Graph, value: Part | Reshaped | Element, places: Places | None) -> Ends:
    return ends_of(graph, value.value, places)


def _dropped(graph: Graph, value: Dropped, places: Places | None) -> Ends:
    return _hull([ends_of(graph, value.value, places), _ZERO])


def _joined(graph: Graph, value: Joined, places: Places | None) -> Ends:
    return _hull([ends_of(graph, p, places) for p in value.parts])


def _softmax(graph: Graph, value: Softmax, places: Places | None) -> Ends:
    return Ends(0.0, 1.0, False, value.shape[-1] == 1)


def _sum(terms: Ends) -> Ends:
    """A sum of one or more terms."""
    low = Ends(terms.low, INF, terms.least) if terms.low >= 0 else LINE
    return Ends(low.low, terms.high if terms.high <= 0 else INF, low.least, terms.high <= 0 and terms.most)


def _reduced(graph: Graph, value: Reduced, places: Places | None) -> Ends:
    inner = ends_of(graph, value.value, places)
    if value.op == "mean":
        return inner
    return _sum(inner) if value.op == "sum" else Ends(inner.low, INF, inner.least, False)  # logsumexp: at least max


def _index_sum(graph: Graph, value: IndexSum, places: Places | None) -> Ends:
    return _sum(ends_of(graph, value.body, places))


# --- arithmetic ----------------------------------------------------------------------------------


def _operation(graph: Graph, value: Operation, places: Places | None) -> Ends:
    parts = [ends_of(graph, operand, places) for operand in value.operands]
    if value.op in ("*", "@"):
        first, second = value.operands
        # Of a matrix and itself `@` multiplies different elements.
        square = first == second and (value.op == "*" or len(first.shape) == 1)
        product = _whole_power(parts[0], 2) if square else _times(*parts)
        return product if value.op == "*" else _sum(product)
    rule = _ARITHMETIC.get(value.op)
    return of_support(value.type.support) if rule is None else rule(*parts)


def _negate(a: Ends) -> Ends:
    return Ends(-a.high, -a.low, a.most, a.least)


def _plus(a: Ends, b: Ends) -> Ends:
    return Ends(a.low + b.low, a.high + b.high, a.least and b.least, a.most and b.most)


def _times(a: Ends, b: Ends) -> Ends:
    sides = [((x, p), (y, q)) for x, p in _both(a) for y, q in _both(b)]
    corners = [_corner(x, p, y, q) for (x, p), (y, q) in sides]
    return _hull(corners)


def _both(a: Ends) -> tuple[tuple[float, bool], tuple[float, bool]]:
    return (a.low, a.least), (a.high, a.most)


def _corner(x: float, x_taken: bool, y: float, y_taken: bool) -> Ends:
    if x == 0 or y == 0:
        taken = (x == 0 and x_taken) or (y == 0 and y_taken)
        return Ends(0.0, 0.0, taken, taken)
    taken = x_taken and y_taken
    return Ends(x * y, x * y, taken, taken)


def _over(a: Ends, b: Ends) -> Ends:
    if b.reaches_zero or b.low < 0 < b.high:
        return LINE
    low = 1 / b.high if b.high else -INF
    high = 1 / b.low if b.low else INF
    return _times(a, Ends(low, high, b.most and not math.isinf(b.high), b.least))


def _power(a: Ends, b: Ends) -> Ends:
    if b.low == b.high and float(b.low).is_integer() and b.low:
        found = _whole_power(a, abs(int(b.low)))
        return found if b.low > 0 else _over(Ends(1.0, 1.0), found)
    return _exp(_times(_log(a), b)) if a.low >= 0 else LINE


def _whole_power(a: Ends, k: int) -> Ends:
    return _increasing(lambda v: v**k, -INF, INF)(a if k % 2 else _abs(a))


def _abs(a: Ends) -> Ends:
    if a.low >= 0:
        return a
    if a.high <= 0:
        return _negate(a)
    return Ends(0.0, max(-a.low, a.high), True, a.least if -a.low > a.high else a.most)


def _floor(a: Ends) -> Ends:
    """The largest whole number below or at each; an end that is open and whole is not reached from below."""
    low = a.low if math.isinf(a.low) else float(math.floor(a.low))
    high = a.high if math.isinf(a.high) else float(math.floor(a.high))
    return Ends(low, high, not math.isinf(low), not math.isinf(high))


def _increasing(of: Callable[[float], float], lowest: float, highest: float) -> Callable[[Ends], Ends]:
    """An increasing function, with its limits at both ends of the line."""

    def at(number: float) -> float:
        if math.isinf(number):
            return lowest if number < 0 else highest
        try:
            return float(of(number))
        except OverflowError:
            return highest

    return lambda a: Ends(at(a.low), at(a.high), a.least, a.most and not math.isinf(at(a.high)))


def _log_of(number: float) -> float:
    return math.log(number) if number > 0 else -INF


_exp = _increasing(FUNCTIONS["exp"].of_number, 0.0, INF)
_log = _increasing(_log_of, -INF, INF)
_WAVE = Ends(-1.0, 1.0)

_ARITHMETIC: dict[str, Callable[..., Ends]] = {
    "negate": _negate,
    "+": _plus,
    "-": lambda a, b: _plus(a, _negate(b)),
    "/": _over,
    "^": _power,
    "sum": _sum,
    "exp": _exp,
    "log": _log,
    "sqrt": _increasing(lambda v: math.sqrt(max(v, 0.0)), 0.0, INF),
    "tanh": _increasing(math.tanh, -1.0, 1.0),
    "sigmoid": _increasing(FUNCTIONS["sigmoid"].of_number, 0.0, 1.0),
    "softplus": _increasing(FUNCTIONS["softplus"].of_number, 0.0, INF),
    "relu": lambda a: Ends(max(a.low, 0.0), max(a.high, 0.0), a.low < 0 or a.least, a.high <= 0 or a.most),
    "abs": _abs,
    "sin": lambda a: _WAVE,
    "cos": lambda a: _WAVE,
    "floor": _floor,
    STRAIGHT_THROUGH: lambda a: a,
}

# Where a network lands whose last activation is one of these.
ENDS = {
    "tanh": Ends(-1.0, 1.0, False, False),
    "sigmoid": Ends(0.0, 1.0, False, False),
    "softplus": Ends(0.0, INF, False, False),
    "relu": Ends(0.0, INF, True, False),
}

_RULES: dict[type[Value], Callable[[Graph, Any, Places | None], Ends]] = {
    Constant: lambda graph, value, places: Ends(value.number, value.number),
    Use: _use,
    Declared: _declared,
    Apply: _apply,
    Position: _position,
    At: _at,
    Feature: _feature,
    Part: _inside,
    Reshaped: _inside,
    Element: _inside,
    Dropped: _dropped,
    Joined: _joined,
    Softmax: _softmax,
    Reduced: _reduced,
    IndexSum: _index_sum,
    Operation: _operation,
}
