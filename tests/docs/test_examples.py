"""The examples run as a user runs them, from any folder, in their quick mode."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What shows that an example came to its end, and that its figures are numbers.
SHOWN = {
    "python_api.py": r"test ELBO -\d+\.\d\d nats an image\n(.*\n)+a sample:\n(.{18}\n){8}\n"
    r"by dgmppl.train: epoch 1, test ELBO -\d+",
    "pyro_nuts.py": r"the guide's means are at most \d+\.\d\d posterior deviations off\n$",
}


def test_every_example_has_a_test() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_example(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / name), "--quick"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(SHOWN[name], done.stdout), done.stdout
    assert not list(tmp_path.iterdir())
