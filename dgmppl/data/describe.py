"""What training will see of the data: sizes, ranges, classes of each split, what is missing and what never varies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.catalogue.formats import format_of
from dgmppl.catalogue.readings import Reading
from dgmppl.data.fields import Field, element_labels
from dgmppl.data.formats.csv import header_of
from dgmppl.data.missed import class_counts, class_name, is_class
from dgmppl.data.rows import Array, Rows
from dgmppl.data.table import SPLITS, Splits
from dgmppl.diagnostics import Diagnostic
from dgmppl.supports import number_text
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource

# Columns of a variable that are told one by one; of more they are told together.
_LISTED = 16


@dataclass(frozen=True)
class ColumnSummary:
    """One element of a variable over the training rows, as training sees it; of sequences over those that go as far.
    `missing` and `beyond` count rows of all splits: those without a value, and those outside of what the training rows
    have; None is a range of no values."""

    name: str
    low: float | None
    high: float | None
    mean: float | None
    deviation: float | None
    constant: bool
    missing: int
    beyond: int


@dataclass(frozen=True)
class ElementSummary:
    """One element of a vector of classes: the share of the training rows that each class has, of those with a value;
    and how many rows of all splits are `missing` one."""

    name: str
    shares: Mapping[str, float]
    missing: int


@dataclass(frozen=True)
class VariableSummary:
    """A variable: `source` as its spec writes it, its `transforms` with what they took from the data, and its
    `columns`; or where it is a class, how many rows of each split have each, and of a vector of `classes` its
    `elements`."""

    name: str
    type: str
    source: str
    transforms: tuple[Mapping[str, Any], ...]
    columns: tuple[ColumnSummary, ...]
    classes: Mapping[str, tuple[int, int, int]]
    elements: tuple[ElementSummary, ...] = ()


@dataclass(frozen=True)
class DataSummary:
    """The data of a model. `unread` are the columns or arrays of each file that the spec does not name."""

    model: str
    rows: Mapping[str, int]
    rule: str
    variables: tuple[VariableSummary, ...]
    unread: Mapping[str, tuple[str, ...]]
    warnings: tuple[Diagnostic, ...]


def describe(model: str, splits: Splits) -> DataSummary:
    """What a fit will see of loaded data, which is read once more, block by block."""
    return DataSummary(
        model,
        {name: table.rows for name, table in splits},
        str(splits.rule["rule"]),
        tuple(_variable(splits, field) for field in splits.fields.values()),
        _unread([field.source for field in splits.fields.values()], splits.folder),
        splits.warnings,
    )


def _variable(splits: Splits, field: Field) -> VariableSummary:
    classes: dict[str, tuple[int, int, int]] = {}
    columns: tuple[ColumnSummary, ...] = ()
    elements: tuple[ElementSummary, ...] = ()
    if is_class(field):
        counts = class_counts(splits, field.name)
        for number, found in enumerate(counts.T.tolist()):
            classes[class_name(field, number)] = (found[0], found[1], found[2])
    elif field.type.shape and field.type.support.size and not field.type.support.numeric:
        elements = tuple(_elements(splits, field))
    else:
        columns = tuple(_columns(splits, field))
    transforms = field.as_data()["transforms"]
    return VariableSummary(
        field.name, field.type.describe(), _written(field.source), tuple(transforms), columns, classes, elements
    )


def _labels(field: Field) -> tuple[str, ...]:
    size = math.prod(field.type.shape)
    return field.columns if len(field.columns) == size else element_labels(field.name, field.type.shape)


def _elements(splits: Splits, field: Field) -> Iterator[ElementSummary]:
    size, classes = math.prod(field.type.shape), field.type.support.size or 0
    counts, missing = np.zeros((size, classes), np.int64), np.zeros(size, np.int64)
    for block in _blocks(splits.there(splits.train, field.name), size):
        counts += np.stack([(block == k).sum(0) for k in range(classes)], 1)
    for _, table in splits:
        missing += sum(np.isnan(block).sum(0) for block in _blocks(table.columns[field.name], size))
    for label, found, lacking in zip(_labels(field), counts / np.maximum(counts.sum(1, keepdims=True), 1), missing):
        shares = {class_name(field, k): float(share) for k, share in enumerate(found)}
        yield ElementSummary(label, shares, int(lacking))


def _columns(splits: Splits, field: Field) -> Iterator[ColumnSummary]:
    size, labels = math.prod(field.type.shape), _labels(field)
    count, total, squares = np.zeros(size), np.zeros(size), np.zeros(size)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    for block in _blocks(splits.there(splits.train, field.name), size):
        count += np.isfinite(block).sum(0)
        total += np.nansum(block, 0)
        low, high = np.fmin(low, np.fmin.reduce(block, 0)), np.fmax(high, np.fmax.reduce(block, 0))
    mean = total / np.maximum(count, 1)
    missing, beyond = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for split, table in splits:
        missing += sum(np.isnan(block).sum(0) for block in _blocks(table.columns[field.name], size))
        for block in _blocks(splits.there(table, field.name), size):
            squares += np.nansum((block - mean) ** 2, 0) if split == "train" else 0.0
            beyond += ((block < low) | (block > high)).sum(0)
    deviation = np.sqrt(squares / np.maximum(count, 1))
    mean = np.where(np.abs(mean) < 1e-6 * deviation, 0.0, mean)  # what rounding leaves of a mean that was subtracted
    for k, label in enumerate(labels):
        least, most, middle, spread = (float(v[k]) if count[k] else None for v in (low, high, mean, deviation))
        fixed = least is not None and least == most
        yield ColumnSummary(label, least, most, middle, spread, fixed, int(missing[k]), int(beyond[k]))


def _blocks(rows: Rows, size: int) -> Iterator[Array]:
    for _, block in rows.blocks():
        if len(block):
            yield block.reshape(len(block), size)


def _written(source: DataSource) -> str:
    """A field as a spec names it, inside its transforms."""
    text = source.text
    for name, numbers in source.transforms:
        text = f"{name}({', '.join([text, *(number_text(float(n)) for n in numbers)])})"
    return text


def _unread(sources: Sequence[DataSource], folder: Path) -> dict[str, tuple[str, ...]]:
    """What tables and archives of arrays hold that no variable is read from, by file."""
    found: dict[str, tuple[str, ...]] = {}
    for file in dict.fromkeys(source.dataset for source in sources if source.is_file):
        of_file = [source for source in sources if source.dataset == file]
        if any(not source.field and not source.columns for source in of_file):
            continue  # all of it is read
        read = {name for source in of_file for name in (source.field, *source.columns)}
        left = tuple(name for name in _names(folder / file, of_file[0].reading) if name not in read)
        if left:
            found[file] = left
    return found


def _names(path: Path, reading: Reading) -> tuple[str, ...]:
    kind = format_of(str(path))
    if kind == "csv":
        with suppress(ValueError):  # of a file without a header, which was read all the same
            return header_of(path, reading.separator, reading.decimal)
    if kind == "npz":
        with np.load(path, allow_pickle=False) as archive:
            suffixes = tuple(f"_{split}" for split in SPLITS)
            return tuple(
                dict.fromkeys(name.rpartition("_")[0] if name.endswith(suffixes) else name for name in archive.files)
            )
    return ()


def as_data(summary: DataSummary) -> dict[str, Any]:
    """A summary as JSON has it."""
    found = asdict(summary)
    found["warnings"] = [{"code": d.code, "headline": d.headline, "help": d.help} for d in summary.warnings]
    return found


def as_text(summary: DataSummary) -> str:
    """A summary for people."""
    counts = ", ".join(f"{count:,} {_WORDS[name]}" for name, count in summary.rows.items())
    lines = [f"{summary.model}: {counted(sum(summary.rows.values()), 'row', ',')}, {counts} ({summary.rule})"]
    for variable in summary.variables:
        lines += ["", f"{variable.name} : {variable.type} from {variable.source}"]
        for transform in variable.transforms:
            constants = ", ".join(f"{k} {_constant(v)}" for k, v in transform.items() if k not in _UNTOLD)
            lines.append(f"  {transform['name']}" + (f": {constants}" if constants else ""))
        told = _class_rows if variable.classes else _element_rows if variable.elements else _column_rows
        lines += told(variable)
    for file, names in summary.unread.items():
        lines += ["", f"not read of {file}: {', '.join(names)}"]
    return "\n".join(lines)


# Whether dates are without a time of the day is told by themselves.
_UNTOLD = ("name", "whole")
_WORDS = {"train": "training", "validation": "validation", "test": "test"}


def _class_rows(variable: VariableSummary) -> list[str]:
    rows = [("class", *_WORDS.values())]
    rows += [(name, *(f"{n:,}" for n in counts)) for name, counts in variable.classes.items()]
    return _aligned(rows)


def _element_rows(variable: VariableSummary) -> list[str]:
    """The shares of classes in each element; of many elements, or classes, the largest in all of them."""
    elements, names = variable.elements, list(variable.elements[0].shares)
    if len(elements) <= _LISTED and len(names) <= _LISTED // 2:
        rows = [("share", *names, "missing")]
        rows += [(e.name, *(f"{share:.1%}" for share in e.shares.values()), f"{e.missing:,}") for e in elements]
        return _aligned(rows)
    shares = {name: sum(e.shares[name] for e in elements) / len(elements) for name in names}
    largest = sorted(names, key=lambda name: -shares[name])
    told = ", ".join(f"{name} {shares[name]:.1%}" for name in largest[: _LISTED // 2])
    more = f" and {len(names) - _LISTED // 2} more" if len(names) > _LISTED // 2 else ""
    missing = sum(e.missing for e in elements)
    return [f"  {counted(len(elements), 'element')}: {told}{more}" + (f", {missing:,} missing" if missing else "")]


def _column_rows(variable: VariableSummary) -> list[str]:
    columns, remarks = variable.columns, []
    constant = [c.name for c in columns if c.constant]
    if constant:
        remarks.append(f"  the same in all training rows: {_some(constant)}")
    if len(columns) > _LISTED:
        lows, highs = ([v for v in values if v is not None] for values in zip(*((c.low, c.high) for c in columns)))
        missing = sum(c.missing for c in columns)
        many = counted(len(columns), "element")
        text = f"  {many} from {min(lows, default=math.nan):.6g} to {max(highs, default=math.nan):.6g}"
        return [text + (f", {missing:,} missing" if missing else ""), *remarks]
    rows = [("column", "smallest", "largest", "mean", "deviation", "missing", "beyond training")]
    for c in columns:
        low, high, mean, deviation = ("-" if v is None else f"{v:.6g}" for v in (c.low, c.high, c.mean, c.deviation))
        rows.append((c.name, low, high, mean, deviation, f"{c.missing:,}", f"{c.beyond:,}"))
    return [*_aligned(rows), *remarks]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    cells = ([f"{c:<{w}}" if k == 0 else f"{c:>{w}}" for k, (c, w) in enumerate(zip(row, widths))] for row in rows)
    return ["  " + "  ".join(row) for row in cells]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _constant(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_constant(v) for v in value[:_LISTED])}{', ...' if len(value) > _LISTED else ''}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


__all__ = ["ColumnSummary", "DataSummary", "ElementSummary", "VariableSummary", "as_data", "as_text", "describe"]
