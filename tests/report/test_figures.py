"""What figures a model has, what they are called everywhere, and what is said of them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from dgmppl import pipeline
from dgmppl.apply.sample import sample_run
from dgmppl.catalogue import figures as catalogue
from dgmppl.catalogue.figures import KINDS, PREDICTED, as_data, read_figures
from dgmppl.emit.figures import _WRITE
from dgmppl.lifecycle import resume_run
from dgmppl.plan.explain import explain_plan
from dgmppl.report.compare import compare
from dgmppl.report.history import read_history
from dgmppl.runtime import importance_bound
from dgmppl.source import Source
from dgmppl.train.measures import MEASURES

from .runs import SPECS, train

LATENT_CLASS = """\
model latent_class
observed x : real[2] from moons.point
latent y : categorical(3)
E(x, y) = -mlp[16](x)[y] + sum(x ^ 2) / 2
train { epochs = 1 }
"""
WEIGHED = SPECS["vae"].replace("epochs = 2", "epochs = 2, objective = iwae(4)")
FLOW = SPECS["flow"].replace("latent", "observed y : categorical(2) from moons.label\nlatent", 1)


def plan_of(text):
    found = pipeline.check(Source("a.dgm", text))
    assert not found.errors, found.errors
    return found.plan


def test_every_kind_is_computed_somewhere():
    assert KINDS.keys() == _WRITE.keys() | MEASURES.keys() | {"bits", "auroc"} | {*PREDICTED.values()}
    for kind in KINDS.values():
        assert kind.better in ("higher", "lower")
        assert kind.relation in ("exact", "lower bound", "estimate")
        assert kind.unit
        assert kind.note


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (SPECS["vae"], ["elbo"]),
        (WEIGHED, ["iwae(4)"]),
        (SPECS["flow"], ["log_prob"]),
        (SPECS["gan"], []),
        (SPECS["rbm"], ["log_prob"]),
        (SPECS["energy"], []),
        (SPECS["partial"], ["elbo", "error"]),
        (LATENT_CLASS, []),
    ],
)
def test_the_plan_says_which_figures_the_emitted_class_gives(text, names):
    found = pipeline.check(Source("a.dgm", text))
    model = pipeline.build(found)
    assert [f.name for f in found.plan.figures] == names
    assert found.plan.criterion == model.criterion == (names[0] if names else None)
    given = {v.name: v.type for v in found.graph.data}
    rows = [torch.zeros(3, *given[name].shape) for name in model.data]
    assert list(model.figures(*rows)) == names
    assert all(len(value) == 3 for value in model.figures(*rows).values())


def test_a_figure_of_a_latent_class_is_none():
    """Nothing says which class a row is of, so p(y | x) of a latent y says nothing of the fit."""
    assert plan_of(LATENT_CLASS).criterion is None
    seen = LATENT_CLASS.replace("latent y : categorical(3)", "observed y : categorical(3) from iris.label")
    seen = seen.replace("moons.point", "iris.data").replace("real[2]", "real[4]")
    assert [f.name for f in plan_of(seen).figures] == ["log p(y | x)", "error"]


def test_records_say_what_is_comparable():
    (bound,) = plan_of(SPECS["vae"]).figures
    (tighter,) = plan_of(WEIGHED).figures
    (exact,) = plan_of(SPECS["flow"]).figures
    assert (bound.estimates, tighter.estimates, exact.estimates) == (
        "a lower bound on log p(x)",
        "a lower bound on log p(x)",
        "log p(x)",
    )
    assert (bound.how, tighter.how, exact.how) == ("one draw of z", "4 draws of z", "exactly")
    assert bound.comparable(tighter)
    assert bound.comparable(exact)
    assert bound.is_likelihood
    bits = catalogue.bits_per_dimension(bound)
    assert bits.lower_is_better
    assert bits.estimates.startswith("an upper bound on")
    assert not bits.comparable(bound)
    error = plan_of(SPECS["partial"]).figures[1]
    assert error.lower_is_better
    assert not error.is_likelihood
    assert error.variables == ("y",)
    assert not error.comparable(bound)


def test_what_a_run_says_of_its_figures_comes_back_and_is_data_from_a_stranger():
    figures = plan_of(SPECS["partial"]).figures
    written = json.loads(json.dumps(as_data(figures)))
    assert [f.name for f in read_figures(written).values()] == ["elbo", "error"]
    assert read_figures(written)["error"].lower_is_better
    for other in (None, [], {"a": 3}, {"elbo": {}}, {"x": written["elbo"]}, {"elbo": {**written["elbo"], "unit": 3}}):
        assert read_figures(other) == {}


def test_the_importance_weighted_figure_has_its_name_everywhere(tmp_path, capsys):
    run = train(tmp_path, WEIGHED)
    record = json.loads((run / "run.json").read_text())
    assert record["criterion"] == "iwae(4)"
    assert record["about_figures"].keys() == {"iwae(4)"}
    assert all(of.keys() == {"iwae(4)"} for of in record["figures"].values())
    for line in (run / "metrics.jsonl").read_text().splitlines():
        assert json.loads(line)["validation"].keys() == {"iwae(4)"}
    model = pipeline.build(pipeline.check(Source("a.dgm", WEIGHED)))
    with pytest.raises(NotImplementedError, match=r"does not give 'elbo'; its figures: iwae\(4\)"):
        model.elbo(torch.zeros(2, 64))
    for file in ("model.py", "report.html", "run.json", "metrics.jsonl"):
        assert "elbo" not in (run / file).read_text().lower().replace("elbow", ""), file


def gaussian_terms(rows_at_once):
    """Log-weights of z ~ N(0, 1) under log p(x | z) = -(x - z)^2 / 2, and how many rows each call takes."""

    def terms(x):
        rows_at_once.append(len(x))
        return {"log p(x | z)": -0.5 * (x - torch.randn(len(x))) ** 2}

    return terms


@pytest.mark.parametrize("rows", [1, 7, 500, 1200])
def test_memory_does_not_grow_with_the_number_of_draws(rows):
    taken = []
    torch.manual_seed(0)
    with torch.no_grad():
        found = importance_bound(gaussian_terms(taken), 1300, torch.zeros(rows))
    assert max(taken) <= max(500, rows)
    assert sum(taken) == 1300 * rows
    # E exp(-z^2 / 2) of a standard normal z is 1 / sqrt(2); its standard deviation is below 0.3.
    assert found.exp().mean().item() == pytest.approx(1 / math.sqrt(2), abs=5 * 0.3 / math.sqrt(1300 * rows))


def test_pieces_of_draws_add_up_to_the_bound_of_all():
    weights = torch.randn(6, 1001, dtype=torch.float64) * 200
    at = iter(range(0, 1001, 83))

    def terms(x):
        first = next(at)
        return {"w": weights[:, first : first + len(x) // 6].reshape(-1)}

    with torch.no_grad():
        found = importance_bound(terms, 1001, torch.zeros(6))
    assert torch.allclose(found, weights.logsumexp(-1) - math.log(1001), rtol=1e-12)


def test_a_gradient_is_of_all_draws_at_once():
    taken = []
    x = torch.zeros(100, requires_grad=True)
    importance_bound(gaussian_terms(taken), 20, x).sum().backward()
    assert taken == [2000]


def test_runs_of_other_quantities_are_told_apart(run_of, tmp_path):
    both = train(tmp_path, FLOW + "p(y | x) = Categorical(mlp[4](x))\n", "both")
    found = compare([run_of("flow"), both])
    said = "log_prob is not of the same quantity in all runs, and does not compare: log p(x) in flow; "
    assert any(remark.startswith(f"{said}log p(x, y) in both") for remark in found.remarks)
    assert not compare([run_of("flow"), run_of("flow")]).remarks
    assert read_history(both).about["log_prob"].quantity == "log p(x, y)"
    bounds = compare([run_of("mean_field"), run_of("flow")]).remarks
    assert any("they compare as elbo, a lower bound on log p(x), log_prob, log p(x)" in remark for remark in bounds)


CONSTANT = """\
model constant
observed x : real from "x.npy"
p(x) = Normal(param)
train { lr = 0.1, epochs = 2 }
"""


@pytest.mark.painted
def test_a_fit_of_data_that_is_all_the_same_ends_with_figures_and_pictures(tmp_path):
    np.save(tmp_path / "x.npy", np.full(60, 5.0))
    run = train(tmp_path, CONSTANT)
    assert read_history(run).state == "finished"
    assert read_history(run).figures.keys() == {"train", "validation", "test"}
    assert (run / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert "could not be made" not in (run / "report.html").read_text()
    sample_run(run, 1, tmp_path / "one.png")


HYBRID = """\
model hybrid
observed x : real[4] from standardize(iris.data)
observed y : categorical(3) from iris.label
latent   u : real[4]
flow f   = 2 * (coupling[mlp[8], affine] >> reverse)
p(u)     = Normal(0, 1)
x        = f(u)
p(y | u) = Categorical(linear(u))
train { epochs = 3, batch = 32, objective = likelihood(weight = { x = 0.1 }) }
"""
ELEMENTS = """\
model elements
observed s : real[4] from iris.data
observed b : binary[2] from "b.npy"
p(b | s) = Bernoulli(linear(s))
"""
BOUND = """\
model bound
observed x : real[4] from standardize(iris.data)
partial  y : categorical(3) from labelled(iris.label, 20)
observed w : real from standardize(iris.label)
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[8](z), 0.5)
p(y | x) = Categorical(linear(x))
p(w | z) = Normal(linear(z))
q(z | x, w) = Normal(mlp[8](x, w))
train { epochs = 1 }
"""


def rows_of(found, n=7):
    torch.manual_seed(0)
    given = {v.name: v.type for v in found.graph.data}
    return [
        torch.randint(3, (n,)).float() if given[name].support.finite else torch.randn(n, *given[name].shape)
        for name in (v.name for v in found.graph.data)
    ]


def test_factors_that_nothing_reads_have_figures_and_so_has_the_rest():
    figures = {f.name: f for f in plan_of(HYBRID).figures}
    assert list(figures) == ["log_prob", "log p(y | x)", "log p(x)", "error"]
    assert figures["log p(y | x)"].relation == figures["log p(x)"].relation == "exact"
    bound = {f.name: f for f in plan_of(BOUND).figures}
    # w is read by q, so it is no part by itself.
    assert list(bound) == ["elbo", "log p(y | x)", "log p(x, w)", "error"]
    assert bound["log p(x, w)"].estimates == "a lower bound on log p(x, w)"
    assert bound["log p(y | x)"].relation == "exact"
    digits = HYBRID.replace("real[4] from standardize(iris.data)", "integer(0..16)[64] from digits.image")
    digits = digits.replace("real[4]", "real[64]").replace("(3) from iris", "(10) from digits")
    noisy = plan_of(digits.replace("= f(u)", "= floor(f(u))"))
    assert [f.relation for f in noisy.figures[:3]] == ["lower bound"] * 3


def test_the_parts_are_those_of_the_whole():
    found = pipeline.check(Source("a.dgm", HYBRID), overrides=("train.best=objective",))
    model, (x, y) = pipeline.build(found), rows_of(found)
    torch.nn.init.normal_(model.p_y_net.weight)
    given = model.figures(x, y)
    torch.testing.assert_close(given["log p(x)"] + given["log p(y | x)"], given["log_prob"])
    torch.testing.assert_close(0.1 * given["log p(x)"] + given["log p(y | x)"], given["objective"])
    torch.testing.assert_close(given["objective"].mean(), -model.loss(x, y))
    assert given["error"].tolist() == (model.p_y_net(model.infer(x, y)["u"]).argmax(-1) != y).float().tolist()
    two = pipeline.check(Source("b.dgm", ELEMENTS))
    of_two, (s, _) = pipeline.build(two), rows_of(two)
    b = torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1], [1, 1], [0, 0]]).float()
    wrong = (of_two.p_b_net(s).reshape(-1, 2) > 0).float() != b
    assert of_two.figures(s, b)["error"].tolist() == wrong.any(-1).float().tolist()
    # A model of x alone, which has the same flow.
    without = "\n".join(line for line in HYBRID.splitlines() if not line.startswith(("observed y", "p(y")))
    alone = pipeline.build(pipeline.check(Source("a.dgm", without)))
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("p_y")})
    torch.testing.assert_close(given["log p(x)"], alone.log_prob(x))


def test_parts_of_a_bound_are_of_its_draws_and_of_the_rows_that_have_them():
    found = pipeline.check(Source("a.dgm", BOUND))
    model, rows = pipeline.build(found), rows_of(found)
    y = next(k for k, name in enumerate(model.data) if name == "y")
    rows[y][2:] = math.nan
    given = model.figures(*rows)
    assert [len(given[name]) for name in given] == [7, 2, 7, 2]
    torch.testing.assert_close(given["elbo"][2:], given["log p(x, w)"][2:])
    torch.testing.assert_close(given["elbo"][:2], given["log p(x, w)"][:2] + given["log p(y | x)"])


@pytest.mark.parametrize(
    ("best", "name", "lower"),
    [
        ("error(y)", "error", True),
        ("error", "error", True),
        ("log p(y | x)", "log p(y | x)", False),
        ("log p( y|x )", "log p(y | x)", False),
        ("objective", "objective", False),
        ("log_prob", "log_prob", False),
        ('"log p(x)"', "log p(x)", False),
    ],
)
def test_the_epoch_is_chosen_by_the_figure_that_is_asked_for(best, name, lower):
    found = pipeline.check(Source("a.dgm", HYBRID), overrides=(f"train.best={best}",))
    assert found.plan is not None, found.errors
    model = pipeline.build(found)
    assert (found.plan.criterion, model.criterion, model.lower_is_better) == (name, name, lower)
    assert f"by {name} on the validation rows" in explain_plan(found.plan)


def test_a_run_keeps_the_epoch_of_the_least_error_and_so_does_one_that_goes_on(tmp_path):
    run = train(tmp_path, HYBRID.replace("epochs = 3", "epochs = 3, best = error(y)"))
    resume_run(run, overrides=("train.epochs=12",))
    record = json.loads((run / "run.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    errors = [line["validation"]["error"] for line in lines]
    assert record["criterion"] == "error"
    assert record["settings"]["best"] == "error(y)"
    assert record["best_epoch"] == 1 + errors.index(min(errors))
    assert record["figures"]["validation"]["error"]["mean"] == pytest.approx(min(errors))
    assert [line["best"] for line in lines] == [e < min(errors[:k], default=1.1) for k, e in enumerate(errors)]
