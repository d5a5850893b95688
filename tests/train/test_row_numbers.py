"""A loss that is not finite names the rows it arose on, and the batch that is kept has their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import train_spec
from dgmppl.train import failures
from dgmppl.train.batches import MemoryExamples

U = np.random.default_rng(0).beta(2, 3, 700)
U[234] = 0
# A density that vanishes at 0 with a learned parameter: known in the first step, and not before.
FACTOR = "p(x) = Beta(2 * exp(param), param)"


def failed(folder: Path, field: str, settings: str = "", more: str = "") -> tuple[str, dict[str, np.ndarray]]:
    """What is said of a fit to data with one impossible row, and the batch it left."""
    text = f"model m\nobserved x : unit from {field}\n{more}{FACTOR}\ntrain {{ epochs = 1{settings} }}\n"
    (folder / "m.dgm").write_text(text)
    with pytest.raises(SpecError) as caught:
        train_spec(pipeline.read(folder / "m.dgm"), folder / "run")
    (found,) = caught.value.diagnostics
    assert found.code == "E610"
    with np.load(folder / "run" / "not_finite.npz", allow_pickle=False) as batch:
        return found.headline, dict(batch)


@pytest.mark.parametrize(
    "settings",
    ["", ", accumulate = 3", ", stream = true", ", split = shuffled(0.9, 0.05, 0.05, seed = 1)"],
)
def test_the_row_is_that_of_the_file(tmp_path: Path, settings: str) -> None:
    np.save(tmp_path / "x.npy", U)
    said, batch = failed(tmp_path, '"x.npy"', settings)
    assert "row 234 of x.npy (x = 0)" in said
    assert "for 1 of the" in said
    assert np.array_equal(batch["x"], U[batch["row"]].astype(np.float32))


def test_the_row_of_a_table_is_counted_as_a_spreadsheet_does(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("u\n" + "".join(f"{u!r}\n" for u in U.tolist()))
    said, batch = failed(tmp_path, '"t.csv".u')
    assert "row 236 of t.csv (x = 0)" in said
    assert np.array_equal(batch["x"], U[batch["row"] - 2].astype(np.float32))


def test_the_row_of_training_rows_that_a_file_brings(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", u_train=U, u_test=U[:100])
    assert "row 234 of a.npz, array u_train (x = 0)" in failed(tmp_path, '"a.npz".u')[0]


def test_numbers_have_a_name_that_no_variable_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=U, row=np.arange(700.0))
    row = 'observed row : real from "a.npz".row\np(row) = Normal(param)\n'
    said, batch = failed(tmp_path, '"a.npz".x', more=row)
    assert "(x = 0, row = 234)" in said
    assert np.array_equal(batch["row"], batch["row number"])


def test_examples_without_a_table_are_counted_as_they_come() -> None:
    model = torch.nn.Linear(1, 1)
    bad = failures.Bad("model", float("-inf"), [], {"log p(x)": torch.tensor([0.0, -torch.inf])}, [5, 7])
    rows = MemoryExamples([torch.zeros(10)])
    found = failures.not_finite(model, bad, rows, 1, {}, {})  # type: ignore[arg-type]
    assert "for 1 of the 2 examples of a batch, row 7, in epoch 1" in found.diagnostics[0].headline
    assert found.numbers == [5, 7]


def test_a_validation_row_without_a_density_is_named(tmp_path: Path) -> None:
    x = U.copy()
    x[234], x[500] = 0.5, 0
    np.save(tmp_path / "x.npy", x)
    text = f'model m\nobserved x : unit from "x.npy"\n{FACTOR}\ntrain {{ epochs = 2 }}\n'
    (tmp_path / "m.dgm").write_text(text)
    with pytest.raises(SpecError, match=r"E613: .* for 1 of 140, row 500 of x.npy \(x = 0\)"):
        train_spec(pipeline.read(tmp_path / "m.dgm"), tmp_path / "run")
