"""Rounded distributions: the mass of each bin, against torch's and scipy's distribution functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch import distributions as td

from dgmppl.runtime import Cauchy, DiscretizedLogistic, FixedAffine, Gamma, Laplace, Logistic, Normal, Rounded
from dgmppl.runtime.conditioners import ElementwiseFlow
from dgmppl.runtime.transforms import Spline

FAMILIES: dict[str, tuple[Callable[[Tensor, Tensor], td.Distribution], stats.rv_continuous]] = {
    "Normal": (Normal, stats.norm),
    "Laplace": (Laplace, stats.laplace),
    "Cauchy": (Cauchy, stats.cauchy),
    "Logistic": (Logistic, stats.logistic),
}
family = pytest.mark.parametrize("name", FAMILIES)


def rounded(name: str, loc: float, scale: float, dtype: torch.dtype = torch.float64, **options: object) -> Rounded:
    make = FAMILIES[name][0]
    return Rounded(make(torch.tensor(loc, dtype=dtype), torch.tensor(scale, dtype=dtype)), **options)  # type: ignore[arg-type]


@family
@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0, 1e3])
def test_the_mass_of_a_bin(name: str, scale: float) -> None:
    law, k = FAMILIES[name][1], torch.arange(-6.0, 9.0, dtype=torch.float64)
    found = rounded(name, 1.3, scale).log_prob(k).exp()
    upper = law.cdf((k.numpy() + 0.5 - 1.3) / scale)
    lower = law.cdf((k.numpy() - 0.5 - 1.3) / scale)
    torch.testing.assert_close(found, torch.tensor(upper - lower), rtol=1e-5, atol=1e-12)


@family
def test_the_ends_of_a_range_have_the_tails(name: str) -> None:
    k = torch.arange(0.0, 6.0, dtype=torch.float64)
    found = rounded(name, 2.2, 3.0, low=0, high=5)
    log_prob = found.log_prob(k)
    assert math.isclose(log_prob.exp().sum().item(), 1, abs_tol=1e-9)
    law = FAMILIES[name][1]
    assert math.isclose(log_prob[0].item(), law.logcdf((0.5 - 2.2) / 3), abs_tol=1e-9)
    assert math.isclose(log_prob[-1].item(), law.logsf((4.5 - 2.2) / 3), abs_tol=1e-9)
    assert math.isclose(found.mean.item(), (log_prob.exp() * k).sum().item(), abs_tol=1e-9)
    assert found.log_prob(torch.tensor([-1.0, 6.0, 1.5]).double()).isneginf().all()


@family
def test_tails_and_gradients_in_single_precision(name: str) -> None:
    """Far from the location, and in bins far narrower than the scale, nothing is lost and gradients are numbers."""
    law = FAMILIES[name][1]
    for loc, scale, k in ((0.0, 1.0, 9.0), (0.0, 1.0, -9.0), (3.0, 5e4, 7.0), (100.0, 2.0, 60.0)):
        make = FAMILIES[name][0]
        parameters = [torch.tensor(loc, requires_grad=True), torch.tensor(scale, requires_grad=True)]
        found = Rounded(make(*parameters)).log_prob(torch.tensor(k))
        a, b = (abs(k - loc) - 0.5) / scale, (abs(k - loc) + 0.5) / scale
        expected = law.logsf(a) + math.log1p(-math.exp(law.logsf(b) - law.logsf(a)))
        assert math.isclose(found.item(), expected, rel_tol=1e-3), (loc, scale, k)
        found.backward()
        assert all(p.grad is not None and p.grad.isfinite() for p in parameters)


def test_a_rounded_logistic_is_the_discretised_one() -> None:
    loc, scale = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    k = torch.randint(0, 9, (4, 3)).float()
    for ends in ((None, None), (0, 8)):
        ours = Rounded(Logistic(loc, scale), *ends).log_prob(k)
        torch.testing.assert_close(ours, DiscretizedLogistic(loc, scale, *ends).log_prob(k))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["down", "spline"])
def test_what_is_moved_before_it_is_rounded(kind: str) -> None:
    """A decreasing map, and one of each element: probabilities sum to one and are those of the samples."""
    torch.manual_seed(0)
    base = Normal(torch.tensor([0.3, -1.0]).double(), torch.tensor([0.7, 1.2]).double())
    flow = FixedAffine(-2.0, 1.0) if kind == "down" else ElementwiseFlow(2, Spline(bins=4)).double()
    for p in flow.parameters():
        p.data += torch.randn_like(p)
    found = Rounded(base, -9, 9, bijection=flow)
    k = torch.arange(-9.0, 10.0).double().unsqueeze(-1).expand(19, 2)
    with torch.no_grad():
        mass = found.log_prob(k).exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(2).double())
    draws = found.sample((40_000,))
    share = (draws.unsqueeze(0) == k.unsqueeze(1)).double().mean(1)
    assert (share - mass).abs().max() < 0.01
    torch.testing.assert_close(found.mean, (mass * k).sum(0), atol=1e-6, rtol=0) if kind == "down" else None
    expanded = found.expand((5, 2))
    assert expanded.sample().shape == expanded.log_prob(k[:5]).shape == (5, 2)


def test_what_has_no_distribution_function_is_refused() -> None:
    with pytest.raises(TypeError, match="Gamma cannot be rounded"):
        Rounded(Gamma(torch.tensor(1.0), torch.tensor(1.0)))
