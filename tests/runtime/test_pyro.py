"""The Pyro classes are the same distributions, and stand in plates."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch

from dgmppl import runtime
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.runtime import MLP, Compose, Coupling, Reverse, Segment, at, densities, pyro_distributions, rounding


def build(package: Any, normal: Any, categorical: Any, name: str) -> Any:
    """The same distribution, of batch shape (), from either package."""
    torch.manual_seed(0)
    if name == "Logistic":
        return package.Logistic(torch.tensor(0.5), torch.tensor(2.0))
    if name == "DiscretizedLogistic":
        return package.DiscretizedLogistic(torch.tensor(0.5), torch.tensor(2.0))
    if name == "IntegerCategorical":
        return package.IntegerCategorical(2, torch.randn(4))
    if name == "OrderedLogistic":
        return package.OrderedLogistic(torch.tensor(0.5), torch.tensor([-1.0, 0.2, 3.0]))
    if name == "Mixture":
        return package.Mixture(torch.randn(3), normal(torch.randn(3, 2), torch.ones(3, 2)).to_event(1))
    if name == "Rounded":
        return package.Rounded(normal(torch.tensor(0.5), torch.tensor(2.0)), low=0, high=4)
    if name == "Pushforward":
        flow = Compose(Coupling(2, both=MLP(1, (4,), 2)), Reverse())
        return package.Pushforward(normal(torch.zeros(2), torch.ones(2)).to_event(1), flow)
    logits = torch.randn(3, 4)

    def step(x: torch.Tensor) -> Any:
        return categorical(logits=logits + x.cumsum(-1).roll(1, -1).unsqueeze(-1) * torch.arange(4)).to_event(1)

    if name == "Sequence":

        def law(x: torch.Tensor) -> Any:
            return categorical(logits=at(logits, 0, behind=1) * (1 + at(x, -1).unsqueeze(-1)))

        return package.Sequence((3,), (Segment(0, 2, law),), lag=1, has_rsample=False)
    return package.Autoregressive(step, (3,))


NAMES = [*densities.__all__, *rounding.__all__, "Sequence"]
by_name = pytest.mark.parametrize("name", NAMES)


def pair(name: str) -> tuple[Any, Any]:
    ours = build(runtime, runtime.Normal, runtime.Categorical, name)
    return ours, build(pyro_distributions, dist.Normal, dist.Categorical, name)


def test_every_distribution_of_ours_has_a_pyro_class() -> None:
    ours = {d.name for d in DISTRIBUTIONS.values() if d.ours}
    helpers = {"filled", "where_seen", "where_elements_seen"}
    paths = {"PathNormal"}  # what a chain's filter makes: tested with that
    assert set(pyro_distributions.__all__) == {*NAMES, *ours, *helpers, *paths}


@by_name
def test_the_same_density(name: str) -> None:
    ours, theirs = pair(name)
    x = ours.sample((5,))
    torch.testing.assert_close(theirs.log_prob(x), ours.log_prob(x))
    assert isinstance(theirs.expand((2,)).to_event(1), dist.Independent)


@by_name
def test_it_stands_in_a_plate(name: str) -> None:
    ours, theirs = pair(name)
    data = ours.sample((5,))

    def model(x: torch.Tensor | None) -> torch.Tensor:
        with pyro.plate("data", 5):
            return pyro.sample("x", theirs, obs=x)

    assert model(None).shape == data.shape
    trace = pyro.poutine.trace(model).get_trace(data)
    trace.compute_log_prob()
    torch.testing.assert_close(trace.nodes["x"]["log_prob"], ours.log_prob(data))
    scaled = pyro.poutine.trace(pyro.poutine.scale(model, scale=2.0)).get_trace(data)
    torch.testing.assert_close(scaled.log_prob_sum(), 2 * ours.log_prob(data).sum())


def test_a_latent_pushforward_is_fitted() -> None:
    """A posterior flow in a guide: its parameters get gradients through Pyro's own objective."""
    pyro.clear_param_store()
    flow = Compose(Coupling(2, both=MLP(1, (4,), 2)), Reverse())

    def model() -> None:
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z, 0.5).to_event(1), obs=torch.ones(2))

    def guide() -> None:
        base = dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1)
        pyro.sample("z", pyro_distributions.Pushforward(base, flow))

    pyro.infer.Trace_ELBO().differentiable_loss(model, guide).backward()
    assert sum(p.grad.abs().sum() for p in flow.parameters() if p.grad is not None) > 0
