"""Orders and halves of features that follow from numbers alone: the compiler looks into those that the runtime uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
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


ORDERS = ("reverse", "zigzag", "permute")


def order_of(kind: str, extent: tuple[int, ...], seed: int = 0) -> tuple[int, ...]:
    """The positions of a grid, each by its number row by row, in the order in which they come.

    "reverse" is from the last to the first, "permute" random by a seed. "zigzag" goes along the diagonals from the
    upper right to the lower left and back, as JPEG does (Wallace, 1992).
    Raises ValueError for a zigzag along other than two axes.
    """
    count = math.prod(extent)
    if kind == "reverse":
        return tuple(reversed(range(count)))
    if kind == "permute":
        return permutation(count, seed)
    if len(extent) != 2:
        raise ValueError("a zigzag goes over a grid of two axes")
    height, width = extent
    places = [(i, j) for i in range(height) for j in range(width)]
    places.sort(key=lambda p: (p[0] + p[1], p[0] if (p[0] + p[1]) % 2 else -p[0]))
    return tuple(i * width + j for i, j in places)


@cache
def all_before(extent: tuple[int, ...], offsets: tuple[int, ...], kind: str, seed: int = 0) -> bool:
    """Whether, in an order of a grid, what is so far from a position comes before it, wherever there is something."""
    places = {position: k for k, position in enumerate(order_of(kind, extent, seed))}
    numbers = {position: k for k, position in enumerate(product(*map(range, extent)))}
    for position, number in numbers.items():
        other = numbers.get(tuple(p + by for p, by in zip(position, offsets)))
        if other is not None and places[other] >= places[number]:
            return False
    return True


MASKS = ("half", "alternate", "checkerboard", "random")
BY_CHANNEL = ("half", "alternate", "part")


@dataclass(frozen=True)
class Mask:
    """Which elements a coupling keeps: the first "half" of the channels (rounded down), or each second one
    ("alternate"); on a grid every second position ("checkerboard"); or a "random" half of the elements, by a seed.
    Of a "part" of so many `parts` of the channels, it keeps the other ones. As a `complement` it keeps the others."""

    kind: str = "half"
    seed: int = 0
    complement: bool = False
    part: int = 0
    parts: int = 2

    @property
    def by_channel(self) -> bool:
        """Whether it treats all positions of a grid alike."""
        return self.kind in BY_CHANNEL

    def split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The elements of a vector or grid of this shape that are kept, and those that are transformed: places in the
        flattened shape, or, by channel, channels."""
        kept, moved = self._split(shape)
        return (moved, kept) if self.complement else (kept, moved)

    def _split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        channels = 1 if len(shape) == 2 else shape[-1]
        if self.kind == "half":
            return tuple(range(channels // 2)), tuple(range(channels // 2, channels))
        if self.kind == "alternate":
            return tuple(range(1, channels, 2)), tuple(range(0, channels, 2))
        if self.kind == "part":
            moved = range(self.part * channels // self.parts, (self.part + 1) * channels // self.parts)
            return tuple(k for k in range(channels) if k not in moved), tuple(moved)
        size = math.prod(shape)
        if self.kind == "checkerboard":
            width = shape[1] * channels
            odd = [(k // width + k % width // channels) % 2 for k in range(size)]
            return tuple(k for k in range(size) if odd[k]), tuple(k for k in range(size) if not odd[k])
        order = permutation(size, self.seed)
        return tuple(sorted(order[: size // 2])), tuple(sorted(order[size // 2 :]))


HALF = Mask()


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The places in a flattened grid from which those of the squeezed one come: each square of four positions becomes
    one, its channels row by row."""
    rows, columns, channels = (*shape, 1)[:3]
    order: list[int] = []
    for i in range(0, rows, 2):
        for j in range(0, columns, 2):
            for row, column in ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)):
                first = (row * columns + column) * channels
                order += range(first, first + channels)
    return tuple(order)
