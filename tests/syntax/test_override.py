"""Overrides: a mistake in one names it, whether or not the spec has a line of its own for it."""

from __future__ import annotations

import pytest

import dgmppl
from dgmppl.diagnostics import Diagnostic

SPEC = """\
model m
const T = 2
observed x : real[2] from moons.point
p(x) = Normal(param, 1)
train { epochs = 8 }
"""


def found(*overrides: str) -> tuple[Diagnostic, ...]:
    return dgmppl.check(SPEC, overrides)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epoch=2", "did you mean `epochs`?"),
        ("train.epochs=abc", "not declared"),
        ("train.batch=1e20", "up to 10^12"),
        ("train.optimizer=adam(1e300)", "single precision"),
        ("T=1/0", "no result"),
    ],
)
def test_a_wrong_override_is_named(override: str, words: str) -> None:
    (d,) = found(override)
    assert f"from --set {override}" in d.label
    assert words in f"{d.headline} {d.label} {d.help}"


def test_each_of_two_is_named_and_the_spec_s_own_mistakes_are_not() -> None:
    labels = [d.label for d in found("train.epoch=2", "train.batch=0.5")]
    assert ["train.epoch=2" in labels[0], "train.batch=0.5" in labels[1]] == [True, True]
    (own,) = dgmppl.check(SPEC.replace("epochs = 8", "epochs = none"), ("T=3",))
    assert "--set" not in own.label


def test_one_override_by_itself() -> None:
    (d,) = dgmppl.check(SPEC, "train.epochs=0")
    assert "train.epochs=0" in d.label
    assert dgmppl.check(SPEC, "train.epochs=1") == ()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("adam", '"adam"'), ("mlp[8]", 'mlp["8"]'), ("mlp[8, activation = relu]", 'mlp[8, activation = "relu"]')],
)
def test_quotes_do_not_belong_around_names_and_numbers(right: str, wrong: str) -> None:
    text = (
        SPEC.replace("8 }", f"8, optimizer = {wrong} }}") if right == "adam" else f"{SPEC}let r : real = {wrong}(x)\n"
    )
    assert not [d for d in dgmppl.check(text.replace(wrong, right)) if d.severity == "error"]
    (d,) = [d for d in dgmppl.check(text) if d.severity == "error"]
    assert "without quotes" in d.help
