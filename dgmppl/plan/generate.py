"""The sampling program: the model's variables in the order in which their parents are known."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.turns import turns
from dgmppl.plan.nodes import Reason, Step
from dgmppl.plan.rules.compose import GoBack
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.compute import reads_of as reads_of_definition
from dgmppl.plan.rules.draw import Draw, reads_of
from dgmppl.plan.rules.energy import RunChain
from dgmppl.plan.rules.in_turn import draw_in_turn
from dgmppl.plan.rules.observe import Given
from dgmppl.source import Span


def choose_generation(
    scope: Scope,
    graph: Graph,
    wanted: set[str] | None = None,
    composed: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> tuple[Step, ...]:
    """Ancestral sampling through p; variables of an energy come from its Markov chain together. What rows have in
    common comes from its q, which has learned from all of them: the rows of a sample are drawn given one such draw.

    Args:
        wanted: what is to be sampled through p alone, with all that it depends on; None: what the data holds.
        composed: chains that q composes and that samples may go back along in other ways, each with the key of that and
            its family.
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
    prior = wanted is not None
    needed = graph.sources(wanted if wanted is not None else {v.name for v in graph.data}, prior)
    laws = ((name, graph.factor("p", name) if prior else graph.law(name)) for name in needed)
    chosen = {f.key for _, f in laws if f is not None}
    factors = [f for f in graph.factors if f.key in chosen]
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
            reads = reads_of(graph, graph[factor.head], factor)
            if factor.head not in known and {*factor.parents, *reads} <= known:
                text = f"its parents are known: {factor.key}"
                if factor.side == "q":
                    text = f"{factor.head} is what rows have in common: {factor.key} has learned it"
                because = why(text, factor.span)
                if factor.side == "p" and factor.head in composed:
                    q, family = composed[factor.head]
                    back = GoBack(factor.head, because, factor=factor.key, reads=reads, chain=q, family=family)
                    steps.append(back)
                else:
                    steps.append(Draw(factor.head, because, factor=factor.key, reads=reads))
                known.add(factor.head)
                progress = True
        for d in graph.definitions:
            reads = reads_of_definition(graph, d)
            if d.variable in needed and d.variable not in known and set(reads) <= known:
                steps.append(Compute(d.variable, why(f"{d.variable} is defined", d.span), reads=reads))
                known.add(d.variable)
                progress = True
    return tuple(steps)
