"""A run's own data as DataFrames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dgmppl.apply.answers import frame_of
from dgmppl.apply.given import Given
from dgmppl.data.fields import Field
from dgmppl.data.forms import Form
from dgmppl.data.table import SPLITS, Splits, Table
from dgmppl.train.contents import parts
from dgmppl.train.runs import Run, run_data
from dgmppl.train.units import DataUnits
from dgmppl.words import counted

if TYPE_CHECKING:
    import pandas as pd


class Frames(Mapping[str, "pd.DataFrame"]):
    """The splits of a run's data by name, "train", "validation" and "test", in the units of the data.

    Classes are the texts that the data have for them, truth values and whole numbers are what they are there. What is
    missing is missing, and so is what lies beyond the end of a sequence. A variable behind a transform that has no
    inverse, such as `threshold`, is as the model has it.
    """

    def __init__(self, run: Run, fields: Mapping[str, Field], folder: Path | None = None) -> None:
        self._run, self._fields, self._folder = run, fields, folder

    @cached_property
    def _splits(self) -> Splits:
        return run_data(self._run, self._folder, originals=True)

    def __getitem__(self, split: str) -> pd.DataFrame:
        if split not in SPLITS:
            raise KeyError(split)
        table: Table = getattr(self._splits, split)
        units = DataUnits(parts(self._run.checked)[0], self._fields)
        given = Given(table, self._fields, (*self._fields,), torch.device("cpu"), None, self._splits.originals[split])
        read = units.every(table.read(0, table.rows))
        as_given = {name: given.as_given(name, 0, table.rows) for name in self._fields}
        return _frame({name: read[name] if v is None else v for name, v in as_given.items()}, units)

    def __iter__(self) -> Iterator[str]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)

    def __repr__(self) -> str:
        return "data of " + ", ".join(f"{name}: {counted(table.rows, 'row')}" for name, table in self._splits)


def _frame(found: Mapping[str, NDArray[Any]], units: DataUnits) -> pd.DataFrame:
    columns: dict[str, NDArray[Any]] = {}
    forms: dict[str, Form] = {}
    for name, values in found.items():
        flat, form = np.asarray(values).reshape(len(values), -1), units.fields[name].form
        columns |= {label: form.told(flat[:, k]) for k, label in enumerate(units.labels(name))}
        forms |= dict.fromkeys(units.labels(name), form)
    return frame_of(columns, forms)


__all__ = ["Frames"]
