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
