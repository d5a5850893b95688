"""No variable depends on itself."""

from __future__ import annotations

from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
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
    for side, shared in (("p", defined), ("q", features)):
        edges = shared + [
            (x, f.head, f.head_span)
            for f in graph.factors
            if f.side == side and (side == "p" or graph[f.head].role in ("latent", "partial"))
            for x in f.parents
            if x != f.head
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
    successors: dict[str, list[tuple[str, Span]]] = {}
    for start, end, span in edges:
        successors.setdefault(start, []).append((end, span))
    done: set[str] = set()
    for root in successors:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            node, k = stack.pop()
            if k == 0:
                if node in done:
                    continue
                path.append(node)
            out = successors.get(node, [])
            if k < len(out):
                stack.append((node, k + 1))
                following, span = out[k]
                if following in path:
                    loop = [*path[path.index(following) :], following]
                    if not any(d.code == "E205" and d.span == span for d in scope.diagnostics):
                        scope.report(
                            "E205",
                            f"these depend on each other: {' -> '.join(loop)}",
                            span,
                            "closes the cycle",
                            help="remove one of these dependences",
                        )
                    return
                if following not in done:
                    stack.append((following, 0))
            else:
                done.add(node)
                path.pop()
