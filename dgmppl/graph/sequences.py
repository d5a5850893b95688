"""Factors of folded families: each statement is about some of the members, which lie along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Row
from dataclasses import dataclass, fields, replace
from typing import Any

from dgmppl.graph.context import Elements
from dgmppl.graph.elements import reads_of
from dgmppl.graph.nodes import Factor, Variable
from dgmppl.graph.offsets import names_in, offset_of
from dgmppl.graph.positions import of_sequences
from dgmppl.graph.scope import IndexedFeature, Scope
from dgmppl.graph.shapes import member_position
from dgmppl.graph.values import Segment, Sequence
from dgmppl.supports import number_text
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Members:
    """The members that a factor statement is about, from `first` to `last`, by their positions from 0. `elements`: what
    their index goes along. `statement` is written for a head at the index itself: p(z[t - 1] | z[t]) as
    p(z[t] | z[t + 1]), and q(z[1] | r[1]) as q(z[t] | r[t]). `alone`: it is written for one member."""

    statement: tree.Factor
    first: int
    last: int
    elements: Elements
    alone: bool = False


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
        usage = f"p({head.name}[{variable.along.letter}]) = ..."
        scope.fail("E223", f"`{head.name}` has one index", head.span, f"{len(head.subscripts)} indices", help=usage)
    (subscript,) = head.subscripts
    letters = [n for n in dict.fromkeys(names_in(subscript)) if n not in scope.names]
    letter = letters[0] if letters else variable.along.letter
    only: int | None = None
    if not letters:
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
            help=f"{head.name}[{letter}], {head.name}[{letter} - 1], or one by its number: "
            f"{head.name}[{variable.along.start}]",
        )
    tied = tied_numbers(scope, statement) if number is None else ()
    if by:
        statement = moved(statement, letter, -by)
        only = number + by if number is not None else only
    elif number is not None:
        only = number
    low, high = variable.members.start, variable.members.stop - 1
    first, last = low, high
    for reference in (statement.heads[0], *statement.parents):
        other = scope.names.get(reference.name)
        if isinstance(other, Variable) and other.along is not None and len(reference.subscripts) == 1:
            away = offset_of(scope, reference.subscripts[0], letter)
            if away is not None:
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
    return Members(statement, first - low, last - low, elements, alone)


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


def _at_index(scope: Scope, term: Any, letter: str, number: int) -> Any:
    """A statement about the member of this number as one about the member at an index that has this value there."""
    if isinstance(term, tuple):
        return tuple(_at_index(scope, part, letter, number) for part in term)
    if not isinstance(term, tree.Node):
        return term
    term = replace(
        term, **{f.name: _at_index(scope, getattr(term, f.name), letter, number) for f in fields(term) if f.init}
    )
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
    if not along or not items or not _is_number(scope, items[0]):
        return term
    away = scope.integer(items[0], {}, "an index") - number
    moved_items = (_index(items[0], letter, away), *items[1:])
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
            found.append(_joined(scope, group, variables[head], head in broken))
    return found


def _joined(scope: Scope, group: list[Factor], variable: Variable, broken: bool) -> Factor:
    segments = [f.density for f in group if isinstance(f.density, Segment)]
    ordered = sorted(segments, key=lambda s: s.first)
    expected = 0
    missing: list[int] = []
    for segment in ordered:
        missing += range(expected, segment.first)
        expected = max(expected, segment.last + 1)
    missing += range(expected, variable.type.shape[0])
    start, first = variable.members.start, group[0]
    if missing and not broken:
        those = f"{variable.name}[{missing[0] + start}]"
        side = group[0].side
        scope.fail(
            "E206",
            f"`{those}` has no factor in {side}" + (f", nor have {len(missing) - 1} others" if missing[1:] else ""),
            first.head_span,
            "says nothing of it",
            help=f"give it one: {side}({those}) = ...",
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
    density = Sequence(variable.type, first.density.span, variable.name, tuple(ordered), backward == {True})
    return replace(first, parents=parents, density=density)
