"""Random orders that follow from numbers alone: the compiler looks into those that the runtime uses."""

from __future__ import annotations

from random import Random


def permutation(features: int, seed: int, position: int = 0) -> tuple[int, ...]:
    """A random order of 0, ..., features - 1, another one for each position of a permutation in a flow.

    Feature k of the image is feature ``order[k]`` of the argument. Some feature changes sides between the halves that a
    coupling makes, wherever there are two features or more: an order that moves none would be no permutation between
    couplings. Equal arguments give equal orders, on every machine and in every version of Python: of its generator
    only `random` is promised to stay as it is, so shuffling is written out (Fisher-Yates).
    """
    random = Random(seed * 1_000_003 + position).random
    order = list(range(features))
    half = set(range(features // 2))
    while features > 1 and set(order[: features // 2]) == half:
        for k in range(features - 1, 0, -1):
            other = int(random() * (k + 1))
            order[k], order[other] = order[other], order[k]
    return tuple(order)
