"""A page, and the figures of a run, say that the data has changed when it has, and never when it has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic
from dgmppl.lifecycle import train_spec
from dgmppl.report.evaluate import evaluate
from dgmppl.report.page import report_run

SAID = "no longer what the run was fitted to"
RNG = np.random.default_rng(3)
PAIRS = RNG.normal(size=(40, 2))


def npz(folder: Path) -> str:
    np.savez(folder / "mine.npz", x=PAIRS)
    return 'observed x : real[2] from "mine.npz".x'


def npy(folder: Path) -> str:
    np.save(folder / "x.npy", PAIRS)
    return 'observed x : real[2] from "x.npy"'


def csv(folder: Path) -> str:
    rows = "".join(f"{a!r},{b!r}\n" for a, b in PAIRS.tolist())
    (folder / "t.csv").write_text("a,b\n" + rows)
    return 'observed x : real[2] from standardize("t.csv"[b, a])'


def parquets(folder: Path) -> str:
    parquet.write_table(pa.table({"a": PAIRS[:, 0], "b": PAIRS[:, 1]}), folder / "t.parquet", row_group_size=4)
    return 'observed x : real[2] from rescale("t.parquet", -1, 1)'


def partial(folder: Path) -> str:
    columns = {"a": PAIRS[:, 0], "b": [None if i % 3 else float(i) for i in range(40)]}
    parquet.write_table(pa.table(columns), folder / "t.parquet", row_group_size=4)
    return (
        'observed a : real from "t.parquet".a\npartial b : real from labelled("t.parquet".b, 5)\n'
        "p(b) = Normal(param)\np(a | b) = Normal(mlp[4](b))\nq(b | a) = Normal(mlp[4](a))"
    )


def idx(folder: Path) -> str:
    (folder / "x-idx2-ubyte").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 40, 0, 0, 0, 2]) + bytes(range(80)))
    return 'observed x : real[2] from "x-idx2-ubyte"'


def photos(folder: Path) -> str:
    for i in range(20):
        path = folder / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 1), i).save(path)
    return 'observed x : real[2] from flatten("photos".image)'


def hub(folder: Path) -> str:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"x": PAIRS.tolist()}).save_to_disk(folder / "set")
    return 'observed x : real[2] from "hf:./set".x'


FORMATS = (npz, npy, csv, parquets, partial, idx, photos, hub)


def fitted(folder: Path, variables: str, settings: str = "epochs = 1") -> Path:
    factor = "" if "p(" in variables else "p(x) = Normal(param)\n"
    (folder / "spec.dgm").write_text(f"model m\n{variables}\n{factor}train {{ {settings} }}\n")
    train_spec(pipeline.read(folder / "spec.dgm"), folder / "runs" / "a")
    return folder / "runs" / "a"


def said(run: Path) -> list[str]:
    """What a new page and an evaluation say of the data."""
    out, missing = report_run(run)
    assert not missing
    warned: list[Diagnostic] = []
    evaluate(run, splits=("test",), measures=False, warn=warned.append)
    return [SAID] * (SAID in out.read_text()) + [d.code for d in warned]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("settings", ["epochs = 1", "epochs = 1, split = shuffled(0.5, 0.25, 0.25, seed = 2)"])
def test_data_that_is_the_same(tmp_path: Path, write: Callable[[Path], str], settings: str) -> None:
    run = fitted(tmp_path, write(tmp_path), settings)
    assert SAID not in (run / "report.html").read_text()
    assert said(run) == []


@pytest.mark.parametrize("write", [npy, parquets, partial, idx])
def test_data_that_is_streamed(tmp_path: Path, write: Callable[[Path], str]) -> None:
    assert said(fitted(tmp_path, write(tmp_path), "epochs = 1, stream = true")) == []


def test_data_that_has_changed(tmp_path: Path) -> None:
    run = fitted(tmp_path, npy(tmp_path))
    np.save(tmp_path / "x.npy", PAIRS + 1)
    assert said(run) == [SAID, "W621"]


def test_values_that_are_written_in_another_format_or_order_of_bytes(tmp_path: Path) -> None:
    run = fitted(tmp_path, npy(tmp_path))
    np.save(tmp_path / "x.npy", np.asfortranarray(PAIRS.astype(">f8")))
    assert said(run) == []


def test_missing_values_are_the_same_whatever_their_bits(tmp_path: Path) -> None:
    """NaN has many bit patterns, and libraries write one or the other."""
    y = np.arange(40.0)
    y[::3] = np.nan
    np.savez(tmp_path / "a.npz", x=PAIRS[:, 0], y=y)
    spec = (
        'observed x : real from "a.npz".x\npartial y : real from "a.npz".y\n'
        "p(y) = Normal(param)\np(x | y) = Normal(mlp[4](y))\nq(y | x) = Normal(mlp[4](x))"
    )
    run = fitted(tmp_path, spec)
    bits = y.view(np.uint64).copy()
    bits[::3] = 0xFFF8_0000_0000_0001
    np.savez(tmp_path / "a.npz", x=PAIRS[:, 0], y=bits.view(np.float64))
    assert said(run) == []


def test_zero_is_zero_whatever_its_sign(tmp_path: Path) -> None:
    x = np.where(np.arange(40) % 2, 0.0, np.arange(40))
    np.save(tmp_path / "x.npy", x)
    run = fitted(tmp_path, 'observed x : real from "x.npy"')
    np.save(tmp_path / "x.npy", np.where(np.arange(40) % 2, -0.0, np.arange(40)))
    assert said(run) == []
