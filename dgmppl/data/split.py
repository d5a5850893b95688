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

if TYPE_CHECKING:
    from dgmppl.source import Span

DEFAULT_SIZES = (0.6, 0.2, 0.2)
# Rows of a streamed file are shuffled in blocks of at most so many, and in so many blocks at least where it has them.
_LARGEST_BLOCK, _MOST_BLOCKS, _FEWEST_BLOCKS = 1024, 256, 10

Runs = Sequence[tuple[int, int]]
Order = NDArray[np.int64] | Runs


class SplitRule(Protocol):
    """`train { split = shuffled(0.8, 0.1, 0.1, seed = 1) }`: sizes below 1 are shares of all rows, others rows."""

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
        parts: {"all": rows}, or "train", "test" and maybe "validation".
        low, high: bounds of the values, where they are declared.
        sizes: rows for each split, where the data set has a split of its own.
        ordered: false where rows come sorted (by class, say), so that they are shuffled unless a split is asked for.
    """

    parts: Mapping[str, Rows]
    low: float | None = None
    high: float | None = None
    sizes: tuple[int, int, int] | None = None
    ordered: bool = True

    @property
    def given(self) -> bool:
        return "all" not in self.parts

    @property
    def rows(self) -> Rows:
        """The rows that a rule divides: all, or those for training."""
        return self.parts["train" if self.given else "all"]


def split_fields(
    fields: Mapping[str, Opened], split: SplitRule | None, spans: Mapping[str, Span]
) -> dict[str, dict[str, Rows]]:
    """The rows of each variable by split.

    Variables are observed together, so one order serves all of them: where one is streamed, blocks of rows are
    shuffled as wholes, else rows.

    Raises:
        SpecError: when an asked split does not suit the data.
    """
    shuffled = split.rule == "shuffled" if split else not all(f.ordered or f.sizes or f.given for f in fields.values())
    orders: dict[int, Order] = {}
    parts = {}
    for name, field in fields.items():
        if split is not None and field.given:
            _verify_free(name, field, split)
        divided, sizes = _sizes(field, split)
        if shuffled and divided and (split is not None or field.sizes is None):
            if field.rows.count not in orders:
                orders[field.rows.count] = _order(field.rows.count, fields, split, spans[name])
            rows = _ordered(field.rows, orders[field.rows.count])
        else:
            rows = field.rows
        ends = np.cumsum((0, *sizes))
        parts[name] = {s: SliceRows(rows, int(a), int(b)) for s, a, b in zip(divided, ends[:-1], ends[1:])}
        parts[name].update({s: field.parts[s] for s in SPLITS if s not in divided})
        parts[name] = {s: parts[name][s] for s in SPLITS}
    return parts


def rule_name(fields: Mapping[str, Opened], split: SplitRule | None) -> tuple[str, int | None]:
    """How the run records the split: its rule, and its seed where it has one."""
    if split is not None:
        return split.rule, split.seed if split.rule == "shuffled" else None
    if all(field.given or field.sizes for field in fields.values()):
        return "given", None
    return ("ordered", None) if all(f.ordered for f in fields.values()) else ("shuffled", 0)


def _verify_free(name: str, field: Opened, split: SplitRule) -> None:
    if "validation" in field.parts:
        headline = f"the data of `{name}` says which rows are for training, validation and test"
        raise SpecError([Diagnostic("E518", headline, split.span, "a second split", help="leave `split` out")])
    if split.sizes[2] != 0:
        headline = f"the data of `{name}` says which rows are for test"
        help_ = f"say how the others are divided: split = {split.rule}(0.8, 0.2, 0)"
        raise SpecError([Diagnostic("E518", headline, split.span, "more test rows", help=help_)])


def _sizes(field: Opened, split: SplitRule | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The splits that `field.rows` is divided into, and the rows of each."""
    count = field.rows.count
    if field.given and "validation" in field.parts:
        return (), ()
    if field.given and split is None:
        # As many rows as the test has, and no more than a quarter: 50,000 and 10,000 of MNIST's 60,000.
        validation = min(field.parts["test"].count, count // 4)
        return SPLITS[:2], (count - validation, validation)
    if split is None:
        return SPLITS, field.sizes or _rows(count, DEFAULT_SIZES)
    sizes = _rows(count, split.sizes)
    if sum(sizes) > count:
        asked = f"{sum(sizes)} rows are asked for, and the data has {count}"
        raise SpecError([Diagnostic("E518", asked, split.span, "too many rows")])
    return (SPLITS[:2], sizes[:2]) if field.given else (SPLITS, sizes)


def _rows(count: int, sizes: tuple[float, float, float]) -> tuple[int, int, int]:
    """Shares in rows, rounded down; where they make up the whole, the last one takes what is left."""
    rows = [int(size * count + 1e-9) if size < 1 else int(size) for size in sizes]
    if all(size < 1 for size in sizes) and abs(sum(sizes) - 1) < 1e-9:
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
