"""The commands that README.md shows, and what they print."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

from dgmppl import cli

ROOT = Path(__file__).parents[2]
PATH = ROOT / "README.md"
PICTURE = ROOT / "docs" / "pictures" / "vae.svg"

_CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
_ELIDED = "..."


def run(command: str) -> str:
    """What a `dgmppl` command prints on both streams, run from the top of the repository."""
    program, *arguments = shlex.split(command)
    assert program == "dgmppl", command
    printed = io.StringIO()
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            cli.main(arguments)
    finally:
        os.chdir(before)
    return printed.getvalue()


def draw(path: Path) -> None:
    """The picture of the spec that the page opens with."""
    assert run(f"dgmppl graph specs/latent/vae.dgm -o {path}") == ""


def updated(page: str) -> str:
    """The page with what its commands print now. Output that is cut with `...` keeps the lines that are shown."""
    return _CONSOLE.sub(lambda block: _block(block[0]), page)


def _block(text: str) -> str:
    pieces = re.split(r"^(\$ .*\n)", text, flags=re.MULTILINE)[1:]
    result = ""
    for command, shown in zip(pieces[::2], pieces[1::2]):
        printed = run(command[2:].strip())
        result += command + (shown if _shows(shown, printed) else printed)
    return result


def _shows(shown: str, printed: str) -> bool:
    """Whether cut output has the lines of the whole one, in order."""
    if _ELIDED not in shown.splitlines():
        return False
    lines = iter(printed.splitlines())
    return all(line in lines for line in shown.splitlines() if line != _ELIDED)
