"""Parquet tables, streamed by row groups."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.data.formats.columns import (
    choose_columns,
    classes_of_all,
    column_days,
    column_values,
    date_form,
    is_text,
    row_shape,
    text_codes,
    texts_of,
)
from dgmppl.data.forms import Form, form_of_columns, form_of_parts, form_of_types
from dgmppl.data.rows import BadCell, Origin, Rows, Values
from dgmppl.data.split import Opened

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

# A row group is decoded as a whole, so larger ones are not streamed; as float32.
LARGEST_GROUP = 64 * 2**20
# Decoded groups that are kept, for rows that are read in pieces.
_KEPT = 64 * 2**20


_LOOKED_AT = 1000


def open_parquet(source: DataSource, base: Path, declared: Type) -> Opened:
    """A column of a table, or several as a vector; a column of lists is a vector too."""
    import pyarrow as pa
    from pyarrow import parquet

    path = base / source.dataset
    try:
        with parquet.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except pa.ArrowInvalid as error:
        if "Parquet magic bytes" in str(error) or "Parquet file size" in str(error):
            raise ValueError("it is no Parquet file, or is cut off") from None
        raise
    asked = choose_columns(source, schema.names)
    rows = ParquetRows(path, metadata, asked, source, single=bool(source.field) or len(asked) == 1)
    return Opened({"all": rows})


class ParquetRows(Rows):
    """Columns of a file, (n, columns); or a single one, as it is."""

    def __init__(self, path: Path, metadata: Any, columns: Sequence[str], source: DataSource, single: bool) -> None:
        self.path, self.metadata, self.columns = path, metadata, tuple(columns)
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = [0, *np.cumsum(sizes).tolist()]
        self.count = self._starts[-1]
        self._classes: tuple[str, ...] = ()
        self._forms: list[Form] = []
        self._dates = source.dates
        if not source.dates:
            self._classes = self._texts(source)
        shapes, types = self._looked_at()
        form = self._form(types)
        # A table of one column of numbers is a vector of one, as it is with more; a column of lists is one already.
        self._single = bool(source.field) or (single and not source.columns and shapes[0] != ())
        uneven = next((name for name, shape in zip(columns, shapes) if shape and not self._single), None)
        if uneven is not None:
            raise BadCell(f"column `{uneven}` holds lists; a column of lists is a vector alone, behind a dot")
        self.shape = shapes[0] if self._single else (len(columns),)
        self._inner = shapes[0] if self._single else ()
        counted = "rows are counted from 0"
        named = self.columns if self.shape == (len(columns),) or not self.shape else ()
        self.origin = Origin(source.dataset, 0, counted, named, self._classes, "missing", form=form)
        self.group_size = 4 * max(sizes, default=0) * math.prod(self.shape)
        self.streams = self.group_size <= LARGEST_GROUP
        self.obstacle = (
            f"its row groups take up to {-(-self.group_size >> 20)} MiB, and {LARGEST_GROUP >> 20} is the most"
        )
        self._kept: OrderedDict[int, Values] = OrderedDict()

    def cuts(self) -> Sequence[int]:
        return self._starts[:-1]

    def read(self, start: int, stop: int) -> Values:
        pieces = []
        first = bisect_right(self._starts, start) - 1
        for group in range(first, len(self._starts) - 1):
            begin, end = self._starts[group], self._starts[group + 1]
            if begin >= stop:
                break
            pieces.append(self._group(group)[max(start - begin, 0) : min(stop, end) - begin])
        if not pieces:
            return np.empty((0, *self.shape))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _group(self, number: int) -> Values:
        if number not in self._kept:
            values = self._decoded(number)
            while self._kept and sum(v.nbytes for v in self._kept.values()) + values.nbytes > _KEPT:
                self._kept.popitem(last=False)
            self._kept[number] = values
        self._kept.move_to_end(number)
        return self._kept[number]

    def _decoded(self, number: int) -> Values:
        table = self._table(number)
        if self._classes:
            codes = [text_codes(column, self._classes) for column in table.columns]
            return codes[0] if self._single else np.stack(codes, axis=1)
        start = self._starts[number]
        if self._dates:
            columns = [column_days(table.column(i), n, start) for i, n in enumerate(self.columns)]
        else:
            columns = [column_values(table.column(i), self._inner, n, start) for i, n in enumerate(self.columns)]
        return columns[0] if self._single else np.stack(columns, axis=1)

    @contextmanager
    def _opened(self) -> Iterator[parquet.ParquetFile]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path, metadata=self.metadata) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, BadCell) or getattr(error, "strerror", None):
                raise
            raise OSError("its content is damaged") from error

    def _table(self, number: int) -> pa.Table:
        with self._opened() as file:
            return file.read_row_group(number, columns=list(self.columns), use_threads=False).select(self.columns)

    def _tables(self) -> Iterator[pa.Table]:
        return (self._table(number) for number in range(len(self._starts) - 1))

    def _texts(self, source: DataSource) -> tuple[str, ...]:
        """The different texts of the columns, if they hold text."""
        import pyarrow as pa

        found: dict[str, set[str] | None] = dict.fromkeys(self.columns)
        for table in self._tables():
            if not any(is_text(column.type) for column in table.columns):
                return ()
            self._forms.append(form_of_columns(table.columns))
            for name, column in zip(self.columns, table.columns, strict=True):
                text = is_text(column.type) or pa.types.is_null(column.type)
                found[name] = {*(found[name] or ()), *(texts_of(column) or ())} if text else None
            classes_of_all(source, found)
        return classes_of_all(source, found)

    def _form(self, types: Sequence[pa.DataType]) -> Form:
        """The form of all columns, which of texts their values decide."""
        if self._dates and any(is_text(type_) for type_ in types):
            self._forms = [date_form(table.columns) for table in self._tables()]
        return form_of_parts(self._forms) if self._forms else form_of_types(types)

    def _looked_at(self) -> tuple[list[tuple[int, ...]], list[pa.DataType]]:
        """The shape of each column's rows, told by the first ones, so that no row group is decoded for it, and the type
        of each."""
        import pyarrow as pa

        shapes: list[tuple[int, ...]] = [() for _ in self.columns]
        with self._opened() as file:
            types = [file.schema_arrow.field(name).type for name in self.columns]
            for batch in file.iter_batches(batch_size=_LOOKED_AT, columns=list(self.columns), use_threads=False):
                shapes = [row_shape(pa.chunked_array([batch.column(name)])) for name in self.columns]
                if (0,) not in shapes:  # (0,): lists that are all missing so far
                    break
        return shapes, types
