"""The folder of a sweep, which several processes on several machines may share.

sweep.json   what is searched: the spec's digest, the ranges     trials/0007   the run of trial 7
journal.log  the study, unless it is in a database               trials/0007.lock   held while a process runs it
lock         held while a trial is taken                         report.html   the trials and the best of them

Locks are the kernel's (flock): one that a killed process held is free at once, on whichever machine it ran.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dgmppl.diagnostics import Diagnostic, SpecError

KIND = "dgmppl sweep"
FORMAT = 1
RECORD, JOURNAL, LOCK, TRIALS, REPORT = "sweep.json", "journal.log", "lock", "trials", "report.html"
_LARGEST = 1 << 20
"""Bytes of a sweep.json that is read."""


@dataclass(frozen=True)
class Search:
    """What makes two commands the same sweep. `storage` names the database, "" for the journal in the folder."""

    spec: str
    spec_digest: str
    overrides: tuple[str, ...]
    ranges: tuple[str, ...]
    figure: str
    seed: int
    prune: bool
    storage: str


@dataclass(frozen=True)
class SweepFolder:
    """An opened sweep. `id` tells this folder from any other."""

    path: Path
    id: str
    search: Search

    def trial(self, number: int) -> Path:
        """Where the run of a trial is."""
        return self.path / TRIALS / f"{number:04d}"

    def claim(self, number: int) -> FileLock | None:
        """The lock of a trial, held from now on; None when a living process has it."""
        (self.path / TRIALS).mkdir(exist_ok=True)
        lock = FileLock(f"{self.trial(number)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else takes a trial of this folder while the body runs."""
        with FileLock(self.path / LOCK):
            yield


def verify_folder(out: Path, search: Search) -> None:
    """Raises a SpecError (E727, E728, E729) when `out` holds anything but this very sweep. Writes nothing."""
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise _error("E727", f"{out} is a file, not a folder for a sweep", "name another folder with --out")
        if not (out / RECORD).exists():
            # A process that starts at the same time has made its lock and a draft of its record, or by now the record.
            begun = (LOCK, f".{RECORD}.")
            odd = any(not entry.name.startswith(begun) for entry in out.iterdir())
            if odd and not (out / RECORD).exists():
                raise _error("E727", f"{out} holds files that are not a sweep's", "name another folder with --out")
            if not odd:
                return
    except OSError as error:
        raise _error("E607", f"cannot write to {out}: {error.strerror}") from None
    _verify_same(out, read_folder(out).search, search)


def open_folder(out: Path, search: Search) -> SweepFolder:
    """The folder of a sweep, made if it is not there.

    Raises:
        SpecError: what `verify_folder` raises, and E607 when the folder cannot be written to.
    """
    verify_folder(out, search)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / LOCK):
            verify_folder(out, search)
            if not (out / RECORD).exists():
                record = {"kind": KIND, "format": FORMAT, "id": secrets.token_hex(8), **asdict(search)}
                write_whole(out / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise _error("E607", f"cannot write to {out}: {error.strerror}") from None
    return read_folder(out)


def read_folder(out: Path) -> SweepFolder:
    """A sweep's folder as its record has it. Raises SpecError (E729)."""
    path = out / RECORD
    try:
        with path.open(encoding="utf-8") as file:
            record = json.loads(file.read(_LARGEST))
    except OSError as error:
        raise _error("E729", f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _error("E729", f"cannot read {path}: it is no JSON", "dgmppl sweep writes it") from None
    if not isinstance(record, dict) or record.get("kind") != KIND or not isinstance(record.get("id"), str):
        raise _error("E729", f"{path} was not written by dgmppl sweep")
    if record.get("format") != FORMAT:
        headline = f"{path} has format {record.get('format')!r}, this version reads {FORMAT}"
        raise _error("E729", headline, "open it with the version of dgmppl that wrote it")
    return SweepFolder(out, record["id"], _search(record, path))


def write_whole(path: Path, text: str) -> None:
    """Writes a file beside its place and renames it: a reader finds the old one or the new one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _search(record: Mapping[str, Any], path: Path) -> Search:
    entries: dict[str, Any] = {}
    for entry in fields(Search):
        kind = {"int": int, "bool": bool, "str": str}.get(str(entry.type))
        value = record.get(entry.name)
        texts = isinstance(value, list) and all(isinstance(v, str) for v in value)
        if not (type(value) is kind if kind else texts):
            raise _error("E729", f"{path} has no proper entry `{entry.name}`", "was it edited?")
        entries[entry.name] = tuple(value) if isinstance(value, list) else value
    return Search(**entries)


_ASKED = {
    "spec_digest": "spec",
    "overrides": "--set",
    "ranges": "--over",
    "figure": "--by",
    "seed": "--seed",
    "prune": "--no-prune",
    "storage": "--storage",
}


def _verify_same(out: Path, there: Search, asked: Search) -> None:
    """Raises a SpecError (E728) that names the first thing in which two sweeps differ."""
    for name, words in _ASKED.items():
        old, new = getattr(there, name), getattr(asked, name)
        if old != new:
            what = f"of another {words}" if name == "spec_digest" else f"with another {words}"
            headline = f"{out} holds a sweep {what}"
            if name == "spec_digest":
                headline += f": {there.spec} has been changed since" if there.spec == asked.spec else f": {there.spec}"
            elif name == "prune":
                headline = f"{out} holds a sweep {'with' if old else 'without'} pruning"
            else:
                headline += f": {_shown(old)} there, {_shown(new)} here"
            raise _error("E728", headline, "name another folder with --out; the same command resumes a sweep")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"'{v}'" for v in value) or "none"
    return str(value) if value != "" else "none"


def _error(code: str, headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
