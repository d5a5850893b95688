"""How diagnostics look: text is compared as a whole, so that what is read here is what is shown."""

from __future__ import annotations

import json

import pytest

from dgmppl.diagnostics import Diagnostic, Note
from dgmppl.diagnostics.render import render
from dgmppl.source import Source, Span

SPEC = """\
model vae
observed x : binary[64] from threshold(digits.image, 8)
latent   z : real[16]

p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[256](z))
"""
SOURCE = Source("specs/vae.dgm", SPEC)


def span(part: str, text: str = SPEC) -> Span:
    assert text.count(part) == 1
    return Span(text.index(part), text.index(part) + len(part))


SUPPORTS = Diagnostic(
    "E203",
    "Normal has real support, but `x` is binary",
    Span(SPEC.rindex("Normal"), SPEC.rindex("Normal") + 6),
    "real",
    (Note(span("binary"), "declared here"),),
    "Bernoulli has the support of `x`:  p(x | z) = Bernoulli(mlp[256](z))",
)


def test_the_example_of_the_design() -> None:
    assert (
        render([SUPPORTS], SOURCE)
        == """\
error[E203]: Normal has real support, but `x` is binary
  --> specs/vae.dgm:6:12
   |
 2 | observed x : binary[64] from threshold(digits.image, 8)
   |              ------ declared here
 6 | p(x | z) = Normal(mlp[256](z))
   |            ^^^^^^ real
   |
help: Bernoulli has the support of `x`:  p(x | z) = Bernoulli(mlp[256](z))"""
    )


def test_notes_stand_in_the_order_of_lines() -> None:
    notes = (Note(span("Normal(mlp[256](z))"), "last"), Note(span("latent"), "first"))
    shown = render([Diagnostic("E201", "h", span("p(z)     "), "middle", notes)], SOURCE)
    assert [line for line in shown.split("\n") if "^" in line or ("--" in line and ">" not in line)] == [
        "   | ------ first",
        "   | ^^^^^^^^^ middle",
        "   |            ------------------- last",
    ]


def test_two_marks_in_a_line() -> None:
    text = "p(z) = Normal(0, 1\n"
    shown = render(
        [Diagnostic("E105", "h", Span(18, 18), "missing", (Note(span("(0", text), "opened"),))],
        Source("a", text),
    )
    assert shown.split("\n")[3:6] == [
        " 1 | p(z) = Normal(0, 1",
        "   |                   ^ missing",
        "   |              -- opened",
    ]


def test_several_lines() -> None:
    place = Span(span("latent").start, span("p(z)     = Normal").end)
    assert (
        render([Diagnostic("E1", "h", place, "all this")], SOURCE)
        == """\
error[E1]: h
  --> specs/vae.dgm:3:1
   |
 3 | latent   z : real[16]
   | ^^^^^^^^^^^^^^^^^^^^^
 5 | p(z)     = Normal(0, 1)
   | ^^^^^^^^^^^^^^^^^ all this
   |"""
    )


@pytest.mark.parametrize("text", ["", "\n", "model", "model\n", "model\n\n"])
def test_end_of_file(text: str) -> None:
    end = len(text)
    shown = render([Diagnostic("E102", "h", Span(end, end), "here")], Source("a.dgm", text))
    line, column = Source("", text).position(end)
    assert f"a.dgm:{line}:{column}" in shown
    assert shown.split("\n")[4] == "   | " + " " * (column - 1) + "^ here"


def test_no_place() -> None:
    assert render([Diagnostic("E111", "too large")], SOURCE) == "error[E111]: too large\n  --> specs/vae.dgm"
    assert render([Diagnostic("E701", "no such flag", help="a\nb")], None) == (
        "error[E701]: no such flag\nhelp: a\n      b"
    )
    assert render([SUPPORTS], None).count("\n") == 1


def test_a_span_outside_the_text_is_no_crash() -> None:
    assert "vae.dgm:7:1" in render([Diagnostic("E1", "h", Span(10_000, 10_001))], SOURCE)


def test_line_numbers_of_different_width() -> None:
    text = "\n" * 8 + "ab\nabc\n"
    found = Diagnostic("E1", "h", Span(8, 10), "", (Note(Span(11, 14), "n"),))
    assert (
        render([found], Source("a", text))
        == """\
error[E1]: h
   --> a:9:1
    |
  9 | ab
    | ^^
 10 | abc
    | --- n
    |"""
    )


def test_tabs_and_wide_characters() -> None:
    text = "\tx\t= 日本 y"
    shown = render([Diagnostic("E1", "h", span("y", text), "y")], Source("a", text))
    assert shown.split("\n")[3:5] == [" 1 |     x   = 日本 y", "   |                ^ y"]
    assert "a:1:9" in shown


def test_terminals_take_no_commands() -> None:
    text = "x = \x1b[31m\u202e3"
    shown = render(
        [Diagnostic("E1", "h\x1b[2J", Span(0, 1), "l\x07", help="\x1b]0;")],
        Source("a\x1b", text),
        color=False,
    )
    assert not {c for c in shown if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize("at", [0, 60, 500, 985])
def test_long_lines_are_cut_around_the_place(at: int) -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(1000))
    shown = render([Diagnostic("E1", "h", Span(at, at + 15), "here")], Source("a", text)).split("\n")
    line, marks = shown[3][5:], shown[4][5:]
    assert len(line) <= 113
    start = marks.index("^")
    assert line[start : start + 15] == text[at : at + 15]
    assert marks.count("^") == 15


def test_a_long_span_is_cut() -> None:
    shown = render([Diagnostic("E1", "h", Span(0, 5000), "here")], Source("a", "x" * 5000)).split("\n")
    assert max(map(len, shown)) < 140


def test_long_words_are_cut() -> None:
    found = Diagnostic("E1", "x" * 100_000, Span(0, 1), "y" * 100_000, help="z" * 100_000)
    assert len(render([found], Source("a", "b"))) < 7_000
    assert len(json.loads(render([found], None, format="json"))[0]["headline"]) < 3_000


def test_count_of_several() -> None:
    warning = Diagnostic("W402", "unused", span("z : real"), severity="warning")
    assert render([SUPPORTS, warning, SUPPORTS], SOURCE).endswith("\n\n2 errors, 1 warning")
    assert render([warning], SOURCE).startswith("warning[W402]: unused\n")
    assert render([], SOURCE) == ""


def test_color_only_adds_escapes() -> None:
    import re

    colored = render([SUPPORTS, SUPPORTS], SOURCE, color=True)
    assert "\033[1;31m" in colored
    assert re.sub(r"\033\[[0-9;]*m", "", colored) == render([SUPPORTS, SUPPORTS], SOURCE)


def test_json() -> None:
    found = json.loads(render([SUPPORTS, Diagnostic("E701", "flag")], SOURCE, format="json"))
    assert found[0] == {
        "code": "E203",
        "severity": "error",
        "headline": SUPPORTS.headline,
        "file": "specs/vae.dgm",
        "line": 6,
        "column": 12,
        "end_line": 6,
        "end_column": 18,
        "label": "real",
        "notes": [{"line": 2, "column": 14, "end_line": 2, "end_column": 20, "label": "declared here"}],
        "help": SUPPORTS.help,
    }
    assert found[1]["line"] is None
    assert json.loads(render([], None, format="json")) == []


def test_unknown_format() -> None:
    with pytest.raises(ValueError, match="yaml"):
        render([], None, format="yaml")
