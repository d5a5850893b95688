"""Rows that a run is applied to: a split of its own data, a file, a table or arrays, read as those of the fit were."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dgmppl.apply.data_files import DataFile, file_given, unplaced
from dgmppl.apply.originals import names_of
from dgmppl.catalogue.formats import FORMATS
from dgmppl.data.checks import Missing
from dgmppl.data.fields import Field
from dgmppl.data.formats.columns import array_days
from dgmppl.data.formats.tables import open_table
from dgmppl.data.forms import DATES, NUMBERS, Form, form_of_dtype
from dgmppl.data.given_arrays import TABLE, array_of, is_frame, table_of_frame, verify_array, with_labels
from dgmppl.data.load import open_field, read_columns
from dgmppl.data.reading import marked
from dgmppl.data.rows import ArrayRows, BadCell, Origin, Rows, Values
from dgmppl.data.split import Opened
from dgmppl.data.table import SPLITS, Table
from dgmppl.data.wanted import Wanted, wanted_of
from dgmppl.diagnostics import Diagnostic, SpecError, nearest
from dgmppl.train.batches import Examples, open_examples
from dgmppl.train.runs import Run, run_data

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource

CHUNK = 500
"""Rows that are at hand at once: memory does not grow with their number."""


@dataclass(frozen=True)
class Given:
    """Rows in the units of the model, checked against the run's types.

    Attributes:
        table: the variables that are there.
        fields: what the run keeps of all variables of its data, by name.
        names: the variables of the data, in the order in which the model takes them.
        device: where tensors go.
        index: the index of a DataFrame, which answers keep.
        originals: the values that were given, before all transforms, by variable; of a split those that it has.
    """

    table: Table
    fields: Mapping[str, Field]
    names: tuple[str, ...]
    device: torch.device
    index: Any = None
    originals: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return self.table.rows

    @property
    def absent(self) -> tuple[str, ...]:
        """The variables of the data that are not there."""
        return tuple(name for name in self.names if name not in self.table.columns)

    def as_given(self, name: str, start: int, stop: int) -> Values | None:
        """The values of a variable in these rows as they were given, (n, *shape of the data), classes and dates as
        texts; None where they are not kept, or cannot be told in the units of the data."""
        field, rows = self.fields[name], self.originals.get(name)
        if rows is None or not field.invertible or tuple(rows.shape) != tuple(field.shape):
            return None
        values = np.asarray(rows.read(start, stop))
        if not (field.classes or rows.origin.classes or field.dates):
            return values
        return replace(field, classes=rows.origin.classes or field.classes, data_form=self.form(name)).as_given(values)

    def form(self, name: str) -> Form:
        """What the values of a variable are: as the rows have them, else as the data of the fit."""
        field, rows = self.fields[name], self.originals.get(name)
        if rows is None or not field.invertible:
            return field.form
        unknown = (field.classes and not rows.origin.classes) or (field.dates and not rows.origin.form.kind)
        return field.form if unknown else rows.origin.form  # nothing is known where all of it is missing

    @cached_property
    def told(self) -> Mapping[str, Field]:
        """The fields of all variables, by which answers about the rows are told: dates, categories and single precision
        as the rows have them, where they say so."""
        found = dict(self.fields)
        for name, rows in self.originals.items():
            form = rows.origin.form
            if form.kind in ("classes", "single", *DATES) and self.fields[name].invertible:
                found[name] = replace(self.fields[name], data_form=form)
        return found

    def examples(self) -> Examples:
        """The rows as the tensors that the model takes, where all variables are there."""
        return open_examples(self.table, self.names, self.device)

    def chunks(self, size: int = CHUNK) -> Iterator[dict[str, Tensor]]:
        """All rows in order, up to `size` at a time: the variables that are there."""
        for start in range(0, self.rows, size):
            read = self.table.read(start, min(start + size, self.rows))
            yield {name: torch.from_numpy(read[name]).to(self.device) for name in self.names if name in read}


NOTHING_MISSING: Mapping[str, Missing] = {}


def given_split(
    run: Run, fields: Mapping[str, Field], split: str, device: torch.device, folder: Path | None = None
) -> Given:
    """The rows of a split of the run's own data: "train", "validation" or "test".

    Raises:
        SpecError: when the data is not there, or breaks its type.
    """
    if split not in SPLITS:
        raise SpecError([Diagnostic("E713", f"a split is one of {', '.join(SPLITS)}, not {split}")])
    splits = run_data(run, folder, originals=True)
    table: Table = getattr(splits, split)
    return Given(table, fields, tuple(fields), device, originals=splits.originals[split])


def given_data(
    run: Run,
    fields: Mapping[str, Field],
    data: Any,
    device: torch.device,
    *,
    optional: Sequence[str] = (),
    missing: Mapping[str, Missing] = NOTHING_MISSING,
) -> Given:
    """Rows from elsewhere, in the units of the data.

    Args:
        data: the path of a file, a DataFrame, arrays or tensors by variable or column, or one array where the model has
            one variable.
        optional: the variables that may be left out.
        missing: what may be missing (NaN) of the values of a variable, besides what the spec lets be missing.

    Raises:
        SpecError: when a variable is not there, or a value is not of its type, with row and column.
    """
    wanted = wanted_of(run.checked, fields)
    opened: dict[str, Opened] = {}
    problems: list[Diagnostic] = []
    try:
        source, file = _source_of(data, fields, optional), file_given(data)
        for name, field in fields.items():
            reading = field.source.reading
            others = replace(field.source, reading=file.read_as(reading) if file else reading.of_others())
            found = source.open(replace(field, source=others))
            if found is not None:
                opened[name] = marked(found, others)
            elif name not in optional:
                problems.append(_absent(field, source))
        if problems:
            raise SpecError(problems)
        one = {
            name: replace(wanted[name], others=True, source=replace(field.source, dataset=source.name))
            for name, field in fields.items()
            if name in opened
        }
        one = {name: replace(w, missing=_more(w.missing, missing.get(name, ""))) for name, w in one.items()}
        _verify_lengths_there(one)
        _verify_some(opened, source)
        split = {name: {"all": field.parts["all"]} for name, field in opened.items()}
        read = read_columns(one, opened, split, Path())
    except SpecError as error:
        # What they point at is where the spec says the data of the fit come from: a place that says nothing of these.
        index = data.index if is_frame(data) else None
        told = [_unplaced(d, data) for d in error.diagnostics]
        raise SpecError([replace(d, headline=with_labels(d.headline, index)) for d in told]) from None
    table = Table({name: parts["all"] for name, parts in read.columns.items()})
    originals = {name: field.parts["all"] for name, field in opened.items()}
    return Given(table, fields, tuple(fields), device, source.index, originals)


def _more(first: Missing, second: Missing) -> Missing:
    """The more lenient of two."""
    order: tuple[Missing, ...] = ("", "rows", "elements")
    return max(first, second, key=order.index)


def _unplaced(found: Diagnostic, data: Any) -> Diagnostic:
    return replace(unplaced(found), help=_help(found, data))


def _help(found: Diagnostic, data: Any) -> str:
    """What helps where the spec is not to be changed: the run was fitted to it."""
    if found.code == "E505":
        return "rows are as those that the run was fitted to"
    mark = re.fullmatch(r"with `(decimal = \"(.)\")` in its brackets this is a number; (.*)", found.help, re.DOTALL)
    if mark is not None:
        file = file_given(data)
        return f"--data '{file.path if file else 'FILE'}[{mark[1]}]' reads it as a number; {mark[3]}"
    return found.help.replace("a `partial` variable may be missing in some rows; ", "")


def _verify_lengths_there(wanted: Mapping[str, Wanted]) -> None:
    for name, one in wanted.items():
        if one.end is not None and one.end[0] not in wanted:
            headline = f"`{name}` goes as far as `{one.end[0]}` says, which is not there"
            raise SpecError([Diagnostic("E504", headline, help=f"give `{one.end[0]}` as well")])


def _verify_some(opened: Mapping[str, Opened], source: _Source) -> None:
    if any(not field.parts["all"].count for field in opened.values()):
        raise SpecError([Diagnostic("E505", f"{source.name} has no rows", help="a row for each example")])


def _absent(field: Field, source: _Source) -> Diagnostic:
    names = [*dict.fromkeys(source.names(field))]
    found = f"has no {source.kind} {' or '.join(f'`{name}`' for name in names)}"
    known = [*source.known()]
    if source.kind == "column" and len(field.columns) > 1:
        names = [name for name in field.columns if name not in known]
        lacking = [f"`{name}`" for name in names]
        found = f"has no {'column' if len(lacking) == 1 else 'columns'} {' and '.join(lacking)}"
        found = found if known else f"has not all of the columns {', '.join(field.columns)}"
    what = f"{source.name} {found}, which `{field.name}` is read from"
    listed = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    others = [name for name in known if name not in field.columns]
    near = next((other for name in names if (other := nearest(name, others)) is not None), None)
    help_ = f"it has {listed}" if known else ""
    return Diagnostic("E504", what, help=f"did you mean `{near}`? {help_}" if near else help_)


class _Source:
    """Something that fields are opened from."""

    name = "the data"
    kind = "array"
    index: Any = None

    def names(self, field: Field) -> tuple[str, ...]:
        """What a field is looked for as, the first that is there."""
        asked = (field.source.field,) if field.source.field else ()
        return tuple(dict.fromkeys((*asked, field.name)))

    def known(self) -> Collection[str]:
        """The names of columns, or of arrays, that are there; none where nothing says them."""
        return ()

    def open(self, field: Field) -> Opened | None:
        """The rows of a field; None where it is not there."""
        raise NotImplementedError


def _source_of(data: Any, fields: Mapping[str, Field], optional: Sequence[str]) -> _Source:
    file = file_given(data)
    if file is not None:
        return _File(file)
    if isinstance(data, Mapping):
        return _Arrays(data)
    if hasattr(data, "to_arrow"):  # polars
        return _Frame(data.to_arrow())
    if hasattr(data, "schema") and hasattr(data, "column_names"):
        return _Frame(data)
    if is_frame(data):
        return _Frame(table_of_frame(data), data.index)
    verify_array(data)
    needed = [name for name in fields if name not in optional] or list(fields)
    if len(needed) != 1:
        headline = f"one array cannot be {' and '.join(f'`{name}`' for name in needed)}"
        raise SpecError([Diagnostic("E504", headline, help="give a dict: {name: array}, or a DataFrame")])
    return _Arrays({needed[0]: data})


class _File(_Source):
    """A file of any format that a spec may name."""

    def __init__(self, file: DataFile) -> None:
        path = file.path
        self.file, self.path, self.name, self.format = file, path, str(path), file.format
        if not self.format or not path.exists():
            why = f"there is no file {path}" if self.format else f"{path} has an ending that no format of data has"
            help_ = "" if self.format else f"it may be {', '.join(f for f in FORMATS if FORMATS[f].written)}"
            raise SpecError([Diagnostic("E503", why, help=help_)])
        self.kind = "column" if FORMATS[self.format].columns else "array"

    def known(self) -> Collection[str]:
        return names_of(self.file)

    def names(self, field: Field) -> tuple[str, ...]:
        if FORMATS[self.format].columns and len(field.columns) > 1:
            return (*field.columns,)
        return (*field.columns, *super().names(field))

    def open(self, field: Field) -> Opened | None:
        if self.format == "npz" and field.classes and (texts := self._texts_of(field)) is not None:
            return texts
        for source in self._candidates(field):
            try:
                found = open_field(source, Path(), source.whole(field.type), None)
            except SpecError as error:
                if all(d.code == "E504" for d in error.diagnostics):
                    continue
                raise
            return found if "all" in found.parts else Opened({"all": found.rows}, found.low, found.high)
        return None

    def _texts_of(self, field: Field) -> Opened | None:
        """The classes of a .npz file that are told as texts, as answers tell them; None where they are not."""
        # What is damaged is told where its numbers are opened.
        damaged = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
        with suppress(*damaged), np.load(self.path, allow_pickle=False) as arrays:
            name = next((n for n in self.names(field) if n in arrays.files), None)
            if name is not None and (values := arrays[name]).dtype.kind == "U":
                codes, origin = _texts(name, np.where(values == "", None, values), Origin(f"{self.name}, array {name}"))
                return Opened({"all": ArrayRows(codes, origin)})
        return None

    def _candidates(self, field: Field) -> Iterator[DataSource]:
        """Where the field may lie in the file: as it lay in the data of the fit, or under the variable's name."""
        plain = replace(field.source, dataset=self.name, is_file=True, field="", columns=())
        kind = FORMATS[self.format]
        if not kind.named and not kind.columns:
            yield plain
            return
        if kind.columns:
            if field.source.field and len(field.columns) <= 1:
                yield replace(plain, field=field.source.field)
            elif field.columns:
                yield replace(plain, columns=field.columns)
            yield replace(plain, field=field.name)
            if field.labels != (field.name,):
                yield replace(plain, columns=field.labels)
            return
        for name in self.names(field):
            yield replace(plain, field=name)


class _Frame(_Source):
    """A table in memory."""

    kind = "column"

    def __init__(self, table: pa.Table, index: Any = None) -> None:
        self.table, self.index = table, index
        self.name = TABLE

    def known(self) -> Collection[str]:
        return [str(name) for name in self.table.column_names]

    def names(self, field: Field) -> tuple[str, ...]:
        return field.columns if len(field.columns) > 1 else (*field.columns, *super().names(field))

    def open(self, field: Field) -> Opened | None:
        known = set(self.table.column_names)
        plain = replace(field.source, dataset=self.name, is_file=True, field="", columns=())
        single = (field.source.field, field.name) if len(field.columns) <= 1 else (field.name,)
        for name in single:
            if name and name in known:
                return open_table(self.table, replace(plain, field=name))
        for columns in (field.columns, field.labels):
            if columns and known >= set(columns):
                return open_table(self.table, replace(plain, columns=columns))
        return None


class _Arrays(_Source):
    """Arrays, tensors or lists by the name of a variable or of what it is read from."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = arrays
        self.name = "the data"

    def known(self) -> Collection[str]:
        return [str(name) for name in self.arrays]

    def names(self, field: Field) -> tuple[str, ...]:
        return tuple(reversed(super().names(field)))

    def open(self, field: Field) -> Opened | None:
        name = next((n for n in self.names(field) if n in self.arrays), None)
        if name is None:
            return None
        given = self.arrays[name]
        values = array_of(given)
        origin = Origin(f"`{name}`")
        if values.ndim == 0:
            raise SpecError([Diagnostic("E505", f"`{name}` is a single value; rows are expected")])
        if field.dates and values.dtype.kind in "OUSM":
            days, form = _days(name, values)
            return Opened({"all": ArrayRows(days, replace(origin, form=form))})
        if values.dtype.kind in "OUS":
            values, origin = _texts(name, values, origin)
        if values.dtype.kind not in "biuf":
            raise SpecError([Diagnostic("E516", f"`{name}` holds values of type {values.dtype}, not numbers")])
        origin = replace(origin, form=form_of_dtype(values.dtype)) if origin.form == NUMBERS else origin
        return Opened({"all": ArrayRows(values, origin)})


def _days(name: str, values: Any) -> tuple[Any, Form]:
    """Dates and texts of them as days, and their form; None is missing."""
    try:
        return array_days(values, name)
    except BadCell as error:
        raise SpecError([Diagnostic("E516", f"`{name}` holds values that are no dates: {error}")]) from None


def _texts(name: str, values: Any, origin: Origin) -> tuple[Any, Origin]:
    """Texts as the numbers of classes; None is missing."""
    there = np.array([v is not None and v == v for v in values.ravel()], dtype=bool)
    found = [v for v, kept in zip(values.ravel().tolist(), there) if kept]
    if found and all(isinstance(v, int | float) for v in found):
        truth = all(isinstance(v, bool) for v in found)
        numbers = np.full(values.size, np.nan)
        numbers[there] = found
        return numbers.reshape(values.shape), replace(origin, form=Form("truth")) if truth else origin
    if not all(isinstance(v, str) for v in found):
        raise SpecError([Diagnostic("E516", f"`{name}` holds values that are neither numbers nor texts")])
    classes = tuple(sorted(set(found)))
    codes = np.full(values.size, np.nan)
    codes[there] = [classes.index(v) for v in found]
    return codes.reshape(values.shape), replace(origin, classes=classes)


__all__ = ["Given", "given_data", "given_split"]
