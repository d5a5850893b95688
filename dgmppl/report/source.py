"""What a page is made from: a run's record and epochs, its plan, its model and its data where they are there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.catalogue.formats import FORMATS, format_of
from dgmppl.data.catalogue import DATASETS
from dgmppl.data.load import load
from dgmppl.data.table import Splits, Table
from dgmppl.data.wanted import Wanted
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import DataSource, Graph
from dgmppl.pipeline import Checked
from dgmppl.plan.nodes import Plan
from dgmppl.report.history import METRICS, History, read_lines
from dgmppl.report.style import COLOURS
from dgmppl.runtime import GenerativeModel
from dgmppl.supports import Categorical, Type
from dgmppl.train.contents import parts
from dgmppl.train.runs import Run, fields_of
from dgmppl.train.units import DataUnits, ModelUnits

Array = NDArray[np.float32]

LABEL = "label"
"""The field of a data set that says what kind of thing each row is."""

_MOST_CLASSES = COLOURS


@dataclass(frozen=True)
class Report:
    """A run, as its page sees it."""

    history: History
    checked: Checked
    model: GenerativeModel | None
    splits: Splits | None
    run: Run | None = None

    @staticmethod
    def of(folder: Path, model: GenerativeModel | None, run: Run, splits: Splits | None) -> Report:
        history = History(folder, run.record, read_lines(folder / METRICS))
        return Report(history, run.checked, model, splits, run)

    @cached_property
    def graph(self) -> Graph:
        return parts(self.checked)[0]

    @cached_property
    def plan(self) -> Plan:
        return parts(self.checked)[1]

    @cached_property
    def units(self) -> DataUnits:
        """Those of the data, in which the page tells values; those of the model where a run has kept none."""
        if self.splits is not None:
            return DataUnits(self.graph, self.splits.fields)
        try:
            return DataUnits(self.graph, fields_of(self.run) if self.run is not None else {})
        except SpecError:
            return ModelUnits(self.graph)

    def class_text(self, name: str, value: float) -> str:
        """A class as text, where the data has texts for it."""
        return self.units.shown(name).text(value) if name in self.units.fields else f"{value:g}"

    def rows(self, most: int) -> dict[str, Array]:
        """The first rows of the test split by variable; none without data."""
        return {} if self.splits is None else self.splits.test.read(0, min(most, self.splits.test.rows))

    def whole(self, most: int) -> NDArray[np.bool_]:
        """Which of them have a value of every variable, or some elements of it where they are missing one by one: what
        was not seen is NaN."""
        finite = [
            (np.any if self.graph[name].elementwise else np.all)(np.isfinite(values).reshape(len(values), -1), axis=1)
            for name, values in self.rows(most).items()
        ]
        return np.logical_and.reduce(finite) if finite else np.empty(0, dtype=bool)

    def tensors(self, most: int) -> dict[str, Tensor]:
        """Those on the model's device."""
        device = None if self.model is None else self.model.device
        whole = self.whole(most)
        return {name: torch.from_numpy(values[whole]).to(device) for name, values in self.rows(most).items()}

    def labels(self, most: int) -> tuple[str, Array] | None:
        """What the classes of the same rows are called, and which each row has, as numbers.

        An observed variable of few values says it, or the field `label` of a data set that a variable is read from.
        """
        if self.splits is None:
            return None
        for v in self.graph.data:
            if v.type.shape == () and v.type.support.finite and (v.type.support.size or 0) <= _MOST_CLASSES:
                return v.name, self.rows(most)[v.name][self.whole(most)]
        if self.splits.rule.get("streamed"):
            # Streamed rows are shuffled by blocks, a label that is loaded by itself row by row: they would not match.
            return None
        for v in self.graph.data:
            table = None if v.data is None else self._label_table(v.data)
            if table is not None and table.rows == self.splits.test.rows:
                values = table.read(0, min(most, table.rows))[LABEL][self.whole(most)]
                classes = np.unique(values)
                if 1 < len(classes) <= _MOST_CLASSES and np.isfinite(classes).all():
                    return LABEL, values
        return None

    def _label_table(self, source: DataSource) -> Table | None:
        """The test rows of the field `label` beside the one that a variable is read from, split in the same way."""
        declared = Type(Categorical(_MOST_CLASSES))
        if not source.is_file:
            known = DATASETS[source.dataset].fields.get(LABEL)
            if known is None or known.type.shape != ():
                return None
            declared = known.type
        elif source.field == LABEL or not FORMATS[format_of(source.dataset)].named:
            return None
        label = DataSource(source.dataset, LABEL, source.is_file)
        folder = self.splits.folder if self.splits is not None else self.history.path
        try:
            return load({LABEL: Wanted(label, declared)}, folder, split=self.plan.settings.split).test
        except SpecError:
            return None
