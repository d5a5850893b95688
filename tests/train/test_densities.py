"""Densities in the units of the data: they integrate to one there, whatever the transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from sklearn.metrics import root_mean_squared_error

from dgmppl import pipeline
from dgmppl.data.fields import Field
from dgmppl.data.transforms import Log, Scale, Standardize
from dgmppl.report.evaluate import evaluate
from dgmppl.source import Source
from dgmppl.train.contents import parts
from dgmppl.train.densities import DensityUnits
from tests.apply.runs import fit

# name -> (its type, its data, its density, the range of the data over which that is integrated)
CASES = {
    "standardized": ("real", 'standardize("t.csv".wide)', "Normal(param)", (-400, 500)),
    "logarithm": ("real", 'log("t.csv".income)', "Normal(param)", (1e-4, 400)),
    "logits": ("real", 'logit("t.csv".part)', "Normal(param)", (1e-9, 1 - 1e-9)),
    "ranged": ("unit", 'rescale("t.csv".wide, 0.01, 0.99)', "Beta(param)", None),
    "moved": ("real", 'shift("t.csv".wide, -30)', "Laplace(param)", (-400, 500)),
    "times": ("real", 'scale("t.csv".wide, -0.01)', "Normal(param)", (-400, 500)),
    "several": ("real", 'standardize(log(scale("t.csv".income, 2)))', "Laplace(param)", (1e-4, 400)),
}


def test_densities_in_the_units_of_the_data_integrate_to_one(tmp_path: Path) -> None:
    """Each by the trapezoidal rule, between ends that the columns have."""
    r = np.random.default_rng(0)
    table = pd.DataFrame({"wide": r.normal(50, 20, 200), "income": r.gamma(3, 1, 200), "part": r.beta(2, 3, 200)})
    table.to_csv(tmp_path / "t.csv", index=False)
    lines = [f"observed {n} : {t} from {data}\np({n}) = {law}" for n, (t, data, law, _) in CASES.items()]
    run = fit(tmp_path, "model m\n" + "\n".join(lines) + "\ntrain { epochs = 3, lr = 0.05 }\n")
    columns = {"logarithm": "income", "logits": "part", "several": "income"}
    ends = {n: ends or (table["wide"].min(), table["wide"].max()) for n, (*_, ends) in CASES.items()}
    count = 20001
    grids = {n: np.linspace(*ends[n], count) for n in CASES}
    grids["logits"] = 1 / (1 + np.exp(-np.linspace(-20, 20, count)))
    for name in ("logarithm", "several"):
        grids[name] = np.exp(np.linspace(-12, 12, count))
    p = run.model.p_ranged()
    beta = scipy.stats.beta(p.concentration1.item(), p.concentration0.item())
    for name, grid in grids.items():
        rows = {c: np.full(count, table[c].median()) for c in table} | {columns.get(name, "wide"): grid}
        found = run.score(pd.DataFrame(rows), unusual=0)[f"log p({name})"]
        # That of a range has some of its mass beyond what the data reach.
        mass = np.diff(beta.cdf([0.01, 0.99])).item() if name == "ranged" else 1
        assert np.trapezoid(np.exp(found), grid) == pytest.approx(mass, abs=2e-3), name


def units_of(text: str, **transforms: object) -> DensityUnits:
    graph, plan = parts(pipeline.check(Source("spec.dgm", text)))
    fields = {}
    for v in graph.data:
        assert v.data is not None
        found = transforms.get(v.name)
        fields[v.name] = Field(v.name, v.type, v.data, v.type.shape, (), (), () if found is None else (found,))  # type: ignore[arg-type]
    return DensityUnits(graph, plan, fields)


GAPS = """
model gaps
partial x : real[2] elementwise from standardize("a.csv"[a, b])
partial y : real from log("a.csv".c)
observed k : integer(0..9) from shift("a.csv".k, 1)
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[4](z))
p(y | x) = Normal(mlp[4](x))
p(k) = Categorical(param)
q(z | x) = Normal(mlp[4](x))
"""


def test_what_is_missing_has_no_density_and_what_is_counted_no_units() -> None:
    units = units_of(GAPS, x=Standardize(np.array([0.0, 5.0]), np.array([2.0, 4.0])), y=Log(), k=Scale(3.0))
    rows = {
        "x": torch.tensor([[1.0, torch.nan], [3.0, 50.0]]),
        "y": torch.tensor([torch.nan, 2.0]),
        "k": torch.tensor([1.0, 2.0]),
    }
    assert units.of["log_prob" if "log_prob" in units.of else "elbo"] == ("x", "y")
    found = units.log_derivatives(rows)
    assert found["x"].tolist() == pytest.approx([-np.log(2), -np.log(8)])
    assert found["y"].tolist() == [0.0, -2.0]
    (of_y,) = (name for name in units.of if name.startswith("log p(y"))
    # The figure of a partial variable is of the rows alone that have it.
    assert units.told({of_y: torch.tensor([5.0])}, rows)[of_y].tolist() == [3.0]
    assert units.told({"error": torch.tensor([1.0])}, rows)["error"].tolist() == [1.0]


def test_members_beyond_the_end_and_conditions_count_nothing() -> None:
    ends = """
model ends
observed n : integer(1..3) from "a.npz".n
observed u : real from scale("a.npz".u, 5)
observed x[t in 1..n] : real[2] from scale("a.npz".x, 0.1)
p(n) = Categorical(param)
p(x[t] | u) = Normal(mlp[4](u))
"""
    units = units_of(ends, x=Scale(0.1), u=Scale(5.0))
    assert units.variables == ("x",)
    rows = {"n": torch.tensor([1.0, 3.0]), "u": torch.zeros(2), "x": torch.ones(2, 3, 2)}
    assert units.log_derivatives(rows)["x"].tolist() == pytest.approx([2 * np.log(0.1), 6 * np.log(0.1)])


def test_of_shares_one_follows_from_the_others() -> None:
    """In percent, a density of three shares is one of two numbers."""
    text = 'model m\nobserved x : simplex[3] from scale("a.npz".x, 0.01)\np(x) = Dirichlet(param)'
    units = units_of(text, x=Scale(0.01))
    assert units.log_derivatives({"x": torch.full((1, 3), 1 / 3)})["x"].item() == pytest.approx(2 * np.log(0.01))


def test_a_regression_tells_its_root_mean_squared_error_in_the_units_of_the_data(tmp_path: Path) -> None:
    """That of scikit-learn, of the means that `predict` gives; after each epoch, at the end, and of other rows."""
    r = np.random.default_rng(0)
    height = r.normal(170, 10, 300)
    table = pd.DataFrame({"height": height, "weight": 0.9 * (height - 100) + r.normal(0, 5, 300)})
    table.to_csv(tmp_path / "t.csv", index=False)
    text = """model m
observed x : real from standardize("t.csv".height)
observed y : real from standardize("t.csv".weight)
p(y | x) = Normal(linear(x))
train { epochs = 20, lr = 0.05, best = rmse(y) }
"""
    run = fit(tmp_path, text)
    others = table.iloc[:50]
    mean = run.predict(others, of="y")["y"]
    expected = root_mean_squared_error(others["weight"], mean)
    found = evaluate(run.path, data=[others])["data 1"]["RMSE"]
    assert found.estimate.mean == pytest.approx(expected, rel=1e-5) and found.unit == "units of the data"
    assert evaluate(run.path, data=[others], units="model")["data 1"]["RMSE"].estimate.mean == found.estimate.mean
    assert found.figure == run.predict(others, of="y").figures["RMSE"][0]
    distances = run.score(others)["RMSE"]
    np.testing.assert_allclose(distances, np.abs(others["weight"] - mean), rtol=1e-4, atol=1e-4)
    assert run.figures["validation"]["RMSE"]["mean"] == pytest.approx(run.metrics["validation.RMSE"].min(), rel=1e-6)
    assert 3 < run.figures["test"]["RMSE"]["mean"] < 7
