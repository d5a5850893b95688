"""A model's figures over a data set: mean and standard error over the examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.catalogue.figures import SHARED_DRAWS
from dgmppl.runtime import GenerativeModel
from dgmppl.train.device import seeded

# A fixed size: with it and the seed, the noise of each example is fixed too.
CHUNK = 500


class ChunkedRows(Protocol):
    """A split whose rows are read piece by piece: the tensors `model.data` of up to `size` rows at a time."""

    def chunks(self, size: int) -> Iterable[Sequence[Tensor]]: ...


@dataclass(frozen=True)
class Estimate:
    """Mean over `rows` examples and its standard error; the standard error is NaN for a single row."""

    mean: float
    standard_error: float
    rows: int

    @property
    def root(self) -> Estimate:
        """That of the root of what this is an estimate of, with its standard error by the delta method."""
        root = math.sqrt(self.mean)
        return Estimate(root, self.standard_error / (2 * root) if root else math.nan, self.rows)


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of numbers seen so far, in double precision.

    Two of them merge into those of all their numbers (Chan, Golub and LeVeque, 1983, Eq. 2.1), so that a data set
    of any size is summed up chunk by chunk, on any number of processes.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @staticmethod
    def of(values: Tensor) -> Moments:
        """The moments of a vector of numbers."""
        values = values.detach().double().flatten()
        if not len(values):
            return Moments()
        mean = values.mean()
        return Moments(len(values), mean.item(), (values - mean).square().sum().item())

    def merge(self, other: Moments) -> Moments:
        """The moments of both together."""
        if not self.count or not other.count:
            return other if other.count else self
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * other.count / count
        return Moments(count, mean, self.squares + other.squares + step * step * self.count * other.count / count)

    @property
    def estimate(self) -> Estimate:
        """The mean with its standard error, `s / sqrt(n)` with the unbiased variance `s^2`."""
        error = math.sqrt(self.squares / (self.count - 1) / self.count) if self.count > 1 else math.nan
        return Estimate(self.mean if self.count else math.nan, error, self.count)


def has_shared(model: GenerativeModel) -> bool:
    """Whether rows have latents in common."""
    return "training_rows" in dict(model.named_buffers(recurse=False))


def evaluate_figures(
    model: GenerativeModel,
    data: Sequence[Tensor] | ChunkedRows,
    samples: int = 1,
    seed: int = 0,
    give: Callable[..., Mapping[str, Tensor]] | None = None,
) -> dict[str, Estimate]:
    """The figures of a model on a split, each the mean over the rows that have it.

    Args:
        model: a model in any mode; it is evaluated in eval mode, without gradients.
        data: the tensors `model.data`, each (rows, ...), or rows to be read in chunks, of which only one is held.
        samples: draws over which a stochastic figure of each example is averaged; of `SHARED_DRAWS` at least where rows
            have latents in common.
        seed: of these draws; the same seed gives the same figures on the same device.
        give: what gives the figures of some rows; `model.figures` where it is left out.
    """
    found = figure_moments(model, data, samples, seed, give)
    # A figure of rows that have a partial variable is none where no row has it; a criterion is missed all the same.
    kept = {name: m.estimate for name, m in found.items() if m.count or name == model.criterion}
    return {name: e.root if name in model.squared else e for name, e in kept.items()}


def figure_moments(
    model: GenerativeModel,
    data: Sequence[Tensor] | ChunkedRows,
    samples: int = 1,
    seed: int = 0,
    give: Callable[..., Mapping[str, Tensor]] | None = None,
) -> dict[str, Moments]:
    """What `evaluate_figures` makes its estimates of; those of several processes can be merged first."""
    found: dict[str, Moments] = {}
    if has_shared(model):
        samples = max(samples, SHARED_DRAWS)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(seed, model.device), model.unchecked():
            for chunk in chunks_of(data, CHUNK):
                for name, total in _sums(give or model.figures, chunk, samples).items():
                    found[name] = found.get(name, Moments()).merge(Moments.of(total / samples))
    finally:
        model.train(training)
    return found


def row_scores(
    model: GenerativeModel,
    data: Sequence[Tensor] | ChunkedRows,
    name: str,
    samples: int = 1,
    seed: int = 0,
    give: Callable[..., Mapping[str, Tensor]] | None = None,
) -> NDArray[np.float64]:
    """One figure of each row, with the draws of `evaluate_figures`."""
    found = []
    if has_shared(model):
        samples = max(samples, SHARED_DRAWS)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(seed, model.device), model.unchecked():
            for chunk in chunks_of(data, CHUNK):
                found.append((_sums(give or model.figures, chunk, samples)[name] / samples).cpu().numpy())
    finally:
        model.train(training)
    return np.concatenate(found) if found else np.empty(0)


def _sums(give: Callable[..., Mapping[str, Tensor]], chunk: Sequence[Tensor], samples: int) -> dict[str, Tensor]:
    """The sum of each figure over its draws, in double precision; one draw at a time is held."""
    totals: dict[str, Tensor] = {}
    for _ in range(samples):
        for name, values in give(*chunk).items():
            totals[name] = totals[name] + values.double() if name in totals else values.double()
    return totals


def chunks_of(data: Sequence[Tensor] | ChunkedRows, size: int) -> Iterator[Sequence[Tensor]]:
    """The rows of a split, up to `size` at a time, whether its tensors are at hand or are read in chunks."""
    if isinstance(data, Sequence):
        yield from zip(*(tensor.split(size) for tensor in data), strict=True)
    else:
        yield from data.chunks(size)
