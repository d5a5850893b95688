"""Commands that cannot work, beside what is said of them: a folder of `tests/golden` for each list of cases.

`apply` has rows and files that a run cannot be applied to, `requests` what cannot be asked of a run, `runs` what
cannot be trained. After a change of wording, `python -m tests.test_bad_commands --bless` rewrites every message; read
the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.apply import bad_inputs, bad_requests
from tests.goldens import Goldens
from tests.train import bad_runs

GOLDENS = {
    "apply": Goldens("apply", bad_inputs.CASES, bad_inputs.make_runs),
    "requests": Goldens("requests", bad_requests.CASES, bad_requests.make_runs),
    "runs": Goldens("runs", bad_runs.CASES, bad_runs.make_runs),
}
CASES = [(folder, name) for folder, goldens in GOLDENS.items() for name in goldens.cases]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the cases of each folder find on the disk."""
    folders = {name: tmp_path_factory.mktemp(name) for name in GOLDENS}
    for name, goldens in GOLDENS.items():
        goldens.make(folders[name])
    return folders


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_the_message_is_the_golden_one(folder: str, name: str, made: dict[str, Path], tmp_path: Path) -> None:
    GOLDENS[folder].verify(name, made[folder], tmp_path / "here")


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_one_mistake_one_message(folder: str, name: str) -> None:
    GOLDENS[folder].verify_one_mistake(name)


@pytest.mark.parametrize(("folder", "least"), [("apply", 50), ("requests", 40), ("runs", 40)])
def test_every_case_has_its_message_and_no_message_is_left_over(folder: str, least: int) -> None:
    GOLDENS[folder].verify_complete(least)


if __name__ == "__main__":
    if sys.argv[1:] != ["--bless"]:
        raise SystemExit("usage: python -m tests.test_bad_commands --bless")
    for goldens in GOLDENS.values():
        goldens.bless()
