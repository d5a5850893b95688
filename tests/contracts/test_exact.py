"""Exactness: probabilities that sum to 1, densities that integrate to 1, bounds below what they bound."""

from __future__ import annotations

import inspect
import itertools
import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from dgmppl.runtime import GenerativeModel
from tests.contracts.support import COMPOSITIONS, build, checked, seed


def composition(stem: str):
    return checked(next(p for p in COMPOSITIONS if p.stem == stem))


def every(values: range, count: int) -> Tensor:
    """All rows of `count` such values."""
    return torch.tensor(list(itertools.product(values, repeat=count))).float()


def plane(low: float, high: float, sides: int) -> tuple[Tensor, float]:
    """Midpoints of a grid over a square, (sides^2, 2), and the area of a cell."""
    step = (high - low) / sides
    axis = low + step * (torch.arange(sides) + 0.5)
    return torch.cartesian_prod(axis, axis), step * step


def line(low: float, high: float, count: int) -> tuple[Tensor, float]:
    step = (high - low) / count
    return low + step * (torch.arange(count) + 0.5), step


# --- autoregressive models -----------------------------------------------------------------------

AUTOREGRESSIVE = {
    "causal over integers": (
        "observed x : integer(0..2)[4] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(causal[8, kernel = 2](x[<d]))",
        range(3),
        4,
    ),
    "causal over shifted integers": (
        "observed x : integer(2..4)[3] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(causal[8, 8, kernel = 3](x[<d]))",
        range(2, 5),
        3,
    ),
    "masked over categories": (
        "observed x : categorical(3)[4] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(masked[16, 16](x[<d]))",
        range(3),
        4,
    ),
    "causal over categories": (
        "observed x : categorical(3)[4] from 'r.npz'.x\np(x[d] | x[<d]) = Categorical(causal[8, kernel = 3](x[<d]))",
        range(3),
        4,
    ),
    "masked over binary units": (
        "observed x : binary[6] from 'r.npz'.x\np(x[d] | x[<d]) = Bernoulli(masked[16, 16](x[<d]))",
        range(2),
        6,
    ),
    "causal over binary units": (
        "observed x : binary[6] from 'r.npz'.x\np(x[d] | x[<d]) = Bernoulli(causal[8, 8, kernel = 7](x[<d]))",
        range(2),
        6,
    ),
    "causal with a class": (
        "observed x : binary[5] from 'r.npz'.x\nobserved y : categorical(3) from 'r.npz'.y\n"
        "p(x[d] | x[<d], y) = Bernoulli(causal[8, kernel = 3](x[<d], y))",
        range(2),
        5,
    ),
    "masked with a class": (
        "observed x : binary[5] from 'r.npz'.x\nobserved y : categorical(3) from 'r.npz'.y\n"
        "p(x[d] | x[<d], y) = Bernoulli(masked[8](x[<d], y))",
        range(2),
        5,
    ),
}


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_autoregressive_probabilities_sum_to_one(name) -> None:
    """And samples have the probabilities that log_prob says."""
    statements, values, count = AUTOREGRESSIVE[name]
    model = build(checked("model ar\n" + statements.replace("'", '"') + "\n"), scale=0.4)
    x = every(values, count)
    for y in range(3) if "class" in name else [None]:
        data = [x] if y is None else [x, torch.full((len(x),), float(y))]
        with torch.no_grad():
            probabilities = model.log_prob(*data).double().exp()
            n = 4000
            drawn = model.sample(n) if y is None else model.sample(n, y=y)
        assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-5)
        position = {tuple(row): k for k, row in enumerate(x.int().tolist())}
        index = torch.tensor([position[tuple(row)] for row in drawn.int().tolist()])
        seen = torch.bincount(index, minlength=len(x)).double()
        common = probabilities * n >= 5
        observed = torch.cat([seen[common], seen[~common].sum().reshape(1)]).numpy() + 1e-9
        expected = torch.cat([probabilities[common], probabilities[~common].sum().reshape(1)]).numpy() + 1e-12
        assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-6


def test_an_autoregressive_density_integrates_to_one() -> None:
    text = """\
model ar
observed x : real[2] from "r.npz".x
p(x[d] | x[<d]) = Normal(causal[8, kernel = 2](x[<d]))
"""
    model = build(checked(text), scale=0.3)
    x, area = plane(-12, 12, 400)
    with torch.no_grad():
        assert float(model.log_prob(x).exp().sum() * area) == pytest.approx(1.0, abs=2e-3)


def test_an_autoregressive_decoder_sums_to_one_for_every_latent() -> None:
    text = """\
model decoder
observed x : integer(0..2)[4] from "r.npz".x
latent   z : real[2]
p(z) = Normal(0, 1)
p(x[d] | x[<d], z) = Categorical(causal[8, 8, kernel = 3](x[<d], z))
q(z | x) = Normal(mlp[8](x))
"""
    model = build(checked(text), scale=0.4)
    x = every(range(3), 4)
    with torch.no_grad():
        for z in torch.randn(3, 2):
            total = model.p_x(z.expand(len(x), 2)).log_prob(x).exp().sum()
            assert float(total) == pytest.approx(1.0, abs=1e-5)


# --- flows ---------------------------------------------------------------------------------------

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


# --- bounds of latent-variable models ------------------------------------------------------------

ONE_LATENT = {
    "normal": ("real[1]", "Normal(0, 1)", "Normal(mlp[8](x))", (-12, 12)),
    "laplace": ("real[1]", "Laplace(0, 1)", "Normal(mlp[8](x))", (-25, 25)),
    "laplace twice": ("real[1]", "Laplace(0.5, 1)", "Laplace(mlp[8](x))", (-30, 30)),
    "mixture": ("real[1]", "mixture[3](Normal(param, param))", "Normal(mlp[8](x))", (-15, 15)),
    "vamp": ("real[1]", "mixture[4](q(z | param))", "Normal(mlp[8](x))", (-15, 15)),
    "gamma": ("positive[1]", "Gamma(2, 1)", "Gamma(mlp[8](x))", (0, 60)),
    "log-normal": ("positive[1]", "Gamma(2, 3)", "LogNormal(mlp[8](x))", (0, 80)),
    "exponential": ("positive[1]", "Exponential(2)", "Exponential(mlp[8](x))", (0, 40)),
    "beta": ("unit[1]", "Beta(2, 3)", "Beta(mlp[8](x))", (0, 1)),
    "pushed to the unit interval": ("unit[1]", "Beta(2, 3)", "Normal(mlp[8](x)) >> sigmoid", (0, 1)),
    "affine posterior": ("real[1]", "Normal(0, 1)", "Normal(mlp[8](x)) >> affine(mlp[8](x))", (-20, 20)),
    "scalar": ("real", "Normal(0, 1)", "Normal(mlp[8](x))", (-12, 12)),
    "no posterior": ("real[1]", "Normal(0, 1)", "", (-15, 15)),
    "student": ("real[1]", "StudentT(df = 6, loc = 0, scale = 1)", "Normal(mlp[8](x))", (-40, 40)),
}


def one_latent(name: str, objective: str = "") -> GenerativeModel:
    kind, prior, posterior, _ = ONE_LATENT[name]
    q = f"q(z | x) = {posterior}\n" if posterior else ""
    text = f"""\
model one_latent
observed x : real[2] from "r.npz".x
latent   z : {kind}
p(z) = {prior}
p(x | z) = Normal(mlp[8](z), 0.5)
{q}"""
    return build(checked(text + objective), scale=0.3)


def integrals(model: GenerativeModel, x: Tensor, z: Tensor, step: float) -> tuple[float, float]:
    """log p(x), and the ELBO, by quadrature over the latent."""
    rows = x.expand(len(z), *x.shape)
    with torch.no_grad():
        joint = (model.p_z().log_prob(z) + model.p_x(z).log_prob(rows)).double()
        q = model.q_z(rows).log_prob(z).double()
    inside = q.isfinite() & joint.isfinite()
    assert float(q[inside].exp().sum() * step) == pytest.approx(1.0, abs=5e-3)
    elbo = float((q[inside].exp() * (joint - q)[inside]).sum() * step)
    return float(joint[inside].logsumexp(0)) + math.log(step), elbo


def mean_and_error(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), 4.5 * float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize("name", ONE_LATENT)
def test_the_elbo_is_the_integral_and_bounds_the_marginal(name) -> None:
    model = one_latent(name)
    low, high = ONE_LATENT[name][3]
    z, step = line(low, high, 40_000)
    z = z if ONE_LATENT[name][0] == "real" else z.unsqueeze(-1)
    for x in torch.tensor([[0.3, -0.7], [1.0, 0.5]]):
        exact, expected = integrals(model, x, z, step)
        with torch.no_grad():
            mean, error = mean_and_error(model.elbo(x.expand(20_000, 2)))
        assert mean == pytest.approx(expected, abs=error + 5e-3)
        assert expected <= exact + 1e-3


@pytest.mark.parametrize("name", ["normal", "mixture", "gamma"])
def test_importance_weighting_tightens_the_bound(name) -> None:
    low, high = ONE_LATENT[name][3]
    z, step = line(low, high, 40_000)
    x = torch.tensor([0.3, -0.7])
    bounds = []
    for samples in (1, 5, 50):
        objective = f"train {{ objective = iwae({samples}) }}\n"
        model = one_latent(name, objective)
        exact, _ = integrals(model, x, z.unsqueeze(-1), step)
        with torch.no_grad():
            assert model.criterion == (f"iwae({samples})" if samples > 1 else "elbo")
            mean, error = mean_and_error(model.figures(x.expand(4000, 2))[model.criterion])
        assert mean <= exact + error
        bounds.append(mean)
    assert bounds[0] < bounds[1] < bounds[2]
    assert exact - bounds[2] < 0.6 * (exact - bounds[0])


def test_beta_changes_the_loss_and_not_the_elbo() -> None:
    plain, weighted = one_latent("normal"), one_latent("normal", "train { objective = elbo(beta = 4) }\n")
    weighted.load_state_dict(plain.state_dict())
    x = torch.randn(10, 2)
    results = []
    for model in (plain, weighted):
        with seed(2), torch.no_grad():
            elbo = model.elbo(x)
        with seed(2), torch.no_grad():
            loss, terms = model.loss(x), None
        with seed(2), torch.no_grad():
            terms = model.terms(x)
        results.append((elbo, loss, terms))
    (elbo, loss, terms), (again, heavier, _) = results
    assert torch.equal(elbo, again)
    assert float(loss) == pytest.approx(float(-elbo.mean()), rel=1e-6)
    kl = -next(v for k, v in terms.items() if k.startswith("-KL"))
    assert float(heavier) == pytest.approx(float(loss + 3 * kl.mean()), rel=1e-5)


HIERARCHIES = {
    "bottom up": "q(a | x) = Normal(mlp[8](x))\nq(b | a) = Normal(mlp[8](a))",
    "top down": "q(b | x) = Normal(mlp[8](x))\nq(a | b, x) = Normal(mlp[8](b, x))",
    "residual": "q(b | x) = Normal(mlp[8](x))\nq(a | b, x) = residual(p(a | b), mlp[8](x))",
    "derived": "",
    "features": (
        "let r : real[4] = mlp[8](x)\nq(b | x) = Normal(linear(r))\nq(a | b, x) = residual(p(a | b), linear(r))"
    ),
}


@pytest.mark.parametrize("name", HIERARCHIES)
def test_bounds_of_hierarchies_are_integrals(name) -> None:
    text = f"""\
model two_levels
observed x : real[2] from "r.npz".x
latent   a : real[1]
latent   b : real[1]
p(b)     = Normal(0, 1)
p(a | b) = Normal(mlp[8](b))
p(x | a) = Normal(mlp[8](a), 0.5)
{HIERARCHIES[name]}
"""
    found = checked(text)
    model = build(found, scale=0.2)
    grid, area = plane(-10, 10, 500)
    a, b = grid[:, :1], grid[:, 1:]
    x = torch.tensor([0.3, -0.7])
    rows = x.expand(len(grid), 2)
    given = {"a": a, "b": b, "x": rows}
    if "let" in HIERARCHIES[name]:
        given["r"] = model.define_r(rows)
    with torch.no_grad():
        joint = model.p_b().log_prob(b) + model.p_a(b).log_prob(a) + model.p_x(a).log_prob(rows)
        q = sum(_density(model, "q_" + v, given).log_prob(given[v]) for v in "ab")
        exact, expected = float(joint.logsumexp(0)) + math.log(area), float((q.exp() * (joint - q)).sum() * area)
        mean, error = mean_and_error(model.elbo(x.expand(20_000, 2)))
    assert float(q.exp().sum() * area) == pytest.approx(1.0, abs=1e-2)
    assert mean == pytest.approx(expected, abs=error + 5e-3)
    assert expected <= exact + 1e-3


def _density(model: GenerativeModel, method: str, given: dict[str, Tensor]):
    function = getattr(type(model), method)
    names = [*inspect.signature(function).parameters][1:]
    return getattr(model, method)(*(given[n] for n in names))


def test_an_exact_posterior_makes_the_bound_tight() -> None:
    """x = z + 0.5 eps: with q the true posterior every draw's p / q is p(x)."""
    text = """\
model conjugate
observed x : real[2] from "r.npz".x
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(z, 0.5)
q(z | x) = Normal(0.8 * x, 0.4472135955)
train { objective = iwae(3) }
"""
    model = build(checked(text))
    x = torch.randn(20, 2)
    expected = torch.distributions.Normal(0, math.sqrt(1.25)).log_prob(x).sum(-1)
    assert torch.allclose(model.figures(x)["iwae(3)"], expected, atol=1e-4)


# --- priors and likelihoods that integrate to 1 --------------------------------------------------

PRIORS = {
    "normal": "Normal(0, 1)",
    "learned normal": "Normal(param)",
    "mixture of normals": "mixture[5](Normal(param, param))",
    "mixture with weights": "mixture[5, weights = param](Normal(param, 0.5))",
    "VampPrior": "mixture[5](q(z | param))",
    "GTM": "mixture[u in grid(4, 4)](Normal(mlp[8](u)))",
    "GTM-VampPrior": "mixture[u in grid(3, 3)](q(z | mlp[8](u)))",
    "flow": "Normal(0, 1) >> 4 * (coupling[mlp[8]] >> reverse)",
    "flow of a mixture": "mixture[3](Normal(param, param)) >> 2 * (coupling[mlp[8]] >> reverse)",
    "mixture of logistics": "mixture[3](Logistic(param, param))",
    "householder": "Normal(0, 1) >> affine >> 3 * householder",
}


@pytest.mark.parametrize("name", PRIORS)
def test_priors_integrate_to_one(name) -> None:
    text = f"""\
model prior
observed x : integer(0..4)[3] from "r.npz".x
latent   z : real[2]
p(z)     = {PRIORS[name]}
p(x | z) = Categorical(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
"""
    model = build(checked(text), scale=0.2)
    z, area = plane(-50, 50, 900)
    with torch.no_grad():
        log_prob = model.p_z().log_prob(z)
        drawn = model.p_z().sample((20_000,))
    assert float(log_prob.double().exp().sum() * area) == pytest.approx(1.0, abs=5e-3)
    # And its samples come from it: the expected log-density by quadrature and by draws.
    with torch.no_grad():
        mean, error = mean_and_error(model.p_z().log_prob(drawn))
    assert mean == pytest.approx(float((log_prob.exp() * log_prob).sum() * area), abs=error + 1e-2)


LIKELIHOODS = {
    "normal": "Normal(mlp[8](z))",
    "mixture": "mixture[5](Normal(mlp[8](z)))",
    "mixture with conditional weights": "mixture[5, weights = mlp[8](z)](Normal(mlp[8](z)))",
    "mixture with shared scale": "mixture[3](Normal(loc = mlp[8](z), scale = 0.5))",
    "conditional flow": "Normal(mlp[8](z)) >> 2 * (coupling[mlp[8]](z) >> reverse)",
    "student": "StudentT(df = 9, loc = mlp[8](z), scale = 0.5)",
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_integrate_to_one(name) -> None:
    text = f"""\
model likelihood
observed x : real[2] from "r.npz".x
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = {LIKELIHOODS[name]}
q(z | x) = Normal(mlp[8](x))
"""
    model = build(checked(text), scale=0.2)
    x, area = plane(-30, 30, 600)
    for z in torch.randn(3, 2):
        with torch.no_grad():
            total = model.p_x(z.expand(len(x), 2)).log_prob(x).double().exp().sum() * area
        assert float(total) == pytest.approx(1.0, abs=5e-3)
