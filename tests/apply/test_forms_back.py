"""The table of docs/apply.md that says what comes back, held against runs of data of every form."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pyarrow import parquet

import dgmppl
from dgmppl.apply.fitted import FittedRun
from tests.apply.runs import fit

PAGE = Path("docs/apply.md").read_text(encoding="utf-8").partition("### What comes back")[2].partition("\n#")[0]
TABLE = {row[0]: row[1:] for row in (re.findall(r"[^|]+", line) for line in re.findall(r"^\|.*\|$", PAGE, re.M)[2:])}
ROWS = 40
TIMES = pd.date_range("2024-03-01 08:30", periods=ROWS, freq="97h", tz="Europe/Paris")
rng = np.random.default_rng(0)
SIZES = pd.Categorical(rng.choice(["small", "large"], ROWS), ["small", "medium", "large"], ordered=True)
FRAME = pd.DataFrame(
    {
        "job": rng.choice(["clerk", "nurse"], ROWS),
        "size": SIZES,
        "born": pd.date_range("1990-01-01", periods=ROWS).date,
        "seen": TIMES.tz_localize(None),
        "local": TIMES,
        "mass": rng.normal(size=ROWS).astype(np.float32),
        "length": rng.normal(size=ROWS),
        "visits": rng.integers(0, 5, ROWS),
        "smokes": rng.random(ROWS) < 0.5,
    }
)
TYPED = {
    "job": "texts",
    "size": "categories",
    "born": "dates",
    "seen": "times",
    "local": "times in a zone",
    "mass": "numbers in single precision",
    "length": "other numbers",
    "visits": "whole numbers",
    "smokes": "truth values",
}
TEXT = {
    **TYPED,
    "size": "texts",
    "born": "texts of dates",
    "seen": "texts of times",
    "local": "texts of times with an offset",
    "mass": "other numbers",
    "visits": "other numbers",
}
NUMBERS = ("mass", "length", "visits", "smokes")
"""What arrays hold."""
FORMS = {
    "frame": TYPED,
    "columns": TYPED,
    "parquet": TYPED,
    "feather": TYPED,
    "csv": TEXT,
    "tsv": TEXT,
    "xlsx": {n: "times" if n == "seen" else word for n, word in TEXT.items() if n != "born"},
    **{name: {n: TYPED[n] for n in NUMBERS} for name in ("arrays", "tensors", "npz")},
}
DECLARED = {
    "job": ('categorical(2) from "F".job', "Categorical(linear(z))"),
    "size": ('categorical(2) from "F".size', "Categorical(linear(z))"),
    "born": ('real from standardize(dates("F".born))', "Normal(linear(z), param)"),
    "seen": ('real from standardize(dates("F".seen))', "Normal(linear(z), param)"),
    "local": ('real from standardize(dates("F".local))', "Normal(linear(z), param)"),
    "mass": ('real from "F".mass', "Normal(linear(z), param)"),
    "length": ('real from "F".length', "Normal(linear(z), param)"),
    "visits": ('natural from "F".visits', "Poisson(exp(linear(z)))"),
    "smokes": ('binary from "F".smokes', "Bernoulli(linear(z))"),
}


def spec(file: str, names: list[str]) -> str:
    observed = "".join(f"observed {n} : {DECLARED[n][0].replace('F', file)}\n" for n in names)
    factors = "".join(f"p({n} | z) = {DECLARED[n][1]}\n" for n in names)
    latent = "latent z : real\np(z) = Normal(0, 1)\nq(z | length) = Normal(linear(length))\n"
    return f"model m\n{observed}{latent}{factors}train {{ epochs = 1 }}\n"


def run_of(form: str, folder: Path) -> FittedRun:
    """A run of data of this form. Texts of times with an offset all have the same one."""
    names, file = [*FORMS[form]], folder / f"t.{form}"
    fixed = FRAME.assign(local=[str(t) for t in FRAME["local"].dt.tz_convert("+02:00")])
    if form in ("frame", "columns", "arrays", "tensors"):
        columns = {n: FRAME[n] for n in names}
        arrays = {n: column.to_numpy() for n, column in columns.items()}
        tensors = {n: torch.tensor(array) for n, array in arrays.items()} if form == "tensors" else {}
        data = {"frame": FRAME, "columns": columns, "arrays": arrays, "tensors": tensors}[form]
        return dgmppl.train(spec("t.csv", names), data=data)
    if form == "npz":
        np.savez(file, **{n: FRAME[n].to_numpy() for n in names})
    elif form in ("csv", "tsv"):
        fixed.to_csv(file, index=False, sep="\t" if form == "tsv" else ",")
    elif form == "xlsx":
        fixed.to_excel(file, index=False)
    else:
        getattr(FRAME, f"to_{form}")(file)
    return fit(folder, spec(file.name, names))


def frame_word(column: pd.Series) -> str:
    found = column.dropna()
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "`category`" if column.dtype == SIZES.dtype else "another"
    kinds = {type(value).__name__ for value in found}
    return {"{'str'}": "texts", "{'date'}": "`datetime.date`"}.get(str(kinds), f"`{column.dtype}`")


def shape(cell: str) -> str:
    """A cell of text with all numbers and texts alike."""
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "0", cell.lstrip("-"))).replace("0.0", "0")


def array_word(values: np.ndarray) -> str:
    return "texts" if values.dtype.kind in "OU" else f"`{values.dtype}`"


@pytest.mark.parametrize("form", FORMS)
def test_what_comes_back(form: str, tmp_path: Path) -> None:
    run = run_of(form, tmp_path)
    drawn = run.sample(5)
    for end in ("parquet", "csv", "npz"):
        drawn.write(tmp_path / f"o.{end}")
        run.rows(tmp_path / f"o.{end}")  # which is read again
    types = parquet.read_schema(tmp_path / "o.parquet")
    cells = dict(zip(*[line.split(",") for line in (tmp_path / "o.csv").read_text().splitlines()[:2]]))
    frame, archive = drawn.frame(), np.load(tmp_path / "o.npz")
    run.rows(frame)
    for name, word in FORMS[form].items():
        row = [cell.strip() for cell in TABLE[f" {word} "]]
        told = str(types.field(name).type).replace("large_", "").partition("<")[0].replace("tz=", "")
        assert [frame_word(frame[name]), f"`{told}`"] == row[:2], name
        assert shape(cells[f'"{name}"']) == shape(row[2].strip("`")), name
        assert array_word(archive[name]) == array_word(drawn[name]) == row[3].replace(" in UTC", ""), name
        assert frame_word(run.data["train"][name]) == row[0], name


def test_answers_about_rows_are_told_as_the_rows_are(tmp_path: Path) -> None:
    """Those of a run that was fitted to texts, and of one that was fitted to a DataFrame."""
    run = run_of("csv", tmp_path)
    told = {"size", "born", "seen", "local", "mass"}
    lacking = FRAME.assign(
        size=SIZES, mass=FRAME["mass"].mask(FRAME.index < 3), born=FRAME["born"].mask(FRAME.index == 1)
    )
    lacking.loc[0, "size"] = None
    answers = (
        run.reconstruct(FRAME).frame(),
        run.impute(lacking, samples=5).frame(),
        run.predict(FRAME, of=[*told]).frame(),
    )
    for found in answers:
        for name in told:
            assert found[name].dtype == FRAME[name].dtype and frame_word(found[name]) == frame_word(FRAME[name]), name
    given = FRAME.drop(columns="smokes")
    assert answers[1][given.columns[:1]].equals(FRAME[given.columns[:1]])
    texts = run.reconstruct(pd.read_csv(tmp_path / "t.csv")).frame()
    assert frame_word(texts["local"]) == frame_word(texts["size"]) == "texts"


def test_times_with_an_offset_are_read_in_each_spelling(tmp_path: Path) -> None:
    for k, mark in enumerate(["+0200", "+02", "+02:00", " +0200"]):
        folder = tmp_path / str(k)
        folder.mkdir()
        rows = "".join(f"2024-05-0{1 + row % 9}T12:00:00{mark}\n" for row in range(ROWS))
        (folder / "t.csv").write_text(f"local\n{rows}")
        run = fit(
            folder,
            'model m\nobserved local : real from standardize(dates("t.csv".local))\np(local) = Normal(param, param)\n'
            "train { epochs = 1 }\n",
        )
        assert set(run.data["train"]["local"]) <= {f"2024-05-0{day} 12:00:00+02:00" for day in range(1, 10)}


def test_conditions_and_splits_are_what_the_file_has(tmp_path: Path) -> None:
    """To the last digit, which single precision does not have; and what transforms take away stays away."""
    table = pd.DataFrame({"dose": np.arange(ROWS) / 10, "x": np.arange(ROWS) / 7, "y": np.arange(ROWS) % 2})
    table.to_csv(tmp_path / "t.csv", index=False)
    text = """\
model doses
observed dose : real from standardize("t.csv".dose)
observed x : real from standardize("t.csv".x)
partial y : categorical(2) from labelled("t.csv".y, 4)
latent z : real
p(z) = Normal(0, 1)
p(x | z, dose) = Normal(linear(z, dose), param)
p(y | z) = Categorical(linear(z))
q(z | x, y, dose) = Normal(linear(x, dose))
train { epochs = 1 }
"""
    run = fit(tmp_path, text)
    for split, part in (("train", table[:24]), ("test", table[32:])):
        assert run.reconstruct(split=split)["dose"].tolist() == part["dose"].tolist()
        assert run.sample(1, split=split)["dose"].tolist() == part["dose"].tolist()
        assert run.data[split]["x"].tolist() == part["x"].tolist()
        assert run.impute(split=split, samples=2)["x"].tolist() == part["x"].tolist()
    assert run.data["train"]["y"].notna().sum() == 4
    assert run.reconstruct(table)["dose"].tolist() == table["dose"].tolist()
