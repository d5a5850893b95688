"""What comes back from a run is what the data are: truth values and whole numbers as such, in every form of data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import dgmppl
from dgmppl.apply.fitted import FittedRun
from dgmppl.data.forms import Form
from dgmppl.train.runs import load_run
from tests.apply.runs import fit

SPEC = """\
model patients
observed smokes : binary from "p.csv".smokes
partial  ill : categorical(2) from "p.csv".ill
observed visits : natural from "p.csv".visits
observed flags : binary[2] from "p.csv"[a, b]
observed share : real from "p.csv".share
latent   z : real[2]
p(z) = Normal(0, 1)
p(smokes | z) = Bernoulli(linear(z))
p(ill | z) = Categorical(linear(z))
p(visits | z) = Poisson(exp(linear(z)))
p(flags | z) = Bernoulli(linear(z))
p(share | z) = Normal(linear(z), param)
q(z | smokes, visits, flags, share) = Normal(linear(smokes, visits, flags, share))
train { epochs = 1 }
"""
TRUTH = ("smokes", "ill", "a", "b")


def patients(rows: int = 60) -> pd.DataFrame:
    """`share` holds truth values, and is a real number to the model."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame({name: rng.random(rows) < 0.4 for name in (*TRUTH, "share")})
    found["ill"] = found["ill"].astype("boolean").mask(rng.random(rows) < 0.2)
    return found.assign(visits=rng.poisson(3, rows), other=rng.random(rows) < 0.5)


def write(table: pd.DataFrame, path: Path, words: tuple[str, str] = ("False", "True")) -> None:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        told = {name: table[name].map({False: words[0], True: words[1]}) for name in (*TRUTH, "share", "other")}
        table.assign(**told).to_csv(path, index=False)


@pytest.fixture(scope="module", params=["text", "words", "parquet", "frame"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "frame":
        return dgmppl.train(SPEC, data=patients())
    name = "p.parquet" if request.param == "parquet" else "p.csv"
    write(patients(), folder / name, ("FALSE", "TRUE") if request.param == "words" else ("False", "True"))
    return fit(folder, SPEC.replace("p.csv", name))


def types(path: Path) -> dict[str, str]:
    return {field.name: str(field.type).removeprefix("large_") for field in parquet.read_schema(path)}


def words(path: Path, name: str) -> set[str]:
    return set(pd.read_csv(path, dtype=str)[name].dropna())


def test_draws_are_what_the_data_are(run: FittedRun, tmp_path: Path) -> None:
    found = run.sample(50)
    assert found["smokes"].dtype == found["flags"].dtype == found["ill"].dtype == bool
    assert found["share"].dtype == np.float64
    assert set(np.unique(found["smokes"])) == {False, True}
    found.write(tmp_path / "s.parquet")
    assert {types(tmp_path / "s.parquet")[name] for name in TRUTH} == {"bool"}
    found.write(tmp_path / "s.csv")
    known = run.fields["smokes"].data_form
    assert known.kind == "truth"
    for name in TRUTH:
        assert words(tmp_path / "s.csv", name) == set(known.words or ("false", "true"))
    whole = run.fields["visits"].data_form.kind == "whole"  # what a text holds may be any number
    assert found["visits"].dtype == (np.int64 if whole else np.float64)
    read = pd.read_csv(tmp_path / "s.csv")
    assert read["visits"].dtype == np.int64 and {read[name].dtype for name in TRUTH} == {np.dtype(bool)}
    again = run.rows(tmp_path / "s.csv").table.read(0, 50)
    np.testing.assert_array_equal(again["flags"], found["flags"])
    found.write(tmp_path / "s.png")


def test_what_is_given_back_predicted_and_completed_is_too(run: FittedRun, tmp_path: Path) -> None:
    table = patients()
    back = run.reconstruct(table)
    assert back["flags"].dtype == bool and back["visits"].dtype == np.float64  # a mean
    np.testing.assert_array_equal(run.reconstruct(table, draw=True)["visits"] % 1, 0)
    predicted = run.predict(table, of=["smokes", "ill"])
    assert predicted["smokes"].dtype == bool
    no, yes = run.fields["smokes"].data_form.words or ("false", "true")
    shown = predicted.frame()
    np.testing.assert_array_equal(shown[f"p(smokes = {yes})"] > shown[f"p(smokes = {no})"], shown["smokes"])
    table["smokes"] = table["smokes"].astype("boolean").mask(np.arange(len(table)) < 10)
    for name, spelling in (("p.csv", ("false", "true")), ("p.parquet", None)):
        write(table, tmp_path / name, *([spelling] if spelling else []))
        whole = run.impute(tmp_path / name, samples=5)
        whole.write(tmp_path / "whole.csv")
        for column in ("smokes", "ill", "a", "b", "other"):
            assert words(tmp_path / "whole.csv", column) <= {"false", "true"}
        whole.write(tmp_path / "whole.parquet")
        found = pd.read_parquet(tmp_path / "whole.parquet")
        assert {found[column].dtype for column in TRUTH} == {np.dtype(bool)}
        assert not found.isna().any().any()
        for column in table.columns:
            seen = table[column].notna()
            given = found[column] if found[column].dtype == bool else found[column].map({"false": False, "true": True})
            given = found[column] if column == "visits" else given
            assert (given[seen] == table[column][seen]).all()


def test_a_frame_is_completed_in_its_own_types(run: FittedRun, tmp_path: Path) -> None:
    """Those of columns that the model does not read too."""
    some = np.arange(60) % 7 == 0
    days = pd.to_datetime("2024-05-01") + pd.to_timedelta(np.arange(60), unit="h")
    table = patients().astype({"share": "float32", "smokes": "boolean", "visits": "Int64"})
    table = table.assign(
        rank=pd.Categorical(np.where(some, "low", "high"), categories=["low", "high"], ordered=True),
        count=table["visits"].mask(some),
        told=table["other"].astype("boolean").mask(some),
        day=days.date,
        time=days.tz_localize("Europe/Berlin"),
        code=np.where(some, "01", "02"),
    )
    for name in ("smokes", "visits", "share", "rank"):
        table.loc[3, name] = None
    whole = run.impute(table, samples=5)
    assert whole.frame().dtypes.to_dict() == table.dtypes.to_dict()
    seen = [name for name in table.columns if name not in ("smokes", "visits", "share", "ill")]
    pd.testing.assert_frame_equal(whole.frame()[seen], table[seen])
    whole.write(tmp_path / "w.parquet")
    table.to_parquet(tmp_path / "t.parquet")
    assert types(tmp_path / "w.parquet") == types(tmp_path / "t.parquet")
    whole.write(tmp_path / "w.csv")
    assert pd.read_csv(tmp_path / "w.csv", dtype=str)["code"].tolist() == table["code"].tolist()


def test_a_split_misses_what_it_missed(run: FittedRun) -> None:
    whole = pd.concat(run.data.values())
    assert set(whole["ill"]) == {True, False, None} and set(whole["smokes"]) == {True, False}
    assert run.impute(split="test", samples=5)["ill"].dtype == bool


def test_a_run_that_kept_no_forms_tells_numbers(tmp_path: Path) -> None:
    write(patients(), tmp_path / "p.csv")
    made = fit(tmp_path, SPEC)
    record = json.loads((made.path / "run.json").read_text())
    for field in record["data"]["fields"].values():
        field.pop("form", None)
    (made.path / "run.json").write_text(json.dumps(record))
    old = FittedRun(*load_run(made.path, "cpu"))
    assert old.sample(5)["smokes"].dtype == np.float64
    np.testing.assert_array_equal(old.sample(50)["smokes"], made.sample(50)["smokes"])


def test_a_condition_is_given_by_its_word(tmp_path: Path) -> None:
    text = """\
model given
observed y : binary from "p.csv".smokes
observed x : real from "p.csv".visits
p(x | y) = Normal(linear(y), param)
train { epochs = 1 }
"""
    write(patients(), tmp_path / "p.csv")
    run = fit(tmp_path, text)
    for value in ("True", True, 1):
        assert run.sample(3, y=value)["y"].tolist() == [True] * 3
    with pytest.raises(dgmppl.SpecError) as failed:
        run.sample(3, y="Tru")
    assert failed.value.diagnostics[0].help == "did you mean `True`?"


@pytest.mark.parametrize("name", ["npz", "given", "lists"])
def test_arrays(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, n = rng.random((40, 2, 3)) < 0.5, rng.integers(2, 7, 40).astype(np.uint8)
    spec = """\
model arrays
observed x : binary[6] from flatten("a.npz".x)
observed n : integer(0..5) from shift("a.npz".n, -1)
p(x) = Bernoulli(param)
p(n) = Categorical(param)
train { epochs = 1 }
"""
    np.savez(tmp_path / "a.npz", x=x, n=n)
    if name == "npz":
        run = fit(tmp_path, spec)
    else:
        run = dgmppl.train(spec, data={"x": x.tolist(), "n": n.tolist()} if name == "lists" else {"x": x, "n": n})
    found = run.sample(20)
    assert found["x"].dtype == bool and found["x"].shape == (20, 2, 3)
    assert found["n"].dtype == np.int64 and (found["n"] >= 1).all()
    found.write(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as kept:
        assert kept["x"].dtype == bool and kept["n"].dtype == np.int64
    assert run.impute({"x": x, "n": n})["x"].dtype == bool


def test_only_what_a_type_holds_is_told_as_such(tmp_path: Path) -> None:
    """Shares of 0 and 1 are no truth values to a model of real numbers, and neither is a third class."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.random(40) < 0.5)
    for type_, law in (("natural", "Poisson(exp(param))"), ("categorical(3)", "Categorical(param)")):
        text = f'model m\nobserved x : {type_} from "a.npz".x\np(x) = {law}\ntrain {{ epochs = 1 }}\n'
        run = fit(tmp_path, text, type_[:3])
        assert run.fields["x"].data_form == Form("truth")
        assert run.sample(9)["x"].dtype == np.float64
