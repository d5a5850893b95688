"""Tables that a command gives back completed: their columns as they were, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.apply.data_files import DataFile, file_given
from dgmppl.data.formats.cells import MISSING
from dgmppl.data.formats.csv import header_of, texts_of
from dgmppl.data.forms import Form, form_of_columns
from dgmppl.data.load import open_field
from dgmppl.supports import Type

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.data.fields import Field
    from dgmppl.data.rows import Rows


@dataclass(frozen=True)
class Original:
    """The columns of a table, in its order: of a DataFrame as they are, of a text file as texts.

    Attributes:
        typed: whether they have types, and are no texts.
        types: of each column that has one, as pyarrow calls it.
        dtypes: of each column of a DataFrame.
        forms: of columns of categories.
    """

    columns: Mapping[str, Any]
    typed: bool = True
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    dtypes: Mapping[str, Any] = field(default_factory=dict)
    forms: Mapping[str, Form] = field(default_factory=dict)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The cells of a column in some rows, (n,)."""
        column = self.columns[name]
        if hasattr(column, "iloc"):
            return np.asarray(column.iloc[start:stop].to_numpy())
        return np.asarray(column.slice(start, stop - start).to_numpy(zero_copy_only=False))


def original_of(data: Any, rows: Rows | None) -> Original | None:
    """The table that rows are given as; None where they are no table.

    Args:
        rows: those that were read, which of a file with conditions are not all.
    """
    import pyarrow as pa

    if hasattr(data, "iloc") and hasattr(data, "columns"):
        columns = {str(name): data[name] for name in data.columns}
        empty = {name: _without_rows(column) for name, column in columns.items()}
        types = {name: array.type for name, array in empty.items()}
        dtypes = {name: column.dtype for name, column in columns.items()}
        return Original(columns, True, types, dtypes, _forms({n: pa.chunked_array([a]) for n, a in empty.items()}))
    table, file = table_of(data), file_given(data)
    if table is None:
        return None
    if rows is not None and file is not None and file.reading.where:
        table = table.take(_numbers(rows))
    if file is not None and file.format == "csv":
        return Original({n: table.column(n).combine_chunks() for n in table.column_names}, False)
    types, every = {f.name: f.type for f in table.schema}, {n: table.column(n) for n in table.column_names}
    return Original({n: column.combine_chunks() for n, column in every.items()}, True, types, {}, _forms(every))


def _forms(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Form]:
    found = {name: form_of_columns([column]) for name, column in columns.items()}
    return {name: form for name, form in found.items() if form.kind == "classes"}


def _numbers(rows: Rows) -> list[int]:
    """The numbers of rows in their file."""
    number = rows.numbering()
    return [number(row) for row in range(rows.count)]


def _without_rows(column: Any) -> pa.Array:
    """A column of a DataFrame as a file has it, of which the type is known and the categories."""
    import pyarrow as pa

    return pa.array(column[:0] if column.dtype.kind != "O" else column, from_pandas=True)


def table_of(data: Any) -> pa.Table | None:
    """A table of pyarrow, of polars, or in a file: all of its rows."""
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    if hasattr(data, "schema") and hasattr(data, "column_names"):
        return data
    file = file_given(data)
    if file is None or not file.path.is_file():
        return None
    if file.format == "parquet":
        from pyarrow import parquet

        return parquet.read_table(file.path)
    if file.format == "feather":
        from pyarrow import feather

        return feather.read_table(file.path)
    with suppress(ValueError):  # what is wrong with a text is told where its cells are read
        return texts_of(file.path, file.separator) if file.format == "csv" else None
    return None


def lacking_columns(data: Any, fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The columns that are not there, of vectors of which others are."""
    known = {*names_of(data)}
    vectors = [f.columns for f in fields.values() if len(f.columns) > 1 and known & set(f.columns)]
    return tuple(name for columns in vectors for name in columns if name not in known)


def with_columns(data: Any, lacking: Sequence[str], fields: Mapping[str, Field]) -> Any:
    """A table with empty columns where it lacks some, each beside those of its vector."""
    if not lacking:
        return data
    file = file_given(data)
    if hasattr(data, "assign"):
        frame: Any = data
    elif file is not None and file.format == "csv":
        import pandas as pd

        header = header_of(file.path, file.separator)
        readings = [f.source.reading for f in fields.values()]
        missing = {c: file.read_as(f.source.reading).missing or () for f in fields.values() for c in f.labels}
        frame = pd.read_csv(
            file.path,
            sep=file.separator,
            decimal=file.marks(readings)[1],
            skipinitialspace=True,
            na_values={name: [*MISSING, *missing[name]] if name in missing else [] for name in header},
            keep_default_na=False,
            dtype={name: str for name in header if name not in missing},
            encoding="utf-8-sig",
        ).rename(columns=lambda name: str(name).strip())
    else:
        table = table_of(data)
        assert table is not None
        frame = table.to_pandas()
    if file is not None and file.reading.where:
        frame = frame.iloc[_numbers(_read_in_part(file, [str(n) for n in frame.columns], lacking, fields))]
    found = frame.assign(**dict.fromkeys(lacking, np.nan))
    return found[ordered([str(name) for name in frame.columns], lacking, fields)]


def _read_in_part(file: DataFile, names: Sequence[str], lacking: Sequence[str], fields: Mapping[str, Field]) -> Rows:
    """The rows of a file that fulfil its conditions, of a column beside those that it lacks."""
    field = next(f for f in fields.values() if set(f.columns) & set(lacking))
    there = next(name for name in field.columns if name in names)
    reading = file.read_as(field.source.reading)
    asked = replace(field.source, dataset=str(file.path), field=there, columns=(), transforms=(), reading=reading)
    return open_field(asked, Path(), Type(field.type.support), None).rows


def ordered(names: Sequence[str], more: Sequence[str], fields: Mapping[str, Field]) -> list[str]:
    """Names of columns, with more of them in their places: each behind the one before it in the spec, or before the one
    behind it; last of all those that the spec does not name."""
    known = [label for f in fields.values() for label in f.labels]
    found = list(names)
    for name in sorted(more, key=lambda n: known.index(n) if n in known else len(known)):
        place = known.index(name) if name in known else len(known)
        before = next((n for n in reversed(known[:place]) if n in found), None)
        behind = next((n for n in known[place + 1 :] if n in found), None)
        if name in known and before is not None:
            found.insert(found.index(before) + 1, name)
        elif name in known and behind is not None:
            found.insert(found.index(behind), name)
        else:
            found.append(name)
    return found


def names_of(data: Any) -> list[str]:
    """The columns that a table has, in their order; none where it is no table, or cannot be read."""
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return [str(name) for name in data.columns]
    file = file_given(data)
    if file is not None and file.path.is_file() and file.format == "csv":
        with suppress(ValueError):
            return list(header_of(file.path, file.separator))
        return []
    table = table_of(data)
    return [] if table is None else [str(name) for name in table.column_names]


__all__ = ["Original", "lacking_columns", "names_of", "ordered", "original_of", "with_columns"]
