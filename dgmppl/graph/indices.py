"""Families of several indices, `z[t in 1..T, l in 1..2]`: one by the first index for each value of the others.

A statement about `z[t, l]` is written out for each value of `l` for which all that it names exists, with weights of its
own, unless a network is named: then they are shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from dgmppl.graph.names import numbered
from dgmppl.graph.offsets import names_in
from dgmppl.graph.scope import Scope
from dgmppl.source import Span
from dgmppl.supports import number_text
from dgmppl.syntax import tree

Env = Mapping[str, int]


@dataclass(frozen=True)
class _Family:
    """A family of several indices: the letter of the first, and the ranges of the others by their letters. `whole`: the
    range of the first."""

    name: str
    letter: str
    others: Mapping[str, range]
    whole: tree.Range

    def values(self) -> Iterator[tuple[int, ...]]:
        return product(*self.others.values())

    def at(self, numbers: tuple[int, ...]) -> str:
        """The name of that by the first index at these numbers of the others."""
        return numbered(self.name, self.letter, numbers)

    def at_places(self, family: tree.Family, numbers: tuple[int, ...]) -> tree.Family:
        """Its first index, for that at these numbers of the others."""
        places = tuple((n - members.start, len(members)) for n, members in zip(numbers, self.others.values()))
        return replace(family, others=(), places=places)


def with_one_index(scope: Scope, spec: tree.Spec) -> tree.Spec:
    """The spec with families of one index each. Reports an observed family of several (E215), a range that is none, and
    statements that name no member (E215)."""
    families: dict[str, _Family] = {}
    for s in spec.statements:
        if isinstance(s, (tree.Variable, tree.Let)) and isinstance(s.family, tree.Family) and s.family.others:
            with scope.statement(s.name):
                families[s.name] = _family(scope, s)
    if not families:
        return spec
    found: list[tree.Statement] = []
    for s in spec.statements:
        if s.__class__ in (tree.Variable, tree.Let) and getattr(s, "name", "") in scope.poisoned:
            continue
        with scope.statement(getattr(s, "name", "")):
            found += _written_out(scope, s, families)
    return replace(spec, statements=tuple(found))


def _family(scope: Scope, statement: tree.Variable | tree.Let) -> _Family:
    family = statement.family
    assert isinstance(family, tree.Family)
    others: dict[str, range] = {}
    for one in family.others:
        if one.index in (family.index, *others) or one.index in scope.names:
            scope.fail("E202", f"the index `{one.index}` is already declared", one.span, "choose another letter")
        low, high = (scope.integer(end, {}, "an end of the range") for end in (one.range.low, one.range.high))
        if low > high:
            scope.fail("E215", f"the range {low}..{high} is empty", one.range.span, "no member")
        others[one.index] = range(low, high + 1)
    return _Family(statement.name, family.index, others, family.range)


def _written_out(scope: Scope, statement: Any, families: Mapping[str, _Family]) -> list[Any]:
    if isinstance(statement, tree.Variable) and statement.name in families:
        assert statement.family is not None
        of = families[statement.name]
        return [replace(statement, name=of.at(v), family=of.at_places(statement.family, v)) for v in of.values()]
    ranges = _free(scope, statement, families)
    if isinstance(statement, tree.Let) and statement.name in families:
        ranges = {**ranges, **families[statement.name].others}
    if not ranges:
        return [_at(scope, statement, families, {})]
    found: list[Any] = []
    for numbers in product(*ranges.values()):
        env = dict(zip(ranges, numbers))
        if _exists(scope, statement, families, env):
            found.append(_at(scope, statement, families, env))
    span = getattr(statement, "head_span", statement.span)
    if not found and all(len(members) == 1 for members in ranges.values()):
        headline = f"no `{next(iter(ranges))}` is left for this statement, which has one number"
        scope.report("W402", headline, span, "stands for nothing", severity="warning", help="fine at this depth")
    elif not found:
        scope.fail("E215", f"no `{next(iter(ranges))}` for which all of these exist", span, "stands for nothing")
    return found


def _mentions(term: Any, families: Mapping[str, _Family]) -> Iterator[tuple[_Family, tuple[Any, ...], Span]]:
    """The places at which families of several indices are named with brackets."""
    if isinstance(term, tuple):
        for part in term:
            yield from _mentions(part, families)
    elif isinstance(term, tree.Node):
        if isinstance(term, tree.Reference) and term.name in families and _items(term):
            yield families[term.name], _items(term), term.span
        if isinstance(term, tree.Bracket) and isinstance(term.target, tree.Name) and term.target.name in families:
            yield families[term.target.name], term.items, term.span
        for f in fields(term):
            yield from _mentions(getattr(term, f.name), families)


def _free(scope: Scope, statement: Any, families: Mapping[str, _Family]) -> dict[str, range]:
    """The letters that stand at other indices than the first, with the ranges that they go over."""
    found: dict[str, range] = {}
    for family, items, span in _mentions(statement, families):
        if len(items) != len(family.others) + 1:
            usage = f"{family.name}[{', '.join([family.letter, *family.others])}]"
            if len(family.others) == 1:
                (one,) = family.others.values()
                usage += f"; for all of them as parents, {family.name}[{family.letter}, {one.start}..{one.stop - 1}]"
            what = f"`{family.name}` has {len(family.others) + 1} indices"
            scope.fail("E215", what, span, f"{len(items)} here", help=usage)
        for item, members in zip(items[1:], family.others.values()):
            for name in () if isinstance(item, tree.Past) else names_in(item):
                if name not in scope.names:
                    found.setdefault(name, members)
    return found


def _exists(scope: Scope, statement: Any, families: Mapping[str, _Family], env: Env) -> bool:
    return all(
        any(number in members for number in _numbers(scope, item, members, env))
        for family, items, _ in _mentions(statement, families)
        for item, members in zip(items[1:], family.others.values())
    )


def _items(reference: tree.Reference) -> tuple[Any, ...]:
    """What stands in the brackets of a parent."""
    past = tuple(tree.Past(reference.span, index, reference.after) for index in reference.past)
    return past or reference.subscripts


def _numbers(scope: Scope, item: Any, members: range, env: Env) -> tuple[int, ...]:
    """The numbers of an index that stand in brackets: one, those of a range, or those before or after another."""
    if isinstance(item, tree.Range):
        low, high = (scope.integer(end, env, "an end of the range") for end in (item.low, item.high))
        return tuple(range(low, high + 1))
    if not isinstance(item, tree.Past):
        return (scope.integer(item, env, "an index"),)
    if item.index not in env:
        sign = ">" if item.after else "<"
        help_ = f"the head has it: p(...[t, {item.index}] | ...[t, {sign}{item.index}]) = ..."
        scope.fail("E215", f"`{item.index}` is no index of this statement", item.span, "next to which?", help=help_)
    at = env[item.index]
    return tuple(k for k in members if (k > at if item.after else k < at))


def _at(scope: Scope, term: Any, families: Mapping[str, _Family], env: Env) -> Any:
    """A statement, or a part of one, at these values of its letters."""
    if isinstance(term, tuple):
        return tuple(one for part in term for one in _several(scope, part, families, env))
    if not isinstance(term, tree.Node):
        return term
    if isinstance(term, tree.Let) and term.name in families:
        assert isinstance(term.family, tree.Family)
        numbers = tuple(env[letter] for letter in families[term.name].others)
        term = replace(term, name=families[term.name].at(numbers), family=replace(term.family, others=()))
    if _is_named(term, families):
        found = list(_several(scope, term, families, env))
        if len(found) != 1:
            scope.fail("E215", "several members stand where one value is needed", term.span, f"{len(found)} of them")
        return found[0]
    if isinstance(term, tree.Name) and term.name in env:
        return tree.Number(term.span, float(env[term.name]), number_text(float(env[term.name])))
    if isinstance(term, tree.Call):
        _verify_arguments(scope, term, env)
    changed = {f.name: _at(scope, getattr(term, f.name), families, env) for f in fields(term) if f.init}
    return replace(term, **{k: v for k, v in changed.items() if v is not getattr(term, k)})


def _verify_arguments(scope: Scope, call: tree.Call, env: Env) -> None:
    """An index that is written out is no input of a network: its copies would not share their weights (E215)."""
    target = call.target.target if isinstance(call.target, tree.Bracket) else call.target
    if not isinstance(call.target, tree.Bracket) or not isinstance(target, tree.Name):
        return
    for argument in call.arguments:
        if isinstance(argument, tree.Name) and argument.name in env:
            scope.fail(
                "E215",
                f"`{argument.name}` is written out: for each of its values there is a network with weights of its own",
                argument.span,
                "no input",
                help=f"net f = {target.name}[...] has one set of weights: f(..., {argument.name})",
            )


def _several(scope: Scope, term: Any, families: Mapping[str, _Family], env: Env) -> Iterator[Any]:
    """The members of a family of several indices that stand among parents or inputs: one, several, or all."""
    name: str = getattr(term, "name", "")
    items: tuple[Any, ...] = ()
    if isinstance(term, tree.Bracket) and isinstance(term.target, tree.Name):
        name, items = term.target.name, term.items
    if isinstance(term, tree.Reference):
        items = _items(term)
    if not _is_named(term, families):
        yield _at(scope, term, families, env)
    elif not items:
        reference: Any = term
        for numbers in families[name].values():
            yield replace(reference, name=families[name].at(numbers))
    else:
        item = _at(scope, items[0], families, env)
        for found in _named(scope, families[name], items, env):
            whole = isinstance(item, tree.Range) and _is_same(scope, item, families[name].whole, env)
            yield _all_of(term, found) if whole else _by_first(term, found, item)


def _is_named(term: Any, families: Mapping[str, _Family]) -> bool:
    """Whether a term names members of a family of several indices."""
    if isinstance(term, tree.Bracket):
        return isinstance(term.target, tree.Name) and term.target.name in families
    return isinstance(term, (tree.Name, tree.Reference)) and term.name in families


def _by_first(term: Any, name: str, item: Any) -> Any:
    """A member of a family by its first index."""
    if isinstance(term, tree.Bracket):
        return replace(term, target=tree.Name(term.target.span, name), items=(item,))
    past = (item.index,) if isinstance(item, tree.Past) else ()
    return replace(term, name=name, subscripts=() if past else (item,), past=past, after=bool(past) and item.after)


def _is_same(scope: Scope, one: tree.Range, other: tree.Range, env: Env) -> bool:
    """Whether two ranges have the same ends, by their numbers where these are known."""
    if one == other:
        return True
    ends = (one.low, one.high, other.low, other.high)
    if not all(n in env or isinstance(scope.names.get(n), float) for end in ends for n in names_in(end)):
        return False
    low, high, first, last = (scope.integer(end, env, "an end of the range") for end in ends)
    return (low, high) == (first, last)


def _all_of(term: Any, name: str) -> Any:
    """All members by the first index, as many as a row has."""
    if isinstance(term, tree.Bracket):
        return tree.Name(term.target.span, name)
    return replace(term, name=name, subscripts=())


def _named(scope: Scope, family: _Family, items: tuple[Any, ...], env: Env) -> list[str]:
    """The names of what stands in brackets. Reports numbers that the family does not have (E215)."""
    numbers = [_numbers(scope, item, members, env) for item, members in zip(items[1:], family.others.values())]
    for those, item, members in zip(numbers, items[1:], family.others.values()):
        strange = next((n for n in those if n not in members), None)
        if strange is not None:
            label = f"it goes from {members[0]} to {members[-1]}"
            scope.fail("E215", f"`{family.name}` has no member {strange} along this index", item.span, label)
    return [family.at(found) for found in product(*numbers)]
