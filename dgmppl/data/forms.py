"""How data write values that a model has as plain numbers: as truth values, or as whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

WORDS = ("false", "true")
"""What truth values are called where the data have no words for them, as tables of text have them."""


@dataclass(frozen=True)
class Form:
    """What the values of a variable are in the data.

    Attributes:
        kind: truth values, whole numbers, or "" for numbers of which neither is known.
        words: of a table of text, what stands for false and for true.
    """

    kind: Literal["", "truth", "whole"] = ""
    words: tuple[str, ...] = ()

    def told(self, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers as the data have them. Where some are missing, truth values are objects, None for these, and whole
        numbers stay as they are."""
        if values.dtype == object:
            there = self.kind == "truth" and all(value is not None for value in values.ravel())
            return values.astype(np.bool_) if there else values
        if not self.kind:
            return values
        known: NDArray[np.bool_] = np.isfinite(values)
        if self.kind == "truth":
            found = values != 0
            return found if known.all() else np.asarray(np.where(known, found.astype(object), None))
        return values.round().astype(np.int64) if known.all() else values

    @property
    def names(self) -> tuple[str, ...]:
        """The words of 0 and 1, where these are truth values."""
        return (self.words or WORDS) if self.kind == "truth" else ()

    def as_data(self) -> dict[str, Any]:
        """The form as JSON has it."""
        return {"kind": self.kind, **({"words": list(self.words)} if self.words else {})}


NUMBERS = Form()


def read_form(data: Any) -> Form:
    """The form of which `as_data` gave this; None gives that of plain numbers.

    Raises:
        ValueError: when it is something else.
    """
    if data is None:
        return NUMBERS
    kind, words = (data.get("kind"), data.get("words", [])) if isinstance(data, Mapping) else (None, [])
    if kind not in ("truth", "whole") or not isinstance(words, list) or not all(isinstance(w, str) for w in words):
        raise ValueError("its form is none")
    if words and (len(words) != 2 or kind != "truth"):
        raise ValueError("truth values have two words")
    return Form("truth" if kind == "truth" else "whole", tuple(words))


def form_of_dtype(dtype: np.dtype[Any]) -> Form:
    """The form of an array."""
    return Form("truth") if dtype.kind == "b" else Form("whole") if dtype.kind in "iu" else NUMBERS


def form_of_types(types: Iterable[pa.DataType]) -> Form:
    """The form of columns that make a vector together, of these types; what is missing as a whole has any."""
    import pyarrow as pa

    inner = [_innermost(type_) for type_ in types]
    known = [type_ for type_ in inner if not pa.types.is_null(type_)]
    if known and all(pa.types.is_boolean(type_) for type_ in known):
        return Form("truth")
    return Form("whole") if known and all(pa.types.is_integer(type_) for type_ in known) else NUMBERS


def _innermost(type_: pa.DataType) -> pa.DataType:
    """The type of what lists hold."""
    if hasattr(type_, "storage_type"):
        return _innermost(type_.storage_type)
    return _innermost(type_.value_type) if hasattr(type_, "value_field") else type_


__all__ = ["NUMBERS", "WORDS", "Form", "form_of_dtype", "form_of_types", "read_form"]
