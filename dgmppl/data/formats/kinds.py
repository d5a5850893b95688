"""What all cells of a column of text are: numbers, truth values, dates or texts; found out block by block."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dgmppl.data.dates import EXAMPLE, days_of, offset_of
from dgmppl.data.formats.columns import MOST_CLASSES, text_codes
from dgmppl.data.rows import Array

if TYPE_CHECKING:
    import pyarrow as pa

_TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
_SPELLINGS = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
# Dates that are known by heart: most columns of dates have few different ones.
_MOST_DATES = 100_000

# As pyarrow reads numbers: Python takes `1_0` and the digits of other scripts, too.
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a cell holds a number with this decimal mark."""
    text = text.strip()
    if decimal != ".":
        text = "" if "." in text else text.replace(decimal, ".")
    return _NUMBER.fullmatch(text) is not None


def numbers(present: pa.Array, decimal: str) -> Array | None:
    """Cells as numbers, NaN where one is null; None where one is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if decimal != ".":
        if pc.any(pc.match_substring(present, ".")).as_py():
            return None
        present = pc.replace_substring(present, decimal, ".")
    if pc.any(pc.starts_with(present, "+")).as_py():  # which is no part of a number to pyarrow
        present = pc.replace_substring_regex(present, r"^\+", "")
    try:
        found = present.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    values: Array = pc.fill_null(found, float("nan")).to_numpy(zero_copy_only=False)
    return values


@dataclass(frozen=True)
class Wrong:
    """A cell that is none of its column's.

    Attributes:
        row: its number, from 0.
        text: what it holds.
        expected: what it should, in words.
        way_out: what helps.
    """

    row: int
    text: str
    expected: str
    way_out: str = ""


class Kind(ABC):
    """What the cells of a column are taken for.

    Args:
        decimal: the decimal mark of numbers.
        takes_text: whether the variable may be given as texts.

    Attributes:
        nulls: how many cells were null before marks in quotes were looked for.
    """

    def __init__(self, decimal: str, takes_text: bool) -> None:
        self.decimal, self.takes_text, self.nulls = decimal, takes_text, 0

    @abstractmethod
    def values(self, marked: pa.Array, texts: Callable[[], pa.Array], first: int) -> Array | None:
        """The values of a block of cells; None where they are of another kind.

        Args:
            marked: the cells, null where one stands for a missing value.
            texts: gives the same as they are in a column of texts, where a usual mark in quotes is a text.
            first: the number of the first row.
        """

    def wrong(self) -> Wrong | None:
        """A cell that is none of its column's, once all are known."""
        return None

    def next(self) -> Kind:
        """The kind that cells are of which are not all of this one."""
        raise NotImplementedError


class Numbers(Kind):
    """Cells that are all numbers."""

    def values(self, marked: pa.Array, texts: Callable[[], pa.Array], first: int) -> Array | None:
        return numbers(marked, self.decimal)

    def next(self) -> Kind:
        return Truth(self.decimal, self.takes_text)


class Truth(Kind):
    """Cells that are all true or false, which are 1 and 0.

    Attributes:
        words: what stands for false and for true, as it was met first.
    """

    def __init__(self, decimal: str, takes_text: bool) -> None:
        super().__init__(decimal, takes_text)
        self.words: tuple[str, ...] = ()

    def values(self, marked: pa.Array, texts: Callable[[], pa.Array], first: int) -> Array | None:
        import pyarrow.compute as pc

        met = [text for text in pc.unique(marked).to_pylist() if text is not None]
        if any(text not in _TRUTH for text in met):
            return None
        if met and not self.words:  # both in one spelling
            self.words = next(words for words in _SPELLINGS if met[0] in words)
        return np.array([_TRUTH.get(text, np.nan) for text in marked.to_pylist()], dtype=np.float64)

    def next(self) -> Kind:
        return Texts(self.decimal, self.takes_text)


class Texts(Kind):
    """Cells that are texts, numbered in the order in which they were met.

    Attributes:
        known: the texts, no more of them than one above the most that can be classes.
    """

    def __init__(self, decimal: str, takes_text: bool) -> None:
        super().__init__(decimal, takes_text)
        self.known: dict[str, int] = {}
        self._other = "," if decimal == "." else "."
        self._some_number, self._all_other = False, True
        self._first_text: tuple[int, str] | None = None

    def values(self, marked: pa.Array, texts: Callable[[], pa.Array], first: int) -> Array | None:
        import pyarrow.compute as pc

        cells = texts()
        for text in pc.unique(cells).to_pylist():
            if text is None or text in self.known:
                continue
            number = is_number(text, self.decimal)
            self._some_number = self._some_number or number
            self._all_other = self._all_other and is_number(text, self._other)
            if self._first_text is None and not number:
                self._first_text = first + pc.index(cells, text).as_py(), text
            if len(self.known) <= MOST_CLASSES:
                self.known[text] = len(self.known)
        return text_codes(cells, list(self.known))

    def wrong(self) -> Wrong | None:
        if self._first_text is None or not (self._some_number or (not self.takes_text and self._all_other)):
            return None
        row, text = self._first_text
        if is_number(text, self._other):
            way_out = f'with `decimal = "{self._other}"` in its brackets this is a number; '
            mark = "comma" if self._other == "," else "point"
            return Wrong(row, text, f"a decimal {mark}", way_out)
        return Wrong(row, text, "expected a number, as in other rows")

    def sorted_codes(self, classes: tuple[str, ...], codes: Array) -> Array:
        """Numbers of texts as they were met, as those of the classes."""
        places = {text: place for place, text in enumerate(classes)}
        table = np.array([*(places[text] for text in self.known), np.nan])  # the last: of what is missing
        found: Array = table[np.where(np.isnan(codes), -1, codes).astype(np.int64)]
        return found


class Dates(Kind):
    """Cells that are all dates, in days since the first of January 1970.

    Attributes:
        offsets: those of all times.
        whole: whether all are days.
    """

    def __init__(self, decimal: str, takes_text: bool) -> None:
        super().__init__(decimal, takes_text)
        self.offsets: set[str] = set()
        self.whole = True
        self._known: dict[str, float] = {}
        self._wrong: Wrong | None = None

    def values(self, marked: pa.Array, texts: Callable[[], pa.Array], first: int) -> Array | None:
        values = np.full(len(marked), np.nan)
        if self._wrong is not None:
            return values
        known = self._known
        for row, text in enumerate(marked.to_pylist()):
            if text is None:
                continue
            if text not in known:
                try:
                    self._add(text)
                except ValueError:
                    self._wrong = Wrong(first + row, text, f"expected a date: {EXAMPLE}")
                    break
            values[row] = known[text]
        return values

    def _add(self, text: str) -> None:
        if len(self._known) >= _MOST_DATES:
            self._known.clear()
        self._known[text] = days = days_of(text)
        self.offsets.add(offset_of(text))
        self.whole = self.whole and days.is_integer()

    def wrong(self) -> Wrong | None:
        return self._wrong
