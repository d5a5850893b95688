"""Dates and times as days since the first of January 1970, and as texts (ISO 8601)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.rows import Array

FIRST = datetime(1970, 1, 1)
_DAY = timedelta(days=1)
# One form for every version of Python, which read more and more of them.
_FORM = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,6})?)?)? ?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_FRACTION = re.compile(r"[.,](\d{1,6})")
EXAMPLE = "2024-01-31, or 2024-01-31 12:30:00"


def days_of(text: str) -> float:
    """The days of a text; a time with an offset is told in UTC.

    Raises:
        ValueError: for what is no date.
    """
    text = text.strip()
    if not _FORM.fullmatch(text):
        raise ValueError(f"`{text}` is no date in ISO 8601")
    text = _FRACTION.sub(lambda found: f".{found[1]:<06}", text).replace("Z", "+00:00").replace(" +", "+")
    return days_of_time(datetime.fromisoformat(text))


def days_of_time(time: date) -> float:
    """The days of a date, or of a time."""
    if not isinstance(time, datetime):
        return float((time - FIRST.date()).days)
    if time.tzinfo is not None:
        time = time.astimezone(timezone.utc).replace(tzinfo=None)
    return (time - FIRST) / _DAY


def date_texts(days: Array, whole: bool) -> NDArray[Any]:
    """Days as texts: dates where these are whole, else times to the second; None where one is missing, or lies outside
    the years 1 to 9999."""
    found = np.empty(days.shape, dtype=object)
    for index, value in np.ndenumerate(days):
        found[index] = _text(float(value), whole) if np.isfinite(value) else None
    return found


def _text(days: float, whole: bool) -> str | None:
    try:
        if whole:
            return (FIRST.date() + timedelta(days=round(days))).isoformat()
        return (FIRST + timedelta(seconds=round(days * 86400))).isoformat(sep=" ")
    except OverflowError:
        return None
