"""Densities of flows: against autograd, over the plane, over whole numbers; and of what is rounded."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgmppl.runtime import GenerativeModel
from tests.contracts.spaces import composition, every, plane
from tests.contracts.support import build, checked

FLOWS = {
    "couplings": ("real", "4 * (coupling[mlp[8]] >> reverse)"),
    "scale and shift apart": ("real", "2 * (coupling[scale = mlp[8, out = tanh], shift = mlp[8]] >> reverse)"),
    "additive": ("real", "2 * (coupling[shift = mlp[8]] >> permute[seed = 3])"),
    "affine and householder": ("real", "affine >> 2 * householder >> affine"),
    "to the unit cube": ("unit", "2 * (coupling[mlp[8]] >> reverse) >> affine >> sigmoid"),
    "to positive numbers": ("positive", "coupling[mlp[8]] >> reverse >> coupling[mlp[8]] >> exp"),
    "to positive numbers, softly": ("positive", "2 * (coupling[mlp[8]] >> reverse) >> softplus"),
    "to an interval": ("interval(-1, 1)", "2 * (coupling[mlp[8]] >> reverse) >> tanh"),
}


def flow_model(name: str, features: int = 3) -> GenerativeModel:
    support, flow = FLOWS[name]
    text = f"""\
model flow_model
observed x : {support}[{features}] from "r.npz".x
latent   u : real[{features}]
flow f = {flow}
p(u) = Normal(0, 1)
x    = f(u)
"""
    return build(checked(text), scale=0.3).double()


@pytest.mark.parametrize("name", FLOWS)
def test_flows_against_autograd(name) -> None:
    """f and its inverse, and the density by the Jacobian that autograd gives."""
    model = flow_model(name)
    u = torch.randn(5, 3, dtype=torch.float64)
    with torch.no_grad():
        x = model.define_x(u)
        back, log_det = model.f.inverse_and_log_det(x)
    assert torch.allclose(back, u, atol=1e-5)
    jacobians = torch.stack([torch.autograd.functional.jacobian(model.define_x, row) for row in u])
    expected = torch.linalg.slogdet(jacobians).logabsdet
    assert torch.allclose(-log_det, expected, atol=1e-5)
    with torch.no_grad():
        by_hand = torch.distributions.Normal(0, 1).log_prob(u).sum(-1) - expected
        assert torch.allclose(model.log_prob(x), by_hand, atol=1e-5)


@pytest.mark.parametrize("name", FLOWS)
def test_flows_integrate_to_one(name) -> None:
    low, high = {"unit": (0.0, 1.0), "positive": (0.0, 60.0), "interval(-1, 1)": (-1.0, 1.0)}.get(
        FLOWS[name][0], (-20.0, 20.0)
    )
    model = flow_model(name, 2)
    if FLOWS[name][0] == "positive":  # on a grid of the logarithm, where the density is smooth
        x, area = plane(-12, 8, 500)
        x, jacobian = x.double().exp(), x.double().sum(-1)
    else:
        x, area = plane(low, high, 600)
        x, jacobian = x.double(), torch.zeros(len(x), dtype=torch.float64)
    with torch.no_grad():
        total = (model.log_prob(x) + jacobian).exp().sum() * area
    assert float(total) == pytest.approx(1.0, abs=5e-3)


def test_flows_of_flows() -> None:
    """x = g(f(u)) with two named flows, and a flow used inside another."""
    text = """\
model nested
observed x : positive[3] from "r.npz".x
latent   u : real[3]
flow f = 2 * (coupling[mlp[8]] >> reverse)
flow g = f >> affine >> exp
p(u) = Normal(0, 1)
x    = g(f(u))
"""
    model = build(checked(text), scale=0.3).double()
    u = torch.randn(4, 3, dtype=torch.float64)
    jacobians = torch.stack([torch.autograd.functional.jacobian(model.define_x, row) for row in u])
    expected = torch.distributions.Normal(0, 1).log_prob(u).sum(-1) - torch.linalg.slogdet(jacobians).logabsdet
    with torch.no_grad():
        assert torch.allclose(model.log_prob(model.define_x(u)), expected, atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) == 2 * (2 * 8 + 4 * 9) + 6  # f is held once


def test_conditional_flows_against_autograd() -> None:
    model = build(composition("conditional_flow"), scale=0.3).double()
    u, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0.0, 1, 2, 0, 1, 2]).double()
    with torch.no_grad():
        x = model.define_x(y, u) if _first_is(model, "y") else model.define_x(u, y)
    rows = []
    for k in range(6):

        def image(v: Tensor, k: int = k) -> Tensor:
            one = y[k : k + 1]
            return (model.define_x(one, v[None]) if _first_is(model, "y") else model.define_x(v[None], one))[0]

        rows.append(torch.autograd.functional.jacobian(image, u[k]))
    expected = torch.distributions.Normal(0, 1).log_prob(u).sum(-1) - torch.linalg.slogdet(torch.stack(rows)).logabsdet
    with torch.no_grad():
        assert torch.allclose(model.log_prob(x, y), expected, atol=1e-5)
        other = model.log_prob(x, (y + 1) % 3)
    assert (other - expected).abs().min() > 1e-3  # the class matters


def _first_is(model: GenerativeModel, name: str) -> bool:
    return type(model).define_x.__code__.co_varnames[1] == name


INTEGER_FLOW = """\
model integer_flow
observed x : integer[2] from "r.npz".x
latent   u : integer[2]
flow f = 4 * (coupling[shift = mlp[8]] >> reverse)
p(u) = DiscretizedLogistic(param, param)
x    = f(u)
"""


def test_integer_flows_are_bijections_of_the_integers() -> None:
    model = build(checked(INTEGER_FLOW), scale=1.0)
    u = every(range(-40, 41), 2)
    with torch.no_grad():
        x = model.define_x(u)
        assert (x == x.round()).all()
        assert not torch.equal(x, u)
        assert len(x.unique(dim=0)) == len(u)
        assert torch.equal(model.f.inverse(x), u)
        assert float(model.log_prob(x).double().exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_the_hybrid_is_exact() -> None:
    """hybrid: log p(x, y) sums to one over u and y; its weight changes the loss alone."""
    model = build(composition("hybrid"), scale=0.2)
    u = every(range(-3, 4), 4)
    with torch.no_grad():
        model.p_u_loc.zero_() if hasattr(model, "p_u_loc") else None
        x = model.f(u)
        base = model.p_u().log_prob(u)
        total = torch.stack([model.log_prob(x, torch.full((len(u),), float(k))) for k in range(3)]).logsumexp(0)
    assert torch.allclose(total, base, atol=1e-4)
    data = [x[:50], torch.randint(3, (50,)).float()]
    with torch.no_grad():
        terms = model.terms(*data)
        weighted = -(terms["log p(y | u)"] + 0.01 * (terms["log p(u)"] + terms["log |du/dx|"])).mean()
        assert float(model.loss(*data)) == pytest.approx(float(weighted), rel=1e-5)
        assert torch.allclose(model.log_prob(*data), sum(terms.values()))


def test_dequantisation_bounds_the_probability_of_the_cell() -> None:
    """rounded_flow in two dimensions: the bound is E log p(x + v), v uniform in the unit square, and lies below
    log of the density's integral over it; those integrals sum to 1."""
    model = build(composition("rounded_flow"), scale=0.1)
    v, area = plane(0, 1, 60)

    def density(x: Tensor) -> Tensor:
        u, log_det = model.f.inverse_and_log_det(x)
        return model.p_u().log_prob(u) + log_det

    with torch.no_grad(), model.unchecked():  # the flow reaches beyond the declared range
        total = 0.0
        for x in every(range(-12, 13), 2):
            log_density = density(x + v)
            exact = float(log_density.logsumexp(0)) + math.log(area)
            total += math.exp(exact)
            if exact > -8:
                bounds = model.elbo(x.expand(4000, 2))
                error = 4 * float(bounds.std()) / math.sqrt(4000)
                assert float(bounds.mean()) == pytest.approx(float(log_density.mean()), abs=error + 1e-3)
                assert float(log_density.mean()) <= exact + 1e-4
    assert total == pytest.approx(1.0, abs=5e-3)
