"""What many draws of a variable are told as: some of them, or one value and how far they lie around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.fields import Field
from dgmppl.words import counted

Values = NDArray[np.generic]

FEW = 10
"""Of fewer independent draws that a row's are worth, it is said."""


@dataclass(frozen=True)
class Summary:
    """Draws of a variable in the units of the data.

    Attributes:
        rows: which rows they are of, (m,).
        values: one for each of these, (m, *shape), or so many draws, (m, draws, *shape).
        spread: standard deviations, or how often a value of few was drawn, (m, *shape); None where nobody asks.
        kind: which of both, "deviation" or "probability".
    """

    rows: NDArray[np.int64]
    values: NDArray[np.generic]
    spread: NDArray[np.float64] | None
    kind: str

    @classmethod
    def together(cls, parts: Sequence[Summary], rows: NDArray[np.int64]) -> Summary:
        """Summaries of some rows after those of others, which are these rows."""
        values = np.concatenate([p.values for p in parts])
        spreads = [p.spread for p in parts if p.spread is not None]
        return replace(parts[0], rows=rows, values=values, spread=np.concatenate(spreads) if spreads else None)


def summary_of(drawn: NDArray[np.float32], field: Field, draws: int, deviations: bool) -> Summary:
    """The summary of draws as the model has them, (m, many, *shape): so many of them or, without `draws`, one value.

    That is the mean in the units of the data; of few values or classes the one that is drawn most often, of other whole
    numbers a median; and of vectors of which the mean is none, as of directions, the draw that is nearest to it.
    """
    support = field.type.support
    rows = np.arange(len(drawn))
    few = support.size is not None and support.discrete
    kind = "probability" if few else "deviation"
    if few:
        low = int(support.low or 0)
        counts = np.stack([(drawn == low + k).sum(1) for k in range(support.size or 0)], -1)
        best = (low + counts.argmax(-1)).astype(np.float64)
        spread = counts.max(-1) / drawn.shape[1] if deviations else None
        if spread is not None and spread.shape[1:] != _shape(field):
            spread = spread.min(tuple(range(1, spread.ndim)))[(...,) + (None,) * len(_shape(field))]
            spread = np.broadcast_to(spread, (len(drawn), *_shape(field)))
        return Summary(rows, _draws(drawn, field, draws) if draws else _told(best, field), spread, kind)
    told = _told(drawn.reshape(-1, *drawn.shape[2:]), field.in_numbers).reshape(*drawn.shape[:2], *_shape(field))
    spread = told.std(1) if deviations else None
    if draws:
        return Summary(rows, field.named(told[:, :draws], means=True), spread, kind)
    if support.discrete:
        return Summary(rows, np.sort(told, axis=1)[:, told.shape[1] // 2], spread, kind)
    mean = told.mean(1)
    if support.event_rank and len(drawn) and not support.contains(drawn.astype(np.float64).mean(1)).all():
        away = np.square(told - mean[:, None]).reshape(*told.shape[:2], -1).sum(-1)
        mean = told[rows, away.argmin(1)]
    return Summary(rows, field.named(mean, means=True), spread, kind)


def _draws(drawn: NDArray[np.float32], field: Field, draws: int) -> Values:
    some = drawn[:, :draws]
    return _told(some.reshape(-1, *some.shape[2:]), field).reshape(*some.shape[:2], *_shape(field))


def _told(values: NDArray[np.generic], field: Field) -> NDArray[np.generic]:
    """Values in the units of the data, classes as texts."""
    return field.invert(values)


def _shape(field: Field) -> tuple[int, ...]:
    return tuple(field.shape if field.invertible else field.type.shape)


def effective_words(sizes: NDArray[np.floating], draws: int) -> str:
    """What the effective sample sizes of rows say of draws that were weighed, in words (Kong, 1992)."""
    few = int((sizes < FEW).sum())
    words = f"effective sample size of {counted(draws, 'draw', ',')}: {np.median(sizes):.0f} in the median row"
    words = f"{words}, {sizes.min():.1f} at least"
    return words + (f"; below {FEW} in {counted(few, 'row', ',')}, where draws are few that differ" if few else "")


__all__ = ["Summary", "effective_words", "summary_of"]
