"""Bounds of latent-variable models: each is the integral that it stands for, and lies below the marginal."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import Tensor

from dgmppl.runtime import GenerativeModel
from tests.contracts.spaces import line, plane
from tests.contracts.support import build, checked, seed

ONE_LATENT = {
    "normal": ("real[1]", "Normal(0, 1)", "Normal(mlp[8](x))", (-12, 12)),
    "laplace": ("real[1]", "Laplace(0, 1)", "Normal(mlp[8](x))", (-25, 25)),
    "laplace twice": ("real[1]", "Laplace(0.5, 1)", "Laplace(mlp[8](x))", (-30, 30)),
    "mixture": ("real[1]", "mixture[3](Normal(param, param))", "Normal(mlp[8](x))", (-15, 15)),
    "vamp": ("real[1]", "mixture[4](q(z | param))", "Normal(mlp[8](x))", (-15, 15)),
    "gamma": ("positive[1]", "Gamma(2, 1)", "Gamma(mlp[8](x))", (0, 60)),
    "log-normal": ("positive[1]", "Gamma(2, 3)", "LogNormal(mlp[8](x))", (0, 80)),
    "exponential": ("positive[1]", "Exponential(2)", "Exponential(mlp[8](x))", (0, 40)),
    "beta": ("unit[1]", "Beta(2, 3)", "Beta(mlp[8](x))", (0, 1)),
    "pushed to the unit interval": ("unit[1]", "Beta(2, 3)", "Normal(mlp[8](x)) >> sigmoid", (0, 1)),
    "affine posterior": ("real[1]", "Normal(0, 1)", "Normal(mlp[8](x)) >> affine(mlp[8](x))", (-20, 20)),
    "scalar": ("real", "Normal(0, 1)", "Normal(mlp[8](x))", (-12, 12)),
    "no posterior": ("real[1]", "Normal(0, 1)", "", (-15, 15)),
    "student": ("real[1]", "StudentT(df = 6, loc = 0, scale = 1)", "Normal(mlp[8](x))", (-40, 40)),
}


def one_latent(name: str, objective: str = "") -> GenerativeModel:
    kind, prior, posterior, _ = ONE_LATENT[name]
    q = f"q(z | x) = {posterior}\n" if posterior else ""
    text = f"""\
model one_latent
observed x : real[2] from "r.npz".x
latent   z : {kind}
p(z) = {prior}
p(x | z) = Normal(mlp[8](z), 0.5)
{q}"""
    return build(checked(text + objective), scale=0.3)


def integrals(model: GenerativeModel, x: Tensor, z: Tensor, step: float) -> tuple[float, float]:
    """log p(x), and the ELBO, by quadrature over the latent."""
    rows = x.expand(len(z), *x.shape)
    with torch.no_grad():
        joint = (model.p_z().log_prob(z) + model.p_x(z).log_prob(rows)).double()
        q = model.q_z(rows).log_prob(z).double()
    inside = q.isfinite() & joint.isfinite()
    assert float(q[inside].exp().sum() * step) == pytest.approx(1.0, abs=5e-3)
    elbo = float((q[inside].exp() * (joint - q)[inside]).sum() * step)
    return float(joint[inside].logsumexp(0)) + math.log(step), elbo


def mean_and_error(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), 4.5 * float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize("name", ONE_LATENT)
def test_the_elbo_is_the_integral_and_bounds_the_marginal(name) -> None:
    model = one_latent(name)
    low, high = ONE_LATENT[name][3]
    z, step = line(low, high, 40_000)
    z = z if ONE_LATENT[name][0] == "real" else z.unsqueeze(-1)
    for x in torch.tensor([[0.3, -0.7], [1.0, 0.5]]):
        exact, expected = integrals(model, x, z, step)
        with torch.no_grad():
            mean, error = mean_and_error(model.elbo(x.expand(20_000, 2)))
        assert mean == pytest.approx(expected, abs=error + 5e-3)
        assert expected <= exact + 1e-3


@pytest.mark.parametrize("name", ["normal", "mixture", "gamma"])
def test_importance_weighting_tightens_the_bound(name) -> None:
    low, high = ONE_LATENT[name][3]
    z, step = line(low, high, 40_000)
    x = torch.tensor([0.3, -0.7])
    bounds = []
    for samples in (1, 5, 50):
        objective = f"train {{ objective = iwae({samples}) }}\n"
        model = one_latent(name, objective)
        exact, _ = integrals(model, x, z.unsqueeze(-1), step)
        with torch.no_grad():
            assert model.criterion == (f"iwae({samples})" if samples > 1 else "elbo")
            mean, error = mean_and_error(model.figures(x.expand(4000, 2))[model.criterion])
        assert mean <= exact + error
        bounds.append(mean)
    assert bounds[0] < bounds[1] < bounds[2]
    assert exact - bounds[2] < 0.6 * (exact - bounds[0])


def test_beta_changes_the_loss_and_not_the_elbo() -> None:
    plain, weighted = one_latent("normal"), one_latent("normal", "train { objective = elbo(beta = 4) }\n")
    weighted.load_state_dict(plain.state_dict())
    x = torch.randn(10, 2)
    results = []
    for model in (plain, weighted):
        with seed(2), torch.no_grad():
            elbo = model.elbo(x)
        with seed(2), torch.no_grad():
            loss, terms = model.loss(x), None
        with seed(2), torch.no_grad():
            terms = model.terms(x)
        results.append((elbo, loss, terms))
    (elbo, loss, terms), (again, heavier, _) = results
    assert torch.equal(elbo, again)
    assert float(loss) == pytest.approx(float(-elbo.mean()), rel=1e-6)
    kl = -next(v for k, v in terms.items() if k.startswith("-KL"))
    assert float(heavier) == pytest.approx(float(loss + 3 * kl.mean()), rel=1e-5)


HIERARCHIES = {
    "bottom up": "q(a | x) = Normal(mlp[8](x))\nq(b | a) = Normal(mlp[8](a))",
    "top down": "q(b | x) = Normal(mlp[8](x))\nq(a | b, x) = Normal(mlp[8](b, x))",
    "residual": "q(b | x) = Normal(mlp[8](x))\nq(a | b, x) = residual(p(a | b), mlp[8](x))",
    "derived": "",
    "features": (
        "let r : real[4] = mlp[8](x)\nq(b | x) = Normal(linear(r))\nq(a | b, x) = residual(p(a | b), linear(r))"
    ),
}


@pytest.mark.parametrize("name", HIERARCHIES)
def test_bounds_of_hierarchies_are_integrals(name) -> None:
    text = f"""\
model two_levels
observed x : real[2] from "r.npz".x
latent   a : real[1]
latent   b : real[1]
p(b)     = Normal(0, 1)
p(a | b) = Normal(mlp[8](b))
p(x | a) = Normal(mlp[8](a), 0.5)
{HIERARCHIES[name]}
"""
    found = checked(text)
    model = build(found, scale=0.2)
    grid, area = plane(-10, 10, 500)
    a, b = grid[:, :1], grid[:, 1:]
    x = torch.tensor([0.3, -0.7])
    rows = x.expand(len(grid), 2)
    given = {"a": a, "b": b, "x": rows}
    if "let" in HIERARCHIES[name]:
        given["r"] = model.define_r(rows)
    with torch.no_grad():
        joint = model.p_b().log_prob(b) + model.p_a(b).log_prob(a) + model.p_x(a).log_prob(rows)
        q = sum(_density(model, "q_" + v, given).log_prob(given[v]) for v in "ab")
        exact, expected = float(joint.logsumexp(0)) + math.log(area), float((q.exp() * (joint - q)).sum() * area)
        mean, error = mean_and_error(model.elbo(x.expand(20_000, 2)))
    assert float(q.exp().sum() * area) == pytest.approx(1.0, abs=1e-2)
    assert mean == pytest.approx(expected, abs=error + 5e-3)
    assert expected <= exact + 1e-3


def _density(model: GenerativeModel, method: str, given: dict[str, Tensor]):
    function = getattr(type(model), method)
    names = [*inspect.signature(function).parameters][1:]
    return getattr(model, method)(*(given[n] for n in names))


def test_an_exact_posterior_makes_the_bound_tight() -> None:
    """x = z + 0.5 eps: with q the true posterior every draw's p / q is p(x)."""
    text = """\
model conjugate
observed x : real[2] from "r.npz".x
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(z, 0.5)
q(z | x) = Normal(0.8 * x, 0.4472135955)
train { objective = iwae(3) }
"""
    model = build(checked(text))
    x = torch.randn(20, 2)
    expected = torch.distributions.Normal(0, math.sqrt(1.25)).log_prob(x).sum(-1)
    assert torch.allclose(model.figures(x)["iwae(3)"], expected, atol=1e-4)
