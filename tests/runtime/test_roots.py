"""Inverses that are searched for have the derivatives of the implicit function, the second ones as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dgmppl.runtime.bijections import Bijection
from dgmppl.runtime.conditioners import ElementwiseFlow
from dgmppl.runtime.lowrank import Planar, Radial, Sylvester
from dgmppl.runtime.roots import increasing_root
from dgmppl.runtime.transforms import SCALE_BOUND, MixtureCDF, Monotone


def test_a_root_of_a_cube() -> None:
    y = torch.tensor([-8.0, 1e-3, 27.0], dtype=torch.double, requires_grad=True)
    x = increasing_root(lambda v: (v**3 + v, 3 * v**2 + 1), y, torch.full_like(y, -30), torch.full_like(y, 30))
    torch.testing.assert_close(x**3 + x, y)
    (slope,) = torch.autograd.grad(x.sum(), y)
    torch.testing.assert_close(slope, 1 / (3 * x**2 + 1))


SEARCHED: dict[str, tuple[Callable[[], Bijection], int]] = {
    "planar": (lambda: Planar(2, context="c"), 5),
    "radial": (lambda: Radial(2, context="c"), 4),
    "sylvester": (lambda: Sylvester(2, orthogonal=2, context="c"), 12),
    "monotone": (lambda: ElementwiseFlow(2, Monotone(2), context="c"), 40),
    "mixture_cdf": (lambda: ElementwiseFlow(2, MixtureCDF(2), context="c"), 16),
}


@pytest.mark.parametrize("name", SEARCHED)
def test_derivatives_of_inverses(name: str) -> None:
    """Against finite differences."""
    torch.manual_seed(0)
    make, size = SEARCHED[name]
    bijection = make()
    y = torch.randn(2, 2, dtype=torch.double, requires_grad=True)
    c = torch.randn(size, dtype=torch.double, requires_grad=True)

    def inverse(y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return bijection.inverse_and_log_det(y, {"c": c})

    assert torch.autograd.gradcheck(inverse, (y, c))
    assert torch.autograd.gradgradcheck(inverse, (y, c))


def test_a_monotone_network_of_one_layer_is_a_mixture() -> None:
    """``logit(sum_k w_k sigmoid(a_k x + b_k))``, with means -b / a and scales 1 / a."""
    torch.manual_seed(0)
    network, mixture = Monotone(units=3, layers=1), MixtureCDF(components=3)
    x, numbers = torch.randn(5, 2, dtype=torch.double), 0.5 * torch.randn(network.parameters, 2, dtype=torch.double)
    log_a, b, w, rest = numbers.split((3, 3, 3, 2), 0)
    apart = torch.linspace(-1, 1, 3, dtype=torch.double).unsqueeze(-1)
    scale = torch.exp(-SCALE_BOUND * torch.tanh(log_a / SCALE_BOUND))
    same = torch.cat([w, -(b + apart) * scale - apart, -log_a, rest])
    for ours, theirs in zip(network.forward(x, numbers), mixture.forward(x, same), strict=True):
        torch.testing.assert_close(ours, theirs)
