"""Vectors that are coded by coordinates: proportions and directions, beside the densities of scipy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from dgmppl.coding.cells import Bins
from dgmppl.coding.charts import CHARTS, Arcs, Charted, LogitBeta, cells_of
from dgmppl.coding.laws import draw
from dgmppl.coding.stack import CodingError, Popping, Recording, Scattered, Stack, initial_words, is_initial
from dgmppl.runtime.bijections import Compose
from dgmppl.runtime.densities import Mixture, Pushforward
from dgmppl.runtime.directions import VonMisesFisher
from dgmppl.runtime.distributions import Independent, Normal
from dgmppl.runtime.elementwise import Affine
from dgmppl.runtime.positives import Dirichlet
from dgmppl.runtime.simplices import StickBreaking

N, WORDS = 50, 5000
Density = Callable[[np.ndarray], np.ndarray]
Law = tuple[torch.distributions.Distribution, Density]


@pytest.fixture(autouse=True)
def in_double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    with torch.no_grad():
        yield
    torch.set_default_dtype(torch.float32)


def shares(*concentrations: tuple[float, ...]) -> Law:
    """A Dirichlet, or a mixture of several."""
    laws = [scipy.stats.dirichlet(a) for a in concentrations]
    densities: list[Density] = [lambda x, law=law: law.logpdf(x.T) for law in laws]
    return mixed(Dirichlet(torch.tensor(concentrations).expand(N, -1, -1)), densities)


def directions(*parts: tuple[float, ...]) -> Law:
    """A von Mises-Fisher law of this concentration, then its mean, or a mixture of several."""
    k, loc = torch.tensor([p[0] for p in parts]), torch.tensor([p[1:] for p in parts])
    to = (loc / loc.norm(dim=-1, keepdim=True)).numpy()
    area = 2 * math.pi ** (loc.shape[-1] / 2) / math.gamma(loc.shape[-1] / 2)
    densities: list[Density] = [
        scipy.stats.vonmises_fisher(m, p[0]).logpdf if p[0] else lambda x: np.full(len(x), -math.log(area))
        for m, p in zip(to, parts)
    ]
    return mixed(VonMisesFisher(loc.expand(N, -1, -1), k.expand(N, -1)), densities)


def mixed(components: torch.distributions.Distribution, densities: list[Density]) -> Law:
    if len(densities) == 1:
        (only,) = densities
        return Mixture(torch.zeros(N, 1), components), only
    weights = np.arange(1, len(densities) + 1) / sum(range(1, len(densities) + 1))
    logits = torch.tensor(weights).log().expand(N, -1)
    return Mixture(logits, components), lambda x: np.log(sum(w * np.exp(p(x)) for w, p in zip(weights, densities)))


LAWS: dict[str, Callable[[], Law]] = {
    "shares": lambda: shares((0.7, 2.0, 1.0, 5.0, 0.9)),
    "two_shares": lambda: shares((3.0, 0.5)),
    "small_shares": lambda: shares((0.05, 0.02, 0.1)),
    "narrow_shares": lambda: shares((700.0, 20.0, 100.0)),
    "mixed_shares": lambda: shares((9.0, 1.0, 2.0), (0.5, 3.0, 30.0)),
    "anywhere": lambda: directions((0.0, 1.0, 0.0, 0.0, 1.0)),
    "on_a_circle": lambda: directions((3.0, -0.6, 0.8)),
    "on_a_ball": lambda: directions((30.0, 0.2, -0.7, 0.3)),
    "at_the_pole": lambda: directions((200.0, 1.0, 0.0, 0.0)),
    "in_many_dimensions": lambda: directions((50.0, 0.9, -0.3, 0.4, 0.0, 0.2, 0.5, 0.1, -0.8, 1.0)),
    "mixed_directions": lambda: directions((40.0, 0.0, 0.6, 0.8), (5.0, -1.0, 0.1, 0.2)),
}


def log_volumes(cells: Charted, value: Tensor) -> Tensor:
    """The logarithm of how much of its surface the cell of each vector takes, as densities count it: of proportions but
    the last, and by area."""
    with torch.enable_grad():
        coordinates = cells.chart.coordinates(value).requires_grad_()
        slopes = [
            torch.autograd.grad(e.sum(), coordinates, retain_graph=True)[0]
            for e in cells.chart.value(coordinates).unbind(-1)
        ]
    jacobian, coordinates = torch.stack(slopes, -2), coordinates.detach()
    if isinstance(cells.inner, Bins):
        return jacobian[..., :-1, :].det().abs().log() + cells.inner.width(coordinates).log().sum(-1)
    assert isinstance(cells.inner, Arcs)
    width = (math.pi - cells.inner.low) / cells.inner.size
    return (jacobian.mT @ jacobian).det().log() / 2 + width.log().sum()


@pytest.mark.parametrize("name", LAWS)
def test_a_vector_takes_what_its_density_says(name: str) -> None:
    """With how large its cell is; and what noise is popped as are draws of the law."""
    law, log_density = LAWS[name]()
    chart = "shares" if "shares" in name else "angles"
    cells = cells_of(law.sample(), chart)
    assert isinstance(cells, Charted)
    stack = Stack(initial_words(WORDS), sealed=True)
    value = draw(law, cells, Scattered(Popping(stack)), None)
    assert torch.equal(value, cells.value(cells.index(value)))
    inside = (value > -1e-12) & (value < 1 + 1e-12) if chart == "shares" else value.abs() <= 1
    assert inside.all()
    total = value.sum(-1) if chart == "shares" else value.square().sum(-1)
    torch.testing.assert_close(total, torch.ones(N))
    deviation = law.sample((10,)).flatten(0, 1).std(0)
    assert (value.mean(0) - law.mean.mean(0)).abs().le(5 * deviation / math.sqrt(N) + 1e-3).all()
    taken = stack.bits
    recording = Recording()
    draw(law, cells, Scattered(recording), value)
    recording.push(stack)
    assert is_initial(stack.words(), WORDS, WORDS)
    if name != "small_shares":  # whose smallest no density of scipy tells from zero
        ideal = -log_density(value.numpy()).sum() - log_volumes(cells, value).sum().item()
        assert -taken == pytest.approx(ideal / math.log(2), rel=2e-3)


def test_a_fork_of_proportions_is_a_beta() -> None:
    """In both tails, by scipy: shares that are nearly nothing keep their probabilities."""
    a, b, s = torch.tensor([0.05, 3.0]), torch.tensor([2.0, 0.4]), torch.tensor([[-90.0, -3.0], [2.0, 40.0]])
    law, v = LogitBeta(a, b), torch.sigmoid(s)
    expected = scipy.stats.beta(a, b)
    np.testing.assert_allclose(law.cdf(s[:1]), expected.cdf(v[:1]), rtol=1e-9)
    np.testing.assert_allclose(1 - law.cdf(s[1:]), scipy.stats.beta(b, a).cdf(torch.sigmoid(-s[1:])), rtol=1e-7)
    moderate = s.abs() < 30
    slopes = (torch.nn.functional.logsigmoid(s) + torch.nn.functional.logsigmoid(-s)).numpy()
    np.testing.assert_allclose(law.log_prob(s)[moderate], (expected.logpdf(v) + slopes)[moderate.numpy()], rtol=1e-9)
    draws = np.log(expected.rvs((200000, 2), random_state=0))
    rest = np.log1p(-np.exp(draws))
    logits = (draws - rest)[np.isfinite(rest).all(-1)]
    np.testing.assert_allclose(law.mean, logits.mean(0), rtol=0.03)
    np.testing.assert_allclose(law.variance, logits.var(0), rtol=0.05)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 200])
def test_proportions_keep_their_coordinates(length: int) -> None:
    """The least of them too, of which there are very many decimals."""
    chart = CHARTS["shares"](length)
    cells = chart.cells(chart.value(200 * torch.randn(50, max(length - 1, 0))))
    index = torch.randint(1024, (300, length - 1))
    found = chart.value(cells.value(index))
    assert torch.equal(cells.index(chart.coordinates(found)), index)
    assert (found > 0).all()


def test_a_flow_onto_proportions_is_coded_beside_its_noise() -> None:
    flow = Pushforward(Normal(torch.zeros(N, 3), 1.0).to_event(1), Compose(Affine(3), StickBreaking()))
    cells = cells_of(flow.sample(), "shares")
    assert isinstance(cells, Charted)
    value = cells.value(cells.index(flow.sample()))
    stack, recording = Stack(initial_words(WORDS), sealed=True), Recording()
    draw(flow, cells, recording, value)
    recording.push(stack)
    ideal = -(flow.log_prob(value) + log_volumes(cells, value)).sum().item() / math.log(2)
    assert stack.bits == pytest.approx(ideal, rel=0.02)
    assert torch.equal(draw(flow, cells, Popping(stack), None), value)
    assert is_initial(stack.words(), WORDS, WORDS)


def test_directions_of_a_family_are_mixed() -> None:
    """Two directions of a row in one class, as `z : sphere[2, 3]`."""
    loc = torch.randn(N, 2, 2, 3)
    law = Mixture(torch.randn(N, 2), Independent(VonMisesFisher(loc, 20.0), 1))
    value = law.sample()
    cells = cells_of(value, "angles")
    assert isinstance(cells, Charted)
    value = cells.value(cells.index(value))
    stack, recording = Stack(np.array([], np.uint32), sealed=False), Recording()
    draw(law, cells, recording, value)
    recording.push(stack)
    ideal = -(law.log_prob(value).sum() + log_volumes(cells, value.flatten(0, 1)).sum()).item() / math.log(2)
    assert stack.bits == pytest.approx(ideal, rel=2e-3)
    assert torch.equal(draw(law, cells, Popping(stack), None), value)


def test_a_law_without_order_says_so() -> None:
    flow = Pushforward(Normal(torch.zeros(N, 2, 3), 1.0).to_event(1), Affine(3))
    law = Mixture(torch.zeros(N, 2), Pushforward(flow, StickBreaking()))
    cells = cells_of(law.sample(), "shares")
    with pytest.raises(CodingError, match="a mixture of flows has no code: its elements depend on each other"):
        draw(law, cells, Recording(), law.sample())
