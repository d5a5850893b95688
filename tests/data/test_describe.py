"""What `dgmppl data` says of a spec's data, against pandas; and the warning of a split without a class."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dgmppl import cli, pipeline
from dgmppl.data.describe import DataSummary, as_text, describe
from dgmppl.data.load import load_data
from dgmppl.data.table import Splits

SPEC = """
model people
partial  x : real[2] elementwise from "people.csv"[height, weight]
observed s : real from standardize("people.csv".income)
observed k : real from "people.csv".same
observed y : categorical(3) from "people.csv".job
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[4](z))
p(s | z) = Normal(mlp[4](z))
p(k) = Normal(param)
p(y | z) = Categorical(mlp[4](z))
q(z | x, s, y) = Normal(mlp[4](x, s, y))
"""


def table(sort: bool = False) -> pd.DataFrame:
    r = np.random.default_rng(3)
    found = pd.DataFrame(
        {
            "height": r.normal(170, 10, 100).round(1),
            "weight": r.normal(70, 12, 100).round(1),
            "income": r.lognormal(10, 0.5, 100).round(),
            "same": 4.0,
            "job": r.choice(["clerk", "nurse", "smith"], 100),
            "notes": "-",
        }
    )
    found.loc[::7, "weight"] = np.nan
    return found.sort_values("job") if sort else found


def loaded(folder: Path, sort: bool = False, spec: str = SPEC) -> tuple[pd.DataFrame, Splits, DataSummary]:
    rows = table(sort)
    rows.to_csv(folder / "people.csv", index=False)
    (folder / "people.dgm").write_text(spec)
    splits = load_data(pipeline.read(folder / "people.dgm"), folder)
    return rows, splits, describe("people", splits)


def test_it_says_what_pandas_says(tmp_path: Path) -> None:
    rows, _, summary = loaded(tmp_path)
    train = rows[:60]
    assert summary.rows == {"train": 60, "validation": 20, "test": 20}
    height, weight = summary.variables[0].columns
    for found, column in ((height, "height"), (weight, "weight")):
        assert found.name == column
        assert found.low == pytest.approx(train[column].min(), rel=1e-6)
        assert found.high == pytest.approx(train[column].max(), rel=1e-6)
        assert found.mean == pytest.approx(train[column].mean(), rel=1e-6)
        assert found.deviation == pytest.approx(train[column].std(ddof=0), rel=1e-6)
        assert found.missing == rows[column].isna().sum()
        outside = (rows[column] < train[column].min()) | (rows[column] > train[column].max())
        assert found.beyond == outside.sum()
    counted = {
        job: tuple(int((part["job"] == job).sum()) for part in (train, rows[60:80], rows[80:]))
        for job in ("clerk", "nurse", "smith")
    }
    by_name = {v.name: v for v in summary.variables}
    assert by_name["y"].classes == counted
    (same,) = by_name["k"].columns
    assert same.constant and not height.constant
    (scaled,) = by_name["s"].transforms
    assert scaled["name"] == "standardize"
    assert np.ravel(scaled["mean"])[0] == pytest.approx(train["income"].mean())
    assert summary.unread == {"people.csv": ("notes",)}
    assert not summary.warnings


def test_rows_that_come_sorted_are_told_with_a_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, splits, _ = loaded(tmp_path, sort=True)
    (warning,) = splits.warnings
    assert warning.code == "W523"
    assert "no training row is of smith" in warning.headline
    assert "shuffled(0.6, 0.2, 0.2)" in warning.help
    assert cli.main(["data", str(tmp_path / "people.dgm")]) == 0
    printed = capsys.readouterr()
    assert "W523" in printed.err
    assert "smith" in printed.out
    shuffled = ["--set", "train.split=shuffled(0.6, 0.2, 0.2)"]
    assert cli.main(["data", str(tmp_path / "people.dgm"), *shuffled]) == 0
    assert "W523" not in capsys.readouterr().err


def test_a_class_of_a_few_rows_may_be_in_one_split_by_chance(tmp_path: Path) -> None:
    rows = table()
    rows.loc[:, "job"] = ["clerk", "nurse"] * 50
    rows.loc[3, "job"] = "smith"
    rows.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.dgm").write_text(SPEC)
    assert not load_data(pipeline.read(tmp_path / "people.dgm"), tmp_path).warnings
    rows.loc[3, "job"], rows.loc[90, "job"] = "nurse", "smith"  # which no fit would see
    rows.to_csv(tmp_path / "people.csv", index=False)
    (warning,) = load_data(pipeline.read(tmp_path / "people.dgm"), tmp_path).warnings
    assert warning.headline == "`y`: no training row is of smith"


def test_json_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded(tmp_path)
    assert cli.main(["data", str(tmp_path / "people.dgm"), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [v["name"] for v in found["variables"]] == ["x", "s", "k", "y"]
    assert found["variables"][0]["columns"][1]["missing"] == 15


def test_vectors_of_classes_are_told_by_the_shares_of_each(tmp_path: Path) -> None:
    """Of many elements in a line."""
    spec = (
        'model m\npartial y : categorical(3)[2] elementwise from "people.csv"[job, last]\np(y) = Categorical(param)\n'
    )
    rows = table().assign(last=lambda t: t["job"].shift(1))
    rows.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.dgm").write_text(spec)
    summary = describe("m", load_data(pipeline.read(tmp_path / "people.dgm"), tmp_path))
    job, last = summary.variables[0].elements
    assert job.shares == pytest.approx(rows["job"][:60].value_counts(normalize=True).to_dict())
    assert last.shares == pytest.approx(rows["last"][:60].value_counts(normalize=True).to_dict())
    assert (job.missing, last.missing) == (0, 1) and not summary.variables[0].columns
    line = next(line.split() for line in as_text(summary).splitlines() if line.split()[:1] == ["last"])
    assert line == ["last", *(f"{last.shares[name]:.1%}" for name in ("clerk", "nurse", "smith")), "1"]
    np.savez(tmp_path / "y.npz", y=np.arange(1200).reshape(60, 20) % 2)
    (tmp_path / "y.dgm").write_text(
        'model m\nobserved y : categorical(2)[20] from "y.npz".y\np(y) = Categorical(param)\n'
    )
    told = as_text(describe("m", load_data(pipeline.read(tmp_path / "y.dgm"), tmp_path)))
    assert "  20 elements: 0 50.0%, 1 50.0%" in told.splitlines()


def test_torch_is_not_needed() -> None:
    script = (
        "import sys, dgmppl.cli; dgmppl.cli.main(['data', 'specs/latent/vae.dgm']); assert 'torch' not in sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "1,797 rows" in found.stdout


def test_values_far_from_where_a_flow_begins_are_told(tmp_path: Path) -> None:
    rest = "latent u : real[2]\nflow f = coupling[mlp[4]]\np(u) = Normal(0, 1)\nx = f(u)\n"
    flow = "model m\nobserved x : real[2] from {}\n" + rest
    _, splits, _ = loaded(tmp_path, spec=flow.format('"people.csv"[height, income]'))
    (warning,) = splits.warnings
    assert warning.code == "W524" and "in column `height`" in warning.headline and "standardize" in warning.help
    _, splits, _ = loaded(tmp_path, spec=flow.format('standardize("people.csv"[height, income])'))
    assert not splits.warnings
    counted = 'model m\nobserved x : real[2] from "people.csv"[height, income]\np(x) = Normal({}, param)\n'
    assert not loaded(tmp_path, spec=counted.format("param"))[1].warnings
    assert loaded(tmp_path, spec=counted.format("6"))[1].warnings


MIXED = """model m
observed g : categorical(4) from "people.csv".g
observed x : real from {}"people.csv".x{}
observed y : real from {}"people.csv".y{}
latent a : real per g
latent tau : positive per data
param mu : real
param b : real[2]
let c = 2 * b
p(tau) = HalfNormal(1)
p(a | tau) = Normal(mu, tau)
p(y | a, x) = Normal(a + c[0] * x, exp(param))
"""


@pytest.mark.parametrize(
    ("mean", "deviation", "told"),
    [(42_000, 5_000, True), (60, 3, True), (8, 0.5, True), (0, 30, True), (3, 1, False), (11, 5, False)],
)
def test_what_an_expression_gives_or_multiplies_is_told_with_what_is_learned(
    tmp_path: Path, mean: float, deviation: float, told: bool
) -> None:
    r = np.random.default_rng(0)
    year, y = 2000 + 5 * r.normal(size=100), mean + deviation * r.normal(size=100)
    pd.DataFrame({"g": np.arange(100) % 4, "x": year, "y": y}).to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.dgm").write_text(MIXED.format("", "", "", ""))
    found = load_data(pipeline.read(tmp_path / "people.dgm"), tmp_path).warnings
    assert all(w.code == "W524" and "standardize" in w.help for w in found)
    assert "`x` has" in found[0].headline and found[0].headline.endswith("a formula multiplies it, as it is, by `c`")
    assert [("`y` has" in w.headline, "`a`, `mu`, `tau` and `b`" in w.headline) for w in found[1:]] == [
        (True, True)
    ] * told
    (tmp_path / "people.dgm").write_text(MIXED.format(*("standardize(", ")") * 2))
    assert not load_data(pipeline.read(tmp_path / "people.dgm"), tmp_path).warnings


def test_classes_that_are_numbered_differently_and_pick_of_one_tensor_are_told(tmp_path: Path) -> None:
    games = pd.DataFrame({"home": [*"abd"] * 20, "away": [*"cab"] * 20, "win": [0, 1, 1] * 20})
    games.to_csv(tmp_path / "games.csv", index=False)
    rest = 'observed win : binary from "games.csv".win\nlatent skill : real[4] per data\np(skill) = Normal(0, 1)\n'
    apart = "".join(f'observed {side} : categorical(4) from "games.csv".{side}\n' for side in ("home", "away"))
    both = "p(win | skill, home, away) = Bernoulli({})\n"
    spec = "model m\n" + apart + rest + both.format("skill[home] - skill[away]")
    (warning,) = (w for w in loaded(tmp_path, spec=spec)[1].warnings if w.code == "W525")
    assert '2 is "d" of the one and "c" of the other' in warning.headline
    another = "param a : real[4]\nparam b : real[4]\n" + both.format("sum(skill) + a[home] - b[away]")
    assert "W525" not in [w.code for w in loaded(tmp_path, spec="model m\n" + apart + rest + another)[1].warnings]
    family = 'observed side[j in 0..1] : categorical(4) from "games.csv"[home, away]\n'
    together = "p(win | skill, side) = Bernoulli(skill[side[0]] - skill[side[1]])\n"
    _, splits, _ = loaded(tmp_path, spec="model m\n" + family + rest + together)
    assert not splits.warnings and splits.fields["side"].classes == ("a", "b", "c", "d")


def test_positive_values_have_a_way_out_that_keeps_them_positive(tmp_path: Path) -> None:
    spec = "model m\nobserved x : positive from {}\np(x) = LogNormal(6, 1)\n"
    _, splits, _ = loaded(tmp_path, spec=spec.format('"people.csv".income'))
    (warning,) = splits.warnings
    assert warning.help.startswith("scale(..., ") and "standardize(log(...))" in warning.help
    factor = warning.help.partition("scale(..., ")[2].partition(")")[0]
    assert not loaded(tmp_path, spec=spec.format(f'scale("people.csv".income, {factor})'))[1].warnings


def test_what_lies_beyond_the_end_of_a_sequence_is_in_no_figure(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n, x = rng.integers(1, 4, 50), rng.normal(500, 1, (50, 3)).astype(np.float32)
    gone = np.arange(3) >= n[:, None]
    np.savez(tmp_path / "walks.npz", n=n, x=np.where(gone, 0.0, x))
    spec = 'model m\nobserved n : integer(1..3) from "walks.npz".n\nobserved x[t in 1..n] : real from "walks.npz".x\n'
    (tmp_path / "m.dgm").write_text(spec + "p(x[t]) = Normal(0, 1)\n")
    splits = load_data(pipeline.read(tmp_path / "m.dgm"), tmp_path)
    _, found = describe("m", splits).variables
    train, every = np.where(gone, np.nan, x)[:30], np.where(gone, np.nan, x)
    for k, column in enumerate(found.columns):
        assert column.low == pytest.approx(np.nanmin(train[:, k])) and column.high == pytest.approx(
            np.nanmax(train[:, k])
        )
        assert column.mean == pytest.approx(np.nanmean(train[:, k]))
        assert column.deviation == pytest.approx(np.nanstd(train[:, k]), rel=1e-4)
        assert column.missing == 0
        assert column.beyond == ((every[:, k] < column.low) | (every[:, k] > column.high)).sum()
    (warning,) = splits.warnings
    assert (
        f"a mean of {np.nanmean(train[:, 0]):.3g} and a deviation of {np.nanstd(train[:, 0]):.3g}" in warning.headline
    )
