"""What a run cannot be applied to, beside what is said of it: `bad_inputs`, and `tests/golden/apply/<case>.txt`.

After a change of wording, `python -m tests.apply.test_bad_inputs --bless` rewrites every message; read the difference.
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
from tests.apply.bad_inputs import CASES, make_runs
from tests.data.test_bad_files import contents

FOLDER = Path(__file__).parents[1] / "golden" / "apply"


def said(name: str, folder: Path) -> str:
    """What a case's command prints, on both streams; the disk must be as it was before."""
    command, prepare = CASES[name]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "100")
        prepare(folder)
        before = contents(folder)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                status = main(shlex.split(command))
            except SystemExit as stop:
                status = stop.code  # type: ignore[assignment]
        assert contents(folder) == before, name
    text = printed.getvalue().replace(str(folder.resolve()), "FOLDER")
    assert status in (1, 2), text
    # How argparse shows usage and choices differs between versions of Python.
    text = re.sub(r"^usage: .*?(?=^dgmppl \w+: error)", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\(choose from .*\)", lambda choices: choices[0].replace("'", ""), text)
    return f"$ dgmppl {command}\n{text}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one(name: str, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "here")
    text = said(name, tmp_path / "here")
    assert text == (FOLDER / f"{name}.txt").read_text(encoding="utf-8"), "bless it if the new one is better"


@pytest.mark.parametrize("name", CASES)
def test_one_mistake_one_message(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    errors = [line for line in text.splitlines() if "error[" in line or "error: " in line]
    assert len(errors) == 1
    if "error[" in errors[0]:
        assert errors[0][6:10] in CODES
    assert "Traceback" not in text
    assert "internal error" not in text


def test_every_case_has_its_message_and_no_message_is_left_over() -> None:
    assert set(CASES) == {path.stem for path in FOLDER.glob("*.txt")}
    assert len(CASES) >= 50


def bless() -> None:
    os.makedirs(FOLDER, exist_ok=True)
    texts = {}
    with tempfile.TemporaryDirectory() as made:
        make_runs(Path(made))
        for name in CASES:
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(made, Path(folder) / "here")
                try:
                    texts[name] = said(name, Path(folder) / "here")
                except AssertionError as error:
                    print(f"{name}: {error}")
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__" and "--bless" in sys.argv:
    bless()
