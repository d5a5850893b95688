"""Specs whose variables are predicted, by the kind of model, and the rows of their runs."""

import numpy as np
import torch
from scipy.special import logsumexp

from dgmppl.apply.fitted import FittedRun

X = 'observed x : real[2] from standardize("people.csv"[height, weight])\n'
Y = 'observed y : categorical(3) from "people.csv".size\n'
A = 'observed a : real from standardize("people.csv".age)\n'
SPECS = {
    "discriminative": X + Y + "p(y | x) = Categorical(mlp[4](x))",
    "naive_bayes": X + Y + A + "p(y) = Categorical(param)\np(x | y) = Normal(linear(y))\np(a | y) = Normal(linear(y))",
    "class_latent": X
    + Y
    + A
    + "latent c : categorical(2)\np(c) = Categorical(param)\np(y | c) = Categorical(linear(c))"
    "\np(x | c) = Normal(linear(c))\np(a | c) = Normal(linear(c))",
    "labelled_vae": X + Y + "latent z : real\np(y) = Categorical(param)\np(z) = Normal(0, 1)"
    "\np(x | y, z) = Normal(mlp[4](y, z))\nq(z | x, y) = Normal(mlp[4](x, y))",
    "table": X + Y + A + "latent z : real\np(z) = Normal(0, 1)\np(x | z) = Normal(linear(z))"
    "\np(y | z) = Categorical(mlp[4](z))\np(a | z) = Normal(mlp[4](z))\nq(z | x, y, a) = Normal(mlp[4](x, y, a))",
    "linear_gaussian": X + A + "latent z : real[2]\np(z) = Normal(0, 1)\np(x | z) = Normal(linear(z), 0.5)"
    "\np(a | x, z) = Normal(linear(x, z), 0.3)",
    "flow": X + Y + "p(y) = Categorical(param)\np(x | y) = Normal(0, 1) >> coupling[mlp[4]](y) >> reverse",
    "hybrid": X + Y + A + "latent u : real[2]\nflow f = coupling[mlp[4]] >> reverse\np(u) = Normal(0, 1)\nx = f(u)"
    "\np(y | u) = Categorical(mlp[4](u))\np(a | u) = Normal(mlp[4](u))",
    "energy": X + Y + "E(x, y) = -mlp[4](x)[y] + 0.5 * sum(x ^ 2)",
    "partly_labelled": X + 'partial y : categorical(3) from labelled("people.csv".size, 30)\nlatent z : real'
    "\np(y) = Categorical(param)\np(z) = Normal(0, 1)\np(x | y, z) = Normal(mlp[4](y, z))"
    "\nq(y | x) = Categorical(mlp[4](x))\nq(z | x, y) = Normal(mlp[4](x, y))",
    "shared": X + A + "latent w : real[2] per data\np(w) = Normal(0, 1)\np(a | x, w) = Normal(x @ w, 0.5)\nq(w) = "
    "Normal(param, param)",
    "incomes": X + 'observed i : real from log("people.csv".income)\np(i | x) = Normal(linear(x), 0.3)',
    "waits": X + 'observed i : positive from "people.csv".income\np(i | x) = Gamma(exp(linear(x)), 0.01)',
    "tails": X + 'observed i : real from standardize("people.csv".income)\np(i | x) = StudentT(1.5, linear(x), 0.1)',
    "gaps": 'partial x : real[2] elementwise from standardize("people.csv"[height, weight])\n'
    + A
    + "p(x) = Normal(param)\np(a) = Laplace(param, 1)",
    "two_partial": 'partial y : categorical(3) from "people.csv".size\n'
    + 'partial a : real from standardize("people.csv".age)\n'
    + X
    + "p(y) = Categorical(param)\np(x | y) = Normal(linear(y))\np(a | y) = Normal(linear(y), 0.5)",
    "regions": 'partial x : real[2] elementwise from standardize("people.csv"[height, weight])\n'
    + Y
    + "p(x) = Normal(0, 1) >> coupling[mlp[4]]\nq(x | x) = Normal(mlp[4](x))\np(y | x) = Categorical(mlp[4](x))",
    "seen": 'partial x : real[2] elementwise from standardize("people.csv"[height, weight])\n'
    + A
    + "latent z : real\np(z) = Laplace(0, 1)\np(x | z) = Normal(mlp[4](z))\np(a | z) = Normal(mlp[4](z))",
    "quadratic": X + A + "param w : real[2] = normal(0.5)\nE(x, a) = 0.5 * x @ x + 0.5 * a ^ 2 - 0.5 * a * (w @ x)\n",
    "born": X + 'observed d : real from standardize(dates("people.csv".born))\np(d | x) = Normal(linear(x))',
}
SEQUENCES = """\
model hmm
observed x[t in 1..3] : real from "walks.npz".x
observed y : categorical(2) from "walks.npz".y
latent s[t in 1..3] : categorical(2)
p(y) = Categorical(param)
p(s[1] | y) = Categorical(linear(y))
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(x[t] | s[t]) = Normal(linear(s[t]), 1)
train { epochs = 1 }
"""


def rows_of(run: FittedRun) -> dict[str, torch.Tensor]:
    """The test rows as the model has them."""
    return dict(next(iter(run.rows(split="test").chunks())))


def in_units(run: FittedRun, name: str, mean, deviation):
    """By hand: the mean and deviation of the training rows undo `standardize`."""
    (transform,) = run.fields[name].transforms
    return mean * transform.deviation + transform.mean, deviation * transform.deviation


def normalised(logs) -> np.ndarray:
    logs = np.asarray(logs)
    return np.exp(logs - logsumexp(logs, axis=-1, keepdims=True))
