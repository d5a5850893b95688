"""Tables as text, columns separated by commas, with a header row that names them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.data.formats.columns import choose_columns, fail_text, text_codes, verify_classes_few
from dgmppl.data.rows import ArrayRows, Origin, Values
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
_TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
_SEPARATORS = {";": "`;`", "\t": "tabs", "|": "`|`"}
# The header is row 1, as a spreadsheet shows it.
_FIRST_ROW = 2
_COUNTED = "rows are counted from 1, the header being the first and blank lines none"


def open_csv(source: DataSource, base: Path, declared: Type) -> Opened:
    """A column of a table, or several as a vector. No type is guessed from the first cells: all are read as text."""
    path = base / source.dataset
    header = _header(path)
    names = [name.strip() for name in header]
    asked = choose_columns(source, names)
    table = _read(path, header, [header[names.index(name)] for name in asked])
    single = bool(source.field)
    classes: tuple[str, ...] = ()
    columns = []
    for number, name in enumerate(asked):
        values, texts = _values(table.column(number), name, source)
        if texts and not single:
            fail_text(source, name)
        classes = verify_classes_few(source, name, texts)
        columns.append(text_codes(values, classes) if texts else values)
    origin = Origin(source.dataset, _FIRST_ROW, _COUNTED, asked, classes, "missing")
    return Opened({"all": ArrayRows(columns[0] if single else np.stack(columns, axis=1), origin)})


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header = next(csv.reader(file), [])
        except (UnicodeDecodeError, csv.Error):
            raise ValueError("it is no text in UTF-8") from None
    if not header:
        raise ValueError("it is empty; the first row names the columns")
    if all(_is_number(name) for name in header):
        raise ValueError("its first row holds numbers, and no names of columns")
    other = next((name for mark, name in _SEPARATORS.items() if len(header) == 1 and mark in header[0]), None)
    if other:
        raise ValueError(f"its columns are separated by {other}, not by commas")
    return header


# As pyarrow reads numbers: Python takes `1_0` and the digits of other scripts, too.
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _read(path: Path, header: Sequence[str], wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=len(header) > 1, invalid_row_handler=refuse
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=list(wanted), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if ragged:
            row = ragged[0]
            where = f"row {row.number} " if row.number is not None else "a row "
            raise ValueError(f"{where}has {row.actual_columns} cells, and the header {row.expected_columns}") from None
        if "UTF8" in str(error):
            raise ValueError("it is no text in UTF-8") from None
        raise


def _values(cells: pa.ChunkedArray, name: str, source: DataSource) -> tuple[Any, list[str]]:
    """Numbers, NaN where a cell is missing, and no texts; or cells, null where missing, and their different texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pc.utf8_trim_whitespace(cells)
    missing = pc.is_in(cells, value_set=pa.array(MISSING))
    present = pc.if_else(missing, pa.scalar(None, pa.string()), cells)
    try:
        # A plus sign is no part of a number to pyarrow.
        numbers = pc.replace_substring_regex(present, r"^\+", "").cast(pa.float64())
    except pa.ArrowInvalid:
        return _texts(present, name, source)
    values: Values = pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False) if len(numbers) else np.empty(0)
    return values, []


def _texts(cells: pa.ChunkedArray, name: str, source: DataSource) -> tuple[Any, list[str]]:
    """Cells that are not all numbers: truth values, texts, or a mistake."""
    import pyarrow.compute as pc

    different = [text for text in pc.unique(cells).to_pylist() if text is not None]
    if all(text in _TRUTH for text in different):
        return np.array([_TRUTH.get(text, np.nan) for text in cells.to_pylist()]), []
    if any(_is_number(text) for text in different):
        row, text = next((i, t) for i, t in enumerate(cells.to_pylist()) if t is not None and not _is_number(t))
        place = Origin(source.dataset, _FIRST_ROW, columns=(name,)).place(row, (0,))
        raise SpecError(
            [
                Diagnostic(
                    "E516", f"{place} is `{text}`", source.span, "expected a number, as in other rows", help=_COUNTED
                )
            ]
        )
    return cells, different
