"""Where a study is kept: a journal file that several machines append to, or a database.

Nothing is unpickled: a journal holds JSON, a database numbers and texts. Optuna pickles in two places only, the
snapshots of its Redis journal and the state of its CMA-ES sampler, and neither is used here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from dgmppl.diagnostics import Diagnostic, SpecError

_DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")


class Journal(JournalFileBackend):
    """Optuna's journal file under a kernel lock, which a killed process cannot leave behind.

    Optuna's own locks are files that are there or not: one that a killed process left stops everybody for half a
    minute and is then broken, whether its owner is dead or slow. A line that a full disk cut short is taken away
    before the next is written; behind it, the journal could not be read any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kernel_lock = FileLock(f"{path}.lock")
        super().__init__(str(path), cast(Any, self._kernel_lock))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._kernel_lock:
            _drop_half_line(self._path)
            super().append_logs(logs)


def _drop_half_line(path: Path) -> None:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_journal(path: Path) -> BaseStorage:
    """The study's storage in a file of JSON lines. Raises SpecError (E729) when it is something else."""
    try:
        with silenced():
            return JournalStorage(Journal(path))
    except OSError as error:
        raise SpecError([Diagnostic("E607", f"cannot write to {path}: {error.strerror}")]) from None
    except Exception:
        # A line may lack anything, and Optuna trusts all of them; whatever it stumbles over, the file is to blame.
        headline = f"cannot read {path}: it is not the journal of a sweep"
        raise SpecError([Diagnostic("E729", headline, help="name another folder with --out")]) from None


def open_database(url: str) -> BaseStorage:
    """The study's storage in a database. Raises SpecError (E730) when it cannot be opened."""
    try:
        with silenced():
            return RDBStorage(url)
    except Exception as error:
        # Drivers raise what they like: ImportError, errors of the connection, of the tables' version.
        raise database_fails(url, error) from None


def database_fails(url: str, error: BaseException) -> SpecError:
    why = str(error).strip().split("\n")[0] or type(error).__name__
    return SpecError([Diagnostic("E730", f"the database {shown_url(url)} cannot be used: {why}")])


def shown_url(url: str) -> str:
    """The URL of a database without its password. Raises SpecError (E730) when it is none."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    help_ = (
        "sqlite:///study.db, postgresql://user@host/name or mysql://user@host/name; without --storage a file is used"
    )
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SpecError([Diagnostic("E730", "what follows --storage is no URL of a database", help=help_)]) from None
    if parsed.get_backend_name() not in _DATABASES:
        headline = f"there is no storage of the kind {parsed.get_backend_name()}"
        raise SpecError([Diagnostic("E730", headline, help=help_)])
    return parsed.render_as_string(hide_password=True)


@contextmanager
def silenced() -> Iterator[None]:
    """What Optuna logs and warns of is not for the user, who asked dgmppl."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
