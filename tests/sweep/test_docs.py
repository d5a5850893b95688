"""docs/sweeps.md: its commands are ones that the command line takes, with ranges that the specs take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dgmppl.cli import _parser
from dgmppl.sweep.ranges import parse_ranges
from dgmppl.sweep.run import check_sweep

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^dgmppl .*$", PAGE, re.MULTILINE)
RANGES = [text.replace("\\|", "|") for text in re.findall(r"^\| `(\S+=.*?)` \|", PAGE, re.MULTILINE)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_taken(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options = _parser().parse_args(shlex.split(command)[1:])
    wanted = check_sweep(options.spec, options.over, by=options.by, storage=options.storage or "")
    assert wanted.search.figure


def test_ranges_are_read() -> None:
    assert len(parse_ranges(RANGES)) == len(RANGES) == 5
    assert len(COMMANDS) == 3
