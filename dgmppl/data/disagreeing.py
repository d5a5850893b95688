"""Variables whose classes pick elements of one tensor, and are numbered in different ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, Note
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.data.wanted import Wanted


def disagreeing_classes(splits: Splits, wanted: Mapping[str, Wanted]) -> Iterator[Diagnostic]:
    """A warning (W525) for two variables of texts, as `skill[home] - skill[away]` reads, in which a number stands for
    different texts."""
    picking = [name for name in wanted if wanted[name].picks and splits.fields[name].classes]
    for one, other in combinations(picking, 2):
        both = wanted[one].picks & wanted[other].picks
        texts, others = splits.fields[one].classes, splits.fields[other].classes
        number = next((k for k, (a, b) in enumerate(zip(texts, others)) if a != b), None)
        if not both or number is None:
            continue
        name = min(both)[0]
        source, another = wanted[one].source, wanted[other].source
        yield Diagnostic(
            "W525",
            f"`{one}` and `{other}` both pick elements of `{name}`, and number their classes differently: {number} is "
            f'"{texts[number]}" of the one and "{others[number]}" of the other',
            another.span,
            counted(len(others), "class"),
            notes=(Note(source.span, counted(len(texts), "class")),),
            help="columns that are read as one family or vector have the same classes: "
            'observed pair[j in 0..1] : categorical(K) from "table.csv"[first, second]',
            severity="warning",
        )


__all__ = ["disagreeing_classes"]
