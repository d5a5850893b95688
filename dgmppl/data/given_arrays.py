"""DataFrames, arrays and tensors that Python passes, as pyarrow and numpy have them, and messages about them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "the table"
"""What messages call a DataFrame, or another table in memory."""

_ROW = re.compile(r"\brow (\d+)\b(?! \(index)")


def is_frame(data: Any) -> bool:
    """Whether something is a DataFrame of pandas."""
    return hasattr(data, "iloc") and hasattr(data, "columns")


def table_of_frame(frame: Any) -> pa.Table:
    """A DataFrame of pandas as a table, whose columns have texts as names.

    Raises:
        SpecError: (E516) for a column of values of different kinds, with the row of the first odd one.
    """
    import pyarrow as pa

    named = frame.set_axis([str(name) for name in frame.columns], axis=1)
    try:
        return pa.Table.from_pandas(named, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        odd = next(filter(None, (_odd_cell(name, named[name]) for name in dict.fromkeys(named.columns))), "")
        headline = with_labels(odd, frame.index) if odd else f"{TABLE} holds what no column can: {error}"
        raise SpecError([Diagnostic("E516", headline, help="all values of a column are of one kind")]) from None


def _odd_cell(name: str, column: Any) -> str:
    """The first cell of a column that is not of the kind of most, in words; "" where there is none."""
    if getattr(column, "ndim", 1) == 1 and column.dtype.kind == "c":
        return f"column `{name}` of {TABLE} holds complex numbers"
    if getattr(column, "ndim", 1) != 1 or column.dtype != object:
        return ""
    kinds = [type(value).__name__ for value in column]
    there = [kind for kind, missing in zip(kinds, column.isna()) if not missing]
    usual = Counter(there).most_common(1)[0][0] if there else ""
    odd = next((k for k, kind in enumerate(kinds) if kind != usual and kind in there), None)
    if odd is None:
        return ""
    return f"row {odd}, column `{name}` of {TABLE} is {column.iloc[odd]!r}, a {kinds[odd]}, and others are {usual}"


def with_labels(text: str, index: Any) -> str:
    """A message in which each row also has its label, where the index of a DataFrame does not just count rows."""
    if index is None or (index.dtype.kind in "iu" and np.array_equal(index.to_numpy(), np.arange(len(index)))):
        return text

    def labelled(found: re.Match[str]) -> str:
        row = int(found[1])
        return f"{found[0]} (index `{index[row]}`)" if row < len(index) else found[0]

    return _ROW.sub(labelled, text)


def array_of(values: Any) -> NDArray[Any]:
    """An array, a tensor or a list as an array; numbers of a precision that numpy does not have in single precision."""
    if not hasattr(values, "detach"):
        return np.asarray(values)
    tensor = values.detach().cpu()
    found: NDArray[Any] = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return found


def verify_array(data: Any) -> None:
    """Refuses what is no array of rows (E504): a file, or a loader, whose rows have to be taken out of it."""
    if hasattr(data, "detach") or hasattr(data, "__array__") or isinstance(data, list | tuple):
        return
    if isinstance(data, str):
        help_ = 'a file is named in the spec, from "mine.csv"; else give a DataFrame, an array, or a dict of arrays'
    elif hasattr(data, "__getitem__") or hasattr(data, "__iter__"):
        help_ = "give what it holds, {name: array or tensor} of all rows, or a DataFrame"
    else:
        help_ = "give a DataFrame, an array, or a dict of arrays"
    raise SpecError([Diagnostic("E504", f"data cannot be given as {type(data).__name__}", help=help_)])


__all__ = ["TABLE", "array_of", "is_frame", "table_of_frame", "verify_array", "with_labels"]
