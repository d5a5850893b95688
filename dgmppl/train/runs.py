"""Runs opened: the spec, the weights and the data of one, and samples. How one is made: `dgmppl.lifecycle`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl import pipeline
from dgmppl.data.fields import Field, read_field
from dgmppl.data.load import load_data
from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.forecasts import forecaster
from dgmppl.graph.nodes import Graph
from dgmppl.imports import found_in
from dgmppl.pipeline import Checked
from dgmppl.plan.nodes import Plan
from dgmppl.plan.ways import ways_of
from dgmppl.runtime import GenerativeModel
from dgmppl.train.checkpoint import CHECKPOINT, damaged, read_checkpoint
from dgmppl.train.contents import Arrays, digest, parts
from dgmppl.train.device import open_device, seeded
from dgmppl.train.ends import with_ends
from dgmppl.train.folder import RECORD, SPEC, WEIGHTS, fill_weights, read_record, read_weights
from dgmppl.train.forecasts import Continuation, as_arrays
from dgmppl.train.pasts import index_of, read_past


@dataclass(frozen=True)
class Run:
    """A run folder that was written or opened: where it is, the spec it recompiles to, and its `run.json`.

    `signal` is the number of the signal that interrupted a fit, 0 for none.
    """

    path: Path
    checked: Checked
    record: Mapping[str, Any]
    signal: int = 0


def load_run(path: Path, device: str = "cpu", allow_python: bool = False) -> tuple[GenerativeModel, Run]:
    """Opens a run folder: recompiles its spec and fills in its weights. Nothing in the folder is run.

    Args:
        allow_python: import the classes that the spec names, if it names any: code that is not in the folder.

    Raises:
        SpecError: when it is no run, its spec is wrong, or its weights do not fit the spec.
    """
    path = Path(path)
    record = read_record(path)
    checked = open_spec(path, record, record["overrides"], allow_python)
    if record.get("spec_digest") not in (None, digest(checked.source.text)):
        help_ = "put it back as it was: the weights are those of another spec"
        raise SpecError(
            [Diagnostic("E624", f"{path} is not the run that was made: {path / SPEC} was edited since", help=help_)]
        )
    parts(checked)
    where = open_device(device).device
    with located(checked), seeded(0, where):
        model = pipeline.build(checked)
    weights = (path / WEIGHTS).exists()
    # A fit that was killed, or still runs, has its latest weights in the checkpoint; what else is there is older.
    state, wrong = read_checkpoint(path) if record["state"] == "running" or not weights else (None, [])
    if state is not None:
        fill_weights(model, state["fit"]["best_weights"] or state["fit"]["weights"], path / CHECKPOINT)
    elif weights:
        read_weights(model, path / WEIGHTS)
    else:
        raise damaged(path, wrong) if wrong else _no_weights(path, record)
    return model.to(where).eval(), Run(path, checked, record)


def open_spec(path: Path, record: Mapping[str, Any], overrides: Sequence[str], allow_python: bool = False) -> Checked:
    """The spec of a run with these overrides."""
    if not (path / SPEC).is_file():
        raise SpecError([Diagnostic("E602", f"{path} is not a run folder: it has no {SPEC}")])
    try:
        return pipeline.read(path / SPEC, tuple(overrides), allow_python, python_folder(path, record), files=False)
    except SpecError as error:
        if error.diagnostics[0].code == "E701":
            headline = f"{path} is not a run folder: {error.diagnostics[0].headline}"
            raise SpecError([Diagnostic("E602", headline, help="take it back from a copy, or train anew")]) from None
        help_ = f"was {RECORD} edited after the fit?"
        problems = [
            replace(d, code="E603", headline=f"{path / RECORD}: {d.headline}", help=help_) for d in error.diagnostics
        ]
        raise SpecError(problems) from None


def python_folder(path: Path, record: Mapping[str, Any]) -> Path:
    """The folder that the classes of a run's spec are imported from before the installed packages: as it lies as seen
    from the run, or where it was, or the present one. What does not fit in a record that was edited counts as
    missing."""
    found = record.get("python")
    kept = found if isinstance(found, dict) else {}
    paths = [p for p in kept["classes"] if isinstance(p, str)] if isinstance(kept.get("classes"), list) else []
    relative, whole = kept.get("folder_relative"), kept.get("folder")
    places = [path / relative] if isinstance(relative, str) else []
    places += [Path(whole)] if isinstance(whole, str) else []
    there = (place for place in places if _is_place(place) and found_in(paths, place))
    return next(there, Path())


def _is_place(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _no_weights(path: Path, record: Mapping[str, Any]) -> SpecError:
    if record["state"] == "finished":
        headline = f"{path} is finished, and its weights are gone: {WEIGHTS} is not there"
        return SpecError([Diagnostic("E604", headline, help=f"`dgmppl train --resume {path}` fits it again")])
    help_ = f"`dgmppl train --resume {path}` resumes it"
    return SpecError([Diagnostic("E604", f"{path} has no weights yet: its state is {record['state']}", help=help_)])


def continued(
    model: GenerativeModel,
    checked: Checked,
    arrays: Mapping[str, NDArray[np.generic]],
    values: Mapping[str, NDArray[np.float32]],
    each: int = 1,
    last: int | None = None,
) -> tuple[Arrays, Graph, tuple[str, ...]]:
    """So many draws of each row that begin with what is given of it and go on up to the `last` member, the graph that
    they are of, and how they were made; see `dgmppl.train.pasts`."""
    graph, _ = parts(checked)
    how = forecaster(checked, index_of(list(arrays), graph), last)
    whole, _ = parts(how.checked)
    past = read_past(arrays, values, graph, how.forecast, whole)
    continuation = Continuation(how, model)
    samples = continuation.draw(past, each)
    ends = {name: np.repeat(v, each, 0) for name, v in past.values.items()}
    told = continuation.effective
    weights = () if told is None else (f"at least {told:.1%} of the draws of q count, row by row",)
    known = {name: ends[name] for name in how.forecast.whole if name in graph.conditions}
    return with_ends({**known, **as_arrays(samples)}, whole, ends), whole, (*how.words(), *weights)


def verify_ways(graph: Graph, plan: Plan, ways: Mapping[str, float]) -> None:
    """Reports options of `sample` that the model has not (E707)."""
    known = ways_of(graph, plan)
    idle = [name for name in ways if name not in known]
    if not idle:
        return
    told = " and ".join(f"--{name}" for name in idle)
    if known:
        headline = f"{told} would change nothing: {graph.name} reads nothing that a `drop` leaves out"
        help_ = "let seen = drop(y, 0.1), and p(z[t-1] | z[t], seen) in the place of y"
    else:
        headline = f"{told} would change nothing: {graph.name} has no such chain"
        help_ = "they are for latents that q makes by linear-Gaussian steps of known numbers, q(z[t] | z[t-1]), "
        help_ += "and for flows that are fitted by flow_matching"
    raise SpecError([Diagnostic("E707", headline, help=help_)])


def fingerprint_of(record: Mapping[str, Any]) -> str | None:
    """The digest of the data that a run was begun with; None where its record has none."""
    data = record.get("data")
    found = data.get("fingerprint") if isinstance(data, dict) else None
    return found if isinstance(found, str) else None


def unfinished(run: Run) -> Diagnostic | None:
    """The warning for a run whose fit has not ended; None where it has."""
    state = run.record["state"]
    if state == "finished":
        return None
    headline = f"{run.path} has not finished, its state is {state}: this is about its best weights so far"
    return Diagnostic("W622", headline, severity="warning", help=f"`dgmppl train --resume {run.path}` resumes it")


def changed_data(run: Run, splits: Splits) -> Diagnostic | None:
    """The warning for data that is no longer what the run was fitted to; None where it is."""
    if fingerprint_of(run.record) in (None, splits.fingerprint):
        return None
    headline = f"the data of {run.path} is not what it was fitted to: this is about the data as it is now"
    return Diagnostic("W621", headline, severity="warning", help="put it back as it was to see the run's own figures")


def fields_of(run: Run) -> dict[str, Field]:
    """What a run keeps of the data of each variable.

    Raises:
        SpecError: (E603) where its record was edited to something else.
    """
    graph, _ = parts(run.checked)
    data = run.record.get("data")
    kept = data.get("fields") if isinstance(data, dict) else None
    found = {}
    for v in graph.data:
        try:
            assert v.data is not None
            found[v.name] = read_field(v.name, v.type, v.data, kept.get(v.name) if isinstance(kept, dict) else None)
        except ValueError as error:
            headline = f"{run.path / RECORD}: the field of `{v.name}` is not as a run keeps it: {error}"
            raise SpecError([Diagnostic("E603", headline, help="was it edited? take it back from a copy")]) from None
    return found


def run_data(run: Run, folder: Path | None = None, originals: bool = False) -> Splits:
    """The data of a run, from where it was found when the run was begun.

    A folder that holds the spec, its data and the run may have been renamed or copied since: the data is looked for
    where it lies as seen from the run, then in the folder where it lay. What the run was fitted to comes first.

    Args:
        folder: where relative paths start from instead.
        originals: keep the values that were read beside those that the model has.

    Raises:
        SpecError: when it is in none of them, or breaks its type.
    """
    known = fields_of(run)
    if folder is not None:
        return load_data(run.checked, folder, known, originals)
    whole, relative = run.record.get("data_folder"), run.record.get("data_folder_relative")
    places = [run.path / relative] if relative is not None else []
    places += [Path(whole)] if whole is not None else []
    found: list[Splits] = []
    wrong: list[SpecError] = []
    places = places or [run.path]
    for place in dict.fromkeys(p.resolve() for p in places):
        try:
            splits = load_data(run.checked, place, known, originals)
        except SpecError as error:
            wrong.append(error)
            continue
        if changed_data(run, splits) is None:
            return splits
        found.append(splits)
    if found:
        return found[0]
    # A file that is there and cannot be used says more than one that is not there.
    told = next((error for error in wrong if any(d.code != "E503" for d in error.diagnostics)), wrong[-1])
    graph, _ = parts(run.checked)
    gone = {v.data.span for v in graph.data if v.data and v.data.is_file and not (places[-1] / v.data.dataset).exists()}
    raise SpecError(
        [_with_way_out(d) if d.code == "E503" and d.span in gone else d for d in told.diagnostics], told.source
    )


def _with_way_out(found: Diagnostic) -> Diagnostic:
    return replace(found, help=f"{found.help}; --data-folder says in which folder the data is now")


@contextmanager
def located(checked: Checked) -> Iterator[None]:
    """Turns an exception out of emitted code into a diagnostic at the line of the spec it comes from."""
    try:
        yield
    except SpecError as error:
        placed = any(d.span for d in error.diagnostics)
        raise SpecError(error.diagnostics, error.source or (checked.source if placed else None)) from None
    except Exception as error:
        found = pipeline.locate(error, checked)
        if found is None or os.environ.get("DGMPPL_DEBUG"):
            raise
        raise SpecError([found], checked.source) from error


def draw(
    model: GenerativeModel,
    graph: Graph,
    n: int,
    rows: Mapping[str, NDArray[np.float32]],
    ways: Mapping[str, float] | None = None,
) -> Arrays:
    """n samples as arrays by variable, given values of the conditions in `rows`, repeated to n; `ways`: options of the
    model's `sample`."""
    given = {
        graph[name].ident: torch.from_numpy(np.resize(rows[name], (n, *rows[name].shape[1:]))).to(model.device)
        for name in graph.asked
    }
    with torch.no_grad():
        drawn = model.sample(n, **given, **(ways or {}))
    if isinstance(drawn, Tensor):
        drawn = {next(v.name for v in graph.data if v.name not in graph.conditions): drawn}
    return {name: values.detach().cpu().numpy() for name, values in drawn.items()}
