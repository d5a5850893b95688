"""Values that lie far from where a model begins, of variables that it does not count in units of their data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dgmppl.data.table import Splits
from dgmppl.data.transforms import moments
from dgmppl.diagnostics import Diagnostic
from dgmppl.supports import POSITIVE, Support

if TYPE_CHECKING:
    from dgmppl.data.wanted import Wanted

_LARGE, _SMALL = 100.0, 0.01
"""A fit that begins at a place of 0 and a scale of 1 takes long to come to values beyond these."""


def far_off(splits: Splits, wanted: Mapping[str, Wanted]) -> Iterator[Diagnostic]:
    """A warning (W524) for each variable that its model counts in no units, and whose training rows lie far from 0 or
    spread far more or less than by 1."""
    for name, one in wanted.items():
        if not one.unscaled:
            continue
        mean, deviation = (m.ravel() for m in moments(splits.there(splits.train, name)))
        far = (np.abs(mean) > _LARGE) | (deviation > _LARGE) | ((deviation < _SMALL) & (deviation > 0))
        if not far.any():
            continue
        worst = int(np.argmax(far))
        columns = splits.fields[name].columns
        which = f" in column `{columns[worst]}`" if len(columns) == len(far) > 1 else ""
        yield Diagnostic(
            "W524",
            f"`{name}` has a mean of {mean[worst]:.3g} and a deviation of {deviation[worst]:.3g}{which}, "
            "and its model begins at 0 and 1",
            one.source.span,
            "counted in no units of the data",
            help=f"{_way(one.type.support, float(mean[worst]))}; samples and densities stay in the units of the data",
            severity="warning",
        )


def _way(support: Support, mean: float) -> str:
    if support != POSITIVE:
        return "standardize(...) brings it there"
    return f"scale(..., {1 / mean:.1g}) brings it there, and standardize(log(...)) as real numbers"


__all__ = ["far_off"]
