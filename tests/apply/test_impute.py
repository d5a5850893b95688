"""What is missing is imputed by its law given what is seen: against scipy, enumeration and quadrature, for models of
each kind. Weights are those of a short fit, or drawn: the law is that of the model, whatever its weights."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from dgmppl.apply import imputing, in_common
from dgmppl.apply.fitted import FittedRun
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people

DRAWS = 2000


def run_of(folder: Path, text: str, data: dict[str, NDArray[np.float64]], spread: float = 0.0) -> FittedRun:
    """A run of a spec whose data lie in `d.npz`; its weights are moved by noise."""
    np.savez(folder / "d.npz", **data)
    run = fit(folder, text + "train { epochs = 1 }\n")
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in run.model.parameters():
            weights += spread * torch.randn_like(weights)
    return run


def bits(rows: int, size: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).integers(0, 2, (rows, size)).astype(np.float64)


def close(found: NDArray[np.float64], expected: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
    """Means of so many draws, within five standard errors."""
    assert (np.abs(found - expected) < 5 * deviation / np.sqrt(DRAWS) + 1e-3).all(), (found, expected)


LINEAR = """\
model linear
observed x : real[5] from "d.npz".x
latent z : real[2]
p(z) = Normal(0, 1)
p(x | z) = Normal(linear(z), param)
"""


def test_a_linear_gaussian_is_that_of_scipy(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5))
    run = run_of(tmp_path, LINEAR, {"x": x}, spread=0.8)
    row = np.array([[0.5, np.nan, -1.0, np.nan, 2.0]])
    found = run.impute({"x": row}, draws=DRAWS)
    drawn = found["x"][0]
    assert drawn.shape == (DRAWS, 5) and (drawn[:, [0, 2, 4]] == row[0, [0, 2, 4]]).all()
    assert any("exact" in note for note in found.notes)
    given = run.model.p_x(torch.tensor(np.vstack([np.zeros(2), np.eye(2)]), dtype=torch.float32))
    mean, noise = given.mean.detach().numpy().astype(np.float64), given.variance[0].detach().numpy()
    slope = (mean[1:] - mean[0]).T
    covariance = slope @ slope.T + np.diag(noise)
    seen, gone = [0, 2, 4], [1, 3]
    gain = covariance[np.ix_(gone, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    expected = mean[0][gone] + gain @ (row[0, seen] - mean[0][seen])
    spread = covariance[np.ix_(gone, gone)] - gain @ covariance[np.ix_(seen, gone)]
    close(drawn[:, gone].mean(0), expected, np.sqrt(np.diag(spread)))
    np.testing.assert_allclose(np.cov(drawn[:, gone].T), spread, rtol=0.15, atol=0.05)


MIXTURE = """\
model mixed
observed x : real[3] from "d.npz".x
latent k : categorical(3)
param m : real[3, 3] = normal(2)
p(k) = Categorical(param)
p(x | k) = Normal(m[k], 0.5)
"""


def test_a_mixture_is_exact(tmp_path: Path) -> None:
    run = run_of(tmp_path, MIXTURE, {"x": np.random.default_rng(0).normal(size=(60, 3))}, spread=0.5)
    row = np.array([[0.3, np.nan, np.nan]])
    found = run.impute({"x": row}, draws=DRAWS)
    assert any("exact" in note for note in found.notes)
    m = run.model.m.detach().numpy().astype(np.float64)
    prior = run.model.p_k().probs.detach().numpy().ravel()
    weights = prior * stats.norm.pdf(0.3, m[:, 0], 0.5)
    weights /= weights.sum()
    for column in (1, 2):
        test = stats.kstest(
            found["x"][0, :, column], lambda v, c=column: (weights * stats.norm.cdf(v[:, None], m[:, c], 0.5)).sum(1)
        )
        assert test.pvalue > 1e-4


CHAIN = """\
model causal
observed x : binary[10] from "d.npz".x
p(x[d] | x[<d]) = Bernoulli(masked[16](x[<d]))
"""
RBM = """\
model rbm
observed x : binary[10] from "d.npz".x
latent h : binary[3]
param W : real[10, 3]
param b : real[10]
param c : real[3]
E(x, h) = -x @ W @ h - b @ x - c @ h
"""
SHORT = CHAIN.replace("10", "6")


@pytest.mark.parametrize(
    ("text", "log_density", "way"),
    [
        (CHAIN, lambda model, x: model.log_prob(x), "Markov chain"),
        (SHORT, lambda model, x: model.log_prob(x), "exact"),
        (RBM, lambda model, x: -model.free_energy(x), "Markov chain"),
    ],
    ids=["autoregressive", "autoregressive of few values", "rbm"],
)
def test_binary_rows_are_as_enumeration_has_them(
    tmp_path: Path, text: str, log_density: Callable[..., torch.Tensor], way: str
) -> None:
    size = 6 if "binary[6]" in text else 10
    run = run_of(tmp_path, text, {"x": bits(50, size)}, spread=1.0)
    row = bits(1, size, seed=3)
    gone = [0, 2, 3, size - 1]
    row[0, gone] = np.nan
    found = run.impute({"x": row}, draws=DRAWS)
    assert any(way in note for note in found.notes)
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(gone))))
    whole = torch.tensor(row, dtype=torch.float32).repeat(len(every), 1)
    whole[:, gone] = every
    with torch.no_grad():
        expected = log_density(run.model, whole).softmax(0).numpy()
    codes = (found["x"][0][:, gone] @ 2 ** np.arange(len(gone))[::-1]).astype(int)
    frequencies = np.bincount(codes, minlength=len(every)) / DRAWS
    assert np.abs(frequencies - expected).max() < 0.05, (frequencies, expected)
    one = run.impute({"x": row}, deviations=True, samples=DRAWS)
    odds = expected @ every.numpy()
    sure = np.abs(odds - 0.5) > 0.06
    assert (one["x"][0, gone][sure] == (odds > 0.5)[sure]).all()
    np.testing.assert_allclose(one["x_probability"][0, gone], np.maximum(odds, 1 - odds), atol=0.06)
    assert np.isnan(one["x_probability"][0, 1])


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


VAE = """\
model vae
observed x : real[3] from "d.npz".x
observed y : categorical(2) from "d.npz".y
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[8](z), 0.5)
p(y | z) = Categorical(mlp[8](z))
q(z | x, y) = Normal(mlp[8](x, y), 1.0)
"""


CLUSTERED = (
    VAE.replace("p(z) = Normal(0, 1)", "p(k) = Categorical(param)\np(z | k) = Normal(2 * k - 1, 0.7)")
    .replace("model vae", "model clustered")
    .replace("latent z : real\n", "latent z : real\nlatent k : integer(0..1)\n")
)
SEMI_SUPERVISED = """\
model semi_supervised
observed x : real[3] from "d.npz".x
partial y : categorical(2) from "d.npz".y
latent z : real
p(z) = Normal(0, 1)
p(y) = Categorical(param)
p(x | y, z) = Normal(mlp[8](y, z), 0.5)
q(y | x) = Categorical(mlp[8](x))
q(z | x, y) = Normal(mlp[8](x, y), 1.0)
"""
Joint = tuple[torch.Tensor, torch.Tensor]
"""log p(y, z) for each z and y, (grid, 2), and the means of x, (grid, 2, 3)."""


def of_vae(model: torch.nn.Module, z: torch.Tensor) -> Joint:
    y = torch.tensor([[0.0], [1.0]])
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    return (prior + model.p_y(z).log_prob(y)).T, model.p_x(z).mean.unsqueeze(1).expand(-1, 2, -1)


def of_clustered(model: torch.nn.Module, z: torch.Tensor) -> Joint:
    log_joint, means = of_vae(model, z)
    weights = model.p_k().probs.reshape(2)
    normal = torch.distributions.Normal
    prior = torch.log(sum(weights[k] * normal(2.0 * k - 1, 0.7).log_prob(z).exp() for k in (0, 1)))
    return log_joint + (prior - normal(0.0, 1.0).log_prob(z)).unsqueeze(1), means


def of_semi_supervised(model: torch.nn.Module, z: torch.Tensor) -> Joint:
    classes = torch.log(model.p_y().probs.reshape(1, 2))
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).unsqueeze(1)
    means = [model.p_x(torch.full_like(z, k), z).mean for k in (0.0, 1.0)]
    return prior + classes, torch.stack(means, 1)


@pytest.mark.parametrize(
    ("text", "joint"),
    [(VAE, of_vae), (CLUSTERED, of_clustered), (SEMI_SUPERVISED, of_semi_supervised)],
    ids=["vae", "with clusters", "semi-supervised"],
)
def test_a_latent_model_is_as_quadrature_has_it(
    tmp_path: Path,
    text: str,
    joint: Callable[[torch.nn.Module, torch.Tensor], Joint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imputing, "PARTICLES", 1000)
    monkeypatch.setattr(imputing, "OF_PRIOR", 250)
    rng = np.random.default_rng(0)
    run = run_of(tmp_path, text, {"x": rng.normal(size=(60, 3)), "y": bits(60, 1)[:, 0]}, spread=0.7)
    with torch.no_grad():
        log_joint, means = joint(run.model, torch.linspace(-8, 8, 4001))
        seen = float(means[2000, 0, 0])
        weights = (log_joint - 2 * (means[..., 0] - seen) ** 2).double().flatten().softmax(0).numpy()
    row = np.array([[seen, np.nan, np.nan]])
    found = run.impute({"x": row, "y": np.array([np.nan])}, draws=DRAWS)
    assert any("by weights" in note for note in found.notes)
    flat = means.double().numpy().reshape(-1, 3)
    expected = weights @ flat
    deviation = np.sqrt(weights @ (flat**2 + 0.25) - expected**2)
    assert (np.abs(found["x"][0].mean(0) - expected)[1:] < 0.15 * deviation[1:]).all(), found.notes
    np.testing.assert_allclose(found["x"][0].std(0)[1:], deviation[1:], rtol=0.12)
    assert abs(found["y"][0].mean() - weights.reshape(-1, 2).sum(0)[1]) < 0.05


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


SHOPS = """\
model shops
observed shop : categorical(3) from "d.npz".shop
observed x : real[2] from "d.npz".x
latent level : real per shop
latent z : real
p(level) = Normal(0, 1)
p(z | level) = LAW(level, 1)
p(x | z) = Normal(z, 2)
"""


@pytest.mark.parametrize(("law", "way"), [("Normal", "exact"), ("Laplace", "by weights")])
def test_what_rows_have_in_common_is_as_its_q_has_it(
    law: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean and the variance of x[1] given x[0] by quadrature over z, and over the level as its q has it."""
    for name, many in {"COMMON": 200, "COMMON_EXACT": DRAWS}.items():
        monkeypatch.setattr(in_common, name, many)
    for name, many in {"ROUNDS": 4, "PARTICLES": 40, "OF_PRIOR": 10}.items():
        monkeypatch.setattr(imputing, name, many)
    rng = np.random.default_rng(0)
    data = {"shop": rng.integers(0, 3, 60).astype(float), "x": rng.normal(size=(60, 2))}
    run = run_of(tmp_path, SHOPS.replace("LAW", law), data, spread=0.3)
    rows = {"shop": np.array([0.0, 1.0, 2.0]), "x": np.array([[1.0, np.nan], [4.0, np.nan], [-2.0, np.nan]])}
    found = run.impute(rows, draws=DRAWS)
    assert any(note.startswith(way) and "level, which rows have in common" in note for note in found.notes)
    with torch.no_grad():
        q = run.model.q_level(torch.arange(3.0))
    z = np.linspace(-25, 25, 2001)
    for k, (mean, deviation) in enumerate(zip(q.mean.double(), q.stddev.double(), strict=True)):
        level = mean.item() + deviation.item() * np.linspace(-5, 5, 101)[:, None]
        prior = stats.norm(level, 1) if law == "Normal" else stats.laplace(level, 1)
        weight = prior.pdf(z) * stats.norm(z, 2).pdf(rows["x"][k, 0])
        weight *= stats.norm(mean, deviation).pdf(level) / weight.sum(1, keepdims=True)
        weight /= weight.sum()
        each, expected = (weight * z).sum(1) / weight.sum(1), (weight * z).sum()
        spread = np.sqrt((weight * z**2).sum() - expected**2 + 4)
        of_levels = np.sqrt((weight.sum(1) * (each - expected) ** 2).sum())
        drawn = found["x"][k, :, 1]
        assert abs(drawn.mean() - expected) < 5 * (spread / np.sqrt(DRAWS / 2) + of_levels / np.sqrt(200))
        assert abs(drawn.std() - spread) < 0.1 * spread


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("people")
    people().to_csv(folder / "people.csv", index=False)
    return fit(folder, PEOPLE)


def with_gaps(rows: int = 40) -> pd.DataFrame:
    table = people(rows, seed=3).assign(id=[f"00{k}" for k in range(rows)])[["size", "id", "height", "weight"]]
    table.loc[3, "height"] = np.nan
    table.loc[4, "size"] = None
    table.loc[5, ["size", "height", "weight"]] = None
    return table.set_index(np.arange(rows) + 100)


def test_a_table_comes_back_with_its_seen_cells_as_they_were(run: FittedRun) -> None:
    table = with_gaps()
    found = run.impute(table).frame()
    assert list(found.columns) == list(table.columns) and list(found.index) == list(table.index)
    assert found.notna().all().all()
    seen = table.notna()
    assert (found[seen] == table[seen]).eq(seen).all().all()
    assert set(found["size"]) <= {"tall", "middling", "short"}
    assert found["height"].between(120, 220).all()
    many = run.impute(table, draws=3)
    frame = many.frame()
    assert list(frame.columns) == [*table.columns, "draw"] and len(frame) == 3 * len(table)
    assert list(frame["draw"][:4]) == [0, 1, 2, 0] and list(frame.index[:4]) == [100, 100, 100, 101]
    assert frame["height"].iloc[9:12].nunique() == 3 and frame["height"].iloc[0:3].nunique() == 1
    beside = run.impute(table, deviations=True).frame()
    assert list(beside.columns[4:]) == ["height_deviation", "weight_deviation", "size_probability"]
    assert beside["height_deviation"].notna().tolist() == table["height"].isna().tolist()


def test_the_command_writes_what_python_says(
    run: FittedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = with_gaps()
    table.to_csv(tmp_path / "gaps.csv", index=False)
    expected = run.impute(table).frame()
    for end in ("csv", "parquet"):
        out = tmp_path / f"whole.{end}"
        assert main(["impute", str(run.path), "--data", str(tmp_path / "gaps.csv"), "-o", str(out)]) == 0
        told = capsys.readouterr()
        assert "x: 3 of 80 cells are missing" in told.err and "effective sample size" in told.err
    back = pd.read_csv(tmp_path / "whole.csv", dtype={"id": str})
    pd.testing.assert_frame_equal(back, expected.reset_index(drop=True))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "whole.parquet"), back)
    arrays = {"x": table[["height", "weight"]].to_numpy(np.float32), "y": table["size"].to_numpy()}
    found = run.impute(arrays, draws=2)
    assert found["x"].shape == (40, 2, 2) and found["x"].dtype == np.float32 and found["y"].shape == (40, 2)
    assert (found["x"][:, 0][~np.isnan(arrays["x"])] == arrays["x"][~np.isnan(arrays["x"])]).all()


def test_columns_that_are_not_there_are_imputed(run: FittedRun, tmp_path: Path) -> None:
    table = people(30, seed=4)
    found = run.impute(table.drop(columns="size"))
    assert list(found.frame().columns) == ["height", "weight", "size"]
    assert "y is not there: all of it is imputed" in found.notes
    part = run.impute(table.drop(columns="height"))
    assert part.notes[0] == "height is not there: all of it is imputed"
    assert list(part.frame().columns) == ["height", "weight", "size"] and part.frame()["height"].notna().all()
    ids = ["NA", *(f"00{k}" for k in range(29))]
    for name, separator in (("part.csv", ","), ("semicolons.csv", ";"), ("packed.csv.gz", ","), ("tabs.tsv", "\t")):
        more = table.drop(columns="weight").assign(id=ids)[["id", "size", "height"]]
        more.to_csv(tmp_path / name, index=False, sep=separator)
        found = run.impute(tmp_path / name).frame()
        assert list(found.columns) == ["id", "size", "height", "weight"]
        assert found.notna().all().all() and list(found["id"]) == ids
        table.assign(id=ids).to_csv(tmp_path / name, index=False, sep=separator)
        whole = run.impute(tmp_path / name).frame()
        assert list(whole.columns) == ["height", "weight", "size", "id"]
        assert list(whole["id"]) == ids
        np.testing.assert_allclose(whole["height"], table["height"])


def test_mistakes_are_said(run: FittedRun) -> None:
    table = people(10, seed=4)
    found = run.impute(table)
    pd.testing.assert_frame_equal(found.frame(), table)
    assert list(found.notes) == ["nothing is missing: the rows are given back as they are"]
    with pytest.raises(SpecError, match="nothing of what the model is about: height, weight, size"):
        run.impute(table.rename(columns=str.upper))
    with pytest.raises(SpecError, match="is the class"):
        run.impute(table.assign(size="giant"))
    nothing = run.impute(table.assign(height=np.nan, weight=np.nan, size=None)).frame()
    assert nothing.notna().all().all()


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


CONDITIONAL = """\
model conditional
observed x : real[2] from "d.npz".x
observed y : real from "d.npz".y
p(x | y) = Normal(mlp[8](y))
"""


def test_what_nothing_models_has_to_be_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = run_of(tmp_path, CONDITIONAL, {"x": rng.normal(size=(30, 2)), "y": rng.normal(size=30)})
    rows = {"x": np.array([[np.nan, 1.0]]), "y": np.array([0.5])}
    assert np.isfinite(run.impute(rows)["x"]).all()
    with pytest.raises(SpecError, match="`y`"):
        run.impute({"x": rows["x"]})


COUNTED = """\
model counted
observed m : natural from "d.npz".n
observed x : natural[4] from "d.npz".x
{read}
latent c : categorical(2)
latent z : {z}
p(c) = Categorical(param)
p(z) = {prior}
p(x | c, z, m) = Multinomial(m, mlp[4](c, z))
"""
READ = 'observed y : real from "d.npz".y\np(y | x) = Normal(linear(x), 1)'


def counted(folder: Path, z: str = "binary", prior: str = "Bernoulli(logits = 0.4)", read: str = "") -> FittedRun:
    n = np.random.default_rng(1).integers(3, 9, 40)
    x = np.random.default_rng(0).multinomial(n, [0.1, 0.2, 0.3, 0.4])
    data = {"x": x.astype(float), "n": n.astype(float), "y": x @ np.arange(4.0)}
    return run_of(folder, COUNTED.format(z=z, prior=prior, read=read), data, spread=0.7)


@pytest.mark.parametrize(
    ("z", "prior", "way"),
    [
        ("binary", "Bernoulli(logits = 0.4)", "exact"),
        ("real", "Normal(0, 1)", "weights"),
        ("real per data", "Normal(0, 1)", ""),
    ],
)
def test_counts_that_add_up_are_completed_by_what_is_left(tmp_path: Path, z: str, prior: str, way: str) -> None:
    """By enumeration of all counts that agree with what is seen, latents by scipy's quadrature."""
    run = counted(tmp_path, z, prior)
    row, n = np.array([1.0, np.nan, np.nan, np.nan]), 4
    found = run.impute({"x": row[None], "m": [n]}, draws=DRAWS)
    drawn = found["x"][0]
    assert (drawn[:, 0] == 1).all() and (drawn.sum(1) == n).all() and way in str(found.notes)
    with pytest.raises(SpecError, match="some rows cannot be completed"):
        run.impute({"x": [[3.0, 2.0, np.nan, np.nan]], "m": [n]}, draws=2)["x"]
    if way:
        every = np.array([x for x in itertools.product(range(n + 1), repeat=4) if sum(x) == n and x[0] == 1])
        places = [0.0, 1.0] if way == "exact" else np.linspace(-6, 6, 401)
        weights = stats.bernoulli(1 / (1 + np.exp(-0.4))).pmf([0, 1]) if way == "exact" else stats.norm.pdf(places)
        joint = np.zeros(len(every))
        classes = run.model.p_c().probs.detach().numpy().reshape(-1)
        for place, weight in zip(places, weights, strict=True):
            for c in range(2):
                with torch.no_grad():
                    law = run.model.p_x(
                        **{k: torch.tensor([float(v)]) for k, v in {"m": n, "c": c, "z": place}.items()}
                    )
                shares = np.asarray(law.logits[0].exp(), np.float64)
                joint += weight * classes[c] * stats.multinomial(n, shares / shares.sum()).pmf(every)
        joint /= joint.sum()
        mean = joint @ every
        close(drawn.mean(0), mean, 2 * np.sqrt(joint @ (every - mean) ** 2))


def test_counts_that_something_reads_are_refused_where_no_chain_keeps_their_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completed by what the model draws, a row has no probability, and what is behind it no posterior."""
    monkeypatch.setattr(imputing, "LEARNING", 1)
    monkeypatch.setattr(imputing, "BURN_IN", 2)
    run = counted(tmp_path, read=READ)
    with pytest.raises(SpecError, match="no chain of `x` comes to values"):
        run.impute({"x": np.array([[4.0, np.nan, np.nan, 0.0]]), "m": [99.0], "y": [3.0]}, draws=2)["x"]


DATED = """\
model dated
observed x : real from standardize("people.csv".height)
observed b : real from standardize(dates("people.csv".born))
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(linear(z), param)
p(b | z) = Normal(linear(z), param)
train { epochs = 1 }
"""


def test_dates_are_texts(tmp_path: Path) -> None:
    born = pd.date_range("1990-01-01", periods=60).strftime("%Y-%m-%d")
    people(60).assign(born=born).to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, DATED)
    table = pd.DataFrame({"height": [170.0, 180.0, np.nan], "born": ["1990-01-20", None, "1990-01-02"]})
    found = run.impute(table, deviations=True).frame()
    assert found["born"][0] == "1990-01-20" and found["born"][2] == "1990-01-02"
    assert abs(pd.Timestamp(found["born"][1]) - pd.Timestamp("1990-01-30")).days < 100
    assert 0.5 < found["born_deviation"][1] < 100 and np.isnan(found["born_deviation"][0])
    many = run.impute(table, draws=2).frame()
    assert pd.to_datetime(many["born"]).notna().all()
