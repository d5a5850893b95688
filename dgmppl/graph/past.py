"""The model of what came first in sequences: the same statements, of as many members as a row has of a past.

What a law says of a member follows from those before it, so that a sequence's first members have the model of a
sequence that ends there: one of which an observed number says in each row how far it goes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any

from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Along, Graph
from dgmppl.source import Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class PastSpec:
    """A spec of what came first; `number` is the observed variable that says which member is the last."""

    spec: tree.Spec
    number: str


def spec_of_the_past(spec: tree.Spec, graph: Graph, along: Along, without: Collection[str]) -> PastSpec:
    """The spec of what came first along an index; nothing is said in it of the data `without` which the past is known.

    `z[T]` is the last member of all in p, and the last of the past in q, which goes no further.
    """
    families = [v for v in graph.variables if v.along is not None and v.along.letter == along.letter and not v.shared]
    first = max(v.members[0] for v in families)
    last = min(v.members[-1] for v in families if v.role == "observed")
    number = "past"
    while any(getattr(s, "name", "") == number for s in spec.statements):
        number += "_"
    place = spec.name_span
    declared = [s for s in spec.statements if isinstance(s, (tree.Variable, tree.Let))]
    ends = _Ends(
        _told_so_far(declared, graph, along.letter),
        _values(spec, last) | ({along.length} if along.length else set()),
        float(last),
        number,
    )
    type_ = tree.Type(place, "integer", (tree.Range(place, _number(place, first), _number(place, last)),), ())
    counter = tree.Variable(place, "observed", number, None, type_, None, None, rows_given(spec), name_span=place)
    gone = {s.name for s in declared if isinstance(s, tree.Variable) and _is_gone(graph, s, without)}
    told = tuple(ends.of_the_statement(s) for s in _told(spec, gone))
    return PastSpec(replace(spec, statements=(counter, *told)), number)


def spec_of_length(spec: tree.Spec, along: Along, last: int) -> tree.Spec:
    """The spec whose families along an index go as far as this number, but for what rows have in common."""

    def longer(s: tree.Statement) -> tree.Statement:
        shared = isinstance(s, tree.Variable) and s.per is not None
        if not isinstance(s, (tree.Variable, tree.Let)) or not _has_index(s, along.letter) or shared:
            return s
        assert isinstance(s.family, tree.Family)
        end = _number(s.family.range.high.span, last)
        s = replace(s, family=replace(s.family, range=replace(s.family.range, high=end)))
        return replace(s, data=rows_given(spec)) if isinstance(s, tree.Variable) and s.data is not None else s

    return replace(spec, statements=tuple(longer(s) for s in spec.statements))


def _told_so_far(declared: list[tree.Variable | tree.Let], graph: Graph, letter: str) -> frozenset[str]:
    """The families that go as far as the past: those that are modelled, and features that are computed from them.
    Controls are known as a whole, and so is what rows have in common."""
    along = [s for s in declared if _has_index(s, letter)]
    found = {s.name for s in along if isinstance(s, tree.Variable) and s.per is None} - set(graph.conditions)
    for s in along:
        if isinstance(s, tree.Let) and _names(s.value) & found:
            found.add(s.name)
    return frozenset(found)


def rows_given(spec: tree.Spec) -> tree.Field:
    """Where data would come from that are given: nothing reads it."""
    return tree.Field(spec.name_span, "rows.npy", None, True)


def _number(place: Span, value: int) -> tree.Number:
    return tree.Number(place, float(value), str(value))


def _values(spec: tree.Spec, last: int) -> set[str]:
    """The names of constants that are the number of the last member."""
    constants = (s for s in spec.statements if isinstance(s, tree.Const))
    return {s.name for s in constants if isinstance(s.value, tree.Number) and s.value.value == last}


def _is_gone(graph: Graph, statement: tree.Variable, without: Collection[str]) -> bool:
    """Whether a declaration is of these variables alone: a family of several indices has one for each member."""
    members = [v.name for v in graph.variables if declared_name(v.name) == statement.name]
    return bool(members) and set(members) <= set(without)


def _has_index(statement: object, letter: str) -> bool:
    family = statement.family if isinstance(statement, (tree.Variable, tree.Let)) else None
    return isinstance(family, tree.Family) and family.index == letter


def _told(spec: tree.Spec, gone: set[str]) -> list[tree.Statement]:
    """The statements of a spec without those about what is gone, without adversaries, and how to fit it but for what a
    derived q reads."""
    kept: list[tree.Statement] = []
    for s in spec.statements:
        if isinstance(s, tree.Train):
            settings = tuple(one for one in s.settings if one.name == "posterior")
            kept += [replace(s, settings=settings)] if settings else []
        elif (
            isinstance(s, tree.Adversary)
            or getattr(s, "name", "") in gone
            or (isinstance(s, tree.Factor) and any(head.name in gone for head in s.heads))
            or (isinstance(s, tree.Definition) and s.target.name in gone)
        ):
            continue
        elif isinstance(s, tree.Let) and _names(s.value) & gone:
            gone.add(s.name)
        else:
            kept.append(s)
    return kept


def _names(term: object) -> set[str]:
    if isinstance(term, tuple):
        return {name for part in term for name in _names(part)}
    if not isinstance(term, tree.Node):
        return set()
    own = {term.name} if isinstance(term, (tree.Name, tree.Reference)) else set()
    return own | {name for f in fields(term) for name in _names(getattr(term, f.name))}


@dataclass(frozen=True)
class _Ends:
    """What names the last member of `families`: a name, or its number."""

    families: frozenset[str]
    names: set[str]
    last: float
    number: str

    def of_the_statement(self, s: tree.Statement) -> tree.Statement:
        """A statement about as many members as the past has."""
        if isinstance(s, (tree.Variable, tree.Let)) and s.name in self.families:
            assert isinstance(s.family, tree.Family)
            end = tree.Name(s.family.range.high.span, self.number)
            s = replace(s, family=replace(s.family, range=replace(s.family.range, high=end)))
        found: tree.Statement = s
        if isinstance(s, tree.Let) or (isinstance(s, tree.Factor) and s.side == "q"):
            found = self.of_the_past(s)
        return found

    def of_the_past(self, term: Any) -> Any:
        """A statement, or a part of one, in which the last member is that of the past."""
        if isinstance(term, tuple):
            return tuple(self.of_the_past(part) for part in term)
        if not isinstance(term, tree.Node):
            return term
        if isinstance(term, tree.Reference) and term.name in self.families and term.subscripts:
            return replace(term, subscripts=(self._end(term.subscripts[0]), *term.subscripts[1:]))
        changed = {f.name: self.of_the_past(getattr(term, f.name)) for f in fields(term) if f.init}
        found = replace(term, **{k: v for k, v in changed.items() if v is not getattr(term, k)})
        if isinstance(found, tree.Bracket) and getattr(found.target, "name", "") in self.families and found.items:
            found = replace(found, items=(self._end(found.items[0]), *found.items[1:]))
        return found

    def _end(self, item: Any) -> Any:
        if isinstance(item, tree.Range):
            return replace(item, high=self._end(item.high))
        named = isinstance(item, tree.Name) and item.name in self.names
        if named or (isinstance(item, tree.Number) and item.value == self.last):
            return tree.Name(item.span, self.number)
        return item


__all__ = ["PastSpec", "spec_of_length", "spec_of_the_past"]
