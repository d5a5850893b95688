"""The forms of data: what values that a model has as plain numbers are in the data, and what they become in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.dates import date_texts, offset_of_all, times_of

if TYPE_CHECKING:
    import pyarrow as pa

WORDS = ("false", "true")
"""What truth values are called where the data have no words for them, as tables of text have them."""

Kind = Literal["", "truth", "whole", "single", "classes", "date", "time", "date text", "time text"]
DATES = ("date", "time", "date text", "time text")
"""The kinds of values that the model has as days."""
_SINGLE = np.finfo(np.float32)


@dataclass(frozen=True)
class Form:
    """What the values of a variable are in the data.

    Attributes:
        kind: truth values; whole numbers; numbers in single precision; "classes", texts of a categorical column; dates
            or times, as such or as texts (ISO 8601); or "" for numbers and texts of which nothing is known.
        words: of truth values in a table of text, what stands for false and for true; of a categorical column its
            categories, in their order.
        ordered: whether the order of these means something.
        zone: the time zone of times; of texts of times the offset that all have.
    """

    kind: Kind = ""
    words: tuple[str, ...] = ()
    ordered: bool = False
    zone: str = ""

    def told(self, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers as the data have them, days as dates; what is no number stays. Where some are missing, truth values
        are objects, None for these, and whole numbers stay as they are. Times are in UTC, to the microsecond."""
        if values.dtype == object:
            there = self.kind == "truth" and all(value is not None for value in values.ravel())
            return values.astype(np.bool_) if there else values
        if values.dtype.kind not in "biuf" or self.kind in ("", "classes"):
            return values
        if self.kind in DATES:
            return self._dated(values.astype(np.float64))
        if self.kind == "single":
            inside = np.clip(values, -_SINGLE.max, _SINGLE.max)
            return np.where(np.isfinite(values), inside, values).astype(np.float32)
        known: NDArray[np.bool_] = np.isfinite(values)
        if self.kind == "truth":
            found = values != 0
            return found if known.all() else np.asarray(np.where(known, found.astype(object), None))
        return values.round().astype(np.int64) if known.all() else values

    def _dated(self, days: NDArray[np.float64]) -> NDArray[Any]:
        if self.kind in ("date", "date text"):
            days = np.round(days)
        if self.kind in ("date text", "time text"):
            return date_texts(days, self.kind == "date text", self.zone)
        times = times_of(days)
        return times.astype("datetime64[D]") if self.kind == "date" else times

    @property
    def names(self) -> tuple[str, ...]:
        """The words of 0 and 1, where these are truth values."""
        return (self.words or WORDS) if self.kind == "truth" else ()

    def arrow_type(self, values: NDArray[Any]) -> pa.DataType:
        """The type of a column in a file, the first of whose values are these: others may be missing."""
        import pyarrow as pa

        fixed = {"truth": pa.bool_(), "whole": pa.int64(), "single": pa.float32(), "date": pa.date32()}
        if self.kind in fixed:
            return fixed[self.kind]
        if self.kind == "classes":
            return pa.dictionary(pa.int32(), pa.string(), self.ordered)
        if self.kind == "time":
            return pa.timestamp("us", self.zone or None)
        return pa.string() if values.dtype == object else pa.from_numpy_dtype(values.dtype)

    def arrow(self, values: NDArray[Any], type_: pa.DataType) -> pa.Array:
        """Values that `told` gave as a column of this type; NaN is missing."""
        import pyarrow as pa

        if self.kind != "classes" or not pa.types.is_dictionary(type_):
            return pa.array(values, type_, from_pandas=True)
        texts = [v if isinstance(v, str) else None for v in values]
        places = {word: k for k, word in enumerate(dict.fromkeys([*self.words, *(t for t in texts if t is not None)]))}
        codes = pa.array([None if text is None else places[text] for text in texts], type_.index_type)
        return pa.DictionaryArray.from_arrays(codes, pa.array([*places], type_.value_type), ordered=type_.ordered)

    def column(self, values: NDArray[Any]) -> Any:
        """Values that `told` gave as pandas has them: categories, dates as objects, times in their zone."""
        import pandas as pd

        if self.kind == "classes" and set(self.words) >= {v for v in values if isinstance(v, str)}:
            return pd.Categorical(values, list(self.words), self.ordered)
        if self.kind == "date" and values.dtype.kind == "M":
            return values.astype(object)
        if self.kind == "time" and self.zone and values.dtype.kind == "M":
            return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(self.zone)
        return values

    def as_data(self) -> dict[str, Any]:
        """The form as JSON has it."""
        found: dict[str, Any] = {"kind": self.kind}
        found |= {"words": list(self.words)} if self.words else {}
        found |= {"ordered": True} if self.ordered else {}
        return found | ({"zone": self.zone} if self.zone else {})


NUMBERS = Form()


def read_form(data: Any) -> Form:
    """The form of which `as_data` gave this; None gives that of plain numbers.

    Raises:
        ValueError: when it is something else.
    """
    if data is None:
        return NUMBERS
    if not isinstance(data, Mapping) or data.get("kind") not in get_args(Kind)[1:]:
        raise ValueError("its form is none")
    kind, words, zone = data["kind"], data.get("words", []), data.get("zone", "")
    if not isinstance(words, list) or not all(isinstance(w, str) for w in words) or not isinstance(zone, str):
        raise ValueError("its form is none")
    if words and kind != "classes" and (len(words) != 2 or kind != "truth"):
        raise ValueError("truth values have two words")
    if zone and not kind.startswith("time"):
        raise ValueError("times alone have a zone")
    return Form(kind, tuple(words), data.get("ordered") is True, zone)


def form_of_dtype(dtype: np.dtype[Any]) -> Form:
    """The form of an array."""
    if dtype.kind == "M":
        return Form("date" if np.datetime_data(dtype)[0] == "D" else "time")
    if dtype == np.float32:
        return Form("single")
    return Form("truth") if dtype.kind == "b" else Form("whole") if dtype.kind in "iu" else NUMBERS


def form_of_columns(columns: Sequence[pa.ChunkedArray]) -> Form:
    """The form of columns that make a vector together; what is missing as a whole has any."""
    import pyarrow as pa

    kinds, known = pa.types, [column for column in columns if not pa.types.is_null(column.type)]
    if not known or not all(kinds.is_dictionary(c.type) and _is_text(c.type.value_type) for c in known):
        return form_of_types(column.type for column in columns)
    words = [tuple(_words(column)) for column in known]
    ordered = len(set(words)) == 1 and all(column.type.ordered for column in known)
    return Form("classes", tuple(dict.fromkeys(word for some in words for word in some)), ordered)


def form_of_parts(forms: Iterable[Form]) -> Form:
    """The form of columns of which these are those of their parts, one after another."""
    known = [form for form in dict.fromkeys(forms) if form.kind]
    kinds = {form.kind for form in known}
    if len(known) <= 1:
        return known[0] if known else NUMBERS
    if kinds == {"classes"}:
        return Form("classes", tuple(dict.fromkeys(word for form in known for word in form.words)))
    if kinds <= {"date text", "time text"}:
        return Form("time text", zone=offset_of_all({form.zone for form in known}))
    return NUMBERS


def _words(column: pa.ChunkedArray) -> dict[str, None]:
    return dict.fromkeys(w for chunk in column.chunks for w in chunk.dictionary.to_pylist() if w is not None)


def form_of_types(types: Iterable[pa.DataType]) -> Form:
    """The form of columns that make a vector together, of these types; what is missing as a whole has any."""
    import pyarrow as pa

    kinds, inner = pa.types, [_innermost(type_) for type_ in types]
    known = [type_ for type_ in inner if not kinds.is_null(type_)]
    if known and all(kinds.is_timestamp(type_) for type_ in known):
        zones = {type_.tz or "" for type_ in known}
        return Form("time", zone=zones.pop() if len(zones) == 1 else "UTC")
    tests: dict[Kind, Any] = {
        "truth": kinds.is_boolean,
        "whole": kinds.is_integer,
        "single": kinds.is_float32,
        "date": kinds.is_date,
    }
    found = (kind for kind, test in tests.items() if known and all(test(type_) for type_ in known))
    return Form(next(found, ""))


def _innermost(type_: pa.DataType) -> pa.DataType:
    """The type of what lists and categories hold."""
    import pyarrow as pa

    if hasattr(type_, "storage_type"):
        return _innermost(type_.storage_type)
    if pa.types.is_dictionary(type_):
        return _innermost(type_.value_type)
    return _innermost(type_.value_type) if hasattr(type_, "value_field") else type_


def _is_text(type_: pa.DataType) -> bool:
    return str(type_) in ("string", "large_string", "string_view")


__all__ = [
    "DATES",
    "NUMBERS",
    "WORDS",
    "Form",
    "form_of_columns",
    "form_of_dtype",
    "form_of_parts",
    "form_of_types",
    "read_form",
]
