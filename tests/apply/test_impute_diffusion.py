"""What is missing of data that a diffusion starts at, `z[0] = x`: a chain of it and of all members of z has the law of
the model's own draws that agree with what is seen. Replacing what is seen at each step of `sample` has not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dgmppl import pipeline
from dgmppl.apply import imputing
from dgmppl.imputations import no_way, ways
from tests.apply.imputed import run_of

NUMBERS = """\
model numbers
observed x : real[3] from "d.npz".x
const T = 10
latent z[t in 0..T] : real[3]
schedule beta[t in 1..T] = linear(0.05, 0.4)
z[0] = x
q(z[t] | z[t - 1]) = Normal(sqrt(1 - beta[t]) * z[t - 1], sqrt(beta[t]))
p(z[T]) = Normal(0, 1)
p(z[t - 1] | z[t]) = Normal(linear(z[t], t), 0.3)
"""
CLASSES = """\
model classes
observed x : categorical(3)[{size}] from "d.npz".x
const T = {T}
latent z[t in 0..T] : categorical(3)[{size}]
z[0] = x
p(z[T]) = Categorical(0)
p(z[t - 1] | z[t]) = Categorical(mlp[8](z[t], t))
q(z[t] | z[t - 1]) = Categorical(log(0.8 * one_hot(z[t - 1]) + 0.2 / 3))
"""


def test_numbers_are_those_of_the_joint_normal(tmp_path: Path) -> None:
    run = run_of(tmp_path, NUMBERS, {"x": np.random.default_rng(0).normal(size=(40, 3))})
    (weights,) = (p.data for p in run.model.parameters() if p.dim() == 2)
    weights[:, 3:] = 0  # of t
    weights[:3, :3] = 0.75 * torch.tensor([[0.9, 0.3, 0.0], [0.3, 0.9, 0.3], [0.0, 0.3, 0.9]])
    torch.manual_seed(0)
    drawn = run.model.sample(50_000).double().numpy()
    mean, covariance = drawn.mean(0), np.cov(drawn.T)
    first = mean[0] + np.sqrt(covariance[0, 0])
    found = run.impute({"x": [[first, np.nan, np.nan]]}, draws=1000)
    gain = covariance[1:, 0] / covariance[0, 0]
    left = covariance[1:, 1:] - np.outer(gain, covariance[0, 1:])
    deviations = np.sqrt(np.diag(left))
    completed = found["x"][0][:, 1:]
    away = (completed.mean(0) - mean[1:] - gain * (first - mean[0])) / deviations
    assert np.abs(away).max() < 0.15 and np.abs(gain * (first - mean[0]) / deviations).max() > 0.3
    assert (np.abs(np.cov(completed.T) - left) / np.outer(deviations, deviations)).max() < 0.15
    assert "Markov chain" in str(found.notes) and "R of the chains" in found.notes[-1]


@pytest.mark.parametrize("size", [2, 6], ids=["of few values in all", "one after another"])
def test_classes_are_those_of_draws_that_agree(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imputing, "LEARNING", 1)
    monkeypatch.setattr(imputing, "BURN_IN", 15)
    monkeypatch.setattr(imputing, "EACH", 5)
    x = np.random.default_rng(0).integers(0, 3, (40, size)).astype(float)
    run = run_of(tmp_path, CLASSES.format(size=size, T=8), {"x": x}, spread=0.6)
    torch.manual_seed(0)
    drawn = run.model.sample(40_000).numpy()
    first = np.bincount(drawn[:, 0].astype(int)).argmax()
    found = run.impute({"x": [[float(first), *[np.nan] * (size - 1)]]}, draws=1000)
    assert ("and z" in str(found.notes)) == (size == 6)
    agree = drawn[drawn[:, 0] == first]
    for k in range(1, size):
        expected, told = (np.bincount(v[:, k].astype(int), minlength=3) for v in (agree, found["x"][0]))
        np.testing.assert_allclose(told / told.sum(), expected / expected.sum(), atol=0.08)


def test_steps_of_too_many_classes_are_refused_with_their_number() -> None:
    found = pipeline.read(CLASSES.format(size=6, T=200))
    assert not list(ways(found, ("x",)))
    (told,) = no_way(found, ("x",)).diagnostics
    assert "1,200 elements" in (told.help or "")


def test_a_game_has_no_way_and_says_what_has() -> None:
    text = 'model game\nobserved x : real[2] from "d.npz".x\nlatent z : real[2]\np(z) = Normal(0, 1)\n'
    found = pipeline.read(text + "x = mlp[4](z)\nadversary D(x) = mlp[4]\n")
    assert not list(ways(found, ("x",)))
    (told,) = no_way(found, ("x",)).diagnostics
    assert "function of latents" in (told.help or "")
