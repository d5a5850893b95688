"""Every distribution against an outside oracle, and against its own draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch import distributions as td

from dgmppl import runtime as rt
from dgmppl.runtime import counts, densities, directions, distributions, normals, positives

A, B = torch.tensor([0.5, 1.5]), torch.tensor([0.7, 2.0])
LOGITS = torch.tensor([[0.1, -0.4, 1.0], [2.0, 0.0, -1.0]])
P = torch.sigmoid(A).double().numpy()
PMF = LOGITS.double().softmax(-1).numpy()
CUTPOINTS = torch.tensor([-1.0, 0.2, 3.0])
SIMPLEX = torch.tensor([0.2, 0.3, 0.5])
TRIL = torch.tensor([[1.0, 0.0], [0.5, 0.8]])


def table(low: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.log(np.stack([PMF[i][x[:, i].astype(int) - low] for i in range(2)], -1))


@dataclass(frozen=True)
class Case:
    """A distribution of batch shape (2,), its oracle's log-density, and where to compare (rows of both)."""

    make: Callable[[], Any]
    oracle: Callable[[np.ndarray], np.ndarray]
    points: tuple[float, ...]
    mean: Callable[[], Any] | None = None


def scipy_case(make: Callable[[], Any], frozen: Any, points: tuple[float, ...]) -> Case:
    log = frozen.logpmf if hasattr(frozen.dist, "pmf") else frozen.logpdf
    return Case(make, log, points, frozen.mean)


a, b = A.double().numpy(), B.double().numpy()
REAL, POSITIVE, COUNTS = (-3.0, -0.2, 0.0, 1.3, 6.0), (0.01, 0.4, 1.0, 5.0), (0.0, 1.0, 2.0, 7.0)
REGISTRY: dict[str, Case] = {
    "Normal": scipy_case(lambda: rt.Normal(A, B), stats.norm(a, b), REAL),
    "Laplace": scipy_case(lambda: rt.Laplace(A, B), stats.laplace(a, b), REAL),
    "Cauchy": Case(lambda: rt.Cauchy(A, B), stats.cauchy(a, b).logpdf, REAL),
    "StudentT": scipy_case(lambda: rt.StudentT(B + 4, A, B), stats.t(b + 4, a, b), REAL),
    "Logistic": scipy_case(lambda: rt.Logistic(A, B), stats.logistic(a, b), REAL),
    "HalfNormal": scipy_case(lambda: rt.HalfNormal(B), stats.halfnorm(scale=b), POSITIVE),
    "HalfCauchy": Case(lambda: rt.HalfCauchy(B), stats.halfcauchy(scale=b).logpdf, POSITIVE),
    "LogNormal": scipy_case(lambda: rt.LogNormal(A, 0.5 * B), stats.lognorm(0.5 * b, scale=np.exp(a)), POSITIVE),
    "Gamma": scipy_case(lambda: rt.Gamma(A, B), stats.gamma(a, scale=1 / b), POSITIVE),
    "Exponential": scipy_case(lambda: rt.Exponential(B), stats.expon(scale=1 / b), POSITIVE),
    "Beta": scipy_case(lambda: rt.Beta(A, B), stats.beta(a, b), (0.01, 0.3, 0.9)),
    "Uniform": scipy_case(lambda: rt.Uniform(-A, B), stats.uniform(-a, a + b), (-0.4, 0.0, 0.6, 9.0)),
    "Poisson": scipy_case(lambda: rt.Poisson(B), stats.poisson(b), COUNTS),
    "NegativeBinomial": scipy_case(lambda: rt.NegativeBinomial(B, logits=A), stats.nbinom(b, 1 - P), COUNTS),
    "Geometric": scipy_case(lambda: rt.Geometric(logits=A), stats.geom(P, loc=-1), COUNTS),
    "ContinuousBernoulli": Case(
        lambda: rt.ContinuousBernoulli(logits=A),
        lambda x: dist.ContinuousBernoulli(logits=A.double()).log_prob(torch.tensor(x).double()).numpy(),
        (0.0, 0.2, 0.9, 1.0),
        lambda: dist.ContinuousBernoulli(logits=A.double()).mean.numpy(),
    ),
    "Bernoulli": scipy_case(lambda: rt.Bernoulli(logits=A), stats.bernoulli(P), (0.0, 1.0)),
    "Categorical": Case(lambda: rt.Categorical(logits=LOGITS), table(0), (0.0, 1.0, 2.0), lambda: PMF @ np.arange(3)),
    "OrderedLogistic": Case(
        lambda: rt.OrderedLogistic(A, CUTPOINTS),
        lambda x: dist.OrderedLogistic(A.double(), CUTPOINTS.double()).log_prob(torch.tensor(x)).numpy(),
        (0.0, 1.0, 2.0, 3.0),
    ),
    "IntegerCategorical": Case(
        lambda: rt.IntegerCategorical(-4, LOGITS),
        table(-4),
        (-4.0, -3.0, -2.0),
        lambda: PMF @ np.arange(3) - 4,
    ),
    "DiscretizedLogistic": Case(
        lambda: rt.DiscretizedLogistic(A, B),
        lambda x: np.log(stats.logistic.cdf(x + 0.5, a, b) - stats.logistic.cdf(x - 0.5, a, b)),
        (-5.0, -1.0, 0.0, 1.0, 4.0),
    ),
}
# Vector events and wrappers, which have tests of their own below, in test_directions or in test_structured.
ELSEWHERE = {
    "Delta",
    "Dirichlet",
    "VonMisesFisher",
    "Multinomial",
    "OneHotCategorical",
    "MultivariateNormal",
    "JointNormal",
    "LowRankNormal",
    "Independent",
    "Mixture",
    "Pushforward",
    "Autoregressive",
}
NOT_CLASSES = {"Distribution", "kl_divergence", "to_event"}

by_name = pytest.mark.parametrize("name", REGISTRY)


@by_name
def test_density_equals_the_oracles(name: str) -> None:
    case = REGISTRY[name]
    x = np.array([[v, v] for v in case.points])
    found = case.make().log_prob(torch.tensor(x, dtype=torch.float32)).double().numpy()
    np.testing.assert_allclose(found, case.oracle(x), rtol=2e-5, atol=2e-5)


@by_name
def test_draws_have_shape_type_mean_and_density(name: str) -> None:
    torch.manual_seed(0)
    case = REGISTRY[name]
    distribution = case.make()
    draws = distribution.sample((40_000,))
    assert draws.shape == (40_000, 2)
    assert draws.dtype == torch.float32
    assert distribution.log_prob(draws).isfinite().all()
    if case.mean is not None:
        error = draws.std(0).numpy() / 200
        np.testing.assert_array_less(np.abs(draws.mean(0).numpy() - case.mean()), 5 * error)
    if distribution.has_rsample:
        assert distribution.rsample((3,)).shape == (3, 2)


@by_name
def test_draws_follow_the_density(name: str) -> None:
    """The mean of the log-density over draws is minus the entropy, which the oracle's draws give as well."""
    torch.manual_seed(1)
    case = REGISTRY[name]
    distribution = case.make()
    found = distribution.log_prob(distribution.sample((40_000,)))
    check = torch.tensor(case.oracle(distribution.sample((40_000,)).double().numpy()))
    error = (found.std(0) + check.std(0)) / 200
    assert ((found.mean(0) - check.mean(0)).abs() < 5 * error + 1e-4).all()


@by_name
def test_expand_and_to_event(name: str) -> None:
    distribution = REGISTRY[name].make()
    event = distribution.expand((3, 2)).to_event(1)
    assert (event.batch_shape, event.event_shape) == ((3,), (2,))
    x = event.sample((4,))
    torch.testing.assert_close(event.log_prob(x), distribution.log_prob(x).sum(-1))
    again = event.expand((5, 3)).to_event(1)
    assert isinstance(again, rt.Independent)
    assert (again.batch_shape, again.event_shape, again.reinterpreted_batch_ndims) == ((5,), (3, 2), 2)
    assert event.to_event(0) is event


@by_name
def test_a_nan_is_passed_on_and_not_raised(name: str) -> None:
    distribution = REGISTRY[name].make()
    no_nan = ("Categorical", "OrderedLogistic", "IntegerCategorical", "Uniform")  # an index, or a comparison
    if name not in no_nan:
        assert distribution.log_prob(torch.full((2,), torch.nan)).isnan().all()


def test_vector_distributions() -> None:
    x = SIMPLEX.numpy().astype(np.float64)
    concentration = np.array([0.8, 2.0, 3.0])
    found = rt.Dirichlet(torch.tensor([0.8, 2.0, 3.0])).log_prob(SIMPLEX)
    assert found.item() == pytest.approx(stats.dirichlet(concentration).logpdf(x / x.sum()), rel=1e-5)

    normal = rt.MultivariateNormal(A, scale_tril=TRIL)
    covariance = (TRIL @ TRIL.T).double().numpy()
    assert normal.log_prob(B).item() == pytest.approx(stats.multivariate_normal(a, covariance).logpdf(b), rel=1e-5)
    assert normal.expand((3,)).sample().shape == (3, 2)

    found = rt.OneHotCategorical(logits=LOGITS).log_prob(torch.tensor([[0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(found.numpy(), np.log(PMF[:, 1]), rtol=1e-5)


def test_a_logistic_has_the_variance_of_scipys() -> None:
    np.testing.assert_allclose(rt.Logistic(A, B).variance.numpy(), stats.logistic(a, b).var(), rtol=1e-5)


def test_a_low_rank_normal_is_scipys_and_its_draws_have_its_covariance() -> None:
    torch.manual_seed(0)
    loc, scale = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([[0.3, 1.0, 0.1], [1.0, 1.0, 2.0]])
    factor = torch.tensor([[1.0, 0.0], [0.5, -0.7], [0.0, 2.0]])
    found, x = rt.LowRankNormal(loc, scale, factor), torch.randn(2, 3)
    for k in range(2):
        covariance = (scale[k].square().diag() + factor @ factor.T).double().numpy()
        oracle = stats.multivariate_normal(loc.numpy(), covariance)
        assert found.log_prob(x)[k].item() == pytest.approx(oracle.logpdf(x[k].numpy()), rel=1e-4)
        draws = found.sample((40_000,))[:, k]
        np.testing.assert_allclose(torch.cov(draws.T).numpy(), covariance, atol=0.1)
    wide = rt.LowRankNormal(0.0, 0.5, factor).expand((4,))
    assert wide.sample().shape == (4, 3) and wide.log_prob(torch.zeros(4, 3)).shape == (4,)


def test_a_multinomial_is_scipys_and_its_draws_add_up() -> None:
    n, logits = torch.tensor([6.0, 300.0]), torch.tensor([[0.3, -1.0, 2.0, -30.0], [0.0, 1.0, -2.0, 0.5]])
    found, p = rt.Multinomial(n, logits), logits.double().softmax(-1).numpy()
    torch.manual_seed(0)
    x = found.sample((20_000,))
    assert x.dtype == torch.float32
    assert torch.equal(x.sum(-1), n.expand(20_000, 2))
    for k in range(2):
        oracle = stats.multinomial(int(n[k]), p[k] / p[k].sum())
        np.testing.assert_allclose(found.log_prob(x[:50])[:, k], oracle.logpmf(x[:50, k].numpy()), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(x[:, k].mean(0), oracle.mean() if callable(oracle.mean) else n[k] * p[k], atol=0.25)
        np.testing.assert_allclose(x[:, k].T.cov(), oracle.cov(), atol=0.04 * float(n[k]))
    wrong = torch.tensor([[1.0, 2.0, 2.0, 2.0], [100.5, 99.5, 100.0, 0.0], [7.0, -1.0, 0.0, 0.0]])
    assert torch.equal(found.log_prob(wrong.unsqueeze(1)), torch.full((3, 2), -torch.inf))
    everything = torch.cartesian_prod(*[torch.arange(5.0)] * 3)
    small = rt.Multinomial(4, logits[0, :3]).log_prob(everything).exp().sum()
    assert small.item() == pytest.approx(1.0, abs=1e-5)
    assert found.expand((3, 2)).sample().shape == (3, 2, 4)
    moved = logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(rt.Multinomial(n, moved).log_prob(x[0]).sum(), moved)
    torch.testing.assert_close(slope, x[0] - n.unsqueeze(-1) * logits.softmax(-1), rtol=1e-4, atol=1e-4)


def test_some_counts_of_a_multinomial_have_the_others_summed_out_and_those_given_them_their_law() -> None:
    """By enumeration of all counts that add up."""
    logits, n = torch.tensor([0.3, -1.0, 0.7, -torch.inf]), 5
    every = torch.cartesian_prod(*[torch.arange(n + 1.0)] * 4)
    every = every[every.sum(-1) == n]
    p = stats.multinomial(n, logits.double().softmax(-1).numpy()).pmf(every.numpy())
    law = rt.Multinomial(n, logits)
    torch.manual_seed(0)
    for seen in map(torch.tensor, itertools.product((True, False), repeat=4)):
        for row in (torch.tensor([2.0, 0.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 3.0, 0.0])):
            agree = ((every == row) | ~seen).all(-1).numpy()
            found = law.marginal_log_prob(row.masked_fill(~seen, torch.nan), seen)
            np.testing.assert_allclose(found.exp(), p[agree].sum(), rtol=1e-5)
            if agree.any() and p[agree].sum() > 0:
                given = law.given(row, seen)
                expected = p[agree] @ every.numpy()[agree] / p[agree].sum()
                drawn = torch.where(seen, row, given.expand((4000,)).sample())
                assert torch.equal(drawn.sum(-1), torch.full((4000,), float(n)))
                np.testing.assert_allclose(drawn.mean(0), expected, atol=0.1)
                np.testing.assert_allclose(torch.where(seen, row, given.mean), expected, rtol=1e-5)
    too_many = torch.tensor([6.0, 0.0, 0.0, 0.0]), torch.tensor([True, False, False, False])
    assert law.marginal_log_prob(*too_many) == -torch.inf and law.given(*too_many).sample().isnan().all()
    moved = logits[:3].clone().requires_grad_()
    for seen in map(torch.tensor, itertools.product((True, False), repeat=3)):
        (slope,) = torch.autograd.grad(
            rt.Multinomial(3, moved).marginal_log_prob(torch.tensor([2.0, 0.0, 1.0]), seen), moved
        )
        assert slope.isfinite().all()


def test_a_delta_is_pyros() -> None:
    v, x = torch.tensor([[0.0, 2.0], [1.0, 3.0]], requires_grad=True), torch.tensor([[0.0, 2.0], [1.0, 2.0]])
    found, theirs = rt.Delta(v).to_event(1), dist.Delta(v).to_event(1)
    assert torch.equal(found.log_prob(x), theirs.log_prob(x))
    assert torch.equal(found.log_prob(x), torch.tensor([0.0, -torch.inf]))
    assert torch.equal(found.rsample((3,)), v.expand(3, 2, 2))
    assert torch.equal(rt.Delta(v[0]).expand((3, 2)).mean, v[0].expand(3, 2))
    (slope,) = torch.autograd.grad(found.rsample((3,)).sum(), v)
    assert torch.equal(slope, torch.full((2, 2), 3.0))


def test_discretized_logistic_sums_to_one_and_keeps_its_tails() -> None:
    x = torch.arange(-2000, 2001, dtype=torch.float32).unsqueeze(-1)
    wide = rt.DiscretizedLogistic(torch.tensor([0.3, -7.0, 0.0]), torch.tensor([0.01, 1.0, 50.0]))
    torch.testing.assert_close(wide.log_prob(x).exp().sum(0), torch.ones(3))
    # Far out, the difference of two sigmoids is 0 in floating point; its logarithm falls linearly.
    far = rt.DiscretizedLogistic(torch.tensor(0.0), torch.tensor(1.0)).log_prob(torch.tensor([500.0, 501.0]))
    torch.testing.assert_close(far[0] - far[1], torch.tensor(1.0))
    scale = torch.tensor([1e-6, 1e6], requires_grad=True)
    rt.DiscretizedLogistic(torch.zeros(2), scale).log_prob(torch.tensor([3.0, 3.0])).sum().backward()
    assert scale.grad is not None
    assert scale.grad.isfinite().all()


def test_ordered_classes_keep_their_tails_and_gradients() -> None:
    """The classes sum to 1 and follow Pyro's where it has digits; far out, logarithms fall linearly."""
    predictor = torch.tensor([-200.0, -5.0, 0.3, 200.0], requires_grad=True)
    cutpoints = CUTPOINTS.clone().requires_grad_()
    classes = torch.arange(4.0).unsqueeze(-1)
    found = rt.OrderedLogistic(predictor, cutpoints).log_prob(classes)
    torch.testing.assert_close(found.exp().sum(0), torch.ones(4))
    oracle = dist.OrderedLogistic(predictor.double(), cutpoints.double()).log_prob(classes)
    torch.testing.assert_close(found[:, 1:3].double(), oracle[:, 1:3], rtol=1e-5, atol=1e-5)
    assert found[3, 0].item() == pytest.approx(-203.0)  # log sigmoid(-200 - 3)
    found.sum().backward()
    for ours in (predictor, cutpoints):
        assert ours.grad is not None
        assert ours.grad.isfinite().all()
    moved = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    cuts = CUTPOINTS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p, c: rt.OrderedLogistic(p, c).log_prob(classes), (moved, cuts))


@pytest.mark.parametrize(("n_q", "n_p"), [((5,), ()), ((), (5,)), ((5,), (5,))])
def test_kl_of_normals_broadcasts(n_q: tuple[int, ...], n_p: tuple[int, ...]) -> None:
    def normal(shape: tuple[int, ...], seed: int) -> Any:
        g = torch.Generator().manual_seed(seed)
        loc, scale = torch.randn(*shape, 3, generator=g), torch.rand(*shape, 3, generator=g) + 0.5
        return rt.Normal(loc, scale).to_event(1)

    q, p = normal(n_q, 0), normal(n_p, 1)
    (m, s), (n, t) = ((d.base_dist.loc, d.base_dist.scale) for d in (q, p))
    expected = (t.log() - s.log() + (s.square() + (m - n).square()) / (2 * t.square()) - 0.5).sum(-1)
    torch.testing.assert_close(rt.kl_divergence(q, p), expected)


def test_gradients_of_draws_reach_the_parameters() -> None:
    for make in (rt.Normal, rt.Logistic, rt.Laplace):
        loc = torch.zeros(3, requires_grad=True)
        make(loc, torch.ones(3)).to_event(1).rsample((7,)).sum().backward()
        assert torch.equal(_grad(loc), torch.full((3,), 7.0))


def _grad(x: Tensor) -> Tensor:
    assert x.grad is not None
    return x.grad


MODULES = (counts, densities, directions, distributions, normals, positives)


def test_every_public_distribution_is_in_a_registry() -> None:
    public = {name for module in MODULES for name in module.__all__}
    assert public == set(REGISTRY) | ELSEWHERE | NOT_CLASSES


def test_a_joint_normal_is_scipys_of_the_elements_in_a_row() -> None:
    """Of a matrix with independent columns, among others: its density is that of scipy's, and so are its moments."""
    torch.manual_seed(0)
    loc, root = torch.randn(2, 6).double(), torch.randn(2, 6, 6).double().tril() + 2 * torch.eye(6)
    found = rt.JointNormal(loc, root, (3, 2))
    assert found.batch_shape == (2,)
    assert found.event_shape == (3, 2)
    x = torch.randn(2, 3, 2).double()
    covariances = (root @ root.mT).numpy()
    expected = [stats.multivariate_normal(m, c).logpdf(v) for m, c, v in zip(loc, covariances, x.flatten(1))]
    np.testing.assert_allclose(found.log_prob(x).numpy(), expected)
    assert found.expand((5, 2)).log_prob(x).shape == (5, 2)
    draws = found.rsample((40_000,)).flatten(2)
    assert torch.equal(found.mean, loc.reshape(2, 3, 2))
    for k in range(2):
        np.testing.assert_allclose(draws[:, k].T.cov(), covariances[k], atol=0.4)


def test_a_categorical_is_torchs_however_it_is_asked() -> None:
    """One operation stands in for several where shapes agree; the others must not differ from it."""
    torch.manual_seed(0)
    logits, value = torch.randn(5, 4, 3), torch.randint(3, (5, 4))
    ours, theirs = rt.Categorical(logits=logits), td.Categorical(logits=logits)
    expected = theirs.log_prob(value)
    assert torch.allclose(ours.log_prob(value.float()), expected, atol=1e-6)
    assert torch.allclose(ours.logits, theirs.logits, atol=1e-6)
    assert torch.allclose(ours.probs, theirs.probs, atol=1e-6)
    assert torch.allclose(ours.log_prob(value[:, :1].float()), theirs.log_prob(value[:, :1]), atol=1e-6)
    assert torch.allclose(ours.expand((2, 5, 4)).log_prob(value.expand(2, 5, 4).float()), expected, atol=1e-6)
    assert torch.allclose(rt.Categorical(probs=theirs.probs).log_prob(value.float()), expected, atol=1e-6)
    by_probs = rt.Categorical(probs=theirs.probs).expand((2, 5, 4))
    assert torch.allclose(by_probs.log_prob(value.expand(2, 5, 4).float()), expected, atol=1e-6)


@pytest.mark.parametrize("index", [3.0, 0.5, -0.5, -1.0, -100.0])
def test_a_category_that_does_not_exist_has_no_probability(index: float) -> None:
    found = rt.Categorical(logits=torch.zeros(2, 3)).log_prob(torch.tensor([0.0, index]))
    torch.testing.assert_close(found, torch.tensor([1 / 3, 0.0]).log())


def test_draws_of_a_bernoulli_from_either_parameter() -> None:
    probs = torch.tensor([0.0, 1.0, 1.0])
    by_probs = rt.Bernoulli(probs=probs)
    assert by_probs.logits.shape == (3,)  # reading the logits must not change the draws
    for made in (by_probs, rt.Bernoulli(logits=100 * probs - 50), rt.Bernoulli(logits=100 * probs - 50).expand((2, 3))):
        assert torch.equal(made.sample(), probs.expand(made.batch_shape))
        assert torch.equal(made.sample((4,)), probs.expand(4, *made.batch_shape))
    weight = torch.zeros(3, requires_grad=True)
    assert not rt.Bernoulli(logits=weight).sample().requires_grad
