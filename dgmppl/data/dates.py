"""Dates and times as days since the first of January 1970, as numpy's times, and as texts (ISO 8601)."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST = datetime(1970, 1, 1)
_DAY = timedelta(days=1)
_MICROSECONDS = 86_400_000_000
# The years that texts of dates have: 1 to 9999.
_RANGE = (date(1, 1, 1) - FIRST.date()).days, (date(9999, 12, 31) - FIRST.date()).days + 1
# One form for every version of Python, which read more and more of them.
_FORM = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,6})?)?)? ?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_FRACTION = re.compile(r"[.,](\d{1,6})")
EXAMPLE = "2024-01-31, or 2024-01-31 12:30:00"


def days_of(text: str) -> float:
    """The days of a text; a time with an offset, `+02:00`, `+0200` or `+02`, is told in UTC.

    Raises:
        ValueError: for what is no date.
    """
    text = text.strip()
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError(f"`{text}` is no date in ISO 8601")
    time = text[: found.start(4)].rstrip() if found[4] else text
    time = _FRACTION.sub(lambda fraction: f".{fraction[1]:<06}", time)
    return days_of_time(datetime.fromisoformat(time + offset_of(text)))


def offset_of(text: str) -> str:
    """The offset of the text of a time as `+02:00`; "" where it has none."""
    found = _FORM.fullmatch(text.strip())
    offset = found[4] if found else None
    if not offset:
        return ""
    return "+00:00" if offset == "Z" else f"{offset[:3]}:{offset[3:].lstrip(':') or '00'}"


def offset_of_all(offsets: Collection[str]) -> str:
    """The offset in which times are told whose texts have these: UTC, where they differ."""
    return next(iter(offsets)) if len(offsets) == 1 else "+00:00" if offsets else ""


def days_of_time(time: date) -> float:
    """The days of a date, or of a time."""
    if not isinstance(time, datetime):
        return float((time - FIRST.date()).days)
    if time.tzinfo is not None:
        time = time.astimezone(timezone.utc).replace(tzinfo=None)
    return (time - FIRST) / _DAY


def days_of_times(times: NDArray[np.datetime64]) -> Array:
    """The days of numpy's dates and times, which are in UTC; NaN where there is none."""
    microseconds = times.astype("datetime64[us]")
    return np.where(np.isnat(microseconds), np.nan, microseconds.astype(np.int64) / _MICROSECONDS)


def times_of(days: Array) -> NDArray[np.datetime64]:
    """Days as numpy's times in UTC, to the microsecond; none where one is missing, or lies outside the years 1 to
    9999."""
    found = np.full(days.shape, np.datetime64("NaT", "us"))
    with np.errstate(invalid="ignore"):
        inside = (days >= _RANGE[0]) & (days < _RANGE[1])
    found[inside] = np.round(days[inside] * _MICROSECONDS).astype(np.int64).astype("datetime64[us]")
    return found


def date_texts(days: Array, whole: bool, offset: str = "") -> NDArray[Any]:
    """Days as texts: dates, where these are `whole`, else times with this offset; None where one is missing, or lies
    outside the years 1 to 9999."""
    zone = datetime.fromisoformat(f"2000-01-01 00:00{offset}").tzinfo
    found = np.empty(days.shape, dtype=object)
    for index, value in np.ndenumerate(times_of(days)):
        found[index] = None if np.isnat(value) else _text(value.item(), whole, zone)
    return found


def _text(time: datetime, whole: bool, zone: Any) -> str | None:
    if whole:
        return time.date().isoformat()
    try:
        told = time.replace(tzinfo=timezone.utc).astimezone(zone) if zone is not None else time
    except OverflowError:  # beyond these years in its zone
        return None
    return told.isoformat(sep=" ")
