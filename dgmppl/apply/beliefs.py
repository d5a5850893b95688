"""Beliefs: what a model says of a variable of a row that it is not told, and how that is judged by what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.catalogue import figures as catalogue
from dgmppl.catalogue.figures import Figure
from dgmppl.train.figures import Estimate, Moments

Array = NDArray[np.float64]

BINS = 15
"""Bins of equal width over which the calibration error is taken (Guo et al., 2017, use as many)."""

COVERED = 0.9
"""The central share of each law of a number, in which as many of the values should lie."""


@dataclass(frozen=True)
class Classes:
    """A probability of each value, (n, elements, values). `effective`: the effective sample size of each row."""

    probabilities: Array
    effective: Array | None = None

    @property
    def best(self) -> NDArray[np.int64]:
        """The index of the most probable value, (n, elements)."""
        return self.probabilities.argmax(-1)


@dataclass(frozen=True)
class Numbers:
    """Means and deviations in the units of the data, (n, *shape).

    Where the values are known: `below`, the probability of less than these, and `nll`, minus their log-density in the
    units of the model, (n,), where it is known; what is told of it is in those of the data.
    """

    mean: Array
    deviation: Array
    below: Array | None = None
    nll: Array | None = None
    effective: Array | None = None


Belief = Classes | Numbers


@dataclass
class Judgement:
    """The figures of beliefs about a variable, added up over chunks of rows whose values are known."""

    variable: str
    named: bool
    """Whether names of figures say the variable, because there are several."""

    exact: bool
    covers: bool = True
    """Whether an exact law says how probable less than a value is; else draws of it do."""

    elements: tuple[str, ...] = ()
    """Columns that the elements come from, of which each has figures of its own: they may have different units."""

    found: dict[tuple[str, str], Moments] = field(default_factory=dict)
    """By the name of a figure and of an element, "" being all of them."""

    bins: Array = field(default_factory=lambda: np.zeros((3, BINS)))
    """Of each bin of confidence how many predictions it has, the sum of their confidences, and how many are right."""

    def classes(
        self, belief: Classes, index: NDArray[np.int64] | None, within: NDArray[np.bool_] | None = None
    ) -> None:
        """Adds rows whose values have these indices, (n, elements); None: of which they are not known. `within`: the
        elements that rows have, where they are sequences of different lengths."""
        p = belief.probabilities
        within = np.ones(p.shape[:2], dtype=np.bool_) if within is None else within
        each = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(2)
        self._add("entropy", np.where(within, each, 0.0).sum(1))
        if index is None:
            return
        truth = np.take_along_axis(p, index[..., None], -1)[..., 0]
        right = belief.best == index
        self._add("error", ~(right | ~within).all(1))
        with np.errstate(divide="ignore"):
            self._add("nll", -np.log(np.where(within, truth, 1.0)).sum(1))
        confidence, right = p.max(-1)[within], right[within]
        place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        for row, weights in zip(self.bins, (np.ones_like(confidence), confidence, right.astype(float))):
            row += np.bincount(place, weights, BINS)

    def numbers(self, belief: Numbers, truth: Array, within: NDArray[np.bool_] | None = None) -> None:
        """Adds rows with these values, in the units of the data, NaN where one is missing; `within` as for classes."""
        n = len(truth)
        squares, there = np.square(belief.mean - truth).reshape(n, -1), np.isfinite(truth).reshape(n, -1)
        within = np.ones_like(there) if within is None else within
        whole = (there | ~within).all(1)
        parts = {"": (_mean(squares, within), whole)}
        if self.elements:
            parts = {name: (squares[:, k], there[:, k]) for k, name in enumerate(self.elements)}
        for name, (values, seen) in parts.items():
            self._add("squares", values[seen], name)
        if belief.below is not None:
            inside = (np.abs(belief.below - 0.5) <= COVERED / 2).reshape(n, -1).astype(np.float64)
            for k, (name, (_, seen)) in enumerate(parts.items()):
                self._add("coverage", (inside[:, k] if name else _mean(inside, within))[seen], name)
        if belief.nll is not None:
            self._add("nll", belief.nll[whole & ~np.isnan(belief.nll)])

    def _add(self, name: str, values: Array, element: str = "") -> None:
        if len(values):
            more = Moments.of(torch.from_numpy(np.asarray(values, dtype=np.float64)))
            self.found[name, element] = self.found.get((name, element), Moments()).merge(more)

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: sum_b n_b / n |accuracy_b - confidence_b| (Guo et al., 2017, Eq. 3)."""
        count, confidence, right = self.bins
        return float(np.abs(right - confidence).sum() / count.sum()) if count.sum() else math.nan

    def figures(self) -> list[tuple[Figure, Estimate]]:
        """Each figure with its value; none where no row had a known value."""
        made = []
        for (name, element), moments in self.found.items():
            figure = self._figure(name, element)
            made.append((figure, moments.estimate.root if name == "squares" else moments.estimate))
        made.sort(key=lambda one: one[0].kind != "rmse")
        if ("error", "") in self.found:
            rows = self.found["error", ""].estimate.rows
            made.append((self._figure("ece"), Estimate(self.calibration_error, math.nan, rows)))
        return made

    def _figure(self, name: str, element: str = "") -> Figure:
        exact = self.exact and (self.covers or name != "coverage")
        return catalogue.prediction(name, self.variable, self.named, exact, element)


def _mean(values: Array, within: NDArray[np.bool_]) -> Array:
    """The mean of each row over the elements that it has, (n,)."""
    found: Array = np.where(within, values, 0.0).sum(1) / within.sum(1)
    return found


def weighed(log_weights: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Logarithms of the sum of weights and of that of their squares, (n,), of pieces (n, draws) as they come."""
    pieces = iter(log_weights)
    piece = next(pieces)
    first, second = piece.logsumexp(-1), (2 * piece).logsumexp(-1)
    for piece in pieces:
        first = torch.logaddexp(first, piece.logsumexp(-1))
        second = torch.logaddexp(second, (2 * piece).logsumexp(-1))
    return first, second


Beliefs = Mapping[str, Belief]

__all__ = ["BINS", "COVERED", "Belief", "Beliefs", "Classes", "Judgement", "Numbers", "weighed"]
