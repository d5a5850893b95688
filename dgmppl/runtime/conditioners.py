"""Bijections of a transform and what its parameters follow from: the past of each element, a context, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dgmppl.runtime.bijections import NOTHING, Bijection, Context, Ends, names_of, parameters_of, zero_last_layer
from dgmppl.runtime.functions import concat
from dgmppl.runtime.incremental import Incremental
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.transforms import Transform


class AutoregressiveFlow(Bijection):
    """``y_d = T(x_d; net(y_<d))``, a transform of each element by what it has made of those before it (Kingma et al.,
    2016; Papamakarios et al., 2017). Those of a grid follow one another row by row, and channel by channel.

    The inverse is one pass of the network, and the map itself one for each element: it is MAF as the map of a base,
    whose density is quick, and IAF under `Inverse`, whose draws are.

    Args:
        shape: the shape of x, or its number of features; D elements in all.
        network: causal, ``(..., D, 1) -> (..., D, n)`` with the n numbers of the transform, and the context after it.
        transform: of each element.
        context: names of vectors that the network reads as well.
        rezero: multiply what the network gives by one learned number, at first 0 (Bachlechner et al., 2020).
        grid: the network reads a grid ``(..., *shape, 1) -> (..., *shape, n)``.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        network: nn.Module,
        transform: Transform,
        context: str | tuple[str, ...] = (),
        rezero: bool = False,
        grid: bool = False,
    ) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.rank, self.features, self.grid = len(self.shape), math.prod(self.shape), grid
        self.network, self.transform = network, transform
        self.reads = dict.fromkeys(names_of(context), 1)
        self.gate = nn.Parameter(torch.zeros(())) if rezero else None
        if not rezero:
            zero_last_layer(network)

    def _numbers(self, y: Tensor, context: Context) -> Tensor:
        """The numbers of the transform ``(..., n, D)`` from the elements ``(..., D)`` before each."""
        given = [concat(*read)] if (read := self._read(context)) else []
        positions = y.unflatten(-1, self.shape) if self.grid else y
        found: Tensor = self.network(positions.unsqueeze(-1), *given)
        found = found.flatten(-1 - self.rank, -2) if self.grid else found
        return found.mT if self.gate is None else self.gate * found.mT

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        y, log_slope = self._one_by_one(self._flat(x), context)
        return self._shaped(y, log_slope)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        flat = self._flat(y)
        return self._shaped(*self.transform.inverse(flat, self._numbers(flat, context)))

    def _one_by_one(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """The image of a vector and the logarithm of its slopes."""
        y, log_slope = x, x
        if torch.is_grad_enabled():
            for _ in range(self.features):  # after d passes the first d elements are right
                y, log_slope = self.transform.forward(x, self._numbers(y, context))
            return y, log_slope
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
        return y, log_slope

    def _flat(self, x: Tensor) -> Tensor:
        """The elements one after another."""
        return x.flatten(-self.rank) if self.rank > 1 else x

    def _shaped(self, x: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        """A vector of elements in their shape, and the log-determinant."""
        log_det = log_slope.expand(x.shape).sum(-1)
        return (x.unflatten(-1, self.shape) if self.rank > 1 else x), log_det


class TriangularFlow(AutoregressiveFlow):
    """``y_d = f(x_d; c(y_<d))``, a bijection f of each element by numbers that a function c makes of those before it.

    Args:
        shape: as for AutoregressiveFlow.
        numbers: c, a function from y ``(..., *shape)`` and what conditions it to tensors that broadcast with the
            positions, each with an axis behind them where it holds several numbers.
        bijection: f, of single elements (rank 0). It takes these by the names that it reads, in their order.
        sizes: how many numbers each holds, 0 for one without an axis of its own; () where none has one.
        networks: those that c is made of.
        context: what conditions c by name, in the order in which c takes it, each with the number of its own axes.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        numbers: Callable[..., tuple[Tensor, ...]],
        bijection: Bijection,
        sizes: tuple[int, ...] = (),
        networks: tuple[nn.Module, ...] = (),
        context: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.sizes = sizes or (0,) * len(bijection.reads)
        super().__init__(shape, nn.Identity(), _ByNumbers(bijection, self.sizes))
        self.bijection, self.networks = bijection, nn.ModuleList(networks)
        self.numbers, self.reads = numbers, dict(context)

    def _numbers(self, y: Tensor, context: Context) -> Tensor:
        found = self.numbers(y.unflatten(-1, self.shape) if self.rank > 1 else y, *self._read(context))
        parts = [n if size else n.unsqueeze(-1) for n, size in zip(found, self.sizes)]
        ahead = broadcast_shapes(*(p.shape[:-1] for p in parts), (1,) * self.rank)
        joined = torch.cat([p.expand(*ahead, p.shape[-1]) for p in parts], -1)
        return (joined.flatten(-1 - self.rank, -2) if self.rank > 1 else joined).mT


class _ByNumbers(Transform):
    """A bijection of single elements as a transform, by the numbers that it reads."""

    def __init__(self, bijection: Bijection, sizes: tuple[int, ...]) -> None:
        self.bijection, self.names, self.sizes = bijection, tuple(bijection.reads), sizes
        self.parameters = sum(size or 1 for size in sizes)

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return self.bijection.forward_and_log_det(x, self._by_name(numbers))

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse_and_log_det(y, self._by_name(numbers))

    def _by_name(self, numbers: Tensor) -> dict[str, Tensor]:
        parts = numbers.mT.split([size or 1 for size in self.sizes], -1)
        return {n: p if size else p.squeeze(-1) for n, p, size in zip(self.names, parts, self.sizes)}


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

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        return self.bijection.inverse(x, context)

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        return self.bijection.forward(y, context)

    @property
    def integrals(self) -> int:
        return self.bijection.integrals

    def ends(self, start: Tensor, end: Tensor, context: Context = NOTHING) -> Ends:
        found = self.bijection.ends(end, start, context)
        return replace(found, backwards=not found.backwards)

    @property
    def batch_shape(self) -> torch.Size:
        return self.bijection.batch_shape


__all__ = ["AutoregressiveFlow", "ElementwiseFlow", "Inverse", "TriangularFlow"]
