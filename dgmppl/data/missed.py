"""Classes that a split misses, as those of rows that come sorted do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.fields import Field
from dgmppl.data.table import SPLITS, Splits, Table
from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Span

Counts = NDArray[np.int64]
# Random rows of its number would miss the class less often than this.
_BY_CHANCE = 1e-3
_NAMED = 5


def is_class(field: Field) -> bool:
    """Whether a variable is one class of finitely many: no number, and no vector of them."""
    support = field.type.support
    return support.discrete and bool(support.size) and not field.type.shape and (not support.low) and support.size != 1


def class_counts(splits: Splits, name: str) -> Counts:
    """How many rows of each split have each class, (splits, classes)."""
    size = splits.fields[name].type.support.size or 0
    return np.stack([_counted(table, name, size) for _, table in splits])


def _counted(table: Table, name: str, size: int) -> Counts:
    found = np.zeros(size, dtype=np.int64)
    for _, block in table.columns[name].blocks():
        found += np.bincount(block[np.isfinite(block)].astype(np.int64), minlength=size)[:size]
    return found


def class_name(field: Field, number: int) -> str:
    return field.classes[number] if number < len(field.classes) else str(number)


def missed_classes(splits: Splits) -> Iterator[Diagnostic]:
    """A warning (W523) for each variable of classes that a split misses: a class that has rows, and none for training;
    or none in another split, where that is no chance."""
    if splits.rule["rule"] == "whole":
        return
    for name, field in splits.fields.items():
        if is_class(field):
            yield from _missed(splits, field, class_counts(splits, name))


def _missed(splits: Splits, field: Field, counts: Counts) -> Iterator[Diagnostic]:
    rows, of_class = counts.sum(1), counts.sum(0)
    parts = []
    for split, found, share in zip(SPLITS, counts, rows / max(1, rows.sum())):
        chance = (1 - share) ** of_class
        missed = (found == 0) & (of_class > 0) & ((chance < _BY_CHANCE) | (split == "train"))
        names = [class_name(field, int(number)) for number in np.flatnonzero(missed)]
        if names and rows.sum():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"no {_WORDS[split]} row is of {', '.join(names[:_NAMED])}{more}")
    if parts:
        headline = f"`{field.name}`: {'; '.join(parts)}"
        yield _warning(headline, _way_out(splits), field.source.span)


_WORDS = {"train": "training", "validation": "validation", "test": "test"}


def _warning(headline: str, help_: str, span: Span) -> Diagnostic:
    return Diagnostic("W523", headline, span, "classes are not in all splits", help=help_, severity="warning")


def _way_out(splits: Splits) -> str:
    rule, sizes = splits.rule["rule"], splits.rule["sizes"]
    if rule == "given":
        return "the data brings its own split: `dgmppl data` shows the classes of each"
    if rule == "shuffled":
        another = splits.rule["seed"] + 1
        return f"`train {{ split = shuffled({_shares(sizes)}, seed = {another}) }}` puts other rows into each split"
    return (
        f"do the rows come sorted? `train {{ split = shuffled({_shares(sizes)}) }}` shuffles them before they are split"
    )


def _shares(sizes: list[int]) -> str:
    """The shares of a split, as a spec writes them, or its numbers of rows where they are no plain ones."""
    shares = [round(size / sum(sizes), 2) for size in sizes]
    plain = abs(sum(shares) - 1) < 1e-9 and all(0 < share < 1 for share in shares)
    return ", ".join(f"{share:g}" if plain else str(size) for share, size in zip(shares, sizes))


__all__ = ["class_counts", "class_name", "is_class", "missed_classes"]
