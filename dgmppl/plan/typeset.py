"""The objective in LaTeX: what is said of members of families one after another as a sum, or as a product."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dgmppl.plan import latex
from dgmppl.plan.families import Families, FamilyLine, Repeated, apart
from dgmppl.plan.nodes import Plan

_OVER = r"\mathbb{E}_{"
_OPEN = r"}\left[ "
_PARTS = re.compile(r"(\\mathbb\{E\}_\{.*?\}\\left\[ |\\exp\\left\( | \\right[)\]](?= |$))")
_MENTION = re.compile(r"(?<![\w.\\])([A-Za-z_]\w*)\[([^\[\]]+)\]")


def objective_latex(plan: Plan, members: bool = False) -> str:
    """The formula of the objective, of families or of their `members` one by one."""
    lines = [] if members else plan.structure.families
    if not lines:
        return plan.objective.latex
    families = Families(lines)
    text = families.shortened(_named(plan.objective.latex, lines, {v.name for v in plan.structure.variables}))
    return _shown("".join(_summed(families, part) for part in _PARTS.split(text)), lines)


def _named(text: str, lines: Sequence[FamilyLine], names: set[str]) -> str:
    """A formula with members as a spec names them, where nothing else looks like them."""
    known = {m for line in lines for m in line.members}
    others = {latex.name(n) for n in names - known}
    for member in sorted(known, key=len, reverse=True):
        shown = latex.name(member)
        if shown not in others:
            text = re.sub(rf"(?<![A-Za-z\\]){re.escape(shown)}", lambda _, m=member: m, text)  # type: ignore[misc]
    return text


def _summed(families: Families, part: str) -> str:
    """A part of a formula, with its terms of members as a sum, what is drawn as a product."""
    if part.startswith(_OVER):
        drawn = families.over_and_over(apart(part[len(_OVER) : -len(_OPEN)], r", "), _as_product)
        return f"{_OVER}{', '.join(drawn)}{_OPEN}"
    terms = apart(part, r" (?=[+-] )")
    if len(terms) < 2:
        return part
    bare = terms[0][:2] not in ("- ", "+ ")
    first = f"{'-' if terms[0].startswith('-') else '+'} {terms[0].removeprefix('-')}" if bare else terms[0]
    found = " ".join(families.over_and_over([first, *terms[1:]], _as_sum))
    return found if not bare else found.removeprefix("+ ") if found.startswith("+ ") else f"-{found[2:]}"


def _range(found: Repeated) -> str:
    """`_{l=1}^{4}`, upwards."""
    letter, _, range_ = found.range.partition(" = ")
    low, high = sorted(range_.split(".."), key=int)
    return f"_{{{letter}={low}}}^{{{high}}}"


def _as_sum(found: Repeated) -> str:
    (sign, first), *more = ((t[0], t[2:]) for t in found.texts)
    if not found.range:
        return f"{sign} {first}"
    if not more:
        return rf"{sign} \sum{_range(found)} {first}"
    inside = " ".join([first if sign == "+" else f"-{first}", *(f"{s} {t}" for s, t in more)])
    return rf"+ \sum{_range(found)} \left( {inside} \right)"


def _as_product(found: Repeated) -> str:
    return rf"\prod{_range(found)} {' '.join(found.texts)}" if found.range else ", ".join(found.texts)


def _shown(text: str, lines: Sequence[FamilyLine]) -> str:
    """Members in LaTeX again, `z[l + 1]` and `z[1..3]` among them, and families as a whole."""
    names = {line.name for line in lines}

    def member(match: re.Match[str]) -> str:
        inside = match.group(2).replace("..", ":").replace(" ", "").replace(",", ", ")
        return latex.name(f"{match.group(1)}[{inside}]") if match.group(1) in names else match.group(0)

    text = _MENTION.sub(member, text)
    for name in sorted(names, key=len, reverse=True):
        if latex.name(name) != name:
            text = re.sub(rf"(?<![\w\\{{]){re.escape(name)}(?![\w}}])", lambda _, n=name: latex.name(n), text)  # type: ignore[misc]
    return text
