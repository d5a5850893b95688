"""Runs that several tests read; none of them writes to one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .runs import SPECS, train


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a spec by its name in SPECS, trained once."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = train(tmp_path_factory.mktemp(name), SPECS[name], name)
        return made[name]

    return of


@pytest.fixture
def copy_of(run_of: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of such a run, to be tampered with."""

    def of(name: str) -> Path:
        return Path(shutil.copytree(run_of(name), tmp_path / name))

    return of
