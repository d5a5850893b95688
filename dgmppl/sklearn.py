"""Specs as scikit-learn estimators.

    >>> from dgmppl.sklearn import DensityEstimator
    >>> model = DensityEstimator(spec, settings={"epochs": 20}, random_state=0).fit(X)
    >>> model.score_samples(X), model.sample(5), model.transform(X), model.inverse_transform(Z)

`GenerativeClassifier` and `GenerativeRegressor` predict `y` by p(y | X).

A spec reads `X` as its one observed variable, or, where it has several, a DataFrame by the names that it says; and `y`,
if it has a variable of that name. What it does not declare, as D of `observed x : real[D]`, X and y say: this is the
`data=` of `dgmppl.train`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, DensityMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from dgmppl.plan.figures import likelihood_of
from dgmppl.presumed import TARGET
from dgmppl.spec_estimator import SpecEstimator, is_missing

Array = NDArray[Any]
C = TypeVar("C", bound="GenerativeClassifier")
R = TypeVar("R", bound="GenerativeRegressor")


class DensityEstimator(DensityMixin, SpecEstimator):
    """A spec that says how probable rows are; see `SpecEstimator` for what it takes."""

    def score_samples(self, X: Any, y: Any = None) -> Array:
        """The exact log-likelihood of each row, or a bound on it, in nats; see `run_.score` for which."""
        data = self._given(X, y)
        likelihood = likelihood_of(self.run_.plan)
        if likelihood is None:
            raise AttributeError(f"{self.run_.graph.name} gives no likelihood of a row, nor a bound on it")
        return np.asarray(self._asked(lambda: self.run_.score(data, unusual=0, seed=self._seed())[likelihood.name]))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: higher is better."""
        return float(np.mean(self.score_samples(X, y)))


class GenerativeClassifier(ClassifierMixin, SpecEstimator):
    """A spec with a class `y`, predicted from X by the posterior p(y | X): exactly where the structure of the spec
    gives it, else by weighed draws, as `predict` of the run says; see `SpecEstimator` for what it takes.
    """

    def fit(self: C, X: Any, y: Any = None) -> C:
        """Fits the spec to rows and their classes.

        Raises:
            ValueError: the spec has no `y : categorical(K)`, or rows are not as its types have them.
            SpecError: the spec is wrong, or the fit fails.
        """
        target = self._target()
        if target is None or target.type.support != "categorical" or target.type.shape:
            raise ValueError("a classifier's spec has a class of this name: observed y : categorical(K)")
        if y is not None:
            values = np.asarray(y)
            missing = is_missing(values) if self._target_may_miss() and values.ndim == 1 else None
            check_classification_targets(y if missing is None or not missing.any() else values[~missing].tolist())
        return super().fit(X, y)

    def predict_proba(self, X: Any) -> Array:
        """The probability of each of `classes_`, (n_samples, n_classes)."""
        found = self._predicted(X)[f"{TARGET}_probability"][:, : len(self.classes_)].astype(np.float64)
        return found / found.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """The most probable class of each row."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class GenerativeRegressor(RegressorMixin, SpecEstimator):
    """A spec with a number `y`, predicted from X by the mean of p(y | X); see `GenerativeClassifier`."""

    def fit(self: R, X: Any, y: Any = None) -> R:
        """Fits the spec to rows and their numbers.

        Raises:
            ValueError: the spec has no number `y`, or rows are not as its types have them.
            SpecError: the spec is wrong, or the fit fails.
        """
        target = self._target()
        if target is None or target.type.support == "categorical" or target.type.shape:
            raise ValueError("a regressor's spec has a number of this name: observed y : real")
        return super().fit(X, y)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean of y given each row, in the units of y; with `return_std` its standard deviation as well."""
        found = self._predicted(X)
        mean = np.asarray(found[TARGET], dtype=np.float64)
        return (mean, np.asarray(found[f"{TARGET}_deviation"], dtype=np.float64)) if return_std else mean


__all__ = ["DensityEstimator", "GenerativeClassifier", "GenerativeRegressor"]
