"""How a file is read, as a spec says it in brackets: `"table.csv"[age, height, missing = "?", decimal = ","]`.

An option is an entry of `READINGS`; what it does is in `dgmppl.data.reading`, and in the readers of the formats that
it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dgmppl.supports import number_text

Mark = str | float


@dataclass(frozen=True)
class Option:
    """What an option takes.

    Attributes:
        takes: in words.
        example: as a spec writes it.
        formats: of files that it is for; none: all.
    """

    takes: str
    example: str
    formats: tuple[str, ...] = ()


TABLES = ("csv", "parquet", "feather", "excel")
READINGS: Mapping[str, Option] = {
    "missing": Option("texts or numbers", 'missing = ["?", -1]'),
    "where": Option("conditions on columns", "where = age in 18..65", (*TABLES, "npz")),
    "separator": Option("the character between cells", 'separator = ";"', ("csv",)),
    "decimal": Option("the decimal mark", 'decimal = ","', ("csv", "excel")),
    "sheet": Option("the name of a sheet", 'sheet = "2024"', ("excel",)),
}


@dataclass(frozen=True)
class Condition:
    """Rows whose value of a column is one of `values`, or lies from `low` to `high`."""

    column: str
    values: tuple[Mark, ...] | None = None
    low: Mark | None = None
    high: Mark | None = None

    @property
    def dates(self) -> bool:
        """Whether its ends are dates."""
        return isinstance(self.low, str) or isinstance(self.high, str)

    def __str__(self) -> str:
        if self.values is not None:
            return f"{self.column} in [{', '.join(map(mark_text, self.values))}]"
        low, high = ("" if end is None else mark_text(end) for end in (self.low, self.high))
        return f"{self.column} in {low}..{high}"


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes:
        missing: what stands for a missing value, besides an empty cell; None: what usually does.
        where: conditions that rows fulfil, all of them.
        separator: of cells; "": the one that the first row has.
        decimal: the decimal mark.
        sheet: of a workbook; "": the first.
        others: whether the decimal mark is said of another file: that of the spec, and not of this one.
    """

    missing: tuple[Mark, ...] | None = None
    where: tuple[Condition, ...] = ()
    separator: str = ""
    decimal: str = "."
    sheet: str = ""
    others: bool = False

    def of_others(self) -> Reading:
        """For another file than that of the spec: all of its rows, whatever separates its cells."""
        return replace(self, where=(), separator="", sheet="", others=True)

    def decimal_beside(self, separator: str) -> str:
        """The decimal mark in a text whose cells are separated so. Numbers with a decimal comma stand in quotes beside
        commas, which other files than that of the spec do not have: they come from elsewhere."""
        return "." if self.others and separator == "," else self.decimal

    def written(self) -> tuple[str, ...]:
        """The options as a spec writes them."""
        found = [] if self.missing is None else [f"missing = {_listed(list(map(mark_text, self.missing)))}"]
        found += [f"where = {_listed(list(map(str, self.where)))}"] if self.where else []
        found += [f'separator = "{self.separator}"'] if self.separator else []
        found += [f'decimal = "{self.decimal}"'] if self.decimal != "." else []
        return (*found, *([f'sheet = "{self.sheet}"'] if self.sheet else []))


def mark_text(mark: Mark) -> str:
    """As a spec writes it."""
    return f'"{mark}"' if isinstance(mark, str) else number_text(mark)


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


AS_IT_IS = Reading()
