"""Small specs that are fitted in a moment."""

VAE = """\
model tiny_vae
observed x : real[2] from moons.point
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
train { epochs = 2, batch = 200 }
"""

CONDITIONAL_GAN = """\
model tiny_gan
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
latent   z : real[2]
p(z) = Normal(0, 1)
x    = mlp[8](z, y)
adversary D(x, y) = mlp[8]
train { epochs = 1, batch = 200 }
"""

FROM_FILE = """\
model from_file
observed x : binary[3] from "data/mine.npz".rows
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Bernoulli(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
train { epochs = 1, batch = 200 }
"""

RBM = """\
model tiny_rbm
observed x : binary[64] from threshold(digits.image, 8)
latent   h : binary[8]
param    W : real[64, 8] = normal(0.01)
E(x, h) = -x @ W @ h
train { epochs = 3, batch = 200, objective = contrastive_divergence(persistent = true, restart = 0.1) }
"""

ROWS = """\
model tiny_hmm
observed x[t in 1..8] : integer(0..16)[8] from digits.image
observed y            : categorical(10) from digits.label
latent   s[t in 1..8] : categorical(2)
p(s[1] | y)      = Categorical(linear(y))
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(x[t] | s[t])   = Categorical(linear(s[t]))
train { epochs = 1, batch = 500 }
"""

UPWARD = """\
model upward
observed x[t in 1..8] : integer(0..16)[8] from digits.image
p(x[8])          = Categorical(param)
p(x[t] | x[t+1]) = Categorical(linear(x[t+1]))
train { epochs = 1, batch = 500 }
"""
