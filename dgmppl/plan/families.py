"""Families in words: what is said of their members one after another is said once, `z[t]` with the range of `t`.

Nothing here changes a plan. Texts come in, in order, and texts go out: those that differ in nothing but the numbers of
members, which go up or down by one from each to the next, are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Graph

_MENTION = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\[([^\[\]]+)\]")
_NUMBERS = re.compile(r"-?\d+(?:\.\.-?\d+)?")
_LONGEST = 4  # so many texts at most are repeated together
_HOLE = "\0"
_BESIDE = "\1"


@dataclass(frozen=True)
class FamilyLine:
    """A family whose members are variables of their own: the letters of its indices, and the names of its members."""

    name: str
    letters: tuple[str, ...]
    members: tuple[str, ...]


def families_of(graph: Graph) -> tuple[FamilyLine, ...]:
    """The families of a graph that are written out, wholly or by the indices behind their first."""
    letters = dict(graph.letters)
    found: dict[str, list[str]] = {}
    for v in graph.variables:
        if (name := declared_name(v.name)) != v.name:
            found.setdefault(name, []).append(v.name)
    return tuple(FamilyLine(name, letters.get(name, ()), tuple(members)) for name, members in found.items())


@dataclass(frozen=True)
class Repeated:
    """Texts that stand for several, at each number of a range, `t = 1..4`; "" for what stands once."""

    texts: tuple[str, ...]
    range: str = ""
    places: tuple[int, ...] = ()
    """Which of the texts given it stands for."""


@dataclass(frozen=True)
class _Read:
    """A text with holes for the numbers of members, and these, each with the letter of its index."""

    holed: str
    numbers: tuple[int, ...]
    letters: tuple[str, ...]


class Families:
    """How texts speak of families.

    Args:
        lines: the families; None where they are not known: whatever has a number in brackets is a member then, and
            members are named by the range of their numbers, `z[1..4]`.
    """

    def __init__(self, lines: Iterable[FamilyLine] | None) -> None:
        self._letters = None if lines is None else {line.name: line.letters for line in lines}
        self._members = {} if lines is None else {line.name: frozenset(line.members) for line in lines}

    # --- one text --------------------------------------------------------------------------------

    def shortened(self, text: str) -> str:
        """A text that names members one after another, `z[1], z[2], z[3]`, with their range instead: `z[1..3]`, or `z`
        for all of them."""
        before = ""
        while before != text:
            before, text = text, self._once_shortened(text)
        return text

    def _once_shortened(self, text: str) -> str:
        found = [m for m in _MENTION.finditer(text) if self._is_family(m.group(1))]
        k = 0
        while k < len(found):
            name, items = found[k].group(1), found[k].group(2).split(", ")
            last = k
            place = -1
            step = 0
            while last + 1 < len(found) and text[found[last].end() : found[last + 1].start()] == ", ":
                following = found[last + 1]
                moved = _moved(found[last].group(2).split(", "), following.group(2).split(", "))
                if following.group(1) != name or moved is None or (place >= 0 and moved != (place, step)):
                    break
                (place, step), last = moved, last + 1
            if last > k:
                ends = sorted((items[place], found[last].group(2).split(", ")[place]), key=int)
                whole = frozenset(m.group(0) for m in found[k : last + 1]) == self._members.get(name)
                inside = ", ".join([*items[:place], "..".join(ends), *items[place + 1 :]])
                said = name if whole or self._is_all(name, inside) else f"{name}[{inside}]"
                return text[: found[k].start()] + said + text[found[last].end() :]
            k += 1
        return text

    def _is_all(self, name: str, inside: str) -> bool:
        """Whether ranges are those of all members."""
        members = self._members.get(name, frozenset())
        return bool(members) and frozenset(f"{name}[{', '.join(m)}]" for m in _spread(inside.split(", "))) == members

    def _is_family(self, name: str) -> bool:
        return self._letters is None or name in self._letters

    # --- several texts ---------------------------------------------------------------------------

    def repeated(self, texts: Sequence[str], longest: int = _LONGEST) -> list[Repeated]:
        """The texts, those of them as one that say the same of members one after another. Up to `longest` that follow
        each other are repeated together."""
        texts = [self.shortened(t) for t in texts]
        reads = [self._read(t) for t in texts]
        found: list[Repeated] = []
        start = 0
        while start < len(texts):
            times, size = 1, 0
            while times == 1 and size < longest:
                size += 1
                times = _times(reads, start, size)
            if times == 1:
                found.append(Repeated((texts[start],), "", (start,)))
                start += 1
                continue
            found.append(self._as_one(reads, start, size, times))
            start += size * times
        return found

    def lines(self, texts: Sequence[str]) -> list[str]:
        """The texts as lines, each with its range behind it, over and over for families of several indices."""
        return self.over_and_over(list(texts), _in_words)

    def sums(self, terms: Sequence[str]) -> list[str]:
        """Terms of a sum, each with its sign before it, with a sum for those of members."""
        return self.over_and_over(list(terms), _as_sum)

    def rows(self, rows: Sequence[tuple[str, str]], differ: bool = True) -> list[tuple[str, str]]:
        """Texts with something beside each: where members differ in it, that of the first and of the last; or they
        stand apart there, where they are not to `differ`."""
        before: list[tuple[str, str]] = []
        found = list(rows)
        while found != before:
            before, found = found, []
            for r in self.repeated([text if differ else f"{text}{_BESIDE}{beside}" for text, beside in before], 1):
                text, _, _ = r.texts[0].partition(_BESIDE)
                first, last = before[r.places[0]][1], before[r.places[-1]][1]
                same = len({before[k][1] for k in r.places}) == 1
                found.append((f"{text}, {r.range}" if r.range else text, first if same else f"{first} .. {last}"))
        return found

    def totals(self, values: Mapping[str, float]) -> dict[str, float]:
        """Numbers by name, those of members one after another as their sum. What names say alike comes together."""
        alike: dict[str, list[str]] = {}
        for name in values:
            alike.setdefault(self._read(self.shortened(name)).holed, []).append(name)
        names = [name for those in alike.values() for name in those]
        found: dict[str, float] = {}
        for r in self.repeated(names, 1):
            found[_in_words(r)] = sum(values[names[k]] for k in r.places)
        return found

    def formula(self, text: str) -> str:
        """A formula, `E_{q(z | x)}[ log p(x | z) - KL(q(z | x) || p(z)) ]`, with sums over members."""
        parts = re.split(r"(E_\{.*?\}\[ |exp\( | [\])](?= |$))", self.shortened(text))
        return "".join(map(self._summed, parts))

    def _summed(self, part: str) -> str:
        if part.startswith("E_{"):
            drawn = self.lines(apart(part[3:-3], r", "))
            return f"E_{{{', '.join(drawn)}}}[ "
        terms = apart(part, r" (?=[+-] )")
        if len(terms) < 2:
            return part
        signed = "" if terms[0][:2] in ("- ", "+ ") else "-" if terms[0].startswith("-") else "+"
        found = " ".join(self.sums([f"{signed} {terms[0].removeprefix('-')}" if signed else terms[0], *terms[1:]]))
        return found if not signed else found.removeprefix("+ ") if found.startswith("+ ") else f"-{found[2:]}"

    def over_and_over(self, texts: list[str], said: Callable[[Repeated], str]) -> list[str]:
        before: list[str] = []
        while texts != before:
            before = texts
            texts = [said(r) if r.range else r.texts[0] for r in self.repeated(texts)]
        return texts

    def _read(self, text: str) -> _Read:
        numbers: list[int] = []
        letters: list[str] = []

        def holed(match: re.Match[str]) -> str:
            name, inside = match.group(1), match.group(2)
            if not self._is_family(name):
                return match.group(0)
            known = self._letters[name] if self._letters is not None else ()
            items = inside.split(", ")
            for k, item in enumerate(items):
                if _NUMBERS.fullmatch(item):
                    ends = item.split("..")
                    numbers.extend(map(int, ends))
                    letters.extend([known[k] if k < len(known) else ""] * len(ends))
                    items[k] = "..".join([_HOLE] * len(ends))
            return f"{name}[{', '.join(items)}]"

        return _Read(_MENTION.sub(holed, text), tuple(numbers), tuple(letters))

    def _as_one(self, reads: Sequence[_Read], start: int, size: int, times: int) -> Repeated:
        block, following = reads[start : start + size], reads[start + size : start + 2 * size]
        firsts, seconds = ([n for r in part for n in r.numbers] for part in (block, following))
        letters = [letter for r in block for letter in r.letters]
        steps = [b - a for a, b in zip(firsts, seconds)]
        at = next(k for k, step in enumerate(steps) if step)
        letter, base, step = letters[at], firsts[at], steps[at]
        shown = iter(
            str(number)
            if not moves
            else away(letter, number - base)
            if letter
            else "..".join(map(str, sorted((number, number + step * (times - 1)))))
            for number, moves in zip(firsts, steps)
        )
        texts = tuple(re.sub(_HOLE, lambda _: next(shown), r.holed) for r in block)
        places = tuple(range(start, start + size * times))
        range_ = f"{letter} = {base}..{base + step * (times - 1)}" if letter else ""
        return Repeated(texts, range_, places)


def _in_words(found: Repeated) -> str:
    if not found.range:
        return ", ".join(found.texts)
    one = len(found.texts) == 1
    return f"{found.texts[0]}, {found.range}" if one else f"for {found.range}: {', '.join(found.texts)}"


def _as_sum(found: Repeated) -> str:
    """`- sum_{t = 1..4} KL(...)`, or `+ sum_{t = 1..4}( log p(...) - log q(...) )`."""
    (sign, first), *more = ((t[0], t[2:]) for t in found.texts)
    if not more:
        return f"{sign} sum_{{{found.range}}} {first}"
    inside = " ".join([first if sign == "+" else f"-{first}", *(f"{s} {t}" for s, t in more)])
    return f"+ sum_{{{found.range}}}( {inside} )"


def apart(text: str, between: str) -> list[str]:
    """The parts of a text, cut where no parenthesis or bracket is open."""
    found, start, depth = [], 0, 0
    for match in re.finditer(rf"[(\[{{]|[)\]}}]|{between}", text):
        depth += (match.group(0) in ("(", "[", "{")) - (match.group(0) in (")", "]", "}"))
        if depth == 0 and match.group(0)[:1] in (",", " "):
            found.append(text[start : match.start()])
            start = match.end()
    return [*found, text[start:]]


def _times(reads: Sequence[_Read], start: int, size: int) -> int:
    """How often so many texts from one on are repeated, with members that go up or down by one."""
    times, wanted = 1, None
    while start + (times + 1) * size <= len(reads):
        here = reads[start + (times - 1) * size : start + times * size]
        there = reads[start + times * size : start + (times + 1) * size]
        if [r.holed for r in here] != [r.holed for r in there]:
            break
        steps = [b - a for r, s in zip(here, there) for a, b in zip(r.numbers, s.numbers)]
        moving = {step for step in steps if step}
        if len(moving) != 1 or abs(next(iter(moving))) != 1 or (wanted is not None and steps != wanted):
            break
        times, wanted = times + 1, steps
    return times


def _moved(items: Sequence[str], others: Sequence[str]) -> tuple[int, int] | None:
    """The one index in which a member is next to another, and the way."""
    if len(items) != len(others):
        return None
    apart = [k for k, (a, b) in enumerate(zip(items, others)) if a != b]
    if len(apart) != 1 or not all(re.fullmatch(r"-?\d+", i[apart[0]]) for i in (items, others)):
        return None
    step = int(others[apart[0]]) - int(items[apart[0]])
    return (apart[0], step) if abs(step) == 1 else None


def _spread(items: Sequence[str]) -> list[tuple[str, ...]]:
    """The members that ranges stand for."""
    found: list[tuple[str, ...]] = [()]
    for item in items:
        low, _, high = item.partition("..")
        each = [str(k) for k in range(int(low), int(high) + 1)] if high and _NUMBERS.fullmatch(item) else [item]
        found = [(*before, one) for before in found for one in each]
    return found


def away(letter: str, by: int) -> str:
    """`l + 1`."""
    return letter + (f" {'-' if by < 0 else '+'} {abs(by)}" if by else "")


__all__ = ["Families", "FamilyLine", "Repeated", "apart", "away", "families_of"]
