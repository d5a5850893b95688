"""Values that differ in a file and become the same in single precision, in which models are fitted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.rows import Array, Origin
from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Span

# Different values that are kept, of all columns and of one of them.
_KEPT, _MOST, _LEAST = 2**22, 2**16, 2**10


class Distinct:
    """Counts the different values of each column of some rows, before and after they are rounded to single precision.

    Those of a column's first rows are counted, until there are about 65,536 (fewer where there are many columns):
    that does with little memory, however long the data is.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.columns = math.prod(shape)
        self.most = min(_MOST, max(_LEAST, _KEPT // max(1, self.columns)))
        self.found: dict[int, NDArray[np.float64]] = {}
        self.exact = True

    def add(self, values: Array, rounded: NDArray[np.float32]) -> None:
        """Counts a block of rows, (n, *shape), beside what it is rounded to."""
        if self.exact and np.array_equal(values, rounded.astype(np.float64), equal_nan=True):
            # Bytes, classes, and what was in single precision before: nothing can become the same.
            return
        self.exact = False
        flat = values.reshape(len(values), self.columns)
        for column in range(self.columns):
            before = self.found.get(column)
            if before is not None and len(before) >= self.most:
                continue
            new = flat[: self.most, column]
            new = np.unique(new[np.isfinite(new)])
            self.found[column] = new if before is None else np.union1d(before, new)

    def worst(self) -> tuple[int, int, int] | None:
        """The column that loses most, how many values it has and how many are left; None: all keep almost all.

        That a few become the same is no matter of precision: of n values spread evenly from 0 to the largest,
        about n^2 / 2^25 do. Sixteen times as many and 1 in 100 are let pass.
        """
        lost: list[tuple[float, int, int, int]] = []
        for column, values in self.found.items():
            left = len(np.unique(values.astype(np.float32)))
            lost.append((1 - left / max(1, len(values)), column, len(values), left))
        share, column, before, left = max(lost, default=(0.0, 0, 0, 0))
        return (column, before, left) if share > 0.01 + before / 2**20 else None


def collapse(name: str, distinct: Distinct, shape: tuple[int, ...], origin: Origin, span: Span) -> Diagnostic | None:
    """The warning (W521) for a variable whose values become the same; None where they do not."""
    found = distinct.worst()
    if found is None:
        return None
    number, before, left = found
    index = tuple(int(i) for i in np.unravel_index(number, shape)) if shape else ()
    place = f"`{name}`{origin.column(index, math.prod(shape))}"
    among = ", as far as counted," if before >= distinct.most else ""
    headline = f"of {before:,} different values of {place}{among} {left:,} are left in single precision"
    help_ = (
        "models are fitted in single precision; standardize(...) is computed in double precision before that, "
        "or subtract an offset in the file"
    )
    return Diagnostic("W521", headline, span, "digits are lost", help=help_, severity="warning")
