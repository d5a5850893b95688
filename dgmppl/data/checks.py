"""Checks data against the declared type: shape first, then every value, naming the first that breaks it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.column import Column, Transform
from dgmppl.data.rows import Array, MappedRows, Origin, Rows, Values
from dgmppl.diagnostics import Diagnostic, Note, SpecError
from dgmppl.graph.scope import LARGEST
from dgmppl.supports import Support, number_text
from dgmppl.words import are, counted

if TYPE_CHECKING:
    from dgmppl.data.factor_support import Impossible
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

Mask = NDArray[np.bool_]
Missing = Literal["", "rows", "elements"]
"""What may be missing of a variable's values: nothing, whole rows, or elements one by one."""

# Numbers that often stand for a missing value.
_USUAL_MARK = re.compile(r"-[19]|-?99+")
# Rows that are read to tell what an array of the wrong shape might be.
_LOOKED_AT = 1000


def verify_shape(name: str, column: Column, declared: Type, source: DataSource) -> None:
    """Raises a SpecError when rows have another shape than the variable; nothing but a few rows is read for it."""
    for rows in column.parts.values():
        if rows.shape != declared.shape:
            headline = f"`{name}` is declared {declared.describe()}, but a row of {rows.origin.name} has shape"
            help_ = _shape_help(rows, declared)
            found = _shape(rows.shape)
            raise SpecError([Diagnostic("E505", f"{headline} {found}", source.span, found, help=help_)])
        verify_classes(name, rows.origin, declared, source)


def verify_classes(name: str, origin: Origin, declared: Type, source: DataSource) -> None:
    """Raises a SpecError when texts are declared anything but classes, or are more than the classes declared."""
    if not origin.classes:
        return
    texts = origin.classes
    some = ", ".join(f'"{text}"' for text in texts[:3]) + (", ..." if len(texts) > 3 else "")
    found = f"{origin.whole} holds text"
    if not declared.support.takes_text:
        headline = f"`{name}` is declared {declared.describe()}, but {found}: {some}"
        help_ = f"texts are classes: categorical({max(2, len(texts))})"
        raise SpecError([Diagnostic("E506", headline, source.span, "expected numbers", help=help_)])
    if len(texts) > (declared.support.size or 0):
        headline = f"`{name}` is declared {declared.describe()}, but {found} of {counted(len(texts), 'kind')}: {some}"
        raise SpecError(
            [Diagnostic("E506", headline, source.span, "too many classes", help=f"categorical({len(texts)})")]
        )


def checked_blocks(
    name: str,
    rows: Rows,
    declared: Type,
    source: DataSource,
    missing: Missing = "",
    impossible: Sequence[Impossible] = (),
) -> Iterator[tuple[int, Array, NDArray[np.float32]]]:
    """All rows in blocks, each with the position of its first row, as they are and as float32; every value is in the
    support.

    Where rows may be missing, a row is all there or all NaN; where elements may be, each is there or NaN.

    Raises:
        SpecError: naming the first row and column that break the type, or that the variable's factor leaves out.
    """
    for start, block in rows.blocks():
        present = np.arange(len(block))
        there = ~np.isnan(block)
        if missing == "rows":
            present = present[there.reshape(len(block), -1).any(axis=1)]
        whole = np.where(there, block, declared.feasible) if missing == "elements" else block
        problem = find_problem(whole[present], declared.support)
        if problem is not None:
            row, column, found, expected = problem
            number = rows.number(start + int(present[row]))
            place = rows.origin.place(number, column, declared.elements)
            headline = f"`{name}` is declared {declared.describe()}, but {place} is {found}"
            help_ = _value_help(declared.support, source, found, rows.origin.counted)
            if missing and source.is_file and _USUAL_MARK.fullmatch(found):
                help_ = f"{_missing_help(found, source)}; {help_}"
            if missing and found == "nan":
                expected = "a row is missing as a whole or not at all"
                help_ = f"declared `elementwise`, elements are missing one by one; {rows.origin.counted}"
            elif found == "nan":
                expected = f"expected a {'number' if declared.support.numeric else 'class'} in every row"
                help_ = f"a `partial` variable may be missing in some rows; {rows.origin.counted}"
                seen = there[int(present[row])].reshape(-1)
                if seen.any():
                    may = "elements of what is `partial ... elementwise` may be missing"
                    if not source.columns and (np.diff(seen.astype(np.int8)) <= 0).all():
                        may += f"; of sequences that end early, {name}[t in 1..n], what lies behind n is not read"
                    help_ = f"{may}; {rows.origin.counted}"
                if rows.origin.marks:
                    help_ = f"{_mark_help(rows.origin, source)}; {help_}"
            if found == "nan":
                headline = f"{headline.removesuffix(found)}{rows.origin.missing}"
            raise SpecError([Diagnostic("E506", headline, source.span, expected, help=help_)])
        rounded = block.astype(np.float32)
        for excluded in impossible:
            _verify_possible(name, rows, start, present, rounded[present], declared, source, excluded)
        yield start, block, rounded


class TakenRows(MappedRows):
    """Rows that a transform can be applied to: a block in which it cannot is refused when it is read."""

    def __init__(self, rows: Rows, name: str, transform: Transform, source: DataSource) -> None:
        super().__init__(rows, lambda values: values)
        self.name, self.transform, self.source = name, transform, source

    def read(self, start: int, stop: int) -> Values:
        """As of other rows.

        Raises:
            SpecError: (E508) naming the first row and column that the transform cannot be applied to.
        """
        values = self.rows.read(start, stop).astype(np.float64, copy=False)
        problem = _first(values, self.transform.outside(values), "")
        if problem is None:
            return values
        row, column, found, _ = problem
        place = self.rows.origin.place(self.rows.number(start + row), column, math.prod(self.shape))
        headline = f"{place} is {found}, and `{self.name}` takes {self.transform.takes}"
        help_ = "; ".join(part for part in (self.transform.mend, self.rows.origin.counted) if part)
        raise SpecError([Diagnostic("E508", headline, self.source.span, f"`{self.name}` of {found}", help=help_)])


def _verify_possible(
    name: str,
    rows: Rows,
    start: int,
    present: NDArray[np.int64],
    values: NDArray[np.float32],
    declared: Type,
    source: DataSource,
    excluded: Impossible,
) -> None:
    exact = values.astype(np.float64)
    problem = _first(exact, excluded.test(exact), "")
    if problem is None:
        return
    row, column, found, _ = problem
    place = rows.origin.place(rows.number(start + int(present[row])), column, declared.elements)
    headline = f"{place} is {found}, which has no place under {excluded.factor}: {excluded.why}"
    help_ = "; ".join(part for part in (excluded.help, rows.origin.counted) if part)
    notes = (Note(excluded.span, "whatever its parameters"),)
    raise SpecError([Diagnostic("E506", headline, source.span, f"`{name}` is {found}", notes=notes, help=help_)])


Problem = tuple[int, "tuple[int, ...] | None", str, str]


def find_problem(values: Array, support: Support) -> Problem | None:
    """Row, column (None: all of it), value and expectation of the first value outside the support; None: all inside."""
    with np.errstate(over="ignore"):
        single = np.isfinite(values.astype(np.float32))
    if not single.all():
        finite = np.isfinite(values)
        if not finite.all():
            return _first(values, ~finite, "expected a finite number")
        expected = f"expected a number up to {LARGEST:.1e}, the largest in single precision"
        return _first(values, ~single, expected)
    found = (_first(values, wrong, expected) for wrong, expected in support.faults(values))
    return next((problem for problem in found if problem is not None), None)


def _first(values: Array, wrong: Mask, expected: str) -> Problem | None:
    """The first true entry of `wrong`, which has an entry for each value or for each row."""
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    value = values[index]
    found = number_text(float(value)) if np.ndim(value) == 0 and np.isfinite(value) else str(value)
    return index[0], index[1:] if wrong.shape == values.shape else None, found, expected


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else "a single number"


def _shape_help(rows: Rows, declared: Type) -> str:
    shape = rows.shape
    if shape == (*declared.shape, declared.support.size) and _is_one_hot(rows.read(0, min(rows.count, _LOOKED_AT))):
        return "these are one-hot rows; a class is one number from 0 here: `numpy.argmax(array, axis=-1)`"
    if len(shape) > 1 and declared.shape == (math.prod(shape),):
        return "`flatten(...)` makes a row one vector"
    help_ = f"declare the variable {declared.support.describe()}{_shape(shape) if shape else ''}"
    if len(shape) == len(declared.shape) > 1 and shape[1:] == declared.shape[1:]:
        help_ += f", or as a family of {counted(shape[0], 'member')}: x[t in 1..{shape[0]}]"
    return help_


def _is_one_hot(values: Values) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(-1) == 1).all())


def _missing_help(found: str, source: DataSource) -> str:
    marks = (*(source.reading.missing or ()), float(found))
    way_out = replace(source, reading=replace(source.reading, missing=marks)).text
    return f"where it stands for a missing value: {way_out}"


def _mark_help(origin: Origin, source: DataSource) -> str:
    marks = " and ".join(f"`{mark}`" for mark in origin.marks)
    way_out = replace(source, reading=replace(source.reading, missing=("",))).text
    return f"{marks} stands for a missing value, unless it is in quotes, or the spec says {way_out}"


def taken_for_missing(name: str, origin: Origin, declared: Type, source: DataSource) -> Diagnostic | None:
    """A warning where texts were taken for missing values and fewer classes are left than are declared."""
    if not origin.marks or len(origin.classes) >= (declared.support.size or 0):
        return None
    marks = " and ".join(f"`{mark}`" for mark in origin.marks)
    many = f"{counted(len(origin.classes), 'class')} {are(len(origin.classes))}"
    headline = f"{marks} of {origin.name} is taken for a missing value, and {many} left"
    label = f"`{name}` is {declared.describe()}"
    return Diagnostic("W522", headline, source.span, label, help=_mark_help(origin, source), severity="warning")


def with_unseen(origin: Origin, declared: Type) -> tuple[str, ...]:
    """The classes of texts, with categories that no row has behind them where more are declared."""
    unseen = [word for word in origin.form.words if word not in origin.classes]
    more = max(0, (declared.support.size or 0) - len(origin.classes)) if origin.classes else 0
    return (*origin.classes, *unseen[:more])


def without_names(name: str, classes: tuple[str, ...], declared: Type, source: DataSource) -> Diagnostic | None:
    """A warning where more classes are declared than there are texts."""
    size = declared.support.size or 0
    if not classes or len(classes) >= size:
        return None
    headline = f"`{name}` is declared {declared.describe()}, and its column holds {counted(len(classes), 'class')}"
    told = f"class {len(classes)}" if size == len(classes) + 1 else f"classes {len(classes)} to {size - 1}"
    help_ = (
        f"categorical({len(classes)}), unless other rows have more; samples of what has no name are told by its number"
    )
    return Diagnostic("W526", headline, source.span, f"{told} without a name", help=help_, severity="warning")


def _value_help(support: Support, source: DataSource, found: str, counted: str) -> str:
    transform = support.transform()
    way_out = f"`{transform}` brings values into {support.describe()}" if transform else ""
    if any(name == "rescale" for name, _ in source.transforms):
        way_out = "`rescale` maps the range of the rows that it was fitted to, and this value lies beyond it"
        way_out += ": `rescale(clip(..., a, b), ...)` takes it as an end"
    if not support.numeric and found == str(support.size):
        way_out = "`shift(..., -1)` counts classes from 0 that the data count from 1"
    return "; ".join(part for part in (way_out, counted) if part)
