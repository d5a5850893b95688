"""Random orders that follow from numbers alone: the compiler looks into those that the runtime uses."""

from __future__ import annotations

import random


def permutation(features: int, seed: int, position: int) -> tuple[int, ...]:
    """A random order of the features, another one for each position of a permutation in a flow.

    Element k of the result is the feature that comes to place k. Equal arguments give equal orders, on every machine
    and in every version of Python: of `random.Random` only the generator itself is used, which stays.
    """
    draws = random.Random(seed * 1_000_003 + position)
    keys = [draws.random() for _ in range(features)]
    return tuple(sorted(range(features), key=keys.__getitem__))
