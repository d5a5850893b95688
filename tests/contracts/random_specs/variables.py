"""Supports and shapes that variables of random specs have."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, Unit
from tests.contracts.random_specs.parts.families import bounded

VECTORS = ("simplex", "sphere")
"""Supports of which a vector is one value."""

SUPPORTS = (
    "real",
    "real",
    "real",
    "positive",
    "unit",
    "interval(-1, 1)",
    "binary",
    "binary",
    "categorical(3)",
    "ordinal(3)",
    "integer(0..2)",
    "integer(2..3)",
    "integer",
    "natural",
    "simplex",
    "sphere",
)

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (2,), (3,), (2, 2))

CONTINUOUS = ("real", "real", "real", "positive", "unit", "simplex", "sphere")


def shape_of(d: Draft, support: str, vector: bool = False) -> tuple[int, ...]:
    if support in VECTORS or vector:
        return d.choose(((2,), (3,)))
    return d.choose(SHAPES)


def observed(d: Draft, stem: str = "x", support: str = "", vector: bool = False) -> Unit:
    """A variable of the data that the core models."""
    support = d.bounded(support or d.choose(SUPPORTS))
    found = d.unit(stem, support, shape_of(d, support, vector or bounded(support)), "observed")
    d.data.append(found)
    d.open(found)
    return found
