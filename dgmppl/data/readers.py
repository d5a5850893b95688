"""Reads the catalogue's data sets: scikit-learn's bundled ones, and those drawn with a fixed seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.catalogue import DATASETS

Array = NDArray[np.float64]
Points = tuple[Array, Array]


@cache  # for each of its fields
def read_dataset(name: str) -> dict[str, Array]:
    """All fields of a named data set, rows in the order in which they are split; the same on every call. Nothing may be
    written into them."""
    fields = _read(name)
    for values in fields.values():
        values.flags.writeable = False
    return fields


def _read(name: str) -> dict[str, Array]:
    if name in _TOYS:
        rows = sum(DATASETS[name].splits)
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        drawn = _TOYS[name](rows, generator)
        order = generator.permutation(rows)
        return {field: values[order] for field, values in zip(DATASETS[name].fields, drawn, strict=True)}
    data, target = _BUNDLED[name]()
    names = list(DATASETS[name].fields)
    data = data.reshape(len(data), *DATASETS[name].fields[names[0]].shape)
    order = np.random.default_rng(0).permutation(len(data)) if DATASETS[name].shuffled else np.arange(len(data))
    return {names[0]: data[order], names[1]: target[order]}


def _sklearn(loader: str) -> Callable[[], Points]:
    def read() -> Points:
        from sklearn import datasets

        data, target = getattr(datasets, loader)(return_X_y=True)
        return data.astype(float), target.astype(float)

    return read


_BUNDLED: Mapping[str, Callable[[], Points]] = {
    "digits": _sklearn("load_digits"),
    "iris": _sklearn("load_iris"),
    "wine": _sklearn("load_wine"),
    "breast_cancer": _sklearn("load_breast_cancer"),
    "diabetes": _sklearn("load_diabetes"),
}


def _labels(rows: int, classes: int) -> Array:
    """Classes in turn, so that every class has the same number of rows, give or take one."""
    return (np.arange(rows) % classes).astype(float)


def _polar(radius: Array, angle: Array) -> Array:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _moons(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 2)
    angle = np.pi * generator.random(rows)
    upper = _polar(np.ones(rows), angle)
    lower = np.array([1.0, 0.5]) - upper
    return np.where(label[:, None] == 0, upper, lower) + 0.1 * generator.standard_normal((rows, 2)), label


def _circles(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 2)
    circle = _polar(np.where(label == 0, 1.0, 0.5), 2 * np.pi * generator.random(rows))
    return circle + 0.05 * generator.standard_normal((rows, 2)), label


def _gaussians(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 8)
    centre = _polar(np.full(rows, 2.0), 2 * np.pi * label / 8)
    return centre + 0.2 * generator.standard_normal((rows, 2)), label


def _spirals(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 2)
    turn = 3 * np.pi * np.sqrt(generator.random(rows))
    arm = _polar(turn / 3, turn + np.pi * label)
    return arm + 0.1 * generator.standard_normal((rows, 2)), label


def _checkerboard(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 8)
    row = label // 2
    column = 2 * (label % 2) + row % 2
    corner = np.stack([column, row], axis=1) - 2
    return corner + generator.random((rows, 2)), label


def _pinwheel(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 5)
    radius = 1 + 0.3 * generator.standard_normal(rows)
    across = 0.1 * generator.standard_normal(rows)
    angle = 2 * np.pi * label / 5 + 0.6 * np.exp(radius)
    return 2 * (_polar(radius, angle) + _polar(across, angle + np.pi / 2)), label


def _rings(rows: int, generator: np.random.Generator) -> Points:
    label = _labels(rows, 4)
    ring = _polar((label + 1) / 2, 2 * np.pi * generator.random(rows))
    return ring + 0.04 * generator.standard_normal((rows, 2)), label


def _shapes(rows: int, generator: np.random.Generator) -> Points:
    """32 points of each outline, uniformly drawn, with noise. It is a polygon of random size and turn, a circle one of
    360 corners."""
    label = _labels(rows, 3)
    corners = np.array([360, 4, 3])[label.astype(int)][:, None]
    size, turn = 0.5 + generator.random((rows, 1)), 2 * np.pi * generator.random((rows, 1))
    side, along = np.divmod(corners * generator.random((rows, 32)), 1)
    ends = [np.stack([np.cos(a), np.sin(a)], axis=2) for a in (2 * np.pi * (side + k) / corners + turn for k in (0, 1))]
    outline = ends[0] + along[..., None] * (ends[1] - ends[0])
    return size[..., None] * outline + 0.04 * generator.standard_normal((rows, 32, 2)), label


def _two_moons(rows: int, generator: np.random.Generator) -> Points:
    """Parameters t, uniform on [-1, 1] each, and 16 draws of the simulator with these,

        x = (r cos a + 1/4 - |t1 + t2| / sqrt 2, r sin a + (t2 - t1) / sqrt 2),

    with a uniform between -pi/2 and pi/2: Greenberg et al. (2019); Lueckmann et al. (2021), T.8. There r is
    Normal(0.1, 0.01), and here Normal(0.5, 0.1), so that 16 draws leave something to learn about t.
    """
    theta = 2 * generator.random((rows, 2)) - 1
    angle = np.pi * (generator.random((rows, 16)) - 0.5)
    radius = 0.5 + 0.1 * generator.standard_normal((rows, 16))
    moon = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2)
    first, second = theta.T
    place = np.stack([0.25 - np.abs(first + second) / np.sqrt(2), (second - first) / np.sqrt(2)], axis=1)
    return theta, place[:, None] + moon


_TOYS: Mapping[str, Callable[[int, np.random.Generator], Points]] = {
    "moons": _moons,
    "circles": _circles,
    "gaussians": _gaussians,
    "spirals": _spirals,
    "checkerboard": _checkerboard,
    "pinwheel": _pinwheel,
    "rings": _rings,
    "shapes": _shapes,
    "two_moons": _two_moons,
}
