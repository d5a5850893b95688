"""Pasts that are too short for a network: parts of it read nothing, whatever the data, and so nothing teaches them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Factor
from dgmppl.graph.values import Apply, Past, walk
from dgmppl.plan.state import Elimination


def warn_short_pasts(state: Elimination, factors: Iterable[Factor]) -> None:
    """Says of each causal network that reads a past of no or too few elements what of it is not taught (W404)."""
    told: set[str] = set()
    for factor in factors:
        for term in walk(factor.density):
            if not isinstance(term, Apply) or term.module.attribute in told:
                continue
            past = next((v for v in term.inputs if isinstance(v, Past)), None)
            found = None if past is None else _unread(term, past)
            if past is None or found is None:
                continue
            told.add(term.module.attribute)
            inside = factor.head_span.start <= term.span.start <= factor.span.end
            what, why, help_ = found
            state.scope.report(
                "W404",
                f"nothing teaches {what}: `{past.variable}` {why}",
                term.span,
                "these weights stay as they start",
                notes=() if inside else (Note(factor.head_span, "read here"),),
                help=help_,
                severity="warning",
            )


def _unread(term: Apply, past: Past) -> tuple[str, str, str] | None:
    """What of a network reads nothing, why, and what to do; None where all of it has something to read."""
    (stage,) = term.module.stages
    kind, extent = stage.spec.kind, past.shape[: past.axes]
    if math.prod(extent) == 1:
        rest = "; what else it reads teaches the rest" if stage.context or stage.aligned else ""
        help_ = f"give it a distribution without a past: p({past.variable})"
        return f"what {kind} reads of the past", f"has one element, and so no past{rest}", help_
    if stage.form.stacks and (extent[0] == 1 or math.prod(extent[1:]) == 1):
        rows = extent[0] == 1
        part, size = ("rows above", "row") if rows else ("elements to the left", "column")
        help_ = f"causal[64] and pixelcnn[64] read a {size} as well"
        return f"the part of {kind} that reads the {part}", f"is a grid of one {size}", help_
    return None


__all__ = ["warn_short_pasts"]
