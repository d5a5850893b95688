"""Latents that are integrated or summed out: the likelihood and the posterior are those of scikit-learn's models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from torch import Tensor

from dgmppl.plan.rules.integrate import Integrate
from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import open_examples
from dgmppl.train.runs import load_data
from tests.contracts.support import build, checked, data_of, graph_of, joint_normal

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LATENT = Path("specs/latent")


def fitted_to(name: str) -> tuple[GenerativeModel, Tensor]:
    """A spec's model, in double precision, and its training rows."""
    path = LATENT / f"{name}.dgm"
    found = checked(path)
    model = build(found).double()
    table = load_data(found, path.parent).train
    (rows,) = next(open_examples(table, model.data, torch.device("cpu")).chunks(len(table)))
    return model, rows.double()


def parameters_of_pca(pca: PCA) -> dict[str, np.ndarray]:
    """W, b and s of Tipping and Bishop (1999), Eqs. 7 and 8, for any rotation."""
    scale = np.sqrt(pca.explained_variance_ - pca.noise_variance_)
    return {"W": pca.components_.T * scale, "b": pca.mean_, "s": np.log(pca.noise_variance_) / 2}


def parameters_of_factors(factors: FactorAnalysis) -> dict[str, np.ndarray]:
    return {"W": factors.components_.T, "b": factors.mean_, "s": np.log(factors.noise_variance_) / 2}


def posterior_of_pca(pca: PCA, x: np.ndarray) -> np.ndarray:
    """Tipping and Bishop (1999), Sec. 3.3: `M^-1 W' (x - b)`, M = W' W + sigma^2 I."""
    w = parameters_of_pca(pca)["W"]
    return (x - pca.mean_) @ w @ np.linalg.inv(w.T @ w + pca.noise_variance_ * np.eye(w.shape[1]))


ORACLES = {
    "ppca": (PCA(5), parameters_of_pca, posterior_of_pca),
    "factor_analysis": (
        FactorAnalysis(3, tol=1e-8, max_iter=4000),
        parameters_of_factors,
        lambda f, x: f.transform(x),
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_the_likelihood_and_the_posterior_are_those_of_scikit_learn(name: str) -> None:
    model, rows = fitted_to(name)
    oracle, parameters_of, posterior_of = ORACLES[name]
    oracle.fit(rows.numpy())
    for key, value in parameters_of(oracle).items():
        getattr(model, key).data.copy_(torch.as_tensor(value))
    expected = torch.as_tensor(oracle.score_samples(rows.numpy()))
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(rows), expected, rtol=1e-9, atol=1e-9)
        found = model.infer(rows, mean=True)["z"]
    torch.testing.assert_close(found, torch.as_tensor(posterior_of(oracle, rows.numpy())), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ORACLES)
def test_a_fit_comes_to_the_optimum_of_scikit_learn(name: str) -> None:
    model, rows = fitted_to(name)
    optimizer = torch.optim.LBFGS(
        list(model.parameters()),
        max_iter=2000,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_change=1e-12,
        tolerance_grad=1e-9,
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = -model.log_prob(rows).mean()
        total.backward()
        return total

    optimizer.step(loss)
    oracle = ORACLES[name][0].fit(rows.numpy())
    assert float(model.log_prob(rows).mean().detach()) == pytest.approx(oracle.score(rows.numpy()), abs=1e-3)


DIAGONAL = """model diagonal
observed x : real[4] from standardize(iris.data)
latent   k : categorical(3)
param    m : real[3, 4]
param    s : real[3, 4]
p(k)     = Categorical(param)
p(x | k) = Normal(m[k], exp(s[k]))
"""


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_mixtures_of_normal_distributions(kind: str) -> None:
    model, rows = fitted_to("gaussian_mixture")
    oracle = GaussianMixture(3, covariance_type=kind, random_state=0).fit(rows.numpy())
    if kind == "full":
        model.L.data.copy_(torch.as_tensor(np.linalg.cholesky(oracle.covariances_)))
    else:
        model = build(checked(DIAGONAL)).double()
        model.s.data.copy_(torch.as_tensor(np.log(oracle.covariances_) / 2))
    model.m.data.copy_(torch.as_tensor(oracle.means_))
    model.p_k_logits.data.copy_(torch.as_tensor(np.log(oracle.weights_)))
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(rows), torch.as_tensor(oracle.score_samples(rows.numpy())))
        assert model.infer(rows, mean=True)["k"].tolist() == oracle.predict(rows.numpy()).tolist()


def test_too_many_latents_are_drawn() -> None:
    text = DIAGONAL.replace("categorical(3)", "real[{}]").replace("Categorical(param)", "Normal(0, 1)")
    text = text.replace("Normal(m[k], exp(s[k]))", "Normal(linear(k), 1)")
    for size, criterion in ((1000, "log_prob"), (1001, "elbo")):
        assert checked(text.format(size)).plan.criterion == criterion


DATA = 'observed x[t in 1..T] : real[3] from "walks.npz".steps\n'
CAUSE = "latent f : real[2]\nparam A : real[3, 2] = normal(0.5)\np(f) = Normal(param, 1)\n"
SEQUENCES = {
    "a cause of a sequence": DATA + CAUSE + "p(x[t] | f) = Normal(A @ f + 0.1 * t, param)",
    "a cause and what was before": DATA
    + 'observed u[t in 1..T] : real[2] from "walks.npz".inputs\n'
    + CAUSE
    + "p(x[1] | f) = Normal(linear(f), 0.5)\n"
    + "p(x[t] | f, x[t-1], u[t]) = Normal(A @ f + (f @ u[t]) * x[t-1] + mlp[3](u[t]), exp(sum(u[t])))",
    "two sequences under a tree": DATA
    + 'observed y[t in 1..T + 2] : real from "walks.npz".y\nobserved w : real[2] from "walks.npz".w\n'
    + "latent m : real[2]\np(m) = Normal(0, 1)\n"
    + CAUSE.replace("p(f) = Normal(param, 1)", "p(f | m) = Normal(linear(m), 0.5)")
    + "p(x[t] | f) = Normal((A @ f) * exp(-0.1 * t), param)\n"
    + "p(y[1]) = Normal(0, 1)\np(y[t] | m, y[t-1]) = Normal(sum(m) + 0.5 * y[t-1], 0.3)\np(w | m) = Normal(m, 0.2)",
    "a past of networks": DATA
    + "let h[t in 1..T] : real[2] = gru_cell(x[t-1], h[t-1])\n"
    + CAUSE
    + "p(x[t] | f, x[<t]) = Normal(A @ (f + h[t]), param)",
    "a cause of elements": DATA.replace("x[t in 1..T] : real[3]", "x : real[T, 3]")
    + 'observed u : real[T, 2] from "walks.npz".inputs\n'
    + CAUSE
    + "p(x[d] | f, u[d]) = Normal(A @ (f + u[d]) + 0.1 * d, exp(sum(u[d])))",
    "elements of a latent and a cause of them": DATA.replace("x[t in 1..T] : real[3]", "x : real[T]")
    + 'observed u : real[T, 2] from "walks.npz".inputs\n'
    + "latent f : real\np(f) = Normal(0, 1)\nlatent z : real[T]\np(z[d] | f, u[d]) = Normal(f + linear(u[d]), 0.7)\n"
    + "p(x[d] | z[d], z[d-1]) = Normal(2 * z[d] - z[d-1], param)",
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_causes_of_a_row_below_a_sequence_are_the_joint_normal(name: str) -> None:
    found = checked(f"model causes\nconst T = 4\n{SEQUENCES[name]}\n")
    assert found.plan is not None and found.plan.criterion == "log_prob"
    assert any(isinstance(s, Integrate) for s in found.plan.steps)
    model, data = build(found, scale=0.3).double(), [d.double() for d in data_of(found, 3)]
    value, read = model.log_prob(*data), model.infer(*data, mean=True)
    each = [joint_normal(found, model, [d[k : k + 1] for d in data]) for k in range(3)]
    expected = torch.stack([total for total, _, _ in each])
    assert torch.allclose(value, expected, atol=1e-8)
    parameters = list(model.parameters())
    for a, b in zip(torch.autograd.grad(value.sum(), parameters), torch.autograd.grad(expected.sum(), parameters)):
        assert torch.allclose(a, b, atol=1e-6)
    names = [v.name for v in graph_of(found).latents]
    means = torch.cat([read[n].reshape(3, -1) for n in names], 1)
    assert torch.allclose(means, torch.stack([mean for _, mean, _ in each]), atol=1e-8)
