"""Tables as text, with a header row that names the columns; cells are separated by commas, or by what the header says.
A table may be compressed by gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dgmppl.data.formats.cells import MISSING, Cells, is_number
from dgmppl.data.formats.columns import choose_columns
from dgmppl.data.split import Opened

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

_SEPARATORS = {",": "commas", ";": "`;`", "\t": "tabs", "|": "`|`"}
_COUNTED = "rows are counted from 1, the header being the first and blank lines none"
_PIECE = 2**20
# What a compressed table may hold: gzip makes a thousand times less of zeros, and ten times less of a table.
LARGEST, MOST_FOLD = 2**26, 200


def open_csv(source: DataSource, base: Path, declared: Type) -> Opened:
    """A column of a table, or several as a vector. No type is guessed from the first cells: all are read as text."""
    path = base / source.dataset
    separator = source.reading.separator or ("\t" if ".tsv" in path.name.lower()[-7:] else "")
    _verify_size(path)
    header, separator = _header(path, separator, source.reading.decimal)
    _verify_cells(path, separator)
    names = [name.strip() for name in header]
    asked = choose_columns(source, names)
    marks = MISSING[1:] if source.reading.missing is None else ()
    written = [header[names.index(name)] for name in asked]
    table = _read(path, separator, header, written, marks)
    # Numbers with a decimal comma stand in quotes where commas separate cells, which other files than that of the spec
    # do not have: they come from elsewhere.
    plain = source.reading.others and separator == ","
    cells = Cells(source, declared, _COUNTED, "." if plain else source.reading.decimal)
    return cells.open(
        names,
        lambda name: table.column(asked.index(name)),
        lambda name: _read(path, separator, header, [written[asked.index(name)]], ()).column(0),
    )


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    """The text of a file as bytes. Raises ValueError where what is compressed is damaged."""
    if path.suffix.lower() != ".gz":
        with path.open("rb") as plain:
            yield plain
        return
    try:
        with gzip.open(path) as packed:
            yield packed  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"it is cut off or damaged: {error}") from None


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    with _bytes(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        yield text
        text.detach()


def _verify_size(path: Path) -> None:
    """Raises ValueError where a compressed file holds far more than a table does: it would fill the memory."""
    if path.suffix.lower() != ".gz":
        return
    most, size = max(LARGEST, MOST_FOLD * path.stat().st_size), 0
    with _bytes(path) as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            size += len(piece)
            if size > most:
                fold = size // path.stat().st_size
                raise ValueError(f"it holds more than {most >> 20} MiB, over {fold} times its size: unpack it yourself")


def _verify_cells(path: Path, separator: str) -> None:
    """Raises ValueError, naming the row, where quotes do not pair up or a cell has a zero byte.

    pyarrow takes a quote that is never closed for one that ends with the file, and `"2"5` for `25`: what is left out
    or put together would go unnoticed. Python's reader is strict about both (RFC 4180, section 2).
    """
    with _bytes(path) as binary:
        marks = {mark for piece in iter(lambda: binary.read(_PIECE), b"") for mark in b'"\0' if mark in piece}
    if not marks:
        return
    rows, single = 0, False
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with _text(path) as file:
            for row in csv.reader(file, strict=True, delimiter=separator):
                # As `_read` has it: a blank line is a missing cell where there is one column, and none elsewhere.
                single = len(row) == 1 if rows == 0 else single
                rows += bool(row) or single
                if any("\0" in cell for cell in row):
                    raise ValueError(f"row {rows} has a zero byte, which is no text")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except csv.Error as error:
        if "NUL" in str(error):  # before Python 3.11
            raise ValueError(f"row {rows + 1} has a zero byte, which is no text") from None
        if "end of data" in str(error):
            raise ValueError(f"row {rows + 1} has a cell that begins with a quote, which is never closed") from None
        mark = {",": "a comma", "\t": "a tab"}.get(separator, f"`{separator}`")
        what = f"row {rows + 1} has a cell in quotes with more behind the closing one than {mark}"
        raise ValueError(what + "; a quote inside such a cell is written twice") from None
    finally:
        csv.field_size_limit(limit)


def header_of(path: Path, separator: str = "", decimal: str = ".") -> tuple[str, ...]:
    """The names of the columns of a table. Raises ValueError where its first row has none."""
    return tuple(name.strip() for name in _header(path, separator, decimal)[0])


def _header(path: Path, separator: str, decimal: str) -> tuple[list[str], str]:
    """The names of the columns, and what separates cells: commas, unless they leave one cell with another mark."""
    with _text(path) as file:
        try:
            header = next(csv.reader(file, delimiter=separator or ","), [])
        except (UnicodeDecodeError, csv.Error):
            raise ValueError("it is no text in UTF-8") from None
    if not header:
        raise ValueError("it is empty; the first row names the columns")
    marks = [mark for mark in _SEPARATORS if mark != (separator or ",")]
    other = next((mark for mark in marks if len(header) == 1 and mark in header[0]), None)
    if other and not separator:
        return _header(path, other, decimal)
    if all(is_number(name, decimal) for name in header):
        raise ValueError("its first row holds numbers, and no names of columns")
    if other:
        found, asked = _SEPARATORS[other], _SEPARATORS.get(separator, f"`{separator}`")
        raise ValueError(f"its columns are separated by {found}, not by {asked}")
    return header, separator or ","


def _read(path: Path, separator: str, header: Sequence[str], wanted: Sequence[str], marks: Sequence[str]) -> pa.Table:
    """The wanted columns as text; null where a cell is one of `marks` and stands in no quotes."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        with _bytes(path) as file:
            return arrow_csv.read_csv(
                file if path.suffix.lower() == ".gz" else path,
                read_options=arrow_csv.ReadOptions(use_threads=False),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=separator,
                    newlines_in_values=True,
                    ignore_empty_lines=len(header) > 1,
                    invalid_row_handler=refuse,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=list(wanted),
                    null_values=list(marks),
                    strings_can_be_null=bool(marks),
                    quoted_strings_can_be_null=False,
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
