"""Tables as text, with a header row that names the columns; cells are separated by commas, or by what the header says.
A table may be compressed by gzip."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dgmppl.data.formats.cells import MISSING, Cells
from dgmppl.data.formats.columns import choose_columns
from dgmppl.data.formats.kinds import is_number
from dgmppl.data.formats.text import looks, no_utf_8, opened_bytes, opened_text, verify_cells
from dgmppl.data.split import Opened
from dgmppl.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

_SEPARATORS = {",": "commas", ";": "`;`", "\t": "tabs", "|": "`|`"}
_COUNTED = "rows are counted from 1, the header being the first and blank lines none"


def separator_of(path: Path, separator: str = "", decimal: str = ".") -> str:
    """What stands between the cells of a table, where nothing says it: what its name or its first row says. Raises
    ValueError where its first row has no names."""
    return _header(path, separator or ("\t" if ".tsv" in path.name.lower()[-7:] else ""), decimal)[1]


def texts_of(path: Path, separator: str) -> pa.Table:
    """All columns of a table, their cells as they stand there."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    header, _ = _header(path, separator, ".")
    with opened_bytes(path) as file:
        table = arrow_csv.read_csv(
            file,
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, ignore_empty_lines=len(header) > 1
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    return table.rename_columns([name.strip() for name in table.column_names])


def open_csv(source: DataSource, base: Path, declared: Type) -> Opened:
    """A column of a table, or several as a vector. No type is guessed from the first cells: all are read as text."""
    import pyarrow as pa

    path = base / source.dataset
    before = _state(path)
    found = looks(path)
    separator = separator_of(path, source.reading.separator, source.reading.decimal)
    header, _ = _header(path, separator, source.reading.decimal)
    block = verify_cells(path, separator, found)
    names = [name.strip() for name in header]
    written = {name: header[names.index(name)] for name in choose_columns(source, names)}
    marks = MISSING[1:] if source.reading.missing is None else ()
    cells = Cells(source, declared, _COUNTED, source.reading.decimal_beside(separator))
    table = _Table(path, separator, header, block)
    opened = cells.open(names, lambda asked, marked: table.read([written[n] for n in asked], marks if marked else ()))
    pa.default_memory_pool().release_unused()
    if _state(path) != before:
        raise ValueError("it was changed while it was read")
    return opened


def _state(path: Path) -> tuple[int, int, int]:
    """What is another one when a file is changed."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def header_of(path: Path, separator: str = "", decimal: str = ".") -> tuple[str, ...]:
    """The names of the columns of a table. Raises ValueError where its first row has none."""
    return tuple(name.strip() for name in _header(path, separator, decimal)[0])


def _header(path: Path, separator: str, decimal: str) -> tuple[list[str], str]:
    """The names of the columns, and what separates cells: commas, unless they leave one cell with another mark."""
    with opened_text(path) as file:
        try:
            header = next(csv.reader(file, delimiter=separator or ","), [])
        except (UnicodeDecodeError, csv.Error):
            raise no_utf_8(path) from None
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


@dataclass(frozen=True)
class _Table:
    """A table of text that is read in blocks of `block` bytes, none of which is shorter than a row."""

    path: Path
    separator: str
    header: Sequence[str]
    block: int

    def read(self, wanted: Sequence[str], marks: Sequence[str]) -> Iterator[Sequence[pa.Array]]:
        """The wanted columns as text, block by block; null where a cell is one of `marks` and stands in no quotes."""
        import pyarrow as pa

        ragged: list[Any] = []
        try:
            with opened_bytes(self.path) as file:
                for found in self._reader(file, wanted, marks, ragged):
                    yield found.columns
        except pa.ArrowInvalid as error:
            if ragged:
                row = ragged[0]
                where = f"row {row.number} " if row.number is not None else "a row "
                what = f"{where}has {counted(row.actual_columns, 'cell')}, and the header {row.expected_columns}"
                raise ValueError(what) from None
            if "UTF8" in str(error):
                raise no_utf_8(self.path) from None
            raise

    def _reader(self, file: IO[bytes], wanted: Sequence[str], marks: Sequence[str], ragged: list[Any]) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        def refuse(row: Any) -> str:
            ragged.append(row)
            return "error"

        return arrow_csv.open_csv(
            file if self.path.suffix.lower() == ".gz" else self.path,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=self.block),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.separator,
                newlines_in_values=True,
                ignore_empty_lines=len(self.header) > 1,
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
