"""A posterior learned from draws of a simulator, against the one that follows from the simulator's density."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare

from dgmppl import pipeline
from dgmppl.data.readers import read_dataset
from dgmppl.lifecycle import ComputeOptions, train_spec
from tests.contracts.support import seed

SPEC = Path(__file__).parents[2] / "specs" / "flow" / "simulation_posterior.dgm"
DRAWS = 99
Array = NDArray[np.float64]


def log_likelihood(along: Array, across: Array, x: Array) -> Array:
    """log p(x | t) of a set of draws x, (16, 2), for |t1 + t2| / sqrt 2 and (t2 - t1) / sqrt 2 of any shape.

    A distance r of Normal(0.5, 0.1) and an angle that is uniform on the right half, in place of two coordinates.
    """
    first, second = x[:, 0] - 0.25 + along[..., None], x[:, 1] - across[..., None]
    r = np.hypot(first, second)
    logs = -0.5 * ((r - 0.5) / 0.1) ** 2 - np.log(0.1 * np.sqrt(2 * np.pi)) - np.log(np.pi) - np.log(r)
    return np.where(first > 0, logs, -np.inf).sum(-1)


def log_posterior(theta: Array, x: Array, points: int = 201) -> float:
    """log p(theta | x) under the uniform prior; its integral by a sum over the diamond that |t1 + t2| and t2 - t1 fill,
    around where x can be from. Each of its points stands for two of theta, t1 + t2 being positive or negative."""
    sides = [np.linspace(c - 0.4, c + 0.4, points) for c in (0.25 + 1 / np.pi - x[:, 0].mean(), x[:, 1].mean())]
    along, across = np.meshgrid(*sides, indexing="ij")
    inside = (along > 0) & (along + np.abs(across) < np.sqrt(2))
    logs = np.where(inside, log_likelihood(along, across, x), -np.inf)
    cell = (sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0])
    evidence = np.logaddexp.reduce(logs, axis=None) + np.log(2 * cell)
    true = log_likelihood(np.abs(theta.sum()) / np.sqrt(2), (theta[1] - theta[0]) / np.sqrt(2), x)
    return float(true - evidence)


def test_the_density_of_a_draw_integrates_to_1() -> None:
    """Over the places that it may have come from, which is over what it may be."""
    side = np.linspace(-1.5, 1.5, 1501)
    logs = log_likelihood(*np.meshgrid(side, side, indexing="ij"), np.array([[0.3, 0.1]]))
    assert np.exp(logs).sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=2e-3)


@pytest.mark.slow
def test_what_is_learned_is_calibrated_and_near_the_posterior(tmp_path) -> None:
    """No density has a larger mean of its logarithm than the posterior's own. And the true parameters have ranks among
    draws of the posterior that are uniform (Talts et al., 2018), those of each and those of their sum's size."""
    model, _ = train_spec(pipeline.read(SPEC, ("train.epochs=40",)), tmp_path / "run", ComputeOptions("cpu"))
    rows = {name: values[-1000:] for name, values in read_dataset("two_moons").items()}
    theta, x = (torch.as_tensor(rows[name], dtype=torch.float32) for name in ("theta", "observations"))
    model.eval()
    with torch.no_grad(), seed(1):
        learned = model.log_prob(x=x[:200], theta=theta[:200]).double().numpy()
        drawn = torch.stack([model.sample(len(x), x=x) for _ in range(DRAWS)])
    exact = np.array(
        [log_posterior(t, o) for t, o in zip(rows["theta"][:200], rows["observations"][:200], strict=True)]
    )
    gap = exact - learned
    assert 0 < gap.mean() < 1.0, (gap.mean(), gap.std())
    for statistic in (lambda t: t[..., 0], lambda t: t[..., 1], lambda t: t.sum(-1).abs()):
        ranks = (statistic(drawn) < statistic(theta)).sum(0).numpy()
        assert chisquare(np.histogram(ranks, bins=20, range=(0, DRAWS + 1))[0]).pvalue > 1e-4
