"""What people write who come from another language, and what it is here: tables for the syntax messages."""

from __future__ import annotations

LOOKALIKES = {
    "−–—‐‑‒": "-",
    "“”„‟«»″": '"',
    "‘’‚‛′´`": '"',
    "×∗⋅·•": "*",
    "÷∕": "/",
    "∣│｜¦": "|",
    "，、": ",",
    "（": "(",
    "）": ")",
    "［": "[",
    "］": "]",
    "：": ":",
    "＝": "=",
    "≫»": ">>",
    "…‥": "..",
    "²": "^2",
    "³": "^3",
    "∈": "in",
    "∼～≈": "=",
    "Σ∑": "sum",
}
"""Characters that look like one of the language's, and the one that was meant."""

NOTATIONS = (
    ('"""', "a comment starts with `#` on each of its lines"),
    ("...", "a range has two dots: `0..16`"),
    ("**", "a power is written `x^2`"),
    ("==", "the language has no comparisons; a definition has one `=`"),
    (":=", "write `=`"),
    ("//", "a comment starts with `#`"),
    ("/*", "a comment starts with `#` on each of its lines"),
    ("<-", "write `=`"),
    ("--", "a comment starts with `#`"),
    ("->", "a dependence is written `q(z | x)`, a definition `=`"),
    ("=>", "a dependence is written `q(z | x)`, a definition `=`"),
    ("!=", "the language has no comparisons"),
    ("<=", "the language has no comparisons"),
    (">=", "the language has no comparisons"),
    ("+=", "a variable is defined once, with `=`"),
    ("-=", "a variable is defined once, with `=`"),
    ("*=", "a variable is defined once, with `=`"),
    ("||", "what is given stands behind one `|`: `p(x | y, z)`"),
    ("|>", "pushing forward through a bijection is written `>>`"),
    ("&&", "the language has no conditions"),
    ("<<", "pushing forward goes from left to right: `Normal(0, 1) >> f`"),
    ("::", "write `:` once before a type, `..` in a range"),
)
OPTIONS = ("order",)
"""What stands with an `=` behind the bar of a factor."""

BLOCKS = {"/*": "*/", '"""': '"""'}

CHARACTERS = {
    ";": "a statement ends where the next one begins, without a mark",
    "~": "write `=`:  p(z) = Normal(0, 1)",
    "%": "a comment starts with `#`",
    "!": "a comment starts with `#`",
    "\\": "a statement may go on over several lines as it is",
    "&": "the language has no conditions",
    "<": "the language has no comparisons; the past of a sequence is `x[<d]`",
    ">": "the language has no comparisons; pushing forward through a bijection is `>>`",
    "?": "",
    "$": "",
}

FOREIGN = {
    "import": "a spec needs no imports: networks, distributions and bijections are built in",
    "def": "there are no functions: `x = f(z)` defines a variable, `net f = mlp[256]` names a network",
    "class": "there are no classes: a spec is one model, and starts with `model NAME`",
    "return": "there are no functions: `x = f(z)` defines a variable",
    "lambda": "there are no functions: write the expression itself",
    "for": "an index makes a family: `latent z[t in 1..T] : real[16]`",
    "while": "an index makes a family: `latent z[t in 1..T] : real[16]`",
    "if": "there are no conditions; `mixture[K](...)` chooses among distributions",
    "elif": "there are no conditions; `mixture[K](...)` chooses among distributions",
    "else": "there are no conditions; `mixture[K](...)` chooses among distributions",
    "with": "an index makes a family: `latent z[t in 1..T] : real[16]`",
    "and": "the language has no conditions",
    "or": "the language has no conditions",
    "not": "the language has no conditions",
    "is": "a definition has a `=`",
    "given": "what is given stands behind a bar: `p(x | z)`",
}

_SYNONYMS = {
    "observed": "input inputs visible data obs evidence",
    "latent": "hidden unobserved random var variable",
    "partial": "missing semi",
    "param": "parameter parameters weight weights learn",
    "const": "constant",
    "let": "define set deterministic",
    "net": "network nn function",
    "flow": "bijection transform",
    "adversary": "critic discriminator opponent",
    "train": "training fit optimize options",
    "model": "spec program name",
}
SYNONYMS = {word: meant for meant, words in _SYNONYMS.items() for word in words.split()}

EXAMPLES = {
    "ROLE": "latent z : real[16]",
    "PARAM": "param W : real[64, 100]",
    "CONST": "const T = 100",
    "LET": "let r = mlp[256](x)",
    "NET": "net f = mlp[256]",
    "FLOW": "flow f = 4 * (coupling[mlp[64]] >> reverse)",
    "SCHEDULE": "schedule beta[t in 1..T] = linear(1e-4, 0.02)",
    "FACTOR": "p(x | z) = Normal(mlp[256](z))",
    "E": "E(x, h) = -x @ W @ h",
    "ADVERSARY": "adversary D(x) = mlp[256]",
    "TRAIN": "train { epochs = 100, batch = 64 }",
    "MODEL": "model vae",
    "NAME": "x = f(z)",
}
"""One statement of each sort, by the terminal that it starts with."""

# Ends of names by which a file is known that was written without quotes.
FILES = ("npz", "npy", "csv", "parquet")
