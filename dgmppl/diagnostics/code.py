"""What can be said about a code besides the diagnostic itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One code of a diagnostic.

    `bad` is a whole spec that gives this code and no other, `good` its repair, which gives none; both are
    empty for what no spec shows (files, folders, flags). Codes of data show the line alone.
    """

    title: str
    what: str
    why: str
    bad: str
    good: str
