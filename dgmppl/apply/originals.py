"""Tables that a command gives back completed: their columns as they were, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.catalogue.formats import format_of

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.data.fields import Field


@dataclass(frozen=True)
class Original:
    """The columns of a table, in its order: of a DataFrame as they are, of a text file as texts.

    Attributes:
        typed: whether they have types, and are no texts.
    """

    columns: Mapping[str, Any]
    typed: bool = True

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The cells of a column in some rows, (n,)."""
        column = self.columns[name]
        if hasattr(column, "iloc"):
            return np.asarray(column.iloc[start:stop].to_numpy())
        return np.asarray(column.slice(start, stop - start).to_numpy(zero_copy_only=False))


def original_of(data: Any) -> Original | None:
    """The table that rows are given as; None where they are no table."""
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return Original({str(name): data[name] for name in data.columns})
    table = table_of(data)
    if table is None:
        return None
    typed = not isinstance(data, str | Path) or format_of(str(data)) != "csv"
    return Original({n: table.column(n).combine_chunks() for n in table.column_names}, typed)


def table_of(data: Any) -> pa.Table | None:
    """A table of pyarrow, of polars, or in a file."""
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    if hasattr(data, "schema") and hasattr(data, "column_names"):
        return data
    if not isinstance(data, str | Path) or not Path(data).is_file():
        return None
    kind = format_of(str(data))
    if kind == "parquet":
        from pyarrow import parquet

        return parquet.read_table(data)
    return _texts(Path(data)) if kind == "csv" else None


def _texts(path: Path) -> pa.Table:
    """All columns of a text file, their cells as they stand there."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        import csv

        header = next(csv.reader(file), [])
    convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    table = arrow_csv.read_csv(path, parse_options=parse, convert_options=convert)
    return table.rename_columns([name.strip() for name in table.column_names])


def with_all_columns(data: Any, fields: Mapping[str, Field]) -> Any:
    """The data with empty columns in the places of those that are not there, where a vector has others of its columns;
    else the data as they are."""
    known = _names(data)
    lacking = [
        name
        for f in fields.values()
        if len(f.columns) > 1 and known & set(f.columns)
        for name in f.columns
        if name not in known
    ]
    if not lacking:
        return data
    if hasattr(data, "assign"):
        return data.assign(**dict.fromkeys(lacking, np.nan))
    table = table_of(data)
    assert table is not None
    import pandas as pd

    frame: Any = table.to_pandas() if not isinstance(data, str | Path) or format_of(str(data)) != "csv" else None
    frame = pd.read_csv(data, skipinitialspace=True) if frame is None else frame
    return frame.assign(**dict.fromkeys(lacking, np.nan))


def _names(data: Any) -> set[str]:
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return {str(name) for name in data.columns}
    if isinstance(data, str | Path) and Path(data).is_file() and format_of(str(data)) == "csv":
        import csv

        with Path(data).open(encoding="utf-8-sig", newline="") as file:
            return {name.strip() for name in next(csv.reader(file), [])}
    table = table_of(data)
    return set() if table is None else set(table.column_names)


__all__ = ["Original", "original_of", "with_all_columns"]
