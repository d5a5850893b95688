"""Measures of samples against data, for models that give no row a likelihood: MMD, precision and recall.

All take rows of numbers; which numbers a variable becomes is said in `features`. They are comparable between models
of the same data: the kernel and the neighbourhoods of the data follow from the data alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.catalogue.figures import MMD2, PRECISION, RECALL
from dgmppl.supports import Type

Array = NDArray[np.float64]
NEIGHBOURS = 3


def features(
    samples: Mapping[str, NDArray[Any]], data: Mapping[str, NDArray[Any]], types: Mapping[str, Type]
) -> tuple[Array, Array]:
    """Samples and data as rows of numbers: categories one-hot, each variable divided by its spread in the data.

    Args:
        samples, data: for each variable an array (rows, *shape).
        types: of these variables.
    """
    pairs = [(_numbers(samples[name], types[name]), _numbers(values, types[name])) for name, values in data.items()]
    scales = [float(np.sqrt(known.var(axis=0).sum())) or 1.0 for _, known in pairs]
    drawn, known = (
        np.concatenate([pair[side] / scale for pair, scale in zip(pairs, scales, strict=True)], axis=1)
        for side in (0, 1)
    )
    return drawn, known


def _numbers(values: NDArray[Any], declared: Type) -> Array:
    rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    width = declared.support.width
    if width == 1:
        return rows
    return np.eye(width)[rows.astype(int)].reshape(len(rows), -1)


def median_distance(rows: Array) -> float:
    """The median distance between two different rows, the usual width of a kernel (Gretton et al., 2012, Sec. 8).

    Rows that repeat are common in discrete data: where the median is 0, the mean takes its place, and where all are
    alike, 1.
    """
    distances = np.sqrt(_squared_distances(rows, rows)[np.triu_indices(len(rows), 1)])
    return float(np.median(distances)) or float(distances.mean()) or 1.0


def squared_mmd(x: Array, y: Array, width: float) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy of two samples; it may be below 0.

    `1/(m(m-1)) sum_{i != j} k(x_i, x_j) + 1/(n(n-1)) sum_{i != j} k(y_i, y_j) - 2/(mn) sum_{ij} k(x_i, y_j)` with the
    kernel `k(a, b) = exp(-|a - b|^2 / (2 width^2))` (Gretton et al., 2012, Eq. 3). Its expectation is 0 where both
    come from one distribution.

    Args:
        x, y: (m, features) and (n, features), two rows or more of each.
    """

    def kernel(a: Array, b: Array) -> Array:
        return np.asarray(np.exp(-_squared_distances(a, b) / (2.0 * width**2)))

    m, n = len(x), len(y)
    within_x = (kernel(x, x).sum() - m) / (m * (m - 1))
    within_y = (kernel(y, y).sum() - n) / (n * (n - 1))
    return float(within_x + within_y - 2.0 * kernel(x, y).mean())


def precision(samples: Array, data: Array, k: int = NEIGHBOURS) -> float:
    """The share of the samples that lie where the data is.

    Where a set is, is the union of balls about its points, each out to the point's k-th nearest neighbour in the set
    (Kynkäänniemi et al., 2019, Eqs. 1 and 2).

    Args:
        samples, data: (rows, features), more than k rows of each.
    """
    return float((_squared_distances(samples, data) <= _squared_radii(data, k)).any(axis=1).mean())


def recall(samples: Array, data: Array, k: int = NEIGHBOURS) -> float:
    """The share of the data that lies where the samples are: `precision` the other way round."""
    return precision(data, samples, k)


def _squared_radii(rows: Array, k: int) -> Array:
    """The squared distance of each row to its k-th nearest other row."""
    distances = _squared_distances(rows, rows)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.partition(distances, k - 1, axis=1)[:, k - 1])


def _squared_distances(a: Array, b: Array) -> Array:
    """|a_i - b_j|^2, each from the difference itself: the faster |a|^2 - 2ab + |b|^2 makes equal rows differ."""
    from sklearn.metrics import pairwise_distances

    return np.asarray(pairwise_distances(a, b, metric="sqeuclidean"))


MEASURES: Mapping[str, Callable[[Array, Array], float]] = {
    MMD2.name: lambda samples, data: squared_mmd(samples, data, median_distance(data)),
    PRECISION.name: precision,
    RECALL.name: recall,
}
"""How each figure of samples is computed; what it is says `dgmppl.catalogue.figures`."""
