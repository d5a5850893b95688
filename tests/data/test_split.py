"""Which rows are for training, validation and test, and which of them keep a label."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from dgmppl.data import transforms
from dgmppl.data.catalogue import DATASETS
from dgmppl.data.readers import read_dataset
from dgmppl.diagnostics import SpecError
from dgmppl.plan.settings import SplitSetting
from dgmppl.source import Span
from tests.data.support import loaded, values, whole

ROOT = Path(__file__).parents[2]


def ordered(*sizes: float) -> SplitSetting:
    return SplitSetting("ordered", (sizes[0], sizes[1], sizes[2]), 0, Span(0, 1))


def shuffled(*sizes: float, seed: int = 1) -> SplitSetting:
    return SplitSetting("shuffled", (sizes[0], sizes[1], sizes[2]), seed, Span(0, 1))


@pytest.fixture
def numbers(tmp_path: Path) -> Callable[..., Any]:
    """Loads rows 0, 1, 2, ... of a file that says no split."""
    np.savez(tmp_path / "a.npz", x=np.arange(103.0), y=np.arange(103.0) % 7)
    return lambda *more, **options: loaded('x : real from "a.npz".x', *more, base=tmp_path, **options)


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ((0.6, 0.2, 0.2), [61, 20, 22]),
        ((0.8, 0.1, 0.1), [82, 10, 11]),
        ((0.1, 0.1, 0.1), [10, 10, 10]),
        ((50, 40, 13), [50, 40, 13]),
        ((3, 2, 1), [3, 2, 1]),
    ],
)
@pytest.mark.parametrize("rule", [ordered, shuffled])
def test_sizes(numbers: Callable[..., Any], rule: Any, sizes: tuple[float, ...], rows: list[int]) -> None:
    splits = numbers(split=rule(*sizes))
    assert splits.rule["sizes"] == rows == [len(table) for _, table in splits]
    assert splits.rule["rule"] == rule.__name__
    order = np.random.default_rng(1).permutation(103) if rule is shuffled else np.arange(103)
    assert np.array_equal(whole(splits), order[: sum(rows)])
    assert splits.rule["seed"] == (1 if rule is shuffled else None)


def test_variables_stay_together_when_shuffled(numbers: Callable[..., Any]) -> None:
    splits = numbers('y : categorical(7) from "a.npz".y', split=shuffled(0.5, 0.3, 0.2, seed=5))
    for _, table in splits:
        assert np.array_equal(values(table) % 7, values(table, "y"))


def test_the_fingerprint_tells_values_order_and_split(numbers: Callable[..., Any], tmp_path: Path) -> None:
    rules = [None, ordered(0.5, 0.3, 0.2), shuffled(0.5, 0.3, 0.2), shuffled(0.5, 0.3, 0.2, seed=2)]
    prints = [numbers(split=rule).fingerprint for rule in rules]
    assert len(set(prints)) == len(rules)
    assert prints == [numbers(split=rule).fingerprint for rule in rules]
    changed = np.arange(103.0)
    changed[-1] += 1
    np.savez(tmp_path / "a.npz", x=changed)
    assert numbers().fingerprint not in prints


def test_all_rows_are_for_everything_where_that_is_asked_for(numbers: Callable[..., Any], tmp_path: Path) -> None:
    everything = SplitSetting("whole", (1.0, 1.0, 1.0), 0, Span(0, 1))
    found = numbers(split=everything)
    for _, part in found:
        assert values(part).tolist() == list(range(103))
    assert found.rule["rule"] == "whole" and found.rule["sizes"] == [103, 103, 103]
    np.savez(tmp_path / "b.npz", x_train=np.arange(4.0), x_test=np.arange(2.0))
    with pytest.raises(SpecError) as caught:
        loaded('x : real from "b.npz".x', base=tmp_path, split=everything)
    assert [d.code for d in caught.value.diagnostics] == ["E518"]


def test_a_catalogue_set_keeps_its_split_until_another_is_asked_for() -> None:
    spec = "x : integer(0..16)[64] from digits.image"
    assert loaded(spec).rule == {"rule": "given", "sizes": [1000, 350, 447], "seed": None, "streamed": False}
    other = loaded(spec, split=shuffled(0.8, 0.1, 0.1))
    assert other.rule == {"rule": "shuffled", "sizes": [1437, 179, 181], "seed": 1, "streamed": False}
    order = np.random.default_rng(1).permutation(1797)
    assert np.array_equal(whole(other), read_dataset("digits")["image"].reshape(-1, 64)[order])


def test_given_test_rows_stay_and_the_others_are_divided(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.arange(40.0), x_test=np.arange(40.0, 50))
    for rule, sizes in [(ordered(0.6, 0.2, 0.2), [30, 10, 10]), (shuffled(20, 5, 10), [20, 5, 10])]:
        splits = loaded('x : real from "a.npz".x', base=tmp_path, split=rule)
        assert splits.rule["sizes"] == sizes
        assert np.array_equal(values(splits.test), np.arange(40, 50))
        assert set(values(splits.train)) | set(values(splits.validation)) <= set(range(40))
        assert not set(values(splits.train)) & set(values(splits.validation))


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 100, 104, 997, 1000])
def test_labelled_keeps_as_many_of_each_class(n: int) -> None:
    splits = loaded(
        "y : categorical(10) from digits.label", f"partial z : categorical(10) from labelled(digits.label, {n})"
    )
    z, y = values(splits.train, "z"), values(splits.train, "y")
    given = ~np.isnan(z)
    assert given.sum() == n
    assert np.array_equal(z[given], y[given])
    counts = np.bincount(z[given].astype(int), minlength=10)
    more = [count for k, count in enumerate(counts) if count < np.sum(y == k)]  # classes that could have more
    assert not more or max(counts) <= min(more) + 1
    assert not np.isnan(values(splits.validation, "z")).any()
    assert not np.isnan(values(splits.test, "z")).any()


def test_labelled_rows_are_the_same_every_time_and_not_the_first_ones() -> None:
    spec = "partial z : categorical(10) from labelled(digits.label, 100)"
    first, second = (values(loaded(spec).train, "z") for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.flatnonzero(~np.isnan(first)).max() > 500


def test_labels_that_are_missing_already_are_none_of_those_kept(tmp_path: Path) -> None:
    y = np.arange(100) % 2.0
    y[np.random.default_rng(0).permutation(60)[:30]] = np.nan
    np.savez(tmp_path / "a.npz", y=y)
    z = values(loaded('partial z : categorical(2) from labelled("a.npz".y, 20)', base=tmp_path).train, "z")
    kept = ~np.isnan(z)
    assert np.array_equal(z[kept], y[:60][kept])
    assert np.bincount(z[kept].astype(int)).tolist() == [10, 10]
    with pytest.raises(SpecError, match="31 labels are asked for, and 30 training rows have one"):
        loaded('partial z : categorical(2) from labelled("a.npz".y, 31)', base=tmp_path)


def test_labelled_numbers_are_kept_at_random(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(50) + 0.5, v=np.arange(100.0).reshape(50, 2))
    for spec in ('partial z : real from labelled("a.npz".x, 7)', 'partial z : real[2] from labelled("a.npz".v, 7)'):
        z = values(loaded(spec, base=tmp_path).train, "z")
        gone = np.isnan(z).reshape(len(z), -1)
        assert (~gone).any(axis=1).sum() == 7
        assert (gone.all(axis=1) | ~gone.any(axis=1)).all()


def test_labelled_whole_numbers_are_classes_only_where_they_are_declared_so(tmp_path: Path) -> None:
    """A real that happens to be whole, as counts and prices are, keeps its value in just n rows."""
    y = np.arange(100.0) % 60
    np.savez(tmp_path / "a.npz", y=y)
    for kind, field in (("real", '"a.npz".y'), ("integer", '"a.npz".y'), ("real", "diabetes.target")):
        z = values(loaded(f"partial z : {kind} from labelled({field}, 50)", base=tmp_path).train, "z")
        assert np.isfinite(z).sum() == 50
        whole_ = values(loaded(f"z : {kind} from {field}", base=tmp_path).train, "z")
        assert np.array_equal(z[np.isfinite(z)], whole_[np.isfinite(z)])
    with pytest.raises(SpecError, match="50 labels are too few for 60 classes"):
        loaded('partial z : categorical(60) from labelled("a.npz".y, 50)', base=tmp_path)
    spec = 'partial z : binary from labelled(threshold("a.npz".y, 50), 10)'
    assert np.nansum(values(loaded(spec, base=tmp_path).train, "z")) == 5


def test_the_fingerprint_is_that_of_the_file_whatever_the_last_digit_of_a_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """numpy adds in another order on other machines."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=1000))
    spec = 'x : real from standardize("x.npy")'
    before, moments = loaded(spec, base=tmp_path), transforms.moments
    monkeypatch.setattr(transforms, "moments", lambda rows: tuple(m + 1e-7 for m in moments(rows)))
    after = loaded(spec, base=tmp_path)
    assert not np.array_equal(whole(before), whole(after))
    assert before.fingerprint == after.fingerprint


@pytest.mark.parametrize("at", [3, 12])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize(
    "variable",
    [
        "x : real from {}",
        "x : interval(-1, 1) from rescale({}, -1, 1)",
        "x : binary from threshold({}, 2)",
        "x : real from standardize({})",
        "x : real[1] from flatten({})",
        "partial x : real from labelled({}, 4)",
    ],
)
def test_a_value_that_is_not_finite_is_named_whatever_the_transform(
    tmp_path: Path, variable: str, value: float, at: int
) -> None:
    x = np.arange(20.0)
    x[at] = value
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(SpecError, match=f"row {at}.* of x.npy is {value}"):
        loaded(variable.format('"x.npy"'), base=tmp_path)


def test_every_toy_set_of_the_catalogue_can_be_labelled() -> None:
    for name, data in DATASETS.items():
        for field, entry in data.fields.items():
            if entry.support == "categorical":
                spec = f"partial z : {entry.type.describe()} from labelled({name}.{field}, 20)"
                assert np.sum(~np.isnan(values(loaded(spec).train, "z"))) == 20


# --- streams -------------------------------------------------------------------------------------


@pytest.fixture
def streams(tmp_path: Path) -> Path:
    """5000 rows as .npy, IDX and Parquet, in 25 row groups."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5000, 3, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", image)
    head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in image.shape)
    (tmp_path / "x-idx3-ubyte").write_bytes(head + image.tobytes())
    lists = pa.FixedSizeListArray.from_arrays(pa.array(image.ravel()), 12)
    table = pa.table({"v": lists, "n": np.arange(5000), "y": [("no", "yes")[i % 2] for i in range(5000)]})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=200)
    return tmp_path


SOURCES = [
    'real[12] from flatten("x.npy")',
    'real[12] from standardize(flatten("x-idx3-ubyte"))',
    'unit[12] from rescale("t.parquet".v, 0, 1)',
    'categorical(2) from "t.parquet".y',
    'real[1] from "t.parquet"[n]',
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("split", [None, ordered(0.3, 0.3, 0.1)])
def test_a_stream_is_what_lies_in_memory(streams: Path, source: str, split: SplitSetting | None) -> None:
    """Values, split, constants of transforms and fingerprint are the same to the last bit."""
    here, there = (loaded(f"x : {source}", base=streams, split=split, stream=stream) for stream in (False, True))
    assert not here.train.streamed
    assert there.train.streamed
    assert here.fingerprint == there.fingerprint
    assert {**here.rule, "streamed": True} == there.rule
    for (_, a), (_, b) in zip(here, there):
        assert np.array_equal(values(a), values(b))
        assert np.array_equal(a.read(7, 230)["x"], b.read(7, 230)["x"])
        assert b.read(0, 3)["x"].dtype == np.float32


@pytest.mark.parametrize("source", ['real[12] from flatten("x.npy")', 'real[12] from "t.parquet".v'])
def test_a_shuffled_stream_moves_blocks(streams: Path, source: str) -> None:
    """Variables of several files stay together; every row is in one split; blocks are whole, and not in order."""
    spec = (f"x : {source}", 'n : real from "t.parquet".n', 'i : real[3, 4] from "x-idx3-ubyte"')
    splits = loaded(*spec, base=streams, split=shuffled(0.5, 0.3, 0.2), stream=True)
    n = whole(splits, "n")
    assert sorted(n) == list(range(5000))
    raw = np.load(streams / "x.npy").reshape(5000, 12)
    assert np.array_equal(whole(splits), raw[n.astype(int)])
    assert np.array_equal(whole(splits, "i").reshape(5000, 12), raw[n.astype(int)])
    jumps = np.flatnonzero(np.diff(n) != 1)
    assert len(jumps) >= 15
    assert (np.isin(n[jumps + 1] % 200, 0)).all()
    again = loaded(*spec, base=streams, split=shuffled(0.5, 0.3, 0.2), stream=True)
    assert again.fingerprint == splits.fingerprint


def test_what_cannot_be_streamed_stands_in_memory_beside_what_can(streams: Path) -> None:
    np.savez(streams / "y.npz", y=np.arange(5000.0))
    splits = loaded('x : real[3, 4] from "x.npy"', 'y : real from "y.npz".y', base=streams, stream=True)
    assert splits.train.streamed
    assert np.array_equal(splits.train.read(10, 20)["y"], np.arange(10.0, 20))


MEASURE = """
import resource, sys
from pathlib import Path
from tests.data.support import loaded
loaded('x : real[4] from "small.npy"', base=Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
splits = loaded('x : real[256] from standardize("large.npy")', base=Path(sys.argv[1]))
assert splits.train.streamed
splits.train.read(100, 200)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024))
"""


def test_a_stream_takes_little_memory(tmp_path: Path) -> None:
    """A file of 400 MB, most of it a hole on the disk, is checked and standardized within 150 MB."""
    np.save(tmp_path / "small.npy", np.zeros((10, 4)))
    large = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, (400_000, 256))
    large[::1000] = np.random.default_rng(0).standard_normal((400, 256))
    large.flush()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150e6


def test_small_files_are_not_streamed_unasked(streams: Path) -> None:
    assert not loaded('x : real[3, 4] from "x.npy"', base=streams).train.streamed


def test_a_file_that_shrinks_while_it_is_streamed(streams: Path) -> None:
    splits = loaded('x : real[3, 4] from "x.npy"', base=streams, stream=True)
    (streams / "x.npy").write_bytes((streams / "x.npy").read_bytes()[:-100])
    with pytest.raises(SpecError, match=r"E503: cannot read x\.npy: it ends before row 5000"):
        values(splits.test)
