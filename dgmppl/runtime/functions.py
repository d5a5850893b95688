"""Small functions of emitted code: how variables enter networks, and how outputs become parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# exp stays finite, and its square too, far beyond any scale that a fit visits.
_LOG_BOUND = 20.0


def rescale(x: Tensor, low: float, high: float) -> Tensor:
    """Map the interval [low, high] to [-1, 1]: ``2 (x - low) / (high - low) - 1``."""
    return (x - low) * (2.0 / (high - low)) - 1.0


def one_hot(x: Tensor, k: int) -> Tensor:
    """Indicator of each category, as floats: ``(...,)`` with values 0..k-1 to ``(..., k)``."""
    return (x.unsqueeze(-1) == torch.arange(k, device=x.device)).to(torch.get_default_dtype())


def positive(raw: Tensor) -> Tensor:
    """A positive number from a network output: ``exp(raw / 2)``, so the output is a log-variance.

    Kingma and Welling (2014, Appendix C.2). The exponent is clamped to +-20, which keeps the result and its
    reciprocal finite.
    """
    return torch.exp((0.5 * raw).clamp(-_LOG_BOUND, _LOG_BOUND))


def unit(raw: Tensor) -> Tensor:
    """A number in (0, 1): the logistic sigmoid."""
    return torch.sigmoid(raw)


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """A number in (low, high): ``low + (high - low) sigmoid(raw)``."""
    return low + (high - low) * torch.sigmoid(raw)


def simplex(raw: Tensor) -> Tensor:
    """A probability vector over the last dimension: softmax."""
    return F.softmax(raw, dim=-1)


def concat(*tensors: Tensor) -> Tensor:
    """Broadcast the batch shapes (all but the last dimension) and concatenate along the last dimension."""
    if len(tensors) == 1:
        return tensors[0]
    batch = torch.broadcast_shapes(*(t.shape[:-1] for t in tensors))
    return torch.cat([t.expand(*batch, t.shape[-1]) for t in tensors], dim=-1)


def enumerate_binary(n: int) -> Tensor:
    """All binary vectors of length n in lexicographic order, as floats ``(2**n, n)``."""
    shifts = torch.arange(n - 1, -1, -1)
    return ((torch.arange(2**n).unsqueeze(-1) >> shifts) & 1).to(torch.get_default_dtype())


def log_mean_exp(x: Tensor, dim: int = 0) -> Tensor:
    """``log mean exp x`` along one dimension, without overflow."""
    return torch.logsumexp(x, dim) - math.log(x.shape[dim])
