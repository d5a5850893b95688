"""Latents that are integrated or summed out: the likelihood and the posterior are those of scikit-learn's models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from torch import Tensor

from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import open_examples
from dgmppl.train.runs import load_data
from tests.contracts.support import build, checked

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
