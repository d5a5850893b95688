"""The bijection onto vectors of proportions, beside that of torch."""

from __future__ import annotations

import math

import pytest
import torch

from dgmppl.runtime.simplices import StickBreaking
from tests.runtime.bijections import D


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_proportions_are_torchs(scale: float) -> None:
    """Also where nothing is left of the stick in single precision: an image knows its logarithms."""
    torch.manual_seed(0)
    x = scale * torch.randn(50, D)
    theirs, double = torch.distributions.StickBreakingTransform(), x.double()
    y, log_det = StickBreaking().forward_and_log_det(x)
    torch.testing.assert_close(y.double(), theirs(double), atol=1e-6, rtol=1e-5)
    if scale == 1:
        torch.testing.assert_close(
            log_det.double(), theirs.log_abs_det_jacobian(double, theirs(double)), atol=1e-5, rtol=1e-6
        )
        back, log_det_back = StickBreaking().inverse_and_log_det(y.clone())
        torch.testing.assert_close(back, x, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(log_det_back, -log_det, atol=1e-4, rtol=1e-4)
    back, log_det_back = StickBreaking().inverse_and_log_det(y)
    torch.testing.assert_close(back, x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_det_back, -log_det, atol=1e-3, rtol=1e-5)
    assert (y > 0).all()
    torch.testing.assert_close(StickBreaking()(torch.zeros(D)), torch.full((D + 1,), 1 / (D + 1)))


@pytest.mark.parametrize("values", [(0.0, 0.5, 0.5), (-0.1, 0.6, 0.5), (0.3, 0.3, 0.3)])
def test_what_is_no_vector_of_proportions_has_density_0(values: tuple[float, ...]) -> None:
    y = torch.tensor(values, requires_grad=True)
    x, log_det = StickBreaking().inverse_and_log_det(y)
    assert x.isfinite().all()
    assert log_det == -math.inf
