"""What a run folder says of itself: `run.json` and `metrics.jsonl`, read as data from a stranger."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgmppl.catalogue.figures import Figure, read_figures
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.plan.families import Families
from dgmppl.train.figures import Estimate
from dgmppl.train.folder import is_held, read_record

METRICS = "metrics.jsonl"

GROUPS = ("losses", "terms", "validation", "rates")
"""What a line of `metrics.jsonl` holds numbers of by name."""


@dataclass(frozen=True)
class Line:
    """An epoch as `metrics.jsonl` tells it; numbers that were not finite are NaN."""

    number: int
    seconds: float
    groups: Mapping[str, Mapping[str, float]]
    best: bool


@dataclass(frozen=True)
class History:
    """A run's record and its epochs. Entries of another kind than expected read as if they were not there."""

    path: Path
    record: Mapping[str, Any]
    lines: tuple[Line, ...]

    def text(self, *keys: str, default: str = "") -> str:
        """An entry of the record that is text or a number, as text."""
        value = self._entry(keys)
        return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else default

    def number(self, *keys: str) -> float | None:
        value = _number(self._entry(keys))
        return value if math.isfinite(value) else None

    def mapping(self, *keys: str) -> Mapping[str, Any]:
        value = self._entry(keys)
        return value if isinstance(value, dict) else {}

    def texts(self, *keys: str) -> tuple[str, ...]:
        value = self._entry(keys)
        return tuple(str(v) for v in value) if isinstance(value, list) else ()

    def _entry(self, keys: Sequence[str]) -> Any:
        value: Any = self.record
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    @property
    def state(self) -> str:
        """ "running", "killed" (nobody works on it any more), "finished", "interrupted" or "failed"."""
        state = self.text("state", default="finished")
        return "killed" if state == "running" and not is_held(self.path) else state

    @property
    def figures(self) -> dict[str, dict[str, Estimate]]:
        """The record's figures by split and name."""
        return {
            split: {name: found for name, e in of.items() if (found := _estimate(e)) is not None}
            for split, of in self.mapping("figures").items()
            if isinstance(of, dict)
        }

    @property
    def about(self) -> dict[str, Figure]:
        """What the figures of the run's model are, by name; none in a record that does not say."""
        return read_figures(self.record.get("about_figures"))

    def series(self, families: Families) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
        """Each number that epochs have: its group, its name, and its value by epoch. Terms of the members of families
        are added up."""
        for group in GROUPS:
            of = [families.totals(e.groups[group]) if group == "terms" else e.groups[group] for e in self.lines]
            for name in dict.fromkeys(name for values in of for name in values):
                found = [(float(e.number), values[name]) for e, values in zip(self.lines, of) if name in values]
                yield group, name, found


def read_history(path: Path) -> History:
    """Reads what a run folder says of itself.

    Raises:
        SpecError: when it is no run, or a line of `metrics.jsonl` is none of dgmppl's (E651).
    """
    return History(path, read_record(path), read_lines(path / METRICS))


def read_lines(path: Path) -> tuple[Line, ...]:
    """The epochs of a `metrics.jsonl`; none where there is no file. A last line that was cut off is left out.

    Raises:
        SpecError: for a file that cannot be read or a line that is none of dgmppl's (E651).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _damaged(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _damaged(f"{path} is no text") from None
    whole = text.split("\n")[:-1]
    return tuple(_line(content, f"line {k} of {path}") for k, content in enumerate(whole, 1) if content.strip())


def _line(text: str, where: str) -> Line:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(f"{where} is no JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("number"), int):
        raise _damaged(f"{where} is no epoch: it has no number")
    groups = {group: found.get(group, {}) for group in GROUPS}
    if not all(isinstance(of, dict) for of in groups.values()):
        raise _damaged(f"{where} is no epoch: its numbers have no names")
    numbers = {group: {name: _number(value) for name, value in of.items()} for group, of in groups.items()}
    return Line(found["number"], _number(found.get("seconds")), numbers, found.get("best") is True)


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def _estimate(found: object) -> Estimate | None:
    if not isinstance(found, dict) or not isinstance(found.get("rows"), int):
        return None
    return Estimate(_number(found.get("mean")), _number(found.get("standard_error")), found["rows"])


def _damaged(headline: str) -> SpecError:
    return SpecError([Diagnostic("E651", headline, help="dgmppl train writes a line of JSON an epoch")])
