"""Compute: a feature, or a latent that is defined, has its value once what it is computed from has."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.graph.nodes import Definition, Graph
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.state import Elimination


@dataclass(frozen=True)
class Compute(Step):
    """By its definition."""

    def words(self) -> str:
        return f"compute {self.variable}"


def reads_of(graph: Graph, definition: Definition) -> tuple[str, ...]:
    """What a definition is computed from: of one for each group, which row is in which group as well."""
    reads, group = variables(definition.value), graph[definition.variable].group
    return (*reads, group) if group is not None and group not in reads else reads


class Computing(Rule):
    """Features and defined latents whose inputs are known."""

    def apply(self, state: Elimination) -> bool:
        for d in state.graph.definitions:
            role = state.graph[d.variable].role
            reads = reads_of(state.graph, d)
            known = state.readable if role == "let" else state.known
            if role == "observed" or d.variable in state.known or not set(reads) <= known:
                continue
            what = "a feature" if role == "let" else "defined by what is known"
            state.add(Compute(d.variable, state.reason(f"{d.variable} is {what}", d.span), reads=reads))
            return True
        return False
