"""A member of a family or an element of a vector is predicted from all else in its row: oracles by blocks and sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from dgmppl.apply.fitted import FittedRun
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import fit, people

SPEC = """\
model parts
observed y[t in 1..4] : real from "r.npz".y
observed c[t in 1..3] : categorical(3) from "r.npz".c
observed x : real[3] from standardize("people.csv"[height, weight, age])
observed f : real[2] from "r.npz".f
latent   z : real
p(y[1]) = Normal(param, param)
p(y[t] | y[t - 1]) = Normal(linear(y[t - 1]), param)
p(c[1]) = Categorical(param)
p(c[t] | c[t - 1]) = Categorical(linear(c[t - 1]))
p(z) = Normal(0, 1)
p(x | z) = Normal(linear(z), param)
p(f) = Laplace(param, 1)
train { epochs = 3, lr = 1e-1 }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    table = people(60)
    table.assign(age=20 + table["weight"] / 3).to_csv(folder / "people.csv", index=False)
    y = 1 + rng.normal(size=(60, 4)).cumsum(1)
    np.savez(folder / "r.npz", y=y, c=rng.integers(0, 3, (60, 3)), f=rng.normal(size=(60, 2)))
    return fit(folder, SPEC)


def rows_of(run: FittedRun) -> dict[str, torch.Tensor]:
    return next(run.rows(split="test").chunks())


def law_of_parts(run: FittedRun, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a variable: of x by its factor at two points, of y by autograd."""
    m = run.model
    with torch.no_grad():
        if name == "x":
            at, step = m.p_x(torch.zeros(1)), m.p_x(torch.ones(1))
            slope = (step.mean - at.mean)[0].double().numpy()
            return at.mean[0].double().numpy(), np.outer(slope, slope) + np.diag(at.variance[0].double().numpy())

    def log_density(y: torch.Tensor) -> torch.Tensor:
        return m.p_y().log_prob(y[None]).sum()

    zero = torch.zeros(4)
    precision = -torch.autograd.functional.hessian(log_density, zero).double().numpy()
    slope = torch.autograd.functional.jacobian(log_density, zero).double().numpy()
    return np.linalg.solve(precision, slope), np.linalg.inv(precision)


NEITHER = "it has neither few values nor a normal law given that"
PARTS = [("y[3]", "y", 2), ("y[1]", "y", 0), ("x[1]", "x", 1), ("weight", "x", 1)]


@pytest.mark.parametrize(("asked", "name", "place"), PARTS)
def test_a_normal_part_is_that_of_the_blocks(run: FittedRun, asked: str, name: str, place: int) -> None:
    mean, covariance = law_of_parts(run, name)
    values = rows_of(run)[name].double().numpy()
    others = [k for k in range(len(mean)) if k != place]
    gain = covariance[place, others] @ np.linalg.inv(covariance[np.ix_(others, others)])
    expected = mean[place] + (values[:, others] - mean[others]) @ gain
    deviation = np.sqrt(covariance[place, place] - gain @ covariance[others, place])
    scale = run.fields[name].transforms[0] if name == "x" else None
    unit, start = (scale.deviation[place], scale.mean[place]) if scale is not None else (1.0, 0.0)
    found = run.predict(split="test", of=asked)
    np.testing.assert_allclose(found[asked], expected * unit + start, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[f"{asked}_deviation"], deviation * unit, rtol=1e-4)
    assert list(found.frame()) == [asked, f"{asked}_deviation"] and "exactly, normal" in found.notes[0]
    away = values[:, place] - expected
    nll = -multivariate_normal(0, deviation**2).logpdf(away).mean() + np.log(unit)
    assert found.figures["NLL"][1].mean == pytest.approx(nll, rel=1e-4)
    assert found.figures["coverage"][1].mean == pytest.approx((np.abs(away) <= norm.ppf(0.95) * deviation).mean())
    assert found.figures["RMSE"][1].mean == pytest.approx(np.sqrt((away**2).mean()) * unit, rel=1e-4)


def test_a_part_of_few_values_is_that_of_enumeration(run: FittedRun, tmp_path: Path) -> None:
    rows, logs = rows_of(run), []
    with torch.no_grad():
        for k in range(3):
            c = rows["c"].clone()
            c[:, 1] = k
            filled = [c if v.name == "c" else rows[v.name] for v in run.graph.data]
            logs.append(run.model.log_prob(*filled).double())
    expected = torch.stack(logs, -1).softmax(-1).numpy()
    found = run.predict(split="test", of="c[2]")
    np.testing.assert_allclose(found["c[2]_probability"], expected, atol=1e-5)
    np.testing.assert_array_equal(found["c[2]"], expected.argmax(-1))
    truth = rows["c"][:, 1].long().numpy()
    assert found.figures["error"][1].mean == pytest.approx((expected.argmax(-1) != truth).mean())
    assert found.figures["NLL"][1].mean == pytest.approx(
        -np.log(expected[np.arange(len(truth)), truth]).mean(), rel=1e-4
    )
    assert main(["predict", str(run.path), "--of", "c[2]", "-o", str(tmp_path / "c.csv")]) == 0
    header = (tmp_path / "c.csv").read_text().splitlines()[0]
    assert header == ",".join(f'"{name}"' for name in ("c[2]", *(f"p(c[2] = {k})" for k in range(3))))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("y[5]", "`y` has no element `y[5]`: its numbers go from 1 to 4"),
        ("x[3]", "`x` has no element `x[3]`: its numbers go from 0 to 2"),
        (
            "f[0]",
            "`f[0]` cannot be predicted from the rest of `f`: " + NEITHER,
        ),
        ("z[0]", "`z[0]` is no variable of the data"),
        (["y[1]", "y[2]"], "`y[1]` is predicted from the rest of its row, alone, and not beside others"),
    ],
)
def test_what_is_no_part_or_has_no_law_is_refused(run: FittedRun, asked: str, said: str) -> None:
    with pytest.raises(SpecError) as failed:
        run.predict(split="test", of=asked)
    (found,) = failed.value.diagnostics
    assert found.headline == said.partition(": its")[0] and (": its" not in said or found.help in said)
