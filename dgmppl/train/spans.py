"""Where the terms of an objective stand in the spec, so that one that goes wrong is named with its line."""

from __future__ import annotations

from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan
from dgmppl.source import Source, Span


def term_spans(source: Source, graph: Graph, plan: Plan) -> dict[str, Span]:
    """Where the objective's terms come from: a factor's place, else the line that is the term's reason."""
    factors = {factor.key: factor.span for factor in graph.factors}
    spans: dict[str, Span] = {}
    for term in plan.terms:
        span = next((factors[key] for key in reversed(term.factors()) if key in factors), None)
        if span is None and term.because.line is not None:
            span = _line_span(source, term.because.line)
        if span is not None:
            spans[term.label] = span
    return spans


def _line_span(source: Source, number: int) -> Span:
    lines = source.text.split("\n")
    start = sum(len(line) + 1 for line in lines[: number - 1])
    text = source.line(number)
    return Span(start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
