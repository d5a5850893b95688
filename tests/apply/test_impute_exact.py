"""What is missing is imputed by its law given what is seen: against scipy and enumeration, for models whose law is
exact, or unnormalised and of few values. Weights are those of a short fit, or drawn: the law is that of the model,
whatever its weights."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from dgmppl.apply import imputing
from dgmppl.apply.fitted import FittedRun
from dgmppl.diagnostics import SpecError
from tests.apply.imputed import DRAWS, bits, close, run_of

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
