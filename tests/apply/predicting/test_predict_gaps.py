"""Predictions of rows that lack other cells too, against quadrature and conditionals worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.apply.predicting.cases import in_units
from tests.apply.runs import fit, people


def test_gaps_in_what_does_not_matter_are_no_obstacle(run) -> None:
    fitted = run("gaps")
    table = people(5).assign(age=40.0, height=np.nan)
    found = fitted.predict(table, of="a")
    with torch.no_grad():
        law = fitted.model.p_a()
    mean, _ = in_units(fitted, "a", law.mean.item(), 0.0)
    np.testing.assert_allclose(found["a"], mean, rtol=1e-5)
    assert tuple(found.notes) == ("a: exactly, by p(a)",)


def normal_of(covariance: np.ndarray, seen: list[int], values: np.ndarray, of: int) -> tuple[float, float]:
    """The mean and the deviation of an element of a centred normal vector given those that are seen."""
    gain = covariance[[of]][:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    return (gain @ values).item(), np.sqrt((covariance[of, of] - gain @ covariance[seen, of]).item())


def with_gaps() -> pd.DataFrame:
    """Rows of which the second lacks a weight, and the third all of x."""
    table = people(3, seed=4).assign(age=[35.0, 45.0, 30.0])
    table.loc[1:, "weight"] = np.nan
    table.loc[2, "height"] = np.nan
    return table


def test_rows_with_gaps_are_told_what_is_seen_of_them_says(run) -> None:
    """Where the spec has no missing elements too; the whole row as it is told alone."""
    fitted = run("linear_gaussian")
    table = with_gaps()
    found = fitted.predict(table.drop(columns="age"))
    m = fitted.model.double()
    with torch.no_grad():
        eye, zero = torch.eye(2).double(), torch.zeros(1, 2).double()
        w, b = (m.p_x(eye).mean - m.p_x(zero).mean).T, m.p_x(zero).mean[0]
        nothing = torch.zeros(2, 2).double()
        c = m.p_a(zero, zero).mean
        u, v = m.p_a(eye, nothing).mean - c, m.p_a(nothing, eye).mean - c
    fitted.model.float()
    over = np.hstack([np.vstack([w, (u @ w + v)[None]]), np.vstack([0.5 * np.eye(2), 0.5 * u]), [[0], [0], [0.3]]])
    centre = np.append(b, u @ b + c)
    rows = fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())
    for k, seen in enumerate(([0, 1], [0], [])):
        mean, deviation = normal_of(over @ over.T, seen, rows[k, seen] - centre[seen], 2)
        mean, deviation = in_units(fitted, "a", mean + centre[2], deviation)
        print(k, found["a"][k], mean, found["a_deviation"][k], deviation)
        assert found["a"][k] == pytest.approx(mean, rel=1e-5)
        assert found["a_deviation"][k] == pytest.approx(deviation, rel=1e-5)
    exactly = "a: exactly, normal given the rest"
    assert list(found.notes) == [exactly, f"rows that miss some of x: {exactly}"]


def test_a_class_given_part_of_what_it_hangs_on_is_that_of_quadrature(run) -> None:
    """What is missing of x is drawn from its law, and not from the q that the fit draws it from."""
    fitted, draws_ = run("regions"), 3000
    table = with_gaps()
    found = fitted.predict(table.drop(columns="size"), draws=draws_)
    grid = torch.linspace(-8, 8, 401)
    rows = fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())
    for k in range(3):
        axes = [grid if np.isnan(v) else torch.tensor([v]).float() for v in rows[k]]
        x = torch.cartesian_prod(*axes)
        with torch.no_grad():
            weights = fitted.model.p_x().log_prob(x).softmax(0)
            expected = weights @ fitted.model.p_y(x).probs
        np.testing.assert_allclose(found["y_probability"][k], expected, atol=1e-5 if k == 0 else 0.03)
    assert "Markov chain" in found.notes[1] and "R of the chains" in found.notes[-1]


def test_a_number_given_part_of_what_a_latent_gives_is_that_of_quadrature(run) -> None:
    fitted, draws_ = run("seen"), 4000
    table = with_gaps()
    found = fitted.predict(table.assign(age=40.0), of="a", draws=draws_)
    z = torch.linspace(-12, 12, 2001)
    rows = torch.tensor(fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())).float()
    with torch.no_grad():
        of_x, of_a, prior = fitted.model.p_x(z), fitted.model.p_a(z), fitted.model.p_z().log_prob(z)
        each = (
            torch.distributions.Normal(of_x.mean, of_x.stddev, validate_args=False)
            .log_prob(rows[:, None])
            .nan_to_num(nan=0.0)
        )
    weights = (prior + each.sum(-1)).double().softmax(-1).numpy()
    mean = weights @ of_a.mean.double().numpy()
    deviation = np.sqrt(weights @ (of_a.variance + of_a.mean**2).double().numpy() - mean**2)
    mean, deviation = in_units(fitted, "a", mean, deviation)
    assert (np.abs(found["a"] - mean) < 0.15 * deviation).all(), (found["a"], mean)
    np.testing.assert_allclose(found["a_deviation"], deviation, rtol=0.1)
    assert np.isfinite(found["effective_sample_size"][0]) and np.isnan(found["effective_sample_size"][1:]).all()
    assert found.figures["NLL"][1].rows == 1 and found.figures["RMSE"][1].rows == 3


def test_a_part_of_an_energy_is_drawn_by_a_chain(run) -> None:
    """The energy of a normal law, whose precision its second derivatives are."""
    fitted = run("quadratic")
    with torch.no_grad():
        w = fitted.model.w.normal_(0, 0.5).double().numpy()
    precision = np.eye(3)
    precision[2, :2] = precision[:2, 2] = -0.5 * w
    table = with_gaps()
    found = fitted.predict(table.drop(columns="age"), draws=4000)
    rows = fitted.fields["x"].apply(table[["height", "weight"]].to_numpy())
    for k, seen in enumerate(([0, 1], [0], [])):
        mean, deviation = normal_of(np.linalg.inv(precision), seen, rows[k, seen], 2)
        mean, deviation = in_units(fitted, "a", mean, deviation)
        assert abs(found["a"][k] - mean) < 0.15 * deviation
        assert found["a_deviation"][k] == pytest.approx(deviation, rel=0.1)


def test_what_a_definition_reads_may_be_missing(tmp_path: Path) -> None:
    """x = u + W y has the mean W E[y] + b where y is missing, and is not NaN."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 2))
    np.savez(tmp_path / "rows.npz", x=y @ rng.normal(size=(2, 2)) + rng.normal(size=(60, 2)), y=y)
    run = fit(tmp_path, DEFINED)
    rows = {"y": np.array([[0.5, -1.0], [np.nan, 2.0], [np.nan, np.nan]])}
    found = run.predict(rows, draws=2000)
    named = {name: values.detach().double().numpy() for name, values in run.model.state_dict().items()}
    loc, weight, bias = (next(v for n, v in named.items() if n.endswith(end)) for end in ("y_loc", "weight", "bias"))
    filled = np.where(np.isnan(rows["y"]), loc, rows["y"])
    np.testing.assert_allclose(found["x"], filled @ weight.T + bias, atol=0.25)
    assert "rows that miss some of y" in " ".join(found.notes)


DEFINED = """\
model defined
partial  y : real[2] elementwise from "rows.npz".y
observed x : real[2] from "rows.npz".x
latent   u : real[2]
flow f(o) = o + linear(y)
p(y) = Normal(param, 1)
p(u) = Normal(0, 1)
x    = f(u)
train { epochs = 1, units = false }
"""
