"""Columns of tables as arrays: numbers as they are, missing cells as NaN, texts as the numbers of classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.dates import EXAMPLE, days_of, days_of_times, offset_of, offset_of_all
from dgmppl.data.forms import DATES, NUMBERS, Form, form_of_types
from dgmppl.data.rows import BadCell, Values
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource

# More different texts than this are no classes.
MOST_CLASSES = 1000


def choose_columns(source: DataSource, names: Sequence[str]) -> tuple[str, ...]:
    """The columns that a field asks for: one, those in brackets, or all."""
    asked = (source.field,) if source.field else source.columns or tuple(names)
    for name in asked:
        if name not in names:
            some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            help_ = did_you_mean(name, names, f"its columns are {some}")
            raise SpecError([Diagnostic("E504", f"{source.dataset} has no column `{name}`", source.span, help=help_)])
        if list(names).count(name) > 1:
            raise ValueError(f"several of its columns are named `{name}`")
    return asked


def fail_text(source: DataSource, name: str) -> None:
    """A column of texts beside columns of numbers."""
    headline = f"column `{name}` of {source.dataset} holds text"
    help_ = f'name the columns of numbers, "{source.dataset}"[a, b]; texts alone can be a categorical(K)'
    raise SpecError([Diagnostic("E516", headline, source.span, "expected numbers", help=help_)])


def classes_of_all(source: DataSource, texts: Mapping[str, Collection[str] | None]) -> tuple[str, ...]:
    """The classes of columns of texts, which are those that any of them holds; () where all hold numbers.

    Args:
        texts: the different texts of each column, which are none where all of it is missing; None of one of numbers.

    Raises:
        SpecError: where some hold texts and others numbers, or there are more than can be classes (E516).
    """
    some = [name for name, found in texts.items() if found]
    if some and any(found is None for found in texts.values()):
        fail_text(source, some[0])
    found = {text for column in texts.values() for text in column or ()}
    return verify_classes_few(source, ", ".join(some), list(found))


def verify_classes_few(source: DataSource, name: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Texts as classes, in the order of their characters."""
    if len(classes) > MOST_CLASSES:
        headline = f"column `{name}` of {source.dataset} holds more than {MOST_CLASSES:,} different texts"
        raise SpecError([Diagnostic("E516", headline, source.span, "expected numbers or classes")])
    return tuple(sorted(classes))


def is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return is_text(type_.value_type)
    return str(type_) in ("string", "large_string", "string_view")


def texts_of(column: pa.ChunkedArray) -> list[str] | None:
    """The different texts of a column, none where all of it is missing; None of one that holds something else."""
    import pyarrow.compute as pc

    if not is_text(column.type):
        return [] if len(column) and column.null_count == len(column) else None
    return [text for text in pc.unique(column).to_pylist() if text is not None]


def text_codes(column: pa.ChunkedArray, classes: Sequence[str]) -> Values:
    """The number of each text among the classes; NaN where it is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = pc.index_in(column.cast(pa.string()), value_set=pa.array(list(classes), pa.string()))
    return codes.cast(pa.float64()).to_numpy(zero_copy_only=False) if len(codes) else np.empty(0)


def row_shape(column: pa.ChunkedArray) -> tuple[int, ...]:
    """The shape of a row, told by the first that is not missing."""
    type_ = column.type
    shape = getattr(type_, "shape", None)
    if shape is not None and None not in shape:  # a tensor in every row
        return tuple(shape)
    if hasattr(type_, "storage_type"):
        return row_shape(_stored(column))
    if hasattr(type_, "list_size"):
        return (type_.list_size, *_inner_shape(column))
    if hasattr(type_, "value_field"):
        first = column.drop_null()[:1]
        return (len(first[0]), *_inner_shape(first)) if len(first) else (0,)
    return ()


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of an extension's type as what it is kept as."""
    import pyarrow as pa

    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _inner_shape(column: pa.ChunkedArray) -> tuple[int, ...]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not hasattr(column.type.value_type, "value_field"):
        return ()
    return row_shape(pa.chunked_array([pc.list_flatten(column[:1])]))


def column_values(column: pa.ChunkedArray, shape: tuple[int, ...], name: str, start: int = 0) -> Values:
    """The values of a column of numbers or of lists of numbers, (n, *shape). Its first row has the number `start`.

    Raises:
        BadCell: when it holds something else, or a list is longer or shorter than others.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if getattr(column.type, "storage_type", None) is not None:
        if not hasattr(column.type.storage_type, "value_field"):
            raise BadCell(f"column `{name}` is of type {column.type}, numbers are needed")
        column = _stored(column)
        if hasattr(column.type.value_type, "value_field"):  # `datasets` keeps tensors as lists of lists
            return _lists(column, shape, name, start)
        flat = _lists(column, (int(np.prod(shape)),), name, start)
        return flat.reshape(len(flat), *shape)
    if hasattr(column.type, "value_field"):
        return _lists(column, shape, name, start)
    if pa.types.is_dictionary(column.type) and not is_text(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        dates = pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)
        way_out = ": `dates(...)` tells it in days" if dates else ""
        raise BadCell(f"column `{name}` is of type {column.type}, numbers are needed{way_out}")
    if column.null_count:
        column = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan"))
    values: Values = column.to_numpy(zero_copy_only=False) if len(column) else np.empty(0)
    return values


def column_days(column: pa.ChunkedArray, name: str, start: int = 0) -> Values:
    """The days of a column of dates, times or texts of them, counted from 1970. Its first row has the number `start`.

    Raises:
        BadCell: when it holds something else.
    """
    import pyarrow as pa

    kinds = pa.types
    if is_text(column.type):
        texts = column.cast(pa.string()).to_pylist()
    elif kinds.is_date(column.type) or kinds.is_timestamp(column.type):
        # Without an offset, and told in UTC where it had one.
        found = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False).to_numpy()
        return days_of_times(found) if len(found) else np.empty(0)
    elif kinds.is_null(column.type):
        return np.full(len(column), np.nan)
    else:
        raise BadCell(f"column `{name}` is of type {column.type}, dates are needed")
    values = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if text is not None:
            try:
                values[row] = days_of(text)
            except ValueError:
                raise BadCell(f"row {start + row}, column `{name}` is `{text[:60]}`, a date is {EXAMPLE}") from None
    return values


def date_form(columns: Sequence[pa.ChunkedArray]) -> Form:
    """The form of columns of dates that make a vector together, of which `column_days` gives the days."""
    texts = {text for column in columns for text in texts_of(column) or ()}
    if not texts:
        found = form_of_types(column.type for column in columns)
        return found if found.kind in DATES else NUMBERS
    days: list[float] = []
    with suppress(ValueError):  # what is wrong with a text is told where its row is read
        days.extend(days_of(text) for text in texts)
    return text_form({offset_of(text) for text in texts}, all(value.is_integer() for value in days))


def text_form(offsets: Collection[str], whole: bool) -> Form:
    """The form of texts of dates with these offsets, and whether all are days."""
    offset = offset_of_all(offsets)
    return Form("date text") if whole and not offset else Form("time text", zone=offset)


def array_days(values: NDArray[Any], name: str) -> tuple[Values, Form]:
    """The days of an array of dates, times or texts of them, and its form; None is missing.

    Raises:
        BadCell: when it holds something else.
    """
    import pyarrow as pa

    try:
        column = pa.chunked_array([pa.array(values.ravel(), from_pandas=True)])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BadCell(str(error)) from None
    return column_days(column, name).reshape(values.shape), date_form([column])


def _lists(column: pa.ChunkedArray, shape: tuple[int, ...], name: str, start: int) -> Values:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(column):
        return np.empty((0, *shape))
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    present = ~np.isnan(lengths)
    wrong = np.flatnonzero(present & (lengths != shape[0]))
    if len(wrong):
        row = int(wrong[0])
        raise BadCell(f"row {start + row}, column `{name}` has length {lengths[row]:g}, and the first row {shape[0]}")
    if not present.all():
        values = np.full((len(column), *shape), np.nan)
        values[present] = _lists(column.drop_null(), shape, name, start)
        return values
    inner = pc.list_flatten(column)
    inner = inner if isinstance(inner, pa.ChunkedArray) else pa.chunked_array([inner])
    return column_values(inner, shape[1:], name, start).reshape(len(column), *shape)
