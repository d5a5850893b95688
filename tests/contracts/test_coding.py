"""Every spec whose rows have probabilities codes them, and gives them back; of the others it says why not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from dgmppl.apply.lossy import codes_of
from dgmppl.coding.coder import Coder
from dgmppl.coding.codes import program_of_codes
from dgmppl.coding.factors import Row
from dgmppl.coding.gaps import missing
from dgmppl.coding.program import Program, cases, program_of
from dgmppl.coding.stack import Chooser, CodingError, Stack, initial_words, is_initial
from dgmppl.emit.inference import inferred_of
from dgmppl.runtime.missing import log_prob_where
from dgmppl.train.contents import parts
from tests.contracts.support import COMPOSITIONS, LIBRARY, build, checked, data_of, graph_of, name_of, seed

ROWS, WORDS = 5, 4000
CASES = 64

# Beside the library and the compositions: gaps, ends, turns.
GAPS = """\
partial  x : integer(0..4)[6] elementwise from "rows.npz".x
partial  c : categorical(3) from "rows.npz".c
latent   k : categorical(3)
p(k)     = Categorical(param)
p(x | k) = Categorical(mlp[4](k))
p(c | k) = Categorical(mlp[4](k))
"""
GAPS_SUMMED = """\
partial  x : binary[4] elementwise from "rows.npz".x
observed y : integer(0..5) from "rows.npz".y
latent   k : categorical(2)
p(k)               = Categorical(param)
p(x[d] | x[<d], k) = Bernoulli(causal[5](x[<d], k))
p(y | x)           = Categorical(mlp[4](x))
"""
GAPS_DRAWN = """\
partial  c : categorical(2)[4] elementwise from "rows.npz".c
observed y : integer(0..5) from "rows.npz".y
p(c)           = Categorical(param)
p(y | c)       = Categorical(mlp[4](c))
q(c | c, y)    = Categorical(mlp[6](c, y))
"""
GAPS_OF_COUNTS = """\
partial  c : natural[3] elementwise from "rows.npz".c
partial  d : integer(0..3)[3] from "rows.npz".d
partial  e : integer(0..4)[6] elementwise from "rows.npz".e
p(c)                  = Poisson(param)
p(d[i] | d[<i])       = Categorical(causal[4](d[<i]))
p(e)                  = mixture[3](Categorical(param))
"""
ENDS = """\
observed n            : natural from "rows.npz".n
observed m            : integer(1..5) from "rows.npz".m
observed x[t in 1..m] : integer(0..4) from "rows.npz".x
observed y            : integer(0..3)[2] from "rows.npz".y
p(x[t] | x[<t], n) = Categorical(gru[4](x[<t], n))
p(y | x, m)        = Categorical(mlp[4](mean(x), m))
"""
ENDS_AND_LATENTS = """\
observed n            : integer(2..4) from "rows.npz".n
observed x[t in 1..n] : integer(0..4)[2] from "rows.npz".x
latent   z[t in 1..n] : real[2]
latent   w[t in 1..n] : real
p(n)                = Categorical(param)
p(z[1])             = Normal(0, 1)
p(z[t] | z[t-1])    = Normal(mlp[4](z[t-1]))
p(w[1])             = Normal(0, 1)
p(w[t] | w[t-1])    = Normal(linear(w[t-1]), 1)
p(x[t] | z[t], w[t]) = Categorical(mlp[4](z[t], w[t]))
q(z[1] | x)         = Normal(mlp[4](x[1]))
q(z[t] | z[t-1], x) = Normal(mlp[4](z[t-1], x[t]))
q(w[n] | x)         = Normal(mlp[4](x[n]))
q(w[t] | w[t+1], x) = Normal(mlp[4](w[t+1], x[t]))
"""
TURNS = """\
const T = 4
observed x[t in 0..T] : integer(0..3) from "rows.npz".x
observed n[t in 0..T] : integer(0..4) from "rows.npz".n
p(x[0])                  = Categorical(param)
p(x[t] | x[t-1], n[t-1]) = Categorical(mlp[4](x[t-1], n[t-1], t))
p(n[t] | x[t], n[<t])    = Categorical(gru[4](n[<t], x[t]))
"""
TURNS_OF_LATENTS = """\
observed x[t in 1..4] : integer(0..3) from "rows.npz".x
latent   z[t in 1..4] : real[2]
latent   w[t in 1..4] : real
let h[t in 1..4] : real[5] = gru_cell(x[t-1], z[t-1], h[t-1])
p(z[t] | z[<t], x[<t])             = Normal(mlp[4](h[t]))
p(w[1])                            = Normal(0, 1)
p(w[t] | z[t], w[t-1])             = Normal(mlp[4](z[t], w[t-1]))
p(x[t] | z[t], w[t], x[<t], z[<t]) = Categorical(mlp[4](z[t], w[t], h[t]))
q(z[t] | z[<t], w[<t], x)          = Normal(mlp[4](x[t], h[t], w[t-1]))
q(w[1] | x)                        = Normal(mlp[4](x[1]))
q(w[t] | z[t], w[t-1], x)          = Normal(mlp[4](z[t], x[t], w[t-1]))
"""
A_FLOW_OF_NUMBERS = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   z : real
p(z)     = Normal(0, 1) >> elementwise[spline]
p(x | z) = Categorical(mlp[4](z))
q(z | x) = Normal(mlp[4](x)) >> elementwise[spline]
"""
A_FLOW_ONTO_SHARES = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   z : simplex[3]
p(z)     = Dirichlet(param)
p(x | z) = Categorical(mlp[4](z))
q(z | x) = Normal(mlp[4](x)) >> stick_breaking
"""
WIDE_RANGES = """\
observed x : natural from "rows.npz".x
observed w : integer(0..1000000) from "rows.npz".w
latent   z : real[2]
p(w)     = DiscretizedLogistic(param)
p(x | z) = Poisson(linear(z))
p(z)     = Logistic(param) >> coupling[mlp[4]]
q(z | x) = Normal(linear(x))
"""
COUNTS_OF_A_LATENT = """\
observed n : natural from total("rows.npz".x)
observed x : natural[4] from "rows.npz".x
latent   z : real[3]
param    U : real[3, 2]
p(z)        = Normal(0, 1)
p(x | z, n) = Multinomial(n, linear(z))
q(z | x)    = LowRankNormal(linear(x), 0.5, U)
"""
PATHS_WITH_GAPS = """\
partial  x[t in 1..4] : categorical(3)[2] elementwise from "rows.npz".x
partial  s[t in 1..4] : binary elementwise from "rows.npz".s
partial  r[t in 1..4] : integer(1..2) elementwise from "rows.npz".r
p(s[4])               = Bernoulli(param)
p(s[t] | s[t+1])      = Bernoulli(linear(s[t+1], t))
p(r[t] | s[t])        = Categorical(mlp[4](s[t]))
p(x[t] | s[t], r[t])  = Categorical(mlp[4](s[t], r[t]))
"""
PATHS_OF_DIFFERENT_LENGTHS = """\
observed n            : integer(1..5) from "rows.npz".n
observed x[t in 1..n] : integer(0..4) from "rows.npz".x
latent   s[t in 1..n] : integer(1..3)
latent   r[t in 1..n] : binary
p(s[1])               = Categorical(param)
p(s[t] | s[t-1])      = Categorical(linear(s[t-1]))
p(r[t] | s[t])        = Bernoulli(linear(s[t]))
p(x[t] | s[t], r[t])  = Categorical(mlp[4](s[t], r[t]))
"""
FLOWS_OF_POSITIONS = """\
observed x[t in 1..3] : integer(0..4)[2] from "rows.npz".x
latent   z[t in 1..3] : real[2]
let h[t in 1..3] : real[3] = mlp[4](z[t-1], h[t-1])
p(z[t] | z[<t])        = Normal(linear(h[t])) >> affine >> coupling[mlp[4]](h[t])
p(x[t] | x[<t], z[t])  = Categorical(gru[4](x[<t], z[t]))
q(z | x)               = Normal(mlp[4](x))
"""
GROUPS = """\
observed g : integer(2..4) from "rows.npz".g
observed k : integer(0..3)[2] from "rows.npz".k
partial  x : integer(0..4)[3] elementwise from "rows.npz".x
latent mu  : real per data
latent tau : positive per data
latent a   : real[2] per g
latent z   : real
let level = mu + tau * a
p(mu)                = Normal(0, 1)
p(tau)               = HalfCauchy(1)
p(a | mu)            = Normal(mu, 1)
p(z | a)             = Normal(a[0], 1)
p(k | mu, tau, a)    = Categorical(mlp[4](level))
p(x | mu, tau, a, z) = Categorical(mlp[4](level, z))
q(tau)               = Normal(param) >> exp
q(a | g, mu)         = Normal(mlp[4](g, mu))
q(z | k, x, a)       = Normal(mlp[4](k, x, a))
"""
CLASSES_OF_GROUPS = """\
observed g : categorical(3) from "rows.npz".g
observed x : integer(0..4)[3] from "rows.npz".x
latent kind : categorical(2) per g
latent c    : binary per data
latent j    : categorical(3)
param rate : real[2, 2, 3, 3, 5]
p(c)              = Bernoulli(param)
p(kind | c)       = Categorical(linear(c))
p(j | kind)       = Categorical(linear(kind))
p(x | kind, c, j) = Categorical(rate[kind, c, j])
"""
PATHS_IN_COMMON = """\
observed g            : categorical(2) from "rows.npz".g
observed n            : integer(1..4) from "rows.npz".n
observed x[t in 1..n] : categorical(4) from "rows.npz".x
latent   f[c in 0..2] : simplex[4] per data
latent   a[t in 1..4] : real per g
latent   s[t in 1..n] : categorical(3)
p(f[c])                = Dirichlet(2)
p(a[1])                = Normal(0, 1)
p(a[t] | a[t-1])       = Normal(a[t-1], 1)
p(s[1])                = Categorical(param)
p(s[t] | s[t-1], a[t]) = Categorical(linear(s[t-1], a[t]))
p(x[t] | s[t], f)      = Categorical(log(f[s[t]]))
"""
RANDOM_WEIGHTS = """\
observed x : integer(0..4)[3] from "rows.npz".x
observed y : integer(0..3)[2] from "rows.npz".y
latent   z : real[2]
latent   a : positive per data
latent   s : positive per data
net f = mlp[4, activation = tanh]
net g = linear
let h : real[2, 4] = g(z)
let r : real[2, 4] = f(x)
s                    = exp(log(a))
p(a)                 = HalfNormal(1)
p(z)                 = Normal(0, 1)
p(f | a)             = Normal(0, a)
p(g)                 = Laplace(0, 1)
p(x[d] | x[<d])      = Categorical(causal[4](x[<d]))
p(y | x, z, f, g, s) = Categorical(r + s * h)
q(f | a)             = Normal(param, a * sigmoid(param))
q(z | x, y, f)       = Normal(mlp[4](x, y, mean(r, axis = 0)))
"""
VECTORS_OF_POSITIONS = """\
observed n            : integer(1..3) from "rows.npz".n
observed x[t in 1..n] : integer(0..4) from "rows.npz".x
latent   s[t in 1..n] : simplex[3]
latent   z[t in 1..n] : sphere[3]
p(s[1])              = mixture[2](Dirichlet(param))
p(s[t] | s[t-1])     = Dirichlet(1 + 5 * s[t-1])
p(z[t] | z[<t])      = mixture[2](VonMisesFisher(gru[4](z[<t])))
p(x[t] | s[t], z[t]) = Categorical(mlp[4](s[t], z[t]))
q(s[t] | x[t])       = Dirichlet(mlp[4](x[t]))
q(z[t] | z[<t], x)   = VonMisesFisher(gru[4](z[<t], x[t]))
"""
VECTORS_OF_EACH_OTHER = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   c : categorical(2)
latent   s : simplex[3]
latent   z : sphere[4]
latent   y : real[2]
p(c)        = Categorical(param)
p(s | c)    = Normal(linear(c), 1) >> affine >> stick_breaking
p(z | s)    = VonMisesFisher(linear(s), 3)
p(y | z)    = Dirichlet(1 + exp(linear(z))) >> inverse(stick_breaking)
p(x | y, z) = Categorical(mlp[4](y, z))
q(y | x)    = Normal(mlp[4](x))
q(z | x)    = VonMisesFisher(mlp[4](x))
q(s | z)    = Dirichlet(3 + exp(linear(z)))
q(c | s)    = Categorical(linear(s))
"""
A_MIXTURE_OF_FLOWS = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   z : real[2]
flow f   = coupling[mlp[4]]
p(z)     = mixture[2](Normal(param) >> f)
p(x | z) = Categorical(mlp[4](z))
q(z | x) = Normal(mlp[4](x))
"""
INTEGRATED = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   a : real
latent   b : real[2]
latent   z : real[2]
latent   y : real
p(a)        = Normal(0, 1)
p(b | a)    = Normal(linear(a), 0.5)
p(z | b)    = Normal(linear(b), param)
p(x | z)    = Categorical(mlp[4](z))
p(y | a, x) = Normal(linear(a, x), 2)
q(z | x)    = Normal(mlp[4](x))
"""
FILTERED = """\
observed x[t in 1..5] : integer(0..3) from "rows.npz".x
latent   s[t in 1..5] : real[2]
latent   z[t in 1..5] : real
latent   a : real
p(a)              = Normal(0, 1)
p(s[1])           = Normal(0, 1)
p(s[2])           = Normal(0, 1)
p(s[t] | s[t-1], s[t-2]) = Normal(0.5 * s[t-1] - 0.2 * s[t-2], 1)
p(z[t] | s[t], a) = Normal(linear(s[t], a), 0.3)
p(x[t] | z[t])    = Categorical(mlp[4](z[t]))
q(z[t] | x[t])    = Normal(mlp[4](x[t]))
"""
FILTERED_BACKWARD = """\
observed x[t in 1..5] : integer(0..3) from "rows.npz".x
latent   r[t in 1..5] : real
latent   z[t in 1..5] : real
p(r[5])          = Normal(0, 1)
p(r[t] | r[t+1]) = Normal(linear(r[t+1]), 1)
p(z[t] | r[t])   = Normal(linear(r[t]), 0.5)
p(x[t] | z[t])   = Categorical(mlp[4](z[t]))
q(z[t] | x[t])   = Normal(mlp[4](x[t]))
"""
WEIGHED = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   c : integer(1..3)
latent   z : real[2]
p(c)        = Categorical(param)
p(z | c)    = Normal(linear(c), 1)
p(x | z, c) = Categorical(mlp[4](z, c))
q(c | x)    = Categorical(mlp[4](x))
q(z | x, c) = Normal(mlp[4](x, c))
train { objective = iwae(3) }
"""
A_FLOW_OF_NORMAL_VECTORS = """\
observed x : integer(0..3)[4] from "rows.npz".x
latent   z : real[2]
param    U : real[2, 1]
p(z)     = Normal(0, 1)
p(x | z) = Categorical(mlp[4](z))
q(z | x) = LowRankNormal(5 * linear(x), 0.5, U) >> coupling[mlp[4]]
"""
ROUNDED_BEHIND_A_CLASS = """\
observed x : integer[2] from "rows.npz".x
observed y : categorical(3) from "rows.npz".y
latent   u : real[2]
latent   c : categorical(2)
flow f = 2 * (coupling[mlp[4]](c, y) >> reverse) >> affine
p(c)     = Categorical(param)
p(u | c) = Logistic(mlp[4](c))
p(y)     = Categorical(param)
x        = floor(4 * f(u))
"""
ROUNDED_OF_PARTS = """\
observed x : integer(0..2)[3] from "rows.npz".x
latent   u : real[2]
latent   z : real
flow f = coupling[mlp[4]] >> reverse
flow g = coupling[mlp[4]] >> sigmoid
p(z)     = mixture[2](Normal(param))
p(u | z) = Laplace(mlp[4](z))
x        = floor(3 * g(f(u), z))
"""
ROUNDED_AS_IT_IS = """\
observed x : integer[3] from "rows.npz".x
observed y : integer(0..2) from "rows.npz".y
latent   v : real[3]
p(v)     = Normal(param) >> 2 * (coupling[mlp[4]] >> reverse) >> affine
p(y | x) = Categorical(mlp[4](x))
x        = floor(v)
"""
INTEGERS_BEHIND_A_CLASS = """\
observed x : integer[3] from "rows.npz".x
latent   u : integer[3]
latent   c : categorical(3)
p(c)     = Categorical(param)
flow k   = 2 * (coupling[shift = mlp[4]](c) >> reverse)
p(u | c) = DiscretizedLogistic(mlp[4](c))
x        = k(u)
"""
A_LATENT_OF_A_LATENT = """\
observed x : integer(0..4)[2] from "rows.npz".x
latent   u : real[2]
latent   z : real[2]
p(u)     = Laplace(param)
flow k   = 2 * (coupling[mlp[4]] >> reverse)
z        = k(u)
p(x | z) = Categorical(mlp[4](z))
q(z | x) = Normal(mlp[4](x))
"""
OTHERS = {
    "rounded_behind_a_class": ROUNDED_BEHIND_A_CLASS,
    "rounded_of_parts": ROUNDED_OF_PARTS,
    "rounded_as_it_is": ROUNDED_AS_IT_IS,
    "integers_behind_a_class": INTEGERS_BEHIND_A_CLASS,
    "a_latent_of_a_latent": A_LATENT_OF_A_LATENT,
    "a_flow_of_normal_vectors": A_FLOW_OF_NORMAL_VECTORS,
    "weighed": WEIGHED,
    "integrated": INTEGRATED,
    "filtered": FILTERED,
    "filtered_backward": FILTERED_BACKWARD,
    "groups": GROUPS,
    "classes_of_groups": CLASSES_OF_GROUPS,
    "paths_in_common": PATHS_IN_COMMON,
    "random_weights": RANDOM_WEIGHTS,
    "vectors_of_positions": VECTORS_OF_POSITIONS,
    "vectors_of_each_other": VECTORS_OF_EACH_OTHER,
    "a_mixture_of_flows": A_MIXTURE_OF_FLOWS,
    "flows_of_positions": FLOWS_OF_POSITIONS,
    "paths_with_gaps": PATHS_WITH_GAPS,
    "paths_of_different_lengths": PATHS_OF_DIFFERENT_LENGTHS,
    "counts_of_a_latent": COUNTS_OF_A_LATENT,
    "wide_ranges": WIDE_RANGES,
    "a_flow_of_numbers": A_FLOW_OF_NUMBERS,
    "a_flow_onto_shares": A_FLOW_ONTO_SHARES,
    "gaps": GAPS,
    "gaps_summed": GAPS_SUMMED,
    "gaps_drawn": GAPS_DRAWN,
    "gaps_of_counts": GAPS_OF_COUNTS,
    "ends": ENDS,
    "ends_and_latents": ENDS_AND_LATENTS,
    "turns": TURNS,
    "turns_of_latents": TURNS_OF_LATENTS,
}

# What has discrete data and no code, in the words of the message.
REFUSED = {
    "rbm": "an energy is unnormalised",
}
# What is found out only when the laws are there.
WITHOUT = {"a_mixture_of_flows": "a mixture of flows has no code: its elements depend on each other"}


def program(spec: Path | str) -> Program | CodingError:
    try:
        return program_of(*parts(checked(spec)))
    except CodingError as error:
        return error


SPECS: dict[str, Path | str] = {name_of(path).split("/")[-1]: path for path in (*LIBRARY, *COMPOSITIONS)}
SPECS |= {name: f"model {name}\n{text}" for name, text in OTHERS.items()}
PROGRAMS = {name: (spec, program(spec)) for name, spec in SPECS.items()}
# Whose flows are solved for, in 64 dimensions: smaller ones of each kind are coded.
SLOW = ("flow_matching", "score", "neural_autoregressive")
CODED = [name for name, (_, found) in PROGRAMS.items() if isinstance(found, Program) and name not in SLOW]
ROUNDED = ("rounded_flow", "rounded_behind_a_class", "rounded_as_it_is", "summed_flow", "variational_dequantisation")


class Watched(Coder):
    """A coder that keeps what it coded last."""

    def _generate(self, env: Row, gaps: Row, chooser: Chooser, n: int) -> tuple[Row, Row]:
        self.env = dict(env)
        return super()._generate(env, gaps, chooser, n)


def log_joint(coder: Watched, env: Row) -> Tensor:
    """log p of all that is coded of each row, and of latents."""
    keys = (key for part in coder.program.parts for key in part.keys)
    return torch.stack([coder.factors.log_prob(coder.graph.keyed(key), env) for key in keys]).sum(0)


def cases_of(coder: Watched) -> Iterator[Row]:
    """What was coded with each case of what is summed out, by enumeration; just as it was where that is nothing."""
    program, graph = coder.program, coder.graph
    names = (*program.summed, *program.chained)
    env = {name: v for name, v in coder.env.items() if not names or graph[name].role != "let"}
    for case in itertools.product(*(coder.factors.every(name) for name in names)):
        yield env | {name: v.expand(ROWS, *v.shape) for name, v in zip(names, case)}


def discrete(coder: Coder, *names: str) -> list[str]:
    return [name for name in names if coder.graph[name].type.support.discrete]


def log_integral(coder: Watched, names: Sequence[str]) -> Tensor:
    """log p of each row with these integrated out: what is quadratic in them has the integral of a normal density."""
    env = {n: v for n, v in coder.env.items() if coder.graph[n].role != "let"}
    sizes = [env[n][0].numel() for n in names]

    def joint(z: Tensor) -> Tensor:
        parts = {n: part.reshape(env[n].shape) for n, part in zip(names, z.split(sizes, -1))}
        return log_joint(coder, env | parts)

    with torch.enable_grad():
        z = torch.zeros(ROWS, sum(sizes), requires_grad=True)
        (slope,) = torch.autograd.grad(joint(z).sum(), z, create_graph=True)
        rows = [torch.autograd.grad(s.sum(), z, retain_graph=True)[0] for s in slope.unbind(-1)]
    precision = -torch.stack(rows, -2)
    mode = torch.linalg.solve(precision, slope.detach())
    return joint(mode) + sum(sizes) / 2 * math.log(2 * math.pi) - precision.logdet() / 2


def ideal_bits(coder: Watched) -> float:
    """log2 q(z | x) - log2 p(x, z) at the values that were coded, by the densities of the model; with the entropy of
    what is missing and of what has no model."""
    env, program, graph = coder.env, coder.program, coder.graph
    normal = [name for name in program.chained if not graph[name].type.support.discrete]
    if normal:
        found = -log_integral(coder, normal).sum().item()
    else:
        found = -torch.stack([log_joint(coder, case) for case in cases_of(coder)]).logsumexp(0).sum().item()
    for part in program.inferred:
        for key in part.keys if not part.certain else ():
            q = graph.keyed(key)
            value, data = env[q.head], coder.rows.get(q.head)
            law = coder.factors.law(q, env if data is None else {**env, q.head: data})
            found += (law.log_prob(value) if data is None else log_prob_where(law, value, data.isnan())).sum().item()
    return found / math.log(2) + bits_besides(coder)


def bits_besides(coder: Watched) -> float:
    """The entropy of what is missing and of what has no model."""
    found = 0.0
    for name in coder.program.conditions:
        found += math.log(coder.side_information.cells(name).size) * coder.env[name].numel()
    for name in coder.program.missing:
        counts, n = missing(coder.graph[name], coder.rows[name]).sum(0), len(coder.rows[name])
        found -= (torch.xlogy(counts, counts / n) + torch.xlogy(n - counts, 1 - counts / n)).sum().item()
    return found / math.log(2)


@contextmanager
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), seed(3):
            yield
    finally:
        torch.set_default_dtype(before)


def refusal(coder: Coder, rows: dict[str, Tensor], stack: Stack) -> str:
    """Encodes rows; why it cannot, if so."""
    try:
        coder.encode(rows, stack)
    except CodingError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", CODED)
def test_rows_come_back(name: str) -> None:
    spec, found = PROGRAMS[name]
    assert isinstance(found, Program)
    data = dict(zip((v.name for v in graph_of(checked(spec)).data), data_of(checked(spec), ROWS), strict=True))
    rows = {n: v.double() for n, v in data.items()}
    model = build(checked(spec), scale=0.05).double().eval()
    with double(), model.unchecked():
        coder = Watched(found, model)
        told = coder.side_information.of(rows)
        assert len(told) == coder.side_information.count
        coder.side_information.tell(told, ROWS)
        count = max(WORDS, 2 * ROWS * coder.side_information.words_of_a_row) if found.bits_back else 0
        stack = Stack(initial_words(count), sealed=bool(count))
        why = refusal(coder, rows, stack)
        assert (name in WITHOUT) == bool(why), why
        if why:
            assert WITHOUT[name] in why
            return
        coded, bits = stack.words(), stack.bits
        coder.rows = rows
        few = not found.inverted and cases(coder.graph, discrete(coder, *found.summed, *found.chained)) <= CASES
        ideal, besides = ideal_bits(coder) if few else math.nan, bits_besides(coder)
        stack = Stack(coded, sealed=False)
        again = coder.decode(ROWS, stack)
        assert is_initial(stack.words(), count, count)
        for n, value in rows.items():
            torch.testing.assert_close(again[n], value, rtol=0, atol=0, equal_nan=True)
        assert bits == pytest.approx(-stack.bits, rel=1e-9)
        assert 32 * (len(coded) - count) == pytest.approx(bits, abs=100 + 0.01 * abs(bits))
        if model.criterion == "log_prob":
            exact = -model.figures(*rows.values())["log_prob"].sum().item() / math.log(2) + besides
            assert bits < exact * (1 + 1e-3) + 0.01
            assert bits == pytest.approx(exact, rel=1e-3, abs=0.01) or coder.side_information.open
        elif few:
            # What has a range that is told has no bits for what lies beyond it, and nothing takes more than 24 bits.
            # So have rows that lie where a flow that is not fitted leads next to nowhere.
            least = 0.97 * ideal if not (coder.side_information.open or found.rounded) else 0.0
            assert least - 1.0 < bits < 1.01 * ideal + 1.0


@pytest.mark.parametrize("name", ROUNDED)
def test_what_a_flow_rounds_takes_what_its_bound_says(name: str) -> None:
    """Rows that the model gives, whose bound is known well by few draws of the noise."""
    spec, found = PROGRAMS[name]
    assert isinstance(found, Program)
    model = build(checked(spec), scale=0.05).double().eval()
    with double(), model.unchecked():
        drawn, data = model.sample(100), graph_of(checked(spec)).data
        rows = drawn if isinstance(drawn, dict) else {data[0].name: drawn}
        rows = {v.name: rows[v.name].double() for v in data}
        coder = Coder(found, model)
        coder.side_information.tell(coder.side_information.of(rows), 100)
        stack = Stack(initial_words(WORDS), sealed=True)
        coder.encode(rows, stack)
        bounds = -torch.stack([model.elbo(*rows.values()).sum() for _ in range(20)]) / math.log(2)
        noise = 4 * bounds.std().item()
        assert bounds.mean().item() - noise < stack.bits < 1.01 * bounds.mean().item() + noise
        assert stack.bits < 1.01 * bounds.mean().item() + 8 * 64
        bits = stack.bits
        again = coder.decode(100, stack)
        assert all(torch.equal(again[n], value) for n, value in rows.items())
        assert stack.bits == pytest.approx(0.0, abs=1e-6 * bits)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_code_says_why(name: str) -> None:
    _, found = PROGRAMS[name]
    assert isinstance(found, CodingError)
    assert REFUSED[name] in str(found)


def test_what_is_real_is_refused() -> None:
    for name, (spec, found) in PROGRAMS.items():
        if not all(v.type.support.discrete for v in graph_of(checked(spec)).data):
            assert isinstance(found, CodingError), name
            assert "real numbers have densities" in str(found), name


def codes_program(spec: Path | str) -> Program | CodingError:
    graph, plan = parts(checked(spec))
    names = tuple(n for n in inferred_of(graph, plan) if graph[n].role == "latent" and not graph[n].shared)
    try:
        return program_of_codes(graph, plan, names)
    except CodingError as error:
        return error


WITH_CODES = {name: found for name, spec in SPECS.items() if isinstance(found := codes_program(spec), Program)}


def test_what_has_codes() -> None:
    for name in ("hmm", "class_of_pixels", "tree_of_classes"):
        assert name in WITH_CODES
    for name in ("vae", "gmvae", "gaussian_mixture", "made", "gaps", "hidden_energy_prior"):
        assert name not in WITH_CODES


@pytest.mark.parametrize("name", WITH_CODES)
def test_codes_come_back_and_take_what_their_probabilities_say(name: str) -> None:
    """Of data of any kind: p of the codes is what the densities of their factors say."""
    spec, found = SPECS[name], WITH_CODES[name]
    data = dict(zip((v.name for v in graph_of(checked(spec)).data), data_of(checked(spec), ROWS), strict=True))
    rows = {n: v.double() for n, v in data.items()}
    model = build(checked(spec), scale=0.05).double().eval()
    with double(), model.unchecked():
        coder = Coder(found, model)
        kept = codes_of(found, model, rows)
        coder.side_information.tell(coder.side_information.of(kept), ROWS)
        stack = Stack(initial_words(0), sealed=False)
        coder.encode(kept, stack)
        env, keys = coder.factors.known(kept), [k for part in found.parts for k in part.keys]
        bits = sum(-coder.factors.log_prob(coder.graph.keyed(k), env).sum().item() for k in keys)
        bits += sum(math.log(coder.side_information.cells(n).size) * kept[n].numel() for n in found.conditions)
        assert stack.bits == pytest.approx(bits / math.log(2), rel=1e-3, abs=0.01)
        again = coder.decode(ROWS, Stack(stack.words(), sealed=False))
        for n, value in kept.items():
            assert torch.equal(again[n], value), n


SHOPS = """\
model shops
observed shop : integer(2..4) from "rows.npz".shop
observed n    : integer(0..4) from "rows.npz".n
latent a    : real[5] per shop
latent b    : positive per data
latent kind : categorical(2) per shop
latent j    : categorical(3)
param rate : real[2, 3, 5]
p(a)                 = Normal(0, 1)
p(b)                 = LogNormal(0, 1)
p(kind)              = Categorical(uniform)
p(j | kind)          = Categorical(linear(kind))
p(n | a, b, kind, j) = Categorical(a + b * rate[kind, j])
"""


def test_what_rows_have_in_common_is_given() -> None:
    """A row takes -log2 p given means of q and its most probable classes, those of the group of the row."""
    found = program(SHOPS)
    assert isinstance(found, Program)
    rows = {"shop": torch.tensor([2.0, 4.0, 4.0, 3.0, 2.0]), "n": torch.tensor([0.0, 1.0, 4.0, 2.0, 2.0])}
    with double():
        model, stack = build(checked(SHOPS), scale=1.0).double().eval(), Stack(initial_words(WORDS), sealed=True)
        shops = torch.arange(2.0, 5.0)
        model.q_kind_net.weight.copy_(torch.tensor([[-9.0, 0.0, 9.0], [9.0, 0.0, -9.0]]))
        a, kind = model.q_a(shops).mean.numpy(), model.q_kind(shops).probs.argmax(-1)
        assert {*kind.tolist()} == {0, 1}
        b = np.exp(model.q_b().loc.item() + model.q_b().scale.item() ** 2 / 2)
        prior = special.log_softmax(model.p_j_net(torch.eye(2)).numpy(), -1)
        expected = 5 * math.log(3)
        for shop, n in zip(rows["shop"].int().tolist(), rows["n"].int().tolist(), strict=True):
            k = int(kind[shop - 2])
            logits = special.log_softmax(a[shop - 2] + b * model.rate[k].numpy(), -1)
            expected -= special.logsumexp(prior[k] + logits[:, n])
        coder = Coder(found, model)
        coder.side_information.tell((), ROWS)
        coder.encode({name: v.double() for name, v in rows.items()}, stack)
        assert stack.bits == pytest.approx(expected / math.log(2), rel=1e-4)
        model.q_b_loc.fill_(1000.0)
        with pytest.raises(CodingError, match="the mean of q of `b`, which rows have in common, is not finite"):
            Coder(found, model).encode(rows, stack)


@pytest.mark.parametrize("values", [(7, 7, 7, 7, 7), (2, 0, 1, 4, 1)])
def test_probabilities_are_those_given_the_range_of_the_rows(values: tuple[int, ...]) -> None:
    """Of a variable that has none; a range of a single value takes nothing."""
    spec = 'model counts\nobserved x : natural from "rows.npz".x\np(x) = Poisson(param)\n'
    found, rows = program(spec), {"x": torch.tensor(values, dtype=torch.float64)}
    assert isinstance(found, Program)
    with double():
        model, stack = build(checked(spec), scale=0.5).double().eval(), Stack(initial_words(0), sealed=False)
        coder, law = Coder(found, model), stats.poisson(model.p_x().mean.item())
        coder.side_information.tell(coder.side_information.of(rows), ROWS)
        coder.encode(rows, stack)
        within = law.cdf(max(values)) - law.cdf(min(values) - 1)
        assert stack.bits == pytest.approx(-np.log2(law.pmf(values) / within).sum(), rel=1e-4, abs=1e-6)
        assert torch.equal(coder.decode(ROWS, Stack(stack.words(), sealed=False))["x"], rows["x"])


def test_a_bound_is_reached_on_average() -> None:
    """The bits of many rows are minus their bound, within its noise: latents that are popped are draws of q."""
    path, found = PROGRAMS["vae"]
    assert isinstance(found, Program)
    model = build(checked(path), scale=0.05).double().eval()
    with double(), model.unchecked():
        (rows,) = data_of(checked(path), 256)
        coder = Coder(found, model)
        coder.side_information.tell((), 256)
        stack = Stack(initial_words(WORDS), sealed=True)
        for k in range(0, 256, 32):
            coder.encode({"x": rows[k : k + 32].double()}, stack)
        bounds = torch.stack([-model.elbo(rows.double()) / math.log(2) for _ in range(20)])
        noise = math.sqrt(bounds.var(0).sum().item())
        assert stack.bits == pytest.approx(bounds.mean(0).sum().item(), abs=4 * noise)
