"""What the transforms around a field, as in `threshold(digits.image, 8)`, do to its rows.

To add one, list it in `TRANSFORMS` here and in `dgmppl.catalogue.transforms`. A transform maps a whole
`Column`, all splits of one field, because some take their constants from the data. Missing values (NaN) stay missing,
and infinite ones infinite, so that the check of all values, which comes last, names them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dgmppl.data.rows import Array, ArrayRows, MappedRows, MaskedRows, Rows

# Which rows keep their labels is the same for every model and seed of a fit.
_LABELLED_SEED = 0
_MISSING_SEED = 0


@dataclass(frozen=True)
class Column:
    """One field, split; `low` and `high` bound its values where its declaration says so.

    `classes` is how many values the variable can have that is read from it; 0 where that is no finite number.
    """

    parts: Mapping[str, Rows]
    low: float | None = None
    high: float | None = None
    classes: int = 0

    def map(
        self,
        function: Callable[[Array], Array],
        low: float | None = None,
        high: float | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Column:
        parts = {name: MappedRows(rows, function, shape) for name, rows in self.parts.items()}
        return Column(parts, low, high, self.classes)

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


def _rescale(column: Column, low: float, high: float) -> Column:
    """Maps the field's declared range, else the smallest and largest value of all rows, onto low to high."""
    start, end = column.span()
    if end <= start:
        what = f"all values are {start:g}" if end == start else "there are no values"
        raise ValueError(f"{what}, so there is no range to map onto {low:g} to {high:g}")
    # Clipped because a bound must not be missed by a rounding error.
    scale = (high - low) / (end - start)
    return column.map(lambda v: np.where(np.isinf(v), v, np.clip(low + (v - start) * scale, low, high)), low, high)


def _threshold(column: Column, at: float) -> Column:
    """1 where the value is `at` or more, else 0."""
    return column.map(lambda v: np.where(np.isfinite(v), (v >= at).astype(np.float64), v), 0.0, 1.0)


def _standardize(column: Column) -> Column:
    """Subtracts the mean and divides by the standard deviation of the training rows, column by column."""
    mean, deviation = _moments(column.parts["train"])
    # A column of one value has a deviation of its rounding error.
    scale = np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
    return column.map(lambda v: (v - mean) / scale)


def _moments(rows: Rows) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, missing values left out, in one pass over blocks.

    Two sets of a and b values with means m and n and sums of squared deviations S and T have together the sum
    S + T + (m - n)^2 a b / (a + b)  (Chan, Golub and LeVeque, 1983, "Algorithms for computing the sample variance",
    Eq. 2.1). A plain sum of squares would lose the digits of values far from zero.
    """
    count, mean, squares = (np.zeros(rows.shape) for _ in range(3))
    for _, block in rows.blocks():
        given = np.isfinite(block)
        n = given.sum(axis=0)
        size = np.maximum(n, 1)
        centre = np.where(given, block, 0.0).sum(axis=0) / size
        deviations = np.where(given, block - centre, 0.0)
        both = np.maximum(count + n, 1)
        shift = centre - mean
        squares += (deviations**2).sum(axis=0) + shift**2 * count * n / both
        mean += shift * n / both
        count += n
    return mean, np.sqrt(squares / np.maximum(count, 1))


def _flatten(column: Column) -> Column:
    """Makes each row one vector."""
    size = math.prod(column.parts["train"].shape)
    return column.map(lambda v: v.reshape(len(v), size), column.low, column.high, (size,))


def _total(column: Column) -> Column:
    """The sum of all values of a row."""
    return column.map(lambda v: v.reshape(len(v), -1).sum(axis=1), shape=())


def _labelled(column: Column, n: float) -> Column:
    """Keeps the value in n of the training rows, the same number of each class; it is missing in the others.

    Which rows keep it follows from a fixed seed. Where a class has too few rows, the others have more. Of a variable
    that is no class, n rows at random keep theirs, though its values may be whole numbers.
    """
    train, kept = column.parts["train"], int(n)
    values = train.read(0, train.count)
    there = np.asarray(np.isfinite(values.astype(np.float64)).reshape(train.count, -1).all(axis=1))
    if kept > there.sum():
        raise ValueError(f"{kept} labels are asked for, and {there.sum()} training rows have one")
    order = np.random.default_rng(_LABELLED_SEED).permutation(train.count)
    order = order[there[order]]
    if not train.shape and column.classes:
        classes, codes = np.unique(values[order], return_inverse=True)
        if np.array_equal(classes, np.round(classes)):
            if kept < len(classes):
                raise ValueError(f"{kept} labels are too few for {len(classes)} classes: each needs one")
            # In turns: the first row of every class, then the second of every class, ...
            by_class = np.argsort(codes, kind="stable")
            sizes = np.bincount(codes)
            turn = np.empty(len(order), dtype=np.int64)
            turn[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            order = order[np.lexsort((codes, turn))]
    given = np.zeros(train.count, dtype=np.bool_)
    given[order[:kept]] = True
    return replace(column, parts={**column.parts, "train": MaskedRows(train, given)})


def _missing(column: Column, share: float) -> Column:
    """Removes this share of all values, each element for itself, in the rows of every split. Which ones follows from a
    fixed seed."""
    if not 0 < share < 1:
        raise ValueError(f"a share of the values lies between 0 and 1, and this is {share:g}")
    generator = np.random.default_rng(_MISSING_SEED)
    parts: dict[str, Rows] = {}
    for name, rows in column.parts.items():
        values = rows.read(0, rows.count).astype(np.float64)
        values[generator.random(values.shape) < share] = np.nan
        parts[name] = ArrayRows(values, rows.origin, "which of its values are missing is drawn", rows.numbering())
    return replace(column, parts=parts)


# The numbers that each takes are in dgmppl.catalogue.transforms, where a spec is checked against them.
TRANSFORMS: Mapping[str, Callable[..., Column]] = {
    "rescale": _rescale,
    "threshold": _threshold,
    "standardize": _standardize,
    "total": _total,
    "flatten": _flatten,
    "labelled": _labelled,
    "missing": _missing,
}
