"""Values that become the same in single precision are told; transforms are computed before they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.support import loaded, whole

SECONDS = 1.7e9 + np.arange(300.0)
RNG = np.random.default_rng(5)


def write(path: Path, values: np.ndarray) -> str:
    """The values as a file; a field of it."""
    if path.suffix == ".npy":
        np.save(path, values)
        return f'"{path.name}"'
    if path.suffix == ".npz":
        np.savez(path, t=values)
    elif path.suffix == ".csv":
        path.write_text("t\n" + "".join(f"{v!r}\n" for v in values.tolist()))
    else:
        parquet.write_table(pa.table({"t": values}), path, row_group_size=50)
    return f'"{path.name}".t'


@pytest.mark.parametrize("stream", [None, True])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_it_says_how_many_of_how_many(tmp_path: Path, suffix: str, stream: bool | None) -> None:
    field = write(tmp_path / f"t{suffix}", SECONDS)
    if stream and suffix in (".npz", ".csv"):
        stream = None
    (found,) = loaded(f"x : real from {field}", base=tmp_path, stream=stream).warnings
    assert found.code == "W521"
    left = len(np.unique(SECONDS.astype(np.float32)))
    assert "of 300 different values of `x`" in found.headline
    assert f" {left} are left" in found.headline
    assert "standardize" in found.help
    assert "offset" in found.help


def test_the_column_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.stack([RNG.normal(size=300), SECONDS], 1))
    (found,) = loaded('x : real[2] from "x.npy"', base=tmp_path).warnings
    assert "`x`, column 1" in found.headline
    (tmp_path / "t.csv").write_text("a,when\n" + "".join(f"{i / 7},{t!r}\n" for i, t in enumerate(SECONDS.tolist())))
    (found,) = loaded('x : real[2] from "t.csv"', base=tmp_path).warnings
    assert "`x`, column `when`" in found.headline


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("transform", "kind"), [("standardize({})", "real"), ("rescale({}, 0, 1)", "unit")])
def test_transforms_are_computed_in_double_precision(tmp_path: Path, stream: bool, transform: str, kind: str) -> None:
    """Against numpy in double precision, rounded at the end."""
    t = RNG.permutation(SECONDS)
    np.save(tmp_path / "t.npy", t)
    splits = loaded(f"x : {kind} from {transform.format(chr(34) + 't.npy' + chr(34))}", base=tmp_path, stream=stream)
    train = t[:180]
    exact = (t - train.mean()) / train.std() if kind == "real" else (t - t.min()) / (t.max() - t.min())
    assert not splits.warnings
    np.testing.assert_allclose(whole(splits), exact, rtol=3e-7, atol=1e-7)
    assert len(np.unique(whole(splits))) == 300


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=100_000),
        RNG.uniform(10, 11, 100_000),
        np.full(300, 1.7e9),
        np.arange(300.0) / 3,
        RNG.exponential(size=(50, 8, 8)),
        np.float32(1.7e9 + np.arange(300)),
    ],
    ids=["normal", "uniform", "constant", "thirds", "images", "float32"],
)
def test_what_is_only_rounded_is_no_matter(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", values)
    shape = list(values.shape[1:]) or ""
    assert not loaded(f'x : real{shape} from "x.npy"', base=tmp_path).warnings


def test_values_that_vanish_are_told(tmp_path: Path) -> None:
    """Below 1e-45 there is only 0 in single precision."""
    np.save(tmp_path / "x.npy", 1e-50 * np.arange(1, 11))
    (found,) = loaded('x : real from "x.npy"', base=tmp_path).warnings
    assert "of 10 different values of `x` 1 " in found.headline


def test_missing_values_are_no_values(tmp_path: Path) -> None:
    t = SECONDS.copy()
    t[::2] = np.nan
    np.save(tmp_path / "t.npy", t)
    (found,) = loaded('partial x : real from "t.npy"', base=tmp_path).warnings
    assert "of 150 different values" in found.headline
