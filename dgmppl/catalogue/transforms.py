"""Transforms of data as a spec writes them: the numbers each takes, and the type of what comes out.

What they do to arrays is in `dgmppl.data.transforms`.
"""

from __future__ import annotations

from collections.abc import Callable

from dgmppl.supports import BINARY, REAL, Interval, Type

Result = Callable[[Type, tuple[float, ...]], Type]

# name -> (names of its numbers, type of the result)
TRANSFORMS: dict[str, tuple[tuple[str, ...], Result]] = {
    "threshold": (("at",), lambda t, _: Type(BINARY, t.shape)),
    "rescale": (("low", "high"), lambda t, ends: Type(Interval(ends[0], ends[1]), t.shape)),
    "standardize": ((), lambda t, _: Type(REAL, t.shape)),
    "flatten": ((), lambda t, _: Type(t.support, (t.elements,))),
    "labelled": (("n",), lambda t, _: t),
}
