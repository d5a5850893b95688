"""What a sweep varies: `NAME=RANGE`, read and checked against the spec before anything runs.

train.clip=0.1..10          numbers from low to high; whole numbers where both ends are whole
train.lr=log(1e-4..1e-2)    the same, searched by their logarithm
train.batch=32 | 64 | 128   one of these, each any text that --set takes
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.pipeline import Checked

_NUMBER = r"[+-]?(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_INTERVAL = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*", re.ASCII)
_LOG = re.compile(r"\s*log\s*\((.*)\)\s*", re.DOTALL)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_LARGEST = 2**53
"""Whole numbers up to here are exact as floats, which is how a study keeps them."""
_DIGITS = 6
_FORMS = "train.clip=0.1..10, train.lr=log(1e-4..1e-2) or train.batch=32|64|128"


@dataclass(frozen=True)
class Numbers:
    """The numbers from `low` to `high`, both included; whole ones if `whole`."""

    name: str
    low: float
    high: float
    whole: bool
    log: bool

    @property
    def ends(self) -> tuple[str, ...]:
        """The values that stand for all others when the range is checked."""
        return self.written(self.low), self.written(self.high)

    def written(self, value: float | str) -> str:
        """A value as --set takes it. Six digits are kept: what is shown is what runs."""
        number = min(max(float(f"{float(value):.{_DIGITS}g}"), self.low), self.high)
        return str(int(value)) if self.whole else repr(number)

    def describe(self) -> str:
        low, high = (end.removesuffix(".0") for end in self.ends)
        return f"log({low}..{high})" if self.log else f"{low}..{high}"


@dataclass(frozen=True)
class Choices:
    """One of these texts."""

    name: str
    options: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        return self.options

    def written(self, value: float | str) -> str:
        return str(value)

    def describe(self) -> str:
        return " | ".join(self.options)


Range = Numbers | Choices


def parse_ranges(texts: Sequence[str], fixed: Sequence[str] = ()) -> tuple[Range, ...]:
    """The ranges of `--over`, in their order; all that is wrong with them in one error.

    Args:
        texts: `NAME=RANGE` each.
        fixed: the overrides of `--set`, whose names cannot be searched as well.

    Raises:
        SpecError: E720 to E723.
    """
    problems: list[Diagnostic] = []
    ranges: dict[str, Range] = {}
    taken = {text.partition("=")[0].strip() for text in fixed}
    for text in texts:
        try:
            found = parse_range(text)
            if found.name in ranges:
                raise _error("E723", f"{found.name} is searched twice", f"one --over with all values: {_FORMS}")
            if found.name in taken:
                raise _error("E723", f"{found.name} is both set and searched", "leave out its --set, or its --over")
            ranges[found.name] = found
        except SpecError as error:
            problems += error.diagnostics
    if problems:
        raise SpecError(problems)
    return tuple(ranges.values())


def parse_range(text: str) -> Range:
    """One `NAME=RANGE`. Raises SpecError (E720, E721, E722)."""
    name, equals, values = text.partition("=")
    name = name.strip()
    if not (name and equals and values.strip()):
        raise _error("E720", f"cannot read the range `{text}`", f"a name and its values: {_FORMS}")
    options = list(_options(values))
    if len(options) > 1:
        return _choices(name, options)
    log = _LOG.fullmatch(values)
    interval = _INTERVAL.fullmatch(log[1] if log else values)
    if interval is None or "..." in values:
        if log or ".." in values:
            headline = f"the range of {name} is not two numbers: `{values.strip()}`"
            raise _error("E720", headline, f"low..high, or log(low..high): {_FORMS}")
        help_ = f"--set {name}={values.strip()} sets it; values to choose from are separated: {name}=A | B"
        raise _error("E721", f"there is one value of {name}, nothing to search", help_)
    return _numbers(name, interval[1], interval[2], log is not None)


def _numbers(name: str, first: str, last: str, log: bool) -> Numbers:
    low, high = float(first), float(last)
    written = f"{first}..{last}"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _error("E720", f"the range of {name} is not finite: {written}")
    if low >= high:
        hint = f"the smaller number comes first: {last}..{first}" if low > high else f"--set {name}={first} sets it"
        raise _error("E721", f"there are no numbers in the range of {name}: {written}", hint)
    if log and low <= 0:
        raise _error("E722", f"the range log({written}) of {name} starts at {first}", "a logarithm needs more than 0")
    whole = bool(_WHOLE.fullmatch(first) and _WHOLE.fullmatch(last))
    if whole and max(abs(low), abs(high)) > _LARGEST:
        raise _error(
            "E720", f"the range of {name} goes beyond 2^53: {written}", "whole numbers are searched up to there"
        )
    return Numbers(name, low, high, whole, log)


def _choices(name: str, options: list[str]) -> Choices:
    if "" in options:
        raise _error("E720", f"there is an empty value among those of {name}", f"{name}=A | B")
    same = next((option for k, option in enumerate(options) if option in options[:k]), None)
    if same is not None:
        raise _error("E721", f"{name} has the value {same} twice", "each value once")
    return Choices(name, tuple(options))


def _options(text: str) -> Iterator[str]:
    """The parts between the bars of a text; a bar within brackets or quotes separates nothing."""
    depth, quoted, start = 0, False, 0
    for k, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif not quoted and char in "([{":
            depth += 1
        elif not quoted and char in ")]}":
            depth -= 1
        elif char == "|" and depth <= 0 and not quoted:
            yield text[start:k].strip()
            start = k + 1
    yield text[start:].strip()


def check_ranges(spec: Path, fixed: Sequence[str], ranges: Sequence[Range], allow_python: bool = False) -> Checked:
    """The spec with every range at its first value, once each range was checked at each end and with each choice.

    Raises:
        SpecError: when the spec is wrong by itself, and E724 for a name or value that it does not take.
    """
    alone = pipeline.read(spec, tuple(fixed), allow_python)
    if not alone.ok:
        raise SpecError(alone.diagnostics, alone.source)
    problems: list[Diagnostic] = []
    sound: list[str] = []
    for one in ranges:
        problem = _check_ends(spec, (*fixed, *sound), one, allow_python)
        if problem is None:
            sound.append(f"{one.name}={one.ends[0]}")
        else:
            problems.append(problem)
    if not problems:
        # Values that are fine one by one may not be so together: all last ones stand for the rest.
        last = [f"{one.name}={one.ends[-1]}" for one in ranges]
        together = pipeline.read(spec, (*fixed, *last), allow_python)
        if not together.ok:
            headline = f"the spec does not take {', '.join(last)} together: {together.errors[0].headline}"
            problems.append(Diagnostic("E724", headline, help=together.errors[0].help))
    if problems:
        raise SpecError(problems)
    return pipeline.read(spec, (*fixed, *sound), allow_python)


def _check_ends(spec: Path, overrides: tuple[str, ...], one: Range, allow_python: bool) -> Diagnostic | None:
    """What is wrong with a range: with its name when all of its values fail alike, else with the first that does."""
    found = {value: _check_value(spec, (*overrides, f"{one.name}={value}"), allow_python) for value in one.ends}
    failed = {value: error for value, error in found.items() if error is not None}
    if not failed:
        return None
    value, error = next(iter(failed.items()))
    alike = len(failed) == len(found) and len({e.headline for e in failed.values()}) == 1
    headline = f"--over {one.name}={one.describe()}" if alike else f"{one.name} cannot be {value}"
    return Diagnostic("E724", f"{headline}: {error.headline}", help=error.help)


def _check_value(spec: Path, overrides: tuple[str, ...], allow_python: bool) -> Diagnostic | None:
    try:
        return next(iter(pipeline.read(spec, overrides, allow_python).errors), None)
    except SpecError as error:
        # The override itself is none: its message is about --set, which nobody wrote.
        found = error.diagnostics[0]
        return replace(found, help=found.help.replace("--set train.epochs=5", "--over train.epochs=5..20"))


def _error(code: str, headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
