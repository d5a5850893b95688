"""Mixtures, pushforwards and autoregressive distributions: they are normalised, and draw what they score."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmppl.runtime import (
    MLP,
    Affine,
    Autoregressive,
    Bernoulli,
    Categorical,
    CausalConv,
    CausalMLP,
    Compose,
    Coupling,
    DiscretizedLogistic,
    Mixture,
    Normal,
    Pushforward,
    Reverse,
    Tanh,
)


def perturbed(module: Any, seed: int = 0, size: float = 0.3) -> Any:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=g))
    return module


def flow(context: int = 0) -> Any:
    names = ("y",) if context else ()
    couplings = [Coupling(2, both=MLP(1 + context, (8,), 2), context=names) for _ in range(3)]
    return perturbed(Compose(*(part for c in couplings for part in (c, Reverse()))), seed=3)


def standard(*batch: int) -> Any:
    return Normal(torch.zeros(*batch, 2), torch.ones(*batch, 2)).to_event(1)


def narrow() -> Any:
    return Normal(torch.zeros(2), torch.full((2,), 0.2)).to_event(1)


def grid(half_width: float, points: int = 801) -> tuple[Tensor, float]:
    axis = torch.linspace(-half_width, half_width, points)
    return torch.cartesian_prod(axis, axis), (axis[1] - axis[0]).item() ** 2


def make_mixture() -> Any:
    loc = torch.tensor([[0.0, 0.0], [2.0, -1.0], [-2.0, 1.0]])
    return Mixture(torch.tensor([0.3, -1.0, 1.0]), Normal(loc, torch.full((3, 2), 0.5)).to_event(1))


def make_mixture_of_flows() -> Any:
    torch.manual_seed(0)
    return Mixture(torch.zeros(3), Pushforward(standard(), flow(2).given(y=torch.randn(3, 2))))


PLANAR = {
    "mixture": (make_mixture, 7.0),
    "pushforward": (lambda: Pushforward(standard(), flow()), 20.0),
    "pushforward into a square": (lambda: Pushforward(narrow(), Compose(flow(), Tanh())), 0.9999),
    "pushforward of a mixture": (lambda: Pushforward(make_mixture(), flow()), 25.0),
    "mixture of pushforwards": (make_mixture_of_flows, 25.0),
}


@pytest.mark.parametrize("name", PLANAR)
def test_densities_integrate_to_one_and_match_their_draws(name: str) -> None:
    torch.manual_seed(0)
    make, width = PLANAR[name]
    distribution = make()
    assert (distribution.batch_shape, distribution.event_shape) == ((), (2,))
    points, cell = grid(width)
    with torch.no_grad():
        density = distribution.log_prob(points).exp() * cell
    assert density.sum().item() == pytest.approx(1.0, abs=2e-3)
    draws = distribution.sample((20_000,))
    mean = (density.unsqueeze(-1) * points).sum(0)
    assert ((draws.mean(0) - mean).abs() < 5 * draws.std(0) / 20_000**0.5 + 5e-3).all()


def test_mixture_batches() -> None:
    mixture = Mixture(torch.randn(4, 3), Normal(torch.randn(3, 2), 1.0).to_event(1))
    assert (mixture.batch_shape, mixture.sample((5,)).shape) == ((4,), (5, 4, 2))
    x = torch.randn(4, 2)
    expected = torch.stack(
        [Mixture(mixture.logits[i], mixture.components.expand((4, 3))).log_prob(x)[i] for i in range(4)]
    )
    torch.testing.assert_close(mixture.log_prob(x), expected)
    scalar = Mixture(torch.zeros(3), Normal(torch.arange(3.0), 1.0)).expand((6,))
    assert scalar.to_event(1).log_prob(torch.zeros(6)).shape == ()
    assert scalar.sample((2,)).shape == (2, 6)


def test_a_mixture_of_discrete_components_draws_floats() -> None:
    mixture = Mixture(torch.tensor([0.0, 1.0]), Categorical(logits=torch.randn(2, 4, 3)).to_event(1))
    total = sum(mixture.log_prob(torch.tensor(x, dtype=torch.float32)).exp() for x in product(range(3), repeat=4))
    torch.testing.assert_close(total, torch.tensor(1.0))
    assert mixture.sample((2,)).dtype == torch.float32


def test_a_pushforward_remembers_its_draw() -> None:
    class Once(Affine):
        """Has no inverse."""

        def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            raise AssertionError("inverted")

    once = Once(2)
    with torch.no_grad():
        once.log_scale.copy_(torch.tensor([0.5, -1.0]))
    q = Pushforward(standard(4), once)
    y = q.rsample()
    log_q = q.log_prob(y)
    torch.testing.assert_close(log_q, Normal(torch.zeros(2), once.log_scale.exp()).to_event(1).log_prob(y))
    log_q.sum().backward()
    assert once.log_scale.grad is not None
    with pytest.raises(AssertionError, match="inverted"):
        q.log_prob(y.clone())


def test_the_density_of_a_draw_without_gradient_still_learns() -> None:
    f = flow()
    p = Pushforward(standard(), f)
    p.log_prob(p.sample((3,))).sum().backward()
    assert all(weight.grad is not None for weight in f.parameters())


def test_a_contexts_batch_is_the_pushforwards() -> None:
    p = Pushforward(standard(), flow(3).given(y=torch.zeros(5, 3)))
    assert p.batch_shape == (5,)
    draws = p.rsample()
    assert not torch.equal(draws[0], draws[1])  # the same context, but noise of its own
    assert p.log_prob(draws).shape == (5,)
    assert p.log_prob(torch.zeros(2)).shape == (5,)


def test_a_flow_of_integers_sums_to_one() -> None:
    net = perturbed(MLP(1, (8,), 1), size=1.0)
    coupling = Coupling(2, shift=net, integer=True)
    perturbed(net, size=1.0)
    base = DiscretizedLogistic(torch.tensor([0.3, -1.0]), torch.tensor([0.5, 1.0])).to_event(1)
    p = Pushforward(base, Compose(coupling, Reverse()))
    axis = torch.arange(-60.0, 61.0)
    with torch.no_grad():
        total = p.log_prob(torch.cartesian_prod(axis, axis)).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0))
    draws = p.sample((100,))
    assert torch.equal(draws, draws.round())


def steps() -> dict[str, tuple[Any, int]]:
    torch.manual_seed(0)
    conv = perturbed(CausalConv(1, (8, 8), 3, kernel=3), size=0.5)
    made = perturbed(CausalMLP(4, 1, (16,), 3), size=0.5)
    binary = perturbed(CausalMLP(4, 1, (16,), 1), size=0.5)
    return {
        "conv": (lambda x: Categorical(logits=conv(x.unsqueeze(-1))).to_event(1), 3),
        "made": (lambda x: Categorical(logits=made(x.unsqueeze(-1))).to_event(1), 3),
        "binary": (lambda x: Bernoulli(logits=binary(x.unsqueeze(-1)).squeeze(-1)).to_event(1), 2),
    }


@pytest.mark.parametrize("name", steps())
def test_autoregressive_probabilities_sum_to_one_and_match_draws(name: str) -> None:
    step, values = steps()[name]
    p = Autoregressive(step, (4,))
    space = torch.tensor(list(product(range(values), repeat=4)), dtype=torch.float32)
    with torch.no_grad():
        probability = p.log_prob(space).exp()
    torch.testing.assert_close(probability.sum(), torch.tensor(1.0))
    torch.manual_seed(0)
    draws = p.sample((20_000,))
    index = (draws @ torch.tensor([values**k for k in (3, 2, 1, 0)], dtype=torch.float32)).long()
    found = torch.bincount(index, minlength=len(space)) / 20_000
    error = (probability * (1 - probability) / 20_000).sqrt()
    assert ((found - probability).abs() < 5 * error + 1e-6).all()


def test_autoregressive_batches_and_events() -> None:
    net = CausalConv(2, (8,), 2, kernel=3, context=3)
    context = torch.randn(5, 3)

    def step(x: Tensor) -> Any:
        return Normal(net(x, context), 1.0).to_event(2)

    p = Autoregressive(step, (4, 2), (5,))
    assert (p.batch_shape, p.event_shape, p.sample().shape) == ((5,), (4, 2), (5, 4, 2))
    wide = p.expand((6, 5))
    draws = wide.sample((3,))
    assert draws.shape == (3, 6, 5, 4, 2)
    assert wide.log_prob(draws).shape == (3, 6, 5)


def test_the_flows_of_these_tests_are_not_the_identity() -> None:
    assert (flow()(torch.ones(2)) - 1).abs().max() > 0.1
