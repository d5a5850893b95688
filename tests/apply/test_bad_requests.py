"""What cannot be asked of a run, with what is said of it: `bad_requests`, and `tests/golden/requests/<case>.txt`.

After a change of wording, `python -m tests.apply.test_bad_requests --bless` rewrites every message; read the
difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apply.bad_requests import CASES, make_runs
from tests.goldens import Goldens

GOLDENS = Goldens("requests", CASES, make_runs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one(name: str, runs: Path, tmp_path: Path) -> None:
    GOLDENS.verify(name, runs, tmp_path / "here")


@pytest.mark.parametrize("name", CASES)
def test_one_mistake_one_message(name: str) -> None:
    GOLDENS.verify_one_mistake(name)


def test_every_case_has_its_message_and_no_message_is_left_over() -> None:
    GOLDENS.verify_complete(40)


if __name__ == "__main__":
    GOLDENS.bless()
