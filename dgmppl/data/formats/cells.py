"""Cells of tables as text: numbers, truth values, dates or texts, whatever all cells of a column are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.data.dates import EXAMPLE, days_of
from dgmppl.data.formats.columns import choose_columns, fail_text, text_codes, verify_classes_few
from dgmppl.data.rows import ArrayRows, Origin, Values
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""What stands for a missing value where a spec does not say it."""
_TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
# The header is row 1, as a spreadsheet shows it.
_FIRST_ROW = 2

# As pyarrow reads numbers: Python takes `1_0` and the digits of other scripts, too.
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a cell holds a number with this decimal mark."""
    text = text.strip()
    if decimal != ".":
        text = "" if "." in text else text.replace(decimal, ".")
    return _NUMBER.fullmatch(text) is not None


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

    def open(
        self, names: Sequence[str], column: Callable[[str], pa.ChunkedArray], raw: Callable[[str], pa.ChunkedArray]
    ) -> Opened:
        """The columns that the source asks for, of these names.

        Args:
            column: gives the cells of one as text, null where one stands for a missing value and in no quotes.
            raw: gives them as they are.
        """
        source = self.source
        asked = choose_columns(source, names)
        single = bool(source.field)
        classes: tuple[str, ...] = ()
        marks: tuple[str, ...] = ()
        columns = []
        for name in asked:
            cells = column(name)
            values, texts = self.values(cells, name)
            marks = _marks(cells, raw(name)) if texts and cells.null_count else ()
            if texts and not single:
                fail_text(source, name)
            classes = verify_classes_few(source, name, texts)
            columns.append(text_codes(values, classes) if texts else values)
        origin = Origin(source.dataset, _FIRST_ROW, self.counted, asked, classes, "missing", marks)
        return Opened({"all": ArrayRows(columns[0] if single else np.stack(columns, axis=1), origin)})

    def values(self, cells: pa.ChunkedArray, name: str) -> tuple[Any, list[str]]:
        """Numbers, NaN where a cell is missing, and no texts; or cells, null where missing, and their different texts.

        What is null is missing. In a column of texts a usual mark that is not null stood in quotes: it is a text.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        trimmed = pc.utf8_trim_whitespace(cells)
        marked = pc.is_in(trimmed, value_set=pa.array(self.marks))
        nothing = pa.scalar(None, pa.string())
        present = pc.if_else(marked, nothing, trimmed)
        if self.source.dates:
            return self._dates(present, name), []
        values = self._numbers(present)
        if values is None:
            values = _truth(present)
        if values is not None:
            return values, []
        if self.source.reading.missing is None:
            quoted = pc.and_(pc.equal(trimmed, cells), pc.not_equal(trimmed, ""))
            present = pc.if_else(pc.and_(marked, pc.invert(quoted)), nothing, trimmed)
        return present, self._texts(present, name)

    def _numbers(self, present: pa.ChunkedArray) -> Values | None:
        """Cells as numbers; None where one is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.decimal != ".":
            if pc.any(pc.match_substring(present, ".")).as_py():
                return None
            present = pc.replace_substring(present, self.decimal, ".")
        try:
            # A plus sign is no part of a number to pyarrow.
            numbers = pc.replace_substring_regex(present, r"^\+", "").cast(pa.float64())
        except pa.ArrowInvalid:
            return None
        if not len(numbers):
            return np.empty(0)
        values: Values = pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False)
        return values

    def _dates(self, present: pa.ChunkedArray, name: str) -> Values:
        values = np.full(len(present), np.nan)
        known: dict[str, float] = {}
        for row, text in enumerate(present.to_pylist()):
            if text is None:
                continue
            if text not in known:
                try:
                    known[text] = days_of(text)
                except ValueError:
                    self._fail(row, name, text, f"expected a date: {EXAMPLE}")
            values[row] = known[text]
        return values

    def _texts(self, present: pa.ChunkedArray, name: str) -> list[str]:
        """The different texts of cells that are not all numbers, or what is wrong with them."""
        import pyarrow.compute as pc

        different = [text for text in pc.unique(present).to_pylist() if text is not None]
        other = "," if self.decimal == "." else "."
        if any(is_number(text, self.decimal) for text in different) or (
            not self.declared.support.takes_text and all(is_number(text, other) for text in different)
        ):
            row, text = next(
                (i, t) for i, t in enumerate(present.to_pylist()) if t is not None and not is_number(t, self.decimal)
            )
            way_out = ""
            if is_number(text, other):
                way_out = f'with `decimal = "{other}"` in its brackets this is a number; '
            expected = f"a decimal {'comma' if other == ',' else 'point'}" if way_out else "a number, as in other rows"
            self._fail(row, name, text, f"expected {expected}" if not way_out else expected, way_out)
        return different

    def _fail(self, row: int, name: str, text: str, expected: str, way_out: str = "") -> None:
        place = Origin(self.source.dataset, _FIRST_ROW, columns=(name,)).place(row, (0,))
        headline = f"{place} is `{text[:60]}`"
        help_ = way_out + self.counted
        raise SpecError([Diagnostic("E516", headline, self.source.span, expected, help=help_)])


def _marks(cells: pa.ChunkedArray, raw: pa.ChunkedArray) -> tuple[str, ...]:
    """The texts of cells that are null."""
    import pyarrow.compute as pc

    found = pc.unique(raw.filter(pc.is_null(cells))).to_pylist()
    return tuple(sorted(text for text in found if text))


def _truth(present: pa.ChunkedArray) -> Values | None:
    """Cells as 1 and 0; None where one is no truth value."""
    import pyarrow.compute as pc

    if any(text not in _TRUTH for text in pc.unique(present).to_pylist() if text is not None):
        return None
    return np.array([_TRUTH.get(text, np.nan) for text in present.to_pylist()])
