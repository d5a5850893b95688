"""The transforms around a field, as in `threshold(digits.image, 8)`: a class each, fitted to the rows of a run.

To add one, write its class here, list it in `TRANSFORMS`, and say what type comes out in `dgmppl.catalogue.transforms`.
What a transform takes from the data (a mean, a range) are the fields of its class. A run keeps them, so that other rows
are transformed as those of the fit were, and what the model gives is brought back into the data's own units. Missing
values (NaN) stay missing, and infinite ones infinite, so that the check of all values, which comes last, names them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.column import Bounds, Column, Shape, Transform
from dgmppl.data.rows import Array, ArrayRows, MaskedRows, Rows
from dgmppl.words import are, counted

if TYPE_CHECKING:
    from typing_extensions import Self

# Which rows keep their labels is the same for every model and seed of a fit.
_LABELLED_SEED = 0
_MISSING_SEED = 0
# Of a range, by how much a value may lie beyond its ends.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Rescale(Transform):
    """Maps the field's declared range, else the smallest and largest value of all rows, onto low to high."""

    affine = True

    start: float
    end: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.start < self.end and self.low != self.high):
            raise ValueError("a range has two ends")

    @classmethod
    def fit(cls, column: Column, *numbers: float) -> Self:
        low, high = numbers
        start, end = column.span()
        if end <= start:
            what = f"all values are {start:g}" if end == start else "there are no values"
            raise ValueError(f"{what}, so there is no range to map onto {low:g} to {high:g}")
        return cls(start, end, low, high)

    def apply(self, values: Array) -> Array:
        scale = (self.high - self.low) / (self.end - self.start)
        mapped = self.low + (values - self.start) * scale
        # A bound must not be missed by a rounding error. Values of other rows that lie beyond it stay there.
        inside = np.clip(mapped, self.low, self.high)
        return np.where(np.abs(mapped - inside) <= _ROUNDING * (self.high - self.low), inside, mapped)

    def invert(self, values: Array) -> Array:
        return self.start + (values - self.low) * ((self.end - self.start) / (self.high - self.low))

    def log_derivative(self, values: Array) -> Array:
        return np.full(values.shape, math.log(abs(self.high - self.low)) - math.log(self.end - self.start))

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return self.low, self.high


@dataclass(frozen=True)
class Threshold(Transform):
    """1 where the value is `at` or more, else 0."""

    at: float
    invertible = False

    def apply(self, values: Array) -> Array:
        return np.where(np.isfinite(values), (values >= self.at).astype(np.float64), values)

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return 0.0, 1.0


@dataclass(frozen=True)
class Standardize(Transform):
    """Subtracts the mean and divides by the standard deviation of the training rows, column by column."""

    affine = True

    mean: Array
    deviation: Array

    def __post_init__(self) -> None:
        if not (self.deviation > 0).all():
            raise ValueError("a deviation is above 0")

    @classmethod
    def fit(cls, column: Column, *numbers: float) -> Self:
        mean, deviation = moments(column.parts["train"])
        # A column of one value has a deviation of its rounding error.
        return cls(mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0))

    def apply(self, values: Array) -> Array:
        return (values - self.mean) / self.deviation

    def invert(self, values: Array) -> Array:
        return values * self.deviation + self.mean

    def log_derivative(self, values: Array) -> Array:
        return np.broadcast_to(-np.log(self.deviation), values.shape)


def moments(rows: Rows) -> tuple[Array, Array]:
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


@dataclass(frozen=True)
class Log(Transform):
    """The natural logarithm of numbers above 0."""

    takes = "numbers above 0"
    mend = "`log(shift(..., 1))` takes 0 as well"

    def outside(self, values: Array) -> NDArray[np.bool_]:
        return values <= 0

    def apply(self, values: Array) -> Array:
        return np.log(values)

    def invert(self, values: Array) -> Array:
        return _kept(values, np.exp(values), _FLOATS.tiny, _FLOATS.max)

    def log_derivative(self, values: Array) -> Array:
        return -values  # 1 / u, and u = exp(v)


@dataclass(frozen=True)
class Logit(Transform):
    """log(v / (1 - v)) of shares between 0 and 1."""

    takes = "numbers between 0 and 1, both left out"
    mend = "`logit(clip(..., 0.001, 0.999))` brings the ends inside"

    def outside(self, values: Array) -> NDArray[np.bool_]:
        return (values <= 0) | (values >= 1)

    def apply(self, values: Array) -> Array:
        return np.log(values) - np.log1p(-values)

    def invert(self, values: Array) -> Array:
        # exp of what is not positive cannot overflow.
        small = np.exp(-np.abs(values))
        shares = np.where(values < 0, small, 1.0) / (1.0 + small)
        return _kept(values, shares, _FLOATS.tiny, 1 - _FLOATS.epsneg)

    def log_derivative(self, values: Array) -> Array:
        # 1 / (u (1 - u)), and u = sigmoid(v).
        return np.logaddexp(0, values) + np.logaddexp(0, -values)


@dataclass(frozen=True)
class Clip(Transform):
    """Values below `low` become `low`, those above `high` become `high`. What they were is lost: the inverse leaves
    values as they are."""

    low: float
    high: float
    lossless = False

    def apply(self, values: Array) -> Array:
        return np.clip(values, self.low, self.high)

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return self.low, self.high


@dataclass(frozen=True)
class Shift(Transform):
    """Adds a number."""

    affine = True

    by: float

    def apply(self, values: Array) -> Array:
        return values + self.by

    def invert(self, values: Array) -> Array:
        return values - self.by

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return None if low is None else low + self.by, None if high is None else high + self.by


@dataclass(frozen=True)
class Scale(Transform):
    """Multiplies by a number that is not 0."""

    affine = True

    by: float

    def __post_init__(self) -> None:
        if not self.by:
            raise ValueError("what is multiplied by 0 has no values left")

    def apply(self, values: Array) -> Array:
        return values * self.by

    def invert(self, values: Array) -> Array:
        return values / self.by

    def log_derivative(self, values: Array) -> Array:
        return np.full(values.shape, math.log(abs(self.by)))

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        ends = [None if end is None else end * self.by for end in (low, high)]
        return (ends[0], ends[1]) if self.by > 0 else (ends[1], ends[0])


@dataclass(frozen=True)
class Closure(Transform):
    """Divides the parts of a row by their sum (Aitchison, 1982, "The statistical analysis of compositional data"). What
    the sum was is lost: the inverse leaves shares as they are."""

    lossless = False
    takes = "rows of numbers from 0 that are not all 0"

    def outside(self, values: Array) -> NDArray[np.bool_]:
        wrong = (values < 0).any(axis=-1) | (values.sum(axis=-1) == 0)
        return np.asarray(wrong.reshape(len(values), -1).any(axis=1))

    def apply(self, values: Array) -> Array:
        return values / values.sum(axis=-1, keepdims=True)

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return 0.0, 1.0


@dataclass(frozen=True)
class Dates(Transform):
    """Days since the first of January 1970, of dates and times, which readers take for numbers: a field tells them as
    the data have them."""

    whole: float
    """1 where all of the fit's are days, else 0: then they are times to the second."""

    @classmethod
    def fit(cls, column: Column, *numbers: float) -> Self:
        blocks = (block[np.isfinite(block)] for rows in column.parts.values() for _, block in rows.blocks())
        return cls(float(all(np.array_equal(found, np.round(found)) for found in blocks)))

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return low, high


@dataclass(frozen=True)
class Flatten(Transform):
    """Makes each row one vector."""

    affine = True

    axes: Array
    """The shape that a row had."""

    @classmethod
    def fit(cls, column: Column, *numbers: float) -> Self:
        return cls(np.array(column.shape, dtype=np.float64))

    def apply(self, values: Array) -> Array:
        return values.reshape(len(values), math.prod(values.shape[1:]))

    def invert(self, values: Array) -> Array:
        return values.reshape(len(values), *self.axes.astype(int).tolist())

    def shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return low, high


@dataclass(frozen=True)
class Total(Transform):
    """The sum of all values of a row."""

    invertible = False

    def apply(self, values: Array) -> Array:
        return np.asarray(values.reshape(len(values), math.prod(values.shape[1:])).sum(axis=1))

    def shape(self, shape: Shape) -> Shape:
        return ()


@dataclass(frozen=True)
class Labelled(Transform):
    """Keeps the value in n of the training rows, the same number of each class; it is missing in the others.

    Which rows keep it follows from a fixed seed. Where a class has too few rows, the others have more. Of a variable
    that is no class, n rows at random keep theirs, though its values may be whole numbers. Rows that are none of the
    fit's keep theirs.
    """

    affine = True

    n: float

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return low, high

    def of_fit(self, column: Column) -> Column:
        train, kept = column.parts["train"], int(self.n)
        values = train.read(0, train.count)
        there = np.asarray(np.isfinite(values.astype(np.float64)).reshape(train.count, -1).all(axis=1))
        if kept > (labelled := int(there.sum())):
            rows = f"{counted(labelled, 'training row')} {'has' if labelled == 1 else 'have'} one"
            raise ValueError(f"{counted(kept, 'label')} {are(kept)} asked for, and {rows}")
        order = np.random.default_rng(_LABELLED_SEED).permutation(train.count)
        order = order[there[order]]
        if not train.shape and column.classes:
            classes, codes = np.unique(values[order], return_inverse=True)
            if np.array_equal(classes, np.round(classes)):
                if kept < len(classes):
                    raise ValueError(
                        f"{counted(kept, 'label')} {are(kept)} too few for {counted(len(classes), 'class')}: "
                        "each needs one"
                    )
                # In turns: the first row of every class, then the second of every class, ...
                by_class = np.argsort(codes, kind="stable")
                sizes = np.bincount(codes)
                turn = np.empty(len(order), dtype=np.int64)
                turn[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                order = order[np.lexsort((codes, turn))]
        given = np.zeros(train.count, dtype=np.bool_)
        given[order[:kept]] = True
        return replace(column, parts={**column.parts, "train": MaskedRows(train, given)})


@dataclass(frozen=True)
class Missing(Transform):
    """Removes this share of all values, each element for itself, in the rows of every split. Which ones follows from a
    fixed seed. Rows that are none of the fit's keep theirs."""

    affine = True

    share: float

    @classmethod
    def fit(cls, column: Column, *numbers: float) -> Self:
        (share,) = numbers
        if not 0 < share < 1:
            raise ValueError(f"a share of the values lies between 0 and 1, and this is {share:g}")
        return cls(share)

    def bounds(self, low: float | None, high: float | None) -> Bounds:
        return low, high

    def of_fit(self, column: Column) -> Column:
        generator = np.random.default_rng(_MISSING_SEED + column.place)
        parts: dict[str, Rows] = {}
        for name, rows in column.parts.items():
            values = rows.read(0, rows.count).astype(np.float64)
            values[generator.random(values.shape) < self.share] = np.nan
            parts[name] = ArrayRows(values, rows.origin, "which of its values are missing is drawn", rows.numbering())
        return replace(column, parts=parts)


def _kept(values: Array, found: Array, low: float, high: float) -> Array:
    """What finite values are the images of, between the first and the last number that has an image."""
    return np.where(np.isfinite(values), np.clip(found, low, high), found)


_FLOATS = np.finfo(np.float64)

# The numbers that each takes are in dgmppl.catalogue.transforms, where a spec is checked against them.
TRANSFORMS: Mapping[str, type[Transform]] = {
    "rescale": Rescale,
    "threshold": Threshold,
    "standardize": Standardize,
    "log": Log,
    "logit": Logit,
    "clip": Clip,
    "shift": Shift,
    "scale": Scale,
    "closure": Closure,
    "dates": Dates,
    "total": Total,
    "flatten": Flatten,
    "labelled": Labelled,
    "missing": Missing,
}
