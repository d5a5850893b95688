"""What a model consists of, as plain data: variables, factors, networks with their sizes, weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dgmppl.catalogue.bijections import ENTRIES, TRANSFORMS
from dgmppl.graph import held
from dgmppl.graph.declare import ALL_ROWS
from dgmppl.graph.nodes import Definition, Energy, Factor, Graph, Parameter, Variable
from dgmppl.graph.values import Bijection, Block, Composition, Inverse, Levels, walk
from dgmppl.plan.families import FamilyLine, families_of


@dataclass(frozen=True)
class VariableLine:
    """`per`: of what rows have in common, "data" or the column of its groups."""

    name: str
    role: str
    type: str
    per: str = ""


@dataclass(frozen=True)
class NetworkLine:
    """`of` is the statement that the network belongs to."""

    of: str
    sizes: str


@dataclass(frozen=True)
class Structure:
    """`weights` counts what is learned, the adversaries' networks included, but for those of the networks `own` of a
    user, which are known once they are built. `costs` are of flows that take many passes
    of their networks in one direction, search for an inverse, or need a Jacobian. `families` are those whose members
    are variables of their own."""

    variables: tuple[VariableLine, ...]
    p: tuple[str, ...]
    q: tuple[str, ...]
    networks: tuple[NetworkLine, ...]
    weights: int
    costs: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    families: tuple[FamilyLine, ...] = ()


def describe_structure(graph: Graph) -> Structure:
    conditions = set(graph.conditions)
    variables = tuple(
        VariableLine(
            v.shown,
            "condition" if v.name in conditions else v.role,
            _type(v),
            (v.group or ALL_ROWS) if v.shared else "",
        )
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
            first, *rest = (stage.form.widths(stage.sizes) for stage in module.stages)
            sizes = " -> ".join([*first, *(size for widths in rest for size in widths[1:])])
            sizes += f" by {', '.join(module.own)}" if module.own else ""
            networks.append(NetworkLine(_label(one.statement), f"{times} x ({sizes})" if times > 1 else sizes))
    costs = []
    for one in everything:
        if isinstance(one.term, Composition) and one.term.attribute not in _inner(everything):
            there, back = _passes(one.term)
            if max(there, back) > sum(len(block.slots) * times for block, times in held.every_block(one.term)):
                label = _label(one.statement)
                costs.append(f"{label}   {there:,} passes of networks a draw, {back:,} a density of what is given")
            costs += [f"{_label(one.statement)}   {text}" for text in _searches(one.term)]
    own = tuple(dict.fromkeys(path for one in everything for path in held.own(one)))
    return Structure(
        variables, p, q, tuple(networks), sum(map(held.weights, everything)), tuple(costs), own, families_of(graph)
    )


def _type(variable: Variable) -> str:
    """A variable's type, of a folded family that of a member with the range of its index."""
    described = variable.element.describe() + (" elementwise" if variable.elementwise else "")
    return f"{described}, {variable.range}" if variable.range else described


def _inner(everything: tuple[held.Held, ...]) -> set[str]:
    """The flows that stand in others."""
    flows = [one.term for one in everything if isinstance(one.term, Composition)]
    return {t.attribute for f in flows for part in f.parts for t in walk(part) if isinstance(t, Composition)} - {""}


def _passes(bijection: Bijection) -> tuple[int, int]:
    """How often a flow passes its networks, from its base to what it gives and back."""
    if isinstance(bijection, Inverse):
        there, back = _passes(bijection.inner)
        return back, there
    if isinstance(bijection, (Composition, Levels)):
        parts = bijection.parts if isinstance(bijection, Composition) else bijection.levels
        each = [_passes(part) for part in parts]
        repeat = bijection.repeat if isinstance(bijection, Composition) else 1
        return repeat * sum(a for a, _ in each), repeat * sum(b for _, b in each)
    assert isinstance(bijection, Block)
    count = len(bijection.slots)
    count *= ENTRIES[bijection.kind].passes(dict(bijection.numbers))
    return count * (math.prod(bijection.shape) if ENTRIES[bijection.kind].conditioner == "past" else 1), count


def _searches(flow: Composition) -> list[str]:
    """Which inverses without a closed form a draw needs, and a density of what is given."""
    there, back = (", ".join(dict.fromkeys(names)) for names in _searched(flow))
    found = [f"a draw searches for the inverse of {there}"] if there else []
    found += [f"a density of what is given searches for the inverse of {back}"] if back else []
    free = [
        (b.kind, bool(dict(b.numbers).get("estimated"))) for b, _ in held.every_block(flow) if ENTRIES[b.kind].jacobian
    ]
    for kind, estimated in dict.fromkeys(free):
        how = "estimated without bias in training, exact in figures" if estimated else "exact"
        found.append(f"the log-determinant of {kind} is that of a whole Jacobian, {how}")
    return found


def _searched(bijection: Bijection) -> tuple[list[str], list[str]]:
    """The bijections and transforms of a flow whose inverses are searched for, from its base and back."""
    if isinstance(bijection, Inverse):
        there, back = _searched(bijection.inner)
        return back, there
    if isinstance(bijection, (Composition, Levels)):
        parts = bijection.parts if isinstance(bijection, Composition) else bijection.levels
        each = [_searched(part) for part in parts]
        return [n for a, _ in each for n in a], [n for _, b in each for n in b]
    assert isinstance(bijection, Block)
    transform = bijection.transform
    own = [bijection.kind] if ENTRIES[bijection.kind].searched else []
    if transform is None or not TRANSFORMS[transform.kind].searched:
        return [], own
    return ([transform.kind], own) if transform.inverted else ([], [*own, transform.kind])


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
