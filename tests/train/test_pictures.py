"""Pictures of samples: the kind follows from the type."""

import numpy as np
import pytest

from dgmppl.supports import BINARY, INTEGER, REAL, Integers, Interval, Type
from dgmppl.train.pictures import Shown, as_bytes, draw_samples, image_shape, shades, tile

pytestmark = pytest.mark.painted


def test_what_looks_like_an_image():
    assert image_shape((64,)) == (8, 8)
    assert image_shape((8, 6)) == (8, 6)
    assert image_shape((8, 6, 3)) == (8, 6, 3)
    assert image_shape((3, 8, 6)) is None
    assert image_shape((2,)) is None
    assert image_shape((16,)) is None
    assert image_shape((65,)) is None
    assert image_shape(()) is None


def test_tiles_keep_every_image_in_reading_order():
    images = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 3), np.float32)
    grid = tile(images, 9)
    assert grid.shape == (2 * 3 + 1, 3 * 4 + 1)
    assert grid[1, 1] == 0
    assert grid[1, 9] == 2
    assert grid[4, 5] == 4
    assert grid[4, 9] == 9
    assert grid[0, 0] == 9


def test_brightness_follows_the_support():
    interval = Type(Interval(-1, 1), (4, 4))
    values = np.array([-2.0, -1.0, 0.0, 1.0, np.nan], np.float32)
    assert shades(values, interval) == (-1, 1)
    assert as_bytes(values, -1, 1).tolist() == [0, 0, 128, 255, 0]
    assert shades(np.array([2.0, np.nan, 5.0]), Type(REAL, (4, 4))) == (2.0, 5.0)
    colours = np.zeros((3, 4, 4, 3), np.float32)
    colours[1, :, :, 0] = 1.0
    grid = tile(colours, 1.0, columns=3)
    assert grid.shape == (6, 16, 3)
    assert grid[2, 7].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        (Type(Integers(0, 16), (64,)), np.full((10, 64), 3)),
        (Type(BINARY, (64,)), np.ones((1, 64))),
        (Type(REAL, (2,)), np.zeros((10, 2))),
        (Type(REAL, (8, 8)), np.full((3, 8, 8), np.nan)),
        (Type(Integers(0, 255), (8, 6, 3)), np.full((5, 8, 6, 3), 200)),
        (Type(REAL, (5,)), np.full((3, 5), np.nan)),
        (Type(REAL), np.arange(7.0)),
        (Type(INTEGER), np.array([-3.0, 2.0])),
        (Type(INTEGER), np.array([0.0, 1e7])),
        (Type(REAL, (3, 2, 2)), np.ones((4, 3, 2, 2))),
    ],
)
def test_every_type_is_drawn(tmp_path, declared, values):
    path = tmp_path / "samples.png"
    draw_samples(
        {"x": values.astype(np.float32), "$y_": np.arange(len(values))},
        {"x": Shown(declared), "$y_": Shown(Type(REAL))},
        path,
    )
    assert path.read_bytes().startswith(b"\x89PNG")
