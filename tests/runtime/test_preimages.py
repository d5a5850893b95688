"""Draws through maps that saturate: inside the support, and with the log-density of what was drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmppl import runtime as rt
from dgmppl.runtime import preimages

MAPS: dict[str, tuple[Callable[[], Any], float, float]] = {
    "tanh": (rt.Tanh, -1.0, 1.0),
    "sigmoid": (rt.Sigmoid, 0.0, 1.0),
    "softplus": (rt.Softplus, 0.0, math.inf),
    "exp": (rt.Exp, 0.0, math.inf),
}


def pushed(name: str, scale: float, *before: Any, loc: float = 0.0) -> Any:
    base = rt.Normal(torch.full((2,), loc), torch.full((2,), scale)).to_event(1)
    return rt.Pushforward(base, rt.Compose(*before, MAPS[name][0]()))


@pytest.mark.parametrize("scale", [3.0, 6.0, 12.0, 30.0])
@pytest.mark.parametrize("name", MAPS)
def test_a_prior_at_a_posteriors_draw_gives_the_divergence_of_the_bases(name: str, scale: float) -> None:
    torch.manual_seed(0)
    q, p = pushed(name, scale), pushed(name, 1.0)
    z = q.expand((20_000,)).rsample()
    ratio = p.log_prob(z) - q.log_prob(z)
    expected = -2 * 0.5 * (scale**2 - 1 - 2 * math.log(scale))
    assert abs(ratio.mean().item() - expected) < 5 * ratio.std().item() / 20_000**0.5
    # Exactly, draw by draw: what the maps do cancels.
    x = preimages.recall(z, name)
    assert x is not None
    bases = [rt.Normal(torch.zeros(2), torch.full((2,), s)).to_event(1).log_prob(x) for s in (1.0, scale)]
    torch.testing.assert_close(ratio, bases[0] - bases[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", MAPS)
def test_a_mixture_and_an_affine_map_before_the_last_one_find_the_preimage_too(name: str) -> None:
    torch.manual_seed(0)
    affine = rt.Affine(2)
    with torch.no_grad():
        affine.log_scale.fill_(math.log(2.0))
    q = pushed(name, 15.0, affine).expand((500,))
    z = q.rsample()
    x = preimages.recall(z, name)
    one = rt.Normal(torch.zeros(2), torch.ones(2)).to_event(1)
    both = rt.Mixture(torch.zeros(2), pushed(name, 1.0).expand((2,)))
    before = rt.Pushforward(rt.Mixture(torch.zeros(2), one.expand((2,))), MAPS[name][0]())
    assert x is not None
    expected = one.log_prob(x) - MAPS[name][0]().log_slope(x).sum(-1)
    torch.testing.assert_close(both.log_prob(z), expected, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(before.log_prob(z), expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("loc", [-100.0, 0.0, 100.0])
def test_draws_lie_in_the_open_support_and_have_a_density(name: str, loc: float) -> None:
    torch.manual_seed(0)
    _, low, high = MAPS[name]
    p = pushed(name, 60.0, loc=loc)
    for x in (p.sample((5000,)), p.rsample((5000,))):
        assert ((x > low) & (x < high) & x.isfinite()).all()
        assert p.log_prob(x).isfinite().all()
        assert p.log_prob(x.clone()).isfinite().all()  # one that is read from a file has forgotten its preimage


def test_positive_draws_of_the_catalogue() -> None:
    torch.manual_seed(0)
    zero = torch.zeros(())
    for p in (rt.LogNormal(zero, zero + 50), rt.Gamma(zero + 1e-3, zero + 1), rt.Exponential(zero + 1e38)):
        x = p.sample((5000,))
        assert ((x > 0) & x.isfinite()).all()
        assert p.log_prob(x).isfinite().all()
        assert p.log_prob(x.clone()).isfinite().all()
    q, p = rt.LogNormal(zero, zero + 30), rt.LogNormal(zero, zero + 1)
    z = q.rsample((20_000,))
    ratio = p.log_prob(z) - q.log_prob(z)
    assert abs(ratio.mean() + rt.kl_divergence(q, p)) < 5 * ratio.std() / 20_000**0.5


def test_small_concentrations_have_the_divergence_that_torch_gives() -> None:
    """E log p - log q over draws far below the smallest float, against the closed form."""
    torch.manual_seed(0)
    one = torch.ones(())
    pairs = (
        (rt.Gamma(0.02 * one, one), rt.Gamma(0.5 * one, 2 * one)),
        (rt.Beta(0.01 * one, 0.02 * one), rt.Beta(0.5 * one, one)),
        (rt.Dirichlet(torch.full((3,), 0.01)), rt.Dirichlet(torch.ones(3))),
    )
    for q, p in pairs:
        z = q.rsample((20_000,))
        ratio = p.log_prob(z) - q.log_prob(z)
        assert abs(ratio.mean() + rt.kl_divergence(q, p)) < 5 * ratio.std() / 20_000**0.5


@pytest.mark.parametrize("name", MAPS)
def test_gradients_through_a_saturated_draw(name: str) -> None:
    """d/ds of E log p(z) - log q(z) is that of minus the divergence, 1 / s - s: nothing is lost, nothing is NaN."""
    torch.manual_seed(0)
    s = torch.tensor(6.0, requires_grad=True)
    base = rt.Normal(torch.zeros(1), s.expand(1)).to_event(1)
    q = rt.Pushforward(base, MAPS[name][0]())
    z = q.rsample((50_000,))
    p = rt.Pushforward(rt.Normal(torch.zeros(1), torch.ones(1)).to_event(1), MAPS[name][0]())
    (p.log_prob(z) - q.log_prob(z)).mean().backward()
    assert s.grad is not None
    assert s.grad.item() == pytest.approx(1 / 6 - 6, rel=0.05)


def test_a_preimage_is_forgotten_when_the_draw_is_written_to_or_asks_for_a_gradient() -> None:
    x = torch.zeros(3)
    y = preimages.tanh(x)
    assert preimages.recall(y, "tanh") is x
    assert preimages.recall(y, "sigmoid") is None
    assert preimages.recall(y.requires_grad_(), "tanh") is None
    z = preimages.tanh(x)
    z.add_(0.5)
    assert preimages.recall(z, "tanh") is None
    with torch.inference_mode():
        assert preimages.recall(preimages.exp(torch.ones(2)), "exp") is not None


def test_imputed_and_repeated_draws_keep_their_preimage() -> None:
    torch.manual_seed(0)
    q = rt.Pushforward(rt.Normal(torch.zeros(4, 2), 30.0).to_event(1), rt.Tanh())
    p = rt.Pushforward(rt.Normal(torch.zeros(2), 1.0).to_event(1), rt.Tanh())
    z = q.rsample()
    cases = rt.Cases(torch.ones(4, 3), torch.zeros(4, 3))
    torch.testing.assert_close(p.log_prob(cases.repeat(z)), p.log_prob(z).repeat_interleave(3))
    seen = torch.tensor([[0.1, 0.2], [math.nan, math.nan], [0.3, -0.5], [math.nan, math.nan]])
    filled, missing = rt.impute(seen, z)
    found = p.log_prob(filled)
    torch.testing.assert_close(found[missing], p.log_prob(z)[missing])
    torch.testing.assert_close(found[~missing], p.log_prob(seen)[~missing])


def test_an_image_is_inverted_by_its_number_when_the_preimage_is_unknown() -> None:
    x = torch.linspace(-5, 5, 11).unsqueeze(-1)
    for make, _, _ in MAPS.values():
        f = make()
        y: Tensor = f(x).clone()
        back, log_det = f.inverse_and_log_det(y)
        torch.testing.assert_close(back, x, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(log_det, -f.log_slope(x).sum(-1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", MAPS)
def test_the_gradient_of_a_draws_own_density_goes_through_the_draw_alone(name: str) -> None:
    """The value is that of `log_prob`, of draws at which the map saturates too; the parameters are held fixed."""
    torch.manual_seed(0)
    loc, scale = torch.zeros(2, requires_grad=True), torch.full((2,), 20.0, requires_grad=True)
    q = rt.Pushforward(rt.Normal(loc, scale).to_event(1), rt.Compose(MAPS[name][0]()))
    z = q.rsample((64,))
    found = rt.log_prob_of_draw(q, z)
    torch.testing.assert_close(found, q.log_prob(z))
    assert found.isfinite().all()
    fixed = rt.Pushforward(rt.Normal(loc.detach(), scale.detach()).to_event(1), rt.Compose(MAPS[name][0]()))
    found = torch.autograd.grad(found.sum(), (loc, scale), retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(fixed.log_prob(z).sum(), (loc, scale)))


def test_what_is_left_out_of_the_gradient_of_a_draws_density_has_mean_0() -> None:
    torch.manual_seed(1)
    loc, scale = torch.tensor(0.3, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    q, p = rt.Normal(loc, scale), rt.Normal(torch.tensor(0.0), torch.tensor(1.0))
    z = q.rsample((200_000,))
    found = torch.autograd.grad((rt.log_prob_of_draw(q, z) - p.log_prob(z)).mean(), (loc, scale))
    exact = torch.autograd.grad(torch.distributions.kl_divergence(q, p), (loc, scale))
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0)
