"""The commands that docs/people.md shows, and what they print, in a copy of examples/people."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dgmppl import cli

from .readme import ROOT

PATH = ROOT / "docs" / "people.md"
EXAMPLE = ROOT / "examples" / "people"

_CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
_SPEC = re.compile(r"(?<=```dgm\n)(.+?)(?=```)", re.DOTALL)
_FIGURE = re.compile(r"(-?\d+(?:\.\d+)?) *± *(\d+(?:\.\d+)?)")
_NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Each command with what is shown of what it prints."""
    for block in _CONSOLE.findall(page):
        command, _, shown = block.partition("\n")
        yield command.removeprefix("$ "), shown


def copied(folder: Path) -> Path:
    """The example without what was made there."""
    return Path(shutil.copytree(EXAMPLE, folder / "people", ignore=shutil.ignore_patterns("runs", "__pycache__")))


def run(command: str, folder: Path) -> str:
    """What a command prints on both streams, run from `folder`: of a fit what it says at its end."""
    program, *arguments = shlex.split(command)
    if program == "python":
        done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout
    assert program == "dgmppl", command
    printed = io.StringIO()
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            assert cli.main(arguments) == 0, printed.getvalue()
    finally:
        os.chdir(before)
    lines = printed.getvalue().splitlines(keepends=True)
    first = next((k for k, line in enumerate(lines) if "weights of epoch" in line), 0)
    return "".join(lines[first:])


def plain(printed: str) -> str:
    """What is printed without its numbers, which differ in their last digits from machine to machine."""
    return re.sub(r"[ #]+", " ", _NUMBER.sub("#", printed))


def shows(shown: str, printed: str) -> bool:
    """Whether a page shows what is printed but for the last digits of its numbers; where it is cut with `...`, some
    lines in order."""
    cut = "..." in shown.splitlines()
    if not cut and len(shown.splitlines()) != len(printed.splitlines()):
        return False
    lines = iter(printed.splitlines())
    found = (any(_same(line, other) for other in lines) for line in shown.splitlines() if line != "...")
    return all(found) if cut else all(map(_same, shown.splitlines(), printed.splitlines()))


def _same(shown: str, printed: str) -> bool:
    """Whether two lines are alike, and figures with an error within five of it of each other."""
    figures = zip(_FIGURE.findall(shown), _FIGURE.findall(printed))
    return plain(shown) == plain(printed) and all(
        abs(float(a) - float(b)) <= 5 * float(e) for (a, e), (b, _) in figures
    )


def updated(page: str, folder: Path) -> str:
    """The page with its spec, and what its commands print now."""
    here = copied(folder)
    page = _SPEC.sub(lambda _: (here / "people.dgm").read_text(), page)
    return _CONSOLE.sub(lambda block: _printed(block[0], here), page)


def _printed(block: str, folder: Path) -> str:
    first, _, shown = block.partition("\n")
    printed = run(first.removeprefix("$ "), folder)
    return f"{first}\n{shown if shows(shown, printed) else printed}"
