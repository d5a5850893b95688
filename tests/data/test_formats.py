"""What is read of each format is what the program that wrote it meant."""

from __future__ import annotations

import csv
import gzip
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from dgmppl.catalogue.formats import FORMATS, format_of
from dgmppl.data.formats import READERS
from dgmppl.diagnostics import SpecError
from tests.data.support import loaded, values, whole

RNG = np.random.default_rng(1)


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    kind = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}[code]
    head = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(kind).tobytes()


def test_every_format_has_its_reader() -> None:
    assert READERS.keys() == FORMATS.keys()


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.npz", "npz"),
        ("deep/er/A.NPY", "npy"),
        ("t.csv", "csv"),
        ("t.parquet", "parquet"),
        ("train-images-idx3-ubyte", "idx"),
        ("t10k-labels.idx1-ubyte.gz", "idx"),
        ("x.idx", "idx"),
        ("photos", "folder"),
        ("my.photos/", "folder"),
        ("../photos", "folder"),
        ("..", "folder"),
        ("hf:glue:mrpc", "huggingface"),
        ("hf:./saved.csv", "huggingface"),
        ("torchvision:MNIST", "torchvision"),
        ("a.h5", ""),
        ("a.csv.gz", "csv"),
        ("A.TSV", "csv"),
        ("a.tsv.gz", "csv"),
        ("a.feather", "feather"),
        ("a.arrow", "feather"),
        ("a.xlsx", "excel"),
        ("a.xls", ""),
        ("a.parquet.gz", ""),
        ("", ""),
    ],
)
def test_a_name_tells_its_format(name: str, format: str) -> None:
    assert format_of(name) == format


# --- numpy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u1", "?", ">f4", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(RNG.integers(0, 2, (20, 3, 2)).astype(dtype), order=order)
    np.save(tmp_path / "x.npy", array)
    assert np.array_equal(whole(loaded('x : real[3, 2] from "x.npy"', base=tmp_path)), array.astype(np.float32))


def test_npz_with_two_of_its_splits(tmp_path: Path) -> None:
    """As MNIST has them: validation rows come from the end of train, as many as the test has, at most a quarter."""
    np.savez(tmp_path / "a.npz", x_train=np.arange(60.0), x_test=np.arange(60.0, 70), y_train=np.arange(8), y_test=[1])
    splits = loaded('x : real from "a.npz".x', base=tmp_path)
    assert splits.rule["sizes"] == [50, 10, 10]
    assert np.array_equal(whole(splits), np.arange(70))
    assert loaded('x : real from "a.npz".y', base=tmp_path).rule["sizes"] == [7, 1, 1]


# --- tables --------------------------------------------------------------------------------------

TABLE = {
    "age": [31, 40, 52, 18, 77, 64, 23, 35, 48, 59],
    "blood pressure": [1.5, 2.0, -3.25, 1e-3, 5, 6, 7, 8, 9, 1e20],
    "sex": ["f", "m", "m", "f", "f", "m", "f", "m", "f", "m"],
}


def write_table(path: Path, **more: list[object]) -> None:
    columns = {**TABLE, **more}
    if path.suffix == ".csv":
        write_csv(path, list(columns), [list(row) for row in zip(*columns.values())])
    else:
        parquet.write_table(pa.table(columns), path, row_group_size=3)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_columns_of_a_table(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name)
    splits = loaded(
        f'x : integer from "{name}".age',
        f'y : real[2] from "{name}"["blood pressure", age]',
        f'z : categorical(2) from "{name}".sex',
        f'b : real from "{name}"."blood pressure"',
        base=tmp_path,
    )
    assert splits.rule == {"rule": "ordered", "sizes": [6, 2, 2], "seed": None, "streamed": False}
    assert np.array_equal(whole(splits, "x"), TABLE["age"])
    expected = np.stack([TABLE["blood pressure"], TABLE["age"]], 1).astype(np.float32)
    assert np.array_equal(whole(splits, "y"), expected)
    assert np.array_equal(whole(splits, "b"), expected[:, 0])
    assert np.array_equal(whole(splits, "z"), [0, 1, 1, 0, 0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_alone_is_all_its_columns(tmp_path: Path, name: str) -> None:
    frame = RNG.standard_normal((15, 4)).round(3)
    if name == "t.csv":
        write_csv(tmp_path / name, list("abcd"), frame.tolist())
    else:
        parquet.write_table(pa.table(dict(zip("abcd", frame.T))), tmp_path / name)
    assert np.array_equal(whole(loaded(f'x : real[4] from "{name}"', base=tmp_path)), frame.astype(np.float32))


def test_csv_as_pandas_reads_it(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    text = '\ufeffa,"b, c", d\n1,"2.5",TRUE\n+3, -4e-2 ,false\n\n.5,1_0,True\n'.replace("1_0", '"6"')
    text += "".join(f"{i},{i}.25,false\n" for i in range(7))
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    frame = pandas.read_csv(tmp_path / "t.csv", skipinitialspace=True)
    frame.columns = [name.strip() for name in frame.columns]
    splits = loaded('x : real[3] from "t.csv"[a, "b, c", d]', base=tmp_path)
    assert np.array_equal(whole(splits), frame[["a", "b, c", "d"]].to_numpy().astype(np.float32))


def test_a_number_that_is_no_integer_far_down_the_file(tmp_path: Path) -> None:
    """Types are not guessed from the first block of the file, which is 1 MB."""
    column = np.arange(300_000.0)
    column[-1] = 0.5
    write_csv(tmp_path / "t.csv", ["a"], [[int(v) if v.is_integer() else v] for v in column])
    assert np.array_equal(whole(loaded('x : real from "t.csv".a', base=tmp_path)), column.astype(np.float32))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_missing_cells_of_a_partial_variable(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, dose=[1.5, None, 3, None, 5, 6, None, 8, 9, 10])
    splits = loaded(f'x : real from "{name}".age', f'partial d : positive from "{name}".dose', base=tmp_path)
    expected = [1.5, np.nan, 3, np.nan, 5, 6, np.nan, 8, 9, 10]
    np.testing.assert_array_equal(whole(splits, "d"), np.float32(expected))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_missing_cells_of_a_vector_of_columns(tmp_path: Path, name: str) -> None:
    """Transforms take their constants from the cells that are there; what is missing stays so."""
    dose = np.array([1.5, np.nan, 3, np.nan, 5, 6, np.nan, 8, 9, 10])
    write_table(tmp_path / name, dose=[None if np.isnan(v) else v for v in dose])
    splits = loaded(f'partial x : real[2] elementwise from standardize("{name}"[age, dose])', base=tmp_path)
    found = whole(splits)
    assert np.array_equal(np.isnan(found), np.stack([np.zeros(10, bool), np.isnan(dose)], 1))
    train = dose[:6]
    expected = (dose - np.nanmean(train)) / np.nanstd(train)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-5)


def test_missing_texts(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", kind=["b", None, "a", "c", None, "a", "a", "b", "c", "c"])
    splits = loaded('x : real from "t.parquet".age', 'partial k : categorical(3) from "t.parquet".kind', base=tmp_path)
    np.testing.assert_array_equal(whole(splits, "k"), [1, np.nan, 0, 2, np.nan, 0, 0, 1, 2, 2])


@pytest.mark.parametrize("kind", ["list", "fixed", "nested", "tensor", "large"])
def test_lists_in_parquet(tmp_path: Path, kind: str) -> None:
    array = RNG.standard_normal((12, 2, 3)).astype(np.float32)
    flat = array.reshape(12, 6)
    columns = {
        "list": lambda: pa.array(flat.tolist(), pa.list_(pa.float32())),
        "large": lambda: pa.array(flat.tolist(), pa.large_list(pa.float64())),
        "fixed": lambda: pa.array(flat.tolist(), pa.list_(pa.float32(), 6)),
        "nested": lambda: pa.array(array.tolist(), pa.list_(pa.list_(pa.float32()))),
        "tensor": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(array),
    }
    parquet.write_table(pa.table({"v": columns[kind]()}), tmp_path / "t.parquet", row_group_size=5)
    shape, expected = ("[2, 3]", array) if kind in ("nested", "tensor") else ("[6]", flat)
    assert np.array_equal(whole(loaded(f'x : real{shape} from "t.parquet".v', base=tmp_path)), expected)
    assert np.array_equal(whole(loaded(f'x : real{shape} from "t.parquet"', base=tmp_path)), expected)


@pytest.mark.parametrize("type_", ["int8", "uint64", "float16", "bool", "decimal", "dictionary"])
def test_types_of_parquet(tmp_path: Path, type_: str) -> None:
    numbers = [0, 1, 1, 0, 1, 0, 0, 1, 1, 0]
    column = {
        "decimal": lambda: pa.array(numbers).cast(pa.decimal128(30, 2)),
        "dictionary": lambda: pa.array([("no", "yes")[n] for n in numbers]).dictionary_encode(),
        "bool": lambda: pa.array([bool(n) for n in numbers]),
        "float16": lambda: pa.array(np.float16(numbers)),
    }.get(type_, lambda: pa.array(numbers, getattr(pa, type_)()))
    parquet.write_table(pa.table({"v": column()}), tmp_path / "t.parquet")
    assert np.array_equal(whole(loaded('x : binary from "t.parquet".v', base=tmp_path)), numbers)


# --- IDX -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E])
@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, code: int, packed: bool) -> None:
    array = RNG.integers(0, 100, (10, 3, 2))
    data, name = idx(array, code), "x-idx3-ubyte" + ".gz" * packed
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    assert np.array_equal(whole(loaded(f'x : integer(0..255)[3, 2] from "{name}"', base=tmp_path)), array)


def write_mnist(folder: Path, packed: bool = False) -> dict[str, np.ndarray]:
    folder.mkdir()
    arrays = {}
    for prefix, rows in (("train", 60), ("t10k", 10)):
        arrays[prefix] = RNG.integers(0, 256, (rows, 4, 5))
        arrays[prefix + "labels"] = np.arange(rows) % 10
        for what, array in (("images-idx3", arrays[prefix]), ("labels-idx1", arrays[prefix + "labels"])):
            data = idx(array)
            name = f"{prefix}-{what}-ubyte"
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
    return arrays


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_the_four_files_of_mnist(tmp_path: Path, packed: bool) -> None:
    arrays = write_mnist(tmp_path / "mnist", packed)
    splits = loaded(
        'x : integer(0..255)[4, 5] from "mnist".image', 'y : categorical(10) from "mnist/".label', base=tmp_path
    )
    assert splits.rule == {"rule": "given", "sizes": [50, 10, 10], "seed": None, "streamed": False}
    assert np.array_equal(whole(splits), np.concatenate([arrays["train"], arrays["t10k"]]))
    assert np.array_equal(values(splits.test, "y"), arrays["t10klabels"])


def test_bytes_of_images_are_rescaled_from_0_to_255(tmp_path: Path) -> None:
    (tmp_path / "x-idx3-ubyte").write_bytes(idx(np.full((10, 2, 2), 51)))
    splits = loaded('x : unit[4] from rescale(flatten("x-idx3-ubyte"), 0, 1)', base=tmp_path)
    assert np.array_equal(whole(splits), np.full((10, 4), 51 / 255, np.float32))


# --- images --------------------------------------------------------------------------------------


def picture(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (12, 3, 4), dtype=np.uint8)
    for i, image in enumerate(pixels):
        picture(tmp_path / "photos" / ("cat", "ant", "dog")[i % 3] / f"{i:02}.png", image)
    (tmp_path / "photos" / "cat" / ".hidden.png").write_bytes(b"of another program")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    splits = loaded(
        'x : integer(0..255)[3, 4] from "photos".image', 'y : categorical(3) from "photos".label', base=tmp_path
    )
    assert splits.rule["rule"] == "shuffled"  # they come sorted by class
    order = sorted(range(12), key=lambda i: (("cat", "ant", "dog")[i % 3], i))
    by_name = {pixels[i].tobytes(): (1, 0, 2)[i % 3] for i in order}
    assert [by_name[x.astype(np.uint8).tobytes()] for x in whole(splits)] == whole(splits, "y").tolist()
    assert {x.astype(np.uint8).tobytes() for x in whole(splits)} == set(by_name)


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_images_with_given_splits(tmp_path: Path, validation: str) -> None:
    for split, rows in (("train", 4), (validation, 2), ("test", 1)):
        for i in range(rows):
            picture(tmp_path / "photos" / split / "ab"[i % 2] / f"{i}.png", np.full((2, 2), 10 * i, np.uint8))
    splits = loaded('x : real[4] from flatten("photos".image)', 'y : binary from "photos".label', base=tmp_path)
    assert splits.rule["sizes"] == [4, 2, 1]
    assert splits.rule["rule"] == "given"
    assert values(splits.train, "y").tolist() == [0, 0, 1, 1]
    assert values(splits.train)[:, 0].tolist() == [0, 20, 10, 30]


def test_validation_rows_cut_from_sorted_images_are_of_every_class(tmp_path: Path) -> None:
    for split, rows in (("Train", 30), ("test", 10)):
        for i in range(rows):
            picture(tmp_path / "photos" / split / "abc"[3 * i // rows] / f"{i}.png", np.full((2, 2), i, np.uint8))
    splits = loaded('x : real[4] from flatten("photos".image)', 'y : categorical(3) from "photos".label', base=tmp_path)
    assert splits.rule == {"rule": "given", "sizes": [23, 7, 10], "seed": 0, "streamed": False}
    assert set(values(splits.validation, "y")) == {0, 1, 2}
    for table in (splits.train, splits.validation):
        assert np.array_equal(values(table)[:, 0] // 10, values(table, "y")), "images keep their labels"
    assert values(splits.test)[:, 0].tolist() == list(range(10))


def test_hidden_folders_hold_no_images_and_no_class(tmp_path: Path) -> None:
    for i in range(10):
        picture(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png", np.full((2, 2), i, np.uint8))
    picture(tmp_path / "photos" / ".ipynb_checkpoints" / "1.png", np.full((2, 2), 99, np.uint8))
    picture(tmp_path / "photos" / "a" / ".cache" / "1.png", np.full((2, 2), 99, np.uint8))
    assert whole(loaded('x : real[4] from flatten("photos".image)', base=tmp_path)).max() == 9


def test_images_are_turned_as_they_are_to_be_seen(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (3, 4), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    for i in range(5):
        image = Image.fromarray(pixels)
        turn = image.getexif()
        turn[0x0112] = 6  # a quarter to the left: shown turned to the right
        image.save(tmp_path / "photos" / f"{i}.png", exif=turn)
    found = whole(loaded('x : integer(0..255)[4, 3] from "photos".image', base=tmp_path))
    assert np.array_equal(found[0], np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize(("shape", "to"), [("[4, 5]", "L"), ("[4, 5, 3]", "RGB")])
def test_images_are_grey_or_coloured_as_declared(tmp_path: Path, mode: str, shape: str, to: str) -> None:
    suffix = ".tif" if mode == "CMYK" else ".png"
    for i in range(5):
        picture(tmp_path / "photos" / f"{i}{suffix}", RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8), mode)
    splits = loaded(f'x : integer(0..255){shape} from "photos".image', base=tmp_path)
    expected = [np.asarray(Image.open(tmp_path / "photos" / f"{i}{suffix}").convert(to)) for i in range(5)]
    assert np.array_equal(whole(splits), expected)


def test_more_than_256_grey_levels_are_kept(tmp_path: Path) -> None:
    for i in range(5):
        picture(tmp_path / "photos" / f"{i}.png", np.full((2, 2), 1000 * i, np.uint16))
    assert whole(loaded('x : real[2, 2] from "photos".image', base=tmp_path))[:, 0, 0].tolist() == [
        0,
        1e3,
        2e3,
        3e3,
        4e3,
    ]


# --- libraries -----------------------------------------------------------------------------------


def test_hugging_face_from_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pixels = RNG.integers(0, 256, (20, 3, 3), dtype=np.uint8)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "v": datasets.Sequence(datasets.Value("float32")),
            "a": datasets.Value("int64"),
            "b": datasets.Value("float64"),
            "text": datasets.Value("string"),
        }
    )
    columns = {
        "image": [Image.fromarray(p) for p in pixels],
        "label": [i % 2 for i in range(20)],
        "v": RNG.standard_normal((20, 3)).astype(np.float32).tolist(),
        "a": list(range(20)),
        "b": [i / 4 for i in range(20)],
        "text": ["xyz"[i % 3] for i in range(20)],
    }
    one = datasets.Dataset.from_dict(columns, features=features)
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": one.select(range(15, -1, -1)), "test": one.select(range(16, 20))}).save_to_disk(
        tmp_path / "two"
    )
    splits = loaded(
        'x : integer(0..255)[3, 3] from "hf:./one".image',
        'y : binary from "hf:./one".label',
        'v : real[3] from "hf:./one".v',
        'w : real[2] from "hf:./one"[b, a]',
        't : categorical(3) from "hf:./one".text',
        base=tmp_path,
    )
    assert np.array_equal(whole(splits), pixels)
    assert whole(splits, "y").tolist() == columns["label"]
    assert np.array_equal(whole(splits, "v"), columns["v"])
    assert whole(splits, "w").tolist() == [[b, a] for a, b in zip(columns["a"], columns["b"])]
    assert whole(splits, "t").tolist() == [i % 3 for i in range(20)]
    given = loaded('x : real from "hf:./two".a', base=tmp_path)
    assert given.rule["sizes"] == [12, 4, 4]
    assert whole(given).tolist() == [*range(15, -1, -1), *range(16, 20)]


def test_hugging_face_never_runs_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(*name: str, trust_remote_code: bool | None = None) -> None:
        asked.append((name, trust_remote_code))
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(SpecError, match="no network"):
        loaded('x : real from "hf:glue:mrpc".a')
    assert asked == [(("glue", "mrpc"), False)]


def test_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in of the library: `data` and `targets` of MNIST's class, once with train and once without."""
    pixels = RNG.integers(0, 256, (70, 2, 2), dtype=np.uint8)

    def mnist(root: str, train: bool, download: bool) -> SimpleNamespace:
        assert root == str(tmp_path / "dgmppl" / "torchvision")
        assert download
        rows = slice(0, 60) if train else slice(60, 70)
        return SimpleNamespace(data=pixels[rows], targets=np.arange(70)[rows] % 10)

    library, sets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    sets.MNIST = mnist  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", library)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", sets)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    splits = loaded(
        'x : integer(0..255)[2, 2] from "torchvision:MNIST".image',
        'y : categorical(10) from "torchvision:MNIST".label',
    )
    assert splits.rule["sizes"] == [50, 10, 10]
    assert np.array_equal(whole(splits), pixels)
    assert whole(splits, "y").tolist() == [i % 10 for i in range(70)]
