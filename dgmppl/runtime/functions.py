"""Small functions of emitted code: how variables enter networks, and how outputs become parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.nn import functional as F

from dgmppl.runtime.shapes import broadcast_shapes

# Keeps a scale off 0, where softplus underflows, so that 1 / scale^2 and its gradient stay finite.
_FLOOR = 1e-6


def rescale(x: Tensor, low: float, high: float) -> Tensor:
    """Map the interval [low, high] to [-1, 1]: ``2 (x - low) / (high - low) - 1``."""
    return (x - low if low else x) * (2.0 / (high - low)) - 1.0


def one_hot(x: Tensor, k: int) -> Tensor:
    """Indicator of each category, as floats: ``(...,)`` with values 0..k-1 to ``(..., k)``."""
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return (x.unsqueeze(-1) == torch.arange(k, device=x.device)).to(dtype)


def dropped(x: Tensor, share: float, training: bool) -> Tensor:
    """x ``(n, ...)`` with all numbers of a row at 0 with the probability `share` while a model trains; otherwise x
    (Ho and Salimans, 2022, Algorithm 1)."""
    if not training:
        return x
    kept = torch.rand(len(x), device=x.device) >= share
    return x * kept.to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))


def positive(raw: Tensor) -> Tensor:
    """A positive number from a network output: ``softplus(raw) + 1e-6``.

    Linear in large outputs, where an exponential overflows or needs a clamp, which stops its gradient.
    """
    return F.softplus(raw) + _FLOOR


def unit(raw: Tensor) -> Tensor:
    """A number in (0, 1): the logistic sigmoid."""
    return torch.sigmoid(raw)


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """A number in (low, high): ``low + (high - low) sigmoid(raw)``."""
    return low + (high - low) * torch.sigmoid(raw)


def simplex(raw: Tensor) -> Tensor:
    """A probability vector over the last dimension: softmax."""
    return F.softmax(raw, dim=-1)


def direction(raw: Tensor) -> Tensor:
    """A vector of length 1, along the last dimension."""
    return F.normalize(raw, dim=-1)


_NOISY: ContextVar[Sequence[Tensor]] = ContextVar("noisy", default=())


@contextmanager
def dequantised_to(noisy: Sequence[Tensor]) -> Iterator[None]:
    """Inside, whole numbers that these are rounded to have this noise, as a coder knows it."""
    token = _NOISY.set(noisy)
    try:
        yield
    finally:
        _NOISY.reset(token)


def dequantised(x: Tensor) -> Tensor:
    """Uniform in the cell from x to x + 1 of whole numbers x, strictly inside it (Theis et al., 2016).

    In floating point x + u comes to lie on an end of the cell, for u = 0 or where u near 1 is rounded up, and at an end
    of a range a density is 0. So u keeps off both ends by a few of the steps in which x is represented.
    """
    for known in _NOISY.get():
        if known.shape == x.shape and torch.equal(known.floor(), x):
            return known
    margin = 4 * torch.finfo(x.dtype).eps * x.abs().clamp_min(1.0)
    return x + torch.minimum(torch.maximum(torch.rand_like(x), margin), 1 - margin)


def as_grid(x: Tensor, extent: tuple[int, ...]) -> Tensor:
    """A sequence ``(..., H * W, C)`` as the grid ``(..., H, W, C)`` of its rows; one position alone as a grid of it."""
    return x.unflatten(-2, (1,) * len(extent) if x.shape[-2] == 1 else extent)


def straight_through_floor(x: Tensor) -> Tensor:
    """``floor(x)`` with the gradient of x itself (Bengio et al., 2013)."""
    return x.detach().floor() + (x - x.detach())


def increasing(raw: Tensor) -> Tensor:
    """Numbers that increase along the last dimension: the first is free, each step is ``softplus(raw) + 1e-3``.

    So small a step still tells numbers of single precision apart up to 10^4.
    """
    return torch.cat([raw[..., :1], F.softplus(raw[..., 1:]) + 1e-3], -1).cumsum(-1)


def concat(*tensors: Tensor, axis: int = -1) -> Tensor:
    """Concatenate along an axis, counted from the last (-1), with all other dimensions broadcast."""
    if len(tensors) == 1:
        return tensors[0]
    shapes = [t.shape[:axis] + t.shape[axis:][1:] for t in tensors]
    if any(shape != shapes[0] for shape in shapes):
        others = broadcast_shapes(*shapes)
        cut = len(others) + axis + 1
        tensors = tuple(t.expand(*others[:cut], t.shape[axis], *others[cut:]) for t in tensors)
    return torch.cat(tensors, dim=axis)


def pick(values: Tensor, index: Tensor, behind: int = 0) -> Tensor:
    """``values[..., index]`` for each of the batch ``(...)``, to which both are broadcast: an element of the axis that
    has so many axes `behind` it."""
    axis = values.dim() - behind - 1
    batch = broadcast_shapes(values.shape[:axis], index.shape)
    chosen = index.long().expand(batch).reshape(*batch, *(1,) * (behind + 1))
    chosen = chosen.expand(*batch, 1, *values.shape[axis + 1 :])
    return values.expand(*batch, *values.shape[axis:]).gather(len(batch), chosen).squeeze(len(batch))


def enumerate_binary(n: int) -> Tensor:
    """All binary vectors of length n in lexicographic order, as floats ``(2**n, n)``."""
    shifts = torch.arange(n - 1, -1, -1)
    return ((torch.arange(2**n).unsqueeze(-1) >> shifts) & 1).to(torch.get_default_dtype())


def log_mean_exp(x: Tensor, dim: int = 0) -> Tensor:
    """``log mean exp x`` along one dimension, without overflow."""
    return torch.logsumexp(x, dim) - math.log(x.shape[dim])


__all__ = [
    "as_grid",
    "bounded",
    "concat",
    "dequantised",
    "direction",
    "dropped",
    "enumerate_binary",
    "increasing",
    "log_mean_exp",
    "one_hot",
    "pick",
    "positive",
    "rescale",
    "simplex",
    "straight_through_floor",
    "unit",
]
