"""What a run keeps of its data: every transform has an inverse where it says so, and comes back from JSON as it was."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dgmppl.catalogue.transforms import CURVED
from dgmppl.catalogue.transforms import TRANSFORMS as SIGNATURES
from dgmppl.data.column import Column
from dgmppl.data.fields import Field, element_labels, read_field
from dgmppl.data.rows import ArrayRows, Origin
from dgmppl.data.transforms import TRANSFORMS
from dgmppl.graph.nodes import DataSource
from dgmppl.supports import REAL, Type

rng = np.random.default_rng(0)
VALUES = {
    "any": rng.normal(50.0, 20.0, (40, 3, 2)),
    "positive": rng.gamma(2.0, 3.0, (40, 3, 2)),
    "unit": rng.beta(0.3, 0.3, (40, 3, 2)),
    "times": rng.integers(-(10**9), 2 * 10**9, (40, 3, 2)) / 86400,
}
# name -> (the numbers that it is given, the values that it is tried on)
CASES = {
    "rescale": ((-2.0, 5.0), "any"),
    "threshold": ((50.0,), "any"),
    "standardize": ((), "any"),
    "log": ((), "positive"),
    "logit": ((), "unit"),
    "clip": ((40.0, 60.0), "any"),
    "shift": ((-1.0,), "any"),
    "scale": ((-0.01,), "any"),
    "closure": ((), "positive"),
    "dates": ((), "times"),
    "total": ((), "any"),
    "flatten": ((), "any"),
    "labelled": ((4,), "any"),
    "missing": ((0.5,), "any"),
}


def column_of(values):
    rows = ArrayRows(values, Origin("here"))
    return Column({"train": rows, "validation": rows, "test": rows})


def test_every_transform_is_tried():
    assert CASES.keys() == TRANSFORMS.keys() == SIGNATURES.keys()
    told = [n for n, t in TRANSFORMS.items() if t.invertible and t.lossless and not t.affine and n != "dates"]
    assert set(told) == CURVED


@pytest.mark.parametrize("name", CASES)
def test_the_inverse_gives_back_what_was_transformed(name):
    numbers, kind = CASES[name]
    values = VALUES[kind].copy()
    fitted = TRANSFORMS[name].fit(column_of(values), *numbers)
    behind = fitted.apply(values)
    assert behind.shape[1:] == fitted.shape(values.shape[1:])
    if fitted.invertible and not fitted.lossless:
        np.testing.assert_allclose(fitted.apply(fitted.invert(behind)), behind, rtol=1e-12)
        assert not np.allclose(fitted.invert(behind), values)
    elif fitted.invertible:
        back = fitted.invert(behind)
        np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-6)
    else:
        assert not np.array_equal(np.broadcast_to(behind.reshape(-1)[0], behind.shape), behind)
    values[0, 0, 0] = np.nan
    assert np.isnan(fitted.apply(values)).any()


@pytest.mark.parametrize("name", [name for name, t in TRANSFORMS.items() if t.invertible])
def test_the_derivative_is_that_of_differences(name):
    """Where values are not clipped, and of parts of a whole: what the sum was is lost, and nothing is divided."""
    numbers, kind = CASES[name]
    values = VALUES[kind]
    fitted = TRANSFORMS[name].fit(column_of(values), *numbers)
    found = fitted.log_derivative(fitted.apply(values)).reshape(values.shape)
    if name == "closure":
        assert not found.any()
        return
    step = 1e-4 * (np.minimum(values, 1 - values) if kind == "unit" else np.abs(values).clip(1e-3))
    ends = [fitted.apply(values + sign * step).reshape(values.shape) for sign in (-1, 1)]
    inside = (values > values.min()) & (values < values.max())
    if kind == "unit":
        inside &= (values > 1e-6) & (values < 1 - 1e-6)
    if name == "clip":
        inside &= (values > 40) & (values < 60)
    np.testing.assert_allclose(np.abs((ends[1] - ends[0]) / (2 * step))[inside], np.exp(found)[inside], rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_what_a_run_keeps_comes_back_from_json(name):
    numbers, kind = CASES[name]
    fitted = TRANSFORMS[name].fit(column_of(VALUES[kind]), *numbers)
    source = DataSource("x.npy", "", True, ((name, numbers),))
    field = Field("x", Type(REAL, fitted.shape((3, 2))), source, (3, 2), ("a",), ("no", "yes"), (fitted,))
    again = read_field("x", field.type, source, json.loads(json.dumps(field.as_data())))
    assert replace(again, transforms=()) == replace(field, transforms=())
    np.testing.assert_array_equal(again.apply(VALUES[kind]), field.apply(VALUES[kind]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transforms": []}, "not those of the spec"),
        ({"transforms": [{"name": "standardize", "mean": [0.0]}]}, "deviation"),
        ({"transforms": [{"name": "standardize", "mean": ["0"], "deviation": [1.0]}]}, "numbers"),
        ({"transforms": 3}, "list of transforms"),
        ({"shape": [-1]}, "shape"),
        ({"classes": [1]}, "texts"),
    ],
)
def test_a_record_that_was_edited_is_refused(change, message):
    source = DataSource("x.npy", "", True, (("standardize", ()),))
    kept = {"shape": [1], "transforms": [{"name": "standardize", "mean": [0.0], "deviation": [1.0]}]}
    read_field("x", Type(REAL, (1,)), source, kept)
    with pytest.raises(ValueError, match=message):
        read_field("x", Type(REAL, (1,)), source, {**kept, **change})


FAR = {
    "log": (),
    "logit": (),
    "log, shift": (("shift", (1.0,)),),
    "log, shift far": (("shift", (1e6,)),),
    "log, scale": (("scale", (0.01,)), ("shift", (3.0,))),
    "logit, scale": (("flatten", ()), ("scale", (0.1,))),
}


@pytest.mark.parametrize("name", FAR)
def test_values_far_out_are_told_as_the_data_may_have_them(name):
    """In double precision exp(-1e4) is 0, exp(1e4) is infinite and sigmoid(100) is 1: none of them has a logarithm."""
    before = (*FAR[name], (name.partition(",")[0], ()))
    transforms = tuple(TRANSFORMS[n].fit(column_of(np.ones((3, 2))), *numbers) for n, numbers in before)
    field = Field("x", Type(REAL, (2,)), DataSource("x.npy", "", True, before), (2,), transforms=transforms)
    far = np.array([[-1e4, 1e4], [-100.0, 100.0], [-0.5, 0.5], [np.nan, 0.0]])
    again = field.apply(field.invert(far))
    assert np.isnan(again[3, 0])
    assert np.isfinite(again[:3]).all()
    np.testing.assert_array_equal(np.sign(again[:3]), np.sign(far[:3]))
    np.testing.assert_allclose(again[2], far[2], atol=1e-8)


def test_values_are_told_in_the_units_of_the_data():
    """Centimetres and kilograms behind a standardisation; classes by their names, a missing one as None."""
    source = DataSource("people.csv", "", True, (("standardize", ()),), columns=("height", "weight"))
    people = np.stack([rng.normal(170, 10, 50), rng.normal(70, 8, 50)], 1)
    fitted = TRANSFORMS["standardize"].fit(column_of(people))
    field = Field("x", Type(REAL, (2,)), source, (2,), ("height", "weight"), (), (fitted,))
    np.testing.assert_allclose(field.invert(np.zeros((1, 2))), people.mean(0)[None], rtol=1e-9)
    assert field.labels == ("height", "weight")
    named = Field("y", Type(REAL), DataSource("people.csv", "job", True), (), ("job",), ("clerk", "cook"))
    assert named.invert(np.array([1.0, np.nan, 0.0])).tolist() == ["cook", None, "clerk"]
    assert element_labels("g", (2, 2)) == ("g[0, 0]", "g[0, 1]", "g[1, 0]", "g[1, 1]")
