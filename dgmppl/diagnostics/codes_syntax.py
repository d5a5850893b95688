"""Codes of the text itself: E1xx."""

from __future__ import annotations

from dgmppl.diagnostics.code import Code

_VAE = """\
model vae
observed x : real[2] from moons.point
latent z : real[2]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
"""

CODES: dict[str, Code] = {
    "E101": Code(
        "something that does not fit where it stands",
        "The text is read from left to right, and at this place nothing of the language can begin like this.",
        "Line ends mean nothing: a statement ends where the next one begins. So a missing operator or "
        "parenthesis shows at the first word that cannot carry on.",
        _VAE.replace("Normal(0, 1)", "Normal(0, , 1)"),
        _VAE,
    ),
    "E102": Code(
        "a spec without its model line",
        "A spec starts with `model NAME`, once.",
        "The name becomes that of the class that is compiled, and tells runs apart. A file holds one model.",
        _VAE.replace("model vae\n", ""),
        _VAE,
    ),
    "E103": Code(
        "a character, string or number that is none of the language's",
        "Names are made of the letters a to z and A to Z, digits and `_`, and start with a letter. "
        "Numbers are written 3, 0.5 or 1e-3. Strings stand in double quotes, on one line.",
        "Text that was copied from a document often has a dash for a minus sign, or quotation marks "
        "that lean.",
        _VAE.replace("Normal(0, 1)", "Normal(−1, 1)"),
        _VAE.replace("Normal(0, 1)", "Normal(-1, 1)"),
    ),
    "E104": Code(
        "a word of the language used as a name",
        "The words that start a statement, and `from`, `in`, `sum`, `true`, `false`, `p`, `q` and `E`, "
        "cannot name anything.",
        "`p(...)` and `q(...)` are factors and `E(...)` is the energy wherever they stand.",
        _VAE.replace("latent z", "const E = 2\nlatent z"),
        _VAE.replace("latent z", "const K = 2\nlatent z"),
    ),
    "E105": Code(
        "a bracket that is not closed, or that closes nothing",
        "Each of `(`, `[` and `{` is closed by its own kind.",
        "Brackets hold what is fixed when the model is built, parentheses hold variables, braces hold "
        "settings. An open bracket is reported where the next statement begins.",
        _VAE.replace("mlp[64](z))", "mlp[64](z)"),
        _VAE,
    ),
    "E106": Code(
        "a statement of no known kind",
        "`observed`, `partial`, `latent`, `param`, `const`, `let`, `net`, `flow` and `schedule` "
        "declare, `p(...)` and `q(...)` are factors, `E(...)` is an energy, `x = ...` defines a "
        "variable, `adversary` is an opponent, and `train { }` says how to fit.",
        "There is nothing else.",
        _VAE.replace("latent z", "latnet z"),
        _VAE,
    ),
    "E107": Code(
        "notation of another language",
        "This is written in another way here, or not at all.",
        "A power is `x^2`, a comment starts with `#`, a distribution is given as `p(z) = Normal(0, 1)`, "
        "what is given stands behind a bar. There are no functions, loops, conditions, lists or "
        "imports: a spec says what is random and how it factorises.",
        _VAE.replace("p(z) = Normal", "z ~ Normal"),
        _VAE,
    ),
    "E108": Code(
        "a statement that lacks a part",
        "A name, a type, `:`, `=`, `from` or the right-hand side is missing.",
        "A variable is declared with its type, because every size follows from it; its distribution is "
        "a statement of its own.",
        _VAE.replace("latent z : real[2]", "latent z"),
        _VAE,
    ),
    "E109": Code(
        "a missing comma",
        "Two things stand side by side in brackets, and nothing says how they belong together.",
        "Commas separate settings, arguments and variables; what is given stands behind `|`.",
        _VAE + "train { epochs = 100 batch = 64 }\n",
        _VAE + "train { epochs = 100, batch = 64 }\n",
    ),
    "E110": Code(
        "nesting without end",
        "There are more than 100 levels of brackets or of operators.",
        "No model that a person can read is that deep; the limit keeps generated text from exhausting "
        "the compiler. Name the parts with `let`, `net` or `flow`.",
        _VAE.replace("Normal(0, 1)", "Normal(0, 1" + " + 1" * 100 + ")"),
        _VAE.replace("Normal(0, 1)", "Normal(0, 101)"),
    ),
    "E111": Code(
        "a file that is no spec",
        "The file has more than a million characters.",
        "Data stands in a file of its own, and the spec names it: `from \"mine.npz\".x`.",
        "",
        "",
    ),
}  # fmt: skip
