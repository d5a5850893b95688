"""A file with bytes changed, lost or added is loaded or refused with a code; nothing else comes of it."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from dgmppl.diagnostics import SpecError
from tests.data.bad_files.images import idx
from tests.data.bad_files.tables import PEOPLE
from tests.data.support import loaded

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def images(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    for name in "abcd":
        Image.fromarray(PIXELS).save(path.with_stem(name))
    Image.fromarray(PIXELS).save(path)


def table(path: Path) -> None:
    texts = ["ab"[i % 2] for i in range(40)]
    parquet.write_table(
        pa.table({"a": RNG.random(40), "t": texts, "v": RNG.random((40, 2)).tolist()}), path, row_group_size=9
    )


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    'x : real[3] from "a.npz".x': ("a.npz", lambda path: np.savez_compressed(path, x=RNG.random((20, 3)))),
    'x : real[3] from "a.npy"': ("a.npy", lambda path: np.save(path, RNG.random((20, 3)))),
    'x : real[2] from "a.csv"[age, height]': ("a.csv", lambda path: path.write_text(PEOPLE)),
    'x : categorical(5) from "a.csv".name': ("a.csv", lambda path: path.write_text(PEOPLE)),
    'x : real from "a.parquet".a': ("a.parquet", table),
    'x : real[2] from "a.parquet".v': ("a.parquet", table),
    'x : categorical(2) from "a.parquet".t': ("a.parquet", table),
    'x : real[2, 2] from "a-idx3-ubyte"': ("a-idx3-ubyte", lambda path: path.write_bytes(idx(10, 2, 2))),
    'x : real[2, 2] from "a-idx3-ubyte.gz"': (
        "a-idx3-ubyte.gz",
        lambda path: path.write_bytes(gzip.compress(idx(10, 2, 2))),
    ),
    'x : real[8, 8, 3] from "png".image': ("png/x.png", images),
    'x : real[8, 8] from "jpg".image': ("jpg/x.jpg", images),
    'x : real[8, 8] from "gif".image': ("gif/x.gif", images),
    'x : real[8, 8] from "tif".image': ("tif/x.tif", images),
    'x : real[8, 8] from "webp".image': ("webp/x.webp", images),
    'x : real[8, 8] from "bmp".image': ("bmp/x.bmp", images),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    at, size = chance.randrange(len(data)), chance.choice([1, 1, 2, 8, 50])
    kind = chance.randrange(4)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + size :]
    return data[:at] + chance.randbytes(size) + data[at + (size if kind == 2 else 0) :]


@pytest.mark.parametrize("spec", FILES)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_loaded_or_refused(
    spec: str, tmp_path: Path, pytestconfig: pytest.Config, capfd: pytest.CaptureFixture[str]
) -> None:
    name, write = FILES[spec]
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    loaded(spec, base=tmp_path)
    refused = 0
    codes: set[str] = set()
    for seed in range(40):
        path.write_bytes(damaged(whole, random.Random(seed)))
        for stream in (False, None):
            try:
                loaded(spec, base=tmp_path, stream=stream)
            except SpecError as error:
                refused += 1
                codes |= {d.code for d in error.diagnostics}
            except Exception as error:
                raise AssertionError(f"damage {seed}") from error
    assert refused >= 10
    assert codes <= {"E503", "E504", "E505", "E506", "E516", "E517"}
    printed = capfd.readouterr()
    assert not printed.out
