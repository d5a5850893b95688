"""Ranges of `--over`: how they are read, and that the spec takes all of them before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgmppl.diagnostics import SpecError
from dgmppl.sweep.ranges import Choices, Numbers, check_ranges, parse_range, parse_ranges

from .support import SPEC


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.dgm"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("H=16..64", Numbers("H", 16, 64, whole=True, log=False)),
        (" H = -2 .. 3 ", Numbers("H", -2, 3, whole=True, log=False)),
        ("H=1...5", None),
        ("a=1...5e0", None),
        ("a=1.0..5", Numbers("a", 1, 5, whole=False, log=False)),
        ("a=.5..1", Numbers("a", 0.5, 1, whole=False, log=False)),
        ("train.lr=log(1e-4..1e-2)", Numbers("train.lr", 1e-4, 1e-2, whole=False, log=True)),
        ("H=log(1..1024)", Numbers("H", 1, 1024, whole=True, log=True)),
        ("train.batch=32|64 | 128", Choices("train.batch", ("32", "64", "128"))),
        (
            "train.optimizer=adamax(1e-3) | adam(1e-4, beta1 = 0.5)",
            Choices("train.optimizer", ("adamax(1e-3)", "adam(1e-4, beta1 = 0.5)")),
        ),
        ('a=f(p | q) | {b = 1 | 2} | "c | d"', Choices("a", ("f(p | q)", "{b = 1 | 2}", '"c | d"'))),
    ],
)
def test_a_range_is_read(text: str, expected: Numbers | Choices | None) -> None:
    if expected is None:
        with pytest.raises(SpecError):
            parse_range(text)
    else:
        assert parse_range(text) == expected


def test_a_range_reads_back_from_what_is_recorded() -> None:
    for text in ("H=16..64", "a=0.25..2.5", "train.lr=log(1e-07..0.01)", "b=x | y"):
        one = parse_range(text)
        assert parse_range(f"{one.name}={one.describe()}") == one


def test_values_are_written_with_six_digits_within_the_range() -> None:
    numbers = Numbers("a", 1 / 3, 2 / 3, whole=False, log=False)
    assert numbers.written(0.5000001) == "0.5"
    assert float(numbers.written(numbers.low)) == numbers.low
    assert float(numbers.written(numbers.high)) == numbers.high
    assert Numbers("H", 1, 2_000_000_000, whole=True, log=False).written(1234567891) == "1234567891"


def test_all_that_is_wrong_comes_in_one_error() -> None:
    with pytest.raises(SpecError) as error:
        parse_ranges(["H", "H=3", "a=2..1", "b=log(0..1)", "c=1..2", "c=1..3", "d=1..2"], ["d=1"])
    assert [d.code for d in error.value.diagnostics] == ["E720", "E721", "E721", "E722", "E723", "E723"]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("H=0..8", "H cannot be 0: "),
        ("train.batch=1.5..64", "train.batch cannot be 1.5: "),
        ("train.batch=8 | many", "train.batch cannot be many: "),
        ("Q=1..2", "--over Q=1..2: "),
    ],
)
def test_every_end_and_choice_is_checked(spec: Path, over: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        check_ranges(spec, (), parse_ranges([over]))
    (found,) = error.value.diagnostics
    assert found.code == "E724"
    assert found.headline.startswith(said)


def test_what_is_wrong_together_alone_is_found(spec: Path) -> None:
    spec.write_text(
        SPEC.replace("const H = 4", "const H = 4\nconst K = 4\nconst R = 8 / (6 - H / K)"), encoding="utf-8"
    )
    check_ranges(spec, (), parse_ranges(["H=1..6", "K=2..4"]))
    with pytest.raises(SpecError) as error:
        check_ranges(spec, (), parse_ranges(["H=1..6", "K=2 | 1"]))
    (found,) = error.value.diagnostics
    assert found.code == "E724"
    assert "H=6, K=1 together" in found.headline


def test_the_spec_comes_back_with_its_first_values(spec: Path) -> None:
    checked = check_ranges(spec, ("train.epochs=3",), parse_ranges(["H=2..8", "train.batch=32 | 64"]))
    assert checked.plan is not None
    assert checked.plan.settings.epochs == 3
    assert checked.plan.settings.batch == 32
