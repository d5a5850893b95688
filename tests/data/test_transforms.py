"""Transforms of data by what others make of the same values, and what is said where one does not apply."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import special
from sklearn import preprocessing

from tests.data.support import loaded, message, whole

rng = np.random.default_rng(0)
POSITIVE = rng.gamma(0.5, 10.0, (60, 3))
SHARES = rng.beta(0.5, 0.5, (60, 3))
ANY = rng.normal(0.0, 50.0, (60, 3))


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ('real[3] from log("x.npy")', POSITIVE, np.log(POSITIVE)),
        ('real[3] from logit("x.npy")', SHARES, special.logit(SHARES)),
        ('interval(-9, 20)[3] from clip("x.npy", -9, 20)', ANY, ANY.clip(-9, 20)),
        ('real[3] from shift("x.npy", -1.5)', ANY, ANY - 1.5),
        ('real[3] from scale("x.npy", -0.01)', ANY, ANY / -100),
        ('simplex[3] from closure("x.npy")', POSITIVE, preprocessing.normalize(POSITIVE, norm="l1")),
        ('unit[3] from rescale(clip("x.npy", -9, 20), 0, 1)', ANY, (ANY.clip(-9, 20) + 9) / 29),
        ('interval(-4, 6)[3] from rescale(shift(scale(clip("x.npy", 0, 10), -2), 1), -4, 6)', ANY, 6 - ANY.clip(0, 10)),
    ],
)
def test_values_are_those_that_others_compute(declared, values, expected, tmp_path: Path):
    """The last two: bounds of values that a transform knows are those that `rescale` maps, whatever the values are."""
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_allclose(whole(loaded(f"x : {declared}", base=tmp_path)), expected, rtol=2e-5, atol=1e-5)


def test_missing_values_stay_so_and_their_rows_are_no_fault(tmp_path: Path):
    values = POSITIVE.copy()
    values[::7] = np.nan
    np.save(tmp_path / "x.npy", values)
    for declared in ('real[3] from log("x.npy")', 'simplex[3] from closure("x.npy")'):
        found = whole(loaded(f"partial x : {declared}", base=tmp_path))
        assert np.array_equal(np.isnan(found), np.isnan(values))


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        ('real[3] from log("x.npy")', 0.0, "row 7, column 1 of x.npy is 0, and `log` takes numbers above 0"),
        ('real[3] from log("x.npy")', -2.5, "row 7, column 1 of x.npy is -2.5"),
        ('real[3] from standardize(log("x.npy"))', 0.0, "`log(shift(..., 1))` takes 0 as well"),
        ('real[3] from logit("x.npy")', 1.0, "`logit(clip(..., 0.001, 0.999))` brings the ends inside"),
        ('simplex[3] from closure("x.npy")', -1.0, "`closure` takes rows of numbers from 0 that are not all 0"),
        ('real[3] from log(clip("x.npy", 0, 1))', -1.0, "row 7, column 1 of x.npy is 0"),
    ],
)
def test_what_a_transform_cannot_take_is_named_by_its_place(declared, value, said, tmp_path: Path):
    """Wherever it lies: the rows are read in blocks, and by what comes behind."""
    values = SHARES.clip(0.1, 0.9)
    values[7, 1] = value
    np.save(tmp_path / "x.npy", values)
    text = message(f"x : {declared}", base=tmp_path)
    assert said in text
    assert text.startswith("error[E508]")


def test_compositions_that_were_rounded_are_closed(tmp_path: Path):
    """As in every published table: rows that miss 1 by a digit. What is said gives the sum, and the way."""
    rows = np.round(rng.dirichlet([1.0] * 5, 100), 3)
    off = rows.sum(1)
    first = int(np.flatnonzero(np.abs(off - 1) > 1e-4)[0])
    np.save(tmp_path / "x.npy", rows)
    text = message('x : simplex[5] from "x.npy"', base=tmp_path)
    assert f"row {first} of x.npy" in text
    assert f"these sum to {off[first]:.3f}" in text
    assert "`closure(...)` brings values into simplex" in text
    found = whole(loaded('x : simplex[5] from closure("x.npy")', base=tmp_path))
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-6)
    np.testing.assert_allclose(found, rows / off[:, None], rtol=1e-6)


def test_a_row_of_zeros_is_no_composition(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.eye(4)[np.arange(12) % 4] * (np.arange(12)[:, None] != 5))
    text = message('x : simplex[4] from closure("x.npy")', base=tmp_path)
    assert "row 5 of x.npy" in text
    assert "not all 0" in text


@pytest.mark.parametrize("declared", ["categorical(3)", "integer(0..2)"])
def test_classes_that_are_counted_from_1_are_shifted(declared, tmp_path: Path):
    """EMNIST's letters, MATLAB, R."""
    labels = np.arange(90) % 3 + 1
    np.savez(tmp_path / "x.npz", y=labels)
    found = whole(loaded(f'y : {declared} from shift("x.npz".y, -1)', base=tmp_path), "y")
    assert np.array_equal(found, labels - 1)
    text = message('y : categorical(3) from "x.npz".y', base=tmp_path)
    assert "`shift(..., -1)` counts classes from 0" in text
