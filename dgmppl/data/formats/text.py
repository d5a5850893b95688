"""Files of text as bytes and lines, compressed or not, and what is wrong with them. No more is held than a row."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dgmppl.words import counted

BLOCK = 2**20
"""Bytes that are read at once."""
# What a compressed table may hold: gzip makes a thousand times less of zeros, and ten times less of a table.
LARGEST, MOST_FOLD = 2**26, 200
MOST_ROW = 2**23
"""Bytes that a row may take. Blocks hold whole rows, of which pyarrow reads 32 ahead, and any file may be one line."""
# Of a line, and the mark of the order of bytes before the first one.
_ENDS = 8


@contextmanager
def opened_bytes(path: Path) -> Iterator[IO[bytes]]:
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
def opened_text(path: Path) -> Iterator[IO[str]]:
    with opened_bytes(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        yield text
        text.detach()


def no_utf_8(path: Path) -> ValueError:
    """What is wrong with a file that is no text in UTF-8, and how it becomes one."""
    with opened_bytes(path) as file:
        first = file.read(2)
    found = "UTF-16" if first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""
    told = f"it is text in {found}, and UTF-8 is read" if found else "it is no text in UTF-8"
    return ValueError(f"{told}; `iconv -f {found or 'LATIN1'} -t UTF-8` makes that of text in {found or 'Latin-1'}")


@dataclass(frozen=True)
class Looks:
    """What the bytes of a file have in them.

    Attributes:
        quotes: whether there is a quote.
        zeros: whether there is a zero byte.
        longest: bytes of the longest line, as far as it is longer than `BLOCK`.
    """

    quotes: bool
    zeros: bool
    longest: int


def looks(path: Path) -> Looks:
    """Raises ValueError for a line that no row has, and where a compressed file holds far more than a table does."""
    packed = path.suffix.lower() == ".gz"
    most = max(LARGEST, MOST_FOLD * path.stat().st_size) if packed else 0
    marks: set[bytes] = set()
    size = line = longest = 0
    with opened_bytes(path) as file:
        for piece in iter(lambda: file.read(BLOCK), b""):
            size += len(piece)
            if packed and size > most:
                fold = size // path.stat().st_size
                raise ValueError(
                    f"it holds more than {most >> 20} MiB, over {counted(fold, 'time')} its size: unpack it yourself"
                )
            marks.update(mark for mark in (b'"', b"\0") if mark in piece)
            ends = [at for at in (piece.find(b"\n"), piece.find(b"\r")) if at >= 0]
            longest = max(longest, line + min(ends, default=len(piece)))
            behind = len(piece) - 1 - max(piece.rfind(b"\n"), piece.rfind(b"\r"))
            line = behind if ends else line + len(piece)
    if longest > MOST_ROW:
        raise ValueError(f"a line of it takes more than {MOST_ROW >> 20} MiB, which no row of a table does")
    return Looks(b'"' in marks, b"\0" in marks, longest)


def verify_cells(path: Path, separator: str, found: Looks) -> int:
    """How many bytes a block has that is never shorter than a row.

    Raises ValueError, naming the row, where quotes do not pair up or a cell has a zero byte.

    pyarrow takes a quote that is never closed for one that ends with the file, and `"2"5` for `25`: what is left out
    or put together would go unnoticed. Python's reader is strict about both (RFC 4180, section 2).
    """
    if not found.quotes and not found.zeros:
        return max(BLOCK, found.longest + _ENDS)
    rows, single, longest = 0, False, 0
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with opened_text(path) as file:
            lines = _Lines(file)
            for row in csv.reader(lines.read(), strict=True, delimiter=separator):
                # As pyarrow has it: a blank line is a missing cell where there is one column, and none elsewhere.
                single = len(row) == 1 if rows == 0 else single
                rows += bool(row) or single
                if found.zeros and any("\0" in cell for cell in row):
                    raise ValueError(f"row {rows} has a zero byte, which is no text")
                longest, lines.taken = max(longest, lines.taken), 0
    except UnicodeDecodeError:
        raise no_utf_8(path) from None
    except _TooLong:
        quote = "; a quote may never be closed" if found.quotes else ""
        raise ValueError(f"row {rows + 1} takes more than {MOST_ROW >> 20} MiB{quote}") from None
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
    return max(BLOCK, longest + _ENDS, found.longest + _ENDS)


class _TooLong(Exception):
    """A row takes more than rows do."""


class _Lines:
    """The lines of a text; `taken` is how many bytes were read at most since it was set to 0."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.taken = file, 0

    def read(self) -> Iterator[str]:
        for line in self.file:
            self.taken += len(line) if line.isascii() else 4 * len(line)
            if self.taken > MOST_ROW:
                raise _TooLong
            yield line
