"""Ends of ranges that nothing declares, as `T` of `observed x[t in 1..T] : real[2] from "walks.npz".xy`: the data say
them."""

from __future__ import annotations

from collections.abc import Iterator

from dgmppl.syntax import tree


def open_ends(spec: tree.Spec) -> dict[str, tree.Name]:
    """The names at the ends of ranges that no statement declares, with the first place of each."""
    declared = {getattr(s, "name", "") for s in spec.statements}
    found: dict[str, tree.Name] = {}
    for _, end, _ in _ends(spec):
        if end.name not in declared:
            found.setdefault(end.name, end)
    return found


def sources_of(spec: tree.Spec, name: str) -> Iterator[tuple[tree.Variable, tree.Field, int]]:
    """The variables of the data that lie along an index with this end, with the field that each is read from and the
    axis of a row; none of which a transform makes another shape."""
    for statement, end, axis in _ends(spec):
        if end.name == name and isinstance(statement, tree.Variable) and statement.data is not None:
            inner: tree.Field | tree.Transformed = statement.data
            flat = False
            while isinstance(inner, tree.Transformed):
                flat |= inner.name == "flatten"
                inner = inner.data
            if not flat:
                yield statement, inner, axis


def first_of(spec: tree.Spec, statement: tree.Variable, axis: int = 0) -> int | None:
    """The first number of an index of a family; None where it is more than a number, or the name of one."""
    family = statement.family
    low = (family, *family.others)[axis].range.low if isinstance(family, tree.Family) else None
    if isinstance(low, tree.Name):
        low = next((s.value for s in spec.statements if isinstance(s, tree.Const) and s.name == low.name), None)
    return int(low.value) if isinstance(low, tree.Number) and low.value.is_integer() else None


def _ends(spec: tree.Spec) -> Iterator[tuple[tree.Variable | tree.Let, tree.Name, int]]:
    for s in spec.statements:
        family = s.family if isinstance(s, (tree.Variable, tree.Let)) else None
        if isinstance(s, (tree.Variable, tree.Let)) and isinstance(family, tree.Family):
            for axis, one in enumerate((family, *family.others)):
                end = one.range.high
                yield from [(s, end, axis)] if isinstance(end, tree.Name) else []
