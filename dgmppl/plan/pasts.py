"""Pasts that are too short for a network: parts of it read nothing, whatever the data, and so nothing teaches them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Definition, Factor
from dgmppl.graph.values import Apply, Block, Module, Past, walk
from dgmppl.plan.state import Elimination
from dgmppl.source import Span


@dataclass(frozen=True)
class _Reading:
    """A causal network that stands at a `span`, and the extent of the past that it reads: of a `variable`, or of the
    argument of a flow by its name or, in brackets, without one."""

    module: Module
    span: Span
    extent: tuple[int, ...]
    variable: str = ""


def warn_short_pasts(state: Elimination, statements: Iterable[Factor | Definition]) -> None:
    """Says of each causal network that reads a past of no or too few elements what of it is not taught (W404)."""
    told: set[str] = set()
    for statement in statements:
        for reading in _readings(statement.density if isinstance(statement, Factor) else statement.value):
            found = _unread(reading)
            if found is None or reading.module.attribute in told:
                continue
            told.add(reading.module.attribute)
            head = statement.head_span if isinstance(statement, Factor) else statement.span
            inside = head.start <= reading.span.start <= statement.span.end
            what, why, help_ = found
            whose = f"`{reading.variable}`" if reading.variable else "what is mapped here"
            state.scope.report(
                "W404",
                f"nothing teaches {what}: {whose} {why}",
                reading.span,
                "these weights stay as they start",
                notes=() if inside else (Note(head, "read here"),),
                help=help_,
                severity="warning",
            )


def _readings(term: object) -> Iterator[_Reading]:
    """The causal networks of an expression, also those of its flows."""
    for part in walk(term):
        if isinstance(part, Apply):
            past = next((v for v in part.inputs if isinstance(v, Past)), None)
            if past is not None:
                yield _Reading(part.module, part.span, past.shape[: past.axes], past.variable)
        if isinstance(part, Block):
            for _, module in part.slots:
                if module.stages[0].form.causal:
                    yield _Reading(module, part.span, module.inputs.extent)
            for _, value in part.triangular.numbers if part.triangular is not None else ():
                yield from _readings(value)


def _unread(reading: _Reading) -> tuple[str, str, str] | None:
    """What of a network reads nothing, why, and what to do; None where all of it has something to read."""
    (stage,) = reading.module.stages
    kind, extent = stage.spec.kind, reading.extent
    if math.prod(extent) == 1:
        rest = "; what else it reads teaches the rest" if stage.context or stage.aligned else ""
        help_ = f"give it a distribution without a past: p({reading.variable})"
        return f"what {kind} reads of the past", f"has one element, and so no past{rest}", help_
    if stage.form.stacks and (extent[0] == 1 or math.prod(extent[1:]) == 1):
        rows = extent[0] == 1
        part, size = ("rows above", "row") if rows else ("elements to the left", "column")
        help_ = f"causal[64] and pixelcnn[64] read a {size} as well"
        return f"the part of {kind} that reads the {part}", f"is a grid of one {size}", help_
    return None


__all__ = ["warn_short_pasts"]
