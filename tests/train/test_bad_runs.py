"""Runs and flags that cannot work, beside what is said of them: `bad_runs`, and `tests/golden/runs/<case>.txt`.

After a change of wording, `python -m tests.train.test_bad_runs --bless` rewrites every message; read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens import Goldens
from tests.train.bad_runs import CASES
from tests.train.specs import ROWS, UPWARD, VAE
from tests.train.test_resume import begin


def make_runs(folder: Path) -> None:
    """The files that every case finds."""
    begin(folder, VAE, ("train.epochs=4",), stop=6, name="stopped")
    begin(folder, ROWS, (), name="rows")
    begin(folder, UPWARD, (), name="upward")
    begin(folder, VAE, (), name="ended")
    (folder / "model.dgm").rename(folder / "vae.dgm")


GOLDENS = Goldens("runs", CASES, make_runs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one(name, runs, tmp_path):
    GOLDENS.verify(name, runs, tmp_path / "here")


@pytest.mark.parametrize("name", CASES)
def test_one_mistake_one_message(name):
    GOLDENS.verify_one_mistake(name)


def test_every_case_has_its_message_and_no_message_is_left_over():
    GOLDENS.verify_complete(40)


if __name__ == "__main__":
    GOLDENS.bless()
