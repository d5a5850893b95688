"""Functions, samplers, games and the base class of emitted models."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from dgmppl import runtime
from dgmppl.runtime import GAMES, Chain, GenerativeModel, Start, gibbs, gradient_penalty, langevin
from dgmppl.runtime.chains import Diverged
from dgmppl.runtime.samplers import reflect


def test_every_exported_name_exists_once() -> None:
    assert len(set(runtime.__all__)) == len(runtime.__all__)
    assert all(hasattr(runtime, name) for name in runtime.__all__)


def test_links_land_in_their_supports() -> None:
    raw = torch.tensor([-1e4, -200.0, -30.0, -1.0, 0.0, 1.0, 30.0, 200.0, 1e4], requires_grad=True)
    positive = runtime.positive(raw)
    assert (positive > 0).all()
    assert (positive.isfinite() & positive.log().isfinite() & positive.reciprocal().square().isfinite()).all()
    (gradient,) = torch.autograd.grad(positive.log().sum(), raw)
    assert gradient.isfinite().all()
    assert (gradient[2:] > 0).all()  # no large output is stuck
    torch.testing.assert_close(runtime.unit(raw), torch.sigmoid(raw))
    bounded = runtime.bounded(raw, -2.0, 3.0)
    assert bounded.min() >= -2
    assert bounded.max() <= 3
    torch.testing.assert_close(bounded[4], torch.tensor(0.5))
    torch.testing.assert_close(runtime.simplex(torch.randn(4, 3)).sum(-1), torch.ones(4))


def test_inputs_of_networks() -> None:
    torch.testing.assert_close(runtime.rescale(torch.tensor([0.0, 8.0, 16.0]), 0, 16), torch.tensor([-1.0, 0, 1]))
    encoded = runtime.one_hot(torch.tensor([[2.0, 0.0]]), 3)
    assert torch.equal(encoded, torch.tensor([[[0.0, 0, 1], [1, 0, 0]]]))
    joined = runtime.concat(torch.zeros(5, 1, 2), torch.ones(4, 3), torch.ones(1))
    assert joined.shape == (5, 4, 6)
    assert torch.equal(joined[2, 3], torch.tensor([0.0, 0, 1, 1, 1, 1]))
    assert torch.equal(runtime.enumerate_binary(2), torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]))
    x = torch.tensor([1000.0, 1000.0 + math.log(3)])
    torch.testing.assert_close(runtime.log_mean_exp(x), torch.tensor(1000 + math.log(2)))


def test_langevin_finds_the_moments_of_a_gaussian() -> None:
    torch.manual_seed(0)
    loc, scale = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.5])
    weight = nn.Parameter(torch.ones(()))

    def energy(x: Tensor) -> Tensor:
        return weight * 0.5 * ((x - loc) / scale).square().sum(-1)

    step = 0.02
    with torch.no_grad():  # samplers run inside evaluation too
        x = langevin(energy, torch.zeros(4000, 2), 500, step, math.sqrt(2 * step))
    assert not x.requires_grad
    assert weight.grad is None
    torch.testing.assert_close(x.mean(0), loc, atol=0.1, rtol=0)
    torch.testing.assert_close(x.std(0), scale, atol=0.1, rtol=0)
    clamped = langevin(energy, torch.zeros(100, 2), 20, step, 1.0, low=-1, high=1)
    assert clamped.abs().max() == 1


def test_langevin_on_an_interval_draws_from_the_energy_and_does_not_stay_on_the_bounds() -> None:
    """p(x) proportional to exp(-a x) on [-1, 1], whose distribution function is elementary."""
    torch.manual_seed(0)
    a = torch.tensor([2.0, -1.0])
    step = 0.0025
    start = 2 * torch.rand(4000, 2) - 1
    x = langevin(lambda x: x @ a, start, 1200, step, math.sqrt(2 * step), low=-1, high=1).double()
    for k in range(2):
        rate = a[k].item()
        uniform = (math.exp(rate) - torch.exp(-rate * x[:, k])) / (math.exp(rate) - math.exp(-rate))
        assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3
    assert (x.abs() == 1).double().mean() < 1e-3


def test_langevin_of_positive_values_draws_from_the_energy() -> None:
    torch.manual_seed(0)
    step = 0.0025
    x = langevin(lambda x: 2 * x.sum(-1), torch.rand(3000, 1), 2400, step, math.sqrt(2 * step), low=1e-6)
    assert stats.kstest(x.double().squeeze(-1).numpy(), stats.expon(scale=0.5).cdf).pvalue > 1e-3


def test_reflection_folds_any_number_into_the_interval() -> None:
    x = torch.tensor([-1.5, 0.2, 1.25, 3.5, -5.0])
    torch.testing.assert_close(reflect(x, -1.0, 1.0), torch.tensor([-0.5, 0.2, 0.75, -0.5, -1.0]))
    torch.testing.assert_close(reflect(x, 0.0, None), x.abs())
    torch.testing.assert_close(reflect(x, None, 1.0), torch.tensor([-1.5, 0.2, 0.75, -1.5, -5.0]))
    assert torch.equal(reflect(x, None, None), x)


def test_a_chain_that_runs_away_says_so() -> None:
    """exp(x^2) has no finite integral."""
    torch.manual_seed(0)
    step = 0.1
    start, data = Start("real", (2,)), torch.randn(8, 2)

    def sweep(x: Tensor) -> tuple[Tensor, ...]:
        return (langevin(lambda x: -x.square().sum(-1), x, 1, step, math.sqrt(2 * step)),)

    for persistent in (True, False):
        chain = Chain(start, steps=100, persistent=persistent, chains=4)
        with pytest.raises(Diverged, match=r"runs away: it reaches .* where the data reach"):
            chain(sweep, data)
    with pytest.raises(Diverged, match="runs away"):
        Chain(start).run(sweep, 4, 100, torch.empty(0))
    with pytest.raises(Diverged):
        Chain(start)(lambda x: (x / 0,), data)
    kept = Chain(Start("interval", (2,), -1.0, 1.0), steps=1)
    assert torch.equal(kept(lambda x: (x,), data)[0], data)


def test_gibbs_draws_from_a_small_boltzmann_machine() -> None:
    torch.manual_seed(0)
    weight = torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    states = runtime.enumerate_binary(4)
    score = torch.einsum("ni,ij,nj->n", states[:, :2], weight, states[:, 2:])
    expected = score.softmax(0)

    def draw_h(h: Tensor, x: Tensor) -> Tensor:
        return torch.bernoulli(torch.sigmoid(x @ weight))

    def draw_x(h: Tensor, x: Tensor) -> Tensor:
        return torch.bernoulli(torch.sigmoid(h @ weight.T))

    start = torch.zeros(20_000, 2)
    h, x = gibbs([draw_h, draw_x], start, start, steps=30)
    index = (torch.cat([x, h], -1) @ torch.tensor([8.0, 4, 2, 1])).long()
    found = torch.bincount(index, minlength=16) / len(index)
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)
    h, clamped = gibbs([draw_h, None], start, start + 1, steps=1)
    assert torch.equal(clamped, start + 1)
    torch.testing.assert_close(h.mean(0), torch.sigmoid(weight.sum(0)), atol=0.015, rtol=0)


@pytest.mark.parametrize("name", GAMES)
def test_each_side_of_a_game_pulls_its_own_way(name: str) -> None:
    game = GAMES[name]
    real, fake = torch.full((4,), 0.2, requires_grad=True), torch.full((4,), 0.1, requires_grad=True)
    up, down = torch.autograd.grad(game.adversary_loss(real, fake), (real, fake))
    assert (up < 0).all()  # the adversary raises the scores of data
    assert (down > 0).all()  # and lowers those of the model
    (pull,) = torch.autograd.grad(game.model_loss_fake(fake), fake)
    assert (pull < 0).all()
    (pull,) = torch.autograd.grad(game.model_loss_real(real), real)
    assert (pull > 0).all()
    assert game.adversary_loss(real, fake).shape == ()


def test_the_optimum_of_the_logistic_game_is_the_jensen_shannon_divergence() -> None:
    score = torch.zeros(8)  # indistinguishable: the best adversary says 1/2 everywhere (Goodfellow et al., 2014)
    assert GAMES["nonsaturating"].adversary_loss(score, score).item() == pytest.approx(math.log(4))


def test_gradient_penalty() -> None:
    a, b = torch.tensor([3.0, 0.0]), 4.0
    inputs = (torch.randn(6, 2), torch.randn(6))
    others = (torch.randn(6, 2), torch.randn(6))
    scale = torch.ones((), requires_grad=True)
    penalty = gradient_penalty(lambda x, y: scale * (x @ a + b * y), inputs, others)
    assert penalty.item() == pytest.approx((5 - 1) ** 2, rel=1e-4)
    penalty.backward()
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(2 * 4 * 5, rel=1e-4)
    flat = gradient_penalty(lambda x: 0 * scale * x.sum(-1), inputs[:1], others[:1])
    flat.backward()
    assert scale.grad.isfinite()


class Tiny(GenerativeModel):
    data = ("x",)
    criterion = "elbo"
    weights = {"prior": 0.5}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.fixed = nn.Parameter(torch.zeros(()), requires_grad=False)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {"fit": -(x - self.loc).square(), "prior": -self.loc.square() - torch.ones_like(x)}


def test_a_model_is_fitted_by_the_weighted_terms_and_judged_by_their_sum() -> None:
    model, x = Tiny(), torch.tensor([1.0, 3.0])
    assert model.loss(x).item() == pytest.approx(5 + 0.5)
    torch.testing.assert_close(model.elbo(x), torch.tensor([-2.0, -10.0]))
    assert set(model.figures(x)) == {"elbo"}
    with pytest.raises(NotImplementedError, match=r"log_prob.*elbo"):
        model.log_prob(x)
    (player,) = model.players()
    assert player.name == "model"
    assert player.parameters == [model.loc]
    assert player.loss(x) == model.loss(x)
    assert model.device == torch.device("cpu")
    assert GenerativeModel().device == torch.device("cpu")
    assert GenerativeModel().figures(x) == {}
