"""What the parser makes of the language's constructs, and that any other text ends in diagnostics."""

from __future__ import annotations

import inspect
import random
import types
import typing
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmppl.diagnostics.render import render
from dgmppl.source import Source
from dgmppl.syntax import tree
from dgmppl.syntax.format import format_spec
from dgmppl.syntax.parse import parse_expression, parse_spec
from dgmppl.syntax.scan import RESERVED, SIDES

SPECS = [
    """model vae
observed x : integer(0..16)[64] from digits.image
latent   z : real[16]
p(z)     = Normal(0, 1)
p(x | z) = Categorical(mlp[256, 256](z))
q(z | x) = Normal(mlp[256, 256](x))
train { epochs = 1000, patience = 20, batch = 64, optimizer = adamax(1e-3) }
""",
    """model top_down_vae
observed x  : integer(0..16)[64] from digits.image
latent   z1 : real[16]
latent   z2 : real[8]
let r1 : real[256] = mlp[256](x)
let r2 : real[256] = mlp[256](r1)
p(z2)         = Normal(0, 1)
p(z1 | z2)    = Normal(mlp[256](z2))
p(x | z1)     = Categorical(mlp[256](z1))
q(z2 | x)     = Normal(linear(r2))
q(z1 | z2, x) = residual(p(z1 | z2), linear(r1))
""",
    """model priors
latent z : real[16]
p(z) = mixture[16](Normal(param, param))
p(z) = mixture[16](q(z | param))
p(z) = mixture[u in grid(4, 4)](Normal(mlp[64](u)))
p(z) = mixture[u in grid(4, 4)](q(z | mlp[64](u)))
p(z) = Normal(0, 1) >> 4 * (coupling[mlp[64]] >> reverse)
q(z | x) = Normal(mlp[256](x)) >> 4 * householder(mlp[256](x))
""",
    """model realnvp
observed x : integer(0..16)[64] from digits.image
latent   u : real[64]
flow f = 8 * (coupling[scale = mlp[256, 256, out = tanh], shift = mlp[256, 256]] >> reverse)
p(u) = Normal(0, 1)
x    = floor(f(u))
""",
    """model arm
observed x : integer(0..16)[64] from digits.image
p(x[d] | x[<d]) = Categorical(causal[256, 256, 256, kernel = 7](x[<d]))
""",
    """model rbm
observed x : binary[64] from threshold(digits.image, 8)
latent   h : binary[100]
param    W : real[64, 100] = normal(0.01)
E(x, h) = -x @ W @ h - b @ x - c @ h
E(x, h, s) = -sum(i, j, k: W[i,j,k] * x[i] * h[j] * s[j,k]) - b @ x - sum(j, k: D[j,k] * h[j] * s[j,k])
E(x, y) = -mlp[256](x)[y]
train { objective = contrastive_divergence(steps = 1, persistent = true) }
""",
    """model gan
observed x : interval(-1, 1)[64] from rescale(digits.image, -1, 1)
latent   z : real[16]
p(z) = Normal(0, 1)
x    = mlp[256, out = tanh](z)
adversary D(x) = mlp[256]
""",
    """model diffusion
const T = 100
observed x : interval(-1, 1)[64] from rescale(digits.image, -1, 1)
latent   z[t in 0..T] : real[64]
schedule beta[t in 1..T] = linear(1e-4, 0.02)
z[0] = x
q(z[t] | z[t-1]) = Normal(sqrt(1 - beta[t]) * z[t-1], sqrt(beta[t]))
p(z[T])          = Normal(0, 1)
p(z[t-1] | z[t]) = Normal(mlp[256, 256](z[t], t))
""",
    """model m2
partial  y : categorical(10) from labelled(digits.label, 100)
p(y)        = Categorical(uniform)
p(x | y, z) = Bernoulli(mlp[256](y, z))
train { objective = likelihood(weight = { x = 0.01 }) }
""",
    """model compressor
observed x : real[2, 3] from "mine.npz".spectra
latent   c : categorical(32)[16]
q(c | x)        = quantize(mlp[256](x))
p(c[d] | c[<d]) = Categorical(causal[128, 128, kernel = 4](c[<d]))
""",
]

EVERY_FIELD = """model every_field
const N = 3
const M : real[2] from "m.npy"
net f = mlp[skip = true, init = "zeros"]
observed a : real from "x.npy"
observed b : real from "table.csv"."blood pressure"
observed c : real[2] from "table.csv"[age, "blood pressure"]
observed d : real from "table.csv".age[missing = ["?", -1], where = [age in 1..9, "b c" in ["x", 2]]]
let g[t in 1..N] : real = sum(a)
let h = reshape(sum(c, axis = 0), [1])
train {}
train { accept = [W402, W401(w)] }
train { best = log p(b | a) }
latent w : real per data
partial y : real[2] elementwise from "y.npy"
let h[i, j] : real[2] = linear(x[i, j - 1])
flow r(u[d]) = u[d] + integrate(t in 0..1: f(u, t), steps = 2)
"""


def expression(text: str) -> tree.Expr:
    found, diagnostics = parse_expression(Source("", text))
    assert not diagnostics
    assert found is not None
    return found


@pytest.mark.parametrize("text", SPECS)
def test_specs_parse_and_keep_their_statements(text: str) -> None:
    spec, diagnostics = parse_spec(Source("good.dgm", text))
    assert diagnostics == ()
    assert spec is not None
    assert len(spec.statements) == text.count("\n") - 1
    starts = [s.span.start for s in spec.statements]
    lines = [text[: text.index("\n", s)].count("\n") for s in starts]
    assert lines == list(range(1, len(lines) + 1)), "each statement's span starts on its line"
    formatted, _ = parse_spec(Source("", format_spec(text)))
    assert formatted == spec


@pytest.mark.parametrize("name", sorted(RESERVED | SIDES))
def test_any_word_names_a_model(name: str) -> None:
    statements = ["flow f = reverse", "p(x) = Normal(0, 1)", "latent x : real", ""]
    for statement in statements:
        for between in ("\n", "\n\n", "  # of words\n", " "):
            text = f"model {name}{between}{statement}"
            if not statement.startswith("p(") or name not in SIDES or "\n" in between:
                spec, diagnostics = parse_spec(Source("", text))
                assert diagnostics == () and spec is not None, text
                assert (spec.name, len(spec.statements)) == (name, 1 if statement else 0)
                formatted, _ = parse_spec(Source("", format_spec(text)))
                assert formatted == spec


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a >> b >> c", "(a >> b) >> c"),
        ("a >> 4 * b", "a >> (4 * b)"),
        ("-a ^ 2", "-(a ^ 2)"),
        ("a ^ b ^ c", "a ^ (b ^ c)"),
        ("-a @ b", "(-a) @ b"),
        ("f[3](x)[y]", "(f[3](x))[y]"),
    ],
)
def test_precedence(text: str, same: str) -> None:
    assert expression(text) == expression(same)
    assert expression("a - b - c") != expression("a - (b - c)")


def test_spans_cover_what_they_name() -> None:
    text = SPECS[0]
    spec, _ = parse_spec(Source("", text))
    assert spec is not None
    x, _z, _p, likelihood, _q, _train = spec.statements
    assert isinstance(x, tree.Variable)
    assert text[x.name_span.start : x.name_span.end] == "x"
    assert text[x.span.start : x.span.end] == text.split("\n")[1]
    assert isinstance(likelihood, tree.Factor)
    assert text[likelihood.head_span.start : likelihood.head_span.end] == "p(x | z)"
    assert text[likelihood.value.span.start : likelihood.value.span.end] == "Categorical(mlp[256, 256](z))"


def nodes(value: object) -> Iterator[tree.Node]:
    if isinstance(value, tuple):
        for part in value:
            yield from nodes(part)
    elif isinstance(value, tree.Node):
        yield value
        yield from nodes(tuple(vars(value).values()))


def holds(value: object, annotation: object) -> bool:
    """Whether a value is of the annotated type itself: a token of the parser is no plain string."""
    if isinstance(annotation, types.UnionType):
        return any(holds(value, kind) for kind in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return type(value) is tuple and all(holds(part, typing.get_args(annotation)[0]) for part in value)
    return type(value) is annotation


def test_fields_hold_what_they_are_annotated_with() -> None:
    """Lark makes a class from the rule of its name, which no type checker sees: so every class is looked at here."""
    made: set[type] = set()
    for text in [*SPECS, EVERY_FIELD]:
        spec, diagnostics = parse_spec(Source("", text))
        assert diagnostics == ()
        for node in nodes(spec):
            made.add(type(node))
            for name, annotation in typing.get_type_hints(type(node)).items():
                assert holds(getattr(node, name), annotation), (node, name)
            if isinstance(node, tree.Named):
                assert text[node.name_span.start : node.name_span.end] == vars(node)["name"]
    classes = {c for _, c in inspect.getmembers(tree, inspect.isclass) if issubclass(c, tree.Node)}
    assert made == classes - {tree.Node, tree.Named, tree.Axis}


# --- no text does harm ---------------------------------------------------------------------------

MARKS = "( ) [ ] { } , = : | .. . < >> - * ** ~ ; ' \" # /* //"
WORDS = "p( q( E( E p model latent train param sum( integrate( in from true 1e 0x1 1e999 σ − latnet x[<d]"
FRAGMENTS = [*MARKS.split(), *WORDS.split(), "\n", "\t", " ", "\x00", "\ufeff", "\r", "\u2028", "import x"]


def mutate(text: str, random: random.Random) -> str:
    """The text with a few pieces deleted, doubled, moved or put in."""
    for _ in range(random.randint(1, 4)):
        i, j = sorted((random.randint(0, len(text)), random.randint(0, len(text))))
        j = min(j, i + random.choice([1, 3, 20]))
        match random.randrange(4):
            case 0:
                text = text[:i] + text[j:]
            case 1:
                text = text[:j] + text[i:]
            case 2:
                text = text[:i] + random.choice(FRAGMENTS) + text[i:]
            case 3:
                text = text[:i] + random.choice(FRAGMENTS) + text[j:]
    return text


def check_diagnosed(text: str) -> None:
    """Whatever the text, parsing gives a tree or diagnostics: in order, in the file, in words, and shown."""
    source = Source("mutated.dgm", text)
    spec, diagnostics = parse_spec(source)
    assert (spec is None) == bool(diagnostics)
    for found in diagnostics:
        assert found.span is not None
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert all(0 <= n.span.start <= n.span.end <= len(text) for n in found.notes)
        assert found.headline
        assert "__" not in found.headline + found.label or "__" in text
    assert render(diagnostics, source).count("error[E1") == len(diagnostics)
    places = [(d.code, d.span) for d in diagnostics]
    assert len(set(places)) == len(places), "nothing is said twice"
    if spec is not None:
        formatted = format_spec(text)
        assert parse_spec(Source("", formatted))[0] == spec
        assert format_spec(formatted) == formatted


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SPECS), st.integers(0, 2**32))
def test_mutated_specs(text: str, seed: int) -> None:
    check_diagnosed(mutate(text, random.Random(seed)))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.booleans())
def test_any_text(text: str, named: bool) -> None:
    check_diagnosed("model m\n" + text if named else text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*FRAGMENTS, "x", "3", "Normal"]), max_size=25).map(" ".join))
def test_any_tokens(text: str) -> None:
    check_diagnosed("model m\n" + text)
    parse_expression(Source("", text))
