"""Specs as scikit-learn estimators: its own checks, and what is fitted held against closed forms."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import dgmppl
from dgmppl.sklearn import DensityEstimator, GenerativeClassifier, GenerativeRegressor
from tests.apply.runs import PEOPLE, people

PPCA = """\
model ppca
observed x : real[D]
latent   z : real[1]
param    W : real[D, 1]
param    b : real[D]
param    s : real
p(z)     = Normal(0, 1)
p(x | z) = Normal(W @ z + b, exp(s))
train { optimizer = adam(1e-2), epochs = 2 }
"""
VAE = """\
model vae
observed x : real[D] from standardize("x.npy")
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
train { epochs = 2 }
"""
CLASSES = """\
model classes
observed y : categorical(K)
observed x : real[D]
p(y)     = Categorical(param)
p(x | y) = Normal(mlp[4](y))
train { epochs = 2 }
"""
BAYES = """\
model bayes
observed y : categorical(K)
observed x : real[D] from standardize("x.npy")
param    m : real[K, D]
param    s : real[K, D]
p(y)     = Categorical(param)
p(x | y) = Normal(m[y], exp(s[y]))
train { optimizer = adam(1e-1), epochs = 30 }
"""
REGRESSION = """\
model regression
observed x : real[D] from standardize("x.npy")
observed y : real from standardize("y.npy")
param    w : real[D]
param    b : real
param    s : real
p(y | x) = Normal(sum(w * x) + b, exp(s))
train { optimizer = adam(3e-2), epochs = 60 }
"""
X = np.random.default_rng(0).normal(2, 3, (60, 4))
# Of the checks that scikit-learn has, those that are always run; --slow runs all of each estimator. None is expected
# to fail. It leaves out by itself those of arrays of other libraries (SCIPY_ARRAY_API), and of the bound of an
# auto-encoder, which is estimated by draws, those that compare two computations of it.
CHECKS = (
    "check_dict_unchanged",
    "check_dtype_object",
    "check_estimator_sparse_tag",
    "check_estimators_nan_inf",
    "check_estimators_pickle",
    "check_fit2d_1sample",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_transformer_general",
    "check_transformer_preserve_dtypes",
)


@parametrize_with_checks(
    [
        DensityEstimator(PPCA, random_state=0),
        DensityEstimator(VAE, random_state=0),
        GenerativeClassifier(BAYES, random_state=0),
        GenerativeRegressor(REGRESSION, random_state=0),
    ]
)
def test_scikit_learns_own_checks(estimator: Any, check: Any, request: pytest.FixtureRequest) -> None:
    name = check.func.__name__
    if not request.config.getoption("--slow") and (estimator.spec != PPCA or name not in CHECKS):
        pytest.skip("--slow runs it")
    check(estimator)


@pytest.fixture(scope="module")
def fitted() -> DensityEstimator:
    return DensityEstimator(PPCA, settings={"epochs": 30}, random_state=0).fit(X)


def test_a_density_is_the_closed_form(fitted: DensityEstimator) -> None:
    state = {name: value.numpy().astype(float) for name, value in fitted.run_.model.state_dict().items()}
    W, b, s = state["W"], state["b"], np.exp(state["s"])
    exact = multivariate_normal(b, W @ W.T + s**2 * np.eye(4)).logpdf(X)
    np.testing.assert_allclose(fitted.score_samples(X), exact, rtol=1e-5)
    assert fitted.score(X) == pytest.approx(exact.mean(), rel=1e-5)
    means = (X - b) @ W / (W.T @ W + s**2)
    np.testing.assert_allclose(fitted.transform(X), means, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fitted.inverse_transform(means), means @ W.T + b, rtol=1e-4, atol=1e-4)
    drawn = fitted.sample(4000)
    assert drawn.shape == (4000, 4)
    np.testing.assert_allclose(drawn.mean(0), b, atol=5 * np.sqrt((W @ W.T).max() + s**2) / np.sqrt(4000))
    assert list(clone(fitted).set_output(transform="pandas").fit_transform(X).columns) == ["z[0]"]


def test_all_rows_are_fitted_to_unless_there_is_a_split(fitted: DensityEstimator) -> None:
    assert fitted.run_.run.record["data"]["split"]["sizes"] == [60, 60, 60]
    other = DensityEstimator(PPCA, settings={"split": "shuffled(0.8, 0.1, 0.1)", "epochs": 1}).fit(X)
    assert other.run_.run.record["data"]["split"]["sizes"] == [48, 6, 6]


def test_values_are_in_the_units_of_the_data() -> None:
    rows = np.random.default_rng(1).normal(1000, 10, (50, 3))
    model = DensityEstimator(VAE, random_state=0).fit(rows)
    assert abs(model.sample(50).mean() - 1000) < 50
    assert model.inverse_transform(model.transform(rows)).mean() == pytest.approx(1000, abs=20)


def test_a_copy_needs_no_folder(fitted: DensityEstimator) -> None:
    model = clone(fitted).fit(X)
    expected, text = model.score_samples(X), pickle.dumps(model)
    folder = model.run_.path
    del model
    assert not folder.exists()
    np.testing.assert_array_equal(pickle.loads(text).score_samples(X), expected)


def test_classes_are_those_of_y() -> None:
    y = np.array(["b", "a", "c"] * 20)
    model = DensityEstimator(CLASSES, random_state=0).fit(X, y)
    assert list(model.classes_) == ["a", "b", "c"]
    rows, labels = model.sample(30)
    assert rows.shape == (30, 4)
    assert set(labels) <= {"a", "b", "c"}
    assert np.isfinite(model.score_samples(X, y)).all()
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.score_samples(X)
    with pytest.raises(ValueError, match="other values than those of the fit"):
        model.score_samples(X[:1], ["d"])


def test_classes_are_predicted_by_bayes_rule() -> None:
    labels = np.array(["a", "b", "c"])[(X[:, 0] > 2).astype(int) + (X[:, 1] > 2)]
    model = GenerativeClassifier(BAYES, random_state=0).fit(X, labels)
    oracle = GaussianNB().fit(X, labels)  # of the same family, and with the parameters that were fitted
    scaled = model.run_.fields["x"].transforms[0]
    state = {name: value.double().numpy() for name, value in model.run_.model.state_dict().items()}
    oracle.theta_ = state["m"] * scaled.deviation + scaled.mean
    oracle.var_ = (np.exp(state["s"]) * scaled.deviation) ** 2
    oracle.class_prior_ = np.exp(state["p_y_logits"]) / np.exp(state["p_y_logits"]).sum()
    np.testing.assert_allclose(model.predict_proba(X), oracle.predict_proba(X), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.predict_log_proba(X), oracle.predict_log_proba(X), rtol=1e-3, atol=1e-3)
    assert model.score(X, labels) == oracle.score(X, labels) > 0.7
    with pytest.raises(ValueError, match="observed y : categorical"):
        GenerativeClassifier(PPCA).fit(X, labels)


def test_numbers_are_predicted_in_their_units() -> None:
    target = 1000 + X @ np.arange(4.0) + np.random.default_rng(2).normal(size=60)
    model = GenerativeRegressor(REGRESSION, settings={"epochs": 300, "patience": 300}, random_state=0).fit(X, target)
    expected = LinearRegression().fit(X, target).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, atol=0.1)
    mean, spread = model.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X))
    np.testing.assert_allclose(spread, np.std(target - mean), rtol=0.05)
    with pytest.raises(ValueError, match="observed y : real"):
        GenerativeRegressor(BAYES).fit(X, target)


def test_rows_of_a_table_may_have_axes_in_the_spec() -> None:
    walk = "model walk\nobserved x[t in 1..2] : real[2]\np(x[1]) = Normal(0, 1)\np(x[2]) = Normal(mlp[4](x[1]), 1)\n"
    model = DensityEstimator(walk, settings={"epochs": 1}, random_state=0).fit(X)
    assert model.sample(3).shape == (3, 4)
    np.testing.assert_array_equal(model.run_.score(X.reshape(-1, 2, 2))["log_prob"], model.score_samples(X))


def test_a_table_is_read_by_the_names_of_the_spec() -> None:
    table = people(50)
    spec = PEOPLE.replace(" y ", " size ").replace("p(y", "p(size").replace("x, y", "x, size").replace("(3)", "(K)")
    model = DensityEstimator(spec, random_state=0).fit(table)
    drawn = model.sample(20)
    assert list(drawn.columns) == ["height", "weight", "size"]
    assert set(drawn["size"]) <= {"short", "middling", "tall"}
    pd.testing.assert_index_equal(pd.Index(model.feature_names_in_), table.columns, check_names=False)
    assert model.transform(table).shape == (50, 2)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(model.transform(table.to_numpy()), model.transform(table))
    with pytest.raises(ValueError, match="the spec reads several variables from X, x, size: X is a DataFrame"):
        DensityEstimator(spec).fit(table.to_numpy())


def test_latents_that_depend_on_y_need_it() -> None:
    """Others do not, and a `partial` y may be missing: NaN or None, as scikit-learn's rows without a value are."""
    labels = np.array(["a", "b", "c"] * 20)
    latent = "latent z : real[2]\np(z) = Normal(0, 1)\n"
    spec = CLASSES.replace("p(x | y) = Normal(mlp[4](y))", f"{latent}p(x | y, z) = Normal(mlp[4](y, z))\nQ")
    both = DensityEstimator(spec.replace("Q", "q(z | x, y) = Normal(linear(x, y))"), random_state=0)
    assert both.fit_transform(X, labels).shape == (60, 2)
    with pytest.raises(ValueError, match="the latents of classes depend on y as well"):
        both.transform(X)
    rows = DensityEstimator(spec.replace("Q", "q(z | x) = Normal(linear(x))"), random_state=0)
    np.testing.assert_array_equal(rows.fit_transform(X, labels), rows.transform(X))
    assert make_pipeline(rows, GaussianNB()).fit(X, labels).predict(X).shape == (60,)
    half = spec.replace("observed y", "partial y").replace("Q", "q(z | x, y) = Normal(linear(x, y))")
    some = GenerativeClassifier(half + "q(y | x) = Categorical(linear(x))\n", random_state=0)
    some.fit(X, [label if k % 2 else None for k, label in enumerate(labels)])
    assert list(some.classes_) == ["a", "b", "c"] and set(some.predict(X)) <= set(labels)
    assert np.isfinite(some.transform(X)).all()


def test_it_stands_in_pipelines_and_searches() -> None:
    pipe = make_pipeline(StandardScaler(), DensityEstimator(PPCA, random_state=0))
    assert np.isfinite(cross_val_score(pipe, X, cv=2)).all()
    search = GridSearchCV(DensityEstimator(PPCA, random_state=0), {"settings": [{"epochs": 1}, {"epochs": 40}]}, cv=2)
    assert search.fit(X).best_params_ == {"settings": {"epochs": 40}}


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(NotFittedError):
        DensityEstimator(PPCA).score_samples(X)
    with pytest.raises(dgmppl.SpecError, match="E1"):
        DensityEstimator("model m\nobserved x ; real[D]\n").fit(X)
    with pytest.raises(dgmppl.SpecError, match="E705"):
        DensityEstimator(PPCA, settings={"eppochs": 1}).fit(X)
    with pytest.raises(ValueError, match="E506"):
        DensityEstimator("model m\nobserved x : positive[D]\np(x) = Gamma(exp(param), exp(param))\n").fit(X)
    assert not hasattr(DensityEstimator("model m\nobserved x : real[D]\np(x) = Normal(param, 1)\n"), "transform")
