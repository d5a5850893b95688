"""Tables in memory: columns of a DataFrame, as pyarrow has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from dgmppl.data.forms import form_of_columns
from dgmppl.data.rows import ArrayRows, BadCell, Origin
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource


def open_table(table: pa.Table, source: DataSource) -> Opened:
    """A column of a table, or several as a vector.

    Raises:
        SpecError: for a column that is not there (E504), or holds what is neither numbers nor classes (E516).
    """
    asked = choose_columns(source, table.column_names)
    classes = () if source.dates else classes_of_all(source, {name: texts_of(table.column(name)) for name in asked})
    columns = []
    for name in asked:
        column = table.column(name)
        if is_text(column.type) and not source.dates:
            columns.append(text_codes(column, classes))
            continue
        try:
            days = column_days(column, name) if source.dates else None
            columns.append(column_values(column, row_shape(column), name) if days is None else days)
        except BadCell as error:
            raise SpecError([Diagnostic("E516", f"{source.dataset}: {error}", source.span)]) from None
    asked_for = [table.column(name) for name in asked]
    form = date_form(asked_for) if source.dates else form_of_columns(asked_for)
    origin = Origin(source.dataset, 0, "rows are counted from 0", asked, classes, "missing", form=form)
    return Opened({"all": ArrayRows(columns[0] if source.field else np.stack(columns, axis=1), origin)})
