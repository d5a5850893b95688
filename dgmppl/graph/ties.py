"""Ties: `z[0] = x`, a member of a latent family that is another variable, as the start of a chain is the data."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from dgmppl.diagnostics import Note
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Variable
from dgmppl.graph.offsets import names_in, offset_of
from dgmppl.graph.scope import Scope, Tie, describe_binding
from dgmppl.supports import REAL
from dgmppl.syntax import tree


def with_ties(scope: Scope, spec: tree.Spec) -> tree.Spec:
    """The spec with the variable itself wherever a member that is tied to it stands by its number, and without the
    statements that say so, which are in `scope.ties`. Reports what is no tie (E215, E217)."""
    families = {
        s.name: s
        for s in spec.statements
        if isinstance(s, tree.Variable) and s.role == "latent" and s.family is not None
    }
    kept: list[tree.Statement] = []
    for statement in spec.statements:
        if isinstance(statement, tree.Definition) and statement.target.name in families:
            with scope.statement():
                _declare(scope, statement, families[statement.target.name])
        else:
            kept.append(statement)
    if not scope.ties:
        return replace(spec, statements=tuple(kept))
    found = replace(spec, statements=tuple(_by_number(scope, s) for s in kept))
    for tie in (t for ties in scope.ties.values() for t in ties.values()):
        heads = (s.heads[0] for s in found.statements if isinstance(s, tree.Factor) and s.side == "p")
        tie.own = any(h.name == tie.variable and not h.subscripts for h in heads)
    return found


def _declare(scope: Scope, statement: tree.Definition, declared: tree.Variable) -> None:
    target, family = statement.target, declared.family
    assert family is not None
    low, high = (scope.known_number(end) for end in (family.range.low, family.range.high))
    if len(target.subscripts) != 1 or any(n not in scope.names for n in names_in(target.subscripts)):
        scope.fail(
            "E215",
            f"a definition is of one member of `{target.name}`, by its number",
            target.span,
            "of which?",
            notes=(Note(declared.name_span, "declared here"),),
            help=f"one for each, {target.name}[{0 if low is None else int(low)}] = ..., or what is computed along an "
            f"index as a feature: let r[{family.index} in ...] : real[64] = ...",
        )
    if not isinstance(statement.value, tree.Name):
        scope.fail(
            "E217",
            f"a member of the family `{target.name}` may be another variable, as it is",
            statement.value.span,
            "no variable",
            help=f"the start of a chain, {target.name}[0] = x; what is computed has a name of its own: let r = ...",
        )
    number = scope.integer(target.subscripts[0], {}, "an index")
    if low is None or high is None or number not in (low, high):
        scope.fail(
            "E215",
            f"the first or the last member of `{target.name}` may be another variable",
            target.span,
            f"{target.name} goes from {low:g} to {high:g}" if low is not None and high is not None else "",
        )
    ties = scope.ties.setdefault(target.name, {})
    if number in ties:
        scope.fail("E207", f"`{member_name(target.name, number)}` is defined twice", statement.span, "defined again")
    if high - low < 1 + len(ties):
        scope.fail("E215", f"no member of `{target.name}` is left", target.span, "all of them are other variables")
    ties[number] = Tie(statement.value.name, statement)


def verify_ties(scope: Scope) -> None:
    """What a member is tied to is a variable of its type (E204, E217)."""
    for name, ties in scope.ties.items():
        for number, tie in ties.items():
            with scope.statement():
                _verify(scope, name, number, tie)


def _verify(scope: Scope, name: str, number: int, tie: Tie) -> None:
    own, tie.own = tie.own, True  # nothing more is said of it where it is wrong
    place, found = tie.statement.value.span, scope.lookup(tie.variable, tie.statement.value.span, "variable")
    if not isinstance(found, Variable) or found.along is not None or found.role == "partial":
        what = describe_binding(found) if not isinstance(found, Variable) else "a family"
        what = "a partial variable" if isinstance(found, Variable) and found.role == "partial" else what
        headline = f"a member of a family may be an observed variable or a latent, and `{tie.variable}` is {what}"
        scope.fail("E217", headline, place, notes=(Note(scope.places[tie.variable], "declared here"),))
    member = scope.member_type(name)
    if member is None:
        return
    numeric = member.support == REAL and found.type.support.numeric
    if found.type.shape != member.shape or not (numeric or member.support == found.type.support):
        scope.fail(
            "E204",
            f"`{member_name(name, number)}` is {member.describe()}, and `{tie.variable}` is {found.type.describe()}",
            place,
            "of another type",
            notes=(Note(scope.places[name], "declared here"), Note(scope.places[tie.variable], "declared here")),
        )
    tie.own = own or found.role == "let"  # which has its value


def _by_number(scope: Scope, term: Any) -> Any:
    """A statement with the variable for each member that is tied and stands there by its number."""

    def number(item: tree.Expr) -> int | None:
        found = scope.known_number(item)
        return int(found) if found is not None and found.is_integer() else None

    return _replaced(scope, term, number)


def at_number(scope: Scope, term: Any, letter: str, number: int) -> Any:
    """A statement at one number of its index, with the variable for each member that is tied there."""

    def there(item: tree.Expr) -> int | None:
        by = offset_of(scope, item, letter)
        return None if by is None else number + by

    return _replaced(scope, term, there)


def _replaced(scope: Scope, term: Any, number: Any) -> Any:
    if isinstance(term, tuple):
        return tuple(_replaced(scope, part, number) for part in term)
    if not isinstance(term, tree.Node):
        return term
    changed = {f.name: _replaced(scope, getattr(term, f.name), number) for f in fields(term) if f.init}
    changed = {name: part for name, part in changed.items() if part is not getattr(term, name)}
    term = replace(term, **changed) if changed else term
    if isinstance(term, tree.Reference) and len(term.subscripts) == 1:
        tie = _tie(scope, term.name, number(term.subscripts[0]))
        return tree.Reference(term.span, tie.variable) if tie is not None else term
    if isinstance(term, tree.Bracket) and isinstance(term.target, tree.Name) and term.items:
        first = term.items[0]
        tie = _tie(scope, term.target.name, number(first)) if isinstance(first, tree.Expr) else None
        if tie is not None:
            name = tree.Name(term.span, tie.variable)
            return replace(term, target=name, items=term.items[1:]) if term.items[1:] else name
    return term


def _tie(scope: Scope, family: str, number: int | None) -> Tie | None:
    return scope.ties.get(family, {}).get(number) if number is not None else None


__all__ = ["at_number", "verify_ties", "with_ties"]
