"""The posterior of a folded family that has none: member by member, from all that is known."""

from __future__ import annotations

from collections.abc import Sequence as Row

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.graph.derived import NARROW, as_classes, starts_narrow
from dgmppl.graph.names import identifier, member_name
from dgmppl.graph.nodes import Along, Graph, Variable
from dgmppl.graph.turns import distances
from dgmppl.graph.values import Sequence
from dgmppl.source import Source
from dgmppl.syntax import tree
from dgmppl.syntax.override import moved
from dgmppl.syntax.parse import parse_spec


def posterior_along(
    graph: Graph, variable: Variable, along: Along, parents: list[str], hidden: Row[int], factorised: bool = False
) -> tuple[list[tree.Statement], list[str]]:
    """The statements of a q for a folded family, and as text that can be pasted into the spec. `factorised`: no member
    reads another."""
    lines = _along_text(graph, variable, along, parents, hidden, factorised)
    parsed, _ = parse_spec(Source("derived", "\n".join(["model m", *lines])))
    assert parsed is not None
    return [moved(s, variable.span) for s in parsed.statements], lines


def _along_text(
    graph: Graph, variable: Variable, along: Along, parents: list[str], sizes: Row[int], factorised: bool
) -> list[str]:
    """The q of a folded family: members that do not depend on each other are read off at their positions; others are
    drawn one after another, each from the one before and from a recurrent network over all that is known, both ways
    (Krishnan et al., 2017)."""
    name, t, family = variable.name, along.letter, variable.type.support.posterior
    here, hidden = variable.shown, ", ".join(map(str, sizes))
    sequences = [p for p in parents if graph[p].along == along and graph[p].type.shape[0] == variable.type.shape[0]]
    rows = [_whole(graph[p]) for p in parents if p not in sequences]
    if variable.shared:
        return _shared(graph, variable, along, hidden)
    if not parents:
        return [f"q({here}) = {family}(mlp[{hidden}]({t}))"]
    if _apart(graph, variable):
        given = ", ".join([*(member_name(p, t) for p in sequences), *rows])
        return [f"q({here} | {given}) = {family}(mlp[{hidden}]({given}))"]
    first, given, found = variable.members[0], ", ".join(_whole(graph[p]) for p in parents), []
    read = rows
    if sequences:
        size, seen = sizes[-1], _new_name(graph, f"r_{identifier(name)}")
        last = along.length or variable.members[-1]
        inside = ", ".join([*(_whole(graph[p]) for p in sequences), *rows])
        found.append(f"let {seen}[{t} in {first}..{last}] : real[{size}] = gru[{size}]({inside})[{t}]")
        read = [f"{seen}[{t}]"]
    if factorised:
        inside = ", ".join(read if sequences else [*rows, t])
        return [*found, f"q({here} | {given}) = {family}(mlp[{hidden}]({inside}))"]
    start = ", ".join(read).replace(f"[{t}]", f"[{first}]")
    found.append(f"q({member_name(name, first)} | {given}) = {family}(mlp[{hidden}]({start}))")
    before = member_name(name, f"{t} - 1")
    found.append(f"q({here} | {before}, {given}) = {family}(mlp[{hidden}]({', '.join([before, *read])}))")
    return found


def _shared(graph: Graph, variable: Variable, along: Along, hidden: str) -> list[str]:
    """The q of what rows have in common: members that are independent of each other and of all else, a location and a
    deviation for each, in each group; by a network of the position and the group where the family has others."""
    t, family, group = along.letter, variable.type.support.posterior, variable.group
    read = f"{as_classes(graph[group])}, {t}" if group else t
    support = graph[group].type.support if group else None
    head = f"q({variable.shown} | {group})" if group else f"q({variable.shown})"
    counted = support is None or (support.size is not None and not support.low)
    narrow = f"{NARROW} * " if starts_narrow(variable) else ""
    if [p.name for p in DISTRIBUTIONS[family].parameters] != ["loc", "scale"] or not counted:
        inside = f"mlp[{hidden}]({read})"
        return [f"{head} = {family}({inside}{f', {narrow}exp({inside})' if narrow else ''})"]
    loc, deviation = (_new_name(graph, f"{identifier(variable.name)}_{end}") for end in ("loc", "dev"))
    members, *shape = variable.type.shape
    extent = ", ".join(str(n) for n in (members, *([support.size] if support else []), *shape))
    at = f"[{t}, {group}]" if group else f"[{t}]"
    return [
        f"param {loc} : real[{extent}]",
        f"param {deviation} : real[{extent}]",
        f"{head} = {family}({loc}{at}, {narrow}exp({deviation}{at}))",
    ]


def _apart(graph: Graph, variable: Variable) -> bool:
    """Whether the members of a family do not depend on each other, given what is read at their own positions."""
    about = (f for f in graph.factors if f.side == "p" and variable.name in (f.head, *graph.roots(f.parents)))
    return all(
        isinstance(f.density, Sequence) and not any(by != 0 for n, by in distances(graph, f) if graph[n].along)
        for f in about
    )


def _whole(variable: Variable) -> str:
    """All of a variable: `z`, and of `z[t, 1]` the members `z[1..20, 1]`; `z` would be those of other levels too."""
    if "[" not in variable.name or variable.along is None:
        return variable.name
    return member_name(variable.name, f"{variable.members[0]}..{variable.length or variable.members[-1]}")


def _new_name(graph: Graph, name: str) -> str:
    taken = {v.name for v in graph.variables} | {p.name for p in graph.parameters} | {f.name for f in graph.features}
    while name in taken:
        name += "_"
    return name
