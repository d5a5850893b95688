"""Random changes of good specs, as a hurried or a hostile hand would make them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from dgmppl.diagnostics.codes import CODES
from dgmppl.supports import SUPPORTS

ROOT = Path(__file__).parent.parent

# What the other specs have no example of.
_MORE = (
    """model grid_mixture
observed x : binary[64] from threshold(digits.image, 8)
observed y : categorical(10) from digits.label
latent z : real[2]
param w : real[16] = normal(0.1)
p(z | y) = mixture[u in grid(4, 4), weights = w](q(z | mlp[8](u), y))
p(x | z, y) = Bernoulli(mlp[8](z, y))
flow g = 2 * (coupling[mlp[8]](y) >> permute[seed = 3])
q(z | x, y) = Normal(loc = linear(x, y), scale = 0.1) >> affine(mlp[8](x)) >> g
train { objective = iwae(5), batch = 8, clip = 1.5, seed = 3 }
""",
    """model third_order
const K = 3
observed x : binary[6] from "small.npz".x
latent h : binary[K]
latent s : real[2]
param W : real[6, K, 2] = normal(0.1)
param b : real[6]
net f = mlp[8, activation = tanh]
E(x, h, s) = -sum(i, j, k: W[i, j, k] * x[i] * h[j] * s[k]) - b @ x + sum(s ^ 2) / 2 + f(s)
train { objective = contrastive_divergence(steps = 2, persistent = true, chains = 8) }
""",
    """model autoencoder
observed x : real[2] from moons.point
latent z : real[2]
latent w : positive[3]
let r = tanh(x) + 0.5 * sqrt(abs(x)) - x / 2
p(z) = Laplace(param, exp(param))
p(w | z) = Gamma(mlp[8](z), 1)
p(x | z, w) = StudentT(3, linear(z), softplus(linear(w)))
q(w | x) = LogNormal(mlp[8](r))
q(z | x, w) = Normal(mlp[8](r, w)) >> householder(mlp[4](x))
adversary D(x, z) = mlp[8]
train { objective = elbo(beta = 2, weight = { x = 0.5 }) }
""",
    """model sequence
observed x : categorical(5)[7] from "letters.npz".x
observed y : interval(0, 1)[3] from rescale(standardize("letters.npz".y), 0, 1)
p(x[d] | x[<d], y) = Categorical(masked[16](x[<d], y))
train { optimizer = sgd(1e-2, momentum = 0.9), adversary_steps = 2 }
""",
    """model counts
observed n : integer[4] from "counts.npz".n
latent u : integer[4]
latent z[t in 0..2] : real[3]
flow f = 2 * (coupling[shift = mlp[8]] >> reverse)
p(u | z[0]) = DiscretizedLogistic(mlp[8](z[0]))
n = f(u)
p(z[2]) = mixture[3](Normal(param, param))
p(z[t] | z[t+1]) = Normal(mlp[8](z[t+1], t))
q(z[t] | n) = Normal(mlp[8](n, t))
""",
    """model shares
observed a : unit[3] from rescale("shares.csv"[one, "two and", three], 0, 1)
observed s : simplex[4] from "shares.npy"
latent v : unit[2]
p(v) = Beta(2, 3)
p(a | v) = Normal(linear(v), 1) >> sigmoid
p(s | v) = Dirichlet(mlp[8](v))
q(v | a, s) = Beta(mlp[8](a, s))
""",
)


def corpus() -> list[str]:
    """Good specs: the model library, the compositions, the examples beside the codes, and what none of them shows."""
    paths = [*sorted(ROOT.glob("specs/*/*.dgm")), *sorted(ROOT.glob("tests/contracts/specs/*.dgm"))]
    library = [path.read_text(encoding="utf-8") for path in paths]
    examples = [code.good for code in CODES.values() if code.good.startswith("model")]
    return [*library, *dict.fromkeys(examples), *_MORE]


_TOKEN = re.compile(r'\d+\.?\d*(?:[eE][+-]?\d+)?|\w+|"[^"\n]*"|>>|\.\.|\s+|.', re.DOTALL)
_NUMBERS = ("0", "-1", "1e9", "1e400", "0.5", "1", "2", "3", "64", "1e-320", "1e308", "100000000000000000000", "-0.0")
_WORDS = (
    *("observed", "latent", "partial", "param", "const", "let", "net", "flow", "schedule", "adversary", "train"),
    *(
        "model",
        "from",
        "per",
        "in",
        "sum",
        "integrate",
        "true",
        "false",
        "p",
        "q",
        "E",
        "x",
        "y",
        "z",
        "u",
        "h",
        "t",
        "d",
        "W",
    ),
    *SUPPORTS,
    *("Normal", "Categorical", "Bernoulli", "Beta", "Dirichlet", "Poisson", "mixture", "residual", "quantize"),
    *("grid", "uniform", "mlp", "linear", "causal", "masked", "coupling", "reverse", "permute", "householder"),
    *("affine", "sigmoid", "tanh", "exp", "log", "floor", "sqrt", "digits", "moons", "image", "label", "point"),
    *("self", "torch", "loss", "None", "lambda", "class", "forward", "terms", "prior", "step", "normal"),
)
_MARKS = (
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "=",
    "|",
    "..",
    ">>",
    "+",
    "-",
    "*",
    "/",
    "@",
    "^",
    "<",
    ".",
    '"',
    "#",
    "\n",
)
_NOISE = (
    "\0",
    "é",
    "“",
    "\u202e",
    "\U0001f600",
    "\t",
    "\r",
    "\x1b[31m",
    "\ufeff",
    "'",
    '"""',
    "\\",
    "\u2028",
    "$",
    "`",
    "%s",
    "{0}",
)


def _token(rng: random.Random, text: str, _: list[str]) -> str:
    """One token deleted, doubled, swapped with another, or replaced."""
    tokens = _TOKEN.findall(text) or [""]
    k = rng.randrange(len(tokens))
    kind = rng.randrange(5)
    if kind == 0:
        del tokens[k]
    elif kind == 1:
        tokens.insert(k, tokens[k])
    elif kind == 2:
        other = rng.randrange(len(tokens))
        tokens[k], tokens[other] = tokens[other], tokens[k]
    elif kind == 3:
        tokens[k] = rng.choice(rng.choice((_NUMBERS, _WORDS, _MARKS)))
    else:
        tokens[k] = rng.choice([t for t in tokens if not t.isspace()] or [""])
    return "".join(tokens)


def _like(rng: random.Random, text: str, _: list[str]) -> str:
    """A number for a number, a name for a name: most often still a well-formed text."""
    tokens = _TOKEN.findall(text)
    places = [k for k, t in enumerate(tokens) if t[0].isalnum()]
    if places:
        k = rng.choice(places)
        if tokens[k][0].isdigit():
            tokens[k] = rng.choice(_NUMBERS)
        else:
            names = [t for t in tokens if t[0].isalpha()]
            tokens[k] = rng.choice(rng.choice((names, _WORDS)))
    return "".join(tokens)


def _line(rng: random.Random, text: str, specs: list[str]) -> str:
    """A line deleted, doubled, moved, or taken from another spec."""
    lines = text.split("\n")
    k = rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[k]
    elif kind == 1:
        lines.insert(k, lines[k])
    elif kind == 2:
        lines.insert(rng.randrange(len(lines)), lines.pop(k))
    else:
        lines.insert(k, rng.choice(rng.choice(specs).split("\n")))
    return "\n".join(lines)


def _splice(rng: random.Random, text: str, specs: list[str]) -> str:
    """The right-hand side of a line put to another's left-hand side, across specs."""
    mine, theirs = text.split("\n"), rng.choice(specs).split("\n")
    k, other = rng.randrange(len(mine)), rng.choice(theirs)
    if " = " in mine[k] and " = " in other:
        mine[k] = mine[k].split(" = ", 1)[0] + " = " + other.split(" = ", 1)[1]
    elif " : " in mine[k] and " : " in other:
        mine[k] = mine[k].split(" : ", 1)[0] + " : " + other.split(" : ", 1)[1]
    return "\n".join(mine)


def _character(rng: random.Random, text: str, _: list[str]) -> str:
    k = rng.randrange(len(text) + 1)
    return text[:k] + rng.choice(_NOISE) + text[k + rng.randrange(2) :]


def _nest(rng: random.Random, text: str, _: list[str]) -> str:
    """A name or number wrapped in many brackets, calls, signs or sums."""
    places = list(re.finditer(r"\w+", text)) or [re.match("", text)]
    at = rng.choice(places)
    assert at is not None
    before, after = rng.choice(
        (("(", ")"), ("-", ""), ("exp(", ")"), ("mlp[2](", ")"), ("1 + ", ""), ("[", "]"), ("2 * (", ")"))
    )
    depth = rng.choice((1, 2, 5, 60, 2000))
    return text[: at.start()] + before * depth + at.group() + after * depth + text[at.end() :]


def _cut(rng: random.Random, text: str, _: list[str]) -> str:
    return text[: rng.randrange(len(text) + 1)]


Change = Callable[[random.Random, str, list[str]], str]
_CHANGES: tuple[tuple[Change, int], ...] = (
    (_like, 12),
    (_token, 4),
    (_line, 4),
    (_splice, 9),
    (_character, 1),
    (_nest, 1),
    (_cut, 1),
)


def mutate(rng: random.Random, specs: list[str]) -> str:
    """A spec with one to three changes."""
    text = rng.choice(specs)
    kinds, weights = zip(*_CHANGES)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choices(kinds, weights)[0](rng, text, specs)
    return text
