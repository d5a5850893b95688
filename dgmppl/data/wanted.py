"""What a checked spec wants of its data: which fields, of which types, in which split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.data.factor_support import impossible_values
from dgmppl.data.fields import Field
from dgmppl.data.load import Wanted, load
from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.units import without_units

if TYPE_CHECKING:
    from dgmppl.pipeline import Checked


def load_data(checked: Checked, base: Path, known: Mapping[str, Field] | None = None) -> Splits:
    """The data of a spec's observed variables; relative file paths start from `base`.

    Args:
        known: what a run keeps of it, whose transforms are applied; None: they are fitted.
    """
    if checked.plan is None:
        raise SpecError(checked.diagnostics, checked.source)
    settings = checked.plan.settings
    try:
        return load(wanted_of(checked, known), base, split=settings.split, stream=settings.stream)
    except SpecError as error:
        raise SpecError(error.diagnostics, checked.source) from None


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
    unscaled = without_units(graph) if known is None else frozenset()
    return {
        v.name: Wanted(
            v.data,
            v.type,
            partial.get(v.name, ""),  # type: ignore[arg-type]
            impossible_values(graph, v.name),
            (v.length, v.members.start) if v.length else None,
            known[v.name] if known else None,
            unscaled=v.name in unscaled,
        )
        for v in graph.data
        if v.data
    }
