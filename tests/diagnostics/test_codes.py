"""Every code explains itself, and its examples do what they say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.diagnostics.codes import CODES, explain_code
from dgmppl.diagnostics.render import render
from dgmppl.source import Source

PACKAGE = Path(__file__).parents[2] / "dgmppl"
SPECS = {code: entry for code, entry in CODES.items() if code[1] < "5"}
SHOWN = {code for code, entry in SPECS.items() if entry.bad}


@pytest.mark.parametrize("code", sorted(SHOWN))
def test_the_bad_spec_has_this_code_and_no_other(code: str) -> None:
    checked = pipeline.read(SPECS[code].bad)
    codes = {d.code for d in checked.diagnostics}
    assert codes == {code}, render(checked.diagnostics, Source("bad.dgm", SPECS[code].bad))


@pytest.mark.parametrize("code", sorted(SHOWN))
def test_the_good_spec_has_none(code: str) -> None:
    good = SPECS[code].good
    checked = pipeline.read(good)
    assert not checked.diagnostics, render(checked.diagnostics, Source("good.dgm", good))


def test_only_what_no_spec_shows_has_no_example() -> None:
    assert set(SPECS) - SHOWN == {"E111", "E310"}


def _given_out() -> set[str]:
    """The codes that stand as strings in the package's source, its catalogue apart."""
    codes: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name.startswith("codes"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                codes |= {node.value} if re.fullmatch(r"[EW]\d{3}", node.value) else set()
    return codes


def test_every_code_that_is_given_out_is_explained() -> None:
    assert _given_out() <= set(CODES)


def test_every_code_that_is_explained_is_given_out() -> None:
    assert set(SPECS) <= _given_out()


@pytest.mark.parametrize("code", sorted(CODES))
def test_entries_are_written_alike(code: str) -> None:
    entry = CODES[code]
    assert re.fullmatch(r"[EW][1-7]\d\d", code)
    assert entry.title
    assert not entry.title.endswith(".")
    assert entry.what.endswith(".")
    assert not entry.why or entry.why.endswith((".", ")"))
    assert bool(entry.bad) == bool(entry.good)
    assert entry.bad != entry.good or not entry.bad


def test_explanation() -> None:
    text = explain_code("E203")
    assert text.startswith("E203: supports that disagree\n\n")
    assert "\n\nwrong:\n    model binary_vae\n    observed x : binary[64]" in text
    assert "p(x | z) = Normal" in text.split("right:")[0]
    assert "p(x | z) = Bernoulli" in text.split("right:")[1]
    assert all(explain_code(code).startswith(code) for code in CODES)


@pytest.mark.parametrize(("asked", "near"), [("W4022", "W402"), ("e203", "E203"), ("nonsense", "codes go from")])
def test_unknown_code(asked: str, near: str) -> None:
    with pytest.raises(SpecError) as error:
        explain_code(asked)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E702"
    assert asked in diagnostic.headline
    assert near in diagnostic.help
