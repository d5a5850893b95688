"""Latents of few values without a q: what is summed out is the likelihood itself, against scikit-learn and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

import dgmppl
from tests.contracts.support import COMPOSITIONS, build, checked, data_of, seed

MIXTURE = """\
model mixture_of_normals
observed x : real[2] from moons.point
latent   k : categorical(3)
p(k)     = Categorical(param)
p(x | k) = Normal(loc = linear(k), scale = 0.5)
"""


def test_a_mixture_written_with_a_latent_is_scikit_learns() -> None:
    found = checked(MIXTURE)
    model = build(found, scale=0.5)
    assert found.plan is not None and found.plan.criterion == "log_prob"
    classes = torch.arange(3.0)
    with torch.no_grad():
        means = model.p_x(classes).base_dist.loc.numpy()
        weights = model.p_k().probs.numpy()
    oracle = GaussianMixture(3, covariance_type="spherical")
    oracle.means_, oracle.weights_ = means.astype(float), weights.astype(float) / weights.sum()
    oracle.covariances_ = np.full(3, 0.25)
    oracle.precisions_cholesky_ = np.full(3, 2.0)
    x = torch.randn(50, 2)
    with torch.no_grad():
        assert model.log_prob(x).numpy() == pytest.approx(oracle.score_samples(x.numpy()), abs=1e-4)


def test_nested_sums_beside_a_draw_are_those_by_hand() -> None:
    found = checked(next(p for p in COMPOSITIONS if p.stem == "two_mixtures"))
    model, data = build(found, scale=0.3), data_of(found, 6)
    with seed(2), torch.no_grad():
        total = sum(model.terms(*data).values())
    with seed(2), torch.no_grad():
        q = model.q_z(*data)
        z = q.rsample()
        cases = []
        for a, b in itertools.product((0.0, 1.0), (1.0, 2.0, 3.0)):
            a_, b_ = torch.full((6,), a), torch.full((6,), b)
            prior = model.p_a().log_prob(a_) + model.p_b(a_).log_prob(b_)
            cases.append(prior + model.p_x(z, b_, a_).log_prob(data[0]))
        kl = torch.distributions.kl_divergence(q, model.p_z())
        expected = torch.logsumexp(torch.stack(cases), 0) - kl
    assert torch.allclose(total, expected, atol=1e-4)


def test_an_exact_sum_is_tighter_than_one_under_a_q() -> None:
    """Same p, with and without q(k | x): the bound lies below the likelihood by KL(q || p(k | x))."""
    exact = checked(MIXTURE)
    bound = checked(MIXTURE + "q(k | x) = Categorical(mlp[4](x))\n")
    first, second = build(exact, scale=0.5), build(bound, scale=0.5)
    second.load_state_dict(first.state_dict(), strict=False)
    x = torch.randn(40, 2)
    with torch.no_grad():
        assert (second.elbo(x) <= first.log_prob(x) + 1e-4).all()
        assert (second.elbo(x) < first.log_prob(x) - 1e-4).any()


def test_samples_come_from_the_mixture() -> None:
    found = checked(MIXTURE)
    model = build(found, scale=0.5)
    with seed(0), torch.no_grad():
        x = model.sample(20_000)
        weights, means = model.p_k().probs, model.p_x(torch.arange(3.0)).base_dist.loc
    mean = weights @ means
    assert torch.allclose(x.mean(0), mean, atol=0.03)
    between = weights @ (means - mean).square()
    assert torch.allclose(x.var(0), 0.25 + between, rtol=0.05)


def test_explain_says_that_the_sum_is_exact() -> None:
    text = dgmppl.explain(MIXTURE)
    assert "exact log-likelihood log p(x)" in text
    assert "log sum over k of p(k) p(x | k)" in text


def test_what_is_summed_out_has_its_posterior() -> None:
    """infer gives the most probable class, and draws it by Bayes' rule."""
    model = build(checked(MIXTURE), scale=0.5)
    x = torch.randn(6, 2)
    with seed(0), torch.no_grad():
        classes = torch.arange(3.0)
        joint = torch.stack([model.p_k().log_prob(k) + model.p_x(k.expand(6)).log_prob(x) for k in classes], -1)
        assert torch.equal(model.infer(x, mean=True)["k"], joint.argmax(-1).float())
        drawn = torch.stack([model.infer(x)["k"] for _ in range(3000)])
        shares = torch.stack([(drawn == k).float().mean(0) for k in classes], -1)
    assert torch.allclose(shares, joint.softmax(-1), atol=0.04)


def test_nested_sums_have_a_joint_posterior_beside_a_draw() -> None:
    found = checked(next(p for p in COMPOSITIONS if p.stem == "two_mixtures"))
    model, data = build(found, scale=0.3), data_of(found, 5)
    with seed(0), torch.no_grad():
        inferred = model.infer(*data, mean=True)
        z = model.q_z(*data).mean
        cases = list(itertools.product((0.0, 1.0), (1.0, 2.0, 3.0)))
        joint = []
        for a, b in cases:
            a_, b_ = torch.full((5,), a), torch.full((5,), b)
            prior = model.p_a().log_prob(a_) + model.p_b(a_).log_prob(b_)
            joint.append(prior + model.p_x(z, b_, a_).log_prob(data[0]))
        best = torch.stack(joint).argmax(0)
    assert torch.equal(inferred["z"], z)
    assert [(a, b) for a, b in zip(inferred["a"].tolist(), inferred["b"].tolist())] == [cases[k] for k in best]
    assert model.reconstruct(*data)["x"].shape == data[0].shape
