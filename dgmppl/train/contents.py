"""What goes into a run folder: the record of the fit, the spec and what was made of it, weights, samples."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl import pipeline
from dgmppl.catalogue.figures import as_data
from dgmppl.data.table import Splits
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.imports import classes_in
from dgmppl.picture import graph as picture
from dgmppl.pipeline import Checked
from dgmppl.plan.explain import explain_plan
from dgmppl.plan.nodes import Plan
from dgmppl.plan.settings import TrainSettings
from dgmppl.runtime import GenerativeModel
from dgmppl.source import Source
from dgmppl.syntax.format import format_spec
from dgmppl.train.figures import Estimate
from dgmppl.train.folder import FORMAT, KIND, METRICS, RECORD, SPEC, finite_only, write_json
from dgmppl.train.history import Epoch, FitResult
from dgmppl.train.pictures import draw_samples
from dgmppl.train.units import DataUnits

Arrays = dict[str, NDArray[np.float32]]
Figures = dict[str, dict[str, Estimate]]
Record = dict[str, Any]

_PACKAGES = ("dgmppl", "torch", "numpy", "pyro-ppl", "scikit-learn")


def start_record(checked: Checked, model: GenerativeModel, splits: Splits, out: Path, how: Mapping[str, Any]) -> Record:
    """`run.json` as a fit begins: what opening the run and resuming it need.

    Args:
        out: the folder of the run.
        how: device, devices, precision and whether the networks are compiled.
    """
    graph, plan = parts(checked)
    from_files = any(v.data and v.data.is_file for v in graph.data) or bool(graph.fixed)
    tensors = fixed_digests(checked, model)
    return {
        "kind": KIND,
        "format": FORMAT,
        "state": "running",
        "model": graph.name,
        "spec": Path(checked.source.name).name,
        "spec_digest": digest(format_spec(checked.source.text)),
        "overrides": list(checked.overrides),
        **(data_folders(splits, out) if from_files else {}),
        **_python(checked, out),
        "data": {
            "fingerprint": splits.fingerprint,
            "split": dict(splits.rule),
            "fields": {name: field.as_data() for name, field in splits.fields.items()},
        },
        **({"tensors": tensors} if tensors else {}),
        "settings": settings_as_data(plan.settings),
        **how,
        "weights": sum(p.numel() for p in model.parameters()),
        "criterion": model.criterion,
        "about_figures": as_data(plan.figures),
        "versions": _versions(),
    }


def fixed_digests(checked: Checked, model: GenerativeModel) -> dict[str, str]:
    """By which changed values of fixed tensors are noticed, by their names in the spec."""
    graph, _ = parts(checked)
    values = {tensor.name: model.get_buffer(tensor.ident).cpu().numpy() for tensor in graph.fixed}
    return {name: hashlib.sha256(found.astype("<f4").tobytes()).hexdigest() for name, found in values.items()}


def _python(checked: Checked, out: Path) -> Record:
    """The classes of the user's own that the spec names, and the folder that they are searched in first."""
    classes = sorted(classes_in(checked.spec)) if checked.spec is not None else []
    return {"python": {"classes": classes, **_folder("folder", checked.python.folder, out)}} if classes else {}


def data_folders(splits: Splits, out: Path) -> Record:
    """The folder that relative data paths start from, and the way there from the run: what lies beside a run moves
    with it.
    """
    return _folder("data_folder", splits.folder, out)


def _folder(name: str, folder: Path, out: Path) -> Record:
    """A folder under this name, and the way there from the run."""
    base = folder.resolve()
    found = {name: str(base)}
    with suppress(ValueError):  # on another drive
        found[f"{name}_relative"] = Path(os.path.relpath(base, out.resolve())).as_posix()
    return found


def end_record(record: Mapping[str, Any], state: str, result: FitResult, figures: Figures, seconds: float) -> Record:
    """`run.json` once a fit has ended or was interrupted.

    Args:
        seconds: that passed while a process worked on the run, the closing included.
    """
    return {
        **record,
        "state": state,
        "epochs": len(result.epochs),
        "steps": result.steps,
        "stopped": result.stopped,
        "best_epoch": result.best_epoch,
        "seconds": round(seconds, 3),
        "figures": figures_as_data(figures),
    }


def digest(text: str) -> str:
    """By which a changed spec is noticed."""
    return hashlib.sha256(text.encode()).hexdigest()


def settings_as_data(settings: TrainSettings) -> Record:
    """Settings as nested dicts, without the places in the spec where they stand and the warnings that it accepts."""
    found = asdict(settings)
    del found["accept"]
    if found["split"] is not None:
        del found["split"]["span"]
    for stage in found["stages"]:
        del stage["span"]
    as_read: Record = json.loads(json.dumps(found))  # the record is the same before it is written and behind it
    return as_read


def _versions() -> dict[str, str | None]:
    """Versions of what a fit depends on; None for a package that is used without being installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def figures_as_data(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    """Figures as nested dicts: split, figure, then mean, standard_error and rows."""
    return {split: {name: asdict(e) for name, e in found.items()} for split, found in figures.items()}


def write_start(folder: Path, checked: Checked, record: Mapping[str, Any], drawn: bool = True) -> SpecError | None:
    """Writes what is known before the fit; plan and source are those of the canonical spec beside them. The graph is
    `drawn` where that is asked for.

    Returns:
        Why the graph could not be drawn, where it could not: nothing of a fit depends on it.
    """
    spec = Source(SPEC, format_spec(checked.source.text))
    copy = pipeline.check(spec, overrides=checked.overrides, python=checked.python)
    graph, plan = parts(copy)
    (folder / SPEC).write_text(spec.text, encoding="utf-8")
    (folder / "model.py").write_text(pipeline.emit(copy).text, encoding="utf-8")
    (folder / "plan.json").write_text(explain_plan(plan, "json") + "\n", encoding="utf-8")
    (folder / METRICS).touch()
    write_json(folder / RECORD, record)
    if not drawn:
        return None
    try:
        picture.render(graph, folder / "graph.svg")
    except SpecError as error:
        return error
    return None


def metrics_line(epoch: Epoch) -> str:
    """An epoch as a line of `metrics.jsonl`."""
    return json.dumps(finite_only(asdict(epoch)), allow_nan=False) + "\n"


def parts(checked: Checked) -> tuple[Graph, Plan]:
    """Graph and plan of a spec. Raises a SpecError with what was found when it has errors."""
    if checked.graph is None or checked.plan is None:
        raise SpecError(checked.diagnostics, checked.source)
    return checked.graph, checked.plan


def write_picture(samples: Mapping[str, NDArray[Any]], units: DataUnits, out: Path) -> None:
    """Samples as a PNG, in the units of the data."""
    draw_samples(units.every(samples), {name: units.shown(name) for name in samples}, out)


def write_arrays(samples: Arrays, graph: Graph, out: Path | IO[bytes]) -> None:
    """Samples as a .npz file, an array of each variable's name."""
    # Not numpy.savez, whose own argument names a variable may have.
    with zipfile.ZipFile(out, "w") as archive:
        for name, values in samples.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)
