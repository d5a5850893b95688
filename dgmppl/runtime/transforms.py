"""Transforms: increasing maps of each element by itself, with parameters that a conditioner gives.

To add one: a class here, and its entry in `dgmppl.catalogue.bijections`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from zuko.transforms import MonotonicRQSTransform

from dgmppl.runtime.roots import increasing_root

# |log scale| of an affine transform stays below this, so that exp cannot overflow through a chain of couplings.
SCALE_BOUND = 3.0


class Transform:
    """An increasing map of an element, with `parameters` numbers for each; all of them 0 is near the identity.

    Both methods take x ``(..., D)`` and the numbers ``(..., parameters, D)``, and return the image and the logarithm of
    the slope of the map that they applied, by element.
    """

    parameters: int

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """``y = f(x)`` and ``log f'(x)``."""
        raise NotImplementedError

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """``x = f^-1(y)`` and ``log`` of the slope of the inverse at y."""
        raise NotImplementedError


class ShiftTransform(Transform):
    """``y = x + t`` (Dinh et al., 2015)."""

    parameters = 1

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        (shift,) = numbers.unbind(-2)
        return x + shift, torch.zeros_like(shift)

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        (shift,) = numbers.unbind(-2)
        return y - shift, torch.zeros_like(shift)


class AffineTransform(Transform):
    """``y = exp(s) x + t``, with s bounded softly, ``c tanh(s / c)`` with c = SCALE_BOUND (Dinh et al., 2017)."""

    parameters = 2

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._split(numbers)
        return x * log_scale.exp() + shift, log_scale

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._split(numbers)
        return (y - shift) * (-log_scale).exp(), -log_scale

    def _split(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = numbers.unbind(-2)
        return SCALE_BOUND * torch.tanh(raw / SCALE_BOUND), shift


class VolumePreserving(AffineTransform):
    """An affine transform whose log scales have mean 0 over the elements, so that volumes stay as they are (Sorrenson
    et al., 2020, Sec. 4.1). Of a single element it is a shift."""

    def _split(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = super()._split(numbers)
        return log_scale - log_scale.mean(-1, keepdim=True), shift


class Spline(Transform):
    """A monotone rational-quadratic spline on [-bound, bound], and the identity outside (Durkan et al., 2019, Eq. 4).

    Args:
        bins: between knots; their widths, heights and inner slopes are the parameters, 3 bins - 1.
        bound: where the spline ends.
    """

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        self.bins, self.bound = bins, bound
        self.parameters = 3 * bins - 1

    def _transform(self, numbers: Tensor) -> MonotonicRQSTransform:
        widths, heights, slopes = numbers.mT.split((self.bins, self.bins, self.bins - 1), -1)
        return MonotonicRQSTransform(widths, heights, slopes, bound=self.bound)

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        y, log_slope = self._transform(numbers).call_and_ladj(x)
        return y, log_slope

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        transform = self._transform(numbers)
        x = transform.inv(y)
        _, log_slope = transform.call_and_ladj(x)
        return x, -log_slope


class MixtureCDF(Transform):
    """``y = a logit(F(x)) + b`` with F the distribution function of a mixture of logistics (Ho et al., 2019, Eq. 4).

    The inverse is found by bisection between those of the components, one of which is above it and one below.

    Args:
        components: of the mixture; weights, means and log scales of each, and log a and b, are the parameters,
            3 components + 2.
    """

    def __init__(self, components: int = 8) -> None:
        self.components = components
        self.parameters = 3 * components + 2

    def _logit(self, x: Tensor, logits: Tensor, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """logit F(x) and the logarithm of its slope."""
        z = (x.unsqueeze(-1) - means) / scales
        weights = F.log_softmax(logits, -1)
        below, above = F.logsigmoid(z), F.logsigmoid(-z)
        log_cdf, log_rest = torch.logsumexp(weights + below, -1), torch.logsumexp(weights + above, -1)
        log_density = torch.logsumexp(weights + below + above - scales.log(), -1)
        return log_cdf - log_rest, log_density - log_cdf - log_rest

    def _split(self, numbers: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        k = self.components
        logits, means, log_scales, rest = numbers.mT.split((k, k, k, 2), -1)
        # Components that started alike would get the same gradients, and stay alike.
        apart = torch.linspace(-1, 1, k, dtype=means.dtype, device=means.device) if k > 1 else means.new_zeros(1)
        scales = torch.exp(SCALE_BOUND * torch.tanh(log_scales / SCALE_BOUND))
        log_scale, shift = rest.unbind(-1)
        return [logits, means + apart, scales], SCALE_BOUND * torch.tanh(log_scale / SCALE_BOUND), shift

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        mixture, log_scale, shift = self._split(numbers)
        logit, log_slope = self._logit(x, *mixture)
        return logit * log_scale.exp() + shift, log_slope + log_scale

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        mixture, log_scale, shift = self._split(numbers)
        wanted = (y - shift) * (-log_scale).exp()
        _, means, scales = mixture
        with torch.no_grad():
            each = means + wanted.unsqueeze(-1) * scales

        def f(x: Tensor) -> tuple[Tensor, Tensor]:
            logit, log_slope = self._logit(x, *mixture)
            return logit, log_slope.exp()

        x = increasing_root(f, wanted, each.amin(-1), each.amax(-1))
        _, log_slope = self._logit(x, *mixture)
        return x, -log_slope - log_scale


class Monotone(Transform):
    """A monotone network, the deep dense sigmoidal flow (Huang et al., 2018, Eq. 12), scaled and shifted.

    A layer is ``h' = logit(W sigmoid(a (U h) + b))`` with positive a and weights in the rows of U and W: from x
    through `units` numbers between layers to one. One layer is `MixtureCDF`. The inverse is searched for.

    Args:
        units: of each layer.
        layers: how many.
    """

    def __init__(self, units: int = 4, layers: int = 2) -> None:
        self.units, self.layers = units, layers
        ends = [1] + [units] * (layers - 1) + [1]
        self.shapes = list(zip(ends, ends[1:]))
        self.sizes = [[units * (i if i > 1 else 0), units, units, units * o] for i, o in self.shapes]
        self.parameters = sum(map(sum, self.sizes)) + 2

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        sizes = [size for layer in self.sizes for size in layer]
        *parts, rest = numbers.mT.split([*sizes, 2], -1)
        h = x.unsqueeze(-1)
        log_slope = torch.zeros_like(h)
        for k, (inputs, outputs) in enumerate(self.shapes):
            u, log_a, b, w = parts[4 * k : 4 * k + 4]
            log_u = F.log_softmax(u.unflatten(-1, (self.units, inputs)), -1) if inputs > 1 else None
            log_w = F.log_softmax(w.unflatten(-1, (outputs, self.units)), -1)
            h, log_slope = self._layer(h, log_slope, log_u, log_a, b, log_w)
        log_scale, shift = rest.unbind(-1)
        log_scale = SCALE_BOUND * torch.tanh(log_scale / SCALE_BOUND)
        return h.squeeze(-1) * log_scale.exp() + shift, log_slope.squeeze(-1) + log_scale

    def _layer(
        self, h: Tensor, log_slope: Tensor, log_u: Tensor | None, log_a: Tensor, b: Tensor, log_w: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What a layer gives, and the logarithm of its slope in x."""
        if log_u is not None:
            h = (log_u.exp() @ h.unsqueeze(-1)).squeeze(-1)
            log_slope = torch.logsumexp(log_u + log_slope.unsqueeze(-2), -1)
        log_a = SCALE_BOUND * torch.tanh(log_a / SCALE_BOUND)
        # Units that started alike would get the same gradients, and stay alike.
        apart = torch.linspace(-1, 1, self.units, dtype=b.dtype, device=b.device) if self.units > 1 else b.new_zeros(1)
        z = (log_a.exp() * h + b + apart).unsqueeze(-2)
        below, above = F.logsigmoid(z), F.logsigmoid(-z)
        log_cdf, log_rest = torch.logsumexp(log_w + below, -1), torch.logsumexp(log_w + above, -1)
        bent = torch.logsumexp(log_w + below + above + (log_a + log_slope).unsqueeze(-2), -1)
        return log_cdf - log_rest, bent - log_cdf - log_rest

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        def f(x: Tensor) -> tuple[Tensor, Tensor]:
            value, log_slope = self.forward(x, numbers)
            return value, log_slope.exp()

        with torch.no_grad():
            low, high = y - 1, y + 1
            for k in range(1, 40):  # twice as far each time, until both ends are beyond
                over, under = f(low)[0] > y, f(high)[0] < y
                low, high = torch.where(over, low - 2**k, low), torch.where(under, high + 2**k, high)
                if not bool((over | under).any()):
                    break
        x = increasing_root(f, y, low, high)
        return x, -self.forward(x, numbers)[1]


class InverseTransform(Transform):
    """A transform read backwards, so that its quick direction is the one that a density needs."""

    def __init__(self, transform: Transform) -> None:
        self.transform = transform
        self.parameters = transform.parameters

    def forward(self, x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(x, numbers)

    def inverse(self, y: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform.forward(y, numbers)


__all__ = [
    "AffineTransform",
    "InverseTransform",
    "MixtureCDF",
    "Monotone",
    "ShiftTransform",
    "Spline",
    "Transform",
    "VolumePreserving",
]
