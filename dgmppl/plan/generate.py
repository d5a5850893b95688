"""The sampling program: the model's variables in the order in which their parents are known."""

from __future__ import annotations

from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.turns import turns
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Reason, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.energy import RunChain
from dgmppl.plan.rules.in_turn import draw_in_turn
from dgmppl.plan.rules.observe import Given
from dgmppl.source import Span


def choose_generation(scope: Scope, graph: Graph, wanted: set[str] | None = None) -> tuple[Step, ...]:
    """Ancestral sampling through p; variables of an energy come from its Markov chain together.

    Args:
        wanted: what is to be sampled, with all that it depends on; what the data holds where nothing else is said.
    """

    def why(text: str, span: Span) -> Reason:
        return Reason(text, scope.source.position(span.start)[0])

    steps: list[Step] = []
    known: set[str] = set()
    for name in graph.asked if wanted is None else graph.conditions:
        steps.append(Given(name, why(f"{name} is a condition", graph[name].span)))
        known.add(name)
    if graph.energy is not None:
        members = graph.energy.arguments
        chained = why("samples of the energy come from its Markov chain", graph.energy.span)
        steps.append(RunChain(members[0], chained, tuple(members)))
        known.update(members)
    needed = graph.sources(wanted if wanted is not None else {v.name for v in graph.data})
    factors = [f for f in graph.factors if f.side == "p" and f.head in needed]
    groups = [t for t in turns(graph, "p") if set(t.variables) & needed]
    progress = True
    while progress:
        progress = False
        for group in groups:
            because = why("they depend on each other's earlier members", graph[group.variables[0]].span)
            step = draw_in_turn(graph, "p", group, because)
            if group.variables[0] not in known and {*step.reads} <= known:
                steps.append(step)
                known.update(step.gives)
                progress = True
        for factor in factors:
            reads = graph.reads(factor)
            if factor.head not in known and {*factor.parents, *reads} <= known:
                because = why(f"its parents are known: {factor.key}", factor.span)
                steps.append(Draw(factor.head, because, factor=factor.key, reads=reads))
                known.add(factor.head)
                progress = True
        for d in graph.definitions:
            reads = variables(d.value)
            if d.variable in needed and d.variable not in known and set(reads) <= known:
                steps.append(Compute(d.variable, why(f"{d.variable} is defined", d.span), reads=reads))
                known.add(d.variable)
                progress = True
    return tuple(steps)
