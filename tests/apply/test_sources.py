"""A run of a table as tables come: dates, decimal commas, a class named NA, chosen rows; other rows in any form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dgmppl.apply.fitted import FittedRun
from dgmppl.diagnostics import SpecError
from tests.apply.runs import fit

SPEC = """\
model staff
observed t : real from standardize(dates("p.csv.gz".born[where = age in 18..]))
observed x : real[2] from standardize(
    log("p.csv.gz"[age, income, where = age in 18.., decimal = ","])
)
observed y : categorical(3) from "p.csv.gz".job[where = age in 18.., missing = ""]
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(linear(z))
p(t | z) = Normal(linear(z))
p(y | z) = Categorical(linear(z))
train { epochs = 1 }
"""


def staff(rows: int = 100, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(10, 80, rows)
    born = (pd.Timestamp("2024-06-01") - pd.to_timedelta(age * 365, unit="D")).strftime("%Y-%m-%d")
    job = rng.choice(["cook", "clerk", "NA"], rows)
    return pd.DataFrame({"age": age, "income": rng.gamma(2, 1000, rows).round(2), "born": born, "job": job})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("staff")
    staff().to_csv(folder / "p.csv.gz", sep=";", decimal=",", index=False)
    return fit(folder, SPEC)


def read(run: FittedRun, data: object) -> dict[str, np.ndarray]:
    chunks = list(run.rows(data).chunks(64))
    return {name: torch.cat([chunk[name] for chunk in chunks]).numpy() for name in chunks[0]}


def test_the_rows_of_the_fit_are_those_that_were_chosen(run: FittedRun) -> None:
    chosen = staff().query("age >= 18")
    found = pd.concat([run.data[split] for split in ("train", "validation", "test")], ignore_index=True)
    assert found["born"].tolist() == chosen["born"].tolist()
    assert found["job"].tolist() == chosen["job"].tolist()
    np.testing.assert_allclose(found[["age", "income"]], chosen[["age", "income"]], rtol=1e-5)


def test_options_in_brackets_say_how_a_file_is_read(run: FittedRun, tmp_path: Path) -> None:
    others = staff(40, seed=1)
    expected = read(run, others)
    gaps = {"born": (3, "?"), "income": (4, -1.0), "job": (5, "-")}
    told = others.assign(**{name: others[name].mask(others.index == row, mark) for name, (row, mark) in gaps.items()})
    files = {
        'bars[x].csv[separator = "|"]': {"sep": "|", "decimal": ","},
        'commas.csv[decimal = ",", separator = ","]': None,
        'quoted.csv[decimal = ","]': {"sep": ",", "decimal": ","},
        'points.csv[decimal = ".", separator = ";"]': {"sep": ";"},
        'sheets.xlsx[sheet = "two"]': {},
    }
    for text, how in files.items():
        path = tmp_path / text[: text.rindex("[")]
        if path.suffix == ".xlsx":
            with pd.ExcelWriter(path) as book:
                others.head(3).to_excel(book, sheet_name="one", index=False)
                others.to_excel(book, sheet_name="two", index=False)
        elif how is not None:
            others.to_csv(path, index=False, **how)
        else:
            with pytest.raises(SpecError, match='"," is the decimal mark: cells and numbers would be cut alike'):
                run.score(f"{tmp_path}/{text}")
            continue
        found = read(run, f"{tmp_path}/{text}")
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=text)
        np.testing.assert_array_equal(run.score(tmp_path / text)["elbo"], run.score(others)["elbo"])
    told.to_csv(tmp_path / "told.csv", sep=";", decimal=",", index=False)
    whole = run.impute(f'{tmp_path}/told.csv[missing = ["?", "-", -1]]', samples=3)
    assert whole.notes[:3] == [f"{name}: 1 of {n} cells is missing" for name, n in (("t", 40), ("x", 80), ("y", 40))]
    chosen = read(run, f'{tmp_path}/points.csv[decimal = ".", where = [age in ..50, job in ["cook"]]]')
    which = (others["age"] <= 50) & (others["job"] == "cook")
    np.testing.assert_array_equal(chosen["x"], expected["x"][which])


def test_a_table_is_completed_in_its_own_marks(run: FittedRun, tmp_path: Path) -> None:
    """A text comes back with its separator and its decimal mark, also where some columns or rows of it are left out."""
    others = staff(40, seed=1).assign(note=['a;"b"', "NA"] * 20)
    gap = others.assign(income=others["income"].mask(others.index % 4 == 0))
    for separator, decimal, options in ((";", ",", ""), ("\t", ".", '[decimal = "."]'), (",", ",", '[decimal = ","]')):
        gap.to_csv(tmp_path / "o.csv", sep=separator, decimal=decimal, index=False)
        run.impute(f"{tmp_path}/o.csv{options}", samples=3).write(tmp_path / "whole.csv")
        how = {"sep": separator, "decimal": decimal, "keep_default_na": False}
        whole = pd.read_csv(tmp_path / "whole.csv", **how)
        assert whole["income"].dtype == np.float64 and whole["age"].dtype == np.int64
        seen = gap["income"].notna()
        pd.testing.assert_frame_equal(whole[seen], others[seen], check_dtype=False)
        read(run, f"{tmp_path}/whole.csv{options}")
        some = "where = age in ..50" if not options else options[1:-1] + ", where = age in ..50"
        run.impute(f"{tmp_path}/o.csv[{some}]", samples=3).write(tmp_path / "some.csv")
        chosen = pd.read_csv(tmp_path / "some.csv", **how)
        assert chosen["note"].tolist() == others.loc[others["age"] <= 50, "note"].tolist()
        gap.drop(columns="income").to_csv(tmp_path / "o.csv", sep=separator, decimal=decimal, index=False)
        found = run.impute(f"{tmp_path}/o.csv[{some}]", samples=3)
        found.write(tmp_path / "some.csv")
        again = pd.read_csv(tmp_path / "some.csv", **how)
        assert again["age"].tolist() == chosen["age"].tolist() and again["income"].dtype == np.float64


def test_other_rows_are_read_alike_in_every_form(run: FittedRun, tmp_path: Path) -> None:
    """All of them, those too that `where` would leave out."""
    others = staff(40, seed=1)
    times = others.assign(born=pd.to_datetime(others["born"]))
    others.to_csv(tmp_path / "o.tsv", sep="\t", decimal=",", index=False)
    others.to_csv(tmp_path / "points.csv", index=False)  # as answers are written
    others.to_excel(tmp_path / "o.xlsx", index=False)
    times.to_feather(tmp_path / "o.feather")
    pair = others[["age", "income"]].to_numpy()
    forms = {
        "frame": others,
        "frame of times": times,
        "text": tmp_path / "o.tsv",
        "text with points": tmp_path / "points.csv",
        "workbook": tmp_path / "o.xlsx",
        "feather": tmp_path / "o.feather",
        "arrays": {"t": list(others["born"]), "x": pair, "y": list(others["job"])},
        "times": {"t": times["born"].to_numpy(), "x": pair, "y": others["job"].to_numpy()},
    }
    found = {name: read(run, form) for name, form in forms.items()}
    for name, values in found.items():
        assert len(values["t"]) == len(others), name
        for variable, expected in found["frame"].items():
            np.testing.assert_allclose(values[variable], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    fields = run.fields
    assert fields["t"].invert(found["frame"]["t"]).tolist() == others["born"].tolist()
    assert fields["y"].invert(found["frame"]["y"]).tolist() == others["job"].tolist()
    np.testing.assert_allclose(fields["x"].invert(found["frame"]["x"]), pair, rtol=1e-5)


def test_a_date_that_is_none_is_said(run: FittedRun) -> None:
    with pytest.raises(SpecError) as caught:
        read(run, staff(3).assign(born=["2001-02-03", "3.2.2001", "2001-02-04"]))
    assert "3.2.2001" in caught.value.diagnostics[0].headline
    with pytest.raises(SpecError, match="no dates"):
        read(run, {"t": ["soon"], "x": np.ones((1, 2)), "y": ["cook"]})


def test_what_is_given_of_dates_and_texts_stays_as_it_is(run: FittedRun, tmp_path: Path) -> None:
    """As answers tell them, and missing as they tell it."""
    given = {"t": np.array(["1990-02-03", None], dtype=object), "y": np.array([None, "NA"], dtype=object)}
    found = run.sample(5, given=given).frame()
    assert set(found["born"][:5]) == {"1990-02-03"} and set(found["job"][5:]) == {"NA"}
    assert len(set(found["born"][5:])) == 5
    np.save(tmp_path / "t.npy", np.array(["1990-02-03", "1991-04-05"], dtype="datetime64[D]"))
    assert set(run.sample(3, given=[f"t={tmp_path / 't.npy'}"])["t"]) == {"1990-02-03", "1991-04-05"}
    with pytest.raises(SpecError, match="no dates: row 0, column `t` is `yesterday`, a date is"):
        run.sample(3, given={"t": ["yesterday"]})
    with pytest.raises(SpecError, match="holds no numbers"):  # the model's units are numbers
        run.sample(3, given={"t": ["1990-02-03"]}, units="model")
