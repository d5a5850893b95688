"""Small functions of emitted code."""

import pytest
import torch

from dgmppl import runtime


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
def test_dequantised_values_lie_inside_their_cell(dtype: torch.dtype, noise: float, monkeypatch) -> None:
    """At an end of a range a density is 0: once in a million draws of a pixel a fit would end there."""
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, noise))
    x = torch.tensor([-100.0, -5.0, -1.0, 0.0, 1.0, 16.0, 99.0], dtype=dtype)
    y = runtime.dequantised(x)
    assert (y > x).all() and (y < x + 1).all()
    for low in (0, -5, -100):
        unit = (y[x == low] - low) / (99 - low + 1)
        assert (unit > 0).all()
    assert ((y[x == 99] + 100) / 200 < 1).all() and (y[x == 16] / 17 < 1).all()
