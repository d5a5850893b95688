"""Rows are the same in whatever form they are given, and what is wrong with them is said with row and column."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from dgmppl.apply.fitted import FittedRun
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("people")
    people().to_csv(folder / "people.csv", index=False)
    return fit(folder, PEOPLE)


def read(run: FittedRun, data: object) -> dict[str, torch.Tensor]:
    chunks = list(run.rows(data).chunks(64))
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def test_files_tables_and_arrays_are_read_alike(run: FittedRun, tmp_path: Path) -> None:
    others = people(150, seed=1)
    others.to_csv(tmp_path / "o.csv", index=False)
    others.to_parquet(tmp_path / "o.parquet")
    both, size = others[["height", "weight"]].to_numpy(copy=True), others["size"].to_numpy()
    forms = {
        "frame": others,
        "shuffled columns": others[["size", "weight", "height"]],
        "csv": tmp_path / "o.csv",
        "parquet": str(tmp_path / "o.parquet"),
        "arrow": pa.Table.from_pandas(others),
        "arrays": {"x": both, "y": size},
        "tensors": {"x": torch.from_numpy(both), "y": list(size)},
    }
    found = {name: read(run, form) for name, form in forms.items()}
    mean, deviation = run.fields["x"].transforms[0].mean, run.fields["x"].transforms[0].deviation
    for name, values in found.items():
        np.testing.assert_allclose(values["x"].numpy(), (both - mean) / deviation, rtol=1e-5, atol=1e-6, err_msg=name)
        assert values["y"].tolist() == [("middling", "short", "tall").index(s) for s in size], name


def test_transforms_are_those_of_the_fit(run: FittedRun) -> None:
    one = people(1, seed=2)
    np.testing.assert_allclose(
        run.fields["x"].invert(read(run, one)["x"].numpy()), one[["height", "weight"]], rtol=1e-6
    )


def test_a_class_that_no_row_has_keeps_the_numbers_of_the_others(run: FittedRun) -> None:
    tall = people(50, seed=3).query("size == 'tall'")
    assert set(read(run, tall)["y"].tolist()) == {2.0}


def test_a_split_is_the_runs_own(run: FittedRun) -> None:
    assert run.rows(split="validation").rows == 60
    assert run.rows().rows == 60
    np.testing.assert_allclose(
        run.fields["x"].invert(next(run.rows(split="train").chunks(500))["x"].numpy()),
        people()[["height", "weight"]][:180],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda f: f.drop(columns="size"), "E504", "has no column `size`"),
        (lambda f: f.drop(columns="weight"), "E504", "the table has no column `weight`"),
        (lambda f: f.assign(size="giant"), "E506", 'row 0, column `size` of the table is the class "giant", which `y`'),
        (lambda f: f.assign(size="giant").set_index("weight", drop=False)[3:], "E506", "row 0 (index `"),
        (lambda f: f.assign(size=1), "E506", "holds numbers, and the classes of the run are texts"),
        (lambda f: f.assign(weight="heavy"), "E516", "column `weight` of the table holds text"),
        (lambda f: f.assign(weight=f.weight.where(f.index != 7)), "E506", "row 7, column `weight`"),
        (lambda f: f.assign(height=f.height.where(f.index != 3, np.inf)), "E506", "row 3, column `height`"),
        (lambda f: {"x": f[["height"]].to_numpy(), "y": f["size"]}, "E505", "has shape [1]"),
        (lambda f: {"x": f[["height", "weight"]].to_numpy()[:5], "y": f["size"]}, "E505", "rows"),
        (lambda f: f[["height", "weight"]].to_numpy(), "E504", "one array cannot be `x` and `y`"),
        (lambda f: Path("nowhere.csv"), "E503", "there is no file nowhere.csv"),
        (lambda f: "table.doc", "E503", "has an ending that no format of data has"),
    ],
)
def test_what_is_wrong_is_said_once(run: FittedRun, change: object, code: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        run.rows(change(people(20)))  # type: ignore[operator]
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert words in caught.value.diagnostics[0].headline
