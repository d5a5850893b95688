"""The formatter changes white space and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmppl.diagnostics import SpecError
from dgmppl.source import Source
from dgmppl.syntax.format import format_spec
from dgmppl.syntax.parse import parse_spec

# --- specs as lists of tokens --------------------------------------------------------------------

names = st.sampled_from(["x", "y", "z", "z1", "mlp", "Normal", "a_long_name", "another_rather_long_name", "u"])
numbers = st.sampled_from(["0", "1", "16", "0.5", "1e-3", ".5", "2.", "2.5E+3"])


def _joined(items: list[list[str]], separator: str = ",") -> list[str]:
    return [token for i, item in enumerate(items) for token in ([separator] * (i > 0) + item)]


def _listed(item: st.SearchStrategy[list[str]], least: int = 1, most: int = 4) -> st.SearchStrategy[list[str]]:
    return st.lists(item, min_size=least, max_size=most).map(_joined)


def _larger(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    operators = st.sampled_from(["+", "-", "*", "/", "@", "^", ">>"])
    keyword = st.tuples(names, inner).map(lambda t: [t[0], "=", *t[1]])
    binding = st.tuples(names, inner).map(lambda t: [t[0], "in", *t[1]])
    past = names.map(lambda n: ["<", n])
    arguments = _listed(inner | keyword, least=0)
    items = _listed(inner | keyword | binding | past, least=0)
    records = st.tuples(_listed(keyword, least=0, most=3), st.booleans()).map(
        lambda t: ["{", *t[0], *[","] * (t[1] and bool(t[0])), "}"]
    )
    quotations = st.tuples(st.sampled_from(["p(", "q("]), references, st.none() | _listed(inner, most=2)).map(
        lambda t: [t[0], *t[1], *([] if t[2] is None else ["|", *t[2]]), ")"]
    )
    return st.one_of(
        st.tuples(inner, operators, inner).map(lambda t: [*t[0], t[1], *t[2]]),
        inner.map(lambda e: ["-", *e]),
        inner.map(lambda e: ["(", *e, ")"]),
        st.tuples(names, items, arguments).map(lambda t: [t[0], "[", *t[1], "]", "(", *t[2], ")"]),
        st.tuples(names, arguments).map(lambda t: [t[0], "(", *t[1], ")"]),
        st.tuples(_listed(names.map(lambda n: [n])), inner).map(lambda t: ["sum", "(", *t[0], ":", *t[1], ")"]),
        st.tuples(names, inner, inner, inner).map(
            lambda t: ["integrate", "(", t[0], "in", *t[1], "..", *t[2], ":", *t[3], ")"]
        ),
        quotations,
        records,
    )


leaves = st.one_of(
    names.map(lambda n: [n]),
    numbers.map(lambda n: [n]),
    st.sampled_from([["param"], ["true"], ["false"], ['"a # b"']]),
)
references = _listed(
    st.tuples(names, st.none() | leaves | st.just(["t", "-", "1"]) | st.just(["<", "d"])).map(
        lambda t: [t[0]] if t[1] is None else [t[0], "[", *t[1], "]"]
    ),
    most=3,
)
expressions = st.recursive(leaves, _larger, max_leaves=12)
ranges = st.tuples(leaves, leaves).map(lambda t: [*t[0], "..", *t[1]])
families = st.none() | st.tuples(names, ranges).map(lambda t: ["[", t[0], "in", *t[1], "]"])
types = st.tuples(names, st.none() | _listed(ranges | leaves, most=2), st.none() | _listed(leaves, most=3)).map(
    lambda t: [
        t[0],
        *([] if t[1] is None else ["(", *t[1], ")"]),
        *([] if t[2] is None else ["[", *t[2], "]"]),
    ]
)
per = st.sampled_from([[], [], ["per", "data"]])
field = ["from", "digits", ".", "image"]
threshold = ["from", "threshold", "(", *field[1:], ",", "8", ")"]
data = st.sampled_from([[], field, ["from", '"a.npz"', ".", "x"], threshold])
values = expressions.map(lambda e: ["=", *e])


def _statement(*parts: str | st.SearchStrategy[list[str] | None]) -> st.SearchStrategy[list[str]]:
    return st.tuples(*(st.just([p]) if isinstance(p, str) else p for p in parts)).map(
        lambda found: [token for part in found if part is not None for token in part]
    )


name = names.map(lambda n: [n])
heads = st.tuples(references, st.none() | references).map(
    lambda t: [*t[0], *([] if t[1] is None else ["|", *t[1]]), ")"]
)
statements = st.one_of(
    _statement(st.sampled_from([["observed"], ["latent"], ["partial"]]), name, families, ":", types, per, data),
    _statement("param", name, ":", types, st.none() | values),
    _statement("const", name, values),
    _statement("let", name, families, st.none() | types.map(lambda t: [":", *t]), values),
    _statement(st.sampled_from([["net"], ["flow"]]), name, values),
    _statement("flow", name, "(", name, st.sampled_from([[], ["[", "d", "]"], ["[", "d", ",", "j", "]"]]), ")", values),
    _statement("schedule", name, families, values),
    _statement(st.sampled_from([["p("], ["q("]]), heads, values),
    _statement(name, values),
    _statement("E", "(", references, ")", values),
    _statement("adversary", name, "(", references, ")", values),
    _statement("train", "{", _listed(_statement(name, values), least=0, most=3), "}"),
)
specs = st.lists(statements, max_size=6).map(lambda found: ["model", "m"] + [t for s in found for t in s])

spaces = st.sampled_from(
    [" ", " ", " ", "  ", "\n", "\n\n\n", "\t", "\r\n", " # one\n", "\n# two \n", "#\n", "  #! x\r\n"]
)


@st.composite
def mangled(draw: st.DrawFn, tokens: st.SearchStrategy[list[str]] = specs) -> str:
    """A spec with white space and comments anywhere between its tokens."""
    found = draw(tokens)
    gaps = draw(st.lists(spaces, min_size=len(found) + 1, max_size=len(found) + 1))
    return gaps[0] + "".join(token + gap for token, gap in zip(found, gaps[1:], strict=True))


def comments(text: str) -> list[str]:
    return sorted(c.rstrip() for s, c in re.findall(r'("[^"\n]*")|(#[^\n]*)', text) if not s)


def _tree(text: str) -> object:
    spec, diagnostics = parse_spec(Source("test.dgm", text))
    assert spec is not None, (text, diagnostics)
    return spec


@settings(max_examples=300, deadline=None)
@given(mangled())
def test_text_keeps_its_meaning_and_its_comments(text: str) -> None:
    formatted = format_spec(text)
    assert _tree(formatted) == _tree(text)
    assert comments(formatted) == comments(text)
    assert format_spec(formatted) == formatted


@settings(max_examples=100, deadline=None)
@given(specs, st.randoms(use_true_random=False))
def test_layout_depends_on_the_tokens_alone(tokens: list[str], random: object) -> None:
    one = format_spec(" ".join(tokens))
    other = format_spec("\t ".join(tokens) + " ")
    assert one == other
    assert all(line == line.rstrip() and "\t" not in line for line in one.split("\n"))


CANONICAL = """\
# A comment above.

model top_down_vae
const T = 100
observed x              : integer(0..16)[64] from digits.image  # data
latent   z1             : real[16]                              # upper
param    W              : real[64, 100] = normal(0.01)
latent   z[t in 0..T-1] : real[8]
let r1  : real[256] = mlp[256](x)
let r22 = f(r1)

p(z1) = Normal(0, 1)
# own line
p(x | z1)       = Normal(loc = mlp[256, out = tanh](z1), scale = -0.1 + 2^3)
p(x[d] | x[<d]) = Categorical(causal[256](x[<d]))
x[0]            = sum(i, j: W[i, j] * x[i])
adversary D(x) = mlp[256]
train { epochs = 1000, optimizer = adamax(1e-3) }
"""


def test_canonical_text_stays() -> None:
    assert format_spec(CANONICAL) == CANONICAL


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("model m\n\n\n\nlatent z:real\n\n", "model m\n\nlatent z : real\n"),
        ("model m latent z:real[ 4 ]latent   yy:real", "model m\nlatent z  : real[4]\nlatent yy : real\n"),
        ("model m x=f( -y,z )[ a ] ( b )", "model m\nx = f(-y, z)[a](b)\n"),
        ("model m x=1.0e-3+(a*b)", "model m\nx = 1.0e-3 + (a * b)\n"),
        (
            'model m observed x:real[2] from rescale( "a.csv" [ age ,"b  c" ] ,0,1 ) observed y:real from "y.npy"',
            'model m\nobserved x : real[2] from rescale("a.csv"[age, "b  c"], 0, 1)\n'
            'observed y : real from "y.npy"\n',
        ),
        ('model m observed x:real from "a.csv" . "b c"', 'model m\nobserved x : real from "a.csv"."b c"\n'),
        ("model m train{}", "model m\ntrain {}\n"),
        ("model m train{a=1,}", "model m\ntrain { a = 1, }\n"),
        (
            "model m train{a=1 # one\n,b=2}",
            "model m\ntrain {\n    a = 1,  # one\n    b = 2\n}\n",
        ),
        (
            "model m flow f(u)=u+integrate(t in 0..1:-t*u/2-g(u,t))",
            "model m\nflow f(u) = u + integrate(t in 0..1: -t * u / 2 - g(u, t))\n",
        ),
        ("model m\n#a\n\n#b\nx = 3", "model m\n# a\n\n# b\nx = 3\n".replace("# ", "#")),
        (
            "model m\nx = f(" + ", ".join(["a_rather_long_name"] * 6) + ")",
            "model m\nx = f(\n" + ",\n".join(["    a_rather_long_name"] * 6) + "\n)\n",
        ),
        (
            "model m\nlong = f(" + ", ".join(["a_rather_long_nam"] * 5) + ")",
            "model m\nlong = f(\n    " + ", ".join(["a_rather_long_nam"] * 5) + "\n)\n",
        ),
        (
            "model m\nx = " + " + ".join(["a_rather_long_name"] * 6),
            "model m\nx = " + " + ".join(["a_rather_long_name"] * 4) + "\n    + "
            + " + ".join(["a_rather_long_name"] * 2) + "\n",
        ),
    ],
)  # fmt: skip
def test_layout(text: str, formatted: str) -> None:
    assert format_spec(text) == formatted


def test_lines_are_short_where_they_can_be() -> None:
    text = "model m\np(x | z) = Normal(loc = mlp[" + ", ".join(["256"] * 40) + "](z), scale = mlp[64](z))"
    assert max(map(len, format_spec(text).split("\n"))) <= 100


def test_text_that_does_not_parse() -> None:
    with pytest.raises(SpecError) as error:
        format_spec("model m\nlatent z", "bad.dgm")
    assert error.value.diagnostics[0].code == "E108"
    assert error.value.source is not None
    assert error.value.source.name == "bad.dgm"
