"""Flow matching as specs ask for it: the model stays what it is, only its field is taught otherwise."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.plan.explain import explain_plan
from dgmppl.plan.settings import TrainSettings
from dgmppl.train.trainer import fit
from tests.contracts.support import build, checked, data_of, seed

_HEAD = 'model matched\nobserved x : real from "rows.npz".x\n'
# What carries N(0, 1) to N(1.5, 0.5^2): from noise along a line, and from data by a score that is known.
NORMAL = {
    "linear": (
        "flow f(u) = u + integrate(t in 0..1: 1.5 + (1.25 * t - 1) / (0.25 * t ^ 2 + (1 - t) ^ 2) * (u - 1.5 * t), "
        "steps = 40)\np(x) = Normal(0, 1) >> f\n"
    ),
    "variance_preserving": (
        "flow f(u) = u + integrate(t in 0..1: -(0.1 + 19.9 * t) / 2 * (u - (u - 1.5 * exp(-4.975 * t ^ 2 - 0.05 * t)) "
        "/ (1 - 0.75 * exp(-9.95 * t ^ 2 - 0.1 * t))), steps = 60)\np(x) = Normal(0, 1) >> inverse(f)\n"
    ),
}


@pytest.mark.parametrize("path", NORMAL)
def test_a_field_in_closed_form_has_the_density_that_it_should(path: str) -> None:
    """Written as the formula that it is, for normal data, and judged by scipy's density."""
    model = build(checked(f"{_HEAD}{NORMAL[path]}train {{ objective = flow_matching({path}) }}\n"))
    last = math.exp(-5.025) if path == "variance_preserving" else 0.0  # as much of the data is in the noise
    law = stats.norm(1.5 - 1.5 * last * 0.5, 0.5)
    x = torch.as_tensor(law.ppf([0.02, 0.2, 0.5, 0.7, 0.98]), dtype=torch.float)
    figures = model.figures(x)
    assert figures["log_prob"].numpy() == pytest.approx(law.logpdf(x.numpy()), abs=5e-3)
    with seed(0):
        drawn = model.sample(4000)
    assert stats.kstest(drawn.numpy(), law.cdf).pvalue > 1e-3


def test_the_figures_are_those_of_the_likelihood() -> None:
    """The same weights have the same likelihood, whatever taught them; an epoch leaves it out."""
    text = (
        'model m\nobserved x : integer(0..7)[3] from "rows.npz".x\nlatent u : real[3]\n'
        "flow f(v) = v + integrate(t in 0..1: mlp[4](v, t), steps = 2)\np(u) = Normal(0, 1)\nx = floor(3 * f(u) + 4)\n"
    )
    taught, likely = (build(checked(text + more), scale=0.3) for more in ("train { objective = flow_matching }", ""))
    likely.load_state_dict(taught.state_dict())
    (x,) = data_of(checked(text), 5)
    found = []
    for model in (taught, likely):
        with seed(2):
            found.append(model.elbo(x))
    torch.testing.assert_close(*found)
    assert set(taught.figures(x)) == {"flow_matching", "elbo"}
    assert set(taught.epoch_figures(x)) == {"flow_matching"}
    assert set(likely.epoch_figures(x)) == {"elbo"}
    with seed(2):
        loss = taught.loss(x)
    with seed(2):
        torch.testing.assert_close(taught.epoch_figures(x)["flow_matching"].mean(), loss)


def test_the_epoch_with_the_smallest_error_is_kept() -> None:
    text = f"{_HEAD.replace('real', 'real[2]')}p(x) = Normal(0, 1) >> ode[mlp[8], steps = 2]\n"
    model = build(checked(text + "train { objective = flow_matching }\n"))
    with seed(0):
        rows = torch.randn(64, 2) * 0.3 + 1
        result = fit(model, [rows], [rows], TrainSettings(epochs=6, batch=16))
    errors = [epoch.validation["flow_matching"] for epoch in result.epochs]
    assert result.best_epoch == 1 + errors.index(min(errors))
    assert min(errors) < errors[0]


def test_a_large_jacobian_is_no_figure() -> None:
    text = 'model m\nobserved x : real[32, 32] from "x.npz".x\np(x) = Normal(0, 1) >> f\n'
    text += "flow f(u) = u + integrate(t in 0..1: conv[2](u, t))\ntrain { objective = flow_matching }\n"
    found = checked(text)
    assert found.plan is not None
    assert [f.name for f in found.plan.figures] == ["flow_matching"]
    assert "is not evaluated" in explain_plan(found.plan)


def test_pyro_has_no_such_objective() -> None:
    found = checked(f"{_HEAD.replace('real', 'real[2]')}p(x) = Normal(0, 1) >> ode[mlp[8]]\n")
    pipeline.emit(found, "pyro")
    asked = checked(f"{found.source.text}train {{ objective = flow_matching }}\n")
    with pytest.raises(SpecError, match="flow matching"):
        pipeline.emit(asked, "pyro")


def test_statements_in_any_order_teach_the_same() -> None:
    lines = [
        'observed y : categorical(2) from "rows.npz".y',
        'observed x : real[3] from "rows.npz".x',
        "latent u : real[3]",
        "p(u) = Normal(0, 1)",
        "x = f(u)",
        "p(y) = Categorical(param)",
        "flow f(v) = v + integrate(t in 0..1: mlp[4](v, t, y), steps = 2)",
        "train { objective = flow_matching(cosine, target = data, weight = { x = 2, y = 3 }) }",
    ]
    plans = [checked("model m\n" + "\n".join(order) + "\n").plan for order in (lines, lines[::-1])]
    assert plans[0] is not None
    assert plans[1] is not None
    assert plans[0].objective.formula == plans[1].objective.formula == "E_t[ -2 |v - dx/dt|^2 ] + 3 log p(y)"
