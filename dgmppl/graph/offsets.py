"""Arithmetic of indices: an index, and so many elements on, `i + 1`; and where they stand for a past, `<i`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dgmppl.graph.scope import Scope
from dgmppl.syntax import tree


def names_in(node: object) -> Iterator[str]:
    """The names that stand in an expression itself, not those inside of brackets and calls."""
    if isinstance(node, tree.Name):
        yield node.name
    elif isinstance(node, tree.Past):
        yield node.index
    elif isinstance(node, tuple):
        for part in node:
            yield from names_in(part)
    elif isinstance(node, tree.Node) and not isinstance(node, (tree.Bracket, tree.Call)):
        for part in vars(node).values():
            yield from names_in(part)


def offset_of(scope: Scope, item: tree.Expr, index: str, env: Mapping[str, int] | None = None) -> int | None:
    """k of `i + k`; None for what is no such thing. Reports a distance that is no whole number."""
    if isinstance(item, tree.Name):
        return 0 if item.name == index else None
    if not isinstance(item, tree.Binary) or item.op not in ("+", "-"):
        return None
    left, right = (_is(side, index) for side in (item.left, item.right))
    if left and not right and index not in names_in(item.right):
        by = scope.integer(item.right, env or {}, "a distance")
        return by if item.op == "+" else -by
    if right and item.op == "+" and index not in names_in(item.left):
        return scope.integer(item.left, env or {}, "a distance")
    return None


def _is(side: tree.Expr, index: str) -> bool:
    return isinstance(side, tree.Name) and side.name == index


def has_past(term: object) -> bool:
    """Whether `u[<d]` stands in an expression."""
    if isinstance(term, tuple):
        return any(map(has_past, term))
    return isinstance(term, tree.Past) or (isinstance(term, tree.Node) and any(map(has_past, vars(term).values())))
