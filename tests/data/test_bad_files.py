"""Bad data beside what is said of it: the cases of `bad_files`, and `tests/golden/data/<case>.txt`.

After a change of wording, `python -m tests.data.test_bad_files --bless` rewrites every message; read the difference.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import pytest

from dgmppl.diagnostics.codes import CODES
from tests.data.bad_files import CASES
from tests.data.support import message

FOLDER = Path(__file__).parents[1] / "golden" / "data"


def said(name: str, folder: Path) -> str:
    """What is said of a case; the disk must be as it was before it was asked."""
    asked = CASES[name](folder)
    asked = (asked,) if isinstance(asked, str) else asked
    options = dict(asked[-1]) if isinstance(asked[-1], dict) else {}
    lines = [line for line in asked if isinstance(line, str)]
    before = contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        library = options.pop("without", None)
        if library:
            patch.setitem(sys.modules, library, None)
        text = message(*lines, base=folder, **options)
    assert contents(folder) == before
    return text + "\n"


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder: a digest of what it holds, and when it was last written."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one(name: str, tmp_path: Path) -> None:
    text = said(name, tmp_path)
    assert text == (FOLDER / f"{name}.txt").read_text(encoding="utf-8"), "bless it if the new one is better"


@pytest.mark.parametrize("name", CASES)
def test_one_mistake_one_message_with_a_place(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert text.count("error[") == 1
    assert text[6:10] in CODES
    assert "--> spec.dgm:" in text


def test_every_case_has_its_message_and_no_message_is_left_over() -> None:
    assert set(CASES) == {path.stem for path in FOLDER.glob("*.txt")}
    assert len(CASES) >= 60


def bless() -> None:
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"{name}.txt").write_text(said(name, Path(folder)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--bless"]:
        raise SystemExit("usage: python -m tests.data.test_bad_files --bless")
    bless()
