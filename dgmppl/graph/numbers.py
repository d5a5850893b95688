"""Numbers along an index, computed in double precision from what is known when a model is built: constants, the index,
schedules; and values that are affine in one variable with such numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dgmppl.catalogue.functions import FUNCTIONS
from dgmppl.catalogue.schedules import SCHEDULES
from dgmppl.graph.nodes import Schedule
from dgmppl.graph.values import At, Constant, Cumulative, Declared, OneHot, Operation, Position, Scheduled, Use, Value


class NotClosed(Exception):
    """A value depends on more than numbers."""


class NoResult(Exception):
    """Arithmetic without a result, at a position of the index."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


@dataclass(frozen=True)
class Affine:
    """`slope` times a variable, plus `shift`."""

    slope: float
    shift: float


@dataclass(frozen=True)
class Index:
    """The positions of an index, from `first` to `last`, at which numbers are wanted; what schedules are called; and
    the `variable` that values may be affine in, `offset` away from the position: in `one_hot` of it if `classes`, and
    then at the class `one`, that a `one_hot` of a number may be of."""

    first: int
    last: int
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    variable: str = ""
    offset: int = 0
    classes: bool = False
    one: float = -1.0

    @property
    def positions(self) -> range:
        return range(self.first, self.last + 1)


def affine(value: Value, index: Index) -> list[Affine | None]:
    """What a value is at each position: affine in the variable of the index, with numbers; None where a schedule that
    it reads has none.

    Raises:
        NotClosed: it depends on anything else, or on the variable in another way.
        NoResult: arithmetic has none.
    """
    rule = _RULES.get(type(value))
    if rule is None:
        raise NotClosed
    return rule(value, index)


def numbers(value: Value, index: Index) -> list[float | None]:
    """What a value that depends on no variable is at each position. Raises as `affine` does."""
    found = affine(value, index)
    if any(a is not None and a.slope for a in found):
        raise NotClosed
    return [None if a is None else a.shift for a in found]


def _constant(value: Constant, index: Index) -> list[Affine | None]:
    return [Affine(0.0, value.number) for _ in index.positions]


def _position(value: Position, index: Index) -> list[Affine | None]:
    return [Affine(0.0, float(k + value.start)) for k in index.positions]


def _at(value: At, index: Index) -> list[Affine | None]:
    inner, offset = value.value, value.offsets[0]
    same = isinstance(inner, Use) and inner.variable == index.variable and offset == index.offset
    if same and not index.classes:
        return [Affine(1.0, 0.0) for _ in index.positions]
    schedule = index.schedules.get(inner.name) if isinstance(inner, Declared) else None
    if schedule is None:
        raise NotClosed
    known = schedule.numbers
    places = (k + offset for k in index.positions)
    return [Affine(0.0, known[k]) if 0 <= k < len(known) else None for k in places]


def _scheduled(value: Scheduled, index: Index) -> list[Affine | None]:
    try:
        found = SCHEDULES[value.kind].numbers(value.count, *value.arguments)
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        raise NoResult(index.first) from None
    return [Affine(0.0, found[k]) for k in index.positions]


def _cumulative(value: Cumulative, index: Index) -> list[Affine | None]:
    product, found = 1.0, []
    whole = Index(0, index.last, index.schedules)
    for number in numbers(value.value, whole):
        product *= 1.0 if number is None else number
        found.append(Affine(0.0, product))
    return [found[k] for k in index.positions]


def _one_hot(value: OneHot, index: Index) -> list[Affine | None]:
    """The indicators of a class: what is done to them is done to each."""
    inner = value.value
    if index.classes and isinstance(inner, Constant):
        return [Affine(0.0, float(inner.number == index.one)) for _ in index.positions]
    read = inner.value if isinstance(inner, At) and inner.offsets[0] == index.offset else None
    if not index.classes or not isinstance(read, Use) or read.variable != index.variable or read.type.support.low:
        raise NotClosed
    return [Affine(1.0, 0.0) for _ in index.positions]


def _operation(value: Operation, index: Index) -> list[Affine | None]:
    operands = [affine(o, index) for o in value.operands]
    found: list[Affine | None] = []
    for position, each in zip(index.positions, zip(*operands)):
        known = [a for a in each if a is not None]
        try:
            found.append(_result(value.op, known) if len(known) == len(each) else None)
        except (ZeroDivisionError, OverflowError, ValueError, TypeError):
            raise NoResult(position) from None
    return found


def _result(op: str, operands: list[Affine]) -> Affine:
    first, *others = operands
    if op == "negate":
        return Affine(-first.slope, -first.shift)
    if op in FUNCTIONS and not others and not first.slope:
        return Affine(0.0, float(FUNCTIONS[op].of_number(first.shift)))
    if op in "+-" and others:
        sign = 1.0 if op == "+" else -1.0
        return Affine(first.slope + sign * others[0].slope, first.shift + sign * others[0].shift)
    if op == "*" and not (first.slope and others[0].slope):
        by, of = (others[0], first) if first.slope else (first, others[0])
        return Affine(by.shift * of.slope, by.shift * of.shift)
    if op == "/" and not others[0].slope:
        return Affine(first.slope / others[0].shift, first.shift / others[0].shift)
    if op == "^" and not (first.slope or others[0].slope):
        power = first.shift ** others[0].shift
        if isinstance(power, complex):
            raise ValueError
        return Affine(0.0, float(power))
    raise NotClosed


_RULES: dict[type[Value], Callable[[Any, Index], list[Affine | None]]] = {
    Constant: _constant,
    Position: _position,
    At: _at,
    Scheduled: _scheduled,
    Cumulative: _cumulative,
    OneHot: _one_hot,
    Operation: _operation,
}
