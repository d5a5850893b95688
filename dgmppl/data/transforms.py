"""What the transforms around a field, as in `threshold(digits.image, 8)`, do to arrays.

To add one, list it in `TRANSFORMS` here and in `dgmppl.catalogue.transforms`. A transform maps a whole
`Column`, all splits of one field, because some take their constants from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One split's rows, `values` of shape (rows, *shape), and the number its first row has in its source."""

    values: Array
    where: str
    first_row: int = 0


@dataclass(frozen=True)
class Column:
    """One field, split; `low` and `high` bound its values where its declaration says so."""

    parts: Mapping[str, Part]
    low: float | None = None
    high: float | None = None

    def map(self, function: Callable[[Array], Array], low: float | None = None, high: float | None = None) -> Column:
        parts = {name: replace(part, values=function(part.values)) for name, part in self.parts.items()}
        return Column(parts, low, high)

    def span(self) -> tuple[float, float]:
        """The declared bounds; where there are none, the extremes of all rows."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        values = [part.values for part in self.parts.values() if part.values.size]
        return float(min(v.min() for v in values)), float(max(v.max() for v in values))


def _rescale(column: Column, low: float, high: float) -> Column:
    """Maps the field's declared range, else the smallest and largest value of all rows, onto low to high."""
    start, end = column.span()
    if end <= start:
        raise ValueError(f"all values are {start:g}, so there is no range to map onto {low:g} to {high:g}")
    # Clipped because a bound must not be missed by a rounding error.
    return column.map(lambda v: np.clip(low + (v - start) * ((high - low) / (end - start)), low, high), low, high)


def _threshold(column: Column, at: float) -> Column:
    """1 where the value is `at` or more, else 0."""
    return column.map(lambda v: (v >= at).astype(np.float64), 0.0, 1.0)


def _standardize(column: Column) -> Column:
    """Subtracts the mean and divides by the standard deviation of the training rows, column by column."""
    train = column.parts["train"].values
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return column.map(lambda v: (v - mean) / np.where(deviation > 0, deviation, 1.0))


def _flatten(column: Column) -> Column:
    """Makes each row one vector."""
    return column.map(lambda v: v.reshape(len(v), -1), column.low, column.high)


# The numbers that each takes are in dgmppl.catalogue.transforms, where a spec is checked against them.
TRANSFORMS: Mapping[str, Callable[..., Column]] = {
    "rescale": _rescale,
    "threshold": _threshold,
    "standardize": _standardize,
    "flatten": _flatten,
}
