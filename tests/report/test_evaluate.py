"""Figures of held-out rows: units, tighter bounds against the truth, measures of samples."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.report.evaluate import evaluate, measure, pick_rows
from dgmppl.train.runs import load_run

from .runs import train
from .test_figures import HYBRID

GAUSSIAN = """\
model gaussian
observed x : real[1] from "mine.npz".x
latent   z : real[1]
p(z)     = Normal(0, 1)
p(x | z) = Normal(z, 0.5)
q(z | x) = Normal(mlp[4](x))
train { epochs = 30, optimizer = adam(0.02), objective = elbo(beta = 0.5) }
"""

BERNOULLI = """\
model bernoulli
observed x : binary[5] from "mine.npz".b
latent   z : real[1]
p(z)     = Normal(0, 1)
p(x | z) = Bernoulli(mlp[4](z))
q(z | x) = Normal(mlp[4](x))
train { epochs = 10, optimizer = adam(0.02) }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    source = np.random.default_rng(0)
    x = source.normal(0, math.sqrt(1.25), (500, 1)).astype("float32")
    np.savez(folder / "mine.npz", x=x, b=(source.random((500, 5)) < 0.4).astype("float32"))
    return folder


@pytest.fixture(scope="module")
def gaussian(folder):
    return train(folder, GAUSSIAN, "gaussian")


def test_the_importance_bound_lies_between_elbo_and_likelihood(gaussian, folder):
    test = np.load(folder / "mine.npz")["x"][400:, 0].astype(float)
    # x = z + noise: its variance is 1 + 1/4 exactly.
    truth = np.mean(-0.5 * math.log(2 * math.pi * 1.25) - test**2 / 2.5)
    few, many = (evaluate(gaussian, importance=k, samples=4)["test"] for k in (5, 1000))
    elbo = few["elbo"].estimate.mean
    assert elbo < few["iwae(5)"].estimate.mean < many["iwae(1000)"].estimate.mean
    assert many["iwae(1000)"].estimate.mean == pytest.approx(truth, abs=0.02)
    assert elbo < truth - 0.05


def test_the_importance_bound_of_a_network_against_quadrature(folder):
    run = train(folder, BERNOULLI, "bernoulli")
    model, _ = load_run(run)
    x = torch.from_numpy(np.load(folder / "mine.npz")["b"][400:])
    grid = torch.linspace(-8, 8, 4001)
    with torch.no_grad():
        prior = -0.5 * grid**2 - 0.5 * math.log(2 * math.pi)
        joint = torch.stack([model.p_x(grid[:, None]).log_prob(row) for row in x]) + prior
        truth = (torch.logsumexp(joint, 1) + math.log(16 / 4000)).mean().item()
    found = evaluate(run, importance=300, samples=20, splits=["test"])["test"]
    assert found["iwae(300)"].estimate.mean == pytest.approx(truth, abs=0.01)
    assert found["elbo"].estimate.mean <= truth
    bits = found["iwae(300) bits per dimension"].estimate
    assert bits.mean == pytest.approx(-found["iwae(300)"].estimate.mean / (5 * math.log(2)), rel=1e-12)
    assert found["bits per dimension"].unit == "bits per dimension"
    assert found["bits per dimension"].estimate.standard_error > 0


def test_one_importance_sample_is_the_elbo_of_the_model(gaussian):
    found = evaluate(gaussian, importance=1, splits=["test"])["test"]
    # The weight of the fit, beta, is none of the bound's.
    assert found["iwae(1)"].estimate == found["elbo"].estimate


def test_continuous_data_has_no_bits(gaussian):
    assert set(evaluate(gaussian, splits=["test"])["test"]) == {"elbo"}


@pytest.mark.parametrize("name", ["flow", "gan", "rbm"])
def test_no_importance_bound_without_a_q(run_of, name):
    with pytest.raises(SpecError, match=r"E650: .* has no importance-weighted bound: .*no latent is drawn from a q"):
        evaluate(run_of(name), importance=5)


def test_measures_are_there_unasked_where_there_is_no_likelihood(run_of):
    names = {"mmd2", "precision", "recall"}
    assert set(evaluate(run_of("gan"), splits=["test"])["test"]) == names
    assert set(evaluate(run_of("energy"), splits=["test"])["test"]) == names
    assert not names & set(evaluate(run_of("flow"), splits=["test"])["test"])
    asked = evaluate(run_of("flow"), splits=["test"], measures=True)["test"]
    assert names < set(asked)
    assert asked["mmd2"].over == "10 sets of samples"
    assert asked["mmd2"].estimate.standard_error > 0
    assert asked["mmd2"].estimate.rows == 450


class Echo:
    """A model that knows the data: its samples are rows of it."""

    data = ("x", "y")
    device = torch.device("cpu")

    def __init__(self, x):
        self.x = x

    def sample(self, n, y):
        assert y.shape == (n,)
        # The condition says which half of the rows.
        halves = torch.where(y == 0, 0, len(self.x) // 2)
        return self.x[halves + torch.randint(len(self.x) // 2, (n,))]


def test_samples_like_the_data_measure_as_such(run_of):
    from dgmppl.train.contents import parts

    graph, _ = parts(load_run(run_of("gan"))[1].checked)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 2)).astype("float32"))
    y = torch.arange(300).ge(150).float()
    found = measure(Echo(x), graph, [x, y])
    assert abs(found["mmd2"].estimate.mean) < 4 * found["mmd2"].estimate.standard_error + 0.002
    assert found["precision"].estimate.mean == 1.0
    far = measure(Echo(x + 10), graph, [x, y])
    assert far["mmd2"].estimate.mean > 0.5
    assert far["precision"].estimate.mean == far["recall"].estimate.mean == 0.0
    assert measure(Echo(x), graph, [x[:3], y[:3]]) == {}
    wild = measure(Echo(x * math.inf), graph, [x, y])
    assert all(math.isnan(figure.estimate.mean) for figure in wild.values())


def test_what_some_rows_lack_is_not_measured(run_of):
    found = evaluate(run_of("partial"), measures=True, splits=["train"])["train"]
    assert math.isfinite(found["mmd2"].estimate.mean)


def test_rows_are_picked_without_bias_in_one_pass():
    class Numbered:
        data = ("x",)

    class Rows:
        passes = 0

        def chunks(self, size):
            self.passes += 1
            return ([part] for part in torch.arange(5000.0).split(size))

    rows = Rows()
    found = np.stack([pick_rows(Numbered, rows, 100, seed)["x"] for seed in range(50)])
    assert rows.passes == 50
    assert found.shape == (50, 100)
    assert all(len(set(picked)) == 100 for picked in found.tolist())
    # The mean of 5000 picks of 0..4999: 2500, with standard deviation 1443 / sqrt(5000) = 20.
    assert abs(found.mean() - 2499.5) < 80
    every = pick_rows(Numbered, [torch.arange(7.0)], 100)["x"]
    assert every.tolist() == list(range(7))


def test_the_command_says_units_and_what_errors_are_over(run_of, capsys):
    assert main(["evaluate", str(run_of("vae")), "--split", "test", "--importance", "3", "--measures"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines[:-1]] == ["elbo", "bits", "iwae(3)", "iwae(3)", "mmd2", "precision", "recall"]
    assert "nats" in lines[0]
    assert lines[0][-2:] == ["447", "rows"]
    assert " ".join(lines[-1]).startswith("measures: means over 10 sets of samples")
    assert main(["evaluate", str(run_of("vae")), "--split", "test", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"test"}
    numbers, about = {"mean", "standard_error", "rows"}, {"unit", "better", "estimates", "how", "over"}
    assert found["test"]["elbo"].keys() == numbers | about
    assert found["test"]["elbo"]["estimates"] == "a lower bound on log p(x)"
    assert found["test"]["elbo"]["how"] == "one draw of z"
    several = evaluate(run_of("vae"), splits=["test"], samples=3)["test"]
    assert several["elbo"].figure.how == several["bits per dimension"].figure.how == "3 draws of z"
    assert main(["evaluate", str(run_of("flow")), "--importance", "3"]) == 1
    assert "error[E650]" in capsys.readouterr().err


@pytest.mark.parametrize(("samples", "drawn"), [(1, 16), (4, 16), (20, 20)])
def test_where_rows_have_latents_in_common_figures_and_scores_are_of_as_many_draws(run_of, samples: int, drawn: int):
    taken: list[np.ndarray] = []
    run = run_of("shared")
    found = evaluate(run, splits=["test"], samples=samples, scored=lambda _, scores: taken.append(scores["test"]))
    elbo = found["test"]["elbo"]
    assert elbo.figure.how == f"{drawn} draws of m, w, z"
    assert taken[0].mean() == pytest.approx(elbo.estimate.mean, rel=1e-6)


def test_rows_without_a_label_are_told_by_what_else_there_is(tmp_path):
    """The label says nothing of how unlike others a row is, and need not be there."""
    text = HYBRID.replace("epochs = 3", "epochs = 1")
    run = train(tmp_path, text)
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    y = np.arange(20) % 3
    np.savez(tmp_path / "inside.npz", data=x, label=y)
    np.savez(tmp_path / "outside.npz", data=x + 30)
    np.savez(tmp_path / "both.npz", data=x + 30, label=y)
    found = evaluate(run, data=[tmp_path / f"{name}.npz" for name in ("inside", "outside", "both")])
    inside, outside, both = found.values()
    assert list(outside) == ["log p(x)", "entropy", "auroc"]
    assert outside["log p(x)"].estimate == both["log p(x)"].estimate
    assert outside["auroc"].estimate == both["auroc"].estimate
    assert outside["auroc"].estimate.mean > 0.99
    assert outside["auroc"].figure.quantity.endswith("by log p(x)")
    assert {"log_prob", "log p(y | x)", "error"} <= inside.keys()
