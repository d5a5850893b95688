"""What is done with a spec once it is compiled: fit it, open the run that a fit left, sample, evaluate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl import pipeline
from dgmppl.data.load import load
from dgmppl.data.table import Splits, Table
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.pipeline import Checked
from dgmppl.plan.nodes import Plan
from dgmppl.runtime import GenerativeModel
from dgmppl.source import Source, Span
from dgmppl.train.conditions import read_conditions
from dgmppl.train.contents import (
    Arrays,
    Figures,
    make_record,
    parts,
    write_arrays,
    write_contents,
    write_picture,
)
from dgmppl.train.device import open_device, seeded
from dgmppl.train.engine import Epoch, fit
from dgmppl.train.figures import evaluate_figures
from dgmppl.train.folder import (
    RECORD,
    SPEC,
    WEIGHTS,
    new_folder,
    read_record,
    read_weights,
    verify_free,
    verify_writable,
)

_PICTURED = 64


@dataclass(frozen=True)
class Run:
    """A run folder that was written or opened: where it is, the spec it recompiles to, and its `run.json`."""

    path: Path
    checked: Checked
    record: Mapping[str, Any]


def train_spec(
    checked: Checked,
    out: Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[GenerativeModel, Run]:
    """Fits a checked spec and leaves a run folder.

    Args:
        checked: a spec without errors.
        out: the folder to write, whole or not at all.
        device: "auto", "cpu" or "cuda".
        overwrite: replace `out` if it is a run.
        report: called after each epoch.

    Raises:
        SpecError: when the data does not fit, `out` is taken or cannot be written (both said before the fit), or
            the fit fails.
    """
    graph, plan = parts(checked)
    verify_free(out, overwrite)
    verify_writable(out)
    where = open_device(device).device
    base = checked.path.parent if checked.path else Path()
    splits = load_data(checked, base)
    with located(checked), seeded(plan.settings.seed, where):
        model = pipeline.build(checked).to(where)
        tensors = {name: to_tensors(columns, model, where) for name, columns in splits}
        result = fit(
            model,
            tensors["train"],
            tensors["validation"],
            plan.settings,
            report,
            _term_spans(checked.source, graph, plan),
        )
        figures = {name: evaluate_figures(model, data) for name, data in tensors.items()}
        rows = splits.validation.read(0, min(_PICTURED, len(splits.validation)))
        samples = _draw(model, graph, _PICTURED, rows)
    record = make_record(checked, model, result, figures, base)
    with new_folder(out, overwrite) as folder:
        write_contents(folder, checked, model, result, record, samples)
    return model, Run(out, checked, record)


def load_run(path: Path, device: str = "cpu") -> tuple[GenerativeModel, Run]:
    """Opens a run folder: recompiles its spec and fills in its weights. Nothing in the folder is run.

    Raises:
        SpecError: when it is no run, its spec is wrong, or its weights do not fit the spec.
    """
    path = Path(path)
    record = read_record(path)
    if not (path / SPEC).is_file():
        raise SpecError([Diagnostic("E602", f"{path} is not a run folder: it has no {SPEC}")])
    try:
        checked = pipeline.read(path / SPEC, tuple(record["overrides"]))
    except SpecError as error:
        help_ = f"was {RECORD} edited after the fit?"
        problems = [
            replace(d, code="E603", headline=f"{path / RECORD}: {d.headline}", help=help_) for d in error.diagnostics
        ]
        raise SpecError(problems) from None
    parts(checked)
    where = open_device(device).device
    with located(checked), seeded(0, where):
        model = pipeline.build(checked)
    read_weights(model, path / WEIGHTS)
    return model.to(where).eval(), Run(path, checked, record)


def sample_run(
    path: Path,
    n: int,
    out: Path,
    *,
    seed: int = 0,
    conditions: Sequence[str] = (),
    device: str = "cpu",
) -> None:
    """Draws n samples of a run's model to `out`: a picture (.png) or arrays by variable (.npz).

    Args:
        conditions: `name=value` for each observed variable that the model is conditional on; values of a
            vector are separated by commas.

    Raises:
        SpecError: when the run cannot be opened, or a condition is missing or outside its type.
    """
    write = {".png": write_picture, ".npz": write_arrays}.get(out.suffix.lower())
    if write is None:
        raise SpecError([Diagnostic("E703", f"samples are written to .png or .npz, not to {out.name}")])
    model, run = load_run(path, device)
    graph, _ = parts(run.checked)
    given = read_conditions(conditions, graph)
    with located(run.checked), seeded(seed, model.device):
        samples = _draw(model, graph, n, given)
    try:
        write(samples, graph, out)
    except OSError as error:
        raise SpecError([Diagnostic("E607", f"cannot write {out}: {error.strerror}")]) from None


def evaluate_run(path: Path, *, samples: int = 1, seed: int = 0, device: str = "cpu") -> Figures:
    """The figures of a run's model on each split of its data, as mean and standard error.

    Raises:
        SpecError: when the run cannot be opened, or its data is not there.
    """
    model, run = load_run(path, device)
    splits = load_data(run.checked, Path(run.record.get("data_folder", path)))
    with located(run.checked):
        return {
            name: evaluate_figures(model, to_tensors(columns, model, model.device), samples, seed)
            for name, columns in splits
        }


def load_data(checked: Checked, base: Path) -> Splits:
    """The data of a spec's observed variables; relative file paths start from `base`."""
    graph, _ = parts(checked)
    problems = [
        Diagnostic("E509", f"`{v.name}` is observed, but not said where from", v.span, help="add `from set.field`")
        for v in graph.observed
        if v.data is None
    ]
    if problems:
        raise SpecError(problems, checked.source)
    try:
        return load({v.name: v.data for v in graph.observed if v.data}, {v.name: v.type for v in graph.observed}, base)
    except SpecError as error:
        raise SpecError(error.diagnostics, checked.source) from None


def to_tensors(table: Table, model: GenerativeModel, device: torch.device) -> list[Tensor]:
    """A split's rows as the tensors `model.data`, on the device."""
    columns = table.read(0, len(table))
    return [torch.from_numpy(columns[name]).to(device) for name in model.data]


@contextmanager
def located(checked: Checked) -> Iterator[None]:
    """Turns an exception out of emitted code into a diagnostic at the line of the spec it comes from."""
    try:
        yield
    except SpecError as error:
        raise SpecError(error.diagnostics, error.source or checked.source) from None
    except Exception as error:
        found = pipeline.locate(error, checked)
        if found is None or os.environ.get("DGMPPL_DEBUG"):
            raise
        raise SpecError([found], checked.source) from error


def _term_spans(source: Source, graph: Graph, plan: Plan) -> dict[str, Span]:
    """Where the objective's terms come from: a factor's place, else the line that is the term's reason."""
    factors = {factor.key: factor.span for factor in graph.factors}
    spans: dict[str, Span] = {}
    for term in plan.terms:
        span = factors.get(getattr(term, "factor", getattr(term, "p", "")))
        if span is None and term.because.line is not None:
            span = _line_span(source, term.because.line)
        if span is not None:
            spans[term.label] = span
    return spans


def _line_span(source: Source, number: int) -> Span:
    lines = source.text.split("\n")
    start = sum(len(line) + 1 for line in lines[: number - 1])
    text = source.line(number)
    return Span(start + len(text) - len(text.lstrip()), start + len(text.rstrip()))


def _draw(model: GenerativeModel, graph: Graph, n: int, rows: Mapping[str, NDArray[np.float32]]) -> Arrays:
    """n samples as arrays by variable, given values of the conditions in `rows`, repeated to n."""
    given = {
        graph[name].ident: torch.from_numpy(np.resize(rows[name], (n, *rows[name].shape[1:]))).to(model.device)
        for name in graph.conditions
    }
    with torch.no_grad():
        drawn = model.sample(n, **given)
    if isinstance(drawn, Tensor):
        drawn = {next(v.name for v in graph.observed if v.name not in graph.conditions): drawn}
    return {name: values.detach().cpu().numpy() for name, values in drawn.items()}
