"""The life of a run: begun, killed or interrupted and resumed, ended. Its folder is on disk all the while."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_fabric import Fabric

from dgmppl import pipeline
from dgmppl.closing import missing
from dgmppl.data.given import DATA
from dgmppl.data.load import load_data
from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from dgmppl.session import RunCallbacks, Session, changed, error_of
from dgmppl.syntax.format import format_spec
from dgmppl.train import failures
from dgmppl.train.checkpoint import damaged, read_checkpoint
from dgmppl.train.compilation import compile_networks
from dgmppl.train.compute import ComputeOptions, compute_as_data, recorded_compute
from dgmppl.train.contents import (
    data_folders,
    digest,
    fixed_digests,
    parts,
    settings_as_data,
    start_record,
    write_start,
)
from dgmppl.train.device import open_device, seeded
from dgmppl.train.folder import (
    RECORD,
    SPEC,
    new_folder,
    read_record,
    remove_run,
    verify_ended,
    verify_free,
    verify_writable,
)
from dgmppl.train.players import trainable_groups
from dgmppl.train.rank import is_first_process
from dgmppl.train.runs import Run, fingerprint_of, load_run, located, open_spec, run_data

if TYPE_CHECKING:
    import pyarrow as pa

# What may differ from the run's own when it is resumed: they change when a fit ends, and nothing before that.
_EXTENSIONS = ("train.epochs", "train.patience")

_PUT_BACK = "put the data back as it was, or train anew with --out"


def train_spec(
    checked: Checked,
    out: Path,
    compute: ComputeOptions | None = None,
    callbacks: RunCallbacks | None = None,
    *,
    overwrite: bool = False,
    table: pa.Table | None = None,
) -> tuple[GenerativeModel, Run]:
    """Fits a checked spec and leaves a run folder, from which a fit that is killed can be resumed.

    Args:
        checked: a spec without errors.
        out: the folder to write.
        overwrite: replace `out` if it is a run.
        table: the data of a spec that reads them from the run folder; see `dgmppl.data.given`.

    Raises:
        SpecError: when the data does not fit, the device is not there, `out` is taken or cannot be written (all said
            before anything is written), or the fit fails.
    """
    compute, callbacks, started = compute or ComputeOptions(), callbacks or RunCallbacks(), time.perf_counter()
    parts(checked)
    # `a/../b` is a place even where there is no `a`.
    out = Path(os.path.normpath(out))
    fabric = open_device(compute.device, compute.devices, compute.precision)
    if is_first_process():
        verify_free(out, overwrite)
        verify_writable(out)
    splits = load_data(checked, checked.folder) if table is None else _load_table(checked, table, out)
    if is_first_process():
        for found in splits.warnings:
            callbacks.on_warning(replace(found, span=None))
    with _model(checked, fabric, compute, checked.folder) as model:
        if not any(map(trainable_groups, model.players())):
            raise failures.nothing_to_fit()
        record = start_record(checked, model, splits, out, compute_as_data(compute, fabric))
        if is_first_process():
            with new_folder(out, overwrite) as folder:
                undrawn = write_start(folder, checked, record, callbacks.pictures)
                if table is not None:
                    _write_table(table, folder)
            if undrawn is not None:
                command = f"`dgmppl graph {out / SPEC} -o {out / 'graph.svg'}` draws it"
                callbacks.on_warning(missing(out / "graph.svg", undrawn, command))
        if table is not None and splits.train.streamed:
            splits = load_data(checked, out)  # from where they stay
        session = Session(Run(out, checked, record), model, splits, fabric, callbacks, started)
        try:
            return model, session.fit(None)
        except BaseException:
            if is_first_process() and session.nothing_written:
                remove_run(out)
            raise


def _load_table(checked: Checked, table: pa.Table, out: Path) -> Splits:
    """The data of a spec that reads a table from its run folder, which is not there yet."""
    with tempfile.TemporaryDirectory() as folder:
        _write_table(table, Path(folder))
        return replace(load_data(checked, Path(folder)), folder=out)


def _write_table(table: pa.Table, folder: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, folder / DATA)


def resume_run(
    path: Path,
    compute: Mapping[str, Any] | None = None,
    callbacks: RunCallbacks | None = None,
    overrides: Sequence[str] = (),
    expected: Checked | None = None,
    data_folder: Path | None = None,
    allow_python: bool = False,
) -> tuple[GenerativeModel, Run]:
    """Resumes a run that was killed or interrupted, to the bits of one that was not.

    A run that has finished is opened as it is.

    Args:
        path: the run folder.
        compute: fields of `ComputeOptions` that are to differ from how the run was computed before.
        overrides: new values of `train.epochs` and `train.patience`, to lengthen a run that has finished.
        expected: the spec that the run is thought to be of.
        data_folder: where relative paths of data start from now; None: where they did, as seen from the run or at all.
        allow_python: see `load_run`.

    Raises:
        SpecError: when it is no run, or not of the spec that is expected; its spec, settings or data changed since;
            none of its checkpoints is whole; or another process works on it.
    """
    path, callbacks, started = Path(path), callbacks or RunCallbacks(), time.perf_counter()
    record = read_record(path)
    checked = read_run_spec(path, overrides, allow_python)
    if expected is not None:
        _verify_expected(path, record, expected)
    _, plan = parts(checked)
    if record["state"] == "finished" and not overrides:
        verify_ended(path, record)
        return load_run(path, allow_python=allow_python)
    now = replace(recorded_compute(record), **(compute or {}))
    if now.precision != recorded_compute(record).precision:
        headline = f"{path} was begun with --precision {recorded_compute(record).precision}, which changes its results"
        raise error_of("E625", headline, "leave --precision out to resume it as it was begun")
    fabric = open_device(now.device, now.devices, now.precision)
    splits = run_data(Run(path, checked, record), data_folder)
    if splits.fingerprint != fingerprint_of(record):
        raise error_of("E626", f"the data of {path} is not what the run was begun with", _PUT_BACK)
    state, problems = read_checkpoint(path)
    if state is None and problems:
        raise damaged(path, problems)
    if state is None and is_first_process():
        headline = f"{path} has no checkpoint: the run begins again"
        callbacks.on_warning(Diagnostic("W623", headline, severity="warning", help="it comes to the same end"))
    for problem in problems if is_first_process() else ():
        help_ = "the run is resumed from the checkpoint before it"
        callbacks.on_warning(Diagnostic("W620", problem, severity="warning", help=help_))
    if state is not None and ("fit" not in state or _fixed(state.get("overrides")) != _fixed(record["overrides"])):
        raise changed(path, f"{RECORD} does not have the settings of the checkpoint")
    # What a checkpoint has of fixed tensors is what the run was begun with.
    with _model(checked, fabric, now, splits.folder if state is None else None) as model:
        if state is None and fixed_digests(checked, model) != record.get("tensors", {}):
            raise error_of("E626", f"a fixed tensor of {path} is not what the run was begun with", _PUT_BACK)
        record = {**record, **compute_as_data(now, fabric), "state": "running", "overrides": list(checked.overrides)}
        record["settings"] = settings_as_data(plan.settings)
        record |= data_folders(splits, path) if "data_folder" in record else {}
        run = Run(path, checked, record)
        # What passed until the checkpoint is known; of a process that was killed, no more is.
        before = max(_seconds(state or {}), _seconds(record))
        session = Session(run, model, splits, fabric, callbacks, started - before)
        return model, session.fit(state["fit"] if state else None, lengthened=bool(overrides))


def read_run_spec(path: Path, overrides: Sequence[str] = (), allow_python: bool = False) -> Checked:
    """The spec of a run, its overrides and the new ones applied.

    Raises:
        SpecError: when it is no run, its spec changed since, or an override is none that may change.
    """
    record = read_record(path)
    names = [override.partition("=")[0].strip() for override in overrides]
    for name in names:
        if name not in _EXTENSIONS:
            help_ = f"only {' and '.join(_EXTENSIONS)} may change; train anew with --out for others"
            raise error_of("E625", f"{name} cannot be set anew: the run would not be the one that was begun", help_)
    old = [o for o in record["overrides"] if o.partition("=")[0].strip() not in names]
    checked = open_spec(path, record, (*old, *overrides), allow_python)
    if digest(checked.source.text) != record.get("spec_digest"):
        raise changed(path, f"{path / SPEC} was edited since")
    _, plan = parts(checked)
    if names and plan.settings.decay is not None:
        headline = "a run whose learning rate decays cannot be lengthened: it decays over all its epochs"
        raise error_of("E625", headline, "train anew with --out")
    return checked


def extensions(overrides: Sequence[str]) -> list[str]:
    """Those overrides that may change while a run lasts."""
    return [o for o in overrides if o.partition("=")[0].strip() in _EXTENSIONS]


def _fixed(overrides: object) -> list[str] | None:
    """The overrides that may not change while a run lasts."""
    if not isinstance(overrides, list):
        return None
    may = extensions(overrides)
    return [o for o in overrides if o not in may]


def _verify_expected(path: Path, record: Mapping[str, Any], expected: Checked) -> None:
    name = expected.source.name
    if digest(format_spec(expected.source.text)) != record.get("spec_digest"):
        raise error_of("E624", f"{path} is not a run of {name} as it is now", "train anew with --out")
    if _fixed(list(expected.overrides)) != _fixed(record["overrides"]):
        made = " ".join(f"--set {o}" for o in record["overrides"]) or "no --set"
        raise error_of("E624", f"{path} was begun with {made}, which is not what is set now", "train anew with --out")


@contextmanager
def _model(checked: Checked, fabric: Fabric, compute: ComputeOptions, folder: Path | None) -> Iterator[GenerativeModel]:
    """The model with its initial weights, in whose random numbers the body runs. Its fixed tensors are read from files
    as seen from `folder`; None: a checkpoint has them."""
    _, plan = parts(checked)
    with located(checked), seeded(plan.settings.seed, fabric.device):
        fabric.launch()
        model = pipeline.build(checked)
        model = (model if folder is None else pipeline.fill(model, checked, folder)).to(fabric.device)
        if compute.compiled:
            compile_networks(model)
        yield model


def _seconds(record: Mapping[str, Any]) -> float:
    """How long processes had worked on a run; 0 where its record or checkpoint does not say."""
    found = record.get("seconds")
    return float(found) if isinstance(found, (int, float)) and 0 <= found < math.inf else 0.0
