"""Scores of rows: their mean is the figure of `evaluate`, their terms add up, and strange rows are told."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from dgmppl.apply.fitted import FittedRun
from dgmppl.diagnostics import SpecError
from dgmppl.report.evaluate import evaluate
from tests.apply.runs import PEOPLE, fit, people

NORMAL = """\
model normal
observed x : real[2] from standardize("people.csv"[height, weight])
p(x) = Normal(param)
train { epochs = 200, lr = 0.02 }
"""
BITS = """\
model bits
observed x : binary[64] from threshold(digits.image, 8)
p(x) = Bernoulli(param)
"""
GAN = """\
model g
observed x : real[2] from moons.point
latent z : real[2]
adversary D(x) = mlp[8]
p(z) = Normal(0, 1)
x = mlp[8](z)
train { epochs = 1 }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("people")
    people(1700).to_csv(folder / "people.csv", index=False)
    return fit(folder, PEOPLE)


def test_scores_are_the_figures_of_evaluate(run: FittedRun) -> None:
    """1,020 training rows: three chunks, each of draws of its own."""
    whole = evaluate(run.path, splits=("train",), importance=20)["train"]
    found = run.score(split="train", importance=20, samples=1)
    assert found["elbo"].shape == (1020,)
    np.testing.assert_allclose(found["elbo"].mean(), whole["elbo"].estimate.mean, rtol=1e-6)
    np.testing.assert_allclose(found["iwae(20)"].mean(), whole["iwae(20)"].estimate.mean, atol=0.02)
    assert (found["iwae(20)"].mean() > found["elbo"].mean()) and np.isfinite(found["iwae(20)"]).all()
    assert run.figures["train"]["elbo"]["mean"] == whole["elbo"].estimate.mean
    behind = evaluate(run.path, splits=("train",), units="model")["train"]
    change = -np.log(run.fields["x"].transforms[0].deviation).sum()
    assert whole["elbo"].estimate.mean - behind["elbo"].estimate.mean == pytest.approx(change, abs=1e-9)
    assert run.figures["validation"]["elbo"]["mean"] == pytest.approx(run.metrics["validation.elbo"].max())


def test_terms_add_up_to_the_bound_row_by_row(run: FittedRun) -> None:
    found = run.score(people(700, seed=4), samples=3)
    terms = [name for name in found if name not in ("elbo", "unusual")]
    assert len(terms) == 4 and "units of x" in terms
    np.testing.assert_allclose(sum(found[name] for name in terms), found["elbo"], atol=1e-4)


def test_a_bound_of_a_row_says_its_draws_and_their_noise(run: FittedRun) -> None:
    """The standard error that is told is that by which single draws differ from seed to seed."""
    rows = people(60, seed=4)
    found, again = run.score(rows, unusual=0), run.score(rows, unusual=0)
    np.testing.assert_array_equal(found["elbo"], again["elbo"])
    told = re.fullmatch(r"elbo: the mean over 16 draws of z: ± (\S+) in the median row, .*--samples", found.notes[0])
    each = np.stack([run.score(rows, unusual=0, samples=1, seed=seed)["elbo"] for seed in range(60)])
    assert told is not None
    assert float(told[1]) == pytest.approx(np.median(each.std(0, ddof=1)) / 4, rel=0.25)
    np.testing.assert_allclose(found["elbo"], each.mean(0), atol=6 * each.std(0).max() / 4)
    assert run.score(rows, samples=1).notes[0] == "elbo: one draw of z"
    far = pd.concat([rows, rows.tail(1).assign(height=1e30)])
    with_far = run.score(far, unusual=0)
    assert not np.isfinite(with_far["elbo"][-1])
    assert float(re.search(r"± (\S+)", with_far.notes[0])[1]) == pytest.approx(float(told[1]), rel=0.25)


def test_an_exact_density_is_that_of_scipy_and_strange_rows_are_told(tmp_path: Path) -> None:
    people(1000).to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, NORMAL)
    others = people(400, seed=9)
    others.loc[3, "weight"] = 400.0
    found = run.score(others)
    p, units = run.model.p_x(), run.fields["x"].transforms[0]
    mean, variance = (m.detach().numpy().ravel() for m in (p.mean, p.variance))
    # The normal of centimetres and kilograms.
    fitted = multivariate_normal(mean * units.deviation + units.mean, np.diag(variance * units.deviation**2))
    rows = others[["height", "weight"]].to_numpy()
    np.testing.assert_allclose(found["log_prob"], fitted.logpdf(rows), rtol=1e-4)
    model = run.score(others, units="model")
    standard = multivariate_normal(mean, np.diag(variance)).logpdf(units.apply(rows))
    np.testing.assert_allclose(model["log_prob"], standard, rtol=1e-4, atol=1e-5)
    assert (model["unusual"] == found["unusual"]).all() and "units of x" not in model
    with pytest.raises(SpecError, match="units are those of the data or of the model, not feet"):
        run.score(others, units="feet")
    assert found["unusual"][3]
    assert found["unusual"].mean() < 0.05
    assert "unusual" not in run.score(others, unusual=0)
    # Of the validation rows themselves it is the share that was asked for.
    assert run.score(split="validation", unusual=0.1)["unusual"].mean() == pytest.approx(0.1, abs=0.006)


def test_discrete_rows_have_bits(tmp_path: Path) -> None:
    run = fit(tmp_path, BITS, overrides=("train.epochs=1",))
    found = run.score()
    np.testing.assert_allclose(found["bits per dimension"], -found["log_prob"] / (64 * np.log(2)), rtol=1e-6)


def test_what_has_no_figure_is_said(tmp_path: Path) -> None:
    run = fit(tmp_path, GAN)
    with pytest.raises(SpecError, match="has no figure of a row"):
        run.score()
