"""Bijections of the last dimension: modules that know their inverse and their log-determinant."""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.permutations import permutation
from dgmppl.runtime import preimages
from dgmppl.runtime.functions import concat
from dgmppl.runtime.preimages import recall

# |log scale| of a coupling stays below this, so that exp cannot overflow through a chain of couplings.
SCALE_BOUND = 3.0


class Bijection(nn.Module):
    """An invertible map of the last dimension, ``(..., D) -> (..., D)``, maybe given a context ``(..., K)``.

    Both methods return the image and ``log |det|`` of the Jacobian of the map they applied, shape ``(...)``.
    """

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``y = f(x)`` and ``log |det df/dx|``."""
        raise NotImplementedError

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``x = f^-1(y)`` and ``log |det df^-1/dy|``."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """``x = f^-1(y)``."""
        return self.inverse_and_log_det(y, context)[0]

    def given(self, context: Tensor) -> Conditioned:
        """The same map with its context fixed."""
        return Conditioned(self, context)

    @property
    def batch_shape(self) -> torch.Size:
        """Batch shape of the contexts that are fixed inside; empty when there is none."""
        return torch.Size()


class Conditioned(Bijection):
    """A bijection with its context fixed; a context given to it later is ignored."""

    def __init__(self, bijection: Bijection, context: Tensor) -> None:
        super().__init__()
        self.bijection = bijection
        self.context = context

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.bijection.forward_and_log_det(x, self.context)

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse_and_log_det(y, self.context)

    @property
    def batch_shape(self) -> torch.Size:
        return torch.broadcast_shapes(self.context.shape[:-1], self.bijection.batch_shape)


class Compose(Bijection):
    """Bijections one after the other; ``forward`` applies the first one first. Each part gets the context."""

    def __init__(self, *parts: Bijection) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[:-1])
        for part in self._in_order():
            x, log_det = part.forward_and_log_det(x, context)
            total = total + log_det
        return x, total

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = y.new_zeros(y.shape[:-1])
        for part in reversed(self._in_order()):
            y, log_det = part.inverse_and_log_det(y, context)
            total = total + log_det
        return y, total

    @property
    def batch_shape(self) -> torch.Size:
        return torch.broadcast_shapes((), *(part.batch_shape for part in self._in_order()))

    def _in_order(self) -> list[Bijection]:
        return cast("list[Bijection]", list(self.parts))


class Coupling(Bijection):
    """An affine coupling: ``y_a = x_a, y_b = exp(s(x_a)) x_b + t(x_a)`` (Dinh et al., 2017, Eqs. 7 and 8).

    a is the first half of the features (rounded down), b the rest. Without a scale it is the additive
    coupling of Dinh et al. (2015); with ``integer=True`` the shift is rounded, which makes it a bijection of
    the integers with log-determinant 0 (Hoogeboom et al., 2019; Tomczak, 2022, Sec. 3.1.3.1 and 3.2). On a range
    of K integers from low the shift goes round it, ``y_b = low + (x_b - low + round(t(x_a))) mod K`` (Tran et al.,
    2019, Sec. 4.1), which is a bijection of the range.

    Args:
        features: number of features D, at least 2.
        scale, shift: networks ``D // 2 + K -> D - D // 2`` for s and t; None leaves that part out.
        both: one network with ``2 (D - D // 2)`` outputs for s and t, in place of the two.
        integer: round the shift, with a straight-through gradient.
        low, size: for integers low, ..., low + size - 1; all the integers for a size of None.

    The networks take x_a and then the context. s is bounded softly, ``c tanh(s / c)`` with c = SCALE_BOUND,
    and the last layers start at zero, so a coupling starts as the identity.
    """

    def __init__(
        self,
        features: int,
        scale: nn.Module | None = None,
        shift: nn.Module | None = None,
        both: nn.Module | None = None,
        integer: bool = False,
        low: int = 0,
        size: int | None = None,
    ) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(f"a coupling needs two features or more, not {features}")
        if integer and (scale is not None or both is not None):
            raise ValueError("a coupling of integers has a shift only: a scale would leave the integers")
        if both is not None and (scale is not None or shift is not None):
            raise ValueError("a coupling takes either one network for both scale and shift, or separate ones")
        self.features = features
        self.integer = integer
        self.low, self.size = low, size
        self.scale, self.shift, self.both = scale, shift, both
        for net in (scale, shift, both):
            zero_last_layer(net)

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = self._split(x)
        log_scale, shift = self._coefficients(a, context)
        return concat(a, self._wrapped(b * log_scale.exp() + shift)), _sum_to(log_scale, x)

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = self._split(y)
        log_scale, shift = self._coefficients(a, context)
        log_scale = -log_scale
        return concat(a, self._wrapped((b - shift) * log_scale.exp())), _sum_to(log_scale, y)

    def _wrapped(self, values: Tensor) -> Tensor:
        """Integers beyond the range come in again at its other end; the gradient passes as it is."""
        if self.size is None:
            return values
        return values - (self.size * torch.floor((values - self.low) / self.size)).detach()

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = self.features // 2
        a, b = x.split((half, self.features - half), -1)
        return a, b

    def _coefficients(self, a: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.both is not None:
            scale, shift = self._net(self.both, a, context).chunk(2, -1)
        else:
            scale, shift = self._part(self.scale, a, context), self._part(self.shift, a, context)
        if self.integer:
            shift = shift + (shift.round() - shift).detach()
        return SCALE_BOUND * torch.tanh(scale / SCALE_BOUND), shift

    def _part(self, net: nn.Module | None, a: Tensor, context: Tensor | None) -> Tensor:
        return a.new_zeros(self.features - self.features // 2) if net is None else self._net(net, a, context)

    def _net(self, net: nn.Module, a: Tensor, context: Tensor | None) -> Tensor:
        # In a chain that is given a context some couplings may take none: their networks tell by their size.
        takes_context = getattr(net, "in_features", None) != self.features // 2
        return net(a if context is None or not takes_context else concat(a, context))


class Reverse(Bijection):
    """The features in reversed order; log-determinant 0."""

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flip(-1), x.new_zeros(x.shape[:-1])

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return y.flip(-1), y.new_zeros(y.shape[:-1])


class Permute(Bijection):
    """The features in a fixed random order, drawn from the seed and never the one they are in; log-determinant 0."""

    order: Tensor
    back: Tensor

    def __init__(self, features: int, seed: int = 0) -> None:
        super().__init__()
        order = torch.tensor(permutation(features, seed))
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[..., self.order], x.new_zeros(x.shape[:-1])

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return y[..., self.back], y.new_zeros(y.shape[:-1])


class Householder(Bijection):
    """The reflection ``y = (I - 2 v v^T / |v|^2) x`` (Tomczak and Welling, 2016, Eq. 7); log-determinant 0.

    v is learned, or ``conditioner(context)``; with nn.Identity as the conditioner it is the context itself.
    """

    def __init__(self, features: int, conditioner: nn.Module | None = None) -> None:
        super().__init__()
        self.conditioner = conditioner
        if conditioner is None:
            self.v = nn.Parameter(torch.randn(features))

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self.v if self.conditioner is None else self.conditioner(context)
        norm = v.square().sum(-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
        y = x - 2.0 * (x * v).sum(-1, keepdim=True) / norm * v
        return y, y.new_zeros(y.shape[:-1])

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.forward_and_log_det(y, context)  # a reflection undoes itself


class Affine(Bijection):
    """``y = loc + exp(log_scale) x``, by feature.

    loc and log_scale are learned from 0, or the two halves of ``conditioner(context)``, which has
    ``2 features`` outputs.
    """

    def __init__(self, features: int, conditioner: nn.Module | None = None) -> None:
        super().__init__()
        self.conditioner = conditioner
        if conditioner is None:
            self.loc = nn.Parameter(torch.zeros(features))
            self.log_scale = nn.Parameter(torch.zeros(features))

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._coefficients(context)
        return loc + log_scale.exp() * x, _sum_to(log_scale, x)

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._coefficients(context)
        return (y - loc) * (-log_scale).exp(), _sum_to(-log_scale, y)

    def _coefficients(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.conditioner is None:
            return self.loc, self.log_scale
        loc, log_scale = self.conditioner(context).chunk(2, -1)
        return loc, log_scale


class Elementwise(Bijection):
    """A scalar map applied to each feature; subclasses say which.

    An image is strictly inside the codomain and remembers what it is the image of (see ``preimages``), so the map of a
    draw is inverted exactly however far out it lies. What is no image has ``log |det| = -inf`` under the inverse: its
    density is 0.
    """

    name: ClassVar[str]
    low: ClassVar[float]
    high: ClassVar[float | None] = None

    def image(self, x: Tensor) -> Tensor:
        """The map's value, which remembers x."""
        raise NotImplementedError

    def log_slope(self, x: Tensor) -> Tensor:
        """``log |dy/dx|``, by feature."""
        raise NotImplementedError

    def forward_and_log_det(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.image(x), self.log_slope(x).sum(-1)

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        wrong = (y <= self.low) | y.isposinf() if self.high is None else (y <= self.low) | (y >= self.high)
        x = recall(y, self.name)
        # A number inside stands in for what has no preimage: an infinity would make gradients NaN.
        x = preimages.invert(y.masked_fill(wrong, 0.5), self.name) if x is None else x.masked_fill(wrong, 0.0)
        return x, (-self.log_slope(x)).masked_fill(wrong, -torch.inf).sum(-1)


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


def zero_last_layer(net: nn.Module | None) -> None:
    """Set the last linear layer of a network to zero, so that what it parameterises starts at 0."""
    layers = [] if net is None else [m for m in net.modules() if isinstance(m, nn.Linear)]
    if layers:
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)


def _sum_to(log_scale: Tensor, x: Tensor) -> Tensor:
    """Sum over the features, with the batch shape of the map's result."""
    total = log_scale.sum(-1)
    return total if total.shape == x.shape[:-1] else total.expand(torch.broadcast_shapes(total.shape, x.shape[:-1]))


__all__ = [
    "Affine",
    "Bijection",
    "Compose",
    "Conditioned",
    "Coupling",
    "Elementwise",
    "Exp",
    "Householder",
    "Permute",
    "Reverse",
    "Sigmoid",
    "Softplus",
    "Tanh",
]
