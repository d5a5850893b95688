"""The data sets that a spec can name, as plain facts. Nothing is loaded here, so checking a spec stays fast.

To add one: an entry in `DATASETS` and its reader in `dgmppl.data.readers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dgmppl.supports import BINARY, POSITIVE, REAL, Categorical, Integers, Interval, Support, Type


@dataclass(frozen=True)
class DataField:
    """One column of a data set: its support, shape of one row, and number of rows."""

    support: Support
    shape: tuple[int, ...]
    rows: int
    description: str

    @property
    def type(self) -> Type:
        """The field's type, as a variable declares it."""
        return Type(self.support, self.shape)


@dataclass(frozen=True)
class DataSet:
    """A data set's fields, and how many rows go to training, validation and test.

    `shuffled` sets come sorted, so their rows are put in one fixed random order before they are split.
    """

    description: str
    fields: Mapping[str, DataField]
    splits: tuple[int, int, int]
    shuffled: bool = False


def _positive(size: int, rows: int, description: str) -> DataField:
    return DataField(POSITIVE, (size,), rows, description)


def _real(size: int, rows: int, description: str) -> DataField:
    return DataField(REAL, (size,), rows, description)


def _classes(size: int, rows: int, description: str) -> DataField:
    return DataField(Categorical(size), (), rows, description)


TOY_SPLITS = (1000, 350, 450)


def _toy(classes: int, description: str) -> DataSet:
    rows = sum(TOY_SPLITS)
    fields = {
        "point": _real(2, rows, "a point of the plane"),
        "label": _classes(classes, rows, "the piece that the point belongs to"),
    }
    return DataSet(description, fields, TOY_SPLITS)


DATASETS: Mapping[str, DataSet] = {
    "digits": DataSet(
        "handwritten digits, 8 x 8 pixels of 17 grey levels (scikit-learn)",
        {
            "image": DataField(Integers(0, 16), (8, 8), 1797, "pixels; as one vector, row by row"),
            "label": _classes(10, 1797, "the digit"),
        },
        (1000, 350, 447),
    ),
    "iris": DataSet(
        "measurements of three species of iris (scikit-learn)",
        {"data": _positive(4, 150, "lengths in cm"), "label": _classes(3, 150, "the species")},
        (90, 30, 30),
        shuffled=True,
    ),
    "wine": DataSet(
        "chemical analysis of wines of three growers (scikit-learn)",
        {"data": _positive(13, 178, "the analysis"), "label": _classes(3, 178, "the grower")},
        (106, 36, 36),
        shuffled=True,
    ),
    "breast_cancer": DataSet(
        "measurements of cell nuclei, benign or malignant (scikit-learn)",
        {
            "data": _real(30, 569, "the measurements"),
            "label": DataField(BINARY, (), 569, "1: benign"),
        },
        (341, 114, 114),
        shuffled=True,
    ),
    "diabetes": DataSet(
        "progression of diabetes against ten measurements, scaled (scikit-learn)",
        {
            "data": _real(10, 442, "the measurements"),
            "target": DataField(REAL, (), 442, "progression after a year"),
        },
        (264, 89, 89),
        shuffled=True,
    ),
    "moons": _toy(2, "two interleaved half circles"),
    "circles": _toy(2, "a circle inside a circle"),
    "gaussians": _toy(8, "eight normal distributions on a circle"),
    "spirals": _toy(2, "two spiral arms"),
    "checkerboard": _toy(8, "the dark squares of a 4 x 4 board"),
    "pinwheel": _toy(5, "five bent normal distributions"),
    "rings": _toy(4, "four concentric rings"),
    "shapes": DataSet(
        "outlines of circles, squares and triangles of random size and turn, 32 points of each",
        {
            "points": DataField(REAL, (32, 2), 3000, "the points, in no order"),
            "label": _classes(3, 3000, "0: a circle, 1: a square, 2: a triangle"),
        },
        (2000, 500, 500),
    ),
    "two_moons": DataSet(
        "parameters of a simulator, and 16 of its draws with them (after Greenberg et al., 2019)",
        {
            "theta": DataField(Interval(-1, 1), (2,), 12000, "the parameters, uniform"),
            "observations": DataField(REAL, (16, 2), 12000, "the draws, in no order"),
        },
        (10000, 1000, 1000),
    ),
}
