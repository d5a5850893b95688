"""Constants that cancel by nature: of an energy against its normaliser, of a Wasserstein critic between its two sides.

No loss depends on them, so a network whose output only adds to such a function has no bias in its last layer. Nor does
any depend on summands of an energy that share no variable with the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dgmppl.graph.nodes import Adversary, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Apply, Constant, Module, Operation, Value, rewritten, variables, walk
from dgmppl.plan.rules.game import game_of
from dgmppl.plan.settings import check_settings
from dgmppl.syntax import tree

# Games whose two sides differ by a constant of the adversary only in that it cancels.
DIFFERENCES = ("wasserstein",)


def cancel_constants(graph: Graph, spec: tree.Spec) -> Graph:
    """The graph without the biases that cancel. Networks that are used elsewhere too keep theirs."""
    uses: dict[str, int] = {}
    for term in _expressions(graph):
        for t in walk(term):
            if isinstance(t, Module):
                uses[t.attribute] = uses.get(t.attribute, 0) + 1
    if graph.energy is not None:
        value: Value = graph.energy.value
        for module in _added(value):
            if _ends_in_a_bias(module) and uses[module.attribute] == 1:
                value = rewritten(value, module, replace(module, bias=False))
        graph = replace(graph, energy=replace(graph.energy, value=value))
    if graph.adversaries:
        scope = Scope(graph.source)
        with scope.statement():
            scope.names.update(dict(graph.constants))
            _, asked = check_settings(scope, spec)
            if game_of(asked)[0] in DIFFERENCES:
                adversaries = tuple(_without(a, uses) for a in graph.adversaries)
                graph = replace(graph, adversaries=adversaries)
    return graph


def _without(adversary: Adversary, uses: dict[str, int]) -> Adversary:
    module = adversary.module
    if not _ends_in_a_bias(module) or uses[module.attribute] > 1:
        return adversary
    return replace(adversary, value=replace(adversary.value, module=replace(module, bias=False)))


def _expressions(graph: Graph) -> list[object]:
    found: list[object] = [d.value for d in graph.definitions] + [f.density for f in graph.factors]
    found += [graph.energy.value] if graph.energy is not None else []
    return found + [a.value for a in graph.adversaries]


def cancelling(graph: Graph, energy: Value, anchored: Iterable[str]) -> list[Value]:
    """The summands of an energy that share no variable with those `anchored` in the data, not by others either: they
    are distributed alike beside data and samples."""
    reads = {i: set(graph.roots(variables(t))) for i, t in enumerate(summands(energy))}
    linked = set(graph.roots(anchored))
    while found := [i for i, names in reads.items() if names & linked]:
        for i in found:
            linked |= reads.pop(i)
    return [t for i, t in enumerate(summands(energy)) if reads.get(i)]


def summands(value: Value) -> list[Value]:
    """What a value is the sum of, whatever the signs."""
    if isinstance(value, Operation) and value.op in ("+", "-", "negate"):
        return [t for o in value.operands for t in summands(o)]
    return [value]


def _added(value: Value) -> list[Module]:
    """The networks whose outputs a value adds up, each times a number at most."""
    if isinstance(value, Apply):
        return [value.module]
    if not isinstance(value, Operation):
        return []
    if value.op in ("+", "-", "negate", "sum"):
        return [m for o in value.operands for m in _added(o)]
    if value.op == "/" and isinstance(value.operands[1], Constant):
        return _added(value.operands[0])
    rest = [o for o in value.operands if not isinstance(o, Constant)]
    return _added(rest[0]) if value.op == "*" and len(rest) == 1 else []


def _ends_in_a_bias(module: Module) -> bool:
    return not module.out and not module.outputs.extent and module.bias and not module.specs[-1].is_own
