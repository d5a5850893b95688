"""Syntax errors: the code, the place, and that each mistake gives one of them."""

from __future__ import annotations

import re

import pytest

from dgmppl.diagnostics import Diagnostic
from dgmppl.diagnostics.render import render
from dgmppl.source import Source
from dgmppl.syntax.parse import grammar, parse_expression, parse_spec

# A bad line, the code, the text under the carets ("" for a gap at a line's end), and words of the message.
LINES = [
    # notation of other languages
    ("x = y ** 2", "E107", "**", "`x^2`"),
    ("x = y == 2", "E107", "==", "no comparisons"),
    ("x := 3", "E107", ":=", "write `=`"),
    ("const T := 3", "E107", ":=", "write `=`"),
    ("x <- Normal(0, 1)", "E107", "<-", "write `=`"),
    ("z ~ Normal(0, 1)", "E107", "~", "p(z) = "),
    ("p(z) ~ Normal(0, 1)", "E107", "~", "p(z) = "),
    ("latent z ~ Normal(0, 1)", "E107", "~", "latent z : real"),
    ("import torch", "E107", "import", "no imports"),
    ("def f(x): return x", "E107", "def", "no functions"),
    ("net f = lambda x: x", "E107", "lambda", "no functions"),
    ("for t in range(10):", "E107", "for", "an index makes a family"),
    ("x = a if b else c", "E107", "if", "no conditions"),
    ("p(x given z) = Normal(z, 1)", "E107", "given", "p(x | z)"),
    ("// a comment", "E107", "//", "a comment starts with `#`"),
    ("% a comment", "E107", "%", "a comment starts with `#`"),
    ("x = 'a'", "E107", "'a'", "without quotes: `a`"),
    ("x = mlp[8, activation='relu'](z)", "E107", "'relu'", "without quotes: `relu`"),
    ("observed x : real from 'a.npz'.x", "E107", "'a.npz'", 'write `"a.npz"`'),
    ("x = 3;", "E107", ";", "without a mark"),
    ("p(x; z) = Normal(z, 1)", "E107", ";", "p(x | z)"),
    ("train { epochs = 1; batch = 2 }", "E107", ";", "commas"),
    ("x = [1, 2]", "E107", "[", "no lists"),
    ("x = a < b", "E107", "<", "no comparisons"),
    ("x = a > b", "E107", ">", "no comparisons"),
    ("observed x : integer(0...16)", "E107", "...", "two dots"),
    ('z = pyro.sample("z", dist.Normal(0, 1))', "E107", "pyro.sample", "p(z) = Normal(0, 1)"),
    ('pyro.sample("w", dist.Normal(0, 1))', "E107", "pyro.sample", "p(w) = Normal(0, 1)"),
    ("p(z) = dist.Normal(0, 1)", "E107", "dist.Normal", "`Normal(...)`"),
    ("net f = torch.nn.Linear(3, 4)", "E107", "torch.nn.Linear", "`Linear(...)`"),
    ("x = mlp[8](z).exp()", "E107", ".exp", "`exp(...)`"),
    # characters, strings, numbers
    ("x = −3", "E103", "−", "write `-`"),
    ("x = “a”", "E103", "“", 'write `"`'),
    ("x = 2 × 3", "E103", "×", "write `*`"),
    ("x = σ", "E103", "σ", "write `sigma`"),
    ("p(z) = Normal(μ, σ)", "E103", "μ", "write `mu`"),
    ("x = aμ", "E103", "aμ", "write `amu`"),
    ("x = café + 1", "E103", "café", "write `cafe`"),
    ("x = _y", "E103", "_y", "starts with a letter"),
    ("x = \x00", "E103", "\x00", "U+0000"),
    ("x = \u200b3", "E103", "\u200b", "ZERO WIDTH SPACE"),
    ('x = "abc', "E103", '"abc', "does not end"),
    ("x = 1e", "E103", "1e", "not a number"),
    ("x = 1e-", "E103", "1e-", "not a number"),
    ("x = 2z", "E103", "2z", "2 * z"),
    ("x = 0x1F", "E103", "0x1F", "not a number"),
    ("x = 1.2.3", "E103", "1.2.3", "not a number"),
    ("x = 1_000", "E103", "1_000", "write `1000`"),
    ("x = 1e999", "E103", "1e999", "too large"),
    ("x = 1.5e+999y", "E103", "1.5e+999", "too large"),
    # reserved words
    ("latent model : real", "E104", "model", "cannot be a name"),
    ("latent p : real", "E104", "p", "cannot be a name"),
    ("net q = mlp[2]", "E104", "q", "cannot be a name"),
    ("let E = 3", "E104", "E", "the energy"),
    ("x = f(let)", "E104", "let", "cannot be a name"),
    ("x = sum", "E104", "sum", "in parentheses"),
    ("x = integrate", "E104", "integrate", "in parentheses"),
    ("flow f(u[1]) = u[1]", "E101", "1", "a letter of its own"),
    ("flow f(u[<d]) = u[d]", "E101", "<", "a letter of its own"),
    ("flow f(u[d], v) = u[d]", "E101", ",", "maps one argument"),
    ("x = integrate(mlp[8](u))", "E101", "[", "names its time"),
    # brackets
    ("x = f(3))", "E105", ")", "closes nothing"),
    ("x = mlp[256)(z)", "E105", ")", "expected `]`"),
    ("x = f(3", "E105", "", "`)` is missing"),
    ("latent z : real[16", "E105", "", "`]` is missing"),
    ("train { epochs = 3", "E105", "", "`}` is missing"),
    ("p(z = Normal(0, 1)", "E105", "=", "`)` is missing"),
    # statements
    ("latnet z : real", "E106", "latnet", "did you mean `latent`?"),
    ("Latent z : real", "E106", "Latent", "did you mean `latent`?"),
    ("hidden h : binary", "E106", "hidden", "did you mean `latent`?"),
    ("parameter W : real", "E106", "parameter", "did you mean `param`?"),
    ("z : real[16]", "E106", "z", "without its role"),
    ("P(z) = Normal(0, 1)", "E106", "P", "`p(...)`"),
    ("D(x) = mlp[256]", "E106", "D", "adversary D(x)"),
    ("foo", "E106", "foo", "alone"),
    ("parameters { x }", "E106", "parameters", "did you mean `param`?"),
    ("observed x : real form digits.image", "E106", "form", "did you mean `from`?"),
    # what is missing
    ("latent z real[16]", "E108", "real", "`:` is missing"),
    ("latent z", "E108", "", "`z` has no type"),
    ("latent z :", "E108", "", "`z` has no type"),
    ("latent z = Normal(0, 1)", "E108", "=", "p(z) = "),
    ("latent : real", "E108", ":", "lacks a name"),
    ("latent a, b : real", "E108", ",", "one variable"),
    ("observed x : real digits.image", "E108", "digits", "`from` is missing"),
    ("observed x : real = digits.image", "E108", "=", "`from`"),
    ("observed x : real from", "E108", "", "lacks its data"),
    ("observed x : real from digits image", "E108", "image", "digits.image"),
    ("observed x : real from mine.npz.x", "E108", ".", "in quotes"),
    ("p(x[i][j]) = Normal(0, 1)", "E101", "[", "one pair of brackets"),
    ('observed x : real[1] from "a.csv"[1]', "E101", "1", "columns have names"),
    ('observed x : real[1] from "a.csv"[sum]', "E104", "sum", "in quotes"),
    ('observed x : real[1] from "a.csv"[]', "E101", "]", "no column"),
    ('observed x : real[2] from "a.csv"[age height]', "E109", "", "comma"),
    ('observed x : real[2] from "a.csv"[age,', "E105", "", "not closed"),
    ('observed x : real from "a.npz".', "E108", "", "field is missing"),
    ("param W = normal(0.01)", "E108", "=", "`W` has no type"),
    ("const T 100", "E108", "100", "`=` is missing"),
    ("const T : integer = 100", "E108", "=", "a number has no type"),
    ("const T =", "E108", "", "no right-hand side"),
    ("net f(x) = mlp[256](x)", "E108", "(", "without its inputs"),
    ("p(z) Normal(0, 1)", "E108", "Normal", "`=` is missing"),
    ("p(x | z) =", "E108", "", "no right-hand side"),
    ("x = y +", "E108", "", "breaks off after `+`"),
    ("train epochs = 3", "E108", "epochs", "braces"),
    ("adversary D = mlp[256]", "E108", "=", "lacks its arguments"),
    ("train { epochs = 3 batch = 4 }", "E109", " ", "between `3` and `batch`"),
    ("x = Normal(0 1)", "E109", " ", "between `0` and `1`"),
    ("p(x y) = Normal(0, 1)", "E109", " ", "between `x` and `y`"),
    # parts that do not fit
    ("p = Normal(0, 1)", "E101", "p", "p(z) = "),
    ("p() = Normal(0, 1)", "E101", ")", "names no variable"),
    ("p(x | ) = Normal(0, 1)", "E101", ")", "leave it out"),
    ("p(x | y | z) = Normal(0, 1)", "E101", "|", "second `|`"),
    ("p(x | f(z)) = Normal(0, 1)", "E101", "(", "only variables"),
    ("x = 3 * / 4", "E101", "/", "after `*`"),
    ("x = f(1, )", "E101", ")", "nothing stands between"),
    ("x = Categorical mlp[256](z)", "E101", "mlp", "after `Categorical`"),
    ("observed x : integer[0..16]", "E101", "..", "integer(0..16)[64]"),
    ("latent z[16] : real", "E101", "16", "z[t in 1..16]"),
    ("latent z[t = 1..3] : real", "E101", "=", "t in 1..T"),
    ("train { epochs : 5 }", "E101", ":", "given with `=`"),
    ("p(x | x[<3]) = Normal(0, 1)", "E101", "3", "`x[<d]`"),
    ("x = sum(i in 1..3: y[i])", "E101", "in", "no range"),
    ("x = y y2", "E101", "y2", "after `y`"),
    ("p(z) = (0, 1)", "E101", ",", "behind a name"),
    ("model second", "E102", "model", "second model"),
]


def errors(text: str) -> tuple[Diagnostic, ...]:
    spec, diagnostics = parse_spec(Source("bad.dgm", text))
    assert (spec is None) == bool(diagnostics)
    return diagnostics


def _says(found: Diagnostic) -> str:
    return " / ".join([found.headline, found.label, found.help])


def _check(found: Diagnostic, text: str, code: str, place: str, words: str) -> None:
    assert found.span is not None
    marked = text[found.span.start : found.span.end]
    assert (found.code, marked.strip(), words in _says(found)) == (code, place.strip(), True), found


@pytest.mark.parametrize(("line", "code", "place", "words"), LINES)
def test_one_mistake_one_message(line: str, code: str, place: str, words: str) -> None:
    for text in (f"model m\n{line}", f"model m\nconst a = 1\n{line}\nlatent b : real\nlatent c : real[2]\n"):
        found = errors(text)
        assert len(found) == 1, render(found, Source("bad.dgm", text))
        _check(found[0], text, code, place, words)
        assert found[0].span is not None
        assert Source("", text).position(found[0].span.start)[0] == (2 if text.count("\n") == 1 else 3)


def test_no_grammar_in_messages() -> None:
    terminals = {t.name for t in grammar().terminals} - {"E"}
    for line, *_ in LINES:
        for found in errors(f"model m\n{line}"):
            said = re.sub(r"\(U\+[^)]*\)", "", _says(found))
            assert not terminals & set(re.findall(r"[A-Z_$]\w+", said)), said


def test_all_mistakes_of_a_file_at_once() -> None:
    """Every line above in one file: nothing is hidden by an earlier line, and nothing is said twice."""
    lines = [case for case in LINES if case[0] not in ("train { epochs = 3", "train epochs = 3")]
    text = "model m\n" + "\nconst fine = 1\n".join(line for line, *_ in lines[:90]) + "\n"
    found = errors(text)
    places = [Source("", text).position(d.span.start)[0] for d in found if d.span is not None]
    assert places == [2 + 2 * i for i in range(90)]
    assert [d.code for d in found] == [code for _, code, _, _ in lines[:90]]


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("", "E102", "", "the file is empty"),
        ("  \n\n", "E102", "", "the file is empty"),
        ("# nothing\n", "E102", "", "nothing but comments"),
        ("latent z : real\n", "E102", "latent", "missing"),
        ("p(z) = Normal(0, 1)\n", "E102", "p", "missing"),
        ("modle vae\nlatent z : real", "E102", "modle", "not `modle`"),
        ("modelvae\nlatent z : real", "E102", "modelvae", "write `model vae`"),
        ("model\nlatent z : real", "E102", "", "has no name"),
        ("model\n", "E102", "", "has no name"),
        ("model # flow\nlatent z : real", "E102", "", "has no name"),
        ("model latent z : real", "E102", "latent", "has no name"),
        ("model flow = 3\nlatent z : real", "E102", "flow", "has no name"),
        ("model train { seed = 1 }\nlatent z : real", "E102", "train", "has no name"),
        ('model "vae"', "E102", '"vae"', "plain word"),
        ("model vae-2", "E102", "-", "after the model's name"),
        ("model vae {\nlatent z : real\n}\n", "E102", "{", "after the model's name"),
        ("model two level vae\nlatent z : real", "E102", "level", "write `model two_level_vae`"),
        ("model vae flow\nlatent z : real", "E102", "flow", "write `model vae_flow`"),
        ("model net flow\nlatent z : real", "E102", "flow", "write `model net_flow`"),
        ("\ufeffmodel vae\nlatent z : real", "E103", "\ufeff", "byte order mark"),
        ("This is a letter.\nIt is no model.\n", "E102", "This", "missing"),
    ],
)
def test_the_model_line(text: str, code: str, place: str, words: str) -> None:
    found = errors(text)
    assert len(found) == 1, found
    _check(found[0], text, code, place, words)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("latent z real\np(z) = f(1 2)\n", ["E102", "E108", "E109"]),
        ("model m\np(x | z) =\np(z) = Normal(0 1)\n", ["E108", "E109"]),
        ("model m\nconst T =\nx = f(u)\nlatent z\ny = 3\n", ["E108", "E108"]),
        ("model m\np(z) = Normal(\n  0, 1\np(x) = 3 3\n", ["E105", "E101"]),
        ("model m\np(z) = Normal(0 0,\n  1 1,\n2 2)\nlatnet z : real", ["E109", "E106"]),
        ("model m\ntrain {\n    epochs = 3\n    batch = 4\n    patience = 2\n}\nlatent z", ["E109", "E108"]),
        ("model m\ntrain { objective = elbo(\n}\nlatent z\n", ["E105", "E108"]),
        ("model m\n/* one\nlet us see\n*/\nlatent z", ["E107", "E108"]),
        ("model m\nclass A:\n    def f(self):\n        return 1\nlatent z", ["E107", "E108"]),
        ("model m\nz ~ f(\n  1,\n  2\n)\nlatnet y : real\n", ["E107", "E106"]),
        ("model a\nmodel b\nlatent z\n", ["E102", "E108"]),
    ],
)
def test_reading_goes_on_at_the_next_statement(text: str, codes: list[str]) -> None:
    assert [d.code for d in errors(text)] == codes


@pytest.mark.parametrize(
    ("first", "code", "words"),
    [
        ("// a comment", "E107", "starts with `#`"),
        ("/* a\n   comment */", "E107", "starts with `#`"),
        ("-- a comment", "E107", "starts with `#`"),
        ("import torch", "E107", "no imports"),
        ("data {\n  int N;\n}", "E102", "missing"),
        ("z = f(x)", "E102", "missing"),
    ],
)
def test_what_stands_before_the_model_line_makes_one_message(first: str, code: str, words: str) -> None:
    (found,) = errors(f"{first}\nmodel m\nlatent z : real\n")
    assert found.code == code
    assert words in _says(found)
    assert [d.code for d in errors(f"{first}\nmodel m\nlatent y\nlatent z : real\nmodel n\n")] == [code, "E108", "E102"]


def test_opening_bracket_is_shown() -> None:
    text = "model m\np(z) = Normal(\n  0, 1\nlatent z : real\n"
    (found,) = errors(text)
    assert [text[n.span.start : n.span.end] for n in found.notes] == ["("]
    assert found.span is not None
    assert Source("", text).position(found.span.start) == (3, 7)


@pytest.mark.parametrize(
    ("nested", "code"),
    [
        ("(" * 101 + "1" + ")" * 101, "E110"),
        ("(" * 100_000, "E110"),
        ("f(" * 101 + ")" * 101, "E110"),
        ("-" * 5_000 + "1", "E110"),
        ("1" + "^2" * 5_000, "E110"),
        ("1" + " + 2" * 5_000, "E110"),
        ("f" + "(1)" * 5_000, "E110"),
        ("1" * 1_000_001, "E111"),
    ],
)
def test_limits(nested: str, code: str) -> None:
    assert [d.code for d in errors(f"model m\nx = {nested}\n")] == [code]


def test_deepest_allowed() -> None:
    assert not errors("model m\nx = " + "(" * 100 + "1" + ")" * 100)
    assert not errors("model m\nx = " + " + ".join(["y"] * 90))
    assert not errors("model m\nx = " + "f(" * 90 + "y" + ")" * 90)


def test_many_errors_end() -> None:
    assert len(errors("model m\n" + "latent z\n" * 1000)) == 100


@pytest.mark.parametrize(
    ("text", "code"),
    [("1 +", "E108"), ("", "E101"), ("f(1", "E105"), ("1 2", "E101"), ("2 ** 3", "E107")],
)
def test_expressions(text: str, code: str) -> None:
    tree, found = parse_expression(Source("--set", text))
    assert tree is None
    assert [d.code for d in found] == [code]


@pytest.mark.parametrize(
    "text",
    [
        "train { model = adam, flow = 3, latent = 2 }",  # settings may be called anything
        "x = f(p = 0.1, let = 3)[in = 2]",
        "observed x : real from digits.train",
        "observed x : real from digits",  # which of its fields is asked once names are known
        'observed x : real from "x.npy"',
        'observed x : real[3] from rescale("table.csv"[age, "train", "blood pressure"], 0, 1)',
        "p(x)\n  =\n  Normal(0,\n1)",
        "x = f(\nq(z | x)\n)",
        "latent z : real latent y : real",
    ],
)
def test_what_is_fine(text: str) -> None:
    assert errors(f"model m\n{text}\nlatent b : real") == ()
