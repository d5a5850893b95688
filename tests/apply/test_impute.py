"""Tables, files and messages of `impute`: what is seen comes back as it was, and mistakes are said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dgmppl.apply.fitted import FittedRun
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.imputed import run_of
from tests.apply.runs import PEOPLE, fit, people


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("people")
    people().to_csv(folder / "people.csv", index=False)
    return fit(folder, PEOPLE)


def with_gaps(rows: int = 40) -> pd.DataFrame:
    table = people(rows, seed=3).assign(id=[f"00{k}" for k in range(rows)])[["size", "id", "height", "weight"]]
    table.loc[3, "height"] = np.nan
    table.loc[4, "size"] = None
    table.loc[5, ["size", "height", "weight"]] = None
    return table.set_index(np.arange(rows) + 100)


def test_a_table_comes_back_with_its_seen_cells_as_they_were(run: FittedRun) -> None:
    table = with_gaps()
    found = run.impute(table).frame()
    assert list(found.columns) == list(table.columns) and list(found.index) == list(table.index)
    assert found.notna().all().all()
    seen = table.notna()
    assert (found[seen] == table[seen]).eq(seen).all().all()
    assert set(found["size"]) <= {"tall", "middling", "short"}
    assert found["height"].between(120, 220).all()
    many = run.impute(table, draws=3)
    frame = many.frame()
    assert list(frame.columns) == [*table.columns, "draw"] and len(frame) == 3 * len(table)
    assert list(frame["draw"][:4]) == [0, 1, 2, 0] and list(frame.index[:4]) == [100, 100, 100, 101]
    assert frame["height"].iloc[9:12].nunique() == 3 and frame["height"].iloc[0:3].nunique() == 1
    beside = run.impute(table, deviations=True).frame()
    assert list(beside.columns[4:]) == ["height_deviation", "weight_deviation", "size_probability"]
    assert beside["height_deviation"].notna().tolist() == table["height"].isna().tolist()


def test_the_command_writes_what_python_says(
    run: FittedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = with_gaps()
    table.to_csv(tmp_path / "gaps.csv", index=False)
    expected = run.impute(table).frame()
    for end in ("csv", "parquet"):
        out = tmp_path / f"whole.{end}"
        assert main(["impute", str(run.path), "--data", str(tmp_path / "gaps.csv"), "-o", str(out)]) == 0
        told = capsys.readouterr()
        assert "x: 3 of 80 cells are missing" in told.err and "effective sample size" in told.err
    back = pd.read_csv(tmp_path / "whole.csv", dtype={"id": str})
    pd.testing.assert_frame_equal(back, expected.reset_index(drop=True))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "whole.parquet"), back)
    arrays = {"x": table[["height", "weight"]].to_numpy(np.float32), "y": table["size"].to_numpy()}
    found = run.impute(arrays, draws=2)
    assert found["x"].shape == (40, 2, 2) and found["x"].dtype == np.float32 and found["y"].shape == (40, 2)
    assert (found["x"][:, 0][~np.isnan(arrays["x"])] == arrays["x"][~np.isnan(arrays["x"])]).all()


def test_columns_that_are_not_there_are_imputed(run: FittedRun, tmp_path: Path) -> None:
    table = people(30, seed=4)
    found = run.impute(table.drop(columns="size"))
    assert list(found.frame().columns) == ["height", "weight", "size"]
    assert "y is not there: all of it is imputed" in found.notes
    part = run.impute(table.drop(columns="height"))
    assert part.notes[0] == "height is not there: all of it is imputed"
    assert list(part.frame().columns) == ["height", "weight", "size"] and part.frame()["height"].notna().all()
    ids = ["NA", *(f"00{k}" for k in range(29))]
    for name, separator in (("part.csv", ","), ("semicolons.csv", ";"), ("packed.csv.gz", ","), ("tabs.tsv", "\t")):
        more = table.drop(columns="weight").assign(id=ids)[["id", "size", "height"]]
        more.to_csv(tmp_path / name, index=False, sep=separator)
        found = run.impute(tmp_path / name).frame()
        assert list(found.columns) == ["id", "size", "height", "weight"]
        assert found.notna().all().all() and list(found["id"]) == ids
        table.assign(id=ids).to_csv(tmp_path / name, index=False, sep=separator)
        whole = run.impute(tmp_path / name).frame()
        assert list(whole.columns) == ["height", "weight", "size", "id"]
        assert list(whole["id"]) == ids
        np.testing.assert_allclose(whole["height"], table["height"])


def test_mistakes_are_said(run: FittedRun) -> None:
    table = people(10, seed=4)
    found = run.impute(table)
    pd.testing.assert_frame_equal(found.frame(), table)
    assert list(found.notes) == ["nothing is missing: the rows are given back as they are"]
    with pytest.raises(SpecError, match="nothing of what the model is about: height, weight, size"):
        run.impute(table.rename(columns=str.upper))
    with pytest.raises(SpecError, match="is the class"):
        run.impute(table.assign(size="giant"))
    nothing = run.impute(table.assign(height=np.nan, weight=np.nan, size=None)).frame()
    assert nothing.notna().all().all()


CONDITIONAL = """\
model conditional
observed x : real[2] from "d.npz".x
observed y : real from "d.npz".y
p(x | y) = Normal(mlp[8](y))
"""


def test_what_nothing_models_has_to_be_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = run_of(tmp_path, CONDITIONAL, {"x": rng.normal(size=(30, 2)), "y": rng.normal(size=30)})
    rows = {"x": np.array([[np.nan, 1.0]]), "y": np.array([0.5])}
    assert np.isfinite(run.impute(rows)["x"]).all()
    with pytest.raises(SpecError, match="`y`"):
        run.impute({"x": rows["x"]})


DATED = """\
model dated
observed x : real from standardize("people.csv".height)
observed b : real from standardize(dates("people.csv".born))
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(linear(z), param)
p(b | z) = Normal(linear(z), param)
train { epochs = 1 }
"""


def test_dates_are_texts(tmp_path: Path) -> None:
    born = pd.date_range("1990-01-01", periods=60).strftime("%Y-%m-%d")
    people(60).assign(born=born).to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, DATED)
    table = pd.DataFrame({"height": [170.0, 180.0, np.nan], "born": ["1990-01-20", None, "1990-01-02"]})
    found = run.impute(table, deviations=True).frame()
    assert found["born"][0] == "1990-01-20" and found["born"][2] == "1990-01-02"
    assert abs(pd.Timestamp(found["born"][1]) - pd.Timestamp("1990-01-30")).days < 100
    assert 0.5 < found["born_deviation"][1] < 100 and np.isnan(found["born_deviation"][0])
    many = run.impute(table, draws=2).frame()
    assert pd.to_datetime(many["born"]).notna().all()


def test_what_is_computed_of_columns_is_no_column(tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    table = pd.DataFrame({"a": r.integers(1, 9, 60), "b": r.integers(0, 9, 60), "k": r.normal(size=60)})
    table.to_csv(tmp_path / "people.csv", index=False)
    text = """model totals
observed n : natural from total("people.csv"[a, b])
observed x : natural[2] from "people.csv"[a, b]
partial k : real from "people.csv".k
p(k) = Normal(param)
p(x | n, k) = Multinomial(n, linear(k))
train { epochs = 1 }
"""
    gaps, run = table.assign(k=table["k"].where(table.index % 3 > 0)), fit(tmp_path, text)
    gaps.to_csv(tmp_path / "gaps.csv", index=False)
    for data in (gaps, str(tmp_path / "gaps.csv")):
        found = run.impute(data).frame()
        assert list(found.columns) == ["a", "b", "k"] and found["a"].tolist() == table["a"].tolist()
