"""The mean of a distribution, or what stands for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgmppl.runtime.densities import IntegerCategorical, Mixture, Pushforward
from dgmppl.runtime.directions import VonMisesFisher
from dgmppl.runtime.distributions import (
    Bernoulli,
    Categorical,
    Cauchy,
    Distribution,
    Independent,
    OneHotCategorical,
)
from dgmppl.runtime.functions import direction
from dgmppl.runtime.positives import HalfCauchy, StudentT

_OF_FEW_VALUES = (Bernoulli, Categorical, IntegerCategorical, OneHotCategorical)


@torch.no_grad()
def most_probable(d: Any) -> Tensor:
    """The value of greatest probability of each element of a distribution over a few values."""
    while isinstance(d, Independent):
        d = d.base_dist
    if isinstance(d, Bernoulli):
        return (d.logits > 0).to(d.logits.dtype)
    if isinstance(d, IntegerCategorical):
        return (d.low + d.logits.argmax(-1)).to(d.logits.dtype)
    if isinstance(d, OneHotCategorical):
        return torch.nn.functional.one_hot(d.logits.argmax(-1), d.logits.shape[-1]).to(d.logits.dtype)
    return d.logits.argmax(-1).to(d.logits.dtype)


def mean_of(d: Distribution) -> Tensor:
    """What stands for a distribution as its mean: see `reading`."""
    base = d
    while isinstance(base, Independent):
        base = base.base_dist
    if isinstance(base, _OF_FEW_VALUES):
        return most_probable(base)
    if isinstance(base, Pushforward):
        return base.bijection(mean_of(base.base))
    if isinstance(base, Mixture):
        return _of_mixture(base)
    if isinstance(base, (Cauchy, StudentT, VonMisesFisher)):
        return base.mode  # a mean need not exist, or is no direction; this is the median, and the mean direction
    if isinstance(base, HalfCauchy):
        return base.scale  # its median, as it has no mean
    return base.mean


def _of_mixture(d: Mixture) -> Tensor:
    """``sum_k w_k mean_k``, of directions its direction; of components over a few values, that of the heaviest one."""
    means = mean_of(d.components)
    axis = means.dim() - len(d.event_shape) - 1
    weights = d.logits.exp().expand(means.shape[: axis + 1])
    inner = d.components
    while isinstance(inner, Independent):
        inner = inner.base_dist
    if isinstance(inner, _OF_FEW_VALUES):
        weights = torch.nn.functional.one_hot(weights.argmax(-1), weights.shape[-1]).to(means.dtype)
    mean = (weights.reshape(*weights.shape, *(1,) * len(d.event_shape)) * means).sum(axis)
    return direction(mean) if isinstance(inner, VonMisesFisher) else mean
