"""Cells of tables as text, read a block of rows at a time: what is held of them does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dgmppl.data.formats.columns import choose_columns, classes_of_all, text_form
from dgmppl.data.formats.kinds import Dates, Kind, Numbers, Texts, Truth, Wrong, numbers
from dgmppl.data.formats.temporary import Store, StoredRows
from dgmppl.data.forms import NUMBERS, Form
from dgmppl.data.rows import Array, Origin
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

    Blocks = Callable[[Sequence[str], bool], Iterator[Sequence[pa.Array]]]

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""What stands for a missing value where a spec does not say it."""
# The header is row 1, as a spreadsheet shows it.
_FIRST_ROW = 2
_LOOKED_AT = 2**16


@dataclass(frozen=True)
class Cells:
    """How the cells of a file are read.

    Attributes:
        source: as the spec writes it.
        declared: the type of the variable.
        counted: how rows are counted.
        decimal: the decimal mark.
    """

    source: DataSource
    declared: Type
    counted: str
    decimal: str = "."

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands for a missing value. An empty cell always does."""
        found = self.source.reading.missing
        return MISSING if found is None else ("", *(m for m in found if isinstance(m, str)))

    def open(self, names: Sequence[str], blocks: Blocks) -> Opened:
        """The columns that the source asks for, of these names.

        What a column is, its last cell may decide: where a block shows that it is no longer what the ones before were,
        all are read again.

        Args:
            blocks: gives the cells of some columns as text, block by block; null where one stands for a missing value
                and in no quotes, or as they are.
        """
        source = self.source
        asked = choose_columns(source, names)
        single = bool(source.field)
        kind = Dates if source.dates else Numbers
        kinds: list[Kind] = [kind(self.decimal, self.declared.support.takes_text) for _ in asked]
        while (store := self._read(asked, kinds, blocks, single)) is None:
            kinds = [type(kind)(kind.decimal, kind.takes_text) for kind in kinds]
        for name, found in zip(asked, kinds, strict=True):
            wrong = found.wrong()
            if wrong is not None:
                raise self._failed(name, wrong)
        classes: tuple[str, ...] = ()
        if any(isinstance(found, Texts) for found in kinds):
            texts = {name: self._texts_of(found, store, k) for k, (name, found) in enumerate(zip(asked, kinds))}
            classes = classes_of_all(source, texts)
            store.change(partial(_sorted_codes, kinds, classes, single))
        marks = _marks(asked, blocks) if classes and any(found.nulls for found in kinds) else ()
        origin = Origin(source.dataset, _FIRST_ROW, self.counted, asked, classes, "missing", marks, form=_form(kinds))
        return Opened({"all": StoredRows(store, origin)})

    @staticmethod
    def _texts_of(kind: Kind, store: Store, place: int) -> Collection[str] | None:
        """The texts of a column: none where all of it is missing, None where it holds numbers."""
        if isinstance(kind, Texts):
            return kind.known
        blocks = (
            store.read(start, min(start + _LOOKED_AT, store.count)) for start in range(0, store.count, _LOOKED_AT)
        )
        return () if all(np.isnan(block[:, place]).all() for block in blocks) else None

    def _read(self, asked: Sequence[str], kinds: list[Kind], blocks: Blocks, single: bool) -> Store | None:
        """All rows; None where some are to be read again, since a column is of another kind than its first rows.

        `kinds`: of the columns, which become those that their last rows are of.
        """
        store = Store(() if single else (len(asked),))
        first, whole = 0, True
        for columns in blocks(asked, True):
            before = [type(kind) for kind in kinds]
            values = self._values(columns, kinds, first)
            whole = whole and (first == 0 or before == [type(kind) for kind in kinds])
            if whole:
                store.append(values[:, 0] if single else values)
            first += len(values)
        return store if whole else None

    def _values(self, columns: Sequence[pa.Array], kinds: list[Kind], first: int) -> Array:
        """The cells of a block, (n, columns)."""
        import pyarrow as pa

        if len(columns) > 1 and all(type(kind) is Numbers for kind in kinds):
            # Most tables are numbers alone: all columns at once, which takes less time than one by one.
            together = numbers(self._marked(pa.concat_arrays(columns)), self.decimal)
            if together is not None:
                return np.ascontiguousarray(together.reshape(len(columns), -1).T)
        found = []
        for place, cells in enumerate(columns):
            marked = self._marked(cells)
            texts = partial(self._texts, cells)
            while (values := kinds[place].values(marked, texts, first)) is None:
                kinds[place] = kinds[place].next()
            kinds[place].nulls += cells.null_count
            found.append(values)
        return np.stack(found, axis=1)

    def _marked(self, cells: pa.Array) -> pa.Array:
        """Cells without the space around them, null where one stands for a missing value."""
        import pyarrow as pa
        import pyarrow.compute as pc

        trimmed = pc.utf8_trim_whitespace(cells)
        marked = pc.is_in(trimmed, value_set=pa.array(self.marks))
        return pc.if_else(marked, pa.scalar(None, pa.string()), trimmed)

    def _texts(self, cells: pa.Array) -> pa.Array:
        """The same in a column of texts, where a usual mark that is not null stood in quotes: it is a text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.source.reading.missing is not None:
            return self._marked(cells)
        trimmed = pc.utf8_trim_whitespace(cells)
        marked = pc.is_in(trimmed, value_set=pa.array(self.marks))
        quoted = pc.and_(pc.equal(trimmed, cells), pc.not_equal(trimmed, ""))
        return pc.if_else(pc.and_(marked, pc.invert(quoted)), pa.scalar(None, pa.string()), trimmed)

    def _failed(self, name: str, wrong: Wrong) -> SpecError:
        place = Origin(self.source.dataset, _FIRST_ROW, columns=(name,)).place(wrong.row, (0,))
        headline = f"{place} is `{wrong.text[:60]}`"
        help_ = wrong.way_out + self.counted
        return SpecError([Diagnostic("E516", headline, self.source.span, wrong.expected, help=help_)])


def _form(kinds: Sequence[Kind]) -> Form:
    """What the cells of columns are that make a vector together."""
    dates = [kind for kind in kinds if isinstance(kind, Dates)]
    if dates:
        return text_form({o for kind in dates for o in kind.offsets}, all(kind.whole for kind in dates))
    found = [kind for kind in kinds if isinstance(kind, Truth)]
    return Form("truth", found[0].words) if len(found) == len(kinds) else NUMBERS


def _sorted_codes(kinds: Sequence[Kind], classes: tuple[str, ...], single: bool, values: Array) -> Array:
    """Numbers of texts as they were met in each column, (n,) or (n, columns), as those of the classes."""
    columns = [values] if single else list(values.T)
    found = [k.sorted_codes(classes, v) if isinstance(k, Texts) else v for k, v in zip(kinds, columns, strict=True)]
    return found[0] if single else np.stack(found, axis=1)


def _marks(asked: Sequence[str], blocks: Blocks) -> tuple[str, ...]:
    """The texts of cells that are null."""
    import pyarrow.compute as pc

    found: set[str] = set()
    for block, as_they_are in zip(blocks(asked, True), blocks(asked, False), strict=True):
        for marked, plain in zip(block, as_they_are, strict=True):
            found.update(pc.unique(plain.filter(pc.is_null(marked))).to_pylist())
    return tuple(sorted(text for text in found if text))
