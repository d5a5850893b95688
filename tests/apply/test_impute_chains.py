"""What a Markov chain imputes is that of quadrature, whatever is moved: numbers of any range and scale, vectors,
latents, values before rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from tests.apply.imputed import DRAWS, bits, run_of

GRID = torch.linspace(-8, 8, 321)
PLANE = torch.cartesian_prod(GRID, GRID)
TURNS = torch.linspace(0, 2 * torch.pi, 2000)
CIRCLE = torch.stack([TURNS.cos(), TURNS.sin()], -1)
CORNERS = torch.cartesian_prod(torch.linspace(0.005, 0.995, 200), torch.linspace(0.005, 0.995, 200))
TRIANGLE = torch.cat([CORNERS, 1 - CORNERS.sum(-1, keepdim=True)], -1)[CORNERS.sum(-1) < 0.999]
SEEN = 'observed y : real from "d.npz".y\n'
TWO = 'observed x : real[2] from "d.npz".x\nlatent z : real\n'


def of_second(points: torch.Tensor) -> torch.Tensor:
    """Rows of two numbers, of which the second is each of these points."""
    return torch.stack([torch.full_like(points, 0.5), points], -1)


def below(law: torch.distributions.Distribution, value: torch.Tensor) -> torch.Tensor:
    return law.base_dist.cdf(value)  # type: ignore[attr-defined]


# What rows lack, the rest of a row, and its law: values with their log-weights, by quadrature.
BY_CHAINS = {
    "directions": (
        'observed x : sphere[2] from "d.npz".x\n' + SEEN + "p(x) = VonMisesFisher(param)\np(y | x) = Normal(linear(x))",
        lambda m: (CIRCLE[:, 0], m.p_x().log_prob(CIRCLE) + m.p_y(CIRCLE).log_prob(torch.tensor(0.5))),
    ),
    "shares": (
        'observed x : simplex[3] from "d.npz".x\n' + SEEN + "p(x) = Dirichlet(1.5)\np(y | x) = Normal(linear(x), 0.5)",
        lambda m: (TRIANGLE[:, 0], m.p_x().log_prob(TRIANGLE) + m.p_y(TRIANGLE).log_prob(torch.tensor(0.5))),
    ),
    "inverted to an energy": (
        'observed x : real[2] from "d.npz".x\nlatent u : real[2]\nflow f = 2 * (coupling[mlp[4]] >> reverse)\n'
        "E(u) = 0.5 * sum(u ^ 2) + u[0] * tanh(u[1])\nx = f(u)",
        lambda m: (
            GRID,
            (found := m.f.inverse_and_log_det(of_second(GRID)))[1] - m.free_energy(found[0]),
        ),
    ),
    "an energy as a prior": (
        TWO + "E(z) = 0.25 * z ^ 4 - z ^ 2\np(x | z) = Normal(linear(z), 0.5)\nq(z | x) = Normal(mlp[4](x))",
        lambda m: (
            PLANE[:, 0],
            m.p_x(PLANE[:, 1]).log_prob(of_second(PLANE[:, 0])) - m.free_energy(PLANE[:, 1]),
        ),
    ),
    "a q in p": (
        TWO + "p(z) = mixture[3](q(z | param))\np(x | z) = Normal(linear(z), 0.5)\nq(z | x) = Normal(mlp[4](x))",
        lambda m: (
            PLANE[:, 0],
            m.p_x(PLANE[:, 1]).log_prob(of_second(PLANE[:, 0])) + m.p_z().log_prob(PLANE[:, 1]),
        ),
    ),
    "a long family of latents": (
        TWO.replace("z :", "z[t in 1..9] :")
        + "p(z[9]) = Normal(0, 1)\np(z[t] | z[t + 1]) = Normal(0.8 * z[t + 1], 0.6)\n"
        "p(x | z[1]) = Laplace(linear(z[1]), 0.5)\nq(z[t] | x) = Normal(mlp[4](x, t))",
        lambda m: (
            PLANE[:, 0],
            m.p_x(PLANE[:, 1:].expand(-1, 9)).log_prob(of_second(PLANE[:, 0]))
            + torch.distributions.Normal(0, 1).log_prob(PLANE[:, 1]),
        ),
    ),
    "rounded, given a latent": (
        'observed x : integer[2] from "d.npz".n\nlatent v : real[2]\nlatent z : real\np(z) = Normal(0, 1)\n'
        "p(v | z) = Normal(linear(z), 0.7)\nx = floor(v)\nq(z | x) = Normal(mlp[4](x))",
        lambda m: (
            (cases := torch.cartesian_prod(torch.arange(-9.0, 9), GRID))[:, 0],
            m.p_z().log_prob(cases[:, 1])
            + torch.log(
                below(law := m.p_v(cases[:, 1]), 1 + (x := torch.stack([cases[:, 0] * 0, cases[:, 0]], -1)))
                - below(law, x)
                + 1e-30
            ).sum(-1),
        ),
    ),
}


@pytest.mark.parametrize("kind", BY_CHAINS)
def test_what_a_chain_draws_is_that_of_quadrature(tmp_path: Path, kind: str) -> None:
    text, law = BY_CHAINS[kind]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    data = {"x": x, "y": x[:, 0], "n": np.floor(x)}
    row = {"x": np.array([[0.5, np.nan]])}
    if "y" in text.split("p(")[0].split():
        data["x"] = stats.dirichlet([1, 2, 2]).rvs(60, 0) if kind == "shares" else x / np.hypot(*x.T)[:, None]
        row = {"x": data["x"][:1] * np.nan, "y": np.array([0.5])}
    if "rounded" in kind:
        row = {"x": np.array([[0.0, np.nan]])}
    run = run_of(tmp_path, f"model chains\n{text}\n", data, spread=0.5)
    found = run.impute(row, draws=4000)
    assert any("Markov chain" in note for note in found.notes), found.notes
    with torch.no_grad():
        values, log = law(run.model)
    weights = log.double().softmax(0).numpy()
    expected = weights @ values.numpy()
    deviation = np.sqrt(weights @ values.numpy() ** 2 - expected**2)
    drawn = found["x"][0][:, 0 if "y" in row else 1]
    assert abs(drawn.mean() - expected) < 0.15 * deviation, (drawn.mean(), expected, deviation)
    assert drawn.std() == pytest.approx(deviation, rel=0.12)


FLOW = """\
model flow
observed x : real[2] from "d.npz".x
p(x) = Normal(0, 1) >> affine >> coupling[mlp[8]] >> reverse >> coupling[mlp[8]]
"""
BOUNDED = """\
model bounded
observed x : unit[2] from "d.npz".x
observed y : binary from "d.npz".y
p(x) = Beta(exp(param), exp(param))
p(y | x) = Bernoulli(mlp[8](x))
"""


@pytest.mark.parametrize("text", [FLOW, BOUNDED], ids=["flow", "bounded"])
def test_continuous_elements_are_as_quadrature_has_them(tmp_path: Path, text: str) -> None:
    data = {"x": np.random.default_rng(0).uniform(0.05, 0.95, size=(60, 2)), "y": bits(60, 1)[:, 0]}
    run = run_of(tmp_path, text, data, spread=0.6)
    rows = {"x": np.array([[0.3, np.nan]])} | ({"y": np.ones(1)} if text is BOUNDED else {})
    found = run.impute(rows, draws=DRAWS)
    assert any("Markov chain" in note for note in found.notes)
    grid = torch.linspace(0.0005, 0.9995, 1000) if text is BOUNDED else torch.linspace(-12, 12, 8001)
    whole = torch.stack([torch.full_like(grid, 0.3), grid], 1)
    rest = (torch.ones(len(grid)),) if text is BOUNDED else ()
    with torch.no_grad():
        density = run.model.log_prob(whole, *rest).double().softmax(0).numpy()
    expected = density @ grid.numpy()
    deviation = np.sqrt(density @ grid.numpy() ** 2 - expected**2)
    drawn = found["x"][0, :, 1]
    assert any("accepted" in note for note in found.notes)
    assert abs(drawn.mean() - expected) < 0.15 * deviation
    assert drawn.std() == pytest.approx(deviation, rel=0.15)


DEQUANTISED = """\
model dequantised
observed x : integer(0..5)[2] from "d.npz".x
observed y : categorical(2) from "d.npz".y
latent u : real[2]
flow f = 2 * (coupling[mlp[8]] >> reverse) >> affine >> sigmoid
p(y) = Categorical(param)
p(u | y) = Normal(mlp[8](y), 1)
x = floor(6 * f(u))
"""
VARIATIONAL = """\
model variational
observed x : integer(0..5)[2] from "d.npz".x
observed y : categorical(2) from "d.npz".y
latent v : real[2]
flow f = 2 * (coupling[mlp[8]] >> reverse)
p(y) = Categorical(param)
p(v | y) = Normal(mlp[8](y), 1) >> f
x = floor(v)
q(v | x) = x + (Normal(mlp[8](x)) >> sigmoid)
"""


@pytest.mark.parametrize("text", [DEQUANTISED, VARIATIONAL], ids=["uniform noise", "a q of the noise"])
def test_rounded_elements_are_as_quadrature_over_their_bins_has_them(tmp_path: Path, text: str) -> None:
    """Of a whole number and a class that are missing, given the whole number that is seen."""
    rng = np.random.default_rng(0)
    data = {"x": rng.integers(0, 6, (60, 2)).astype(np.float64), "y": rng.integers(0, 2, 60).astype(np.float64)}
    run = run_of(tmp_path, text, data, spread=0.4)
    found = run.impute({"x": np.array([[2.0, np.nan]]), "y": np.array([np.nan])}, draws=DRAWS)
    assert any("held in its bins" in note for note in found.notes)
    fine, model = 60, run.model
    inner = (torch.arange(fine) + 0.5) / fine
    first, second = torch.meshgrid(2 + inner, (torch.arange(6).unsqueeze(1) + inner).flatten(), indexing="ij")
    y = torch.arange(2.0).repeat_interleave(first.numel())
    at = torch.stack([first.flatten(), second.flatten()], 1).repeat(2, 1)
    with torch.no_grad():
        if text is VARIATIONAL:
            log = model.p_v(y).log_prob(at)
        else:
            u, log_det = model.f.inverse_and_log_det(at / 6)
            log = model.p_u(y).log_prob(u) + log_det
        log = log + model.p_y().log_prob(y)
    expected = log.double().softmax(0).reshape(2, fine, 6, fine).sum((1, 3)).numpy()
    cells = (found["y"][0].astype(int), found["x"][0, :, 1].astype(int))
    frequencies = np.zeros((2, 6))
    np.add.at(frequencies, cells, 1 / DRAWS)
    assert (found["x"][0, :, 0] == 2).all()
    assert np.abs(frequencies - expected).max() < 0.05, (frequencies, expected)


INCOMES = """\
model incomes
observed age : real from "d.npz".age
observed income : positive from "d.npz".income
observed rent : real from "d.npz".rent
p(age) = Normal(param, 10)
p(income | age) = LogNormal(9.5 + 0.01 * age, 0.3)
p(rent | income, age) = Normal(0.02 * income + 5 * age, 100)
"""


def test_a_chain_moves_numbers_of_any_scale(tmp_path: Path) -> None:
    """Incomes of ten thousands beside ages, by quadrature: steps of one size for both never left where they began."""
    rng = np.random.default_rng(0)
    age, income = rng.normal(40, 10, 40), np.exp(rng.normal(10, 0.3, 40))
    run = run_of(tmp_path, INCOMES, {"age": age, "income": income, "rent": rng.normal(700, 100, 40)})
    found = run.impute({"age": [np.nan], "income": [np.nan], "rent": [900.0]}, draws=DRAWS)
    grid = np.meshgrid(np.linspace(-20, 100, 400), np.linspace(5e3, 1.5e5, 800), indexing="ij")
    ages, incomes = (g.ravel() for g in grid)
    first = run.model.p_age().mean.item()
    p = stats.norm(first, 10).pdf(ages) * stats.lognorm(0.3, scale=np.exp(9.5 + 0.01 * ages)).pdf(incomes)
    p *= stats.norm(0.02 * incomes + 5 * ages, 100).pdf(900)
    for name, values in (("age", ages), ("income", incomes)):
        mean = p @ values / p.sum()
        deviation = np.sqrt(p @ (values - mean) ** 2 / p.sum())
        assert np.abs(found[name].mean() - mean) < 0.15 * deviation
        assert np.abs(found[name].std() / deviation - 1) < 0.15
