"""Images keep their values, in folders and in data sets of Hugging Face, and folders named like splits are splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dgmppl.diagnostics import SpecError
from tests.data.support import loaded, values, whole, write_png_of_16_bits

RNG = np.random.default_rng(2)


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


# --- depth ---------------------------------------------------------------------------------------


def test_grey_of_16_bits_keeps_its_values_whatever_its_gamma(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (5, 2, 3))
    for i, image in enumerate(pixels):
        write_png_of_16_bits(tmp_path / "photos" / f"{i}.png", image, 0)
    assert np.array_equal(whole(loaded('x : real[2, 3] from "photos".image', base=tmp_path)), pixels)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_several_channels_of_16_bits_are_refused(tmp_path: Path, colour: int, channels: int) -> None:
    """Pillow keeps 8 bits of each and says nothing."""
    write_png_of_16_bits(tmp_path / "photos" / "0.png", np.full((2, 2, channels), 1000), colour)
    shape = "[2, 2, 3]" if channels > 2 else "[2, 2]"
    with pytest.raises(SpecError, match="16 bits a channel"):
        loaded(f'x : real{shape} from "photos".image', base=tmp_path)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("most", [255, 1023, 4095, 65535])
def test_grey_levels_of_pgm_keep_their_values(tmp_path: Path, most: int, plain: bool) -> None:
    """Pillow stretches them to 65535."""
    pixels = np.stack([np.linspace(0, most, 6).round().astype(int).reshape(2, 3)] * 5)
    pixels[:, 0, 1] = range(1, 6)
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(pixels):
        kind = ">u2" if most > 255 else "u1"
        content = " ".join(map(str, image.ravel())).encode() if plain else image.astype(kind).tobytes()
        (tmp_path / "photos" / f"{i}.pgm").write_bytes(b"P%d 3 2 %d\n" % (2 if plain else 5, most) + content)
    assert np.array_equal(whole(loaded('x : real[2, 3] from "photos".image', base=tmp_path)), pixels)


def test_colour_of_ppm_beyond_8_bits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(5):
        (tmp_path / "photos" / f"{i}.ppm").write_bytes(b"P6 1 1 65535\n" + np.full(3, 1000 + i, ">u2").tobytes())
    with pytest.raises(SpecError, match="16 bits a channel"):
        loaded('x : real[1, 1, 3] from "photos".image', base=tmp_path)


@pytest.mark.parametrize("kind", ["<f4", "<i4", ">u2", "<u2"])
def test_deep_images_of_tiff_keep_their_values(tmp_path: Path, kind: str) -> None:
    pixels = np.asarray(RNG.normal(size=(5, 2, 3)) if kind == "<f4" else RNG.integers(0, 60000, (5, 2, 3)), kind)
    for i, image in enumerate(pixels):
        save(tmp_path / "photos" / f"{i}.tif", Image.fromarray(image))
    assert np.array_equal(whole(loaded('x : real[2, 3] from "photos".image', base=tmp_path)), pixels)


def test_a_pixel_that_is_not_finite_is_named(tmp_path: Path) -> None:
    for i in range(5):
        pixels = np.full((2, 3), i, np.float32)
        pixels[1, 2] = np.inf if i == 3 else 0
        save(tmp_path / "photos" / f"{i}.tif", Image.fromarray(pixels))
    with pytest.raises(SpecError, match=r"pixel 1, 2 of photos/3.tif is inf"):
        loaded('x : real[2, 3] from "photos".image', base=tmp_path)


# --- Hugging Face --------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3, 4, 5])
@pytest.mark.parametrize("dynamic", [False, True])
def test_tensors_of_hugging_face(tmp_path: Path, dimensions: int, dynamic: bool) -> None:
    datasets = pytest.importorskip("datasets")
    shape = (2, 3, 1, 2, 2)[:dimensions]
    array = RNG.normal(size=(12, *shape)).astype(np.float32)
    kind = getattr(datasets, f"Array{dimensions}D")((None, *shape[1:]) if dynamic else shape, "float32")
    features = datasets.Features({"x": kind})
    datasets.Dataset.from_dict({"x": array}, features=features).save_to_disk(tmp_path / "a")
    found = whole(loaded(f'x : real{list(shape)} from "hf:./a".x', base=tmp_path))
    assert np.array_equal(found, array)


@pytest.mark.parametrize(
    ("modes", "shape", "to"),
    [("L,RGB", "[2, 3, 3]", "RGB"), ("LA", "[2, 3]", "L"), ("RGB,L", "[2, 3]", "L"), ("P,RGBA", "[2, 3, 3]", "RGB")],
)
def test_images_of_hugging_face_are_those_of_a_folder(tmp_path: Path, modes: str, shape: str, to: str) -> None:
    datasets = pytest.importorskip("datasets")
    kinds = modes.split(",")
    images = [
        Image.fromarray(RNG.integers(0, 256, (2, 3, 3), dtype=np.uint8)).convert(kinds[i % len(kinds)])
        for i in range(12)
    ]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": images}, features=features).save_to_disk(tmp_path / "set")
    for i, image in enumerate(images):
        save(tmp_path / "photos" / f"{i:02}.png", image)
    expected = [np.asarray(image.convert(to)) for image in images]
    assert np.array_equal(whole(loaded(f'x : integer(0..255){shape} from "hf:./set".image', base=tmp_path)), expected)
    assert np.array_equal(whole(loaded(f'x : integer(0..255){shape} from "photos".image', base=tmp_path)), expected)


def test_deep_images_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pixels = RNG.integers(0, 65536, (10, 2, 2)).astype(np.uint16)
    columns = {"image": [Image.fromarray(image) for image in pixels]}
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "set")
    assert np.array_equal(whole(loaded('x : real[2, 2] from "hf:./set".image', base=tmp_path)), pixels)
    write_png_of_16_bits(tmp_path / "photos" / "0.png", np.full((2, 2, 3), 1000), 2)
    content = (tmp_path / "photos" / "0.png").read_bytes()
    columns = {"image": [{"bytes": content, "path": None}] * 5}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "deep")
    with pytest.raises(SpecError, match=r"row 0 of hf:./deep has 16 bits a channel"):
        loaded('x : real[2, 2, 3] from "hf:./deep".image', base=tmp_path)


def test_an_image_that_hugging_face_lacks_is_named(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"image": [Image.new("L", (2, 2), i) if i != 3 else None for i in range(10)]}
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "set")
    with pytest.raises(SpecError, match=r"row 3 of hf:./set cannot be read: it is missing"):
        loaded('x : real[2, 2] from "hf:./set".image', base=tmp_path)


# --- splits --------------------------------------------------------------------------------------


def photos(folder: Path, **rows: int) -> None:
    """Grey images of every split: `train=8` of cats and 8 of dogs, valued 10 i, and 10 i + 1 for dogs."""
    for split, count in rows.items():
        for k, name in enumerate(("cat", "dog")):
            for i in range(count):
                save(folder / "photos" / split / name / f"{i}.png", Image.new("L", (2, 2), 10 * i + k))


def both(folder: Path, name: str = "photos") -> object:
    return loaded(f'x : real[4] from flatten("{name}".image)', f'y : categorical(2) from "{name}".label', base=folder)


@pytest.mark.parametrize("training", ["train", "Training"])
@pytest.mark.parametrize("validation", ["valid", "validation", "val", "dev"])
def test_folders_named_like_splits_are_splits(tmp_path: Path, training: str, validation: str) -> None:
    photos(tmp_path, **{training: 8, validation: 4})
    splits = both(tmp_path)
    assert splits.fields["y"].classes == ("cat", "dog")
    # The test rows are cut from those for training, as many as the validation has, at most a quarter.
    assert splits.rule["sizes"] == [12, 8, 4]
    assert values(splits.validation, "y").tolist() == [0] * 4 + [1] * 4
    assert values(splits.validation)[:, 0].tolist() == [0, 10, 20, 30, 1, 11, 21, 31]
    for table in (splits.train, splits.test):
        assert np.array_equal(values(table)[:, 0] % 10, values(table, "y"))


@pytest.mark.parametrize("test", ["test", "Testing"])
def test_splits_are_the_same_in_a_data_set_of_hugging_face(tmp_path: Path, test: str) -> None:
    datasets = pytest.importorskip("datasets")
    photos(tmp_path, training=8, dev=4, **{test: 2})
    assert both(tmp_path).rule["sizes"] == [16, 8, 4]
    parts = {
        name: datasets.Dataset.from_dict({"a": list(range(rows))})
        for name, rows in (("training", 16), ("dev", 8), (test.lower(), 4))
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    assert loaded('x : real from "hf:./set".a', base=tmp_path).rule["sizes"] == [16, 8, 4]


@pytest.mark.parametrize("name", ["train", "test", "valid"])
def test_one_folder_of_a_split_holds_all_rows(tmp_path: Path, name: str) -> None:
    photos(tmp_path, **{name: 10})
    splits = both(tmp_path)
    assert splits.fields["y"].classes == ("cat", "dog")
    assert splits.rule["sizes"] == [12, 4, 4]


def test_a_class_among_others_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "plane", "train"):
        for i in range(4):
            save(tmp_path / "photos" / name / f"{i}.png", Image.new("L", (2, 2), i))
    assert loaded('y : categorical(3) from "photos".label', base=tmp_path).fields["y"].classes == (
        "bus",
        "plane",
        "train",
    )
