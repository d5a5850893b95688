"""Bijections of a transform and what its parameters follow from: the past of each element, a context, or nothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmppl.runtime.bijections import NOTHING, Bijection, Context, names_of, parameters_of, zero_last_layer
from dgmppl.runtime.functions import concat
from dgmppl.runtime.incremental import Incremental
from dgmppl.runtime.transforms import Transform


class AutoregressiveFlow(Bijection):
    """``y_d = T(x_d; net(y_<d))``, a transform of each element by what it has made of those before it (Kingma et al.,
    2016; Papamakarios et al., 2017).

    The inverse is one pass of the network, and the map itself one for each element: it is MAF as the map of a base,
    whose density is quick, and IAF under `Inverse`, whose draws are.

    Args:
        features: number of elements D.
        network: causal, ``(..., D, 1) -> (..., D, n)`` with the n numbers of the transform, and the context after it.
        transform: of each element.
        context: names of vectors that the network reads as well.
        rezero: multiply what the network gives by one learned number, at first 0 (Bachlechner et al., 2020).
    """

    def __init__(
        self,
        features: int,
        network: nn.Module,
        transform: Transform,
        context: str | tuple[str, ...] = (),
        rezero: bool = False,
    ) -> None:
        super().__init__()
        self.features, self.network, self.transform = features, network, transform
        self.reads = dict.fromkeys(names_of(context), 1)
        self.gate = nn.Parameter(torch.zeros(())) if rezero else None
        if not rezero:
            zero_last_layer(network)

    def _numbers(self, y: Tensor, context: Context) -> Tensor:
        given = [concat(*read)] if (read := self._read(context)) else []
        found: Tensor = self.network(y.unsqueeze(-1), *given)
        return found.mT if self.gate is None else self.gate * found.mT

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        y, log_slope = x, x
        if torch.is_grad_enabled():
            for _ in range(self.features):  # after d passes the first d elements are right
                y, log_slope = self.transform.forward(x, self._numbers(y, context))
            return y, self._summed(log_slope, y)
        incremental = Incremental()
        y = torch.zeros_like(x)
        for d in range(self.features):
            with incremental.at(d):
                numbers = self._numbers(y, context)
            found, slope = self.transform.forward(x[..., d : d + 1], numbers)
            if not d:
                y = x.new_zeros(*found.shape[:-1], self.features)
                log_slope = torch.zeros_like(y)
            y[..., d : d + 1], log_slope[..., d : d + 1] = found, slope
        return y, self._summed(log_slope, y)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        x, log_slope = self.transform.inverse(y, self._numbers(y, context))
        return x, self._summed(log_slope, y)


class ElementwiseFlow(Bijection):
    """A transform of each element, with numbers that are learned, or that a context gives.

    Args:
        shape: the shape of x, or its number of features.
        conditioner: a network from the context to the numbers, the first of all elements first; without one, the
            context is these numbers, and without a context they are learned.
        transform: of each element.
        context: names of what conditions it.
        copies: how many sets are learned, one for each component of a mixture, along the last axis of the batch.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        transform: Transform,
        conditioner: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        copies: int = 0,
    ) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.rank, self.transform = len(self.shape), transform
        self.conditioner, self.copies = conditioner, copies
        self.reads = dict.fromkeys(names_of(context), 1)
        if not self.reads:
            size = (transform.parameters, math.prod(self.shape))
            # Components that start alike would get the same gradients, and stay alike.
            self.numbers = nn.Parameter(0.1 * torch.randn((copies, *size)) if copies else torch.zeros(size))

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size([self.copies] if self.copies else [])

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        flat, numbers = self._flat(x, context)
        y, log_slope = self.transform.forward(flat, numbers)
        return y.reshape((*y.shape[:-1], *self.shape)), log_slope.expand(y.shape).sum(-1)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        flat, numbers = self._flat(y, context)
        x, log_slope = self.transform.inverse(flat, numbers)
        return x.reshape((*x.shape[:-1], *self.shape)), log_slope.expand(x.shape).sum(-1)

    def _flat(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Values as vectors with their numbers, ``(..., n, D)``."""
        flat = x.reshape(*x.shape[: x.dim() - self.rank], -1)  # one element of all stands for each
        if not self.reads:
            return flat, self.numbers
        found = parameters_of(self.conditioner, self._read(context))
        return flat, found.unflatten(-1, (self.transform.parameters, -1))


class Inverse(Bijection):
    """A bijection read backwards."""

    def __init__(self, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection
        self.rank, self.reads = bijection.image_rank, dict(bijection.reads)

    @property
    def image_rank(self) -> int:
        return self.bijection.rank

    def image_shape(self, shape: torch.Size) -> torch.Size:
        return self.bijection.source_shape(shape)

    def source_shape(self, shape: torch.Size) -> torch.Size:
        return self.bijection.image_shape(shape)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse_and_log_det(x, context)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.bijection.forward_and_log_det(y, context)

    @property
    def batch_shape(self) -> torch.Size:
        return self.bijection.batch_shape


__all__ = ["AutoregressiveFlow", "ElementwiseFlow", "Inverse"]
