"""Arrays that cannot be loaded, of NumPy's files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.bad_files.cases import case


def npz(folder: Path, **arrays: Any) -> None:
    np.savez(folder / "mine.npz", **arrays)


@case
def npz_not_there(folder: Path) -> str:
    return 'x : real from "mine.npz".x'


@case
def npz_of_another_kind(folder: Path) -> str:
    (folder / "mine.npz").write_text("a,b\n1,2\n")
    return 'x : real from "mine.npz".x'


@case
def npz_cut_off(folder: Path) -> str:
    npz(folder, x=np.arange(1000.0))
    (folder / "mine.npz").write_bytes((folder / "mine.npz").read_bytes()[:500])
    return 'x : real from "mine.npz".x'


@case
def npz_with_a_broken_member(folder: Path) -> str:
    npz(folder, x=np.zeros(1000))
    data = bytearray((folder / "mine.npz").read_bytes())
    data[300:310] = b"0123456789"
    (folder / "mine.npz").write_bytes(data)
    return 'x : real from "mine.npz".x'


@case
def npz_is_a_folder(folder: Path) -> str:
    (folder / "mine.npz").mkdir()
    return 'x : real from "mine.npz".x'


@case
def npz_of_objects(folder: Path) -> str:
    npz(folder, x=np.array([{"a": 1}] * 10, dtype=object))
    return 'x : real from "mine.npz".x'


@case
def npz_of_texts(folder: Path) -> str:
    npz(folder, x=np.array(["a"] * 10))
    return 'x : real from "mine.npz".x'


@case
def npz_array_misspelled(folder: Path) -> str:
    npz(folder, spectra=np.zeros(10))
    return 'x : real from "mine.npz".spectrum'


@case
def npz_shape(folder: Path) -> str:
    npz(folder, x=np.zeros((10, 8, 8)))
    return 'x : real[64] from "mine.npz".x'


@case
def npz_one_hot(folder: Path) -> str:
    npz(folder, y=np.eye(3)[np.arange(10) % 3])
    return 'y : categorical(3) from "mine.npz".y'


@case
def npz_nan(folder: Path) -> str:
    x = np.zeros((10, 4))
    x[7, 2] = np.nan
    npz(folder, x=x)
    return 'x : real[4] from "mine.npz".x'


@case
def npz_too_large_for_single_precision(folder: Path) -> str:
    npz(folder, x=np.array([1.0] * 9 + [1e39]))
    return 'x : real from "mine.npz".x'


@case
def npz_outside_the_interval(folder: Path) -> str:
    npz(folder, x=np.linspace(-1, 1.5, 11))
    return 'x : interval(-1, 1) from "mine.npz".x'


@case
def npz_half_a_class(folder: Path) -> str:
    npz(folder, x=np.arange(10) / 2)
    return 'x : categorical(10) from "mine.npz".x'


@case
def npz_no_probabilities(folder: Path) -> str:
    npz(folder, x=np.full((10, 3), 0.3))
    return 'x : simplex[3] from "mine.npz".x'


@case
def npz_rows_that_do_not_pair_up(folder: Path) -> tuple[str, str]:
    npz(folder, x=np.zeros(20), y=np.zeros(10))
    return 'x : real from "mine.npz".x', 'y : real from "mine.npz".y'


@case
def npz_too_few_rows(folder: Path) -> str:
    npz(folder, x=np.zeros(2))
    return 'x : real from "mine.npz".x'


@case
def npz_row_missing_in_part(folder: Path) -> str:
    npz(folder, x=np.array([[np.nan, np.nan], [1, np.nan]] * 5))
    return 'partial x : real[2] from "mine.npz".x'


@case
def npy_pickled(folder: Path) -> str:
    (folder / "x.npy").write_bytes(pickle.dumps([1, 2, 3]))
    return 'x : real from "x.npy"'


@case
def npy_of_objects(folder: Path) -> str:
    np.save(folder / "x.npy", np.array([None] * 10), allow_pickle=True)
    return 'x : real from "x.npy"'


@case
def npy_is_an_npz(folder: Path) -> str:
    npz(folder, x=np.zeros(10))
    (folder / "mine.npz").rename(folder / "x.npy")
    return 'x : real from "x.npy"'


@case
def npy_cut_off(folder: Path) -> str:
    np.save(folder / "x.npy", np.zeros(100))
    (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:-10])
    return 'x : real from "x.npy"'


@case
def npy_of_records(folder: Path) -> str:
    np.save(folder / "x.npy", np.zeros(10, dtype=[("a", "f8"), ("b", "i4")]))
    return 'x : real from "x.npy"'


@case
def npy_streamed_by_columns(folder: Path) -> tuple[Any, ...]:
    np.save(folder / "x.npy", np.asfortranarray(np.zeros((10, 3))))
    return 'x : real[3] from "x.npy"', {"stream": True}
