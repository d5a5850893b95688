"""The sampling program: the model's variables in the order in which their parents are known."""

from __future__ import annotations

from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Compute, Draw, EnergyPlan, Given, Reason, RunChain, Step


def choose_generation(scope: Scope, graph: Graph, energy: EnergyPlan | None) -> tuple[Step, ...]:
    """Ancestral sampling through p; variables of an energy come from its Markov chain together."""

    def line(offset: int) -> int:
        return scope.source.position(offset)[0]

    steps: list[Step] = []
    known: set[str] = set()
    for name in graph.conditions:
        steps.append(Given(name, Reason(f"{name} is a condition", line(graph[name].span.start))))
        known.add(name)
    if energy is not None and graph.energy is not None:
        members = graph.energy.arguments
        why = Reason("samples of the energy come from its Markov chain", line(graph.energy.span.start))
        steps.append(RunChain(members[0], why, tuple(members)))
        known.update(members)
    wanted = _ancestors(graph)
    factors = [f for f in graph.factors if f.side == "p" and f.head in wanted]
    needed = {f.head: {*f.parents, *variables(f.density)} - {f.head} for f in factors}
    progress = True
    while progress:
        progress = False
        for factor in factors:
            if factor.head not in known and needed[factor.head] <= known:
                why = Reason(f"its parents are known: {factor.key}", line(factor.span.start))
                steps.append(Draw(factor.head, why, factor.key))
                known.add(factor.head)
                progress = True
        for d in graph.definitions:
            if d.variable in wanted and d.variable not in known and set(variables(d.value)) <= known:
                steps.append(Compute(d.variable, Reason(f"{d.variable} is defined", line(d.span.start))))
                known.add(d.variable)
                progress = True
    return tuple(steps)


def _ancestors(graph: Graph) -> set[str]:
    """Everything that the data depends on through p and definitions: features of q are left out."""
    found: set[str] = set()
    pending = [v.name for v in graph.data]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        factor, definition = graph.factor("p", name), graph.definition(name)
        pending.extend(factor.parents if factor else ())
        pending.extend(variables(definition.value) if definition else ())
        if factor:
            pending.extend(variables(factor.density))
    return found
