"""Bad specs beside their messages: `tests/golden/bad/<topic>.dgm` and `<topic>.txt`.

After a change of wording, `python tests/test_bad_specs.py --bless` rewrites every message; read the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dgmppl.diagnostics.codes import CODES
from dgmppl.diagnostics.render import render
from dgmppl.pipeline import Checked, check, emit
from dgmppl.source import Source

FOLDER = Path(__file__).parent / "golden" / "bad"
SPECS = sorted(FOLDER.glob("*.dgm"))


def checked(path: Path) -> Checked:
    return check(Source(path.name, path.read_bytes().decode("utf-8")))


def message(path: Path) -> str:
    found = checked(path)
    return render(found.diagnostics, found.source) + "\n"


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_message_is_the_golden_one(path: Path) -> None:
    assert message(path) == path.with_suffix(".txt").read_text(encoding="utf-8"), "bless it if the new one is better"


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_codes_are_known_and_places_lie_in_the_file(path: Path) -> None:
    found = checked(path)
    assert found.diagnostics, "nothing is wrong with this spec"
    for d in found.diagnostics:
        assert d.code in CODES
        for span in [d.span, *(n.span for n in d.notes)]:
            assert span is not None and 0 <= span.start <= span.end <= len(found.source.text)


@pytest.mark.parametrize("path", [p for p in SPECS if p.stem.startswith("warning")], ids=lambda p: p.stem)
def test_a_spec_with_warnings_alone_compiles(path: Path) -> None:
    found = checked(path)
    assert {d.severity for d in found.diagnostics} == {"warning"}
    compile(emit(found).text, path.name, "exec")


def test_every_spec_has_its_message_and_no_message_is_left_over() -> None:
    assert {p.stem for p in SPECS} == {p.stem for p in FOLDER.glob("*.txt")}
    assert len(SPECS) >= 60


def bless() -> None:
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for path in SPECS:
        path.with_suffix(".txt").write_text(message(path), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--bless"]:
        raise SystemExit("usage: python tests/test_bad_specs.py --bless")
    bless()
