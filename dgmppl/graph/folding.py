"""Which families are folded: one variable whose members lie along an axis, instead of a variable for each."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.syntax import tree


def folded(spec: tree.Spec) -> tree.Spec:
    """The spec in which the families that are folded are declared along an `Axis`.

    An index that data have is an axis: all that has it lies along it, and its members share their weights.
    """
    families = [s for s in spec.statements if isinstance(s, tree.Variable) and s.family is not None]
    letters = {s.family.index for s in families if s.role != "latent" and s.family is not None}
    if not letters:
        return spec
    return replace(spec, statements=tuple(_along(s, letters) for s in spec.statements))


def _along(statement: tree.Statement, letters: set[str]) -> tree.Statement:
    if not isinstance(statement, (tree.Variable, tree.Let)) or not isinstance(statement.family, tree.Family):
        return statement
    family = statement.family
    if family.index not in letters:
        return statement
    return replace(statement, family=tree.Axis(family.span, family.index, family.range))
