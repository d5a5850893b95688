"""Bijections of each element by itself, on values of any shape: affine ones, and scalar maps onto other supports."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime import preimages
from dgmppl.runtime.bijections import NOTHING, Bijection, Context, names_of, parameters_of, sum_last
from dgmppl.runtime.preimages import recall


class Affine(Bijection):
    """``y = loc + exp(log_scale) x``, element by element.

    Args:
        shape: the shape of x, or its number of features.
        conditioner: a network from the context to loc and then log_scale, all in one vector; without one, the
            context is that vector, and without a context both are learned, from 0 (the loc of copies from random
            numbers).
        context: names of what conditions it.
        copies: how many are learned, one for each component of a mixture, along the last axis of the batch.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        conditioner: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        copies: int = 0,
    ) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.rank = len(self.shape)
        self.conditioner = conditioner
        self.copies = copies
        self.reads = dict.fromkeys(names_of(context), 1)
        if not self.reads:
            size = (copies, *self.shape) if copies else self.shape
            # Components that start alike would get the same gradients, and stay alike.
            self.loc = nn.Parameter(torch.randn(size) if copies else torch.zeros(size))
            self.log_scale = nn.Parameter(torch.zeros(size))

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size([self.copies] if self.copies else [])

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._coefficients(context)
        return loc + log_scale.exp() * x, self._summed(log_scale, x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._coefficients(context)
        return (y - loc) * (-log_scale).exp(), self._summed(-log_scale, y)

    def _coefficients(self, context: Context) -> tuple[Tensor, Tensor]:
        if not self.reads:
            return self.loc, self.log_scale
        loc, log_scale = parameters_of(self.conditioner, self._read(context)).chunk(2, -1)
        size = (*loc.shape[:-1], *self.shape)
        return loc.reshape(size), log_scale.reshape(size)


class FixedAffine(Bijection):
    """``y = scale x + shift`` with two numbers, element by element. Raises ValueError for a scale of 0."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0, rank: int = 1) -> None:
        super().__init__()
        if not scale:
            raise ValueError("a scale of 0 has no inverse")
        self.scale, self.shift, self.rank = float(scale), float(shift), rank

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.scale * x + self.shift, sum_last(torch.full_like(x, math.log(abs(self.scale))), self.rank)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return (y - self.shift) / self.scale, sum_last(torch.full_like(y, -math.log(abs(self.scale))), self.rank)


class Shift(Bijection):
    """``y = x + c`` for a value c that is given, of the shape of x; log-determinant 0."""

    def __init__(self, context: str, rank: int = 1) -> None:
        super().__init__()
        self.rank = rank
        self.reads = {context: rank}

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        (c,) = self._read(context)
        y = x + c
        return y, self._zero(y)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        (c,) = self._read(context)
        x = y - c
        return x, self._zero(x)


class Scale(Bijection):
    """``y = c x`` for a value c that is given, of the shape of x and nowhere 0."""

    def __init__(self, context: str, rank: int = 1) -> None:
        super().__init__()
        self.rank = rank
        self.reads = {context: rank}

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        (c,) = self._read(context)
        return x * c, self._summed(c.abs().log(), x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        (c,) = self._read(context)
        return y / c, self._summed(-c.abs().log(), y)


class Elementwise(Bijection):
    """A scalar map applied to each element of the last `rank` dimensions; subclasses say which.

    An image is strictly inside the codomain and remembers what it is the image of (see ``preimages``), so the map of a
    draw is inverted exactly however far out it lies. What is no image has ``log |det| = -inf`` under the inverse: its
    density is 0.
    """

    name: ClassVar[str]
    low: ClassVar[float]
    high: ClassVar[float | None] = None

    def __init__(self, rank: int = 1) -> None:
        super().__init__()
        self.rank = rank

    def image(self, x: Tensor) -> Tensor:
        """The map's value, which remembers x."""
        raise NotImplementedError

    def log_slope(self, x: Tensor) -> Tensor:
        """``log |dy/dx|``, by element."""
        raise NotImplementedError

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.image(x), sum_last(self.log_slope(x), self.rank)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        wrong = (y <= self.low) | y.isposinf() if self.high is None else (y <= self.low) | (y >= self.high)
        x = recall(y, self.name)
        # A number inside stands in for what has no preimage: an infinity would make gradients NaN.
        x = preimages.invert(y.masked_fill(wrong, 0.5), self.name) if x is None else x.masked_fill(wrong, 0.0)
        return x, sum_last((-self.log_slope(x)).masked_fill(wrong, -torch.inf), self.rank)


class Sigmoid(Elementwise):
    """Reals to (0, 1)."""

    name, low, high = "sigmoid", 0.0, 1.0

    def image(self, x: Tensor) -> Tensor:
        return preimages.sigmoid(x)

    def log_slope(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x) + F.logsigmoid(-x)


class Tanh(Elementwise):
    """Reals to (-1, 1)."""

    name, low, high = "tanh", -1.0, 1.0

    def image(self, x: Tensor) -> Tensor:
        return preimages.tanh(x)

    def log_slope(self, x: Tensor) -> Tensor:
        return math.log(4) + F.logsigmoid(2 * x) + F.logsigmoid(-2 * x)


class Exp(Elementwise):
    """Reals to (0, inf)."""

    name, low = "exp", 0.0

    def image(self, x: Tensor) -> Tensor:
        return preimages.exp(x)

    def log_slope(self, x: Tensor) -> Tensor:
        return x


class Softplus(Elementwise):
    """Reals to (0, inf), linear far from 0."""

    name, low = "softplus", 0.0

    def image(self, x: Tensor) -> Tensor:
        return preimages.softplus(x)

    def log_slope(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x)


__all__ = [
    "Affine",
    "Elementwise",
    "Exp",
    "FixedAffine",
    "Scale",
    "Shift",
    "Sigmoid",
    "Softplus",
    "Tanh",
]
