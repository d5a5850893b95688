"""Formats of data files as a spec names them. Nothing is read here, so checking a spec stays fast."""

from __future__ import annotations

from pathlib import PurePath


def format_of(dataset: str) -> str:
    """The format of a file by its name."""
    return PurePath(dataset).suffix.lower().lstrip(".")
