"""No variable depends on itself."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.turns import turns
from dgmppl.graph.values import (
    Quoted,
    Residual,
    variables,
    walk,
)
from dgmppl.source import Span


def verify_cycles(scope: Scope, graph: Graph) -> None:
    """No variable may depend on itself through p, through q, or through definitions (E205).

    A variable that is defined is so by the model: to q it is given, as in BiGAN's x = g(z), q(z | x).
    """
    defined = [(x, d.variable, d.span) for d in graph.definitions for x in variables(d.value)]
    features = [e for e in defined if graph[e[1]].role == "let"]
    of_data = frozenset(v.name for v in graph.partial if v.elementwise)
    for side, shared in (("p", defined), ("q", features)):
        in_turn = [frozenset(t.variables) for t in turns(graph, side)]
        # What q reads of a variable in part is data.
        data = of_data if side == "q" else frozenset()
        edges = [e for e in shared if e[0] not in data] + [
            (x, f.head, f.head_span)
            for f in graph.factors
            if f.side == side and (side == "p" or graph[f.head].role in ("latent", "partial"))
            for x in f.parents
            if x != f.head and x not in data and not any({x, f.head} <= group for group in in_turn)
        ]
        _report_cycle(scope, edges)
    quotes = [
        (t.factor if isinstance(t, Quoted) else t.prior, f.key, f.span)
        for f in graph.factors
        for t in walk(f.density)
        if isinstance(t, (Quoted, Residual))
    ]
    _report_cycle(scope, quotes)


def _report_cycle(scope: Scope, edges: list[tuple[str, str, Span]]) -> None:
    """Reports one cycle, if there is any, at the last statement in the text that takes part in it."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for start, end, _ in edges:
        sorter.add(end, start)
    try:
        sorter.prepare()
    except CycleError as error:
        loop: list[str] = error.args[1]
        closing = {(a, b) for a, b in pairwise(loop)}
        span, start, end = max(((span, a, b) for a, b, span in edges if (a, b) in closing), key=lambda e: e[0].start)
        first = loop.index(end)  # the cycle as it runs up to that statement
        around = [*loop[first:-1], *loop[: first + 1]]
        if not any(d.code == "E205" and d.span == span for d in scope.diagnostics):
            scope.report(
                "E205",
                f"these depend on each other: {' -> '.join(around)}",
                span,
                "closes the cycle",
                help="remove one of these dependences",
            )
