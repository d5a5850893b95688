"""Orders and halves of features that follow from numbers alone: the compiler looks into those that the runtime uses."""

from __future__ import annotations

from random import Random


def permutation(features: int, seed: int, position: int = 0) -> tuple[int, ...]:
    """A random order of the features, the same wherever it is asked for, another for each position in a flow.

    Element k of the result is the feature that comes to place k. Uniform over the orders in which some feature moves
    between the first half, rounded down, and the rest, which are the halves of a coupling: an order that moves none
    would leave the same features to the next coupling. A single feature stays.
    """
    # Of Python's generator only `random` is promised to stay as it is, so shuffling is written out (Fisher-Yates).
    random = Random(seed * 1_000_003 + position).random
    order = list(range(features))
    half = set(range(features // 2))
    while features > 1 and set(order[: features // 2]) == half:
        for k in range(features - 1, 0, -1):
            other = int(random() * (k + 1))
            order[k], order[other] = order[other], order[k]
    return tuple(order)


MASKS = ("half", "alternate")


def halves(features: int, mask: str = "half") -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The features that a coupling keeps, and those that it transforms: the first half (rounded down) and the rest, or
    in turn."""
    if mask == "alternate":
        return tuple(range(1, features, 2)), tuple(range(0, features, 2))
    return tuple(range(features // 2)), tuple(range(features // 2, features))
