"""What the shape of an expression follows from, before it is elaborated."""

from __future__ import annotations

from collections.abc import Callable

from dgmppl.catalogue.functions import FUNCTIONS
from dgmppl.diagnostics import Note
from dgmppl.graph.configuration import is_network
from dgmppl.graph.context import Context
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Variable
from dgmppl.graph.scope import Scope, VariableFamily
from dgmppl.graph.values import Value
from dgmppl.source import Span
from dgmppl.supports import Type
from dgmppl.syntax import tree

# The typed value of an expression where a type is wanted, or None: what `dgmppl.graph.expressions` does.
Evaluate = Callable[[Scope, tree.Expr, "Type | None", Context], Value]


def resolve_member(scope: Scope, family: VariableFamily, index: int, span: Span) -> Variable:
    """A family's member. Reports an index outside the family (E215)."""
    if index not in family.members:
        low, high = min(family.members), max(family.members)
        scope.fail(
            "E215",
            f"`{member_name(family.name, index)}` does not exist",
            span,
            f"{family.name} goes from {low} to {high}",
            notes=(Note(scope.places[family.name], "declared here"),),
            help=_reaching(family.name, family.index, (low, high), index, family.members[low].role),
        )
    return family.members[index]


def _reaching(name: str, letter: str, ends: tuple[int, int], number: int, role: str) -> str:
    """How a family is declared that has this member too; of data it is not for a spec to say."""
    low, high = min(number, *ends), max(number, *ends)
    declared = f"it exists where the family is declared {name}[{letter} in {low}..{high}]"
    return "" if role in ("observed", "partial") else declared


def member_position(scope: Scope, variable: Variable, number: int, span: Span) -> int:
    """The position of a member of a folded family by its number, from 0. Reports one that does not exist (E215)."""
    members = variable.members
    letter = variable.along.letter if variable.along is not None else "t"
    if number not in members:
        scope.fail(
            "E215",
            f"`{member_name(variable.name, number)}` does not exist",
            span,
            f"{variable.name} goes from {members.start} to {members.stop - 1}",
            help=_reaching(variable.name, letter, (members.start, members.stop - 1), number, variable.role)
            if not variable.length
            else "",
        )
    return number - members.start


def is_open(scope: Scope, expr: tree.Expr) -> bool:
    """Whether an expression has no shape of its own and takes the one that is expected."""
    if isinstance(expr, tree.Learned):
        return True
    if isinstance(expr, tree.Call):
        if is_network(scope, expr.target):
            return True
        return (
            isinstance(expr.target, tree.Name)
            and expr.target.name in (*FUNCTIONS, "softmax")
            and all(not isinstance(a, tree.Keyword) and is_open(scope, a) for a in expr.arguments)
        )
    if isinstance(expr, tree.Binary) and expr.op != "@":
        return is_open(scope, expr.left) and is_open(scope, expr.right)
    return isinstance(expr, tree.Negate) and is_open(scope, expr.operand)
