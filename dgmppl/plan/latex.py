"""Names, factors and indicators in LaTeX."""

from __future__ import annotations

import re

from dgmppl.graph.nodes import Factor


def name(variable: str) -> str:
    """`z[3]` as z_{3}, `z1` as z_{1}, longer words upright."""
    base, _, index = variable.partition("[")
    digits = re.fullmatch(r"([A-Za-z]+?)_?(\d+)", base)
    subscripts = [digits.group(2)] if digits else []
    stem = digits.group(1) if digits else base
    subscripts += [index.rstrip("]")] if index else []
    shown = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}".replace("_", r"\_")
    return shown + (f"_{{{','.join(subscripts)}}}" if subscripts else "")


def factor(found: Factor) -> str:
    given = ", ".join(name(p) for p in found.parents)
    inside = name(found.head) + (rf" \mid {given}" if given else "")
    return f"{found.side}({inside})"


def log(found: Factor) -> str:
    return rf"\log {factor(found)}"


def kl(q: Factor, p: Factor) -> str:
    return rf"\mathrm{{KL}}\left({factor(q)} \,\|\, {factor(p)}\right)"


def rows(variable: str, which: str) -> str:
    """The indicator of the rows in which a partial variable is seen, or missing."""
    return rf"\,\mathbf{{1}}[{name(variable)}\ \mathrm{{{which}}}]\,"
