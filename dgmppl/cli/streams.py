"""The command line's output streams: a character that a terminal cannot show is replaced, and never ends a command."""

from __future__ import annotations

import codecs
import io
import sys

HANDLER = "dgmppl.ascii"
_LOSING = ("strict", "surrogateescape", "backslashreplace")
"""What Python does by default: raise, pass unknown bytes on to the terminal, or write an escape for everything."""

_SUBSTITUTES = {
    "±": "+-",
    "−": "-",
    "–": "-",
    "—": "-",
    "·": "*",
    "×": "x",
    "…": "...",
    "•": "*",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
    "\N{REPLACEMENT CHARACTER}": "?",
}
_RULES = "─━═╌╍"
_BARS = "│┃║╎"


def prepare_streams() -> None:
    """Lets standard output and error write any text, whatever encoding the terminal, the locale or a pipe has.

    An `errors` handler that the user asked for (`PYTHONIOENCODING=ascii:replace`) is kept.
    """
    codecs.register_error(HANDLER, _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _LOSING:
            stream.reconfigure(errors=HANDLER)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """The handler: ASCII for what cannot be encoded, a backslash escape where nothing reads alike."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(readable, error.object[error.start : error.end])), error.end


def readable(character: str) -> str:
    """A character in ASCII: `+-` for ±, an escape such as `\\u03c0` for what has no counterpart.

    An undecodable byte of a file name, which Python holds as a lone surrogate, becomes `\\xff`: passed on as it is, it
    could be a command to the terminal.
    """
    if character in _SUBSTITUTES:
        return _SUBSTITUTES[character]
    if character in _RULES:
        return "-"
    if character in _BARS:
        return "|"
    code = ord(character)
    if 0x2500 <= code < 0x2580:  # the other parts of boxes
        return "+"
    if 0x2580 <= code < 0x25A0 or 0x2800 <= code < 0x2900:  # blocks of bars, dots of spinners
        return "#"
    if 0xDC80 <= code < 0xDD00:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("ascii", "backslashreplace").decode("ascii")
