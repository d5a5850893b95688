"""Several members of a family: all of them, `z`, those before or after one, `z[<l]`, `z[>l]`, or a range, `z[1..l]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from dgmppl.graph.names import member_name
from dgmppl.graph.scope import Scope, VariableFamily
from dgmppl.source import Span
from dgmppl.supports import number_text
from dgmppl.syntax import tree


def written_out(scope: Scope, statement: tree.Factor, env: Mapping[str, int]) -> tree.Factor:
    """A statement at one value of its index, with a name for each member of which it names several."""
    parents = tuple(one for p in statement.parents for one in references(scope, p, env))
    value = inputs_written_out(scope, statement.value, env)
    if parents == statement.parents and value == statement.value:
        return statement
    return replace(statement, parents=parents, value=value)


def references(scope: Scope, reference: tree.Reference, env: Mapping[str, int]) -> tuple[tree.Reference, ...]:
    """The members that a parent stands for, or the parent itself where it is one variable."""
    numbers = _numbers(scope, reference.name, reference.span, _items(reference), env)
    if numbers is None:
        return (reference,)
    return tuple(tree.Reference(reference.span, reference.name, (_number(reference.span, k),)) for k in numbers)


def several(scope: Scope, reference: tree.Reference) -> bool:
    """Whether a parent stands for several members of a family."""
    items = _items(reference)
    several = not items or any(isinstance(i, (tree.Past, tree.Range)) for i in items)
    return several and isinstance(scope.names.get(reference.name), VariableFamily)


def inputs_written_out(scope: Scope, term: Any, env: Mapping[str, int]) -> Any:
    """An expression in which what networks and functions read names each member of a family."""
    if isinstance(term, tuple):
        return tuple(inputs_written_out(scope, part, env) for part in term)
    if not isinstance(term, tree.Node):
        return term
    changed = {}
    for f in fields(term):
        before = getattr(term, f.name)
        after = inputs_written_out(scope, before, env)
        if isinstance(term, (tree.Call, tree.Quotation)) and f.name in ("arguments", "given"):
            after = tuple(one for argument in after for one in _members(scope, argument, env))
        if after != before:
            changed[f.name] = after
    return replace(term, **changed) if changed else term


def _members(scope: Scope, argument: Any, env: Mapping[str, int]) -> Iterator[Any]:
    target: Any = argument
    items: tuple[Any, ...] = ()
    if isinstance(argument, tree.Bracket):
        target, items = argument.target, argument.items
    numbers = None
    if isinstance(target, tree.Name) and target.name not in env:
        numbers = _numbers(scope, target.name, argument.span, items, env)
    if numbers is None:
        yield argument
        return
    for k in numbers:
        yield tree.Bracket(argument.span, tree.Name(argument.span, target.name), (_number(argument.span, k),))


def _items(reference: tree.Reference) -> tuple[Any, ...]:
    if reference.past:
        return tuple(tree.Past(reference.span, name, reference.after) for name in reference.past)
    return reference.subscripts


def _numbers(
    scope: Scope, name: str, span: Span, items: tuple[Any, ...], env: Mapping[str, int]
) -> tuple[int, ...] | None:
    """The numbers of several members, in order; None for what names one, or is no family."""
    family = scope.names.get(name)
    if not isinstance(family, VariableFamily):
        return None
    known = sorted(family.members)
    if not items:
        return tuple(known)
    item = items[0]
    if len(items) > 1 or not isinstance(item, (tree.Past, tree.Range)):
        return None
    if isinstance(item, tree.Range):
        low, high = (scope.integer(end, env, "an end of the range") for end in (item.low, item.high))
        beyond = next((k for k in (low, high) if low <= high and k not in family.members), None)
        if beyond is not None:
            label = f"{name} goes from {known[0]} to {known[-1]}"
            scope.fail("E215", f"`{member_name(name, beyond)}` does not exist", span, label)
        return tuple(k for k in known if low <= k <= high)
    if item.index not in env:
        sign = ">" if item.after else "<"
        scope.fail(
            "E215",
            f"`{item.index}` is no index of this statement",
            span,
            f"{member_name(name, sign + item.index)} has those {'after' if item.after else 'before'} it",
            help=f"the head has it: p({member_name(name, item.index)} | {member_name(name, sign + item.index)}) = ...",
        )
    return tuple(k for k in known if (k > env[item.index] if item.after else k < env[item.index]))


def _number(span: Span, number: int) -> tree.Expr:
    value = tree.Number(span, float(abs(number)), number_text(float(abs(number))))
    return value if number >= 0 else tree.Negate(span, value)
