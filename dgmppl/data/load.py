"""From `from threshold(digits.image, 8)` to tables: open, split, transform and check every value once."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.catalogue.formats import FORMATS, format_of
from dgmppl.catalogue.transforms import REMOVES
from dgmppl.data.catalogue import DATASETS
from dgmppl.data.checks import (
    Missing,
    TakenRows,
    checked_blocks,
    taken_for_missing,
    verify_shape,
    with_unseen,
    without_names,
)
from dgmppl.data.column import Column, Transform
from dgmppl.data.disagreeing import disagreeing_classes
from dgmppl.data.far import far_off
from dgmppl.data.fields import Field
from dgmppl.data.formats import READERS
from dgmppl.data.missed import missed_classes
from dgmppl.data.precision import Distinct, collapse
from dgmppl.data.readers import read_dataset
from dgmppl.data.reading import chosen, marked
from dgmppl.data.rows import ArrayRows, BadCell, EndedRows, MappedRows, Origin, Rows
from dgmppl.data.split import Opened, SplitRule, rule_name, split_fields
from dgmppl.data.table import SPLITS, Splits, Table
from dgmppl.data.transforms import TRANSFORMS
from dgmppl.data.wanted import Wanted, wanted_of
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.data.factor_support import Impossible
    from dgmppl.graph.nodes import DataSource
    from dgmppl.pipeline import Checked
    from dgmppl.supports import Type

# What can be streamed is, where its values as float32 take more than this.
_IN_MEMORY = 256 * 2**20


def load(
    wanted: Mapping[str, Wanted],
    base: Path = Path(),
    *,
    split: SplitRule | None = None,
    stream: bool | None = None,
    originals: bool = False,
) -> Splits:
    """Loads what the observed variables are declared `from`, and checks it against their types.

    Values are read in blocks: once for each transform that takes its constants from the data, and once to check,
    convert and fingerprint them.

    Args:
        base: folder that relative file paths start from: the one the spec lies in.
        split: the rule by which rows are split; None: as the data gives it, else 60/20/20 in order.
        stream: whether files that can be streamed are; None: those larger than 256 MiB as float32.
        originals: keep the values that were read beside those that a model has.

    Raises:
        SpecError: with a diagnostic for every variable whose data is missing or breaks its type.
    """
    fields = open_fields(wanted, base, stream)
    sources = {name: one.source for name, one in wanted.items()}
    split_parts = split_fields(fields, split, {name: source.span for name, source in sources.items()})
    read = read_columns(wanted, fields, split_parts, base, split)
    train, validation, test = (Table({n: parts[split] for n, parts in read.columns.items()}) for split in SPLITS)
    rule, seed = rule_name(fields, split)
    record = {
        "rule": rule,
        "sizes": [train.rows, validation.rows, test.rows],
        "seed": seed,
        "streamed": train.streamed,
    }
    ends = {name: one.end for name, one in wanted.items() if one.end is not None}
    splits = Splits(train, validation, test, read.fingerprint, record, read.warnings, base, read.fields, ends)
    odd = (*missed_classes(splits), *disagreeing_classes(splits, wanted), *far_off(splits, wanted))
    splits = replace(splits, warnings=(*splits.warnings, *odd))
    if not originals:
        return splits
    whole = {n: p for n, p in split_parts.items() if not _is_other(wanted[n])}
    return replace(splits, originals={s: {n: p[s] for n, p in whole.items()} for s in SPLITS})


def _is_other(one: Wanted) -> bool:
    """Whether values that are there in the data are none to a model: removed ones, and those beyond an end."""
    return one.end is not None or any(name in REMOVES for name, _ in one.source.transforms)


def load_data(
    checked: Checked, base: Path, known: Mapping[str, Field] | None = None, originals: bool = False
) -> Splits:
    """The data of a spec's observed variables; relative file paths start from `base`.

    Args:
        known: what a run keeps of it, whose transforms are applied; None: they are fitted.
        originals: as `load` has it.
    """
    if checked.plan is None:
        raise SpecError(checked.diagnostics, checked.source)
    settings = checked.plan.settings
    try:
        wanted = wanted_of(checked, known)
        return load(wanted, base, split=settings.split, stream=settings.stream, originals=originals)
    except SpecError as error:
        raise SpecError(error.diagnostics, checked.source) from None


def open_fields(wanted: Mapping[str, Wanted], base: Path, stream: bool | None) -> dict[str, Opened]:
    """The field of each variable, opened, none of its values checked so far."""
    problems: list[Diagnostic] = []
    fields: dict[str, Opened] = {}
    for name, one in wanted.items():
        try:
            fields[name] = open_field(one.source, base, one.source.whole(one.type), stream)
        except SpecError as error:
            # A file that several variables are read from is missing once.
            said = {d.headline for d in problems}
            problems.extend(d for d in error.diagnostics if d.headline not in said)
    if stream and not problems:
        problems.extend(_verify_streams(fields, {name: one.source for name, one in wanted.items()}))
    if problems:
        raise SpecError(problems)
    return fields


@dataclass(frozen=True)
class Read:
    """Columns that were checked, by variable and part; their fields, a digest of all values, and what is odd."""

    columns: Mapping[str, Mapping[str, Rows]]
    fields: Mapping[str, Field]
    fingerprint: str
    warnings: tuple[Diagnostic, ...]


def read_columns(
    wanted: Mapping[str, Wanted],
    opened: Mapping[str, Opened],
    split_parts: Mapping[str, Mapping[str, Rows]],
    base: Path,
    split: SplitRule | None = None,
) -> Read:
    """Transforms and checks the rows of each variable, part by part.

    Raises:
        SpecError: with a diagnostic for every variable whose data breaks its type.
    """
    problems: list[Diagnostic] = []
    columns: dict[str, dict[str, Rows]] = {}
    fields: dict[str, Field] = {}
    warnings: list[Diagnostic] = []
    digests: dict[str, str] = {}
    sources = {name: one.source for name, one in wanted.items()}
    if any(one.end for one in wanted.values()):
        problems.extend(_verify_rows(split_parts, sources, split))
    # What says how far another goes is read before it.
    for name in sorted(split_parts if not problems else (), key=lambda n: wanted[n].end is not None):
        one, parts = wanted[name], split_parts[name]
        source, declared, end = one.source, one.type, one.end
        if end is not None and end[0] not in columns:
            continue  # its lengths are reported
        try:
            parts = parts if one.known is None else _recoded(name, parts, one.known)
            parts = _part_of(name, parts, one)
            parts = parts if end is None else _ended(parts, columns[end[0]], end[1], math.nan)
            whole = Column(parts, opened[name].low, opened[name].high, declared.support.size or 0, source.place)
            column, transforms = _transform(whole, one)
            verify_shape(name, column, declared, source)
            if end is not None:
                gaps, fill = one.missing == "rows", declared.feasible
                column = replace(column, parts=_ended(column.parts, columns[end[0]], end[1], fill, gaps))
            removed = any(transform in REMOVES for transform, _ in source.transforms)
            may_miss = one.missing or ("rows" if removed else "")
            columns[name], digests[name], lost = _read(name, column, declared, source, may_miss, one.impossible)
            if source.transforms:
                digests[name] = _digest_before(parts)
            origin = next(iter(parts.values())).origin
            classes = with_unseen(origin, declared)
            taken = taken_for_missing(name, origin, declared, source)
            nameless = None if taken or one.known else without_names(name, classes, declared, source)
            warnings += [found for found in (lost, taken, nameless) if found is not None]
            made = Field(name, declared, source, whole.shape, origin.columns, classes, transforms, origin.form)
            fields[name] = one.known or made
        except SpecError as error:
            problems.extend(d for d in error.diagnostics if d not in problems)
        except (OSError, MemoryError) as error:
            problems.append(_unreadable(source, base, error))
    if not problems:
        problems.extend(_verify_rows(columns, sources, split))
    if problems:
        raise SpecError(problems)
    together = hashlib.sha256("\n".join(f"{name} {digests[name]}" for name in sorted(digests)).encode())
    ordered = [name for name in wanted if name in columns]
    return Read(
        {name: columns[name] for name in ordered},
        {name: fields[name] for name in ordered},
        together.hexdigest(),
        tuple(warnings),
    )


def _part_of(name: str, parts: Mapping[str, Rows], one: Wanted) -> Mapping[str, Rows]:
    """Of a family of several indices the rows at its own places along the axes behind the first. Rows that are given to
    a run may be those of a part alone."""
    places, whole = one.source.places, one.source.whole(one.type)
    alone = one.known is not None and all(len(rows.shape) < len(whole.shape) for rows in parts.values())
    if not places or alone:
        return parts
    verify_shape(name.partition("[")[0], Column(parts), whole, one.source)
    at: tuple[Any, ...] = (slice(None), slice(None), *(place for place, _ in places))
    return {split: MappedRows(rows, lambda values: values[at], one.type.shape) for split, rows in parts.items()}


def open_field(source: DataSource, base: Path, declared: Type, stream: bool | None) -> Opened:
    """The rows of a source: whole, or split as it gives them; those that the spec asks for, its marks missing."""
    if not source.is_file:
        return _open_named(source)
    read = READERS[format_of(source.dataset)]
    try:
        found = marked(_resident(read(source, base, declared), stream), source)
        return chosen(found, source, lambda asked, type_: marked(read(asked, base, type_), asked))
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as error:
        raise SpecError([_unreadable(source, base, error)]) from None


def _open_named(source: DataSource) -> Opened:
    data = DATASETS[source.dataset]
    field = data.fields[source.field]
    rows = ArrayRows(read_dataset(source.dataset)[source.field], Origin(f"{source.dataset}.{source.field}"))
    return Opened({"all": rows}, field.support.low, field.support.high, data.splits)


def _unreadable(source: DataSource, base: Path, error: Exception) -> Diagnostic:
    format = FORMATS[format_of(source.dataset)] if source.is_file else FORMATS["npz"]
    if isinstance(error, FileNotFoundError):
        headline = f"there is no {'folder' if format is FORMATS['folder'] else 'file'} {source.dataset}"
        help_ = f"a relative path starts from the folder of the spec: {(base / source.dataset).resolve()}"
        return Diagnostic("E503", headline, source.span, help=help_)
    if isinstance(error, BadCell):
        help_ = "rows are counted from 0" if str(error).startswith("row ") else ""
        return Diagnostic("E516", f"{source.dataset}: {error}", source.span, "expected numbers", help=help_)
    if isinstance(error, MemoryError):
        reason, help_ = "there is not memory enough", "`train { stream = true }` leaves large files on disk"
    else:
        reason, help_ = _plain(error), format.written
    return Diagnostic("E503", f"cannot read {source.dataset}: {reason}", source.span, help=help_)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"it is cut off or damaged ({reason})" if isinstance(error, zipfile.BadZipFile) else reason


def _resident(field: Opened, stream: bool | None) -> Opened:
    """The field with its rows in memory, unless they can and are to be streamed."""
    size = sum(4 * rows.count * math.prod(rows.shape) for rows in field.parts.values())
    streamed = stream or (stream is None and size > _IN_MEMORY)
    parts = {name: rows if streamed and rows.streams else rows.resident() for name, rows in field.parts.items()}
    return replace(field, parts=parts)


def _verify_streams(fields: Mapping[str, Opened], sources: Mapping[str, DataSource]) -> Iterator[Diagnostic]:
    if not any(rows.streams for field in fields.values() for rows in field.parts.values()):
        name, source = next(iter(sources.items()))
        headline = f"{source.dataset} cannot be streamed: {fields[name].rows.obstacle}"
        help_ = "leave `stream` out; .npy, IDX that is not compressed, .parquet and tables as text can be streamed"
        yield Diagnostic("E519", headline, source.span, "cannot stay on disk", help=help_)


def _transform(column: Column, one: Wanted) -> tuple[Column, tuple[Transform, ...]]:
    """A column behind the transforms of its source, and these: fitted to its rows, or as a run has them."""
    found: list[Transform] = []
    for position, (name, numbers) in enumerate(one.source.transforms):
        try:
            fitted = one.known.transforms[position] if one.known else TRANSFORMS[name].fit(column, *numbers)
            if fitted.takes:
                taken = {s: TakenRows(rows, name, fitted, one.source) for s, rows in column.parts.items()}
                column = replace(column, parts=taken)
            column = fitted.of(column) if one.others else fitted.of_fit(column)
        except ValueError as error:
            raise SpecError([Diagnostic("E508", f"{name}: {error}", one.source.span)]) from None
        found.append(fitted)
    return column, tuple(found)


def _read(
    name: str, column: Column, declared: Type, source: DataSource, missing: Missing, impossible: Sequence[Impossible]
) -> tuple[dict[str, Rows], str, Diagnostic | None]:
    """Each split's rows as float32, checked, in memory unless they are streamed; a digest of all of them; and a
    warning where different values have become the same.
    """
    digest = hashlib.sha256()
    distinct = Distinct(declared.shape)
    parts: dict[str, Rows] = {}
    for split, rows in column.parts.items():
        digest.update(f"{split} {rows.count} {rows.shape} {rows.origin.classes}\n".encode())
        array = None if rows.streams else np.empty((rows.count, *rows.shape), dtype=np.float32)
        for start, block, rounded in checked_blocks(name, rows, declared, source, missing, impossible):
            digest.update(_plain_bytes(rounded, "<f4"))
            distinct.add(block, rounded)
            if array is not None:
                array[start : start + len(rounded)] = rounded
        parts[split] = rows if array is None else ArrayRows(array, rows.origin, numbering=rows.numbering())
    lost = collapse(name, distinct, declared.shape, next(iter(column.parts.values())).origin, source.span)
    return parts, digest.hexdigest(), lost


def _recoded(name: str, parts: Mapping[str, Rows], known: Field) -> dict[str, Rows]:
    """Rows whose texts have the numbers that a run knows them by.

    Raises:
        SpecError: (E506) for a text that the run does not know, or numbers in the place of texts.
    """
    found: dict[str, Rows] = {}
    for part, rows in parts.items():
        texts = rows.origin.classes
        if texts == known.classes or not (known.classes and rows.count) or (not texts and _is_empty(rows)):
            found[part] = rows
            continue
        names = ", ".join(known.classes[:8]) + (", ..." if len(known.classes) > 8 else "")
        help_ = f"the run was fitted to the classes {names}"
        strange = next((text for text in texts if text not in known.classes), None)
        if strange is not None or not texts:
            if strange is None:
                where = f"`{name}`" if rows.origin.name == f"`{name}`" else f"`{name}` of {rows.origin.name}"
                headline = f"{where} holds numbers, and the classes of the run are texts"
            else:
                place = _place_of(rows, texts.index(strange))
                headline = f'{place} is the class "{strange}", which `{name}` of the run does not know'
            raise SpecError([Diagnostic("E506", headline, known.source.span, help=help_)])
        numbers = np.array([known.classes.index(text) for text in texts], dtype=np.float64)
        origin = replace(rows.origin, classes=known.classes)
        found[part] = MappedRows(rows, partial(_renumbered, numbers), origin=origin)
    return found


def _place_of(rows: Rows, code: int) -> str:
    """The place of the first value that is this class."""
    for start, block in rows.blocks():
        found = np.argwhere(block == code)
        if len(found):
            row, *column = found[0].tolist()
            return rows.origin.place(rows.number(start + row), tuple(column), math.prod(rows.shape))
    return rows.origin.name


def _is_empty(rows: Rows) -> bool:
    """Whether all values are missing."""
    return all(bool(np.isnan(block).all()) for _, block in rows.blocks())


def _renumbered(numbers: NDArray[np.float64], codes: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(codes)
    return np.where(known, numbers[np.where(known, codes, 0).astype(np.int64)], np.nan)


def _ended(
    parts: Mapping[str, Rows], ends: Mapping[str, Rows], first: int, fill: float, gaps: bool = False
) -> dict[str, Rows]:
    """The rows of each split with `fill` beyond their ends. The check of shapes comes later."""
    return {s: EndedRows(rows, ends[s], first, fill, gaps) if rows.shape else rows for s, rows in parts.items()}


def _digest_before(parts: Mapping[str, Rows]) -> str:
    """A digest of values before transforms, whose constants may differ in the last digit from machine to machine."""
    digest = hashlib.sha256()
    for split, rows in parts.items():
        digest.update(f"{split} {rows.count} {rows.shape} {rows.origin.classes}\n".encode())
        for _, block in rows.blocks():
            digest.update(_plain_bytes(block, "<f8"))
    return digest.hexdigest()


def _plain_bytes(values: NDArray[np.floating[Any]], kind: str) -> bytes:
    """Values as bytes that are the same where the values are: there are two zeros, and many NaN."""
    plain = values + 0.0
    plain[np.isnan(plain)] = np.nan
    return plain.astype(kind, copy=False).tobytes()


def _verify_rows(
    columns: Mapping[str, Mapping[str, Rows]], sources: Mapping[str, DataSource], split_rule: SplitRule | None
) -> Iterator[Diagnostic]:
    """Variables are observed together, so their data must have the same rows; and each split some."""
    first = next(iter(columns), None)
    if first is None:
        return
    for split in columns[first]:
        rows = {name: parts[split].count for name, parts in columns.items()}
        if rows[first] == 0:
            help_ = "what brings no split of its own is split 60/20/20, which takes 5 rows at least"
            span = sources[first].span
            if split_rule is not None:
                count = sum(part.count for part in columns[first].values())
                help_, span = f"the rule divides {counted(count, 'row')}", split_rule.span or span
            yield Diagnostic("E505", f"no row of `{first}` is left for {split}", span, help=help_)
            return
        for name, count in rows.items():
            if count != rows[first]:
                of_split = "" if split == "all" else f" for {split}"
                headline = f"`{name}` has {counted(count, 'row')}{of_split}, but `{first}` has {rows[first]}"
                help_ = "variables that are observed together need data of the same rows, in the same order"
                yield Diagnostic("E505", headline, sources[name].span, help=help_)
                return
