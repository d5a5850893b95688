"""Answers: what a run says of rows, by name, computed a chunk of rows at a time, and written to files as it comes."""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.fields import element_labels
from dgmppl.data.forms import NUMBERS, WORDS, Form
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import counted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Values = NDArray[Any]
Chunk = Mapping[str, Values]
"""Some rows of each array, (n, *shape): numbers, or texts (dtype object, None where one is missing)."""

Progress = Callable[[int, int], None]
"""Called with the rows that are done, and how many there are."""


AT_ONCE = 500
"""Of more rows the first ones are shown."""


def quiet(done: int, rows: int) -> None:
    """Tells nobody."""


class Pictures(Protocol):
    """How answers are drawn, where they can be."""

    def grid(self, arrays: Mapping[str, Values]) -> bytes:
        """All rows as one picture, a PNG."""

    def each(self, arrays: Mapping[str, Values]) -> Iterator[tuple[str, bytes]] | None:
        """A picture for each row, each after the folder that it belongs in; None where a row is no picture."""


@dataclass(frozen=True)
class Answers(Mapping[str, Values]):
    """Arrays by name, each with a row for each row that was given.

    Nothing is computed before it is asked for; `answers["z"]` or `frame()` compute all rows, and `write` a chunk at a
    time.

    Attributes:
        rows: how many there are.
        give: computes them, a chunk of rows at a time, in order.
        columns: what the elements of an array are called in a table; `z[0]`, `z[1]`, ... where nothing is said.
        index: of the DataFrame that was given.
        notes: how they were computed, in words; some are known when all are.
        pictures: how they are drawn.
        forms: of arrays whose values are more than numbers and texts, as the data have them.
        types: of columns that are as they were in a table, as pyarrow calls them.
        dtypes: of columns, as they were in a DataFrame.
        marks: what separates the cells of a text, and its decimal mark.
    """

    rows: int
    give: Callable[[], Iterable[Chunk]]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    index: Any = None
    notes: Sequence[str] = ()
    pictures: Pictures | None = None
    forms: Mapping[str, Form] = field(default_factory=dict)
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    dtypes: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[str, str] = (",", ".")

    @cached_property
    def arrays(self) -> dict[str, Values]:
        """All rows of each array."""
        return _gathered(self, quiet)

    def __getitem__(self, name: str) -> Values:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def frame(self) -> pd.DataFrame:
        """All rows as a DataFrame, a column for each element, in the types that the data have there."""
        found = frame_of(self._table(self.arrays), self.forms_of(self.arrays), self.index)
        return found.astype({name: dtype for name, dtype in self.dtypes.items() if _takes(dtype, found[name])})

    def drawn_by(self, pictures: Pictures) -> Answers:
        """The same answers, which can be drawn."""
        return replace(self, pictures=pictures)

    @property
    def computed(self) -> bool:
        """Whether all rows are there."""
        return "arrays" in vars(self)

    def head(self, rows: int) -> pd.DataFrame:
        """The first rows as a DataFrame, of which no more than a chunk is computed."""
        chunk = next(iter(self.give()), {})
        first = {name: values[:rows] for name, values in chunk.items()}
        count = len(next(iter(first.values()), ()))
        return frame_of(self._table(first), self.forms_of(first), None if self.index is None else self.index[:count])

    def __repr__(self) -> str:
        told = ", ".join(self.arrays if self.computed else (name for name, labels in self.columns.items() if labels))
        return f"<answers: {counted(self.rows, 'row')}{f' of {told}' if told else ''}>"

    def _repr_html_(self) -> str:
        from dgmppl.notebook import answers_html

        return answers_html(self, AT_ONCE)

    def _table(self, chunk: Chunk) -> dict[str, Values]:
        """The columns of a chunk, (n,) each."""
        found: dict[str, Values] = {}
        for name, values in chunk.items():
            labels = self._labels(name, values)
            flat = values.reshape(len(values), -1) if values.size else np.empty((len(values), len(labels)))
            found |= {label: flat[:, k] for k, label in enumerate(labels)}
        return found

    def _labels(self, name: str, values: Values) -> tuple[str, ...]:
        return self.columns.get(name) or element_labels(name, values.shape[1:])

    def forms_of(self, chunk: Chunk) -> dict[str, Form]:
        """The form of each column of a chunk."""
        known = ((name, self.forms.get(name, NUMBERS)) for name in chunk)
        return {label: form for name, form in known for label in self._labels(name, chunk[name])}

    def write(self, path: Path, progress: Progress = quiet) -> None:
        """Writes all rows to a file, whole or not at all: a table (.csv, .parquet) or arrays (.npz), and what can be
        drawn as one picture (.png) or as a folder of one for each row.

        Raises:
            SpecError: for another ending (E703), or when the file cannot be written (E607).
        """
        path = Path(path)
        ends = [*WRITERS, *(DRAWN if self.pictures is not None else {})]
        if path.suffix.lower() not in ends:
            told = ", ".join(end or "a folder" for end in ends)
            raise SpecError([Diagnostic("E703", f"answers are written to {told}, not to {path.name}")])
        writer = {**WRITERS, **DRAWN}[path.suffix.lower()]
        try:
            with draft(path) as new:
                writer(self, new, progress)
        except OSError as error:
            raise SpecError([Diagnostic("E607", f"cannot write {path}: {error.strerror or error}")]) from None

    def counted(self, progress: Progress) -> Iterator[Chunk]:
        """The chunks, each told when it is there."""
        done = 0
        for chunk in self.give():
            yield chunk
            done += len(next(iter(chunk.values()), ()))
            progress(done, self.rows)


def frame_of(columns: Mapping[str, Values], forms: Mapping[str, Form], index: Any = None) -> pd.DataFrame:
    """Columns as a DataFrame, each in its form."""
    import pandas as pd

    return pd.DataFrame({name: forms[name].column(v) for name, v in columns.items()}, index=index)


def verify_counts(least: int = 1, **counts: Any) -> None:
    """Refuses, by its name, a number of draws or rows that is none (E713); None is what is usual."""
    for name, count in counts.items():
        whole = not isinstance(count, bool) and isinstance(count, int | np.integer)
        if count is not None and (not whole or count < least):
            raise SpecError(
                [Diagnostic("E713", f"`{name}` is {count!r}, and a whole number from {least} is asked for")]
            )


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A file beside the place of another, which it takes when all is written."""
    new = path.with_name(f"{path.name}.new")
    try:
        yield new
        new.replace(path)
    finally:
        if new.is_dir():
            shutil.rmtree(new, ignore_errors=True)
        else:
            new.unlink(missing_ok=True)


def _write_csv(answers: Answers, path: Path, progress: Progress) -> None:
    """A row of names, then rows of cells. Texts stand in quotes, so that none is taken for a missing value."""
    separator, decimal = answers.marks
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, (table, forms) in enumerate(_tables(answers, progress)):
            if not number:
                file.write(separator.join(_quoted(name) for name in table.column_names) + "\n")
            for line in _lines(table, forms, separator, decimal):
                file.write(f"{line}\n")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _lines(table: pa.Table, forms: Mapping[str, Form], separator: str, decimal: str) -> Iterator[str]:
    """The rows of a table as lines of text; a missing cell is empty."""
    cells = (
        _cells(table.column(place), forms[name].names or WORDS, separator, decimal)
        for place, name in enumerate(table.column_names)
    )
    return map(separator.join, zip(*cells, strict=True))


def _cells(column: pa.ChunkedArray, words: tuple[str, ...], separator: str, decimal: str) -> list[str]:
    """The cells of a column as text: truth values by their words, numbers with the decimal mark, times with the offset
    of their zone."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    types, type_ = pa.types, column.type
    if types.is_boolean(type_):
        found = pc.if_else(column, pa.scalar(words[1]), pa.scalar(words[0]))
    elif types.is_timestamp(type_):
        times = column.to_pandas()
        there = times[times.notna()]
        days = type_.tz is None and bool((there == there.dt.normalize()).all())
        return ["" if time is pd.NaT else str(time.date() if days else time) for time in times]
    else:
        column = column.cast(type_.value_type) if types.is_dictionary(type_) else column
        type_ = column.type
        found = pc.cast(column, pa.string())
        if decimal != "." and (types.is_floating(type_) or types.is_decimal(type_)):
            found = pc.replace_substring(found, ".", decimal)
        if types.is_string(type_) or types.is_large_string(type_) or separator == decimal:
            quotes = pa.scalar('"'), pc.replace_substring(found, '"', '""'), pa.scalar('"')
            found = pc.binary_join_element_wise(*quotes, "")
    return [text or "" for text in found.to_pylist()]


def _write_parquet(answers: Answers, path: Path, progress: Progress) -> None:
    from pyarrow import parquet

    writer = None
    for table, _ in _tables(answers, progress):
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _tables(answers: Answers, progress: Progress) -> Iterator[tuple[pa.Table, Mapping[str, Form]]]:
    """The chunks as tables of one schema, with the forms of their columns."""
    import pyarrow as pa

    schema = None
    for chunk in answers.counted(progress):
        columns, forms = answers._table(chunk), answers.forms_of(chunk)
        if schema is None:
            types = {n: answers.types.get(n) or forms[n].arrow_type(v) for n, v in columns.items()}
            schema = pa.schema([*types.items()])
        table = pa.table({n: forms[n].arrow(v, schema.field(n).type) for n, v in columns.items()}, schema)
        yield table, forms


def _takes(dtype: Any, column: Any) -> bool:
    """Whether a dtype of pandas holds the values of a column: of categories these may be more."""
    categories = getattr(dtype, "categories", None)
    return categories is None or bool((column.isna() | column.isin(categories)).all())


def _write_npz(answers: Answers, path: Path, progress: Progress) -> None:
    """Arrays by name. Each is kept in a file beside until all rows are there: memory does not grow with the rows."""
    kept: dict[str, Any] = {}
    pieces: dict[str, list[tuple[tuple[int, ...], np.dtype[Any]]]] = {}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, ExitStack() as opened:
        for chunk in answers.counted(progress):
            for name, values in chunk.items():
                plain = np.ascontiguousarray(_plain(values))
                if name not in kept:
                    kept[name] = opened.enter_context(Path(folder, str(len(kept))).open("w+b"))
                    pieces[name] = []
                pieces[name].append((plain.shape, plain.dtype))
                kept[name].write(plain.tobytes())
        with zipfile.ZipFile(path, "w") as archive:
            for name, file in kept.items():
                # Chunks of texts are as wide as their longest, and the array as the widest of them.
                dtype = np.result_type(*(d for _, d in pieces[name]))
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                    whole = (answers.rows, *pieces[name][0][0][1:])
                    np.lib.format.write_array_header_2_0(member, {**header, "shape": whole})
                    file.seek(0)
                    for shape, piece in pieces[name]:
                        block = file.read(math.prod(shape) * piece.itemsize)
                        member.write(np.frombuffer(block, piece).astype(dtype).tobytes())


def _plain(values: Values) -> Values:
    """Texts in a dtype that needs no pickle; a missing one is empty."""
    if values.dtype != object:
        return values
    return np.array(["" if v is None else str(v) for v in values.ravel()], dtype=np.str_).reshape(values.shape)


def _write_picture(answers: Answers, path: Path, progress: Progress) -> None:
    assert answers.pictures is not None
    path.write_bytes(answers.pictures.grid(_gathered(answers, progress)))


def _write_pictures(answers: Answers, path: Path, progress: Progress) -> None:
    """A folder of pictures, a chunk of rows at a time."""
    assert answers.pictures is not None
    path.mkdir()
    start = 0
    for chunk in answers.counted(progress):
        found = answers.pictures.each(chunk)
        if found is None:
            headline = f"a folder is for rows that are images, and {' and '.join(chunk)} are none"
            raise SpecError([Diagnostic("E703", headline, help=f"a table: {', '.join(WRITERS)}")])
        size = len(str(answers.rows - 1))
        for k, (folder, content) in enumerate(found, start):
            (path / folder).mkdir(exist_ok=True)
            (path / folder / f"{k:0{size}}.png").write_bytes(content)
        start += len(next(iter(chunk.values()), ()))


def _gathered(answers: Answers, progress: Progress) -> dict[str, Values]:
    chunks = list(answers.counted(progress))
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in (chunks[0] if chunks else {})}


WRITERS: Mapping[str, Callable[[Answers, Path, Progress], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
}
DRAWN: Mapping[str, Callable[[Answers, Path, Progress], None]] = {".png": _write_picture, "": _write_pictures}

__all__ = [
    "DRAWN",
    "WRITERS",
    "Answers",
    "Chunk",
    "Pictures",
    "Progress",
    "Values",
    "draft",
    "frame_of",
    "quiet",
    "verify_counts",
]
