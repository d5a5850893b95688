"""What a run keeps of the data of its variables: names, classes and transforms, so that other rows can be read as those
of the fit were, and what the model gives is told in the data's own units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.column import Transform
from dgmppl.data.forms import DATES, NUMBERS, Form, read_form
from dgmppl.data.rows import Array
from dgmppl.data.transforms import TRANSFORMS, Dates

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type


_FLOATS = np.finfo(np.float64)
_SECONDS = 86_400


@dataclass(frozen=True)
class Field:
    """The data of one variable.

    Attributes:
        name: of the variable.
        type: its declared one, in the model's units.
        source: where its values come from, as the spec says.
        shape: of a row in the data, before all transforms.
        columns: names of the columns that a row is read from; none where it is no part of a table.
        classes: the texts that the values 0, 1, ... stand for; none where they are numbers.
        transforms: in the order in which they are applied, with what they took from the data.
        data_form: what the values in the data are, whatever the type of the variable.
    """

    name: str
    type: Type
    source: DataSource
    shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    data_form: Form = NUMBERS

    @property
    def transform_names(self) -> tuple[str, ...]:
        """What the transforms are called in the spec."""
        return tuple(name for name, _ in self.source.transforms)

    @property
    def invertible(self) -> bool:
        """Whether its values can be told in the units of the data; else they stay as the model has them."""
        return all(t.invertible for t in self.transforms)

    @property
    def affine(self) -> bool:
        """Whether the units of the data are those of the model, or an affine function of them."""
        return not self.invertible or all(t.affine for t in self.transforms)

    @property
    def dates(self) -> bool:
        """Whether the data have dates, which are days to all that computes."""
        return any(isinstance(t, Dates) for t in self.transforms)

    @property
    def in_numbers(self) -> Field:
        """The same with numbers alone: of classes, and days of dates."""
        kept = tuple(t for t in self.transforms if not isinstance(t, Dates))
        return replace(self, classes=(), transforms=kept, data_form=NUMBERS)

    @cached_property
    def form(self) -> Form:
        """What every value of the variable is in the units of the data: as the data have it, where a value of its type
        is nothing else."""
        kind, support = self.data_form.kind, self.type.support
        if not self.invertible:
            return NUMBERS
        if self.dates:
            return self.data_form if kind in DATES else Form("date text" if self._days_of_fit.whole else "time text")
        if self.classes:
            return self.data_form if kind == "classes" else NUMBERS
        if kind == "single":
            return self.data_form
        if kind not in ("truth", "whole") or not support.discrete:
            return NUMBERS
        if kind == "truth" and (support.low or support.size != 2):
            return NUMBERS
        first = support.feasible()
        told = self.in_numbers.invert(np.stack([np.full(self.type.shape, first), np.full(self.type.shape, first + 1)]))
        same = np.isin(told, (0, 1)) if kind == "truth" else told == np.round(told)
        return self.data_form if bool(same.all()) else NUMBERS

    def apply(self, values: Array) -> Array:
        """Values in the units of the data, (n, *shape), as the model has them, (n, *type.shape)."""
        for transform in self.transforms:
            values = transform.apply(values)
        return values

    def invert(self, values: NDArray[Any], means: bool = False) -> NDArray[Any]:
        """Values of the model in the units of the data and in the form that they have there: truth values, whole
        numbers and numbers in single precision as such, others in double precision; dates, or texts of them; classes
        that have names as texts, None where one is missing. Values behind a transform that has no inverse stay as they
        are. Finite values are told by such as the data may have: transforms take them again. `means`: whether they are
        means, which of whole numbers need not be whole."""
        found: NDArray[Any] = np.asarray(values, dtype=np.float64)
        if not self.invertible:
            return found
        finite = np.isfinite(found)
        with np.errstate(over="ignore"):
            for transform in reversed(self.transforms):
                found = transform.invert(found)
        if found.dtype.kind == "f" and not self.affine:
            found = np.where(finite.reshape(found.shape), self._taken(found), found)
        return self.named(found, means)

    def _taken(self, values: Array) -> Array:
        """Values in the units of the data. Those that were rounded to what a transform does not take, as 1e-20 - 1 is
        under log(x + 1), are moved inside, by as little as is needed; those that overflow are the largest numbers."""
        inside = np.zeros((1, *self.type.shape))
        for transform in reversed(self.transforms):
            inside = transform.invert(inside)
        # In single precision numbers round to the ends of what a transform takes that double precision tells from them.
        dtype = np.float32 if self.form.kind == "single" else np.float64
        largest = np.finfo(dtype).max
        values = found = np.clip(values, -largest, largest)
        for bits in range(_FLOATS.nmant, 0, -1):
            outside = self._outside(found.astype(dtype).astype(np.float64))
            if not outside.any():
                break
            found = np.where(outside, values + (inside - values) * 0.5**bits, found)
        return found

    def _outside(self, values: Array) -> NDArray[np.bool_]:
        """Which of some values in the units of the data a transform does not take."""
        found, behind = np.zeros(values.shape, dtype=np.bool_), values
        with np.errstate(all="ignore"):
            for transform in self.transforms:
                outside = transform.outside(behind)
                if outside.shape == behind.shape:  # else it is of rows
                    found |= outside.reshape(values.shape)
                behind = transform.apply(behind)
        return found

    @property
    def rescales(self) -> bool:
        """Whether a density of its values is another one in the units of the data: not of what is counted."""
        return self.invertible and not self.type.support.discrete and bool(self.in_numbers.transforms)

    def log_derivative(self, values: NDArray[Any]) -> Array:
        """log |dv/du| of each of the values v of the model, (n, *type.shape), where u is in the units of the data; 0
        of what is missing. In these the log-density of a row is larger by the sum: of the numbers of a vector that add
        up one follows from the others, and each has its share."""
        behind: Array = np.asarray(values, dtype=np.float64)
        found = np.zeros(behind.shape)
        for transform in reversed(self.in_numbers.transforms if self.rescales else ()):
            found = found + transform.log_derivative(behind).reshape(found.shape)
            behind = transform.invert(behind)
        length = self.type.shape[-1] if self.type.shape else 1
        return np.where(np.isnan(values), 0.0, found * (self.type.support.free(length) / length))

    def named(self, values: NDArray[Any], means: bool = False) -> NDArray[Any]:
        """Numbers in the units of the data in the form that they have there, as `invert` gives them; dates to the day
        or to the second, as the fit's are."""
        if means and self.form.kind == "whole":
            return values
        return self.as_given(self._rounded(values) if self.dates and self.invertible else values)

    def as_given(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same of numbers that were given, to their last digit."""
        if not self.classes:
            return self.form.told(values)
        size = self.type.support.size or 0
        without_name = (str(number) for number in range(len(self.classes), size))
        texts = np.array([*self.classes, *without_name, None], dtype=object)
        known = np.isfinite(values)
        return np.asarray(texts[np.where(known, values, len(texts) - 1).astype(np.int64)])

    @property
    def _days_of_fit(self) -> Dates:
        return next(t for t in self.transforms if isinstance(t, Dates))

    def _rounded(self, days: Array) -> Array:
        """Days, or seconds where the fit's were no whole days: the model knows no more of them."""
        days = np.asarray(days, dtype=np.float64)
        return np.round(days) if self._days_of_fit.whole else np.round(days * _SECONDS) / _SECONDS

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each element of a row in a table: its column's, else `x[0, 1]` or `x`."""
        shape = self.shape if self.invertible else self.type.shape
        size = int(np.prod(shape))
        if len(self.columns) == size:
            return self.columns
        return element_labels(self.name, shape)

    def as_data(self) -> dict[str, Any]:
        """What the spec does not say, as JSON has it."""
        return {
            "shape": list(self.shape),
            **({"columns": list(self.columns)} if self.columns else {}),
            **({"classes": list(self.classes)} if self.classes else {}),
            **({"form": self.data_form.as_data()} if self.data_form.kind else {}),
            "transforms": [{"name": name, **t.as_data()} for name, t in zip(self.transform_names, self.transforms)],
        }


def element_labels(name: str, shape: Sequence[int]) -> tuple[str, ...]:
    """The name of each element of a value: `x` of a number, `x[0]`, `x[1]`, ... of a vector, `x[0, 1]` of a grid."""
    if not shape:
        return (name,)
    return tuple(f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape))


def read_field(name: str, type_: Type, source: DataSource, data: Any) -> Field:
    """The field of which `as_data` gave this.

    Raises:
        ValueError: when it is something else, or the spec has other transforms.
    """
    if not isinstance(data, Mapping):
        raise ValueError("it is no object")
    shape = data.get("shape", [])
    if not isinstance(shape, list) or not all(type(s) is int and s >= 0 for s in shape):
        raise ValueError("its shape is none")
    transforms = data.get("transforms")
    if not isinstance(transforms, list) or not all(isinstance(t, Mapping) for t in transforms):
        raise ValueError("it has no list of transforms")
    asked = [n for n, _ in source.transforms]
    if [t.get("name") for t in transforms] != asked:
        raise ValueError(f"its transforms are not those of the spec, {', '.join(asked) or 'none'}")
    found = []
    for transform in transforms:
        constants = {key: value for key, value in transform.items() if key != "name"}
        try:
            found.append(TRANSFORMS[transform["name"]].from_data(constants))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{transform['name']}: {error}") from None
    _verify_fit(tuple(shape), type_, found)
    columns, classes = _texts(data.get("columns", [])), _texts(data.get("classes", []))
    form = read_form(data.get("form"))
    return Field(name, type_, source, tuple(shape), columns, classes, tuple(found), form)


def _verify_fit(shape: tuple[int, ...], type_: Type, transforms: Sequence[Transform]) -> None:
    """Raises a ValueError when transforms do not map a row of the data to one of the type."""
    behind = shape
    for transform in transforms:
        behind = transform.shape(behind)
    if behind != type_.shape:
        raise ValueError(f"its rows have the shape {list(behind)}, not {list(type_.shape)}")
    for name, values in ((n, v) for t in transforms for n, v in vars(t).items() if isinstance(v, np.ndarray)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} is not finite")
    try:
        with np.errstate(all="ignore"):
            row = np.ones((1, *shape))
            for transform in transforms:
                row = transform.apply(row)
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"its transforms do not fit: {error}") from None


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError("a list of texts is expected")
    return tuple(value)
