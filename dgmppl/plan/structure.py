"""What a model consists of, as plain data: variables, factors, networks with their sizes, weights."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.catalogue.networks import NETWORKS
from dgmppl.graph import held
from dgmppl.graph.nodes import Definition, Energy, Factor, Graph, Parameter


@dataclass(frozen=True)
class VariableLine:
    name: str
    role: str
    type: str


@dataclass(frozen=True)
class NetworkLine:
    """`of` is the statement that the network belongs to."""

    of: str
    sizes: str


@dataclass(frozen=True)
class Structure:
    """`weights` counts what is learned, the adversaries' networks included."""

    variables: tuple[VariableLine, ...]
    p: tuple[str, ...]
    q: tuple[str, ...]
    networks: tuple[NetworkLine, ...]
    weights: int


def describe_structure(graph: Graph) -> Structure:
    conditions = set(graph.conditions)
    variables = tuple(
        VariableLine(v.name, "condition" if v.name in conditions else v.role, v.type.describe())
        for v in graph.variables
        if v.role != "let"
    )
    p = tuple(f.key for f in graph.factors if f.side == "p")
    p += tuple(f"{d.variable} = ..." for d in graph.definitions if graph[d.variable].role != "let")
    p += (f"exp(-E({', '.join(graph.energy.arguments)}))",) if graph.energy is not None else ()
    q = tuple(f.key for f in graph.factors if f.side == "q")
    networks: list[NetworkLine] = []
    everything = held.held(graph)
    for one in everything:
        for module, times in held.networks(one):
            sizes = " -> ".join(NETWORKS[module.spec.kind].widths(module.sizes))
            networks.append(NetworkLine(_label(one.statement), f"{times} x ({sizes})" if times > 1 else sizes))
    return Structure(variables, p, q, tuple(networks), sum(map(held.weights, everything)))


def _label(statement: held.Statement) -> str:
    """A statement by its left side."""
    if isinstance(statement, Definition):
        return statement.variable
    if isinstance(statement, Factor):
        return statement.key
    if isinstance(statement, Parameter):
        return statement.name
    name = "E" if isinstance(statement, Energy) else statement.name
    return f"{name}({', '.join(statement.arguments)})"
