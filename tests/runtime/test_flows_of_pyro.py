"""Planar and radial flows are those of Pyro with the same parameters, which has them without an inverse."""

from __future__ import annotations

import math

import torch
from pyro.distributions import transforms
from torch import Tensor

from dgmppl.runtime.lowrank import Planar, Radial

D = 4
SHIFT = math.log(math.e - 1)


def softplus_inverse(x: Tensor) -> Tensor:
    return x + torch.log(-torch.expm1(-x))


def compare(ours: torch.nn.Module, theirs: transforms.TransformModule) -> None:
    x = torch.randn(50, D, dtype=torch.double)
    y, log_det = ours.forward_and_log_det(x)
    expected = theirs(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(x, expected))


def test_planar() -> None:
    """Theirs has another m in ``u + (m(w u) - w u) w / |w|^2``, whose u is translated to one of ours."""
    torch.manual_seed(0)
    for _ in range(5):
        theirs = transforms.Planar(D).double()
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter.normal_()
        u, w = theirs.u_hat(theirs.u, theirs.w), theirs.w
        along = softplus_inverse(1 + u @ w) - SHIFT
        ours = Planar(D).double()
        ours.numbers.data = torch.cat([u - (u @ w - along) * w / (w @ w), w, theirs.bias]).detach()
        compare(ours, theirs)


def test_radial() -> None:
    torch.manual_seed(0)
    for _ in range(5):
        theirs = transforms.Radial(D).double()
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter.normal_()
        alpha = torch.nn.functional.softplus(theirs.alpha_prime)
        total = torch.nn.functional.softplus(theirs.beta_prime) / alpha  # (alpha + beta) / alpha
        raw = [theirs.x0, softplus_inverse(alpha) - SHIFT, softplus_inverse(total) - SHIFT]
        ours = Radial(D).double()
        ours.numbers.data = torch.cat(raw).detach()
        compare(ours, theirs)
