"""What the comparisons with other libraries share: one map against another, and networks that a function computes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dgmppl.runtime.bijections import NOTHING, Bijection, Context
from dgmppl.runtime.densities import Pushforward
from dgmppl.runtime.transforms import SCALE_BOUND

Theirs = Callable[[Tensor], tuple[Tensor, Tensor]]
"""The image of rows of x, and the logarithm of the determinant of each row."""


class Network(nn.Module):
    """A network that a function computes. A bijection has none of its weights, and so leaves them as they are."""

    def __init__(self, function: Callable[..., Tensor], rank: int = 0) -> None:
        super().__init__()
        self.function, self.rank = function, rank

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def of_torch(transform: torch.distributions.Transform) -> Theirs:
    """A transform of torch, Pyro or zuko."""

    def theirs(x: Tensor) -> tuple[Tensor, Tensor]:
        y = transform(x)
        log_det = transform.log_abs_det_jacobian(x, y)
        return y, log_det.reshape(len(x), -1).sum(-1)

    return theirs


def within_bound(log_scale: Tensor) -> Tensor:
    """The number that has this log scale, where ours bound it softly."""
    assert bool((log_scale.abs() < SCALE_BOUND).all())
    return SCALE_BOUND * torch.atanh(log_scale / SCALE_BOUND)


def randomise(module: nn.Module, spread: float = 1.0) -> nn.Module:
    """Random parameters, in double precision, that nobody learns."""
    module = module.double().requires_grad_(False)
    for parameter in module.parameters():
        parameter.normal_(0, spread)
    return module


def compare(ours: Bijection, theirs: Theirs, x: Tensor, context: Context = NOTHING, atol: float = 1e-8) -> None:
    """Asserts that two maps are one: image and log-determinant, those of the inverse, and the density that the map
    makes of a standard normal base."""
    ours = ours.double()
    y, log_det = theirs(x)
    normal = torch.distributions.Normal(torch.zeros_like(x[0]), 1.0)
    base = torch.distributions.Independent(normal, x.dim() - 1)
    expected = (y, log_det.expand(len(x)), x, -log_det.expand(len(x)), base.log_prob(x) - log_det)
    flow = Pushforward(base, ours.given(**context) if context else ours)
    image, inverse = ours.forward_and_log_det(x, context), ours.inverse_and_log_det(y, context)
    found = (*image, *inverse, flow.log_prob(y))
    for ours_has, theirs_has in zip(found, expected, strict=True):
        torch.testing.assert_close(ours_has, theirs_has, rtol=0, atol=atol)
