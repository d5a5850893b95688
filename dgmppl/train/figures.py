"""A model's figures over a data set: mean and standard error over the examples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dgmppl.runtime import GenerativeModel
from dgmppl.train.device import seeded

# A fixed size: with it and the seed, the noise of each example is fixed too.
CHUNK = 500


class Rows(Protocol):
    """A split whose rows are read piece by piece: the tensors `model.data` of up to `size` rows at a time."""

    def chunks(self, size: int) -> Iterable[Sequence[Tensor]]: ...


@dataclass(frozen=True)
class Estimate:
    """Mean over `rows` examples and its standard error; the standard error is NaN for a single row."""

    mean: float
    standard_error: float
    rows: int


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


def evaluate_figures(
    model: GenerativeModel, data: Sequence[Tensor] | Rows, samples: int = 1, seed: int = 0
) -> dict[str, Estimate]:
    """The figures of a model on a split, in nats an example where they are likelihoods or bounds.

    Args:
        model: a model in any mode; it is evaluated in eval mode, without gradients.
        data: the tensors `model.data`, each (rows, ...), or rows to be read in chunks, of which only one is held.
        samples: draws over which a stochastic figure of each example is averaged.
        seed: of these draws; the same seed gives the same figures on the same device.
    """
    found = figure_moments(model, data, samples, seed)
    # A figure of rows that have a partial variable is none where no row has it; a criterion is missed all the same.
    return {name: m.estimate for name, m in found.items() if m.count or name == model.criterion}


def figure_moments(
    model: GenerativeModel, data: Sequence[Tensor] | Rows, samples: int = 1, seed: int = 0
) -> dict[str, Moments]:
    """What `evaluate_figures` makes its estimates of; those of several processes can be merged first."""
    found: dict[str, Moments] = {}
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(seed, model.device), model.unchecked():
            for chunk in chunks_of(data, CHUNK):
                draws = [model.figures(*chunk) for _ in range(samples)]
                for name in draws[0]:
                    values = torch.stack([draw[name].double() for draw in draws]).mean(0)
                    found[name] = found.get(name, Moments()).merge(Moments.of(values))
    finally:
        model.train(training)
    return found


def chunks_of(data: Sequence[Tensor] | Rows, size: int) -> Iterator[Sequence[Tensor]]:
    """The rows of a split, up to `size` at a time, whether its tensors are at hand or are read in chunks."""
    if isinstance(data, Sequence):
        yield from zip(*(tensor.split(size) for tensor in data), strict=True)
    else:
        yield from data.chunks(size)
