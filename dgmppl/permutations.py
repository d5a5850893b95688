"""The orders that `permute` puts features into: known without torch, so that a check can follow them."""

from __future__ import annotations

from random import Random


def permutation(features: int, seed: int) -> tuple[int, ...]:
    """A random order of 0, ..., features - 1, the same wherever it is asked for.

    Feature k of the image is feature ``order[k]`` of the argument. Uniform over the orders in which some feature
    moves between the first half, rounded down, and the rest, which are the halves of a coupling: an order that moves
    none would leave the same features to the next coupling. A single feature stays.
    """
    # Of Python's generator only `random` is promised to stay as it is, so shuffling is written out (Fisher-Yates).
    random = Random(seed).random
    order = list(range(features))
    half = set(range(features // 2))
    while features > 1 and set(order[: features // 2]) == half:
        for k in range(features - 1, 0, -1):
            other = int(random() * (k + 1))
            order[k], order[other] = order[other], order[k]
    return tuple(order)


__all__ = ["permutation"]
