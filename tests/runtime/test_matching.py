"""Flow matching: its paths, what the error that it descends is smallest for, and how it looks into flows."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from dgmppl.runtime import (
    Bijection,
    Compose,
    CosinePath,
    FieldFlow,
    FixedAffine,
    Inverse,
    LinearPath,
    Normal,
    Pushforward,
    Reverse,
    Tanh,
    VariancePreservingPath,
    matching_error,
    on_the_way,
)
from dgmppl.runtime.matching import Path, Point

PATHS: dict[str, Path] = {
    "linear": LinearPath(),
    "cosine": CosinePath(),
    "variance preserving": VariancePreservingPath(0.1, 12.0),
}
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
MEAN, DEVIATION = 1.5, 0.5


@every_path
def test_a_path_goes_from_data_to_noise_as_fast_as_it_says(path: Path) -> None:
    s = torch.linspace(0.01, 0.99, 50, dtype=torch.double, requires_grad=True)
    point = path.at(s)
    for share, slope in ((point.data, point.data_slope), (point.noise, point.noise_slope)):
        (found,) = torch.autograd.grad(share.sum(), s, retain_graph=True)
        torch.testing.assert_close(found, slope)
    ends = path.at(torch.tensor([0.0, 1.0], dtype=torch.double))
    torch.testing.assert_close(ends.data, torch.tensor([1.0, 0.0], dtype=torch.double), atol=0.05, rtol=0)
    torch.testing.assert_close(ends.noise, torch.tensor([0.0, 1.0], dtype=torch.double), atol=2e-3, rtol=0)


def normal_velocity(path: Path, x: Tensor, s: Tensor) -> Tensor:
    """``E[dx/ds | x]`` for data of N(MEAN, DEVIATION^2) and noise of N(0, 1), which are normal together with x."""
    point = path.at(s)
    variance = (point.data * DEVIATION).square() + point.noise.square()
    off = (x - point.data * MEAN) / variance
    data, noise = MEAN + point.data * DEVIATION**2 * off, point.noise * off
    return point.data_slope * data + point.noise_slope * noise


def normal_flow(path: Path, backwards: bool, more: Callable[[Tensor, Tensor], Tensor] | None = None) -> Bijection:
    """The flow that carries N(0, 1) to N(MEAN, DEVIATION^2) along a path, with more in its field."""

    def field(z: Tensor, t: Tensor) -> Tensor:
        v = normal_velocity(path, z, t[:, None] if backwards else 1 - t[:, None])
        v = v if backwards else -v
        return v if more is None else v + more(z, t[:, None])

    flow = FieldFlow(1, field, steps=60)
    return Inverse(flow) if backwards else flow


@pytest.mark.parametrize("backwards", [False, True], ids=["from noise", "from data"])
@every_path
def test_the_error_is_smallest_for_the_velocity_of_the_marginals(path: Path, backwards: bool) -> None:
    """Its slope in every direction is 0 there, but for the noise of its draws (Lipman et al., 2023, Theorem 2)."""
    directions: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda z, t: torch.ones_like(z),
        lambda z, t: z,
        lambda z, t: t * z,
        lambda z, t: (3 * z).sin(),
    ]
    rows = 40_000
    torch.manual_seed(0)
    noise = torch.randn(rows, 1, dtype=torch.double)
    data = MEAN + DEVIATION * torch.randn(rows, 1, dtype=torch.double)
    for direction in directions:
        slopes = []
        for sign in (1, -1):
            torch.manual_seed(1)
            flow = normal_flow(path, backwards, lambda z, t, d=direction, s=sign: s * d(z, t))
            slopes.append(sign * matching_error(flow, noise, data, path, "data"))
        slope = sum(slopes) / 4
        assert abs(slope.mean()) < 4.5 * slope.std() / math.sqrt(rows)
        assert slope.std() > 0


@pytest.mark.parametrize("backwards", [False, True], ids=["from noise", "from data"])
@every_path
def test_the_field_that_is_best_carries_noise_to_data(path: Path, backwards: bool) -> None:
    law = Pushforward(Normal(torch.zeros(1, dtype=torch.double), 1).to_event(1), normal_flow(path, backwards))
    # The noise of a path that preserves the variance has a little of the data in it, and the flow is affine.
    last = path.at(torch.ones(1, dtype=torch.double))
    ratio = DEVIATION / ((last.data * DEVIATION).square() + last.noise.square()).sqrt()
    exact = torch.distributions.Normal(MEAN - last.data * MEAN * ratio, ratio)
    x = exact.icdf(torch.linspace(0.01, 0.99, 21, dtype=torch.double))
    torch.testing.assert_close(law.log_prob(x[:, None]), exact.log_prob(x), atol=2e-3, rtol=0)
    drawn = law.sample((4000,)).squeeze(-1)
    assert stats.kstest(drawn.numpy(), lambda v: exact.cdf(torch.as_tensor(v)).numpy()).pvalue > 1e-3


class Told(VariancePreservingPath):
    """A path that remembers where it was."""

    def at(self, s: Tensor) -> Point:
        self.s, self.point = s, super().at(s)
        return self.point


@pytest.mark.parametrize("target", ["noise", "score"])
def test_the_error_of_a_score_is_that_of_denoising(target: str) -> None:
    """With the field of the probability flow, ``-b (x + score) / 2``, it is ``|score + noise / sigma|^2`` (Song et al.,
    2021, Eqs. 7 and 13), or that times sigma^2."""
    path = Told(0.1, 20.0)

    def score(z: Tensor, t: Tensor) -> Tensor:
        return z.sin() - t[:, None] * z

    flow = FieldFlow(3, lambda z, t: -(0.1 + 19.9 * t[:, None]) / 2 * (z + score(z, t)))
    noise, data = torch.randn(50, 3, dtype=torch.double), torch.randn(50, 3, dtype=torch.double)
    found = matching_error(Inverse(flow), noise, data, path, target)
    sigma = path.point.noise[:, None]
    x = path.point.data[:, None] * data + sigma * noise
    expected = (score(x, path.s) + noise / sigma).square()
    expected = expected * sigma.square() if target == "noise" else expected
    torch.testing.assert_close(found, expected.sum(-1))


def test_times_are_uniform_for_every_row() -> None:
    class Line(LinearPath):
        def at(self, s: Tensor) -> Point:
            seen.append(s)
            return super().at(s)

    seen: list[Tensor] = []
    flow = FieldFlow(1, lambda z, t: z, start=0.2, end=0.7)
    x = torch.zeros(5, 1)
    for _ in range(2000):
        matching_error(flow, x, x, Line())
    t = 1 - torch.stack(seen)
    assert t.min() >= 0.2
    assert t.max() <= 0.7
    assert ((t.mean(0) - 0.45).abs() < 0.02).all()
    assert ((t.std(0) - 0.5 / math.sqrt(12)).abs() < 0.01).all()


def test_what_stands_around_an_integral_maps_both_ends() -> None:
    """``tanh(2 f(reverse(u)))`` is taught as f is, from reverse(u) to atanh(x) / 2, and nothing else in it is."""
    weight = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.double))
    inner = FieldFlow(2, lambda z, t, y: weight * z * t[:, None] + y, context={"y": 1})
    whole = Compose(Reverse(), Inverse(Compose(Inverse(inner))), FixedAffine(2.0, 0.0), Tanh())
    u, v = torch.randn(6, 2, dtype=torch.double), torch.rand(6, 2, dtype=torch.double)
    y = torch.randn(6, 2, dtype=torch.double, requires_grad=True)
    errors = []
    for flow, noise, data in ((inner, u.flip(-1), v.atanh() / 2), (whole, u.requires_grad_(), v.requires_grad_())):
        torch.manual_seed(3)
        errors.append(matching_error(flow.given(y=y), noise, data, LinearPath()))
    torch.testing.assert_close(*errors)
    errors[1].sum().backward()
    assert u.grad is None
    assert v.grad is None
    assert y.grad is not None
    assert weight.grad is not None
    with pytest.raises(ValueError, match="no integral"):
        matching_error(Compose(Tanh()), u, v, LinearPath())


@pytest.mark.parametrize("noise", [0.5, 1.0])
@pytest.mark.parametrize("backwards", [False, True], ids=["from noise", "from data"])
@every_path
def test_with_noise_a_flow_draws_from_the_same_law(path: Path, backwards: bool, noise: float) -> None:
    """The velocity of normal data is exact, and so is its score: mean and deviation are those of the data."""
    law = Pushforward(Normal(torch.zeros(1, dtype=torch.double), 1).to_event(1), normal_flow(path, backwards))
    rows = 20_000
    torch.manual_seed(2)
    with on_the_way(path, steps=400, noise=noise):
        drawn = law.sample((rows,)).squeeze(-1)
        few, others = law.sample((20,)), law.sample((20,))
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.01 + 4 * DEVIATION / rows**0.5)
    assert float(drawn.std()) == pytest.approx(DEVIATION, rel=0.02)
    assert not torch.equal(few, others)


@every_path
def test_the_noise_of_a_flow_forgets_where_it_started(path: Path) -> None:
    """What is drawn from one point is spread: without noise it is a point."""
    start = torch.zeros(5_000, 1, dtype=torch.double)
    flow = normal_flow(path, True)
    torch.manual_seed(3)
    with on_the_way(path, steps=300, noise=1.0):
        spread = float(flow(start).std())
    assert spread > 0.8 * DEVIATION
    with on_the_way(path, steps=300):
        assert float(flow(start).std()) < 1e-9
        torch.testing.assert_close(flow(start[:1]), normal_flow(path, True)(start[:1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("backwards", [False, True], ids=["from noise", "from data"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_guided_flow_leads_away_from_the_one_without(backwards: bool, noise: float) -> None:
    """By the formula: a field of (1 + w) v - w v_without (Ho and Salimans, 2022, Eq. 6)."""
    path, w = LinearPath(), 1.5

    def field(z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return (z + t[:, None]).sin() + 2 * y * z

    def wanted(z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return (1 + w) * field(z, t, y) - w * field(z, t, 0 * y)

    y, z = torch.full((4, 1), 0.3, dtype=torch.double), torch.randn(4, 1, dtype=torch.double)
    found: list[Tensor] = []
    for of, guidance in ((field, w), (wanted, 0.0), (field, -1.0), (lambda z, t, y: field(z, t, 0 * y), 0.0)):
        inner = FieldFlow(1, of, steps=20, context={"y": 1}).given(y=y)
        flow = Inverse(inner) if backwards else inner
        torch.manual_seed(4)
        with on_the_way(path, 20, noise, guidance, ("y",)):
            found.append(flow(z))
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[2], found[3])
    assert not torch.allclose(found[0], found[2])


def test_without_ways_a_flow_is_that_of_its_likelihood() -> None:
    flow, z = normal_flow(LinearPath(), True), torch.randn(7, 1, dtype=torch.double)
    with on_the_way(LinearPath()):
        assert torch.equal(flow(z), flow.forward_and_log_det(z)[0])
    for wrong in ({"steps": 0}, {"noise": -1.0}):
        with pytest.raises(ValueError, match="steps are a number from 1"), on_the_way(LinearPath(), **wrong):
            pass
