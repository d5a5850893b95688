"""Factors of folded families: each statement is about some of the members, which lie along an axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Row
from dataclasses import dataclass, fields, replace
from typing import Any

from dgmppl.diagnostics import Note
from dgmppl.graph.context import Elements
from dgmppl.graph.elements import reads_of
from dgmppl.graph.lengths import is_last, length_value, lengths_of
from dgmppl.graph.names import declared_name, member_name
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.graph.offsets import names_in, offset_of
from dgmppl.graph.positions import of_sequences
from dgmppl.graph.scope import IndexedFeature, Scope
from dgmppl.graph.shapes import member_position
from dgmppl.graph.values import Segment, Sequence
from dgmppl.source import Span
from dgmppl.supports import number_text
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Members:
    """The members that a factor statement is about, from `first` to `last`, by their positions from 0. `elements`: what
    their index goes along. `statement` is written for a head at the index itself: p(z[t - 1] | z[t]) as
    p(z[t] | z[t + 1]), and q(z[1] | r[1]) as q(z[t] | r[t]). `alone`: it is written for one member.
    `short`, `final`: see `Segment`."""

    statement: tree.Factor
    first: int
    last: int
    elements: Elements
    alone: bool = False
    short: int = 0
    final: bool = False


def within(part: Members | Segment, length: int) -> range:
    """The positions that it is about in a row of this length."""
    end = length - part.short
    found = range(part.first, max(min(part.last + 1, end), part.first))
    return range(max(end - 1, part.first), found.stop) if part.final else found


def is_along(scope: Scope, reference: tree.Reference) -> bool:
    """Whether a factor's head names members of a folded family."""
    binding = scope.names.get(reference.name)
    return isinstance(binding, Variable) and binding.along is not None and bool(reference.subscripts)


def members_of(scope: Scope, statement: tree.Factor, number: int | None = None) -> Members | None:
    """The members that a statement about a folded family models, or the one for a `number` of its index; None where
    there are none (W402)."""
    head = statement.heads[0]
    variable = scope.names[head.name]
    assert isinstance(variable, Variable) and variable.along is not None
    if len(head.subscripts) != 1:
        usage = f"p({variable.shown}) = ..."
        scope.fail("E223", f"`{head.name}` has one index", head.span, f"{len(head.subscripts)} indices", help=usage)
    (subscript,) = head.subscripts
    letters = [n for n in dict.fromkeys(names_in(subscript)) if n not in scope.names]
    letter = letters[0] if letters else variable.along.letter
    only: int | None = None
    final = is_last(variable, subscript)
    if final:
        statement = _at_last(scope, statement, letter, variable.length)
        subscript = statement.heads[0].subscripts[0]
    elif not letters:
        only = scope.integer(subscript, {}, "an index")
        member_position(scope, variable, only, head.span)
        statement = _at_index(scope, statement, letter, only)
        subscript = statement.heads[0].subscripts[0]
    by = offset_of(scope, subscript, letter)
    if by is None:
        scope.fail(
            "E223",
            f"a member of `{head.name}` is named by an index, or so many members from it",
            head.span,
            "no such member",
            help=f"{member_name(head.name, letter)}, {member_name(head.name, f'{letter} - 1')}, or one by its number: "
            f"{member_name(head.name, variable.along.start)}; those of a tree go along a second index, "
            f"{head.name}[i in 1..1, {letter} in {variable.members.start}..{variable.members.stop - 1}]: "
            f"p({head.name}[1, 2 * {letter}] | {head.name}[1, {letter}])",
        )
    tied = tied_numbers(scope, statement) if number is None else ()
    if by:
        statement = moved(statement, letter, -by)
        only = number + by if number is not None else only
    elif number is not None:
        only = number
    low, high = variable.members.start, variable.members.stop - 1
    first, last, short = low, high, 0
    for reference in (statement.heads[0], *statement.parents):
        other = scope.names.get(reference.name)
        if isinstance(other, Variable) and other.along is not None and len(reference.subscripts) == 1:
            away = offset_of(scope, reference.subscripts[0], letter)
            if away is not None:
                _verify_as_long(scope, variable, other, reference.span)
                short = max(short, away) if other.length else short
                first = max(first, other.members.start - away)
                last = min(last, other.members.stop - 1 - away)
    if only is not None:
        first, last = max(first, only), min(last, only)
    if first > last and tied:
        return None
    if first > last:
        scope.report(
            "W402",
            f"there is no `{letter}` for which all of these exist",
            statement.head_span,
            "stands for nothing",
            severity="warning",
            help=f"`{head.name}` goes from {low} to {high}",
        )
        return None
    own = [offset_of(scope, r.subscripts[0], letter) or 0 for r in statement.parents if _is_member(r, head.name)]
    backward = any(by > 0 for by in own)
    order = ("reverse", 0) if backward else None
    declared = scope.declared[head.name]
    elements = Elements(
        (letter,),
        variable.type.shape[:1],
        variable.name,
        order=order,
        start=low,
        about=(first - low, last - low),
        range=(declared.start, declared.stop - 1),
    )
    alone = first == last and number is None
    short = 0 if only is not None or final else short
    return Members(statement, first - low, last - low, elements, alone, short, final)


def _verify_as_long(scope: Scope, variable: Variable, other: Variable, span: Span) -> None:
    """A member reads others of its index that exist wherever it does (E228)."""
    if not other.length or other.length == variable.length:
        return
    goes = f"to `{variable.length}`" if variable.length else f"to {variable.members.stop - 1} in every row"
    assert other.along is not None
    scope.fail(
        "E228",
        f"`{variable.name}` goes {goes}, and `{other.name}` to `{other.length}`",
        span,
        "may not exist there",
        notes=(Note(other.span, "declared here"),),
        help=f"declare both [{other.along.letter} in {other.along.start}..{other.length}]",
    )


def tied_numbers(scope: Scope, statement: tree.Factor) -> tuple[tuple[str, int], ...]:
    """The numbers of a statement's index at which it speaks of a member that is another variable, and of others that
    exist: each with the letter."""
    references = [
        r for r in (*statement.heads, *statement.parents) if r.name in scope.declared and len(r.subscripts) == 1
    ]
    letters = {n for r in references for n in names_in(r.subscripts) if n not in scope.names}
    if len(letters) != 1:
        return ()
    (letter,) = letters
    ends: list[tuple[int, int]] = []
    tied: set[int] = set()
    for reference in references:
        by = offset_of(scope, reference.subscripts[0], letter)
        if by is not None:
            declared = scope.declared[reference.name]
            ends.append((declared.start - by, declared.stop - 1 - by))
            tied |= {number - by for number in scope.ties.get(reference.name, ())}
    low, high = max(a for a, _ in ends), min(b for _, b in ends)
    return tuple((letter, number) for number in sorted(tied) if low <= number <= high)


def _is_member(reference: tree.Reference, name: str) -> bool:
    return reference.name == name and len(reference.subscripts) == 1


def moved(term: Any, letter: str, by: int) -> Any:
    """An expression, or a statement, with an index moved: t becomes t + by."""
    if isinstance(term, tree.Binary) and isinstance(term.right, tree.Number) and isinstance(term.left, tree.Name):
        away = {"+": term.right.value, "-": -term.right.value}.get(term.op)
        if term.left.name == letter and away is not None:
            return _index(term, letter, by + away)
    if isinstance(term, tree.Name) and term.name == letter:
        return _index(term, letter, by)
    if isinstance(term, tuple):
        return tuple(moved(part, letter, by) for part in term)
    if not isinstance(term, tree.Node):
        return term
    return replace(term, **{f.name: moved(getattr(term, f.name), letter, by) for f in fields(term) if f.name != "span"})


def _at_index(scope: Scope, statement: tree.Factor, letter: str, number: int) -> tree.Factor:
    """A statement about the member of this number as one about the member at an index that has this value there."""

    def away(item: tree.Expr) -> int | None:
        return scope.integer(item, {}, "an index") - number if _is_number(scope, item) else None

    found: tree.Factor = _at(scope, statement, letter, away)
    return found


def _at_last(scope: Scope, statement: tree.Factor, letter: str, length: str) -> tree.Factor:
    """A statement about the last member of each row as one about the member at an index that has this value there."""
    found: tree.Factor = _at(scope, statement, letter, lambda item: offset_of(scope, item, length))
    return found


def _at(scope: Scope, term: Any, letter: str, away: Callable[[tree.Expr], int | None]) -> Any:
    """A statement, or a part of it, whose members of sequences that are `away` from its head are so from an index."""
    if isinstance(term, tuple):
        return tuple(_at(scope, part, letter, away) for part in term)
    if not isinstance(term, tree.Node):
        return term
    term = replace(term, **{f.name: _at(scope, getattr(term, f.name), letter, away) for f in fields(term) if f.init})
    name = term.name if isinstance(term, tree.Reference) else ""
    if isinstance(term, tree.Bracket) and isinstance(term.target, tree.Name):
        name = term.target.name
    items = term.subscripts if isinstance(term, tree.Reference) else getattr(term, "items", ())
    binding = scope.names.get(name)
    along = (
        _of_a_sequence(scope, term)
        or isinstance(binding, IndexedFeature)
        or (isinstance(binding, Variable) and binding.along is not None)
    )
    by = away(items[0]) if along and items else None
    if by is None:
        return term
    moved_items = (_index(items[0], letter, by), *items[1:])
    return replace(term, **{"subscripts" if isinstance(term, tree.Reference) else "items": moved_items})


def _of_a_sequence(scope: Scope, term: object) -> bool:
    """Whether a network that gives a sequence is read at a position: `gru[16](x)[1]`."""
    return isinstance(term, tree.Bracket) and of_sequences(scope, term.target)


def _is_number(scope: Scope, item: object) -> bool:
    """Whether an index is a number known at build time."""
    if not isinstance(item, (tree.Number, tree.Name, tree.Binary, tree.Negate)):
        return False
    return all(isinstance(scope.names.get(name), float) for name in names_in(item))


def _index(term: tree.Expr, letter: str, by: float) -> tree.Expr:
    name = tree.Name(term.span, letter)
    if by == 0:
        return name
    return tree.Binary(
        term.span, "+" if by > 0 else "-", name, tree.Number(term.span, abs(float(by)), number_text(abs(by)))
    )


def joined(scope: Scope, factors: Row[Factor], variables: Mapping[str, Variable], broken: set[str]) -> list[Factor]:
    """The factors, with one for each folded family of those that are about some of its members, in the order of these.

    Reports members that have two or none (E206, E207), and those that go both ways (E205).
    """
    groups: dict[tuple[str, str], list[Factor]] = {}
    for factor in factors:
        groups.setdefault((factor.side, factor.head), []).append(factor)
    found: list[Factor] = []
    for (_, head), group in groups.items():
        if not isinstance(group[0].density, Segment):
            found += group
            continue
        with scope.statement():
            found.append(_joined(scope, group, variables[head], declared_name(head) in broken))
    return found


def _joined(scope: Scope, group: list[Factor], variable: Variable, broken: bool) -> Factor:
    segments = [f.density for f in group if isinstance(f.density, Segment)]
    ordered = sorted(segments, key=lambda s: (s.final, s.first))
    missing = () if broken else _missing(scope, ordered, variable)
    first = group[0]
    if missing:
        side = first.side
        others = f", nor have {len(missing) - 1} others" if missing[1:] else ""
        scope.fail(
            "E206",
            f"`{missing[0]}` has no factor in {side}{others}",
            first.head_span,
            "says nothing of it",
            help=f"give it one: {side}({missing[0]}) = ...",
        )
    parents = tuple(dict.fromkeys(p for f in group for p in f.parents))
    reads = [r for s in segments for r in reads_of(s, variable.name) if r.variable == variable.name]
    backward = {not r.past and r.offsets > (0,) for r in reads if r.past or r.offsets}
    if len(backward) > 1:
        scope.fail(
            "E205",
            f"some members of `{variable.name}` depend on those before them, and some on those after",
            group[-1].head_span,
            "goes the other way",
        )
    span = first.density.span
    lengths = None
    if variable.along is not None and variable.length:
        length = scope.variable(variable.length)
        assert length is not None
        lengths = length_value(length, variable.along.start, span)
    density = Sequence(variable.type, span, variable.name, tuple(ordered), backward == {True}, lengths)
    return replace(first, parents=parents, density=density)


def _missing(scope: Scope, segments: Row[Segment], variable: Variable) -> tuple[str, ...]:
    """The members that have no law, by their names: in all rows, or in those of one length."""
    start, lengths = variable.members.start, lengths_of(scope, variable)
    # Between these lengths nothing changes but how many are in the middle.
    near = {lengths.start, lengths.stop - 1, *(end for s in segments for end in (s.first, s.last + 1))}
    told = {n + by for n in near for by in range(-2, 3)} if len(lengths) > 2 else set(lengths)
    for length in sorted(told & set(lengths), reverse=True):
        there = {place for s in segments for place in within(s, length)}
        missing = [place for place in range(length) if place not in there]
        if missing:
            final = variable.length and missing == [length - 1]
            return tuple(member_name(variable.name, variable.length if final else place + start) for place in missing)
    return ()
