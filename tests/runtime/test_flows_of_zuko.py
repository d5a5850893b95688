"""Flows are those of zuko with the same networks: it has the transforms, and conditioners of its own around them."""

from __future__ import annotations

import pytest
import torch
import zuko
from torch import Tensor, nn

from dgmppl.runtime import transforms
from dgmppl.runtime.bijections import Bijection
from dgmppl.runtime.conditioners import AutoregressiveFlow, ElementwiseFlow
from dgmppl.runtime.couplings import Coupling
from dgmppl.runtime.transforms import SCALE_BOUND, AffineTransform, InverseTransform, Spline

D, K, BINS = 5, 3, 4


def our_scale(raw: Tensor) -> Tensor:
    """The number that gives AffineTransform the log scale that zuko makes of this one: each bounds it its own way."""
    log_scale = raw / (1 + (raw / torch.tensor(1e-3).log()).abs())
    return SCALE_BOUND * torch.atanh(log_scale / SCALE_BOUND)


class NetworkOfZuko(nn.Module):
    """A network of zuko's as one of ours: it gives the numbers of an element next to each other, and reads no axes."""

    def __init__(self, hyper: nn.Module, numbers: int, causal: bool) -> None:
        super().__init__()
        self.hyper, self.numbers, self.causal = hyper, numbers, causal

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        inputs = torch.cat([x.squeeze(-1) if self.causal else x, *context], -1)
        found = self.hyper(inputs).unflatten(-1, (-1, self.numbers))
        if self.numbers == 2:  # zuko has the shift first
            found = torch.stack([our_scale(found[..., 1]), found[..., 0]], -1)
        return found if self.causal else found.mT.flatten(-2)


def transform_of(numbers: int) -> transforms.Transform:
    return InverseTransform(AffineTransform() if numbers == 2 else Spline(BINS))


SPLINES = {"univariate": zuko.transforms.MonotonicRQSTransform, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}


@pytest.mark.parametrize("numbers", [2, 3 * BINS - 1], ids=["affine", "spline"])
def test_masked_autoregressive_flows(numbers: int) -> None:
    """MAF and NSF (Papamakarios et al., 2017; Durkan et al., 2019)."""
    torch.manual_seed(0)
    theirs = zuko.flows.MaskedAutoregressiveTransform(
        D, K, hidden_features=(16, 16), **(SPLINES if numbers > 2 else {})
    ).double()
    network = NetworkOfZuko(theirs.hyper, numbers, causal=True)
    ours = AutoregressiveFlow(D, nn.Identity(), transform_of(numbers), context="y").double()
    ours.network = network
    compare(ours, theirs)


@pytest.mark.parametrize("numbers", [2, 3 * BINS - 1], ids=["affine", "spline"])
def test_couplings(numbers: int) -> None:
    """RealNVP and its splines: a mask that keeps the first half."""
    torch.manual_seed(0)
    mask = torch.arange(D) < D // 2
    theirs = zuko.flows.coupling.GeneralCouplingTransform(
        D, K, mask=mask, hidden_features=(16, 16), **(SPLINES if numbers > 2 else {})
    ).double()
    network = NetworkOfZuko(theirs.hyper, numbers, causal=False)
    ours = Coupling(D, both=nn.Identity(), context="y", transform=transform_of(numbers)).double()
    ours.both = network
    compare(ours, theirs)


def compare(ours: Bijection, theirs: nn.Module) -> None:
    """zuko's transforms take data to the base."""
    x, y = torch.randn(20, D, dtype=torch.double) * 2, torch.randn(20, K, dtype=torch.double)
    transform = theirs(y)
    u, log_det = transform.call_and_ladj(x)
    log_det = log_det if log_det.dim() == 1 else log_det.sum(-1)
    found, found_log_det = ours.inverse_and_log_det(x, {"y": y})
    torch.testing.assert_close(found, u, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found_log_det, log_det, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours(u, {"y": y}), transform.inv(u), rtol=1e-5, atol=1e-6)


def test_elementwise_splines() -> None:
    torch.manual_seed(0)
    ours = ElementwiseFlow(D, Spline(BINS))
    with torch.no_grad():
        ours.numbers.normal_()
    widths, heights, slopes = ours.numbers.mT.split((BINS, BINS, BINS - 1), -1)
    theirs = zuko.transforms.MonotonicRQSTransform(widths, heights, slopes)
    x = torch.randn(20, D) * 3
    y, log_det = ours.forward_and_log_det(x)
    torch.testing.assert_close(y, theirs(x))
    torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(x, y).sum(-1))
