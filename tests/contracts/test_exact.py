"""Exactness: probabilities of autoregressive models, priors and likelihoods sum or integrate to 1."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from tests.contracts.spaces import every, plane
from tests.contracts.support import build, checked
from tests.contracts.test_bounds import mean_and_error

# --- autoregressive models -----------------------------------------------------------------------

AUTOREGRESSIVE = {
    "causal over integers": (
        "observed x : integer(0..2)[4] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(causal[8, kernel = 2](x[<d]))",
        range(3),
        4,
    ),
    "causal over shifted integers": (
        "observed x : integer(2..4)[3] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(causal[8, 8, kernel = 3](x[<d]))",
        range(2, 5),
        3,
    ),
    "masked over categories": (
        "observed x : categorical(3)[4] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(masked[16, 16](x[<d]))",
        range(3),
        4,
    ),
    "causal over categories": (
        "observed x : categorical(3)[4] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(causal[8, kernel = 3](x[<d]))",
        range(3),
        4,
    ),
    "masked over binary units": (
        "observed x : binary[6] from 'r.npz'.x\np(x[d] | x[<d]) = Bernoulli(masked[16, 16](x[<d]))",
        range(2),
        6,
    ),
    "causal over binary units": (
        "observed x : binary[6] from 'r.npz'.x\np(x[d] | x[<d]) = Bernoulli(causal[8, 8, kernel = 7](x[<d]))",
        range(2),
        6,
    ),
    "causal with a class": (
        "observed x : binary[5] from 'r.npz'.x\nobserved y : categorical(3) from 'r.npz'.y\n"
        "p(x[d] | x[<d], y) = Bernoulli(causal[8, kernel = 3](x[<d], y))",
        range(2),
        5,
    ),
    "masked with a class": (
        "observed x : binary[5] from 'r.npz'.x\nobserved y : categorical(3) from 'r.npz'.y\n"
        "p(x[d] | x[<d], y) = Bernoulli(masked[8](x[<d], y))",
        range(2),
        5,
    ),
}


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_autoregressive_probabilities_sum_to_one(name) -> None:
    """And samples have the probabilities that log_prob says."""
    statements, values, count = AUTOREGRESSIVE[name]
    model = build(checked("model ar\n" + statements.replace("'", '"') + "\n"), scale=0.4)
    x = every(values, count)
    for y in range(3) if "class" in name else [None]:
        data = [x] if y is None else [x, torch.full((len(x),), float(y))]
        with torch.no_grad():
            probabilities = model.log_prob(*data).double().exp()
            n = 4000
            drawn = model.sample(n) if y is None else model.sample(n, y=y)
        assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-5)
        position = {tuple(row): k for k, row in enumerate(x.int().tolist())}
        index = torch.tensor([position[tuple(row)] for row in drawn.int().tolist()])
        seen = torch.bincount(index, minlength=len(x)).double()
        common = probabilities * n >= 5
        observed = torch.cat([seen[common], seen[~common].sum().reshape(1)]).numpy() + 1e-9
        expected = torch.cat([probabilities[common], probabilities[~common].sum().reshape(1)]).numpy() + 1e-12
        assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-6


def test_an_autoregressive_density_integrates_to_one() -> None:
    text = """\
model ar
observed x : real[2] from "r.npz".x
p(x[d] | x[<d]) = Normal(causal[8, kernel = 2](x[<d]))
"""
    model = build(checked(text), scale=0.3)
    x, area = plane(-12, 12, 400)
    with torch.no_grad():
        assert float(model.log_prob(x).exp().sum() * area) == pytest.approx(1.0, abs=2e-3)


def test_an_autoregressive_decoder_sums_to_one_for_every_latent() -> None:
    text = """\
model decoder
observed x : integer(0..2)[4] from "r.npz".x
latent   z : real[2]
p(z) = Normal(0, 1)
p(x[d] | x[<d], z) = Categorical(causal[8, 8, kernel = 3](x[<d], z))
q(z | x) = Normal(mlp[8](x))
"""
    model = build(checked(text), scale=0.4)
    x = every(range(3), 4)
    with torch.no_grad():
        for z in torch.randn(3, 2):
            total = model.p_x(z.expand(len(x), 2)).log_prob(x).exp().sum()
            assert float(total) == pytest.approx(1.0, abs=1e-5)


# --- priors and likelihoods that integrate to 1 --------------------------------------------------

PRIORS = {
    "normal": "Normal(0, 1)",
    "learned normal": "Normal(param)",
    "mixture of normals": "mixture[5](Normal(param, param))",
    "mixture with weights": "mixture[5, weights = param](Normal(param, 0.5))",
    "VampPrior": "mixture[5](q(z | param))",
    "GTM": "mixture[u in grid(4, 4)](Normal(mlp[8](u)))",
    "GTM-VampPrior": "mixture[u in grid(3, 3)](q(z | mlp[8](u)))",
    "flow": "Normal(0, 1) >> 4 * (coupling[mlp[8]] >> reverse)",
    "flow of a mixture": "mixture[3](Normal(param, param)) >> 2 * (coupling[mlp[8]] >> reverse)",
    "mixture of logistics": "mixture[3](Logistic(param, param))",
    "householder": "Normal(0, 1) >> affine >> 3 * householder",
}


@pytest.mark.parametrize("name", PRIORS)
def test_priors_integrate_to_one(name) -> None:
    text = f"""\
model prior
observed x : integer(0..4)[3] from "r.npz".x
latent   z : real[2]
p(z)     = {PRIORS[name]}
p(x | z) = Categorical(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
"""
    model = build(checked(text), scale=0.2)
    z, area = plane(-50, 50, 900)
    with torch.no_grad():
        log_prob = model.p_z().log_prob(z)
        drawn = model.p_z().sample((20_000,))
    assert float(log_prob.double().exp().sum() * area) == pytest.approx(1.0, abs=5e-3)
    # And its samples come from it: the expected log-density by quadrature and by draws.
    with torch.no_grad():
        mean, error = mean_and_error(model.p_z().log_prob(drawn))
    assert mean == pytest.approx(float((log_prob.exp() * log_prob).sum() * area), abs=error + 1e-2)


LIKELIHOODS = {
    "normal": "Normal(mlp[8](z))",
    "mixture": "mixture[5](Normal(mlp[8](z)))",
    "mixture with conditional weights": "mixture[5, weights = mlp[8](z)](Normal(mlp[8](z)))",
    "mixture with shared scale": "mixture[3](Normal(loc = mlp[8](z), scale = 0.5))",
    "conditional flow": "Normal(mlp[8](z)) >> 2 * (coupling[mlp[8]](z) >> reverse)",
    "student": "StudentT(df = 9, loc = mlp[8](z), scale = 0.5)",
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_integrate_to_one(name) -> None:
    text = f"""\
model likelihood
observed x : real[2] from "r.npz".x
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = {LIKELIHOODS[name]}
q(z | x) = Normal(mlp[8](x))
"""
    model = build(checked(text), scale=0.2)
    x, area = plane(-30, 30, 600)
    for z in torch.randn(3, 2):
        with torch.no_grad():
            total = model.p_x(z.expand(len(x), 2)).log_prob(x).double().exp().sum() * area
        assert float(total) == pytest.approx(1.0, abs=5e-3)
