"""Data of sequences of different lengths: what lies beyond an end is not looked at, what lies before it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dgmppl.data.table import Splits
from dgmppl.diagnostics import SpecError
from dgmppl.pipeline import read
from dgmppl.train.runs import load_data

ROWS, LONGEST = 40, 5

SPEC = """model walks
observed x[t in 1..n] : real[2] from FIELD
observed n : integer(2..5) from "walks.npz".lengths
observed s[t in 1..n] : positive from "walks.npz".speed
p(x[t]) = Normal(param)
p(s[t]) = LogNormal(param)
"""


def write(folder: Path, beyond: float, **changed: object) -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(2, LONGEST + 1, ROWS)
    xy = generator.normal(size=(ROWS, LONGEST, 2))
    speed = generator.exponential(size=(ROWS, LONGEST)) + 0.1
    gone = np.arange(LONGEST) >= lengths[:, None]
    xy[gone], speed[gone] = beyond, beyond
    for place, value in changed.items():
        {"lengths": lengths, "xy": xy, "speed": speed}[place][0, ...] = value
    np.savez(folder / "walks.npz", xy=xy, lengths=lengths, speed=speed)


def loaded(folder: Path, field: str = '"walks.npz".xy') -> Splits:
    return load_data(read(SPEC.replace("FIELD", field)), folder)


def standardized(folder: Path) -> Splits:
    return loaded(folder, 'standardize("walks.npz".xy)')


@pytest.mark.parametrize("load", [loaded, standardized])
def test_what_lies_beyond_is_not_looked_at(tmp_path: Path, load) -> None:
    """nan, 0, -1, or a number without measure: the same rows, transforms fitted to them, and the same fingerprint."""
    found = []
    for beyond in (np.nan, 0.0, -1.0, 1e9):
        write(tmp_path, beyond)
        splits = load(tmp_path)
        found.append((splits.train.read(0, 24), splits.fingerprint))
    for rows, fingerprint in found[1:]:
        assert fingerprint == found[0][1]
        for name, values in rows.items():
            assert np.isfinite(values).all()
            np.testing.assert_array_equal(values, found[0][0][name])
    rows = found[0][0]
    if load is standardized:
        there = np.arange(LONGEST) < rows["n"][:, None]
        for k in range(LONGEST):
            np.testing.assert_allclose(rows["x"][there[:, k], k].mean(0), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"xy": [[0, 0], [np.nan, 1], [0, 0], [0, 0], [0, 0]]}, "row 0, column (1, 0) of walks.npz"),
        ({"speed": -1.0}, "`s` is declared positive[5]"),
        ({"lengths": 7}, "`n` is declared integer(2..5), but row 0"),
        ({"lengths": 1}, "`n` is declared integer(2..5), but row 0"),
    ],
)
def test_what_lies_before_is_named(tmp_path: Path, changed, told: str) -> None:
    write(tmp_path, np.nan, **changed)
    with pytest.raises(SpecError) as error:
        loaded(tmp_path)
    (found,) = error.value.diagnostics
    assert told in found.headline, found.headline
