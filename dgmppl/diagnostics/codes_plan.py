"""Codes of what is derived from the structure: E3xx, and the warnings W4xx."""

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
_GAN = """\
model gan
observed x : real[2] from moons.point
latent z : real[2]
p(z) = Normal(0, 1)
x = mlp[64](z)
adversary D(x) = mlp[64]
"""
_MARGINAL = """\
model marginal
observed x : real[2] from moons.point
p(x) = Normal(param, param)
"""
_FLOW = """\
model density
observed x : real[2] from moons.point
p(x) = Normal(0, 1) >> 4 * (coupling[mlp[64]] >> reverse)
"""

CODES: dict[str, Code] = {
    "E301": Code(
        "a function of latents that has no adversary",
        "An observed variable is a function of latents that cannot be inverted, and nothing judges it.",
        "Such a variable has no density to maximise: it is fitted by a game, in which an adversary "
        "tells the data from samples (Goodfellow et al., 2014). A flow instead of the network would "
        "have a density.",
        _GAN.replace("adversary D(x) = mlp[64]\n", ""),
        _GAN,
    ),
    "E302": Code(
        "an energy that no sampler fits",
        "The gradient of an energy needs samples from it, and one of its variables can be sampled by no rule.",
        "Variables with finitely many values are sampled by Gibbs, from conditionals that the energy gives; "
        "continuous ones by Langevin dynamics. Integers without bounds are neither.",
        """\
model energy
observed x : integer[64] from digits.image
E(x) = mlp[64](x)
""",
        """\
model energy
observed x : binary[64] from threshold(digits.image, 8)
E(x) = mlp[64](x)
""",
    ),
    "E303": Code(
        "an objective that the structure does not allow",
        "`train { objective = ... }` asks for what cannot be computed for this model.",
        "The objective follows from the structure: exact likelihood where every latent is a bijection "
        "of the data, an ELBO where latents are drawn from a q, contrastive divergence for an energy, a "
        "game for an adversary. An override chooses among what is allowed.",
        _FLOW + "train { objective = elbo(beta = 4) }\n",
        _VAE + "train { objective = elbo(beta = 4) }\n",
    ),
    "E304": Code(
        "an unknown setting",
        "`train { }` has no setting of this name.",
        "A misspelt setting that was ignored would change the result in silence.",
        _VAE + "train { epoch = 100 }\n",
        _VAE + "train { epochs = 100 }\n",
    ),
    "E305": Code(
        "a setting with a wrong value",
        "The value is not of the kind that the setting takes.",
        "Counts are whole numbers of at least 1, an optimiser is written with its learning rate: "
        "adamax(1e-3). Weights of an objective belong to variables that have a term in it.",
        _VAE + "train { epochs = 0.5 }\n",
        _VAE + "train { epochs = 100 }\n",
    ),
    "E306": Code(
        "a latent without a posterior",
        "A latent has to be given a value by a q, there is none, and none can be derived for its support.",
        "A latent that is no bijection of the data is drawn from q(latent | data), or summed under it where it has "
        "few values; the ELBO measures how well that matches the true posterior (Kingma and Welling, 2014). "
        "Many discrete values are neither.",
        """\
model clusters
observed x : real[2] from moons.point
latent c : categorical(4)[20]
p(c) = Categorical(param)
p(x | c) = Normal(mlp[64](c))
""",
        """\
model clusters
observed x : real[2] from moons.point
latent c : categorical(4)
p(c) = Categorical(param)
p(x | c) = Normal(mlp[64](c))
""",
    ),
    "E307": Code(
        "an adversary over the wrong variables",
        "An adversary's arguments must have a value on the data's side and on the model's, and "
        "something must be learned on one of them.",
        "The game compares the arguments as the data gives them with the arguments as the model makes "
        "them. An adversary over observed variables alone that nothing generates has nothing to tell "
        "apart.",
        """\
model gan
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
latent z : real[2]
p(z) = Normal(0, 1)
x = mlp[64](z, y)
adversary D(x, y) = mlp[64]
adversary F(y) = mlp[64]
""",
        """\
model gan
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
latent z : real[2]
p(z) = Normal(0, 1)
x = mlp[64](z, y)
adversary D(x, y) = mlp[64]
""",
    ),
    "E308": Code(
        "a posterior that cannot be drawn from",
        "A q reads a variable that has no value by then, or its draws have no gradient.",
        "Latents are drawn one after another, given the data and those drawn before. A draw must be a "
        "differentiable function of the parameters of q, as for Normal; a draw from Categorical is not. Up to 256 "
        "joint values are summed instead.",
        """\
model discrete
observed x : real[2] from moons.point
latent z : binary[40]
p(z) = Bernoulli(0)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Bernoulli(mlp[64](x))
""",
        """\
model continuous
observed x : real[2] from moons.point
latent z : real[4]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
""",
    ),
    "E309": Code(
        "a model that says nothing about its data",
        "No factor, energy or adversary has a parameter to fit to what is observed.",
        "An observed variable without a factor is a condition. Where all are conditions there is nothing to learn.",
        "model nothing\nobserved x : real[2] from moons.point\n",
        _MARGINAL,
    ),
    "E310": Code(
        "a model that Pyro cannot express",
        "`--target pyro` was asked for, and the model has no density that Pyro could work with.",
        "A Pyro model is a joint density with a guide. An energy is unnormalised, and a game fits samples. "
        "`--target torch` compiles both.",
        "",
        "",
    ),
    "E311": Code(
        "a q that leaves the preimage of a rounded variable",
        "`x = floor(v)` says that v lies from x to x + 1, and draws of q(v | x) lie elsewhere too.",
        "Given a draw outside the bin the data has probability 0, so log p - log q of such a draw bounds nothing. "
        "A q that draws inside is a dequantisation that is learned (Ho et al., 2019).",
        """\
model dequantised
observed x : integer(0..16)[64] from digits.image
latent v : real[64]
p(v) = Normal(0, 1) >> 2 * (coupling[mlp[64]] >> reverse)
x = floor(v)
q(v | x) = Normal(mlp[64](x))
""",
        """\
model dequantised
observed x : integer(0..16)[64] from digits.image
latent v : real[64]
p(v) = Normal(0, 1) >> 2 * (coupling[mlp[64]] >> reverse)
x = floor(v)
q(v | x) = x + (Normal(mlp[64](x)) >> sigmoid)
""",
    ),
    "W401": Code(
        "a posterior that leaves out a dependence",
        "Given the data, the true posterior of this latent still depends on another variable, and its q "
        "does not read it.",
        "Conditioning on a common effect makes its causes dependent (explaining away). A q without the "
        "dependence can still be fitted, but the ELBO keeps a gap that no network closes (Webb et al., "
        "2018).",
        """\
model factorised
observed x : real[2] from moons.point
latent z : real[2]
latent w : real[2]
p(z) = Normal(0, 1)
p(w) = Normal(0, 1)
p(x | z, w) = Normal(mlp[64](z, w))
q(z | x) = Normal(mlp[64](x))
q(w | x) = Normal(mlp[64](x))
""",
        """\
model structured
observed x : real[2] from moons.point
latent z : real[2]
latent w : real[2]
p(z) = Normal(0, 1)
p(w) = Normal(0, 1)
p(x | z, w) = Normal(mlp[64](z, w))
q(z | x) = Normal(mlp[64](x))
q(w | x, z) = Normal(mlp[64](x, z))
""",
    ),
    "W402": Code(
        "something that has no effect",
        "A name is declared and never used, or a factor does not read one of its parents.",
        "The model is fine without it; most often its use was forgotten.",
        _VAE + "net f = mlp[64]\n",
        _VAE,
    ),
    "W403": Code(
        "a density that reaches outside the support",
        "The distribution is spread over the whole line, and the variable is bounded.",
        "The likelihood of data inside the bounds is still one, if a little too small, since mass "
        "outside them is wasted. Samples can land outside; they are clamped.",
        """\
model bounded
observed x : interval(-1, 1)[64] from rescale(digits.image, -1, 1)
p(x) = Normal(param, param)
""",
        """\
model unbounded
observed x : real[64] from standardize(digits.image)
p(x) = Normal(param, param)
""",
    ),
    "W404": Code(
        "weights that nothing teaches",
        "A statement has weights that no term of any loss depends on, or a q that nothing reads.",
        "The gradient ends before it: at `floor`, at a draw that has none, at a latent that is known by inversion, or "
        "at a likelihood whose place a game has taken; or a past is too short for what reads it. The weights would "
        "stay as they start.",
        """\
model dequantised
observed x : integer(0..16)[64] from digits.image
latent u : real[64]
flow f = 2 * (coupling[mlp[64]] >> reverse)
p(u) = Normal(0, 1)
x = floor(f(u))
q(u | x) = Normal(mlp[64](x))
""",
        """\
model dequantised
observed x : integer(0..16)[64] from digits.image
latent u : real[64]
flow f = 2 * (coupling[mlp[64]] >> reverse)
p(u) = Normal(0, 1)
x = floor(f(u))
""",
    ),
    "W405": Code(
        "a latent of each row that reads like one of all rows",
        "A latent has a fixed prior and nothing else to tell rows apart by, as the mean of a group or a coefficient.",
        "A latent is one a row: each row infers its own, so that nothing is pooled over rows. What all rows share is "
        "a parameter.",
        """\
model schools
observed y : real from standardize(diabetes.target)
latent mu : real
latent theta : real
p(mu) = Normal(0, 5)
p(theta | mu) = Normal(mu, 1)
p(y | theta) = Normal(theta, 0.1)
""",
        """\
model schools
observed y : real from standardize(diabetes.target)
param mu : real
latent theta : real
p(theta) = Normal(mu, 1)
p(y | theta) = Normal(theta, 0.1)
""",
    ),
    "W406": Code(
        "a flow that is repeated, and is one",
        "`n * f` repeats the flow that `f` names, and a name stands for one flow: its repeats share their weights.",
        "`n * (...)` makes n bijections with weights of their own. A name used twice shares its weights, in a repeat "
        "as elsewhere; it is said because the two look alike.",
        """\
model shared
observed x : real[2] from moons.point
flow f = coupling[mlp[64]] >> reverse
p(x) = Normal(0, 1) >> 3 * f
""",
        """\
model fresh
observed x : real[2] from moons.point
p(x) = Normal(0, 1) >> 3 * (coupling[mlp[64]] >> reverse)
""",
    ),
    "W407": Code(
        "a flow that leaves elements as they are",
        "None of the couplings of this flow transforms some of the elements.",
        "A coupling shifts and scales the second half of a vector, by what the first half says. Permutations between "
        "couplings bring other elements there; without one, the first half keeps the law of the base.",
        """\
model half
observed x : real[2] from moons.point
p(x) = Normal(0, 1) >> 8 * coupling[mlp[64]]
""",
        """\
model both
observed x : real[2] from moons.point
p(x) = Normal(0, 1) >> 8 * (coupling[mlp[64]] >> reverse)
""",
    ),
    "W408": Code(
        "components that are the same",
        "Nothing in the component of a mixture differs from one component to the next.",
        "A mixture of equal components is one component. A `param` or a network inside it is learned for each.",
        """\
model alike
observed x : real[2] from moons.point
p(x) = mixture[4](Normal(0, 1))
""",
        """\
model apart
observed x : real[2] from moons.point
p(x) = mixture[4](Normal(param, param))
""",
    ),
    "W409": Code(
        "probabilities in the place of logits",
        "What a distribution takes as logits lies between 0 and 1.",
        "Logits are logarithms of probabilities, up to a constant; of a single probability p, log(p) - log(1 - p). "
        "Numbers between 0 and 1 in their place leave no class more than e times as probable as another, so that a "
        "model with shares or a sigmoid there is fitted, and is another one than was meant.",
        """\
model shares
observed x : binary[64] from threshold(digits.image, 8)
latent z : real[4]
p(z) = Normal(0, 1)
p(x | z) = Bernoulli(sigmoid(linear(z)))
q(z | x) = Normal(mlp[64](x))
""",
        """\
model logits
observed x : binary[64] from threshold(digits.image, 8)
latent z : real[4]
p(z) = Normal(0, 1)
p(x | z) = Bernoulli(linear(z))
q(z | x) = Normal(mlp[64](x))
""",
    ),
}
