"""Diagnostics as text for people and as JSON for editors.

error[E203]: Normal has real support, but `x` is binary
  --> specs/vae.dgm:6:12
   |
 2 | observed x : binary[64] from threshold(digits.image, 8)
   |              ------ declared here
 6 | p(x | z) = Normal(mlp[256](z))
   |            ^^^^^^ real
   |
help: Bernoulli has the support of `x`:  p(x | z) = Bernoulli(mlp[256](z))
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Source, Span

TAB = 4
WIDTH = 110
"""Longer lines are cut to the part that the message is about."""

LONGEST = 2000
"""Characters of a line of a message; what it quotes may be as long as the file."""

_BOLD, _RED, _YELLOW, _BLUE, _CYAN, _OFF = (
    "\033[1m",
    "\033[1;31m",
    "\033[1;33m",
    "\033[1;34m",
    "\033[36m",
    "\033[0m",
)
_SEVERITY_COLOR = {"error": _RED, "warning": _YELLOW}


def render(diagnostics: Sequence[Diagnostic], source: Source | None, format: str = "text", color: bool = False) -> str:
    """The diagnostics as they are shown, in their order; `format` is "text" or "json".

    JSON is a list of objects. Lines and columns count from 1, columns in characters, and the end is
    exclusive; they are null for a diagnostic that has no place in the text.

    Raises:
        ValueError: for another format.
    """
    if format == "json":
        return json.dumps([_as_json(d, source) for d in diagnostics], indent=2, ensure_ascii=False)
    if format != "text":
        raise ValueError(f"unknown format {format!r}")
    parts = [_as_text(d, source, _Paint(color)) for d in diagnostics]
    if len(parts) > 1:
        parts.append(_count(diagnostics))
    return "\n\n".join(parts)


def _count(diagnostics: Sequence[Diagnostic]) -> str:
    counts: dict[str, int] = {}
    for d in diagnostics:
        counts[d.severity] = counts.get(d.severity, 0) + 1
    return ", ".join(f"{n} {severity}{'s' if n > 1 else ''}" for severity, n in sorted(counts.items()))


# --- JSON ----------------------------------------------------------------------------------------


def _as_json(d: Diagnostic, source: Source | None) -> dict[str, Any]:
    return {
        "code": d.code,
        "severity": d.severity,
        "headline": _short(d.headline),
        "file": source.name if source else None,
        **_place(d.span, source),
        "label": _short(d.label),
        "notes": [{**_place(n.span, source), "label": n.label} for n in d.notes],
        "help": d.help,
    }


def _place(span: Span | None, source: Source | None) -> dict[str, int | None]:
    if span is None or source is None:
        return dict.fromkeys(("line", "column", "end_line", "end_column"))
    span = _clamp(span, source)
    (line, column), (end_line, end_column) = source.position(span.start), source.position(span.end)
    return {"line": line, "column": column, "end_line": end_line, "end_column": end_column}


def _clamp(span: Span, source: Source) -> Span:
    start = min(max(span.start, 0), len(source.text))
    return Span(start, min(max(span.end, start), len(source.text)))


# --- text ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Paint:
    on: bool

    def __call__(self, text: str, color: str) -> str:
        return f"{color}{text}{_OFF}" if self.on and text else text


@dataclass(frozen=True)
class _Mark:
    """Carets or dashes under a part of one line: columns count displayed cells from 0."""

    line: int
    start: int
    end: int
    primary: bool
    label: str


def _as_text(d: Diagnostic, source: Source | None, paint: _Paint) -> str:
    color = _SEVERITY_COLOR.get(d.severity, _CYAN)
    lines = [paint(f"{d.severity}[{d.code}]", color) + paint(f": {_clean(d.headline)}", _BOLD)]
    if source is not None and d.span is None:
        lines.append(f"  {paint('-->', _BLUE)} {_clean(source.name)}")
    elif source is not None and d.span is not None:
        lines += _excerpt(d, d.span, source, paint, color)
    if d.help:
        first, *more = _clean(d.help).split("\n")
        lines += [f"{paint('help', _CYAN)}: {first}", *(f"      {line}" for line in more)]
    return "\n".join(lines)


def _excerpt(d: Diagnostic, span: Span, source: Source, paint: _Paint, color: str) -> list[str]:
    marks = _marks(span, d.label, True, source)
    for note in d.notes:
        marks += _marks(note.span, note.label, False, source)
    marks.sort(key=lambda m: (m.line, not m.primary, m.start))
    width = len(str(marks[-1].line))
    line, column = source.position(_clamp(span, source).start)
    gutter = " " * (width + 2) + paint("|", _BLUE)
    lines = [f"{' ' * (width + 1)}{paint('-->', _BLUE)} {_clean(source.name)}:{line}:{column}", gutter]
    for number in dict.fromkeys(m.line for m in marks):
        here = [m for m in marks if m.line == number]
        text, shift = _window(_shown(source.line(number)), here)
        lines.append(f" {paint(f'{number:>{width}}', _BLUE)} {paint('|', _BLUE)} {text}".rstrip())
        for mark in here:
            drawn = ("^" if mark.primary else "-") * max(1, min(mark.end, shift + WIDTH) - mark.start)
            label = f" {_clean(mark.label)}" if mark.label else ""
            drawn = paint(drawn + label, color if mark.primary else _BLUE)
            lines.append(f"{gutter} {' ' * max(0, mark.start - shift)}{drawn}")
    return [*lines, gutter]


def _marks(span: Span, label: str, primary: bool, source: Source) -> list[_Mark]:
    """The marks of a span: one, or two (its first and its last line) where it lies in several lines."""
    span = _clamp(span, source)
    (first, start), (last, end) = source.position(span.start), source.position(max(span.start, span.end - 1))
    text = source.line(first)
    begin = _cells(text[: start - 1])
    if first == last:
        cells = _cells(text[:end]) if span.end > span.start else begin + 1
        return [_Mark(first, begin, max(cells, begin + 1), primary, label)]
    tail = source.line(last)
    indent = _cells(tail[: len(tail) - len(tail.lstrip())])
    return [
        _Mark(first, begin, max(_cells(text.rstrip()), begin + 1), primary, ""),
        _Mark(last, indent, max(_cells(tail[:end]), indent + 1), primary, label),
    ]


def _window(text: str, marks: list[_Mark]) -> tuple[str, int]:
    """The part of a long line that is shown, and how many cells of it are left out before."""
    if _cells(text) <= WIDTH:
        return text, 0
    at = min((m.start for m in marks if m.primary), default=marks[0].start)
    left = 0 if at < WIDTH - 30 else at - WIDTH // 3
    kept, cells, shift = [], 0, 0
    for char in text:
        wide = _cell(char)
        if cells < left:
            shift = cells + wide
        elif cells + wide <= left + WIDTH:
            kept.append(char)
        cells += wide
    shown = "".join(kept)
    if left:
        shown, shift = "…" + shown, max(0, shift - 1)
    return (shown + "…" if cells > left + WIDTH else shown), shift


def _shown(text: str) -> str:
    """A line of the text with tabs as spaces and nothing that a terminal could take for a command."""
    shown: list[str] = []
    cells = 0
    for char in text:
        part = " " * (TAB - cells % TAB) if char == "\t" else _safe(char)
        shown.append(part)
        cells += _cells(part)
    return "".join(shown)


def _clean(text: str) -> str:
    return "\n".join("".join(map(_safe, _short(line))) for line in text.split("\n"))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _safe(char: str) -> str:
    """The character, or a visible stand-in for one that would not show or would command the terminal."""
    return (
        char if char.isprintable() and not unicodedata.category(char).startswith("C") else "\N{REPLACEMENT CHARACTER}"
    )


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes, tabs up to the next multiple of TAB."""
    cells = 0
    for char in text:
        cells += TAB - cells % TAB if char == "\t" else _cell(char)
    return cells
