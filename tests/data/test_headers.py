"""How far an index goes, where the data say it: read from headers, kept by runs as an override."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.train.runs import load_data, load_run

SPEC = """model walks
observed x[t in 1..T] : real[2] from FIELD
latent z[t in 1..T] : real
p(z[t]) = Normal(0, 1)
p(x[t] | z[t]) = Normal(linear(z[t]))
q(z[t] | x) = Normal(linear(x[t]))
train { epochs = 1 }
"""
XY = np.random.default_rng(0).normal(size=(30, 7, 2))


def written(folder: Path, field: str, first: int = 1) -> Path:
    path = folder / "walks.dgm"
    path.write_text(SPEC.replace("FIELD", field).replace("1..T", f"{first}..T"))
    return path


@pytest.mark.parametrize("field", ['"walks.npz".xy', 'standardize("walks.npz".xy)', '"walks.npz".apart', '"walks.npy"'])
@pytest.mark.parametrize("first", [0, 1])
def test_the_header_says_it(tmp_path: Path, field: str, first: int, monkeypatch) -> None:
    np.savez(tmp_path / "walks.npz", xy=XY, apart_train=XY, apart_test=XY)
    np.save(tmp_path / "walks.npy", XY)
    path = written(tmp_path, field, first)
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda *_: pytest.fail("values are read"))
    found = pipeline.read(path)
    assert found.graph is not None and found.overrides == (f"T={6 + first}",)
    assert found.graph["x"].type.shape == (7, 2) and found.graph["z"].type.shape == (7,)


def test_the_catalogue_says_it() -> None:
    text = SPEC.replace("real[2] from FIELD", "real[8] from rescale(digits.image, 0, 1)")
    found = pipeline.read(text)
    assert found.overrides == ("T=8",)


@pytest.mark.parametrize("there", ["nothing", "another array", "no archive"])
def test_where_nothing_says_it(tmp_path: Path, there: str) -> None:
    if there == "another array":
        np.savez(tmp_path / "walks.npz", yx=XY)
    elif there == "no archive":
        (tmp_path / "walks.npz").write_bytes(b"PK nothing")
    (error,) = pipeline.read(written(tmp_path, '"walks.npz".xy')).errors
    assert error.code == "E201" and "const T = 20" in error.help


def test_another_number_does_not_fit_the_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "walks.npz", xy=XY)
    found = pipeline.read(written(tmp_path, '"walks.npz".xy'), "T=5")
    assert found.ok
    with pytest.raises(SpecError, match="x"):
        load_data(found, tmp_path)


def test_a_run_keeps_it(tmp_path: Path) -> None:
    """The run is opened, and draws, when the data are gone."""
    np.savez(tmp_path / "walks.npz", xy=XY)
    train_spec(pipeline.read(written(tmp_path, '"walks.npz".xy')), tmp_path / "run", ComputeOptions("cpu"))
    (tmp_path / "walks.npz").unlink()
    model, run = load_run(tmp_path / "run")
    assert run.checked.overrides == ("T=7",)
    assert model.sample(3).shape == (3, 7, 2)
