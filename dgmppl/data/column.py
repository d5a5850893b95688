"""Columns of data, and what a transform of them is: fitted to rows, applied to values, and undone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.rows import Array, MappedRows, Rows

if TYPE_CHECKING:
    from typing_extensions import Self

Shape = tuple[int, ...]
Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Column:
    """One field, split; `low` and `high` bound its values where its declaration says so.

    `classes` is how many values the variable can have that is read from it; 0 where that is no finite number. `place`
    tells it from others that are parts of the same field.
    """

    parts: Mapping[str, Rows]
    low: float | None = None
    high: float | None = None
    classes: int = 0
    place: int = 0

    @property
    def shape(self) -> Shape:
        return next(iter(self.parts.values())).shape

    def span(self) -> tuple[float, float]:
        """The declared bounds; where there are none, the extremes of all rows."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        low, high = math.inf, -math.inf
        for rows in self.parts.values():
            for _, block in rows.blocks():
                found = block[np.isfinite(block)]
                if found.size:
                    low, high = min(low, float(found.min())), max(high, float(found.max()))
        return low, high


class Transform:
    """A transform with what it took from the rows that it was fitted to: a function of values, and its inverse.

    A subclass is a frozen dataclass whose fields are numbers and arrays: a run keeps them as JSON.
    """

    invertible: ClassVar[bool] = True
    """Whether `invert` brings values into the units of the data."""
    affine: ClassVar[bool] = False
    """Whether `invert` is affine in each value: deviations are scaled by it."""
    lossless: ClassVar[bool] = True
    """Whether `invert` gives back what `apply` was given; else only what lies within what `apply` gives."""
    takes: ClassVar[str] = ""
    """What it can be applied to, in words: "numbers above 0"; "" for every number."""
    mend: ClassVar[str] = ""
    """What a spec may say where the data hold something else."""

    @classmethod
    def fit(cls, column: Column, *numbers: float) -> Self:
        """The transform of a column, with the numbers that the spec gives it.

        Raises:
            ValueError: when the values allow no such transform; the text says why.
        """
        return cls(*numbers)

    def outside(self, values: Array) -> NDArray[np.bool_]:
        """Which values it cannot be applied to, or which rows."""
        return np.zeros(len(values), dtype=np.bool_)

    def apply(self, values: Array) -> Array:
        """Values as the model has them, (n, *shape) to (n, *new shape)."""
        return values

    def invert(self, values: Array) -> NDArray[Any]:
        """Values in the units of the data."""
        return values

    def log_derivative(self, values: Array) -> Array:
        """log |dv/du| of each of the values v behind it, of what u was before: 0 where values stay, or are steps. With
        it densities are told in the units of the data. Of a transform without an inverse it is not asked."""
        return np.zeros(values.shape)

    def shape(self, shape: Shape) -> Shape:
        """The shape that a row of this shape has behind it."""
        return shape

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        """Bounds of the values behind it, of values within these."""
        return None, None

    def of_fit(self, column: Column) -> Column:
        """The column behind it, where its rows are those of a fit."""
        return self.of(column)

    def of(self, column: Column) -> Column:
        """The column behind it, whatever its rows."""
        shape = self.shape(column.shape)
        parts: dict[str, Rows] = {s: MappedRows(rows, self.apply, shape) for s, rows in column.parts.items()}
        return Column(parts, *self.bounds(column.low, column.high), column.classes, column.place)

    def as_data(self) -> dict[str, Any]:
        """What it took from the data, as JSON has it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The transform of which `as_data` gave this.

        Raises:
            ValueError, TypeError: when it is something else.
        """
        kinds = {f.name: str(f.type) for f in fields(cls)}  # type: ignore[arg-type]
        if kinds.keys() != data.keys():
            raise ValueError(f"it has {', '.join(data) or 'nothing'}, not {', '.join(kinds) or 'nothing'}")
        return cls(**{name: _read(kind, data[name]) for name, kind in kinds.items()})


def _read(kind: str, value: Any) -> Any:
    """A field of a transform from JSON: numbers of its kind, and nothing else."""
    if kind == "Array":
        found = np.asarray(value)
        if found.dtype.kind not in "iuf":
            raise ValueError("numbers are expected")
        return found.astype(np.float64)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number is expected")
    return float(value)
