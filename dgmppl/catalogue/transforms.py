"""Transforms of data as a spec writes them: the numbers each takes, and the type of what comes out.

What they do to arrays is in `dgmppl.data.transforms`.
"""

from __future__ import annotations

from collections.abc import Callable

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.supports import BINARY, INTEGER, POSITIVE, REAL, SIMPLEX, Integers, Interval, Support, Type

Result = Callable[[Type, tuple[float, ...]], Type]


def _numbers(name: str, *names: str, kind: str = "constant") -> Signature:
    arguments = tuple(Argument(n, kind, required=True, by="position") for n in names)
    return Signature(name, arguments, "number", f"{name}({', '.join(('data', *names))})")


def _clipped(support: Support, low: float, high: float) -> Support:
    whole = support.discrete and low == round(low) and high == round(high)
    return Integers(low, high) if whole else Interval(low, high)


def _shifted(support: Support, by: float) -> Support:
    whole = support.discrete and by == round(by)
    if support.low is None or support.high is None:
        return INTEGER if whole else REAL
    ends = (support.low + by, support.high + by)
    return Integers(*ends) if whole else Interval(*ends)


def _scaled(support: Support, by: float) -> Support:
    if support.low is not None and support.high is not None:
        return Interval(*sorted((support.low * by, support.high * by)))
    return POSITIVE if support == POSITIVE and by > 0 else REAL


# name -> (its numbers, type of the result)
TRANSFORMS: dict[str, tuple[Signature, Result]] = {
    "threshold": (_numbers("threshold", "at"), lambda t, _: Type(BINARY, t.shape)),
    "rescale": (
        _numbers("rescale", "low", "high"),
        lambda t, ends: Type(Interval(ends[0], ends[1]), t.shape),
    ),
    "standardize": (_numbers("standardize"), lambda t, _: Type(REAL, t.shape)),
    "log": (_numbers("log"), lambda t, _: Type(REAL, t.shape)),
    "logit": (_numbers("logit"), lambda t, _: Type(REAL, t.shape)),
    "clip": (_numbers("clip", "low", "high"), lambda t, ends: Type(_clipped(t.support, *ends), t.shape)),
    "shift": (_numbers("shift", "by"), lambda t, by: Type(_shifted(t.support, *by), t.shape)),
    "scale": (_numbers("scale", "by"), lambda t, by: Type(_scaled(t.support, *by), t.shape)),
    "closure": (_numbers("closure"), lambda t, _: Type(SIMPLEX, t.shape)),
    "dates": (_numbers("dates"), lambda t, _: Type(REAL, t.shape)),
    "total": (_numbers("total"), lambda t, _: Type(t.support.summed())),
    "flatten": (_numbers("flatten"), lambda t, _: Type(t.support, (t.elements,))),
    "labelled": (_numbers("labelled", "n", kind="count"), lambda t, _: t),
    "missing": (_numbers("missing", "share"), lambda t, _: t),
}

CURVED = frozenset({"log", "logit"})
"""Those under which a mean is no longer one."""

REMOVES = ("labelled", "missing")
"""Those behind which values are missing: of whole rows, and of single elements."""
