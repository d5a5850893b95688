"""Data sets by name and from files: splits, transforms, and what is said when values break a type."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, norm, uniform

from dgmppl import pipeline
from dgmppl.catalogue.transforms import TRANSFORMS as catalogue_transforms
from dgmppl.data.catalogue import DATASETS
from dgmppl.data.load import load as load_wanted
from dgmppl.data.load import load_data
from dgmppl.data.readers import read_dataset
from dgmppl.data.transforms import TRANSFORMS
from dgmppl.data.wanted import Wanted
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import DataSource
from dgmppl.source import Span
from dgmppl.supports import (
    BINARY,
    INTEGER,
    NATURAL,
    POSITIVE,
    REAL,
    SIMPLEX,
    SPHERE,
    UNIT,
    Categorical,
    Integers,
    Interval,
    Type,
)
from tests.data.support import loaded, whole

HERE = Path()
PIXELS = Type(Integers(0, 16), (8, 8))
TENS = Type(Categorical(10))


def load(sources, types, base=HERE):
    return load_wanted({name: Wanted(source, types[name]) for name, source in sources.items()}, base)


def named(dataset, field, *transforms):
    return DataSource(dataset, field, False, transforms, Span(3, 9))


def from_file(path, field, *transforms):
    return DataSource(path, field, True, transforms, Span(3, 9))


def values(table, name):
    return table.read(0, len(table))[name]


def error(sources, types, base=None):
    with pytest.raises(SpecError) as caught:
        load(sources, types, base) if base else load(sources, types)
    assert len(caught.value.diagnostics) == 1
    assert caught.value.diagnostics[0].span == Span(3, 9)
    return caught.value.diagnostics[0]


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_what_the_catalogue_says(name):
    """Loading checks each value against the declared support, so a wrong declaration fails here."""
    fields = DATASETS[name].fields
    splits = load({f: named(name, f) for f in fields}, {f: field.type for f, field in fields.items()})
    for (_, table), rows in zip(splits, DATASETS[name].splits, strict=True):
        columns = table.read(0, len(table))
        for f, field in fields.items():
            assert columns[f].shape == (rows, *field.shape)
            assert columns[f].dtype == np.float32
    assert all(sum(DATASETS[name].splits) == field.rows for field in fields.values())
    for f, field in fields.items():
        if not field.support.numeric:
            assert set(np.unique(values(splits.train, f))) == set(range(field.support.size))


def test_digits_are_split_in_order():
    from sklearn.datasets import load_digits

    splits = load({"x": named("digits", "image"), "y": named("digits", "label")}, {"x": PIXELS, "y": TENS})
    data, label = load_digits(return_X_y=True)
    found = np.concatenate([values(splits.train, "x"), values(splits.validation, "x"), values(splits.test, "x")])
    assert np.array_equal(found, data.reshape(-1, 8, 8))
    flat = load({"x": named("digits", "image", ("flatten", ()))}, {"x": Type(PIXELS.support, (64,))})
    assert np.array_equal(values(flat.train, "x"), data[:1000])
    assert np.array_equal(values(splits.test, "y"), label[1350:])


@pytest.mark.parametrize("name", ["iris", "moons", "checkerboard", "shapes", "two_moons"])
def test_the_same_values_every_time(name):
    first, second = (read_dataset.__wrapped__(name) for _ in range(2))
    assert all(np.array_equal(first[f], second[f]) for f in first)


def test_checkerboard_points_lie_on_dark_squares():
    point = read_dataset("checkerboard")["point"]
    squares = np.floor(point).astype(int)
    assert np.all((squares.sum(axis=1)) % 2 == 0)
    assert np.all(np.abs(point) <= 2)


def test_shapes_are_outlines_of_their_class():
    """Turned back by the angle that suits it best, a polygon's points are as far out as its sides are; uniform on
    it, the square of their distance from the middle of a side has mean 1 / 3, as a part of it."""
    rows = read_dataset("shapes")
    points, label = rows["points"], rows["label"]
    far = np.hypot(points[..., 0], points[..., 1])
    circles = far[label == 0]
    assert np.all(circles.std(1) < 0.08)
    assert np.all((circles.mean(1) > 0.45) & (circles.mean(1) < 1.55))
    for kind, corners in ((1, 4), (2, 3)):
        turned = np.arctan2(points[..., 1], points[..., 0])[label == kind, None] - np.linspace(0, np.pi, 400)[:, None]
        seen = np.mod(turned, 2 * np.pi / corners) - np.pi / corners  # from the middle of the side
        sides = far[label == kind, None] * np.cos(seen)
        best = sides.std(2).argmin(1)
        assert np.all(sides.std(2).min(1) < 0.08)
        side = np.take_along_axis(sides.mean(2), best[:, None], 1)[:, 0]
        along = far[label == kind] * np.sin(np.take_along_axis(seen, best[:, None, None], 1)[:, 0])
        size = side / np.cos(np.pi / corners)
        assert np.all((size > 0.45) & (size < 1.55))
        assert np.mean((along / (size * np.sin(np.pi / corners))[:, None]) ** 2) == pytest.approx(1 / 3, abs=0.01)


def test_draws_of_the_simulator_are_moons_at_the_place_that_its_parameters_say():
    """Greenberg et al. (2019): around that place, distances are Normal and angles uniform on the right half."""
    rows = read_dataset("two_moons")
    first, second = rows["theta"].T
    place = np.stack([0.25 - abs(first + second) / np.sqrt(2), (second - first) / np.sqrt(2)], 1)
    moon = (rows["observations"] - place[:, None]).reshape(-1, 2)
    assert kstest(np.hypot(*moon.T), norm(0.5, 0.1).cdf).pvalue > 1e-3
    assert kstest(np.arctan2(moon[:, 1], moon[:, 0]), uniform(-np.pi / 2, np.pi).cdf).pvalue > 1e-3
    assert kstest(rows["theta"].ravel(), uniform(-1, 2).cdf).pvalue > 1e-3


def test_transforms_apply_from_the_inside_out():
    source = named("digits", "image", ("threshold", (8,)), ("rescale", (-1, 1)))
    splits = load({"x": source}, {"x": Type(Interval(-1, 1), (8, 8))})
    raw = load({"x": named("digits", "image")}, {"x": PIXELS})
    assert np.array_equal(values(splits.train, "x"), np.where(values(raw.train, "x") >= 8, 1, -1))


def test_rescale_uses_the_declared_range_not_the_data():
    splits = load({"y": named("digits", "label", ("rescale", (0, 18)))}, {"y": Type(REAL)})
    assert set(np.unique(values(splits.train, "y"))) == set(range(0, 20, 2))


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, 1e8 + 0.1])
def test_standardize_leaves_a_column_of_one_value_near_zero(value, tmp_path):
    np.save(tmp_path / "c.npy", np.full((100, 2), value))
    splits = loaded('x : real[2] from standardize("c.npy")', base=tmp_path)
    assert np.abs(whole(splits)).max() < 1e-6


def test_standardize_uses_the_training_rows():
    splits = load({"x": named("wine", "data", ("standardize", ()))}, {"x": Type(REAL, (13,))})
    np.testing.assert_allclose(values(splits.train, "x").mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(values(splits.train, "x").std(0), 1, atol=1e-5)
    assert not np.allclose(values(splits.validation, "x").mean(0), 0, atol=1e-3)


def test_files_are_split_in_order_or_as_they_say(tmp_path):
    rows = np.arange(20.0).reshape(10, 2)
    np.savez(tmp_path / "a.npz", x=rows, y_train=rows[:3], y_validation=rows[3:4], y_test=rows[4:6])
    splits = load({"x": from_file("a.npz", "x")}, {"x": Type(REAL, (2,))}, tmp_path)
    assert [len(t) for _, t in splits] == [6, 2, 2]
    assert np.array_equal(values(splits.test, "x"), rows[8:])
    given = load({"y": from_file("a.npz", "y")}, {"y": Type(REAL, (2,))}, tmp_path)
    assert [len(t) for _, t in given] == [3, 1, 2]


def test_total(tmp_path):
    """The sum of all values of a row, whatever axes they have."""
    rows = np.arange(120.0).reshape(10, 3, 4)
    np.savez(tmp_path / "a.npz", x=rows)
    splits = load({"n": from_file("a.npz", "x", ("total", ()))}, {"n": Type(NATURAL)}, tmp_path)
    assert np.array_equal(values(splits.train, "n"), rows[:6].sum((1, 2)))
    splits = load({"n": named("digits", "image", ("total", ()))}, {"n": Type(NATURAL)})
    assert values(splits.train, "n").shape == (1000,)


def test_total_of_columns(tmp_path):
    """What sites have counted, and how much that is together, are read from the same columns of a table."""
    columns = '"sites.csv"[oak, "fir tree"]'
    (tmp_path / "sites.csv").write_text("oak,fir tree\n" + "".join(f"{k},{2 * k}\n" for k in range(10)))
    text = f"model sites\nobserved n : natural from total({columns})\nobserved x : natural[2] from {columns}\n"
    (tmp_path / "sites.dgm").write_text(f"{text}p(n) = Poisson(param)\np(x | n) = Multinomial(n, param)\n")
    splits = load_data(pipeline.read(tmp_path / "sites.dgm"), tmp_path)
    assert np.array_equal(values(splits.train, "n"), values(splits.train, "x").sum(1))


def test_flatten(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((10, 3, 4)))
    splits = load({"x": from_file("a.npz", "x", ("flatten", ()))}, {"x": Type(REAL, (12,))}, tmp_path)
    assert values(splits.train, "x").shape == (6, 12)
    found = error({"x": from_file("a.npz", "x")}, {"x": Type(REAL, (12,))}, tmp_path)
    assert found.code == "E505"
    assert "flatten" in found.help


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        (Type(BINARY, (3,)), 1.0, 0.5),
        (Type(UNIT, (3,)), 1.0, 1.01),
        (Type(POSITIVE, (3,)), 1.0, 0.0),
        (Type(INTEGER, (3,)), -7.0, 1.5),
        (Type(INTEGER, (3,)), 1.0, 2.0**24 + 2),
        (Type(Integers(0, 4), (3,)), 4.0, 5.0),
        (Type(Categorical(3), (3,)), 2.0, 3.0),
        (Type(Interval(-1, 1), (3,)), -1.0, -1.5),
        (Type(REAL, (3,)), 1e30, 1e39),
        (Type(REAL, (3,)), 0.0, np.nan),
    ],
)
def test_a_bad_value_is_named_with_row_and_column(tmp_path, declared, good, bad):
    """The offending value is in the validation part, whose rows are counted from the start of the file."""
    values = np.full((10, 3), good)
    values[7, 2] = bad
    values[8, 0] = bad
    np.savez(tmp_path / "a.npz", x=values)
    found = error({"x": from_file("a.npz", "x")}, {"x": declared}, tmp_path)
    assert found.code == "E506"
    assert "row 7, column 2 of a.npz, array x" in found.headline
    assert declared.describe() in found.headline


@pytest.mark.parametrize(
    ("support", "good", "bad"), [(SIMPLEX, [0.25, 0.75], [0.5, 0.6]), (SPHERE, [0.6, 0.8], [1, 1])]
)
def test_a_bad_row_is_named(tmp_path, support, good, bad):
    np.savez(tmp_path / "a.npz", x=np.array([good] * 9 + [bad]))
    found = error({"x": from_file("a.npz", "x")}, {"x": Type(support, (2,))}, tmp_path)
    assert "row 9 of a.npz" in found.headline


def test_a_file_that_is_not_there():
    found = error({"x": from_file("missing.npz", "x")}, {"x": PIXELS})
    assert found.code == "E503"
    assert "missing.npz" in found.headline


def test_values_without_a_range_cannot_be_rescaled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((10, 2)))
    source = from_file("a.npz", "x", ("rescale", (-1, 1)))
    found = error({"x": source}, {"x": Type(Interval(-1, 1), (2,))}, tmp_path)
    assert found.code == "E508"


def test_missing_leaves_out_a_share_of_the_values_the_same_every_time():
    spec = "partial x : binary[64] elementwise from threshold(missing(digits.image, 0.3), 8)"
    found, raw = whole(loaded(spec)), whole(loaded("x : binary[64] from threshold(digits.image, 8)"))
    gaps = np.isnan(found)
    assert gaps.mean() == pytest.approx(0.3, abs=0.01)
    assert (np.abs(gaps.mean(0) - 0.3) < 0.06).all()  # wherever they lie
    assert np.array_equal(found[~gaps], raw[~gaps])
    assert np.array_equal(found, whole(loaded(spec)), equal_nan=True)


def test_every_transform_a_spec_can_name_can_be_done():
    assert TRANSFORMS.keys() == catalogue_transforms.keys()


def test_an_array_that_is_not_there_and_a_file_that_is_none(tmp_path):
    np.savez(tmp_path / "a.npz", spectra=np.zeros((10, 2)))
    (tmp_path / "b.npz").write_bytes(b"nothing of the kind")
    with (tmp_path / "c.npz").open("wb") as file:
        np.save(file, np.zeros((10, 2)))
    np.savez(tmp_path / "d.npz", x=np.array(["a"] * 10))
    (tmp_path / "e.npz").mkdir()
    assert "spectra" in error({"x": from_file("a.npz", "spectrum")}, {"x": PIXELS}, tmp_path).help
    for name, words in [
        ("b", "no .npz file"),
        ("c", "a single array without a name"),
        ("d", "array `x`"),
        ("e", "s a directory"),
    ]:
        found = error({"x": from_file(f"{name}.npz", "x")}, {"x": PIXELS}, tmp_path)
        assert found.code == "E503"
        assert words in found.headline


def test_one_hot_rows_are_told_to_become_classes(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.eye(3)[np.arange(10) % 3], y=np.ones((10, 3)))
    declared = Type(Categorical(3))
    assert "argmax" in error({"x": from_file("a.npz", "x")}, {"x": declared}, tmp_path).help
    assert "categorical(3)[3]" in error({"x": from_file("a.npz", "y")}, {"x": declared}, tmp_path).help


@pytest.mark.parametrize(("support", "large"), [(INTEGER, 2**60), (REAL, 1e299)])
def test_a_number_that_is_too_large_is_told_the_limit(tmp_path, support, large):
    np.savez(tmp_path / "a.npz", x=np.full((10, 2), large))
    found = error({"x": from_file("a.npz", "x")}, {"x": Type(support, (2,))}, tmp_path)
    assert "up to" in found.label
    assert "single precision" in found.label


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize("how", ["object array", "bare pickle"])
def test_a_data_file_runs_nothing(tmp_path, how):
    if how == "object array":
        np.savez(tmp_path / "a.npz", x=np.array([Explosive()] * 10, dtype=object))
    else:
        (tmp_path / "a.npz").write_bytes(pickle.dumps(Explosive()))
    found = error({"x": from_file("a.npz", "x")}, {"x": PIXELS}, tmp_path)
    assert found.code == "E503"
    assert "Python objects" in found.headline


def test_rows_that_do_not_pair_up(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((10, 2)), y=np.zeros(20))
    sources = {"x": from_file("a.npz", "x"), "y": from_file("a.npz", "y")}
    found = error(sources, {"x": Type(REAL, (2,)), "y": Type(REAL)}, tmp_path)
    assert found.code == "E505"
    assert "12 rows for train" in found.headline
    assert "has 6" in found.headline


def test_a_split_without_rows(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 2)))
    found = error({"x": from_file("a.npz", "x")}, {"x": Type(REAL, (2,))}, tmp_path)
    assert found.code == "E505"
    assert "5 rows" in found.help
