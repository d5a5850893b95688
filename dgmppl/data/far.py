"""Values that lie far from where a model begins, of variables that it does not count in units of their data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dgmppl.data.table import Splits
from dgmppl.data.transforms import moments
from dgmppl.diagnostics import Diagnostic
from dgmppl.graph.unscaled import Unscaled
from dgmppl.supports import POSITIVE, REAL, Support

if TYPE_CHECKING:
    from dgmppl.data.wanted import Wanted

_LARGE, _SMALL = 100.0, 0.01
_FAR, _DEVIATIONS = 20.0, 10.0
"""A place that is given as it is, and not by its logarithm, moves by about the learning rate a step: from 0 to 20 in
20,000 steps of the default. Until then a scale says how far it has to go, and not how values spread."""


def far_off(splits: Splits, wanted: Mapping[str, Wanted]) -> Iterator[Diagnostic]:
    """A warning (W524) for each variable that its model counts in no units, and whose training rows lie far from 0 or
    spread far more or less than by 1."""
    for name, one in wanted.items():
        if one.unscaled is None:
            continue
        mean, deviation = (m.ravel() for m in moments(splits.there(splits.train, name)))
        far = (np.abs(mean) > _LARGE) | (deviation > _LARGE) | ((deviation < _SMALL) & (deviation > 0))
        if one.type.support == REAL and not one.unscaled.read:
            off = (np.abs(mean) > _FAR / 4) & (np.abs(mean) > _DEVIATIONS * deviation) & (deviation > 0)
            far |= (np.abs(mean) > _FAR) | (deviation > _FAR) | off
        if not far.any():
            continue
        worst = int(np.argmax(far))
        columns = splits.fields[name].columns
        which = f" in column `{columns[worst]}`" if len(columns) == len(far) > 1 else ""
        yield Diagnostic(
            "W524",
            f"`{name}` has a mean of {mean[worst]:.3g} and a deviation of {deviation[worst]:.3g}{which}, "
            f"and {_begins(one.unscaled)}",
            one.source.span,
            "counted in no units of the data",
            help=f"{_way(one.type.support, float(mean[worst]))}; samples and densities stay in the units of the data",
            severity="warning",
        )


def _begins(one: Unscaled) -> str:
    if not one.learned:
        return "its model begins at 0 and 1"
    first, more = [f"`{name}`" for name in one.learned[:5]], len(one.learned) - 5
    last = f"{more} more" if more > 0 else first.pop()
    names = f"{', '.join(first)} and {last}" if first else last
    if one.read:
        return f"a formula multiplies it, as it is, by {names}"
    return f"{names}, which its place and scale are made of, begin{'' if first else 's'} near 0 or 1"


def _way(support: Support, mean: float) -> str:
    if support != POSITIVE:
        return "standardize(...) brings it there"
    return f"scale(..., {1 / mean:.1g}) brings it there, and standardize(log(...)) as real numbers"


__all__ = ["far_off"]
