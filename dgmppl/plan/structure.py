"""What a model consists of, as plain data: variables, factors, networks with their sizes, weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dgmppl.catalogue.networks import NETWORKS
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import Block, Chain, Learned, Mixture, Module, children


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
    weights = sum(math.prod(parameter.type.shape) for parameter in graph.parameters)
    seen: set[str] = set()
    for of, term in _statements(graph):
        for found, times in _held(term, 1, seen):
            count, sizes = _count(found)
            weights += count * times
            if sizes:
                networks.append(NetworkLine(of, f"{times} x ({sizes})" if times > 1 else sizes))
    return Structure(variables, p, q, tuple(networks), weights)


def _statements(graph: Graph) -> Iterator[tuple[str, object]]:
    for d in graph.definitions:
        yield d.variable, d.value
    for f in graph.factors:
        yield f.key, f.density
    if graph.energy is not None:
        yield f"E({', '.join(graph.energy.arguments)})", graph.energy.value
    for a in graph.adversaries:
        yield f"{a.name}({', '.join(a.arguments)})", a.module


def _held(term: object, times: int, seen: set[str]) -> Iterator[tuple[object, int]]:
    """What a term holds, once each, and how many times it is repeated."""
    if isinstance(term, Chain):
        if term.attribute in seen:
            return
        seen.update([term.attribute] if term.attribute else [])
        times *= term.repeat
    if isinstance(term, (Module, Learned)):
        inside = times > 1 and not (isinstance(term, Module) and term.named)
        if term.attribute in seen and not inside:
            return
        seen.add(term.attribute)
        yield term, times if inside else 1
    if isinstance(term, Block) and term.kind in ("householder", "affine") and not term.slots and not term.identity:
        yield term, times
    if isinstance(term, Mixture):
        yield term.weights, 1
        seen.update([term.weights.attribute] if isinstance(term.weights, Learned) else [])
    for child in children(term):
        yield from _held(child, times, seen)


def _count(found: object) -> tuple[int, str]:
    """Weights of one, and its sizes as text."""
    if isinstance(found, Learned):
        copies = found.copies or 1
        return max(copies, 1) * math.prod(found.shape), ""
    if isinstance(found, Block):
        return found.features * (1 if found.kind == "householder" else 2), ""
    if not isinstance(found, Module):
        return 0, ""
    kernel = int(dict(found.spec.options).get("kernel", 7)) if found.spec.kind == "causal" else 1
    length = found.length if NETWORKS[found.spec.kind].needs_length else 1
    widths = [found.inputs * length, *found.spec.hidden, found.outputs * length]
    count = sum((a * kernel + 1) * b for a, b in zip(widths, widths[1:], strict=False))
    # A masked network reads its context in the first layer, a convolutional one in each hidden layer.
    receivers = widths[1:2] if NETWORKS[found.spec.kind].needs_length else found.spec.hidden or (found.outputs,)
    count += found.context * sum(receivers)
    return count, " -> ".join(map(str, widths))
