"""Diagnostics as values: what is wrong with a spec, a data file, a run folder or a flag, and where.

They are built here and in the stages, and turned into text or JSON in `dgmppl.diagnostics.render`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgmppl.diagnostics.elsewhere import ELSEWHERE
from dgmppl.source import Source, Span


@dataclass(frozen=True)
class Note:
    """A secondary place, with what it has to do with the error."""

    span: Span
    label: str


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: its code (see `dgmppl.diagnostics.codes`), headline, place and a way out.

    `span` is None where the mistake is in no text: a flag, a data file, a run folder.
    """

    code: str
    headline: str
    span: Span | None = None
    label: str = ""
    notes: tuple[Note, ...] = ()
    help: str = ""
    severity: str = "error"


class SpecError(Exception):
    """Carries diagnostics out of a stage that returns nothing when its input is wrong."""

    def __init__(self, diagnostics: Sequence[Diagnostic], source: Source | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.source = source
        super().__init__("; ".join(f"{d.code}: {d.headline}" for d in self.diagnostics))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback: the lines that it is about, with carets."""
        from dgmppl.diagnostics.render import render

        return render(self.diagnostics, self.source).splitlines()


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely was meant to be, or None when nothing is near."""
    candidates = list(known)
    elsewhere = ELSEWHERE.get(name.lower().replace("_", ""), ())
    meant = next((word for word in elsewhere if word in candidates), None)
    if meant is not None:
        return meant
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if close:
        return close[0]
    return next((c for c in candidates if c.lower() == name.lower()), None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Help text that suggests the nearest known name."""
    near = nearest(name, known)
    return f"did you mean `{near}`?" if near else otherwise
