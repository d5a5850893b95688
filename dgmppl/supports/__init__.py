"""Supports: which values a variable takes, and all that follows from it. Imported by every stage; imports none.

To add one: a subclass of `Support`, its line in `SUPPORTS`, and its oracle in `tests/test_supports.py`.
"""

from dgmppl.supports.base import AnyFinite, AnyIntegers, Domain, Every, Function, Noise, Support, number_text
from dgmppl.supports.classes import Categorical, Ordinal
from dgmppl.supports.continuous import Channels, Interval, Positive, Real, Unit
from dgmppl.supports.types import Type, real
from dgmppl.supports.vectors import Increasing, Simplex, Sphere
from dgmppl.supports.whole import Binary, Integers, Natural

# In the order of the reference.
SUPPORTS: dict[str, type[Support]] = {
    support.word: support
    for support in (
        Real,
        Positive,
        Unit,
        Interval,
        Binary,
        Integers,
        Natural,
        Categorical,
        Ordinal,
        Simplex,
        Sphere,
    )
}

REAL = Real()
POSITIVE = Positive()
UNIT = Unit()
BINARY = Binary()
INTEGER = Integers()
NATURAL = Natural()
SIMPLEX = Simplex()
SPHERE = Sphere()

__all__ = [
    "BINARY",
    "INTEGER",
    "NATURAL",
    "POSITIVE",
    "REAL",
    "SIMPLEX",
    "SPHERE",
    "SUPPORTS",
    "UNIT",
    "AnyFinite",
    "AnyIntegers",
    "Binary",
    "Categorical",
    "Channels",
    "Domain",
    "Every",
    "Function",
    "Increasing",
    "Integers",
    "Interval",
    "Natural",
    "Noise",
    "Ordinal",
    "Positive",
    "Real",
    "Simplex",
    "Sphere",
    "Support",
    "Type",
    "Unit",
    "number_text",
    "real",
]
