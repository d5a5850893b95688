"""Units of the data: what networks read and give counts from where the training rows lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from safetensors.torch import load_file

from dgmppl import pipeline
from dgmppl.lifecycle import resume_run, train_spec
from dgmppl.plan.explain import explain_plan
from dgmppl.runtime import GenerativeModel, Units
from dgmppl.source import Source
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.runs import Run
from dgmppl.train.start import start_units

PEOPLE = """
model people
observed x : real[2] from "people.csv"[height, weight]
p(x) = Normal(param)
"""


def people(folder: Path, scale: float = 1.0) -> np.ndarray:
    r = np.random.default_rng(0)
    rows = np.array([[170 + 10 * a, 70 + 12 * b] for a, b in r.normal(size=(300, 2))]).round(1) * scale
    lines = "".join(f"{a:.6g},{b:.6g}\n" for a, b in rows)
    (folder / "people.csv").write_text("height,weight\n" + lines)
    return rows


def fitted(folder: Path, name: str, epochs: int | None = None) -> Run:
    settings = (f"train.epochs={epochs}",) if epochs else ()
    return train_spec(pipeline.read(folder / "spec.dgm", settings), folder / name)[1]


def model_of(text: str) -> GenerativeModel:
    checked = pipeline.check(Source("spec.dgm", text))
    assert checked.plan is not None, checked.diagnostics
    return pipeline.build(checked)


def test_data_far_from_zero_are_fitted_with_all_defaults(tmp_path: Path) -> None:
    """The normal of the greatest likelihood, scored on the test rows by scipy."""
    rows = people(tmp_path)
    (tmp_path / "spec.dgm").write_text(PEOPLE)
    run = fitted(tmp_path, "run")
    train, test = rows[:180], rows[240:]
    best = scipy.stats.norm(train.mean(0), train.std(0)).logpdf(test).sum(1).mean()
    assert run.record["figures"]["test"]["log_prob"]["mean"] == pytest.approx(best, abs=0.05)


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_a_network_fits_data_of_any_scale_alike(tmp_path: Path, factor: float) -> None:
    """In data that are multiplied by a factor every density is that many times smaller; nothing else changes."""
    people(tmp_path, factor)
    text = """
model heads
observed h : real from "people.csv".height
observed w : real from "people.csv".weight
p(h) = Normal(param)
p(w | h) = Normal(mlp[16](h))
train { epochs = 30 }
"""
    (tmp_path / "spec.dgm").write_text(text)
    run = fitted(tmp_path, "run")
    found = run.record["figures"]["test"]["log_prob"]["mean"] + 2 * np.log(factor)
    assert found == pytest.approx(-7.5, abs=0.3)


def test_units_are_those_of_the_training_rows_and_lie_with_the_weights(tmp_path: Path) -> None:
    rows = people(tmp_path)[:180]
    (tmp_path / "spec.dgm").write_text(PEOPLE)
    fitted(tmp_path, "run", 1)
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    np.testing.assert_allclose(weights["x_units.mean"].numpy(), rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(weights["x_units.deviation"].numpy(), rows.std(0), rtol=1e-6)


def test_a_switch_turns_them_off_and_explain_tells_them() -> None:
    on = pipeline.check(Source("spec.dgm", PEOPLE))
    off = pipeline.check(Source("spec.dgm", PEOPLE + "train { units = false }"))
    assert on.plan is not None and off.plan is not None
    assert "x in those of its training rows: loc and scale of p(x)" in explain_plan(on.plan)
    assert "units" not in explain_plan(off.plan)
    whole = 'model m\nobserved x : real[4] from standardize(flatten("a.npz".x))\np(x) = Normal(param)'
    scaled = pipeline.check(Source("spec.dgm", whole))
    assert scaled.plan is not None and not scaled.plan.units  # its transform has given it units
    assert not any(isinstance(m, Units) for m in pipeline.build(off).modules())


@pytest.mark.parametrize(
    ("data", "density", "law"),
    [
        ("real", "Normal(param)", scipy.stats.norm(1e4, 50)),
        ("real", "Laplace(param)", scipy.stats.laplace(-1e4, 50)),
        ("positive", "Gamma(param)", scipy.stats.gamma(4, scale=5e3)),
        ("positive", "Exponential(param)", scipy.stats.expon(scale=5e3)),
        ("positive", "LogNormal(param)", scipy.stats.lognorm(0.5, scale=5e3)),
        ("positive", "HalfNormal(param)", scipy.stats.halfnorm(scale=5e3)),
        ("natural", "Poisson(param)", scipy.stats.poisson(3e3)),
        ("integer", "DiscretizedLogistic(param)", scipy.stats.norm(5e3, 100)),
    ],
)
def test_a_parameter_starts_near_the_data(data: str, density: str, law: scipy.stats.rv_continuous) -> None:
    """Before the first step a row costs less than 3 nats more than under the law that it was drawn from (a Poisson's
    rate is 0.7 means then, which is many of its deviations: 5 % of what it would be from 1)."""
    whole = data in ("natural", "integer")
    rows = law.rvs(size=500, random_state=0)
    x = torch.tensor(rows.round() if whole else rows, dtype=torch.float32)
    model = model_of(f'model m\nobserved x : {data} from "a.csv".x\np(x) = {density}')
    before = model.log_prob(x).mean()
    start_units(model, MemoryExamples([x]))
    after = model.log_prob(x).mean()
    if density == "Poisson(param)":
        assert after > 0.05 * before
    else:
        assert after > np.log(law.pdf(rows)).mean() - 3


def test_what_is_missing_and_what_lies_beyond_the_end_count_nothing() -> None:
    gaps = model_of(
        """
model gaps
partial x : real[2] elementwise from "a.csv"[a, b]
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[4](z))
q(z | x) = Normal(mlp[4](x))
"""
    )
    x = torch.tensor([[1.0, torch.nan], [3.0, 50.0], [5.0, 70.0]])
    start_units(gaps, MemoryExamples([x]))
    units = gaps.x_units
    assert isinstance(units, Units)
    torch.testing.assert_close(units.mean, torch.tensor([3.0, 60.0]))
    torch.testing.assert_close(units.deviation, torch.tensor([(8 / 3) ** 0.5, 10.0]))
    ends = model_of(
        """
model ends
observed n : integer(1..3) from "a.npz".n
observed x[t in 1..n] : real from "a.npz".x
p(n) = Categorical(param)
p(x[t]) = Normal(param)
"""
    )
    rows = {"n": torch.tensor([1.0, 3.0]), "x": torch.tensor([[2.0, 99.0, 99.0], [4.0, 6.0, 8.0]])}
    start_units(ends, MemoryExamples([rows[name] for name in ends.data]))
    units = ends.x_units
    assert isinstance(units, Units)
    assert float(units.mean) == pytest.approx(5.0)
    assert float(units.deviation) == pytest.approx(5.0**0.5)


def test_a_column_that_does_not_vary_has_a_deviation_of_one() -> None:
    model = model_of('model c\nobserved x : real[2] from "a.csv"[a, b]\np(x) = Normal(param)')
    start_units(model, MemoryExamples([torch.tensor([[170.1, 1.0], [170.1, 3.0]])]))
    units = model.x_units
    assert isinstance(units, Units)
    assert units.deviation.tolist() == [1.0, 1.0]


def test_resumed_fits_have_the_bits_of_whole_ones(tmp_path: Path) -> None:
    people(tmp_path)
    (tmp_path / "spec.dgm").write_text(PEOPLE)
    whole = fitted(tmp_path, "whole", 4)
    fitted(tmp_path, "part", 2)
    _, part = resume_run(tmp_path / "part", overrides=("train.epochs=4",))
    assert whole.record["steps"] == part.record["steps"]
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "part"))
    assert all(torch.equal(first[name], second[name]) for name in first)
