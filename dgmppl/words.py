"""How messages count: 1 row, 2 rows."""

from __future__ import annotations

_IRREGULAR = {"axis": "axes", "index": "indices", "batch": "batches"}


def counted(number: float, noun: str, form: str = "") -> str:
    """A number with what it counts: `counted(1, "class")` is "1 class", `counted(2000, "row", ",")` "2,000 rows"."""
    return f"{number:{form}} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def are(number: float) -> str:
    """The verb of so many: "is" of 1, else "are"."""
    return "is" if number == 1 else "are"


__all__ = ["are", "counted", "plural"]
