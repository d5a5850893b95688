"""Ends of ranges and sizes that nothing declares: the data say them, as T and D of
`observed x[t in 1..T] : real[D] from "walks.npz".xy`."""

from __future__ import annotations

from collections.abc import Iterator

from dgmppl.syntax import tree


def open_ends(spec: tree.Spec) -> dict[str, tree.Name]:
    """The names that no statement declares at the ends of ranges, and at the sizes and counts of classes of what
    is observed, with the first place of each."""
    declared = {getattr(s, "name", "") for s in spec.statements}
    found: dict[str, tree.Name] = {}
    for name in (*(end for _, end, _ in _ends(spec)), *(name for _, name in counts_of(spec))):
        if name.name not in declared:
            found.setdefault(name.name, name)
    return found


def counts_of(spec: tree.Spec) -> Iterator[tuple[tree.Variable, tree.Name]]:
    """What is observed of as many classes as a name says, `categorical(K)`."""
    for s in spec.statements:
        if isinstance(s, tree.Variable) and s.role != "latent" and len(s.type.arguments) == 1:
            count = s.type.arguments[0]
            yield from [(s, count)] if isinstance(count, tree.Name) else []


def rank_of(statement: tree.Variable) -> int:
    """How many axes a row of a variable has."""
    family = statement.family
    return len(statement.type.shape) + (1 + len(family.others) if isinstance(family, tree.Family) else 0)


def sources_of(spec: tree.Spec, name: str) -> Iterator[tuple[tree.Variable, tree.Field, int]]:
    """The variables of the data with this end or size, with the field that each is read from and the axis of a row;
    none of which a transform makes another shape."""
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
    """The first number of an index of a family, 1 of a size; None where it is more than a number or the name of one."""
    family = statement.family
    indices = (family, *family.others) if isinstance(family, tree.Family) else ()
    if family is None or axis >= len(indices) > 0:
        return 1
    low = indices[axis].range.low if indices else None
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
        if isinstance(s, tree.Variable) and s.role != "latent":
            first = rank_of(s) - len(s.type.shape)
            yield from ((s, size, first + k) for k, size in enumerate(s.type.shape) if isinstance(size, tree.Name))
