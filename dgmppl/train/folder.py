"""The run folder as files: each is written whole or not at all, and opened as data that is never run.

From the start:                                         At the end:
spec.dgm      the spec, in canonical form               weights.safetensors  the best weights
model.py      what runs, to be read                     samples.png          samples of the fitted model
plan.json     the plan                                  report.html          all of it on a page
graph.svg     the graph
run.json      state, settings, versions, figures        Where a loss was not finite:
metrics.jsonl a line an epoch                           not_finite.npz       the batch that it arose on
tensorboard/  the same as events
checkpoint.safetensors, checkpoint.previous.safetensors (see dgmppl.train.checkpoint)
data.parquet  the data, where the fit was given them and its spec names no files
lock          held by the process that works on the run
"""

from __future__ import annotations

import glob
import json
import math
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from dgmppl.data.given import DATA
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.train.checkpoint import CHECKPOINT, PREVIOUS, checksum, write_atomically

KIND = "dgmppl run"
FORMAT = 3
STATES = ("running", "finished", "interrupted", "failed")
SPEC, RECORD, WEIGHTS, METRICS, BATCH = "spec.dgm", "run.json", "weights.safetensors", "metrics.jsonl", "not_finite.npz"
LOCK = "lock"
SAMPLES = "samples.png"
EVENTS = "tensorboard"
_NAMES = (SPEC, RECORD, WEIGHTS, METRICS, BATCH, LOCK, SAMPLES, DATA, CHECKPOINT, PREVIOUS)
_FILES = frozenset((*_NAMES, "model.py", "plan.json", "graph.svg", "report.html"))
_EVENT_FILES = "events.out.tfevents."
# A draft is renamed within seconds; one that is older was left by a process that was killed.
_STALE_SECONDS = 600


def verify_free(out: Path, overwrite: bool) -> None:
    """Raises a SpecError when a run may not be written to `out`: only runs are ever overwritten."""
    out = out.resolve()
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
    except OSError as error:
        raise _error("E607", f"cannot write to {out}: {error.strerror}") from None
    if not out.is_dir():
        raise _error("E606", f"{out} is a file, not a folder for a run", "name another folder with --out")
    if not _is_run(out):
        raise _error("E606", f"{out} holds files that are not a run's", "name another folder with --out")
    if not overwrite:
        help_ = "--resume resumes it, --overwrite replaces it, --out names another folder"
        raise _error("E606", f"{out} holds a run already", help_)
    others = foreign_files(out)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        headline = f"{out} holds a run and what is not the run's: {', '.join(others[:3])}{more}"
        raise _error("E606", headline, "move it elsewhere, or name another folder with --out")
    with hold(out):
        pass


def foreign_files(folder: Path) -> list[str]:
    """What is in a run folder and was not written by dgmppl, as paths below the folder, sorted."""
    return sorted(str(path.relative_to(folder)) for path in _entries(folder) if not _is_own(path, folder))


def remove_run(folder: Path) -> None:
    """Removes a run: its files, and the folder unless something else is in it."""
    for path in _entries(folder):
        if _is_own(path, folder):
            path.unlink(missing_ok=True)
    for path in (folder / EVENTS, folder):
        with suppress(OSError):
            path.rmdir()


def _entries(folder: Path) -> list[Path]:
    """What is in a run folder; of its folder of events, what is in there."""
    found = list(folder.iterdir())
    events = folder / EVENTS
    if events in found and events.is_dir() and not events.is_symlink():
        found.remove(events)
        found += events.iterdir()
    return found


def _is_own(path: Path, folder: Path) -> bool:
    """Whether a fit, or the writing of a page, leaves a file of this name; drafts of killed processes count."""
    if path.is_dir() and not path.is_symlink():
        return False
    if path.parent != folder:
        return path.name.startswith(_EVENT_FILES)
    return path.name in _FILES or path.name.removeprefix(".").removesuffix(".new") in _FILES


def verify_writable(out: Path) -> None:
    """Raises a SpecError when no folder can be made at `out`; leaves nothing there. To be asked before a long fit."""
    draft = _draft(out.resolve())
    try:
        while not draft.parent.exists():
            draft = draft.parent.with_name(draft.name)
        draft.mkdir()
        draft.rmdir()
    except OSError as error:
        help_ = "name another folder with --out"
        raise _error("E607", f"cannot write to {draft.parent}: {error.strerror}", help_) from None


def _draft(out: Path) -> Path:
    """A name beside `out` that nothing else has."""
    return out.parent / f".{out.name}.{secrets.token_hex(4)}"


@contextmanager
def new_folder(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the body ends, and vanishes if that raises."""
    out = out.resolve()
    verify_free(out, overwrite)
    draft = _draft(out)
    _remove_stale(out)
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise _error("E607", f"cannot write to {out.parent}: {error.strerror}") from None
    try:
        yield draft
        verify_free(out, overwrite)
        old = out.rename(draft.with_name(draft.name + ".old")) if out.exists() else None
        draft.rename(out)
        if old is not None:
            remove_run(old)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise _error("E607", f"cannot write to {out}: {error.strerror or error}") from None
        raise


def _remove_stale(out: Path) -> None:
    """Removes what a killed process left beside `out`."""
    for draft in out.parent.glob(f".{glob.escape(out.name)}.*"):
        if _DRAFT.fullmatch(draft.name.removeprefix(f".{out.name}")):
            with suppress(OSError):
                if time.time() - draft.stat().st_mtime > _STALE_SECONDS:
                    remove_run(draft)


_DRAFT = re.compile(r"\.[0-9a-f]{8}(\.old)?")


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps other processes from working on a run while the body runs.

    Raises:
        SpecError: when one does already, on this machine or on another one that shares the file system.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        help_ = "wait until it ends, or end it: Ctrl-C leaves a checkpoint to resume from"
        raise _error("E623", f"another process is working on {folder}", help_) from None
    except OSError as error:
        raise _error("E607", f"cannot write to {folder}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process works on a run."""
    if not (folder / LOCK).exists():
        return False
    try:
        with hold(folder):
            return False
    except SpecError as error:
        return error.diagnostics[0].code == "E623"


def _is_run(folder: Path) -> bool:
    try:
        read_record(folder)
    except SpecError:
        return False
    return True


def write_json(path: Path, value: Any) -> None:
    """JSON for people and programs, whole or not at all; numbers that JSON has not become null."""
    text = json.dumps(finite_only(value), indent=2, allow_nan=False) + "\n"
    write_atomically(path, text.encode())


def append(path: Path, line: str) -> None:
    """Adds a line to a file. Should the disk be full, what was written of it is taken back."""
    with path.open("ab") as file:
        start = file.tell()
        try:
            file.write(line.encode())
            file.flush()
        except OSError:
            file.truncate(start)
            raise


def finite_only(value: Any) -> Any:
    """The same value with null in place of NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_only(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_only(v) for v in value]
    return value


def read_record(folder: Path) -> dict[str, Any]:
    """`run.json`, with the entries that opening a run needs checked.

    Raises:
        SpecError: when the folder is no run, or one of a newer format.
    """
    path = folder / RECORD
    if not path.is_file():
        raise _error("E602", f"{folder} is not a run folder: it has no {RECORD}", "dgmppl train makes run folders")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _error("E603", f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        help_ = "take it back from a copy, or train anew: `dgmppl train SPEC --out RUN`"
        raise _error("E603", f"cannot read {path}: it is no JSON", help_) from None
    if not isinstance(record, dict) or record.get("kind") != KIND:
        headline = f"{folder} is not a run folder: its {RECORD} was not written by dgmppl train"
        raise _error("E602", headline, "dgmppl train makes run folders")
    if record.get("format") != FORMAT:
        headline = f"{path} has format {record.get('format')!r}, this version reads {FORMAT}"
        raise _error("E603", headline, "open it with the version of dgmppl that wrote it")
    overrides = record.get("overrides")
    if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise _error("E603", f"{path} lacks the list of overrides")
    if record.get("state") not in STATES:
        headline = f"{path} has the state {record.get('state')!r}, not one of {', '.join(STATES)}"
        raise _error("E603", headline, "was it edited since? interrupted is the state of a run that can be resumed")
    for name in ("data_folder", "data_folder_relative"):
        if not isinstance(record.get(name, "."), str):
            raise _error("E603", f"the {name} of {path} is not a text")
    return record


def verify_ended(folder: Path, record: Mapping[str, Any]) -> None:
    """Raises a SpecError (E603) when the record of a finished run lacks what is told of one."""
    for name, kind in _FINISHED.items():
        if not isinstance(record.get(name), kind):
            help_ = "was it edited? take it back from a copy"
            raise _error("E603", f"{folder / RECORD} has no {name} as a finished run has it", help_)


_FINISHED: Mapping[str, Any] = {
    "model": str,
    "device": str,
    "epochs": int,
    "best_epoch": int,
    "seconds": (int, float),
    "figures": dict,
}


def write_weights(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """All weights and buffers as safetensors; a weight that two networks share is written for each."""
    state = {name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}
    # Not save_file, whose files only their owner can read.
    write_atomically(path, save(state, {"checksum": checksum(state)}))


def read_weights(model: torch.nn.Module, path: Path) -> None:
    """Fills a compiled model with saved weights, which must have just its names, shapes and types.

    Raises:
        SpecError: when the file is no safetensors file, whatever else it is, or does not fit the model.
    """
    if not path.is_file():
        raise _error("E604", f"there is no file {path}", "a run is opened with its weights; dgmppl train writes both")
    try:
        saved = load_file(path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        headline = f"cannot read {path}: it is not a safetensors file ({error})"
        raise _error("E604", headline, "weights are read as safetensors only, which hold nothing but numbers") from None
    if header.get("checksum", "") not in ("", checksum(saved)):
        raise _error("E604", f"{path} is damaged: its checksum is not that of its content", "take it back from a copy")
    fill_weights(model, saved, path)


def fill_weights(model: torch.nn.Module, saved: Mapping[str, torch.Tensor], path: Path) -> None:
    """Fills a compiled model with the weights that `path` holds; E605 when they are not just the model's."""
    expected = model.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in saved]
    problems += [f"{name} is not in the model" for name in saved if name not in expected]
    for name in expected.keys() & saved.keys():
        wanted, found = expected[name], saved[name]
        if wanted.shape != found.shape:
            problems.append(f"{name} has shape {list(found.shape)}, the model needs {list(wanted.shape)}")
        elif wanted.dtype != found.dtype:
            problems.append(f"{name} is {found.dtype}, the model needs {wanted.dtype}")
    if problems:
        problems.sort()
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        headline = f"the weights in {path} do not fit the model of {SPEC}: {'; '.join(problems[:3])}{more}"
        raise _error("E605", headline, f"was {SPEC} or {RECORD} edited after the fit?")
    model.load_state_dict(saved)


def _error(code: str, headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
