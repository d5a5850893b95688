"""Sheets of workbooks, `.xlsx`: the values that cells show, with a header row that names the columns. No formula is
computed here, and nothing in a workbook is run."""

from __future__ import annotations

import importlib
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dgmppl.catalogue.formats import FORMATS
from dgmppl.data.formats.cells import MISSING, Cells
from dgmppl.data.formats.columns import choose_columns
from dgmppl.data.forms import Form
from dgmppl.data.rows import MappedRows
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

_COUNTED = "rows are counted from 1, the header being the first"
# What the parts of a workbook may hold, unpacked: a table of text is about ten times as large as it is packed.
LARGEST, MOST_FOLD = 2**26, 200
_LOOKED_AT = 4096
# What a cell shows where a formula has no value.
_ERRORS = ("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A")

Cell = Any


def open_excel(source: DataSource, base: Path, declared: Type) -> Opened:
    """A column of a sheet, or several as a vector."""
    import pyarrow as pa

    path = base / source.dataset
    library = _library(source)
    _verify(path)
    rows = _rows(library, path, source, values=True)
    while rows and all(cell is None for cell in rows[-1]):
        rows.pop()
    names = [str(name).strip() if name is not None else "" for name in rows[0]] if rows else []
    if not any(names):
        raise ValueError("its sheet is empty; the first row names the columns")
    asked = choose_columns(source, names)
    places = {name: names.index(name) for name in asked}
    if any(row[place] is None for row in rows[1:] for place in places.values()):
        _verify_computed(source, rows, _rows(library, path, source, values=False), places)
    texts = {name: [_cell_text(row[place], name, k + 2, source) for k, row in enumerate(rows[1:])]
             for name, place in places.items()}  # fmt: skip
    usual = source.reading.missing is None

    def blocks(asked: Sequence[str], marked: bool) -> Iterator[Sequence[pa.Array]]:
        def cell(text: str | None) -> str | None:
            return None if marked and usual and text is not None and text.strip() in MISSING else text

        yield [pa.array([cell(text) for text in texts[name]], pa.string()) for name in asked]

    opened = Cells(source, declared, _COUNTED, source.reading.decimal).open(names, blocks)
    cells = {type(row[at]) for row in rows[1:] for at in places.values()} - {type(None)}
    if source.dates and cells and all(issubclass(cell, date) for cell in cells):
        return _as_times(opened)
    return opened


def _as_times(opened: Opened) -> Opened:
    """Dates that are no texts: all of them are times to a workbook."""
    rows = opened.rows
    origin = replace(rows.origin, form=Form("time"))
    return replace(opened, parts={split: MappedRows(rows, lambda days: days, origin=origin) for split in opened.parts})


def _cell_text(cell: Cell, name: str, row: int, source: DataSource) -> str | None:
    """A cell as text; a number with the decimal mark that texts have."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        return repr(cell).replace(".", source.reading.decimal)
    if isinstance(cell, date | datetime):
        if not source.dates:
            way_out = f'dates("{source.dataset}".{name})'
            raise _wrong(source, row, name, "a date", f"{way_out} tells it in days; ")
        return cell.isoformat()
    if isinstance(cell, time) or (isinstance(cell, str) and cell in _ERRORS):
        raise _wrong(source, row, name, str(cell))
    return None if cell is None else str(cell)


def _verify(path: Path) -> None:
    """Raises ValueError for what is no workbook, or one that would fill the memory."""
    with path.open("rb") as file:
        start = file.read(8)
    if start[:2] != b"PK":
        old = start == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        raise ValueError("it is an old .xls, or has a password: save it as .xlsx" if old else "it is no .xlsx file")
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        size, most = sum(part.file_size for part in parts), max(LARGEST, MOST_FOLD * path.stat().st_size)
        if size > most:
            raise ValueError(f"it holds {size >> 20} MiB, over {counted(size // path.stat().st_size, 'time')} its size")
        if "[Content_Types].xml" not in archive.namelist():
            raise ValueError("it is no .xlsx file")
        for part in parts:
            with archive.open(part) as file:
                # No workbook declares entities, which could name each other until the memory is full.
                if part.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in file.read(_LOOKED_AT):
                    raise ValueError(f"its part {part.filename} declares entities, which no workbook does")


@contextmanager
def _opened(library: ModuleType, path: Path, source: DataSource, values: bool) -> Iterator[Any]:
    """The sheet that the source asks for: `values` or formulas."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = library.load_workbook(path, read_only=True, data_only=values, keep_links=False)
        try:
            yield _sheet(book, source)
        finally:
            book.close()
    except (SpecError, OSError, MemoryError):
        raise
    except Exception as error:  # a damaged workbook fails in as many ways as its library has lines
        raise ValueError(f"it is cut off or damaged ({type(error).__name__})") from None


def _sheet(book: Any, source: DataSource) -> Any:
    asked = source.reading.sheet
    names = [sheet.title for sheet in book.worksheets]
    if asked and asked not in names:
        help_ = did_you_mean(asked, names, f"it has {', '.join(names)}")
        raise SpecError([Diagnostic("E504", f"{source.dataset} has no sheet `{asked}`", source.span, help=help_)])
    return book.worksheets[names.index(asked) if asked else 0]


def _rows(library: ModuleType, path: Path, source: DataSource, values: bool) -> list[tuple[Cell, ...]]:
    with _opened(library, path, source, values) as sheet:
        sheet.reset_dimensions()  # what the file says of its size may be anything
        rows = [tuple(row) for row in sheet.iter_rows(values_only=True)]
    width = max(map(len, rows), default=0)
    return [(*row, *(None,) * (width - len(row))) for row in rows]


def _wrong(source: DataSource, row: int, name: str, what: str, way_out: str = "") -> SpecError:
    headline = f"row {row}, column `{name}` of {source.dataset} is {what}"
    return SpecError([Diagnostic("E516", headline, source.span, "expected numbers", help=way_out + _COUNTED)])


def _verify_computed(
    source: DataSource, rows: list[tuple[Cell, ...]], written: list[tuple[Cell, ...]], places: dict[str, int]
) -> None:
    """Raises a SpecError (E516) where a cell without a value is a formula: nobody has computed it so far."""
    for number, (row, formulas) in enumerate(zip(rows, written), start=1):
        for name, place in places.items():
            if row[place] is None and str(formulas[place]).startswith("="):
                way_out = "open it in a spreadsheet, and save it; "
                raise _wrong(source, number, name, "a formula that was never computed", way_out)


def _library(source: DataSource) -> ModuleType:
    try:
        return importlib.import_module("openpyxl")
    except ImportError:
        headline = f"{source.dataset} needs the library `openpyxl`, which is not installed"
        help_ = f"install the extra: pip install 'dgmppl[{FORMATS['excel'].extra}]'"
        raise SpecError([Diagnostic("E515", headline, source.span, "a library is missing", help=help_)]) from None
