"""The von Mises-Fisher distribution: its density, moments, divergences and draws against quadrature and scipy, from two
to 64 dimensions and from a concentration of 0 to 10,000, in single precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from scipy.integrate import quad
from torch import Tensor

from dgmppl import runtime as rt
from dgmppl.runtime.directions import _Angle, _bessel_ratio, log_bessel

DIMENSIONS = (2, 3, 4, 9, 64)
CONCENTRATIONS = (0.0, 1e-3, 0.5, 5.0, 40.0, 1e3, 1e4)
by_dimension = pytest.mark.parametrize("dimension", DIMENSIONS)


def pole(dimension: int, *axes: int) -> Tensor:
    """A direction between some axes."""
    found = torch.zeros(dimension)
    found[list(axes or (0,))] = 1.0
    return found / found.norm()


def integral(f: object, k: float, dimension: int, end: float = math.pi) -> float:
    """``int_0^end f(a) exp(k (cos a - 1)) sin(a)^(D - 2) da``, piece by piece where the density is narrow."""
    step = 1 / math.sqrt(k + dimension)
    cuts = [*np.arange(0, min(60 * step, end), step), end]
    return sum(
        quad(lambda a: f(a) * math.exp(k * (math.cos(a) - 1)) * math.sin(a) ** (dimension - 2), *ends, epsabs=0)[0]  # type: ignore[operator]
        for ends in zip(cuts, cuts[1:])
        if ends[0] < ends[1]
    )


def log_area(dimension: int) -> float:
    """Of the sphere in so many dimensions."""
    return math.log(2) + dimension / 2 * math.log(math.pi) - float(special.gammaln(dimension / 2))


def log_constant(k: float, dimension: int) -> float:
    """``log C_D(k) + k`` by quadrature over the angle."""
    around = log_area(dimension - 1) if dimension > 2 else math.log(2)
    return -around - math.log(integral(lambda a: 1.0, k, dimension))


@by_dimension
def test_density_moments_entropy_and_divergences_are_those_of_quadrature(dimension: int) -> None:
    loc = pole(dimension)
    uniform = rt.VonMisesFisher(torch.ones(dimension), 0)
    for k in CONCENTRATIONS:
        found = rt.VonMisesFisher(loc, k)
        constant = log_constant(k, dimension)
        x = torch.stack([loc, pole(dimension, 0, 1), pole(dimension, 1), -loc])
        expected = constant + k * (x[:, 0].double() - 1).numpy()
        np.testing.assert_allclose(found.log_prob(x).numpy(), expected, rtol=2e-6, atol=2e-5)
        total = integral(lambda a: 1.0, k, dimension)
        short = integral(lambda a: 1 - math.cos(a), k, dimension) / total
        np.testing.assert_allclose(found.mean.numpy(), (1 - short) * loc.numpy(), rtol=1e-5, atol=1e-6)
        entropy = -(constant - k * short)
        assert found.entropy().item() == pytest.approx(entropy, rel=2e-6, abs=2e-5)
        divergence = rt.kl_divergence(found, uniform).item()
        assert divergence == pytest.approx(log_area(dimension) - entropy, rel=1e-5, abs=3e-5)
        other = rt.VonMisesFisher(pole(dimension, 0, 1), 3.0)
        cross = log_constant(3.0, dimension) + 3 * ((1 - short) * math.sqrt(0.5) - 1)
        assert rt.kl_divergence(found, other).item() == pytest.approx(-entropy - cross, rel=1e-5, abs=3e-5)


@by_dimension
def test_densities_are_scipys_where_it_has_them(dimension: int) -> None:
    torch.manual_seed(0)
    loc, k = rt.direction(torch.randn(dimension)), 7.5
    x = rt.VonMisesFisher(loc, k).sample((20,))
    oracle = stats.vonmises_fisher(loc.double().numpy() / np.linalg.norm(loc.double().numpy()), k)
    found = rt.VonMisesFisher(loc, k).log_prob(x).numpy()
    x_wide = x.double().numpy()
    np.testing.assert_allclose(found, oracle.logpdf(x_wide / np.linalg.norm(x_wide, axis=-1, keepdims=True)), rtol=1e-5)


@pytest.mark.parametrize("order", [0.0, 0.5, 1.0, 3.5, 15.0, 31.0])
def test_bessel_functions_and_all_their_derivatives(order: float) -> None:
    x = torch.logspace(-1, 4, 200, dtype=torch.float64)
    scaled = np.log(special.ive(order, x.numpy())) - order * np.log(x.numpy())
    possible = np.isfinite(scaled)
    np.testing.assert_allclose(log_bessel(x, order).numpy()[possible], scaled[possible], rtol=1e-10, atol=1e-9)
    at = torch.tensor([0.0, 0.4, 20.0, 29.9, 30.1, 400.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: log_bessel(v, order), at[1:].detach().requires_grad_())
    assert torch.autograd.gradgradcheck(lambda v: log_bessel(v, order), at[1:].detach().requires_grad_())
    (slope,) = torch.autograd.grad(_bessel_ratio(at, order).sum(), at)
    ratio = _bessel_ratio(at, order).detach()
    expected = 1 - ratio[1:] ** 2 - (2 * order + 1) * ratio[1:] / at[1:].detach()
    torch.testing.assert_close(slope[1:], expected, rtol=1e-5, atol=1e-12)
    assert slope[0].item() == pytest.approx(1 / (2 * order + 2))


@by_dimension
def test_draws_are_directions_with_the_moments_of_the_density(dimension: int) -> None:
    torch.manual_seed(0)
    loc = rt.direction(torch.randn(dimension))
    for k in CONCENTRATIONS:
        x = rt.VonMisesFisher(loc, k).sample((20_000,))
        assert x.dtype == torch.float32
        assert torch.allclose(x.norm(dim=-1), torch.ones(20_000), atol=1e-6)
        short = 0.5 * (x - loc).double().square().sum(-1)
        total = integral(lambda a: 1.0, k, dimension)
        first, second = (integral(lambda a, p=p: (1 - math.cos(a)) ** p, k, dimension) / total for p in (1, 2))
        assert abs(short.mean().item() - first) < 5 * math.sqrt((second - first**2) / 20_000) + 1e-7
        assert short.square().mean().item() == pytest.approx(second, rel=0.1)
        across = x - (x @ loc).unsqueeze(-1) * loc
        assert (across.mean(0).abs() < 5 * across.std(0) / math.sqrt(20_000) + 1e-7).all()


def test_in_three_dimensions_angles_are_those_of_the_inverse_distribution_function() -> None:
    torch.manual_seed(0)
    for k in (0.5, 5.0, 300.0):
        angle = _Angle.apply(torch.full((20_000,), k, dtype=torch.float64), 3)
        share = -np.expm1(k * (np.cos(angle.numpy()) - 1)) / -np.expm1(-2 * k)
        assert stats.kstest(share, "uniform").pvalue > 1e-4


@by_dimension
def test_the_slope_of_an_angle_keeps_its_share_of_the_distribution(dimension: int) -> None:
    """``da/dk = -(dF/dk) / p``, by differences of a quadrature."""
    torch.manual_seed(0)
    for k in (0.5, 30.0, 1e4):
        at = torch.full((3,), k, dtype=torch.float64, requires_grad=True)
        angle = _Angle.apply(at, dimension)
        (slope,) = torch.autograd.grad(angle.sum(), at)
        for a, found in zip(angle.tolist(), slope.tolist()):
            shares = [
                integral(lambda s: 1.0, k * h, dimension, a) / integral(lambda s: 1.0, k * h, dimension)
                for h in (1 - 1e-4, 1 + 1e-4)
            ]
            own = math.exp(k * (math.cos(a) - 1)) * math.sin(a) ** (dimension - 2)
            density = own / integral(lambda s: 1.0, k, dimension)
            assert found == pytest.approx(-(shares[1] - shares[0]) / (2e-4 * k) / density, rel=1e-4)


def test_gradients_of_draws_are_those_of_the_mean() -> None:
    torch.manual_seed(0)
    loc = rt.direction(torch.randn(5)).requires_grad_()
    k = torch.tensor(4.0, requires_grad=True)
    weights = torch.randn(5)
    draws = rt.VonMisesFisher(loc, k).rsample((50_000,))
    found = torch.autograd.grad((draws @ weights).mean(), (loc, k))
    expected = torch.autograd.grad(rt.VonMisesFisher(loc, k).mean @ weights, (loc, k))
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, atol=0.02, rtol=0.03)


def test_off_the_sphere_the_density_is_zero_and_a_nan_is_passed_on() -> None:
    found = rt.VonMisesFisher(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 2.0]))
    assert torch.equal(found.log_prob(torch.tensor([0.6, 0.9])), torch.full((2,), -torch.inf))
    assert found.log_prob(torch.tensor([torch.nan, 0.0])).isnan().all()
    assert found.expand((3, 2)).sample((4,)).shape == (4, 3, 2, 2)
    assert torch.equal(found.mode, torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert torch.equal(rt.reading(found, True, 2), found.mode)


def test_a_large_concentration_in_single_precision_loses_no_digits_near_the_mode() -> None:
    loc, k = rt.direction(torch.tensor([1.0, 2.0, -0.5])), 1e4
    x = rt.direction(loc + torch.tensor([0.004, -0.008, 0.006]))
    wide = [v.double() / v.double().norm() for v in (loc, x)]
    expected = log_constant(k, 3) + k * ((wide[0] * wide[1]).sum().item() - 1)
    assert rt.VonMisesFisher(loc, k).log_prob(x).item() == pytest.approx(expected, abs=1e-4)
