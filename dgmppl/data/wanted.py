"""What a checked spec wants of its data: which fields, of which types, in which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgmppl.data.checks import Missing
from dgmppl.data.factor_support import Impossible, impossible_values
from dgmppl.data.fields import Field
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.picks import Picked, picked
from dgmppl.graph.unscaled import Unscaled, without_units

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.pipeline import Checked
    from dgmppl.supports import Type


@dataclass(frozen=True)
class Wanted:
    """What is read of one variable, and what its values have to be.

    Attributes:
        source: where its values come from; its names were checked with the spec.
        type: its support and shape.
        missing: what may be missing (NaN) of its values, as rows may of `labelled(...)`.
        impossible: what its factor leaves out of its type (`dgmppl.data.factor_support`).
        end: of a variable whose first axis goes as far as another says that other, and the number of its first
            position. What lies beyond is not looked at, and becomes a value of the type.
        known: the field that a run keeps, whose transforms and classes are used; None: they are fitted.
        others: whether the rows are none of those that the run was fitted to.
        unscaled: of what the model counts in no units of its data, what is learned about it.
        picks: what its classes pick elements of, each with the axis (`dgmppl.graph.picks`).
    """

    source: DataSource
    type: Type
    missing: Missing = ""
    impossible: Sequence[Impossible] = ()
    end: tuple[str, int] | None = None
    known: Field | None = None
    others: bool = False
    unscaled: Unscaled | None = None
    picks: frozenset[Picked] = frozenset()


def wanted_of(checked: Checked, known: Mapping[str, Field] | None = None) -> dict[str, Wanted]:
    """What is read of each observed variable, and what its values have to be.

    Raises:
        SpecError: (E509) where the spec does not say where one comes from.
    """
    graph = checked.graph
    if graph is None:
        raise SpecError(checked.diagnostics, checked.source)
    problems = [
        Diagnostic("E509", f"`{v.name}` is observed, but not said where from", v.span, help="add `from set.field`")
        for v in graph.data
        if v.data is None
    ]
    if problems:
        raise SpecError(problems, checked.source)
    partial = {v.name: "elements" if v.elementwise else "rows" for v in graph.partial}
    unscaled = without_units(graph) if known is None else {}
    picks = picked(graph) if known is None else {}
    return {
        v.name: Wanted(
            v.data,
            v.type,
            partial.get(v.name, ""),  # type: ignore[arg-type]
            impossible_values(graph, v.name),
            (v.length, v.members.start) if v.length else None,
            known[v.name] if known else None,
            unscaled=unscaled.get(v.name),
            picks=picks.get(v.name, frozenset()),
        )
        for v in graph.data
        if v.data
    }
