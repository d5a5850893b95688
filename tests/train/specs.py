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
