"""Codes of the typed graph: names, types, sizes and how variables hang together, E2xx."""

from __future__ import annotations

from dgmppl.diagnostics.code import Code

_VAE = """\
model vae
observed x : real[2] from moons.point
latent z : real[4]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
"""
_BINARY = """\
model binary_vae
observed x : binary[64] from threshold(digits.image, 8)
latent z : real[4]
p(z) = Normal(0, 1)
p(x | z) = Bernoulli(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
"""
_TWO_LEVELS = """\
model two_levels
observed x : real[2] from moons.point
latent z : real[4]
latent w : real[4]
p(w) = Normal(0, 1)
p(z | w) = Normal(mlp[64](w))
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
q(w | z) = Normal(mlp[64](z))
"""
_SHARED = """\
model bayesian_regression
observed x : real[10] from diabetes.data
observed y : real from diabetes.target
latent w : real[10] per data
p(w) = Normal(0, 1)
p(y | x, w) = Normal(x @ w, 0.7)
q(w) = Normal(param)
"""
_CHAIN = """\
model chain
const T = 3
observed x : real[2] from moons.point
latent z[t in 1..T] : real[4]
p(z[T]) = Normal(0, 1)
p(z[t-1] | z[t]) = Normal(mlp[64](z[t]))
p(x | z[1]) = Normal(mlp[64](z[1]))
q(z[1] | x) = Normal(mlp[64](x))
q(z[t] | z[t-1]) = Normal(mlp[64](z[t-1]))
"""
_FLOW = """\
model flow_density
observed x : real[2] from moons.point
latent u : real[2]
flow f = 4 * (coupling[mlp[64]] >> reverse)
p(u) = Normal(0, 1)
x = f(u)
"""
_CAUSAL = """\
model pixels
observed x : integer(0..16)[64] from digits.image
p(x[d] | x[<d]) = Categorical(causal[64](x[<d]))
"""
_RBM = """\
model rbm
observed x : binary[64] from threshold(digits.image, 8)
latent h : binary[12]
param W : real[64, 12] = normal(0.01)
E(x, h) = -x @ W @ h
"""

CODES: dict[str, Code] = {
    "E201": Code(
        "an unknown name",
        "Nothing of this name is declared.",
        "Variables, constants, parameters, named networks and flows are declared before they are read, "
        "so that a misspelt name is never taken for a new one.",
        _VAE.replace("mlp[64](z)", "mlp[64](zz)"),
        _VAE,
    ),
    "E202": Code(
        "a name that is taken",
        "A name is declared twice, a variable stands twice in one list, or a setting is given twice.",
        "One name stands for one thing in the whole file, whatever kind of thing it is.",
        _VAE.replace("latent z", "const K = 3\nconst K = 4\nlatent z"),
        _VAE.replace("latent z", "const K = 3\nconst L = 4\nlatent z"),
    ),
    "E203": Code(
        "supports that disagree",
        "A distribution gives probability to values that the variable cannot take, or none to some that it can.",
        "A likelihood means something only where the distribution and the variable are about the same "
        "values. Choose a distribution on the declared support, or declare what the distribution is "
        "about.",
        _BINARY.replace("Bernoulli", "Normal"),
        _BINARY,
    ),
    "E204": Code(
        "shapes that disagree",
        "Two values that have to fit together element by element, or along an axis, have different shapes.",
        "Shapes are never stretched: what looks like broadcasting is most often a mistake. Only plain "
        "numbers go with every shape.",
        _RBM.replace("real[64, 12]", "real[64, 10]"),
        _RBM,
    ),
    "E205": Code(
        "a cycle",
        "A variable depends on itself, directly or through others.",
        "The factors of p multiply to a joint distribution only if some order has every variable after "
        "its parents; the same holds for q.",
        _TWO_LEVELS.replace("p(w) = Normal(0, 1)", "p(w | z) = Normal(mlp[64](z))"),
        _TWO_LEVELS,
    ),
    "E206": Code(
        "a latent without a factor",
        "Nothing says where a latent comes from.",
        "A latent needs a prior `p(z) = ...`, a definition `z = ...`, or a place in the energy. (An "
        "observed variable without a factor is a condition.)",
        _VAE.replace("p(z) = Normal(0, 1)\n", ""),
        _VAE,
    ),
    "E207": Code(
        "a variable with two factors",
        "A variable is modelled twice.",
        "The joint distribution has one factor for each variable, in p and in q alike.",
        _VAE.replace("p(z) = Normal(0, 1)\n", "p(z) = Normal(0, 1)\np(z) = Laplace(0, 1)\n"),
        _VAE,
    ),
    "E208": Code(
        "an unknown kind",
        "No distribution, network, bijection, function or support has this name.",
        "These are built in; the reference lists them. Names of one's own are given with `net` and `flow`.",
        _VAE.replace("p(z) = Normal(0, 1)", "p(z) = Gaussian(0, 1)"),
        _VAE,
    ),
    "E209": Code(
        "wrong arguments",
        "A kind does not take these arguments, or not in its brackets.",
        "Brackets hold what is fixed when the model is built: sizes and options. Parentheses hold "
        "variables and parameters. One network alone supplies all the parameters of a distribution; "
        "otherwise each is given.",
        _VAE.replace("Normal(0, 1)", "Normal(0, 1, 2)"),
        _VAE,
    ),
    "E210": Code(
        "a wrong value",
        "Something else is needed here: a whole number, a positive one, the name of an activation.",
        "Sizes and options are numbers that are known when the model is built: constants and arithmetic on them. "
        "What is computed for a positive parameter is positive whatever it is computed from: `exp(...)`.",
        _VAE.replace("Normal(0, 1)", "Normal(0, 0)"),
        _VAE,
    ),
    "E211": Code(
        "a size that does not follow",
        "How many outputs a network has here, or how far an index runs, follows from nothing.",
        "A network is as large as the distribution or variable that it feeds asks for. Inside another "
        "network's inputs nothing asks: bind it with a type, `let h : real[64] = ...`.",
        _VAE.replace("p(x | z) = Normal(mlp[64](z))", "p(x | z) = Normal(mlp[64](linear(z)))"),
        _VAE.replace("p(x | z) = Normal(mlp[64](z))", "let h : real[8] = linear(z)\np(x | z) = Normal(mlp[64](h))"),
    ),
    "E212": Code(
        "a network used at two sizes",
        "A named network is used where its inputs or outputs would have different sizes.",
        "Using a name twice shares its weights, so both places must agree on the sizes.",
        _VAE.replace("latent z", "net f = mlp[64]\nlatent z")
        .replace("mlp[64](z)", "f(z)")
        .replace("mlp[64](x)", "f(x)"),
        _VAE.replace("latent z", "net f = mlp[64]\nlatent z").replace("mlp[64](z)", "f(z)"),
    ),
    "E213": Code(
        "a bijection that does not fit",
        "A bijection is applied to values that it does not map, or lands outside the variable's support.",
        "A change of variables needs both ends to have the same size, and the support that the bijection maps to.",
        """\
model bounded
observed x : unit[2] from "mine.npz".x
p(x) = Normal(0, 1) >> coupling[mlp[64]]
""",
        """\
model bounded
observed x : unit[2] from "mine.npz".x
p(x) = Normal(0, 1) >> 2 * (coupling[mlp[64]] >> reverse) >> sigmoid
""",
    ),
    "E214": Code(
        "a network that would see the future",
        "`x[<d]`, the elements before position d, may be read by causal networks only.",
        "The factors p(x[d] | x[<d]) multiply to a density because none of them sees its own element or "
        "a later one. An ordinary network would, and the figure would be no likelihood.",
        _CAUSAL.replace("causal[64]", "mlp[64]"),
        _CAUSAL,
    ),
    "E215": Code(
        "a wrong index",
        "An index is missing, leads outside the family or the shape, or its range is empty.",
        "`latent z[t in 1..T]` declares z[1] to z[T]. A factor with z[t-1] and z[t] stands for every t "
        "for which both exist.",
        _CHAIN.replace("p(x | z[1]) = Normal(mlp[64](z[1]))", "p(x | z[1]) = Normal(mlp[64](z[0]))"),
        _CHAIN,
    ),
    "E216": Code(
        "a size that no machine could hold",
        "A shape, a network, a mixture or a family is larger than any machine's memory.",
        "It is caught here because building it would take the machine down.",
        _VAE.replace("mlp[64](z)", "mlp[1000000000, 1000000000](z)"),
        _VAE,
    ),
    "E217": Code(
        "a thing used as what it is not",
        "A network stands where a distribution is needed, a distribution where a value is, or a "
        "built-in name is declared again.",
        "A factor's right side is a distribution; a network gives its parameters: Normal(mlp[64](z)).",
        _VAE.replace("p(x | z) = Normal(mlp[64](z))", "p(x | z) = mlp[64](z)"),
        _VAE,
    ),
    "E218": Code(
        "unknown data",
        "There is no data set, field or transform of this name, or an observed variable names no data.",
        'Data is a field of a built-in data set, digits.image, or of a file, "mine.npz".x; a transform '
        "can stand around it.",
        _VAE.replace("moons.point", "moons.points"),
        _VAE,
    ),
    "E219": Code(
        "data of another type",
        "The field's values are known not to be what the variable declares.",
        "Distributions, input scaling and figures all go by the declared type. Declare the data as it "
        "is, or transform it: threshold(field, 8) is binary, rescale(field, -1, 1) an interval.",
        _BINARY.replace("threshold(digits.image, 8)", "digits.image"),
        _BINARY,
    ),
    "E220": Code(
        "a construct that cannot be compiled yet",
        "The language has this construct, and this version derives no objective for it.",
        "It is refused rather than fitted by an objective that would be wrong.",
        """\
model compressor
observed x : real[2] from moons.point
latent c : categorical(8)[2]
p(c) = Categorical(uniform)
p(x | c) = Normal(mlp[64](c))
q(c | x) = quantize(mlp[64](x))
""",
        """\
model clusters
observed x : real[2] from moons.point
latent c : categorical(8)[2]
p(c) = Categorical(uniform)
p(x | c) = Normal(mlp[64](c))
q(c | x) = Categorical(mlp[64](x))
""",
    ),
    "E221": Code(
        "a factor over the wrong variable",
        "A q is over something that is not latent, a factor has two variables before its bar, or a latent has data.",
        "q(z | x) approximates what the data leaves open: the latents. What is seen is observed. A "
        "factor models one variable, given others.",
        _VAE.replace("real[4]", "real[2] from moons.point"),
        _VAE,
    ),
    "E222": Code(
        "a model of no data",
        "The spec declares no observed variable.",
        "The parameters are fitted to data; a spec says with `observed x : ... from ...` where it is.",
        "model nothing\nlatent z : real[2]\np(z) = Normal(param, param)\n",
        "model something\nobserved x : real[2] from moons.point\np(x) = Normal(param, param)\n",
    ),
    "E223": Code(
        "a misused element index",
        "`x[d]` and `x[<d]` stand in a factor of elements, p(x[d] | x[<d]), and nowhere else.",
        "The index d is a letter of its own that runs over the elements of the variable that the factor models. "
        "Others are read at that place or so many from it, c[d] and x[d - 1]. Elements of a simplex or a sphere have "
        "no distribution each, but one together; so have those of another factor's distribution.",
        _VAE.replace("mlp[64](z)", "causal[64](x[<d])"),
        _VAE.replace("p(x | z) = Normal(mlp[64](z))", "p(x[d] | x[<d], z) = Normal(causal[64](x[<d], z))"),
    ),
    "E224": Code(
        "a parent that is not named",
        "A factor's right side reads a variable that does not stand behind its bar, or an energy reads other variables "
        "than its arguments.",
        "The head of a factor is the claim of independence that the model makes; it and the right side must agree.",
        _TWO_LEVELS.replace("p(x | z) = Normal(mlp[64](z))", "p(x | z) = Normal(mlp[64](z, w))"),
        _TWO_LEVELS.replace("p(x | z) = Normal(mlp[64](z))", "p(x | z, w) = Normal(mlp[64](z, w))").replace(
            "q(w | z) = Normal(mlp[64](z))", "q(w | z, x) = Normal(mlp[64](z, x))"
        ),
    ),
    "E225": Code(
        "code that was not allowed",
        "A network of the spec is a class of Python, and importing it was not allowed.",
        "A spec and a run folder are data, and opening one that somebody else wrote runs nothing of theirs. A class "
        "that it names is code: --allow-python imports it, which runs its module. Look at that module first.",
        _VAE.replace("p(x | z) = Normal(mlp[64](z))", 'p(x | z) = Normal(python("nets:Decoder")[hidden = 64](z))'),
        _VAE,
    ),
    "E226": Code(
        "what rows have in common depends on rows",
        "A latent that is one for all rows, or one a group, depends on what is one a row; or its groups are none.",
        "`latent w : real[2] per data` is one for all rows and `per school` one for each value of that observed column "
        "of classes. Its p and its q may read what is one for all rows, and of a group the group itself and what is "
        "one for each of the same groups: no single row says anything about it by itself.",
        _SHARED.replace("q(w) = Normal(param)", "q(w | x) = Normal(mlp[8](x))"),
        _SHARED,
    ),
    "E227": Code(
        "elements that may be missing, where they cannot",
        "`elementwise` stands where no elements are missing one by one; or such elements are read as numbers, through "
        "a feature by p, or drawn together.",
        "Of `partial x : real[3] elementwise` any elements may be missing in a row. A q and a feature read what is "
        "seen through networks, which are told which elements that is; a factor of p reads all of x, and so by itself. "
        "A q of x is of those that are missing: its elements are independent given what it reads.",
        """\
model incomplete
partial x : real[3] elementwise from "mine.npz".x
latent z : real[3]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(2 * x, param)
""",
        """\
model incomplete
partial x : real[3] elementwise from "mine.npz".x
latent z : real[3]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
""",
    ),
    "E228": Code(
        "sequences of different lengths",
        "What says how long a sequence is in each row is no length; or something reads, or models, members of it that "
        "some rows do not have.",
        "Where an index goes as far as an observed whole number says, `x[t in 1..n]`, members beyond it do not exist. "
        "Each that exists has a law of its own, and what is read of all is read by a sum, a mean, or a network that "
        "knows where a sequence ends: gru, lstm, rnn, transformer, set.",
        """\
model walks
observed n : integer(1..20) from "walks.npz".lengths
observed x[t in 1..n] : real[2] from "walks.npz".xy
latent z : real[4]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(gru[64](x))
""",
        """\
model walks
observed n : integer(1..20) from "walks.npz".lengths
observed x[t in 1..n] : real[2] from "walks.npz".xy
latent z : real[4]
p(z) = Normal(0, 1)
p(x[t] | z) = Normal(mlp[64](z, t))
q(z | x) = Normal(gru[64](x))
""",
    ),
}
