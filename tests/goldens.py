"""Commands that cannot work, beside what is said of them: a text for each in a folder of `tests/golden`.

A list of cases says what all of them find on the disk; `tests/test_bad_commands.py` runs every list.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgmppl.cli import main
from dgmppl.diagnostics.codes import CODES
from tests.data.test_bad_files import contents

Prepare = Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[None] | None]
"""Changes the folder before the command; what it gives is held while the command runs."""

Cases = dict[str, tuple[str, Prepare]]
"""By name a command, and what is done before it."""


@dataclass(frozen=True)
class Goldens:
    """Cases and their messages.

    Attributes:
        name: of the folder of messages.
        cases: by the names of the messages.
        make: makes what every case finds in its folder.
    """

    name: str
    cases: Cases
    make: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        return Path(__file__).parent / "golden" / self.name

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text(encoding="utf-8")

    def said(self, name: str, made: Path, folder: Path) -> str:
        """What a case's command prints, on both streams, in a copy of what was made; the command changes nothing."""
        command, prepare = self.cases[name]
        shutil.copytree(made, folder)
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("COLUMNS", "100")
            with prepare(folder, patch) or contextlib.nullcontext():
                before = contents(folder)
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    try:
                        status = main(shlex.split(command))
                    except SystemExit as stop:
                        status = int(stop.code or 0)
                assert contents(folder) == before, name
        text = printed.getvalue().replace(str(folder.resolve()), "FOLDER")
        assert status in (1, 2), text
        # How argparse shows usage and choices differs between versions of Python.
        text = re.sub(r"^usage: .*?(?=^dgmppl \w+: error)", "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"\(choose from .*\)", lambda choices: choices[0].replace("'", ""), text)
        return f"$ dgmppl {command}\n{text}"

    def verify(self, name: str, made: Path, folder: Path) -> None:
        assert self.said(name, made, folder) == self.text(name), "bless it if the new one is better"

    def verify_one_mistake(self, name: str) -> None:
        """One mistake, one message."""
        text = self.text(name)
        errors = [line for line in text.splitlines() if "error[" in line or "error: " in line]
        assert len(errors) == 1
        if "error[" in errors[0]:
            assert errors[0][6:10] in CODES
        assert "Traceback" not in text
        assert "internal error" not in text

    def verify_complete(self, least: int) -> None:
        """Every case has its message, and no message is left over."""
        assert set(self.cases) == {path.stem for path in self.folder.glob("*.txt")}
        assert len(self.cases) >= least

    def bless(self) -> None:
        """Writes every message anew."""
        texts = {}
        with tempfile.TemporaryDirectory() as made:
            self.make(Path(made))
            for name in self.cases:
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        texts[name] = self.said(name, Path(made), Path(folder) / "here")
                    except AssertionError as error:
                        print(f"{name}: {error}")
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.glob("*.txt"):
            path.unlink()
        for name, text in texts.items():
            (self.folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")


__all__ = ["Cases", "Goldens", "Prepare"]
