"""Syntax errors in terms of what the user meant."""

from __future__ import annotations

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Source, Span


def verify_nesting(source: Source) -> tuple[Diagnostic, ...]:
    return ()


def describe_syntax_error(error: UnexpectedInput, source: Source) -> Diagnostic:
    pos = min(getattr(error, "pos_in_stream", 0) or 0, len(source.text))
    return Diagnostic("E101", "syntax error", Span(pos, min(pos + 1, len(source.text))), "unexpected here")
