"""A run's own data as DataFrames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.fields import Field
from dgmppl.data.table import SPLITS, Splits, Table
from dgmppl.train.runs import Run, run_data

if TYPE_CHECKING:
    import pandas as pd


class Frames(Mapping[str, "pd.DataFrame"]):
    """The splits of a run's data by name, "train", "validation" and "test", in the units of the data.

    Classes are the texts that the data have for them, and what is missing is missing. A variable behind a transform
    that has no inverse, such as `threshold`, is as the model has it.
    """

    def __init__(self, run: Run, fields: Mapping[str, Field], folder: Path | None = None) -> None:
        self._run, self._fields, self._folder = run, fields, folder

    @cached_property
    def _splits(self) -> Splits:
        return run_data(self._run, self._folder)

    def __getitem__(self, split: str) -> pd.DataFrame:
        if split not in SPLITS:
            raise KeyError(split)
        return _frame(getattr(self._splits, split), self._fields)

    def __iter__(self) -> Iterator[str]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)

    def __repr__(self) -> str:
        return "data of " + ", ".join(f"{name}: {table.rows} rows" for name, table in self._splits)


def _frame(table: Table, fields: Mapping[str, Field]) -> pd.DataFrame:
    import pandas as pd

    read = table.read(0, table.rows)
    columns: dict[str, NDArray[Any]] = {}
    for name, field in fields.items():
        values = np.asarray(field.invert(read[name]))
        flat = values.reshape(len(values), -1)
        columns |= {label: flat[:, k] for k, label in enumerate(field.labels)}
    return pd.DataFrame(columns)


__all__ = ["Frames"]
