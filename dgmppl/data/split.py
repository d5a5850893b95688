"""Which rows are for training, validation and test: as a data set gives them, else by a rule and a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.rows import PickedRows, Rows, RunRows, SliceRows
from dgmppl.data.table import SPLITS
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import are, counted

if TYPE_CHECKING:
    from dgmppl.source import Span

# What parts of a data set are called, in folders and in libraries; letters in any case.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
DEFAULT_SIZES = (0.6, 0.2, 0.2)
# Rows of a streamed file are shuffled in blocks of at most so many, and in so many blocks at least where it has them.
_LARGEST_BLOCK, _MOST_BLOCKS, _FEWEST_BLOCKS = 1024, 256, 10

Runs = Sequence[tuple[int, int]]
Order = NDArray[np.int64] | Runs


class SplitRule(Protocol):
    """`train { split = shuffled(0.8, 0.1, 0.1, seed = 1) }`: sizes are shares of the rows, all below 1, or rows."""

    @property
    def rule(self) -> str: ...
    @property
    def sizes(self) -> tuple[float, float, float]: ...
    @property
    def seed(self) -> int: ...
    @property
    def span(self) -> Span | None: ...


@dataclass(frozen=True)
class Opened:
    """A field of a data source: whole, or split as the source gives it.

    Attributes:
        parts: {"all": rows}, or "train" with "validation" or "test" or both.
        low, high: bounds of the values, where they are declared.
        sizes: rows for each split, where the data set has a split of its own.
        sorted: whether rows come sorted (by class, say), so that they are shuffled before they are divided, unless a
            split is asked for.
    """

    parts: Mapping[str, Rows]
    low: float | None = None
    high: float | None = None
    sizes: tuple[int, int, int] | None = None
    sorted: bool = False

    @property
    def given(self) -> bool:
        return "all" not in self.parts

    @property
    def rows(self) -> Rows:
        """The rows that a rule divides: all, or those for training."""
        return self.parts["train" if self.given else "all"]

    @property
    def divided(self) -> tuple[str, ...]:
        """The splits that these rows are for: all, or training and the one that is not given."""
        absent = tuple(split for split in SPLITS if split not in self.parts)
        return absent if not self.given else ("train", *absent) if absent else ()


def split_fields(
    fields: Mapping[str, Opened], split: SplitRule | None, spans: Mapping[str, Span]
) -> dict[str, dict[str, Rows]]:
    """The rows of each variable by split.

    Variables are observed together, so one order serves all of them: where one is streamed, blocks of rows are
    shuffled as wholes, else rows.

    Raises:
        SpecError: when an asked split does not suit the data.
    """
    shuffled = rule_name(fields, split)[1] is not None
    orders: dict[int, Order] = {}
    parts: dict[str, dict[str, Rows]] = {}
    for name, field in fields.items():
        sizes = _sizes(name, field, split)
        rows = field.rows
        if split is not None and split.rule == "whole":
            parts[name] = dict.fromkeys(SPLITS, rows)
            continue
        if shuffled and field.divided and (split is not None or not field.sizes):
            if rows.count not in orders:
                orders[rows.count] = _order(rows.count, fields, split, spans[name])
            rows = _ordered(rows, orders[rows.count])
        ends = [int(end) for end in np.cumsum((0, *sizes))]
        cut = {s: SliceRows(rows, *between) for s, between in zip(field.divided, zip(ends, ends[1:]))}
        parts[name] = {s: cut[s] if s in cut else field.parts[s] for s in SPLITS}
    return parts


def rule_name(fields: Mapping[str, Opened], split: SplitRule | None) -> tuple[str, int | None]:
    """How the run records the split: its rule, and its seed where it has one."""
    if split is not None:
        return split.rule, split.seed if split.rule == "shuffled" else None
    free = [field for field in fields.values() if field.divided and not field.sizes]
    seed = 0 if any(field.sorted for field in free) else None
    if all(field.given for field in free):
        return "given", seed
    return "ordered" if seed is None else "shuffled", seed


def _sizes(name: str, field: Opened, split: SplitRule | None) -> tuple[int, ...]:
    """How many of `field.rows` each of the splits `field.divided` has."""
    count = field.rows.count
    if not field.given:
        if split is None:
            return field.sizes or _rows(count, DEFAULT_SIZES)
        if split.rule == "whole":
            return (count,) * len(SPLITS)
        sizes = _rows(count, split.sizes)
        _verify_enough(sum(sizes), count, split)
        return sizes
    if not field.divided:
        if split is not None:
            headline = f"the data of `{name}` says which rows are for training, validation and test"
            raise SpecError([Diagnostic("E518", headline, split.span, "a second split", help="leave `split` out")])
        return ()
    if split is not None and split.rule == "whole":
        headline = f"the data of `{name}` says which rows are for what, and `whole` takes all for each"
        raise SpecError([Diagnostic("E518", headline, split.span, "a second split", help="leave `split` out")])
    present = next(s for s in SPLITS[1:] if s in field.parts)
    given = field.parts[present].count
    if split is None:
        # As many rows as the given split has, and no more than a quarter: 10,000 of MNIST's 60,000.
        cut = min(given, count // 4)
        return count - cut, cut
    train, asked = split.sizes[0], split.sizes[SPLITS.index(field.divided[1])]
    if train < 1:
        return _rows(count, (train / (train + asked), asked / (train + asked), 0.0))[:2]
    fixed = split.sizes[SPLITS.index(present)]
    if fixed != given:
        headline = f"the data of `{name}` gives {counted(given, 'row')} for {present}, and {fixed:g} are asked for"
        raise SpecError([Diagnostic("E518", headline, split.span, f"{present} rows are given", help=f"write {given}")])
    _verify_enough(int(train + asked), count, split)
    return int(train), int(asked)


def _verify_enough(asked: int, count: int, split: SplitRule) -> None:
    if asked > count:
        headline = f"{counted(asked, 'row')} {are(asked)} asked for, and the data has {count}"
        raise SpecError([Diagnostic("E518", headline, split.span, "too many rows")])


def _rows(count: int, sizes: tuple[float, float, float]) -> tuple[int, int, int]:
    """Shares in rows, rounded down; where they make up the whole, the last one takes what is left."""
    if sizes[0] >= 1:
        return int(sizes[0]), int(sizes[1]), int(sizes[2])
    rows = [int(size * count + 1e-9) for size in sizes]
    if abs(sum(sizes) - 1) < 1e-9:
        last = 2 if sizes[2] else 1
        rows[last] = count - sum(rows[:last])
    return rows[0], rows[1], rows[2]


def _order(count: int, fields: Mapping[str, Opened], split: SplitRule | None, span: Span) -> Order:
    generator = np.random.default_rng(split.seed if split else 0)
    streamed = [field.rows for field in fields.values() if field.rows.streams and field.rows.count == count]
    if not streamed:
        return generator.permutation(count)
    cuts = min((c for c in (rows.cuts() for rows in streamed) if c is not None), key=len, default=None)
    if cuts is None:
        cuts = range(0, count, max(1, min(_LARGEST_BLOCK, count // _MOST_BLOCKS)))
    elif len(cuts) < _FEWEST_BLOCKS:
        headline = f"streamed rows are shuffled in blocks, and the file has {len(cuts)} of them"
        help_ = "write it with smaller row groups: pyarrow.parquet.write_table(table, path, row_group_size=10000)"
        raise SpecError([Diagnostic("E518", headline, split.span if split else span, "too few blocks", help=help_)])
    ends = [*cuts[1:], count]
    return [(cuts[i], ends[i]) for i in generator.permutation(len(cuts))]


def _ordered(rows: Rows, order: Order) -> Rows:
    return PickedRows(rows, order) if isinstance(order, np.ndarray) else RunRows(rows, order)
