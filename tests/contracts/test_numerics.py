"""Specs whose numbers once went wrong in single precision: the value that is right, through the whole compiler."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import dgmppl


def compiled(declaration: str, distribution: str) -> dgmppl.GenerativeModel:
    return dgmppl.compile(f'model m\nobserved x : {declaration} from "x.npy"\np(x) = {distribution}')


@pytest.mark.parametrize(
    ("declaration", "distribution", "x", "expected"),
    [
        ("natural", "Poisson(1e7)", 1e7, stats.poisson(1e7).logpmf(1e7)),
        ("natural", "NegativeBinomial(1e7, -14)", 8.0, stats.nbinom(1e7, 1 / (1 + np.exp(-14))).logpmf(8)),
        ("real", "StudentT(1e7, 0, 1)", 0.0, stats.t(1e7).logpdf(0)),
        ("positive", "Gamma(1e6, 1e3)", 1001.0, stats.gamma(1e6, scale=1e-3).logpdf(1001)),
        ("unit", "Beta(1e6, 1e6)", 0.5, stats.beta(1e6, 1e6).logpdf(0.5)),
        ("natural", "Geometric(0)", -1.0, -math.inf),
        ("unit[1]", "Normal(0, 1) >> affine >> sigmoid", [0.0], -math.inf),
        ("unit[1]", "Normal(0, 1) >> affine >> sigmoid", [1.0], -math.inf),
    ],
)
def test_log_prob(declaration: str, distribution: str, x: float, expected: float) -> None:
    model = compiled(declaration, distribution)
    with model.unchecked():
        found = model.log_prob(torch.tensor([x])).item()
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("scale", [3, 30])
@pytest.mark.parametrize(
    ("bijection", "support"),
    [("tanh", "interval(-1, 1)"), ("sigmoid", "unit"), ("softplus", "positive"), ("exp", "positive")],
)
def test_squashed_latents(bijection: str, support: str, scale: int) -> None:
    torch.manual_seed(0)
    model = dgmppl.compile(
        f"model m\nobserved x : real[2] from moons.point\nlatent z : {support}[1]\np(z) = Normal(0, 1) >> {bijection}\n"
        f"p(x | z) = Normal(mlp[4](z))\nq(z | x) = Normal(0, {scale}) >> {bijection}"
    )
    with torch.no_grad():
        terms = model.terms(torch.zeros(10_000, 2))
    ratio = sum(v for name, v in terms.items() if "log p(x" not in name)
    expected = -0.5 * (scale**2 - 1 - 2 * math.log(scale))
    assert abs(ratio.mean().item() - expected) < 5 * ratio.std().item() / 100


@pytest.mark.parametrize(
    ("declaration", "distribution"),
    [
        ("positive", "LogNormal(0, 50)"),
        ("positive[2]", "Normal(0, 60) >> exp"),
        ("positive[2]", "Normal(-100, 6) >> softplus"),
        ("interval(-1, 1)[2]", "Normal(0, 6) >> tanh"),
        ("simplex[3]", "Dirichlet(1e-3)"),
        ("unit", "Beta(1e-3, 1e-3)"),
    ],
)
def test_samples_are_inside_and_have_a_density(declaration: str, distribution: str) -> None:
    torch.manual_seed(0)
    model = compiled(declaration, distribution)
    x = model.sample(2000)
    assert (x.isfinite() & (x.abs() > 0)).all()
    assert model.log_prob(x).isfinite().all()
    if "tanh" in distribution or "Beta" in distribution:
        assert (x.abs() < 1).all()


def test_each_repeat_has_a_permutation_of_its_own() -> None:
    flow = "3 * (coupling[mlp[4]] >> permute >> 2 * (coupling[mlp[4]] >> permute) >> permute) >> permute"
    model = compiled("real[6]", f"Normal(0, 1) >> {flow}")
    orders = [tuple(b.tolist()) for n, b in model.named_buffers() if n.endswith("order")]
    assert len(orders) == len(set(orders)) == 13
    first = compiled("real[6]", "Normal(0, 1) >> permute[seed = 7]")
    again = compiled("real[6]", "Normal(0, 1) >> 2 * (coupling[mlp[4]] >> permute[seed = 7])")
    (own,) = (b.tolist() for n, b in first.named_buffers() if n.endswith("order"))
    repeats = [b.tolist() for n, b in again.named_buffers() if n.endswith("order")]
    assert repeats[0] == own
    assert repeats[1] != own


def test_an_integer_flow_of_a_range_is_normalised_and_has_gradients() -> None:
    model = compiled("integer(1..4)[2]", "Categorical(param) >> 2 * (coupling[shift = mlp[8]] >> reverse)")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight))
    axis = torch.arange(1.0, 5.0)
    x = torch.cartesian_prod(axis, axis)
    found = model.log_prob(x)
    torch.testing.assert_close(found.exp().sum(), torch.tensor(1.0))
    (found * torch.arange(16.0)).sum().backward()  # the slopes of a whole range add up to 0
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    draws = model.sample(500)
    assert ((draws >= 1) & (draws <= 4)).all()
    index = ((draws[:, 0] - 1) * 4 + draws[:, 1] - 1).long()
    expected = found.detach().exp().double().numpy()
    counts = torch.bincount(index, minlength=16).numpy()
    assert stats.chisquare(counts, 500 * expected / expected.sum()).pvalue > 1e-3
