"""Messages for characters, strings and numbers that are none of the language's."""

from __future__ import annotations

import re
import unicodedata

from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Span
from dgmppl.syntax.notation import CHARACTERS, LOOKALIKES
from dgmppl.syntax.scan import Failure

_MEANT = {lookalike: meant for many, meant in LOOKALIKES.items() for lookalike in many}
_GREEK = {"LAMDA": "lambda_", "FINAL SIGMA": "sigma"}
_WORD = re.compile(r"\w+")
_LITERAL = re.compile(r"[\w.]+(?:(?<=[eE])[+-]\w*)?")


def describe_character(f: Failure) -> Diagnostic | None:
    """The message for a place where no token begins."""
    if f.found:
        return None
    text, at = f.text, f.start
    char = text[at]
    line_end = text.find("\n", at) if "\n" in text[at:] else len(text)
    place = Span(at, at + 1)
    if char == '"':
        return Diagnostic(
            "E103", "this string does not end on its line", Span(at, len(text[:line_end].rstrip())),
            '`"` is missing at its end',
        )  # fmt: skip
    if char == "'":
        end = text.find("'", at + 1, line_end)
        place = Span(at, end + 1 if end > 0 else at + 1)
        inside = text[at + 1 : end] if end > 0 else "mine.npz"
        if "from" not in f.words and re.fullmatch(r"\w+", inside):
            way_out = f"names and numbers are written without quotes: `{inside}`"
            return Diagnostic("E107", "there are no strings but the names of data files", place, help=way_out)
        return Diagnostic("E107", "strings stand in double quotes", place, help=f'write `"{inside}"`')
    if char in _MEANT:
        meant = _MEANT[char]
        return Diagnostic("E103", f"`{char}` ({_name(char)}) is not `{meant}`", place, help=f"write `{meant}`")
    if char == ";" and f.in_head:
        way_out = "what is given stands behind a bar: `p(x | z)`; variables are separated by commas"
        return Diagnostic("E107", "`;` is not a mark of this language", place, help=way_out)
    if char == ";" and f.opened:
        return Diagnostic("E107", "`;` is not a mark of this language", place, help="commas stand between the parts")
    if char == "~":
        return Diagnostic("E107", "a distribution is not given with `~`", place, "write `=`", help=_drawn(f))
    if char in CHARACTERS:
        return Diagnostic("E107", f"`{char}` is not a mark of this language", place, help=CHARACTERS[char])
    if char == "\ufeff":
        return Diagnostic(
            "E103",
            "there is a byte order mark here",
            place,
            help="save the file as UTF-8 without a byte order mark",
        )
    if char == "_" or char.isalpha() or char.isdigit():
        return _not_a_name(f, at)
    if not char.isprintable():
        return Diagnostic("E103", f"there is an invisible character here: {_name(char)}", place, help="delete it")
    return Diagnostic("E103", f"`{char}` is not a mark of this language", place, "unexpected")


def _drawn(f: Failure) -> str:
    """`z ~ Normal(0, 1)` in this language."""
    head = f.text[f.statement[0].start_pos : f.start].strip() if f.statement else "z"
    if f.kind == "ROLE" and len(f.statement) > 1:
        name = f.statement[1]
        return f"a type, and a factor for the distribution:  {f.words[0]} {name} : real   p({name}) ="
    if f.kind == "FACTOR":
        return f"{head} = ..."
    return f"a distribution is given as a factor:  p({head}) = ..." if f.kind == "NAME" else "p(z) = Normal(0, 1)"


def _not_a_name(f: Failure, at: int) -> Diagnostic:
    text = f.text
    joined = f.before is not None and f.before.end_pos == at and _WORD.fullmatch(f.before)
    begin = f.before.start_pos or 0 if f.before is not None and joined else at
    word = _WORD.match(text, begin)
    place = Span(begin, max(word.end() if word else 0, at + 1))
    found = text[place.start : place.end]
    meant = "".join(_ascii(c) for c in found).strip("_")
    suggestion = f"write `{meant}`" if re.fullmatch(r"[A-Za-z]\w*", meant, re.ASCII) else ""
    rule = "a name is made of the letters a to z and A to Z, digits and `_`, and starts with a letter"
    return Diagnostic("E103", f"`{found}` is not a name", place, rule, help=suggestion)


def describe_number(f: Failure) -> Diagnostic | None:
    """The message for a number that runs into what follows it (`1e`, `2z`, `1.2.3`), or that is too large."""
    last = f.before
    if f.found == "NUMBER" and last is not None and last.type != "NUMBER" and "inf" in repr(float(f.word)):
        place = Span(f.start, f.end)
        return Diagnostic("E103", "this number is too large", place, help="numbers go up to 1.7e308")
    if last is None or last.type != "NUMBER" or last.end_pos != f.start or not re.match(r"[\w.]", f.word):
        return None
    if f.word.startswith(".."):
        return None
    literal = _LITERAL.match(f.text, last.start_pos or 0)
    place = Span(last.start_pos or 0, literal.end() if literal else f.end)
    found = f.text[place.start : place.end]
    tail = f.text[f.start : place.end]
    if re.fullmatch(r"\d[\d_]*", found):
        plain = found.replace("_", "")
        return Diagnostic("E103", f"`{found}` is not a number", place, help=f"write `{plain}`")
    if re.fullmatch(r"[A-Za-z]\w*", tail) and not re.fullmatch(r"[eExXbBoO][0-9a-fA-F+-]*|[fFjLl]", tail):
        return Diagnostic("E103", f"`{found}` is not a number", place, help=f"a product is written `{last} * {tail}`")
    return Diagnostic("E103", f"`{found}` is not a number", place, help="numbers are written `3`, `0.5` or `1e-3`")


def _name(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip()


def _ascii(char: str) -> str:
    if char.isascii():
        return char
    name = unicodedata.name(char, "")
    if name.startswith("GREEK"):
        letter = name.split(" LETTER ")[-1].split(" WITH ")[0]
        return _GREEK.get(letter, letter.lower())
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
