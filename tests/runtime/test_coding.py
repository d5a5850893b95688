"""What coding is made of: a stack, tables of whole numbers, bins, laws element by element."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats
import torch

from dgmppl.coding.cells import BINS, Bins, Cells, Values
from dgmppl.coding.laws import draw
from dgmppl.coding.layout import bins_of
from dgmppl.coding.stack import CodingError, Popping, Recording, Scattered, Stack, initial_words, is_initial, quantised
from dgmppl.runtime.bijections import Bijection
from dgmppl.runtime.counts import Multinomial
from dgmppl.runtime.densities import DiscretizedLogistic, Mixture, Pushforward
from dgmppl.runtime.distributions import Bernoulli, Categorical, Delta, Laplace, Normal
from dgmppl.runtime.normals import LowRankNormal
from dgmppl.runtime.positives import HalfCauchy

WORDS = 4000
"""Of noise, from which latents are taken."""


@pytest.fixture(autouse=True)
def in_double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def empty() -> Stack:
    return Stack(initial_words(0), sealed=False)


def bits_of(law: torch.distributions.Distribution, cells: Cells, value: torch.Tensor, words: int = 0) -> float:
    """The bits that a value takes on a stack of noise. It comes back, and so does the noise."""
    recording, stack = Recording(), Stack(initial_words(words), sealed=bool(words))
    draw(law, cells, recording, value)
    recording.push(stack)
    bits = stack.bits
    assert torch.equal(draw(law, cells, Popping(stack), None), value)
    assert is_initial(stack.words(), words, words)
    return bits


def test_what_is_pushed_is_popped_and_takes_its_entropy() -> None:
    logits = 3 * torch.randn(4000, 9)
    index = Categorical(logits=logits).sample().numpy().astype(np.int32)
    table = quantised(logits)
    stack = empty()
    stack.push(index, table)
    bits = -scipy.special.log_softmax(logits.numpy(), -1)[np.arange(4000), index].sum() / math.log(2)
    assert stack.bits == pytest.approx(bits, rel=1e-4)
    assert 32 * len(stack.words()) == pytest.approx(bits, abs=64 + 0.005 * bits)
    again = Stack(stack.words(), sealed=False)
    assert np.array_equal(again.pop(table), index)
    assert again.tables == stack.tables
    assert is_initial(again.words(), 0, 0)


def test_tables_are_those_of_neighbouring_numbers() -> None:
    """What differs in the last bits has the same table, almost always: a code is the same on other machines."""
    logits = torch.randn(2000, 17)
    other = logits * (1 + 1e-15 * torch.randn(2000, 17))
    assert (quantised(logits) != quantised(other)).sum() <= 2
    np.testing.assert_allclose(quantised(logits) / 2**24, torch.softmax(logits, -1), atol=2**-25)
    assert (quantised(torch.full((1, 4), -torch.inf)) == 2**22).all()
    with pytest.raises(CodingError, match="not numbers"):
        quantised(torch.tensor([[0.0, torch.nan]]))


@pytest.mark.parametrize("scattered", [False, True])
def test_a_stack_draws_and_takes_back(scattered: bool) -> None:
    """Popped from noise, choices have the probabilities of their tables; pushed again, they give the noise back."""
    probs = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(20000, 4)
    stack = Stack(initial_words(WORDS), sealed=True)
    popping, recording = Popping(stack), Recording()
    found = (Scattered(popping) if scattered else popping).choose(probs.log(), None)
    counts = np.bincount(found.numpy(), minlength=4)
    assert scipy.stats.chisquare(counts, 20000 * probs[0].numpy()).pvalue > 1e-3
    (Scattered(recording) if scattered else recording).choose(probs.log(), found)
    recording.push(stack)
    assert is_initial(stack.words(), WORDS, WORDS)
    assert stack.bits == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (Normal(torch.tensor([0.3, -7.0]), torch.tensor([0.2, 1.5])), scipy.stats.norm([0.3, -7.0], [0.2, 1.5])),
        (Laplace(torch.tensor([0.3, 1.0]), torch.tensor([0.2, 0.7])), scipy.stats.laplace([0.3, 1.0], [0.2, 0.7])),
    ],
)
def test_bins_have_the_mass_of_their_law(law: torch.distributions.Distribution, reference: object) -> None:
    cells = bins_of(torch.randn(500, 2) * torch.tensor([1.0, 3.0]) + torch.tensor([0.0, -2.0]))
    ends = cells.loc[:, None] + cells.scale[:, None] * scipy.stats.norm.ppf(np.arange(1, BINS) / BINS)
    below = reference.cdf(ends.numpy().T).T  # type: ignore[attr-defined]
    masses = np.diff(below, prepend=0.0, append=1.0)
    found = torch.softmax(cells.log_weights(law), -1).numpy()
    np.testing.assert_allclose(found, masses, atol=1e-9 if isinstance(law, Normal) else 2e-4)
    index = torch.arange(BINS)[:, None].expand(BINS, 2)
    assert torch.equal(cells.index(cells.value(index)), index)


def test_bins_below_a_law_have_no_mass() -> None:
    cells = Bins(torch.tensor([0.1]), torch.tensor([1.0]))
    found = torch.softmax(cells.log_weights(HalfCauchy(torch.tensor([2.0]))), -1)
    assert found[0, : BINS // 3].sum() == 0
    above = 0.1 + scipy.stats.norm.ppf(1 - 1 / BINS)
    assert found[0, -1].item() == pytest.approx(scipy.stats.halfcauchy(scale=2).sf(above), rel=0.01)


@pytest.mark.parametrize("slope", [1.0, 20.0, 1e9])
def test_a_flow_is_coded_beside_its_noise(slope: float) -> None:
    """A bin of a vector takes -log2 of its mass under the density of the flow, and its bits come back whatever f is."""
    n = 400
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])

    class Turned(Bijection):
        """A rotation, an elementwise bend, and a scale of one axis."""

        rank = 1

        def forward_and_log_det(self, x: torch.Tensor, context: object = None) -> tuple[torch.Tensor, torch.Tensor]:
            y = x @ turn.T
            slopes = torch.tensor([1.0, slope])
            return slopes * torch.sinh(y), (slopes * torch.cosh(y)).log().sum(-1)

        def inverse_and_log_det(self, y: torch.Tensor, context: object = None) -> tuple[torch.Tensor, torch.Tensor]:
            x = torch.asinh(y / torch.tensor([1.0, slope])) @ turn
            return x, -self.forward_and_log_det(x)[1]

    law = Pushforward(Normal(torch.zeros(n, 2), torch.ones(n, 2)).to_event(1), Turned())
    draws = law.sample()
    cells = bins_of(draws)
    value = cells.value(cells.index(draws))
    widths = cells.width(value).log().sum()
    ideal = -(law.log_prob(value).sum() + widths).item() / math.log(2)
    assert bits_of(law, cells, value, WORDS) == pytest.approx(ideal, rel=0.01)


@pytest.mark.parametrize(
    ("components", "values"),
    [
        (Categorical(logits=torch.randn(5, 3, 6, 4)).to_event(1), Values(0, 4)),
        (Bernoulli(logits=torch.randn(5, 3, 6)).to_event(1), Values(0, 2)),
        (DiscretizedLogistic(torch.randn(5, 3, 6), torch.rand(5, 3, 6) + 0.3, -2, 3).to_event(1), Values(-2, 6)),
    ],
)
def test_a_mixture_is_coded_by_its_marginals(components: torch.distributions.Distribution, values: Values) -> None:
    law = Mixture(torch.randn(5, 3), components)
    value = law.sample()
    assert bits_of(law, values, value) == pytest.approx(-law.log_prob(value).sum().item() / math.log(2), rel=1e-5)


def test_counts_that_add_up_take_what_their_probability_says() -> None:
    n, logits = torch.tensor([0.0, 7.0, 30.0]), torch.randn(3, 5)
    law, cells = Multinomial(n, logits), Values(0, 31)
    value = law.sample()
    ideal = -scipy.stats.multinomial.logpmf(value.numpy(), n.numpy(), torch.softmax(logits, -1).numpy()).sum()
    assert bits_of(law, cells, value) == pytest.approx(ideal / math.log(2), rel=1e-4)


def test_a_normal_vector_is_coded_element_by_element() -> None:
    """To the logarithm of its density and the widths of the bins."""
    loc, factor = torch.randn(300, 3), torch.randn(3, 2)
    law = LowRankNormal(loc, torch.tensor([0.3, 0.5, 0.4]), factor)
    draws = law.sample()
    cells = bins_of(draws)
    value = cells.value(cells.index(draws))
    covariance = (factor @ factor.T + torch.diag(torch.tensor([0.3, 0.5, 0.4]) ** 2)).numpy()
    ideal = -scipy.stats.multivariate_normal.logpdf((value - loc).numpy(), cov=covariance).sum()
    ideal -= cells.width(value).log().sum().item()
    assert bits_of(law, cells, value, WORDS) == pytest.approx(ideal / math.log(2), rel=0.01)


def test_what_is_certain_takes_nothing() -> None:
    value = torch.tensor([[1.0, 0.0]])
    assert bits_of(Delta(value).to_event(1), Values(0, 2), value) == 0.0
