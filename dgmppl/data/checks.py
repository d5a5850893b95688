"""Checks data against the declared type: shape first, then every value, naming the first that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.transforms import Array, Column, Part
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.scope import LARGEST
from dgmppl.graph.supports import Support, number_text

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.graph.supports import Type

Mask = NDArray[np.bool_]

# Above this, float32 no longer tells neighbouring integers apart.
_LARGEST_INTEGER = 2**24


def verify_column(name: str, column: Column, declared: Type, source: DataSource) -> None:
    """Raises a SpecError that names the first offending row and column of a variable's data."""
    is_declared = f"`{name}` is declared {declared.describe()}"
    for part in column.parts.values():
        shape = part.values.shape[1:]
        if shape != declared.shape:
            headline = f"{is_declared}, but a row of {part.where} has shape {_shape(shape)}"
            help_ = _shape_help(part.values, declared)
            raise SpecError([Diagnostic("E505", headline, source.span, _shape(shape), help=help_)])
        problem = find_problem(part, declared.support)
        if problem is not None:
            place, found, expected = problem
            headline = f"{is_declared}, but {place} of {part.where} is {found}"
            help_ = _value_help(declared.support)
            raise SpecError([Diagnostic("E506", headline, source.span, expected, help=help_)])


def find_problem(part: Part, support: Support) -> tuple[str, str, str] | None:
    """Place, value and expectation of the first value outside the support; None when all are inside."""
    finite = np.isfinite(part.values)
    if not finite.all():
        return (*_locate(part, ~finite), "expected a finite number")
    with np.errstate(over="ignore"):
        single = np.isfinite(part.values.astype(np.float32))
    if not single.all():
        return (*_locate(part, ~single), f"expected a number up to {LARGEST:.1e}, the largest in single precision")
    if support.name in _ROW_RULES:
        holds, expected = _ROW_RULES[support.name]
        return _first(part, ~holds(part.values), expected)
    rule, expectation = _RULES[support.name]
    if support.name == "integer":
        large = _bounded(part.values, support) & (np.abs(part.values) > _LARGEST_INTEGER)
        if large.any():
            return (
                *_locate(part, large),
                f"expected whole numbers up to {_LARGEST_INTEGER}, exact in single precision",
            )
    return _first(part, ~rule(part.values, support), expectation(support))


def _first(part: Part, wrong: Mask, expected: str) -> tuple[str, str, str] | None:
    return (*_locate(part, wrong), expected) if wrong.any() else None


def _locate(part: Part, wrong: Mask) -> tuple[str, str]:
    """Row and column (counted from 0, as numpy does) of the first true entry, and the value there."""
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    row, column = index[0], index[1:]
    value = part.values[index]
    found = number_text(float(value)) if np.ndim(value) == 0 and np.isfinite(value) else str(value)
    if column and wrong.shape == part.values.shape:
        where = str(column[0]) if len(column) == 1 else str(column)
        return f"row {part.first_row + row}, column {where}", found
    return f"row {part.first_row + row}", found


def _integral(values: Array) -> Mask:
    return (values == np.round(values)) & (np.abs(values) <= _LARGEST_INTEGER)


def _bounded(values: Array, support: Support) -> Mask:
    low = -np.inf if support.low is None else support.low
    high = np.inf if support.high is None else support.high
    return (values >= low) & (values <= high)


_RULES: Mapping[str, tuple[Callable[[Array, Support], Mask], Callable[[Support], str]]] = {
    "real": (lambda v, s: np.isfinite(v), lambda s: "expected a number"),
    "positive": (lambda v, s: v > 0, lambda s: "expected a value above 0"),
    "unit": (lambda v, s: (v >= 0) & (v <= 1), lambda s: "expected a value from 0 to 1"),
    "interval": (_bounded, lambda s: f"expected a value in {s.describe()}"),
    "binary": (lambda v, s: (v == 0) | (v == 1), lambda s: "expected 0 or 1"),
    "integer": (lambda v, s: _integral(v) & _bounded(v, s), lambda s: f"expected a value in {s.describe()}"),
    "categorical": (
        lambda v, s: _integral(v) & (v >= 0) & (v < (s.size or 0)),
        lambda s: f"expected a class from 0 to {(s.size or 0) - 1}",
    ),
}

# Supports of a whole vector, along the last axis. The tolerance is that of sums in float32.
_ROW_RULES: Mapping[str, tuple[Callable[[Array], Mask], str]] = {
    "simplex": (
        lambda v: (v >= 0).all(-1) & (np.abs(v.sum(-1) - 1) < 1e-4),
        "expected numbers from 0 that sum to 1",
    ),
    "sphere": (lambda v: np.abs((v**2).sum(-1) - 1) < 1e-4, "expected a vector of length 1"),
}


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else "a single number"


def _shape_help(values: Array, declared: Type) -> str:
    shape = values.shape[1:]
    if shape == (*declared.shape, declared.support.size) and _is_one_hot(values):
        return "these are one-hot rows; a class is one number from 0 here: `numpy.argmax(array, axis=-1)`"
    if len(shape) > 1 and int(np.prod(shape)) == declared.elements:
        return "`flatten(...)` makes a row one vector"
    return f"declare the variable {declared.support.describe()}{_shape(shape) if shape else ''}"


def _is_one_hot(values: Array) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(-1) == 1).all())


def _value_help(support: Support) -> str:
    counted = "rows and columns are counted from 0"
    if support.name == "binary":
        return f"`threshold(..., t)` makes values binary; {counted}"
    if support.name in ("interval", "unit") and support.low is not None and support.high is not None:
        bounds = f"{number_text(support.low)}, {number_text(support.high)}"
        return f"`rescale(..., {bounds})` brings values into the range; {counted}"
    return counted
