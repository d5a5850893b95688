"""Data that are given in the place of a spec's files: kept as a table, from which the spec then reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.catalogue.formats import field_text
from dgmppl.catalogue.transforms import TRANSFORMS
from dgmppl.data.fields import element_labels
from dgmppl.data.given_arrays import TABLE, array_of, is_frame, table_of_frame, verify_array, with_labels
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.source import Source, Span
from dgmppl.supports import REAL, Type
from dgmppl.syntax import tree
from dgmppl.syntax.ends import counts_of, first_of, open_ends, sources_of

if TYPE_CHECKING:
    import pyarrow as pa

DATA = "data.parquet"
"""The file of a run folder that holds the data which its fit was given."""


@dataclass(frozen=True)
class Given:
    """A spec that reads what was given.

    Attributes:
        table: what was given: a column for each of a table, or for each array, with a tensor in each row.
        source: the spec, whose observed variables are read `from "data.parquet"`.
        sizes: names that no statement declares and the data say, as overrides: `D=5`.
        written: the spec as it was written, in which `edits` put where each variable is read from.
        name: what was given, in messages.
        index: of a DataFrame.
    """

    table: pa.Table
    source: Source
    sizes: tuple[str, ...]
    written: Source
    edits: tuple[tuple[int, int, str], ...]
    name: str
    index: Any = None

    def told(self, found: Diagnostic) -> Diagnostic:
        """A diagnostic of the spec as one about what was given, at its place in the spec that was written."""

        def words(text: str) -> str:
            named = text.replace(f'"{DATA}"', '"..."').replace(DATA, self.name)
            return with_labels(named, self.index) if DATA in text else text

        return replace(
            found,
            headline=words(found.headline),
            label=words(found.label),
            help=words(found.help),
            span=None if found.span is None else self._written(found.span),
            notes=tuple(replace(n, span=self._written(n.span), label=words(n.label)) for n in found.notes),
        )

    def error(self, error: SpecError) -> SpecError:
        """An error as one about what was given."""
        ours = error.source is not None and error.source.text == self.source.text
        return SpecError([self.told(d) for d in error.diagnostics], self.written if ours else error.source)

    def _written(self, span: Span) -> Span:
        """A place of the spec in the text that was written: all of what an edit replaced, or what it stands behind."""
        first, last = self._place(span.start), self._place(span.end - 1 if span.end > span.start else span.end)
        return replace(span, start=first[0], end=max(last[1], first[1]))

    def _place(self, offset: int) -> tuple[int, int]:
        """The range of the written text in which a character of the spec stands."""
        moved = 0
        for start, end, new in self.edits:
            if offset < start + moved:
                break
            if offset < start + moved + len(new):
                return (start, end) if start < end else (start - 1, start)
            moved += len(new) - (end - start)
        return offset - moved, offset - moved + 1


def read_given(spec: tree.Spec, source: Source, data: Any) -> Given:
    """A spec with data in the place of its files.

    A variable is read from the columns or the array that the spec names, else from what has the name of the variable,
    else from its elements, `x[0]`, `x[1]`, ...; one alone of which the spec says nothing, from the columns that no
    other is read from. Transforms, and what stands for a missing value, stay as they are; a `where` chooses no rows.

    Args:
        spec: as it was read, with its overrides.
        data: a DataFrame, arrays by variable or column, or one array where the spec has one variable.

    Raises:
        SpecError: when something that is needed is not there (E504), rows differ in number (E505), or hold what no
            column can (E516).
    """
    observed = [s for s in spec.statements if isinstance(s, tree.Variable) and s.role != "latent"]
    table = _table(data, [s.name for s in observed])
    chosen = _chosen(observed, table.column_names)
    used = {name for columns, _ in chosen.values() for name in columns}
    kept = table.select([name for name in table.column_names if name in used])
    edits = []
    for s in observed:
        columns, together = chosen[s.name]
        field = _field(s)
        # What stands for a missing value does so in what is given; the rest is about a file that is not read.
        marks = [r for r in field.readings if r.name == "missing"] if field is not None else []
        options = tuple(source.text[r.span.start : r.span.end] for r in marks)
        text = field_text(DATA, "" if together else columns[0], True, columns if together else (), options)
        edits.append((s.span.end, s.span.end, f" from {text}") if field is None else (*_ends(field), text))
    edits, text = sorted(edits), source.text
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    tabular = hasattr(data, "columns") or hasattr(data, "column_names")
    name, index = TABLE if tabular else "the data", data.index if is_frame(data) else None
    sizes = tuple(_sizes(spec, observed, kept, chosen))
    return Given(kept, Source(source.name, text), sizes, source, tuple(edits), name, index)


def _ends(field: tree.Field) -> tuple[int, int]:
    return field.span.start, field.span.end


def _field(statement: tree.Variable) -> tree.Field | None:
    """Where a variable is read from, before transforms."""
    return next((f for f in _wrapped(statement.data) if isinstance(f, tree.Field)), None)


def _wrapped(data: tree.Field | tree.Transformed | None) -> Iterator[tree.Field | tree.Transformed]:
    """A field with the transforms around it, from the outermost."""
    while data is not None:
        yield data
        data = data.data if isinstance(data, tree.Transformed) else None


# --- the table ---------------------------------------------------------------------------------------


def _table(data: Any, names: list[str]) -> pa.Table:
    import pyarrow as pa

    if hasattr(data, "to_arrow"):  # polars
        return data.to_arrow()
    if isinstance(data, pa.Table):
        return data
    if is_frame(data):
        return table_of_frame(data)
    if isinstance(data, Mapping):
        return _from_arrays(data)
    verify_array(data)
    if len(names) != 1:
        headline = f"one array cannot be {' and '.join(f'`{name}`' for name in names)}"
        raise SpecError([Diagnostic("E504", headline, help="give a dict, {name: array}, or a DataFrame")])
    return _from_arrays({names[0]: data})


def _from_arrays(arrays: Mapping[Any, Any]) -> pa.Table:
    import pyarrow as pa

    columns = {str(name): _column(str(name), values) for name, values in arrays.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"`{name}` {count}" for name, count in lengths.items())
        help_ = "variables that are observed together need data of the same rows, in the same order"
        raise SpecError([Diagnostic("E505", f"rows differ in number: {told}", help=help_)])
    return pa.table(columns)


def _column(name: str, values: Any) -> pa.Array:
    """An array or tensor as a column, with a tensor in each row where a row has axes."""
    import pyarrow as pa

    if hasattr(values, "iloc") and hasattr(values, "dtype"):  # a column of pandas
        return pa.array(values, from_pandas=True)
    array = array_of(values)
    if array.ndim == 0:
        raise SpecError([Diagnostic("E505", f"`{name}` is a single value; rows are expected")])
    if array.dtype.kind == "M" and array.ndim == 1:
        return pa.array(array)
    if array.dtype.kind in "OUS" and array.ndim == 1:
        try:
            return pa.array(array.tolist())
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise SpecError([Diagnostic("E516", f"`{name}` holds what no column can: {error}")]) from None
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise SpecError([Diagnostic("E516", f"`{name}` holds what is no number: {error}")]) from None
    if array.dtype.kind not in "biuf":
        raise SpecError([Diagnostic("E516", f"`{name}` holds values of type {array.dtype}, not numbers")])
    if array.ndim == 1:
        return pa.array(array)
    if array.size == 0:
        raise SpecError([Diagnostic("E505", f"`{name}` has the shape {list(array.shape)}: there is nothing in it")])
    if array.dtype.kind == "b":  # of which pyarrow has no tensors
        column = pa.array(array.ravel())
        for size in reversed(array.shape[1:]):
            column = pa.FixedSizeListArray.from_arrays(column, size)
        return column
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(array))


# --- which columns a variable is read from ------------------------------------------------------------

Chosen = Mapping[str, tuple[tuple[str, ...], bool]]
"""The columns of each variable, and whether they make a vector together."""


def _chosen(observed: list[tree.Variable], names: list[str]) -> Chosen:
    """The columns of each variable."""
    odd = next((name for name in names if '"' in name or "\n" in name), None)
    if odd is not None:
        raise SpecError([Diagnostic("E504", f"a column cannot be named {odd!r}: a spec cannot write that name")])
    twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
    if twice is not None:
        raise SpecError([Diagnostic("E504", f"several columns are named `{twice}`")])
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    for s in observed:
        columns = _named(s, names)
        if columns is not None:
            found[s.name] = columns
    left = [s for s in observed if s.name not in found]
    used = {name for columns, _ in found.values() for name in columns}
    free = tuple(name for name in names if name not in used)
    if len(left) == 1 and free and _is_whole(left[0]):
        found[left[0].name] = (free, True)
        left = []
    if left:
        has = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise SpecError([Diagnostic("E504", _absent(s), help=f"what was given has {has or 'none'}") for s in left])
    return {s.name: found[s.name] for s in observed}


def _named(statement: tree.Variable, names: list[str]) -> tuple[tuple[str, ...], bool] | None:
    """The columns that bear the name of a variable, or of what the spec reads it from."""
    field, known = _field(statement), set(names)
    if field is not None and field.columns and known >= set(field.columns):
        return field.columns, True
    for name in (field.name if field is not None else None, statement.name):
        if name is not None and name in known:
            return (name,), False
    several = [name for name in names if name.startswith(f"{statement.name}[")]
    if len(statement.type.shape) == 1 and several and tuple(several) == element_labels(statement.name, (len(several),)):
        return tuple(several), True
    return None


def _is_whole(statement: tree.Variable) -> bool:
    """Whether a variable is a vector of which the spec names no part of a file: then it may be all columns."""
    field = _field(statement)
    named = field is not None and (field.name is not None or field.columns)
    return not named and len(statement.type.shape) == 1 and statement.family is None


def _absent(statement: tree.Variable) -> str:
    field = _field(statement)
    if field is not None and field.columns:
        return f"not all of the columns {', '.join(field.columns)} were given, which `{statement.name}` is read from"
    names = dict.fromkeys([*([field.name] if field is not None and field.name else []), statement.name])
    told = " or ".join(f"`{name}`" for name in names)
    return f"nothing of the name {told} was given, which `{statement.name}` would be read from"


# --- sizes that only the data say ----------------------------------------------------------------------


def _sizes(spec: tree.Spec, observed: list[tree.Variable], table: pa.Table, chosen: Chosen) -> Iterator[str]:
    """Overrides for the names of sizes, ends and counts of classes that no statement declares."""
    shapes = {s.name: _shape(s, table, chosen[s.name]) for s in observed}
    # Sizes are those of what was given, wherever the spec reads a variable from.
    given = replace(spec, statements=tuple(_with_data(s, spec.name_span) for s in spec.statements))
    counts = dict(_by_name(counts_of(spec)))
    for name in open_ends(spec):
        if name in counts:
            s = counts[name]
            yield f"{name}={_classes(table.column(chosen[s.name][0][0]), _marks(s))}"
            continue
        for s, _, axis in sources_of(given, name):
            first = first_of(spec, s, axis)
            if first is not None and axis < len(shapes[s.name]):
                yield f"{name}={first + shapes[s.name][axis] - 1}"
                break


def _by_name(found: Iterator[tuple[tree.Variable, tree.Name]]) -> Iterator[tuple[str, tree.Variable]]:
    for statement, name in found:
        yield name.name, statement


def _with_data(statement: tree.Statement, place: Span) -> tree.Statement:
    if not isinstance(statement, tree.Variable) or statement.role == "latent":
        return statement
    return replace(statement, data=tree.Field(place, DATA, None, True))


def _shape(statement: tree.Variable, table: pa.Table, chosen: tuple[tuple[str, ...], bool]) -> tuple[int, ...]:
    """The shape of a row, behind its transforms."""
    from dgmppl.data.formats.columns import row_shape

    columns, together = chosen
    found = Type(REAL, (len(columns),) if together else row_shape(table.column(columns[0])))
    for transform in reversed([t for t in _wrapped(statement.data) if isinstance(t, tree.Transformed)]):
        if transform.name in ("flatten", "total"):
            found = TRANSFORMS[transform.name][1](found, ())
    return found.shape


def _marks(statement: tree.Variable) -> set[str | float]:
    """What stands for a missing value."""
    field = _field(statement)
    entries = [e for r in field.readings if r.name == "missing" for e in r.entries] if field is not None else []
    return {entry.value for entry in entries if isinstance(entry, tree.Mark)}


def _classes(column: pa.ChunkedArray, marks: set[str | float]) -> int:
    """How many classes a column has: of texts as many as there are, of numbers those from 0 to the largest."""
    import pyarrow.compute as pc

    from dgmppl.data.formats.columns import is_text

    if is_text(column.type):
        return max(2, len([text for text in pc.unique(column).to_pylist() if text is not None and text not in marks]))
    largest = pc.max(column).as_py()
    return max(2, int(largest) + 1) if isinstance(largest, int | float) and 0 <= largest < 2**31 else 2


__all__ = ["DATA", "Given", "read_given"]
