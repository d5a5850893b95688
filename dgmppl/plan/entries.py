"""Which variables an entry of a record is about, as in `weight = { z[t] = 0.5 }`."""

from __future__ import annotations

from dgmppl.graph.nodes import Variable
from dgmppl.graph.scope import Scope, VariableFamily
from dgmppl.source import Span
from dgmppl.syntax import tree


def members_of(
    scope: Scope, name: str, span: Span, subscripts: tuple[tree.Expr | tree.Range, ...] = ()
) -> tuple[str, ...]:
    """The variables that `z`, `z[t]` or `z[3]` stands for: of a family with its index, or without any, all members.

    Reports a name that is none (E201) and an index that is not the family's (E305).
    """
    several = [v for v in scope.names.values() if isinstance(v, Variable) and _indices(v.name, name)]
    if several:
        return _of_several(scope, name, several, span, subscripts)
    found = scope.lookup(name, span, "variable")
    if not subscripts:
        return tuple(v.name for v in found.members.values()) if isinstance(found, VariableFamily) else (name,)
    place, one = subscripts[0].span, subscripts[0] if len(subscripts) == 1 else None
    letter = _letter(found)
    if not letter:
        scope.fail("E305", f"`{name}` is no family", place, "an index", help=f"{name} = ...")
    if isinstance(one, tree.Name) and one.name == letter:
        return members_of(scope, name, span)
    if isinstance(found, VariableFamily) and isinstance(one, tree.Number) and int(one.value) in found.members:
        return (found.members[int(one.value)].name,)
    headline = f"`{name}` is a family of the index `{letter}`"
    scope.fail("E305", headline, place, help=f"all of its members: {name}[{letter}]")


def _indices(variable: str, family: str) -> list[str]:
    """The indices of a variable that belongs to a family of several, none of any other."""
    name, _, inside = variable.partition("[")
    return inside.rstrip("]").split(", ") if name == family and ", " in inside else []


def _of_several(
    scope: Scope, name: str, variables: list[Variable], span: Span, subscripts: tuple[tree.Expr | tree.Range, ...]
) -> tuple[str, ...]:
    """Of a family of several indices: `z[t, 1]`, where a letter stands for all numbers."""
    numbers = [
        None if isinstance(s, tree.Name) else str(s.value) if isinstance(s, tree.Number) else "" for s in subscripts
    ]
    numbers = [n.removesuffix(".0") if n else n for n in numbers] or [None] * len(_indices(variables[0].name, name))
    found = [
        v.name
        for v in variables
        if len(items := _indices(v.name, name)) == len(numbers)
        and all(n is None or n == item for n, item in zip(numbers, items))
    ]
    if not found:
        names = ", ".join(v.name for v in variables[:3])
        scope.fail(
            "E305", f"`{name}` has no such members", span, help=f"{name} for all of them, or one of {names}, ..."
        )
    return tuple(found)


def _letter(found: object) -> str:
    if isinstance(found, VariableFamily):
        return found.index
    return found.along.letter if isinstance(found, Variable) and found.along is not None else ""


__all__ = ["members_of"]
