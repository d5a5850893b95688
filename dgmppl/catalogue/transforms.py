"""Transforms of data as a spec writes them: the numbers each takes, and the type of what comes out.

What they do to arrays is in `dgmppl.data.transforms`.
"""

from __future__ import annotations

from collections.abc import Callable

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.supports import BINARY, REAL, Interval, Type

Result = Callable[[Type, tuple[float, ...]], Type]


def _numbers(name: str, *names: str, kind: str = "constant") -> Signature:
    arguments = tuple(Argument(n, kind, required=True, by="position") for n in names)
    return Signature(name, arguments, "number", f"{name}({', '.join(('data', *names))})")


# name -> (its numbers, type of the result)
TRANSFORMS: dict[str, tuple[Signature, Result]] = {
    "threshold": (_numbers("threshold", "at"), lambda t, _: Type(BINARY, t.shape)),
    "rescale": (
        _numbers("rescale", "low", "high"),
        lambda t, ends: Type(Interval(ends[0], ends[1]), t.shape),
    ),
    "standardize": (_numbers("standardize"), lambda t, _: Type(REAL, t.shape)),
    "total": (_numbers("total"), lambda t, _: Type(t.support.summed())),
    "flatten": (_numbers("flatten"), lambda t, _: Type(t.support, (t.elements,))),
    "labelled": (_numbers("labelled", "n", kind="count"), lambda t, _: t),
    "missing": (_numbers("missing", "share"), lambda t, _: t),
}

REMOVES = ("labelled", "missing")
"""Those behind which values are missing: of whole rows, and of single elements."""
