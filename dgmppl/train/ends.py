"""Sequences of different lengths: what stands beyond the end of each is no value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.graph.nodes import Graph, Variable

Values = NDArray[Any]


def beyond_end(variable: Variable, ends: Values) -> NDArray[np.bool_]:
    """Whether each member of a sequence lies beyond the end of its row, (n, members)."""
    found: NDArray[np.bool_] = np.array(variable.members) > np.asarray(ends)[:, None]
    return found


def cut(variable: Variable, values: Values, ends: Values) -> Values:
    """Values of a sequence, (n, members, ...), with nan beyond the end of each row."""
    beyond = beyond_end(variable, ends)
    cut_: Values = np.where(beyond.reshape(*beyond.shape, *[1] * (values.ndim - 2)), np.nan, values)
    return cut_


def with_ends(
    found: Mapping[str, Values], graph: Graph, given: Mapping[str, Values] | None = None
) -> dict[str, Values]:
    """Values by variable with nan beyond the end of each sequence, where lengths differ, and the lengths: those found,
    or those `given`, which are repeated to as many rows. A sequence without its lengths stays as it is."""
    ended, given = dict(found), given or {}
    for name, values in found.items():
        length = graph[name].length
        if length and (length in found or length in given):
            ends = found[length] if length in found else np.resize(given[length], len(values))
            ended.setdefault(length, ends)
            ended[name] = cut(graph[name], values, ends)
    return ended


__all__ = ["beyond_end", "cut", "with_ends"]
