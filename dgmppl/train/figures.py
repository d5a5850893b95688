"""A model's figures over a data set: mean and standard error over the examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmppl.runtime import GenerativeModel
from dgmppl.train.device import seeded

# A fixed size: with it and the seed, the noise of each example is fixed too.
_CHUNK = 500


@dataclass(frozen=True)
class Estimate:
    """Mean over `rows` examples and its standard error; the standard error is NaN for a single row."""

    mean: float
    standard_error: float
    rows: int


def evaluate_figures(
    model: GenerativeModel, data: Sequence[Tensor], samples: int = 1, seed: int = 0
) -> dict[str, Estimate]:
    """The figures of a model on a split, in nats an example where they are likelihoods or bounds.

    Args:
        model: a model in any mode; it is evaluated in eval mode, without gradients.
        data: the tensors `model.data`, each (rows, ...).
        samples: draws over which a stochastic figure of each example is averaged.
        seed: of these draws; the same seed gives the same figures on the same device.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(seed, data[0].device):
            draws = [_all_rows(model, data) for _ in range(samples)]
    finally:
        model.train(training)
    return {name: _estimate(torch.stack([draw[name] for draw in draws]).mean(0)) for name in draws[0]}


def _all_rows(model: GenerativeModel, data: Sequence[Tensor]) -> dict[str, Tensor]:
    """Each figure of each row; float64, so that the mean loses nothing."""
    chunks = [model.figures(*chunk) for chunk in zip(*(tensor.split(_CHUNK) for tensor in data), strict=True)]
    return {name: torch.cat([chunk[name] for chunk in chunks]).double() for name in chunks[0]}


def _estimate(values: Tensor) -> Estimate:
    rows = len(values)
    error = values.std().item() / math.sqrt(rows) if rows > 1 else math.nan
    return Estimate(values.mean().item(), error, rows)
