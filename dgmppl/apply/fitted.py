"""A run that was fitted, with its model and its data: what it can say of rows, its own or others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dgmppl.apply import commands
from dgmppl.apply.answers import Answers, Chunk
from dgmppl.apply.given import NOTHING_MISSING, Given, given_data, given_split
from dgmppl.data.checks import Missing
from dgmppl.data.fields import Field
from dgmppl.data.forms import Form
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.diagnostics.render import render
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan
from dgmppl.runtime import GenerativeModel
from dgmppl.train.contents import parts
from dgmppl.train.device import seeded
from dgmppl.train.runs import Run, fields_of, load_run, located

if TYPE_CHECKING:
    import pandas as pd

    from dgmppl.apply.completion import Completion


class FittedRun:
    """A run folder, opened.

    Its methods take rows in the units of the data: the path of a file, a DataFrame, arrays by variable or column; or
    a split of the run's own data. They give `Answers` in the units of the data.

    Attributes:
        model: the compiled model with the run's weights; its tensors are in the model's units.
        run: the folder, its spec and its record.
        fields: what the run keeps of the data of each variable, in the order of `model.data`.
        data_folder: where the data of the fit is now, if it was moved apart from the run.
        kept: what lasts as long as this does, the folder of a run that is to have none.
    """

    def __init__(self, model: GenerativeModel, run: Run, data_folder: Path | None = None, kept: object = None) -> None:
        self.model, self.run, self.data_folder, self.kept = model, run, data_folder, kept
        self.fields: dict[str, Field] = fields_of(run)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.run.path

    @property
    def graph(self) -> Graph:
        """The typed graph of the spec."""
        return parts(self.run.checked)[0]

    @property
    def plan(self) -> Plan:
        """The objective with its reasons."""
        return parts(self.run.checked)[1]

    @property
    def figures(self) -> Mapping[str, Any]:
        """The figures at the end of the fit by split and name."""
        found = self.run.record.get("figures")
        return found if isinstance(found, dict) else {}

    def rows(
        self,
        data: Any = None,
        split: str | None = None,
        *,
        optional: tuple[str, ...] = (),
        missing: Mapping[str, Missing] = NOTHING_MISSING,
    ) -> Given:
        """The rows that a command is over: `data`, or a split of the run's own, the test rows where neither is named.

        Raises:
            SpecError: when both are given, or the rows are not as the run's types have them.
        """
        if data is not None and split is not None:
            raise SpecError([Diagnostic("E713", "rows are those of a file or of a split, and both are given")])
        device = self.model.device
        if data is None:
            return given_split(self.run, self.fields, split or "test", device, self.data_folder)
        return given_data(self.run, self.fields, data, device, optional=optional, missing=missing)

    def answers(
        self,
        given: Given,
        of: Callable[[dict[str, torch.Tensor]], Chunk],
        columns: Mapping[str, tuple[str, ...]],
        seed: int = 0,
        notes: tuple[str, ...] = (),
        forms: Mapping[str, Form] | None = None,
    ) -> Answers:
        """Answers that a function gives of the tensors of a chunk, without gradients and in eval mode."""

        def give() -> Iterator[Chunk]:
            with self.computing(seed):
                for chunk in given.chunks():
                    yield of(chunk)

        return Answers(given.rows, give, columns, given.index, notes, forms=forms or {})

    @cached_property
    def inferred(self) -> tuple[str, ...]:
        """The latents that each row has of its own and that follow from it, in the order in which they become known."""
        from dgmppl.emit.inference import inferred_of

        found = inferred_of(self.graph, self.plan)
        return tuple(n for n in found if self.graph[n].role == "latent" and not self.graph[n].shared)

    @cached_property
    def completion(self) -> Completion:
        """Draws, or means, of what is not known of rows; see `dgmppl.apply.completion`."""
        from dgmppl.apply.completion import Completion

        return Completion(self.run.checked, self.model)

    @contextmanager
    def computing(self, seed: int) -> Iterator[None]:
        """Eval mode, no gradients, a seed of its own, and mistakes of emitted code told at the line of the spec."""
        training = self.model.training
        self.model.eval()
        try:
            with located(self.run.checked), torch.no_grad(), seeded(seed, self.model.device), self.model.unchecked():
                yield
        finally:
            self.model.train(training)

    # The commands: what they take and give stands where they are.
    encode = commands.encode
    score = commands.score
    predict = commands.predict
    impute = commands.impute
    sample = commands.sample
    reconstruct = commands.reconstruct
    interpolate = commands.interpolate
    traverse = commands.traverse
    compress = commands.compress
    decompress = commands.decompress

    def evaluate(
        self,
        *data: Any,
        splits: Sequence[str] = (),
        samples: int = 1,
        importance: int | None = None,
        measures: bool | None = None,
        seed: int = 0,
        units: str = "data",
    ) -> pd.DataFrame:
        """The figures of the run's weights on other rows, or on splits of its own: one for each set and name.

        With several sets, each but the first is told from the first (AUROC).

        Args:
            data: rows as the other methods take them; where there are none, the splits.
            splits, samples, importance, measures, seed, units: see `dgmppl.report.evaluate.evaluate`.

        Raises:
            SpecError: as that does.
        """
        import pandas as pd

        from dgmppl.report.evaluate import evaluate

        found = evaluate(
            self.path,
            samples=samples,
            seed=seed,
            device=str(self.model.device),
            splits=splits,
            importance=importance,
            measures=measures,
            warn=lambda diagnostic: warnings.warn(render([diagnostic], None), stacklevel=2),
            data_folder=self.data_folder,
            allow_python=self.run.checked.python.allowed,
            data=data,
            units=units,
        )
        lines = [
            {"set": name, "figure": figure, **one.as_data()} for name, of in found.items() for figure, one in of.items()
        ]
        kept = ["mean", "standard_error", "unit", "rows", "better", "how"]
        return pd.DataFrame(lines, columns=["set", "figure", *kept]).set_index(["set", "figure"])

    @cached_property
    def data(self) -> Mapping[str, pd.DataFrame]:
        """The run's own data by split, in their own units, a column for each element; read when asked for."""
        from dgmppl.apply.frames import Frames

        return Frames(self.run, self.fields, self.data_folder)

    @property
    def metrics(self) -> pd.DataFrame:
        """The course of the fit: a row an epoch."""
        import json

        import pandas as pd

        from dgmppl.train.folder import METRICS

        lines = (self.path / METRICS).read_text(encoding="utf-8").splitlines()
        return pd.json_normalize([json.loads(line) for line in lines])

    def __repr__(self) -> str:
        return f"<{self.graph.name}, a run in {self.path}: {self.run.record['state']}>"

    def _repr_html_(self) -> str:
        from dgmppl.notebook import run_html

        return run_html(self)


def open_run(path: Path, device: str = "cpu", allow_python: bool = False, data_folder: Path | None = None) -> FittedRun:
    """A run folder with its model and its data; see `dgmppl.train.runs.load_run`."""
    model, run = load_run(path, device, allow_python)
    return FittedRun(model, run, data_folder)
