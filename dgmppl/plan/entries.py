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


def _letter(found: object) -> str:
    if isinstance(found, VariableFamily):
        return found.index
    return found.along.letter if isinstance(found, Variable) and found.along is not None else ""


__all__ = ["members_of"]
