"""Single precision: densities of large parameters, draws of small ones, the ends of supports and what lies beyond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch import distributions as td

from dgmppl import runtime as rt

INF = float("inf")


def t(*values: float) -> Tensor:
    return torch.tensor(values)


@dataclass(frozen=True)
class Case:
    """A distribution by its parameters, scipy's of the same, and values over the range of each parameter set."""

    make: Callable[..., Any]
    oracle: Callable[..., Any]
    rows: tuple[tuple[tuple[float, ...], float], ...]
    torchs: Callable[..., Any]


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-np.float64(x))))


LARGE: dict[str, Case] = {
    "Poisson": Case(
        rt.Poisson,
        stats.poisson,
        (((1e7,), 1e7), ((1e7,), 10_005_000.0), ((2e6,), 1_998_000.0), ((1e-3,), 0.0), ((1e-3,), 3.0), ((30.0,), 25.0)),
        td.Poisson,
    ),
    "NegativeBinomial": Case(
        lambda n, logits: rt.NegativeBinomial(n, logits=logits),
        lambda n, logits: stats.nbinom(n, sigmoid(-logits)),
        (
            ((1e7, -14.0), 8.0),
            ((1e7, -14.0), 12.0),
            ((1e7, 0.0), 1e7),
            ((0.01, 3.0), 0.0),
            ((0.01, 3.0), 40.0),
            ((5.0, 8.0), 14_000.0),
        ),
        lambda n, logits: td.NegativeBinomial(n, logits=logits),
    ),
    "StudentT": Case(
        rt.StudentT,
        stats.t,
        (((1e7, 0.0, 1.0), 0.0), ((1e6, 0.0, 1.0), 2.5), ((1e3, 1.0, 3.0), -4.0), ((0.1, 0.0, 1.0), 1e20)),
        td.StudentT,
    ),
    "Gamma": Case(
        rt.Gamma,
        lambda a, rate: stats.gamma(a, scale=1 / rate),
        (((1e6, 1e3), 1001.0), ((1e6, 1e3), 999.0), ((1e-3, 1.0), 1e-30), ((2.0, 0.5), 3.0)),
        td.Gamma,
    ),
    "Beta": Case(
        rt.Beta,
        stats.beta,
        (((1e6, 1e6), 0.5), ((1e6, 1e6), 0.5005), ((1e6, 1.0), 0.999999), ((1e-3, 1e-3), 1e-20), ((2.0, 3.0), 0.1)),
        td.Beta,
    ),
    "ContinuousBernoulli": Case(
        lambda logits: rt.ContinuousBernoulli(logits=logits),
        lambda logits: stats.truncexpon(-logits, scale=-1 / logits),
        (((-1e-3,), 0.3), ((-0.5,), 0.9), ((-30.0,), 0.01)),
        lambda logits: td.ContinuousBernoulli(logits=logits),
    ),
    "Geometric": Case(
        lambda logits: rt.Geometric(logits=logits),
        lambda logits: stats.geom(sigmoid(logits), loc=-1),
        (((-14.0,), 1e6), ((0.0,), 5.0), ((8.0,), 2.0)),
        lambda logits: td.Geometric(logits=logits),
    ),
    "HalfCauchy": Case(
        rt.HalfCauchy,
        lambda s: stats.halfcauchy(scale=s),
        (((5.0,), 1e-3), ((1e-3,), 5.0), ((2.0,), 1e12)),
        td.HalfCauchy,
    ),
    "HalfNormal": Case(
        rt.HalfNormal, lambda s: stats.halfnorm(scale=s), (((5.0,), 1e-3), ((1e-2,), 0.1), ((1e6,), 3e6)), td.HalfNormal
    ),
    "Cauchy": Case(rt.Cauchy, stats.cauchy, (((0.0, 1.0), 1e25), ((2.0, 1e-3), 5.0)), td.Cauchy),
}


@pytest.mark.parametrize("name", LARGE)
def test_log_prob_in_single_precision_is_scipys(name: str) -> None:
    case = LARGE[name]
    for parameters, value in case.rows:
        frozen = case.oracle(*(float(np.float32(p)) for p in parameters))
        log = frozen.logpmf if hasattr(frozen.dist, "pmf") else frozen.logpdf
        found = case.make(*(torch.tensor(p) for p in parameters)).log_prob(torch.tensor(value))
        assert found.dtype == torch.float32
        expected = log(float(np.float32(value)))
        if name == "Cauchy" and value == 1e25:
            expected = -np.log(np.pi) - 2 * np.log(1e25)  # scipy's square overflows later, but its log1p loses nothing
        assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-5), (parameters, value)


@pytest.mark.parametrize("name", [n for n in LARGE if n != "Cauchy"])
def test_gradients_in_single_precision_are_those_of_double(name: str) -> None:
    case = LARGE[name]
    for parameters, value in case.rows:
        if name == "StudentT" and value == 1e20:
            continue
        ours = [torch.tensor(p, requires_grad=True) for p in parameters]
        theirs = [torch.tensor(float(np.float32(p)), dtype=torch.double, requires_grad=True) for p in parameters]
        case.make(*ours).log_prob(torch.tensor(value)).backward()
        x = torch.tensor(float(np.float32(value)), dtype=torch.double)
        case.torchs(*theirs).log_prob(x).backward()
        for a, b, parameter in zip(ours, theirs, parameters, strict=True):
            assert a.grad is not None
            assert b.grad is not None
            little = 1e-6 / max(1.0, abs(parameter))  # changes the density by 1e-6 where the parameter doubles
            assert a.grad.item() == pytest.approx(b.grad.item(), rel=1e-3, abs=little), (parameters, value)


def test_a_dirichlet_of_large_concentration() -> None:
    concentration, x = np.array([1e6, 2e6, 1e6]), np.array([0.25, 0.5, 0.25])
    found = rt.Dirichlet(t(1e6, 2e6, 1e6)).log_prob(t(0.25, 0.5, 0.25)).item()
    assert found == pytest.approx(stats.dirichlet(concentration).logpdf(x), rel=1e-4)


KL: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[float, ...], tuple[float, ...]]] = {
    "Gamma": (rt.Gamma, td.Gamma, (1e6, 1e3), (1.001e6, 1e3)),
    "Beta": (rt.Beta, td.Beta, (1e6, 2e6), (1.001e6, 2e6)),
    "Poisson": (rt.Poisson, td.Poisson, (1e7,), (1.0001e7,)),
    "HalfNormal": (rt.HalfNormal, td.HalfNormal, (0.3,), (2.0,)),
    "LogNormal": (rt.LogNormal, td.LogNormal, (0.3, 2.0), (-1.0, 0.7)),
}


@pytest.mark.parametrize("name", KL)
def test_closed_divergences_in_single_precision(name: str) -> None:
    ours, theirs, q, p = KL[name]
    found = rt.kl_divergence(ours(*map(torch.tensor, q)), ours(*map(torch.tensor, p)))
    double = [[torch.tensor(v).double() for v in values] for values in (q, p)]
    expected = td.kl_divergence(theirs(*double[0]), theirs(*double[1]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_divergences_of_probabilities_too_small_for_floating_point() -> None:
    """p log(p / q) with log q = -200: finite, though exp(-200) is 0 in single precision."""
    found = rt.kl_divergence(rt.Categorical(logits=t(0.0, 0.0)), rt.Categorical(logits=t(0.0, -200.0)))
    double = [torch.tensor(v, dtype=torch.double) for v in ([0.0, 0.0], [0.0, -200.0])]
    expected = td.kl_divergence(*(td.Categorical(logits=v) for v in double))
    torch.testing.assert_close(found.double(), expected)
    found = rt.kl_divergence(rt.Bernoulli(logits=t(0.0)), rt.Bernoulli(logits=t(-200.0)))
    double = [torch.tensor([v], dtype=torch.double) for v in (0.0, -200.0)]
    torch.testing.assert_close(found.double(), td.kl_divergence(*(td.Bernoulli(logits=v) for v in double)))
    same = rt.kl_divergence(rt.Categorical(logits=t(0.0, -INF)), rt.Categorical(logits=t(0.0, -INF)))
    assert same.item() == 0


# --- outside the support, and at its ends ---------------------------------------------------------

COUNTS = (-3.0, -1.0, 0.5, 2.5, INF, -INF)
OUTSIDE: dict[str, tuple[Callable[[], Any], tuple[float, ...]]] = {
    "Geometric": (lambda: rt.Geometric(logits=t(0.0)), COUNTS),
    "Poisson": (lambda: rt.Poisson(t(2.0)), COUNTS),
    "NegativeBinomial": (lambda: rt.NegativeBinomial(t(2.0), logits=t(0.3)), COUNTS),
    "Bernoulli": (lambda: rt.Bernoulli(logits=t(0.3)), (-1.0, 0.5, 2.0, 255.0)),
    "Categorical": (lambda: rt.Categorical(logits=torch.zeros(1, 3)), (-1.0, 0.5, 3.0, 7.0)),
    "IntegerCategorical": (lambda: rt.IntegerCategorical(2, torch.zeros(1, 3)), (1.0, 2.5, 5.0)),
    "DiscretizedLogistic": (lambda: rt.DiscretizedLogistic(t(0.0), t(1.0)), (0.5, INF, -INF)),
    "Gamma": (lambda: rt.Gamma(t(2.0), t(1.0)), (-1.0, INF)),
    "Exponential": (lambda: rt.Exponential(t(2.0)), (-1.0, INF)),
    "HalfNormal": (lambda: rt.HalfNormal(t(2.0)), (-1.0, INF)),
    "HalfCauchy": (lambda: rt.HalfCauchy(t(2.0)), (-1.0, INF)),
    "LogNormal": (lambda: rt.LogNormal(t(0.0), t(1.0)), (-1.0, 0.0, INF)),
    "Beta": (lambda: rt.Beta(t(2.0), t(3.0)), (-0.1, 1.1, INF)),
    "ContinuousBernoulli": (lambda: rt.ContinuousBernoulli(logits=t(0.4)), (-0.1, 1.1, INF)),
    "Uniform": (lambda: rt.Uniform(t(0.0), t(1.0)), (-0.1, 1.1)),
    "sigmoid": (lambda: push(rt.Sigmoid()), (0.0, 1.0, -0.1, 1.1, INF)),
    "tanh": (lambda: push(rt.Tanh()), (-1.0, 1.0, 1.1, INF)),
    "exp": (lambda: push(rt.Exp()), (0.0, -1.0, INF)),
    "softplus": (lambda: push(rt.Softplus()), (0.0, -1.0, INF)),
}


def push(*parts: Any, scale: float = 1.0) -> Any:
    base = rt.Normal(torch.zeros(1), torch.full((1,), scale)).to_event(1)
    return rt.Pushforward(base, rt.Compose(rt.Affine(1), *parts))


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_support_the_density_is_zero(name: str) -> None:
    make, values = OUTSIDE[name]
    for value in values:
        assert make().log_prob(t(value)).item() == -INF, value


def test_off_the_simplex_and_off_the_unit_vectors_the_density_is_zero() -> None:
    dirichlet = rt.Dirichlet(t(2.0, 2.0))
    assert dirichlet.log_prob(t(0.7, 0.7)).item() == -INF
    assert dirichlet.log_prob(t(1.5, -0.5)).item() == -INF
    assert rt.OneHotCategorical(logits=t(0.0, 0.0)).log_prob(t(0.5, 0.5)).item() == -INF


@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize("a", [0.5, 1.0, 2.0])
def test_the_ends_of_a_beta_and_a_gamma_are_scipys(a: float, end: float) -> None:
    assert rt.Beta(t(a), t(1.0)).log_prob(t(end)).item() == pytest.approx(stats.beta(a, 1).logpdf(end))
    assert rt.Beta(t(1.0), t(a)).log_prob(t(end)).item() == pytest.approx(stats.beta(1, a).logpdf(end))
    assert rt.Gamma(t(a), t(3.0)).log_prob(t(0.0)).item() == pytest.approx(stats.gamma(a, scale=1 / 3).logpdf(0))


def test_a_value_without_a_preimage_leaves_the_gradient_finite() -> None:
    p = push(rt.Sigmoid())
    p.log_prob(torch.tensor([[0.0], [0.3]])).sum().backward()
    assert all(w.grad.isfinite().all() for w in p.bijection.parameters())


# --- draws -----------------------------------------------------------------------------------------


def uniform_of(draws: Tensor, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
    """The p-value of Kolmogorov and Smirnov's test that draws follow a distribution function."""
    return float(stats.kstest(cdf(draws.double().numpy()), "uniform").pvalue)


@pytest.mark.parametrize("a", [1e-3, 0.05, 0.7, 3.0, 1e4])
def test_gamma_draws_follow_the_density_in_logarithms(a: float) -> None:
    """log g of a small concentration is far below the smallest positive float; scipy's loggamma knows it."""
    torch.manual_seed(0)
    draws = rt.Gamma(t(a), t(2.0)).rsample((4000,)).squeeze(-1)
    assert ((draws > 0) & draws.isfinite()).all()
    log = rt.positives.log_gamma_draw(torch.full((4000,), a)) + np.log(a)
    assert uniform_of(log, stats.loggamma(a).cdf) > 1e-3
    if a >= 0.05:
        assert uniform_of(draws, stats.gamma(a, scale=0.5).cdf) > 1e-3


@pytest.mark.parametrize(("a", "b"), [(1e-3, 1e-3), (0.02, 0.5), (2.0, 5.0), (1e4, 1e4)])
def test_beta_draws_follow_the_density(a: float, b: float) -> None:
    torch.manual_seed(0)
    draws = rt.Beta(t(a), t(b)).sample((20_000,)).squeeze(-1)
    assert ((draws > 0) & (draws < 1)).all()
    edges = np.array([0.1, 0.5, 0.9]) if a < 1 and b < 1 else stats.beta(a, b).ppf([0.1, 0.5, 0.9])
    found = [(draws.double() <= e).double().mean().item() for e in edges]
    expected = stats.beta(a, b).cdf(edges)
    np.testing.assert_allclose(found, expected, atol=5 * 0.5 / 20_000**0.5)
    if a == b == 1e-3:
        inside = ((draws > 0.1) & (draws < 0.9)).double().mean().item()
        assert inside == pytest.approx(float(np.diff(stats.beta(a, b).cdf([0.1, 0.9]))[0]), abs=2e-3)


def test_dirichlet_draws_of_small_concentration_lie_at_the_corners() -> None:
    torch.manual_seed(0)
    draws = rt.Dirichlet(torch.full((3,), 1e-3)).sample((20_000,))
    torch.testing.assert_close(draws.sum(-1), torch.ones(20_000))
    # One minus the largest share of three: 3 P(x_1 > 0.9), and x_1 is Beta(a, 2 a).
    expected = 1 - 3 * stats.beta(1e-3, 2e-3).sf(0.9)
    assert (draws.max(-1).values < 0.9).double().mean().item() == pytest.approx(expected, abs=2.5e-3)
    assert expected == pytest.approx(0.0043, abs=3e-4)


@pytest.mark.parametrize("logits", [-5e5, -40.0, -1.0, -1e-3, 40.0])
def test_a_continuous_bernoulli_of_any_logits_is_scipys(logits: float) -> None:
    """The law exponential in x on 0 to 1, and that of 1 - x where the mass lies at 1."""
    torch.manual_seed(0)
    law, frozen = rt.ContinuousBernoulli(logits=t(logits)), stats.truncexpon(abs(logits), scale=1 / abs(logits))
    for draws in (law.sample((4000,)), law.rsample((4000,))):
        near = draws if logits < 0 else 1 - draws
        assert uniform_of(near.squeeze(-1), frozen.cdf) > 1e-3
    mean = float(law.mean) if logits < 0 else 1 - float(law.mean)
    assert (mean, float(law.variance)) == pytest.approx((frozen.mean(), frozen.var()), rel=1e-4)


def test_student_draws_follow_the_density() -> None:
    torch.manual_seed(0)
    for df in (0.05, 1.0, 30.0):
        draws = rt.StudentT(t(df), t(1.0), t(2.0)).sample((4000,)).squeeze(-1)
        assert draws.isfinite().all()
        quantiles = np.array([0.3, 0.5, 0.7])
        found = [(draws.double() <= q).double().mean().item() for q in stats.t(df, 1, 2).ppf(quantiles)]
        np.testing.assert_allclose(found, quantiles, atol=5 * 0.5 / 4000**0.5)


@pytest.mark.parametrize("name", ["Poisson", "NegativeBinomial", "Geometric"])
def test_draws_of_counts_follow_the_density(name: str) -> None:
    torch.manual_seed(0)
    parameters = {"Poisson": (0.7,), "NegativeBinomial": (0.05, 2.0), "Geometric": (-1.0,)}[name]
    draws = LARGE[name].make(*map(torch.tensor, parameters)).sample((20_000,)).numpy()
    frozen = LARGE[name].oracle(*parameters)
    k = np.arange(6)
    expected = np.append(frozen.pmf(k), frozen.sf(5)) * 20_000
    found = np.append([(draws == i).sum() for i in k], (draws > 5).sum())
    assert stats.chisquare(found, expected).pvalue > 1e-3


@pytest.mark.parametrize("name", ["Gamma", "Beta", "Dirichlet", "StudentT"])
def test_gradients_of_draws_are_those_of_the_expectation(name: str) -> None:
    """d E[f(x)] / d parameter by draws, against the closed form."""
    torch.manual_seed(0)
    a = torch.tensor(0.3, requires_grad=True)
    one = torch.ones(())
    if name == "Gamma":  # E x = a
        value, expected = rt.Gamma(a, one).rsample((200_000,)), 1.0
    elif name == "Beta":  # E x = a / (a + 1)
        value, expected = rt.Beta(a, one).rsample((200_000,)), 1 / 1.3**2
    elif name == "Dirichlet":  # the same, by its two components
        value, expected = rt.Dirichlet(torch.stack([a, one])).rsample((200_000,))[:, 0], 1 / 1.3**2
    else:  # E exp(-t^2 / 2) by quadrature in scipy
        x = np.linspace(-60, 60, 400_001)
        f = np.exp(-(x**2) / 2)
        expected = float(((stats.t(3.301).pdf(x) - stats.t(3.299).pdf(x)) * f).sum() * (x[1] - x[0]) / 2e-3)
        value = (-rt.StudentT(a + 3, 0 * one, one).rsample((400_000,)).square() / 2).exp()
    value.mean().backward()
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(expected, abs=0.02 if name != "StudentT" else 2e-3)
