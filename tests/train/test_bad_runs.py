"""Runs and flags that cannot work, beside what is said of them: `bad_runs`, and `tests/golden/runs/<case>.txt`.

After a change of wording, `python -m tests.train.test_bad_runs --bless` rewrites every message; read the difference.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from dgmppl.cli import main
from dgmppl.diagnostics.codes import CODES
from tests.data.test_bad_files import contents
from tests.train.bad_runs import CASES
from tests.train.specs import ROWS, UPWARD, VAE
from tests.train.test_resume import begin

FOLDER = Path(__file__).parents[1] / "golden" / "runs"


def make_runs(folder: Path) -> None:
    """The files that every case finds."""
    begin(folder, VAE, ("train.epochs=4",), stop=6, name="stopped")
    begin(folder, ROWS, (), name="rows")
    begin(folder, UPWARD, (), name="upward")
    begin(folder, VAE, (), name="ended")
    (folder / "model.dgm").rename(folder / "vae.dgm")


def said(name: str, folder: Path) -> str:
    """What a case's command prints, on both streams; the disk must be as it was before."""
    command, prepare = CASES[name]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "100")
        held = prepare(folder, patch) or contextlib.nullcontext()
        with held:
            before = contents(folder)
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    status = main(shlex.split(command))
                except SystemExit as stop:
                    status = stop.code
            assert contents(folder) == before, name
    assert status in (1, 2)
    text = printed.getvalue().replace(str(folder.resolve()), "FOLDER")
    # How argparse shows usage and choices differs between versions of Python.
    text = re.sub(r"^usage: .*?(?=^dgmppl train: error)", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\(choose from .*\)", lambda choices: choices[0].replace("'", ""), text)
    return f"$ dgmppl {command}\n{text}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one(name, runs, tmp_path):
    shutil.copytree(runs, tmp_path / "here")
    text = said(name, tmp_path / "here")
    assert text == (FOLDER / f"{name}.txt").read_text(encoding="utf-8"), "bless it if the new one is better"


@pytest.mark.parametrize("name", CASES)
def test_one_mistake_one_message(name):
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    errors = [line for line in text.splitlines() if "error[" in line or "error: " in line]
    assert len(errors) == 1
    if "error[" in errors[0]:
        assert errors[0][6:10] in CODES
    assert "Traceback" not in text
    assert "internal error" not in text


def test_every_case_has_its_message_and_no_message_is_left_over():
    assert set(CASES) == {path.stem for path in FOLDER.glob("*.txt")}
    assert len(CASES) >= 40


def bless() -> None:
    os.makedirs(FOLDER, exist_ok=True)
    texts = {}
    with tempfile.TemporaryDirectory() as made:
        make_runs(Path(made))
        for name in CASES:
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(made, Path(folder) / "here")
                texts[name] = said(name, Path(folder) / "here")
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--bless"]:
        raise SystemExit("usage: python -m tests.train.test_bad_runs --bless")
    bless()
