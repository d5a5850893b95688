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

# name -> (its type, its column within transforms, its density, the grid of the data over which that is integrated)
COUNT = 6001
EVEN = np.linspace(-900, 1000, COUNT)
POSITIVE = np.exp(np.linspace(-12, 8, COUNT))
DAYS = np.datetime64("1900-01-01") + np.arange(0, 60000, 10).astype("timedelta64[D]")
CASES = {
    "standardized": ("real", "standardize({wide})", "Normal(param)", EVEN),
    "logarithm": ("real", "log({income})", "Normal(param)", POSITIVE),
    "logits": ("real", "logit({part})", "Laplace(param)", 1 / (1 + np.exp(-np.linspace(-16, 16, COUNT)))),
    "ranged": ("unit", "rescale({span}, 0.01, 0.99)", "Beta(1.5 + exp(param), 1.5 + exp(param))", None),
    "moved": ("real", "shift({wide}, -30)", "Laplace(param)", EVEN),
    "times": ("real", "scale({wide}, -0.01)", "Normal(param)", EVEN),
    "several": ("real", "standardize(log(scale({income}, 2)))", "Laplace(param)", POSITIVE),
    "inside": ("real", "standardize(clip({wide}, 0, 100))", "Normal(param)", np.linspace(0, 100, COUNT)),
    "given": ("real", "standardize(log({income}))", "Normal(mlp[4](c))", POSITIVE),
    "day": ("real", "standardize(dates({born}))", "Normal(linear(c))", DAYS),
    "bent": ("real", "log({income})", "Normal(0, 1) >> elementwise[spline(4)] >> affine", POSITIVE),
    "onto": ("positive", "{income}", "Normal(0, 1) >> affine(linear(c)) >> softplus", POSITIVE),
    "some": ("real", "shift(scale({wide}, 0.1), 2)", "Normal(mlp[4](c))", EVEN),
}
PARTIAL = ("some",)
WITHIN = ("inside", "ranged")
"""Some of their mass lies beyond the ends that `clip` and `rescale` have."""
CONDITION = 3.7


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory):
    """A run of all cases, its table, and draws of it given the condition."""
    folder = tmp_path_factory.mktemp("units")
    r = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "wide": r.normal(50, 20, 200),
            "span": r.normal(50, 20, 200),
            "income": r.gamma(3, 1, 200),
            "part": r.beta(2, 3, 200),
        }
    )
    table["c"] = r.normal(3, 1, 200)
    table["born"] = (np.datetime64("1980-01-01") + r.integers(0, 9000, 200).astype("timedelta64[D]")).astype(str)
    table.to_csv(folder / "t.csv", index=False)
    of = {c: f'"t.csv".{c}' for c in table}
    lines = ['observed c : real from standardize("t.csv".c)']
    for n, (t, data, law, _) in CASES.items():
        role, given = "partial" if n in PARTIAL else "observed", " | c" if "(c)" in law else ""
        lines.append(f"{role} {n} : {t} from {data.format(**of)}\np({n}{given}) = {law}")
    run = fit(folder, "model m\n" + "\n".join(lines) + "\ntrain { epochs = 3, lr = 0.05 }\n")
    return run, table, run.sample(2000, {"c": np.array([CONDITION])})


@pytest.mark.parametrize("name", CASES)
def test_densities_in_the_units_of_the_data_integrate_to_one_and_samples_follow_them(scored, name: str) -> None:
    """By the trapezoidal rule, and by the test of Kolmogorov and Smirnov."""
    run, table, samples = scored
    _, data, _, grid = CASES[name]
    column = data.split("{")[1].split("}")[0]
    if grid is None:
        grid = np.linspace(table[column].min(), table[column].max(), COUNT)
    rows = {c: np.full(len(grid), table[c].iloc[0]) for c in table} | {
        column: grid.astype(str if name == "day" else float)
    }
    rows["c"] = np.full(len(grid), CONDITION)
    found = run.score(pd.DataFrame(rows), unusual=0)
    figure = next(n for n in (f"log p({name} | c)", f"log p({name})") if n in found)
    density = np.exp(found[figure])
    drawn = np.asarray(samples[name])
    if name == "day":
        drawn, grid = ((v.astype("datetime64[D]") - DAYS[0]).astype(float) for v in (drawn, grid))
    share = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid)))
    if name in WITHIN:
        drawn = drawn[(drawn > grid[0]) & (drawn < grid[-1])]
        assert share[-1] == pytest.approx(len(drawn) / 2000, abs=0.05)
    else:
        assert share[-1] == pytest.approx(1, abs=2e-3)
    assert scipy.stats.kstest(drawn, lambda v: np.interp(v, grid, share / share[-1])).pvalue > 1e-3


def test_shares_of_parts_and_columns_of_a_flow_have_densities_of_the_data(tmp_path: Path) -> None:
    """Of two numbers: by the trapezoidal rule over both; parts are told by their shares, of which the last follows."""
    r = np.random.default_rng(0)
    table = pd.DataFrame(r.gamma(3, 2, (200, 5)), columns=list("abcde"))
    table.to_csv(tmp_path / "t.csv", index=False)
    run = fit(
        tmp_path,
        """model m
observed x : simplex[3] from closure("t.csv"[a, b, c])
observed y : real[2] from standardize(log("t.csv"[d, e]))
latent u : real[2]
flow f = 2 * (coupling[mlp[4]] >> reverse) >> affine
p(x) = Dirichlet(2 + exp(param))
p(u) = Normal(0, 1)
y = f(u)
train { epochs = 3, lr = 0.05 }
""",
    )
    steps = (np.arange(300) + 0.5) / 300
    one, other = (v.ravel() for v in np.meshgrid(steps, steps))
    inside = one + other < 1
    shares = {"a": 7 * one[inside], "b": 7 * other[inside], "c": 7 * (1 - one - other)[inside]}
    fixed = table.iloc[0]
    rows = pd.DataFrame({c: shares.get(c, np.full(inside.sum(), fixed[c])) for c in table})
    mass = np.exp(run.score(rows, unusual=0)["log p(x)"]).sum() / 300**2
    assert mass == pytest.approx(1, abs=1e-2)
    logs = np.linspace(-6, 9, 300)
    d, e = (v.ravel() for v in np.meshgrid(logs, logs))
    rows = pd.DataFrame({c: np.full(len(d), fixed[c]) for c in "abc"} | {"d": np.exp(d), "e": np.exp(e)})
    found = run.score(rows, unusual=0)
    log = found["log_prob"] - found["log p(x)"] + d + e
    assert np.exp(log).sum() * (logs[1] - logs[0]) ** 2 == pytest.approx(1, abs=1e-2)


def test_densities_of_rows_with_gaps_integrate_to_one_over_what_is_seen(tmp_path: Path) -> None:
    """Of a vector with a latent, and of a class that others depend on, each there or missing."""
    r = np.random.default_rng(0)
    table = pd.DataFrame(np.exp(r.normal(1, 0.7, (200, 2))), columns=["d", "e"])
    table["k"] = r.integers(0, 2, 200).astype(float)
    table.loc[::3, "d"] = table.loc[1::3, "k"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    run = fit(
        tmp_path,
        """model m
partial x : real[2] elementwise from standardize(log("t.csv"[d, e]))
partial k : categorical(2) elementwise from "t.csv".k
latent z : real
p(k) = Categorical(param)
p(z) = Normal(0, 1)
p(x | z, k) = Normal(linear(z, k), param)
train { epochs = 3, lr = 0.05 }
""",
    )
    logs = np.linspace(-8, 10, 120)

    def mass(k: float, *columns: str) -> float:
        grids = [g.ravel() for g in np.meshgrid(*[logs] * len(columns))]
        rows = pd.DataFrame({"d": np.nan, "e": np.nan, "k": np.full(len(grids[0]), k)})
        for column, grid in zip(columns, grids, strict=True):
            rows[column] = np.exp(grid)
        found = run.score(rows, unusual=0)["log_prob"] + sum(grids)
        return float(np.exp(found).sum() * (logs[1] - logs[0]) ** len(columns))

    for columns in (("d",), ("e",), ("d", "e")):
        assert mass(np.nan, *columns) == pytest.approx(1, abs=2e-3)
        assert mass(0.0, *columns) + mass(1.0, *columns) == pytest.approx(1, abs=2e-3)
    alone = run.score(pd.DataFrame({"d": [np.nan] * 2, "e": [np.nan] * 2, "k": [0.0, 1.0]}), unusual=0)["log_prob"]
    assert np.exp(alone).sum() == pytest.approx(1, abs=1e-5)


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
