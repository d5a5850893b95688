"""The posterior's structure: which variables a q should read, and which of them a given q leaves out.

The faithful inverse of Webb et al. (2018): eliminating latents from the moralised graph, each depends on its
neighbours at that moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dgmppl.graph.derived import NARROW, Posterior, as_classes, starts_narrow
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.smoothing import posterior_along
from dgmppl.graph.turns import WHOLE, distances, turns
from dgmppl.graph.values import Apply, Sequence, variables, walk
from dgmppl.syntax import tree

if TYPE_CHECKING:
    import networkx as nx

_DEFAULT_HIDDEN = (256, 256)

MAX_CASES = 256  # joint values of the variables that are summed out: so many times are rows repeated


def dependence(graph: Graph) -> nx.DiGraph:
    """Who depends on whom in p, features followed back to what they are computed from."""
    import networkx as nx

    found = nx.DiGraph()
    found.add_nodes_from(v.name for v in graph.variables if v.role != "let")
    for f in graph.factors:
        if f.side == "p":
            found.add_edges_from((parent, f.head) for parent in graph.roots(f.parents))
    for d in graph.definitions:
        if graph[d.variable].role != "let":
            found.add_edges_from((parent, d.variable) for parent in graph.roots(variables(d.value)))
    return found


def _moral(graph: Graph) -> nx.Graph:
    import networkx as nx

    moral = nx.Graph(nx.moral_graph(dependence(graph)))
    if graph.energy is not None:
        members = graph.energy.arguments
        moral.add_edges_from((a, b) for a in members for b in members if a != b)
    return moral


def can_derive(variable: Variable) -> bool:
    """Whether a q can be derived: the support has a reparameterised distribution, or few values."""
    support = variable.type.support
    few = joint_values(variable) <= MAX_CASES and not variable.length
    return bool(support.posterior) and (not support.discrete or few)


def some_posterior(variable: Variable, seen: str, network: str) -> str:
    """A q for a variable as a user may write it; for one of which `can_derive` holds."""
    given = f"{variable.name}, {seen}" if variable.elementwise and seen != variable.name else seen
    return f"q({variable.name} | {given}) = {variable.type.support.posterior}({network}({given}))"


def shared_posterior(graph: Graph, variable: Variable) -> Posterior:
    """A q for what rows have in common, whose elements are independent of each other and of all else, with numbers of
    its own for each group. That of what is positive starts narrow (`dgmppl.graph.starts`), and so does that of the
    weights of a network, near where learned weights start: from wide ones no gradient leads back."""
    if variable.name in _weights(graph):
        return Posterior(variable, (), inside="0.2 * param, 0.02 * exp(param)")
    if variable.group is None:
        return Posterior(variable, ())
    group = graph[variable.group]
    loc = f"linear({as_classes(group)})"
    return Posterior(variable, (group,), inside=f"{loc}, {NARROW} * exp({loc})" if starts_narrow(variable) else loc)


def _weights(graph: Graph) -> set[str]:
    """The variables that are the weights of networks."""
    terms = (*(f.density for f in graph.factors), *(d.value for d in graph.definitions))
    applied = (t.weights for term in terms for t in walk(term) if isinstance(t, Apply))
    return {use.variable for use in applied if use is not None}


def joint_values(variable: Variable) -> float:
    """How many values a variable takes, all its elements together; infinity where it is not finite."""
    size, elements = variable.type.support.size, variable.type.elements
    if size is None or elements > 64:
        return math.inf
    return float(size) ** elements


def derive_posteriors(
    spec: tree.Spec, graph: Graph, missing: tuple[str, ...], through: tuple[str, ...] = (), factorised: bool = False
) -> tuple[tree.Spec, tuple[str, ...]]:
    """The spec with a q for each of these latents, and those factors as text that can be pasted into it.

    Latents are eliminated parents first, so a deeper one is inferred from those above the data: what q(z | .) reads
    are the neighbours of z in the moralised graph that is left. Partial variables go last: in the rows that have one,
    the latents are inferred from it. Networks are sized like the generative ones. `through` are latents that become
    known only through these, by inversion, computation or a sum: no q reads them. What rows have in common has a q that
    reads no row, and none of theirs reads it. `factorised`: each reads the data that its posterior depends on, alone.
    """
    moral = {name: set(near) for name, near in _moral(graph).adjacency()}
    for name in through:
        _eliminate(moral, name)
    # What rows have in common is known before any of them is looked at.
    for v in graph.shared:
        _remove(moral, v.name)
    # A partial variable that needs no value where it is missing is read by no q; of one whose elements are missing one
    # by one each q reads those that are seen.
    for v in graph.partial:
        if v.name not in missing and graph.factor("q", v.name) is None and not v.elementwise:
            _remove(moral, v.name)
    depth = _topological_order(graph)
    statements: list[tree.Statement] = []
    texts: list[str] = []
    for name in sorted(missing, key=lambda n: (_rank(graph[n]), depth.index(n))):
        variable, hidden = graph[name], _hidden(graph, graph[name])
        near = _data_of(graph, moral, name) if factorised else _neighbours(graph, moral, name)
        parents = [*([name] if variable.elementwise else []), *sorted(near, key=depth.index)]
        if variable.along is not None and not variable.elementwise:
            found, lines = posterior_along(graph, variable, variable.along, parents, hidden, factorised)
            statements += found
            texts += lines
            continue
        posterior = Posterior(variable, tuple(graph[n] for n in parents), hidden=hidden)
        if variable.shared:
            posterior = shared_posterior(graph, variable)
        texts.append(posterior.text())
        # Messages about it, and lines of emitted source, point at the latent's declaration.
        statements.append(posterior.statement(variable.span))
    return replace(spec, statements=(*spec.statements, *statements)), tuple(texts)


def _neighbours(graph: Graph, moral: dict[str, set[str]], name: str) -> set[str]:
    """What the posterior of a variable depends on given all that is left, and takes it out of the moralised graph."""
    if graph[name].elementwise:
        # What is missing is inferred last, from what is seen and all else. To the others what is seen is data.
        for other in moral[name]:
            moral[other] |= moral[name] - {other}
        return moral[name]
    for other in _inferred_from(graph, name):
        _eliminate(moral, other)
    return _eliminate(moral, name)


def _data_of(graph: Graph, moral: dict[str, set[str]], name: str) -> set[str]:
    """The data that the posterior of a variable depends on, all else summed or integrated out of it."""
    found: set[str] = set()
    seen, pending = {name}, [name]
    while pending:
        for other in moral.get(pending.pop(), set()) - seen:
            seen.add(other)
            if graph[other].role == "observed" or graph[other].elementwise:
                found.add(other)
            else:
                pending.append(other)
    return found


def _rank(variable: Variable) -> int:
    """When a variable is eliminated: one of which elements are missing, which reads all else, comes first."""
    return 0 if variable.elementwise else 2 if variable.role == "partial" else 1


def _eliminate(moral: dict[str, set[str]], name: str) -> set[str]:
    """Removes a variable from a moralised graph, and returns the neighbours that this connects."""
    neighbours = _remove(moral, name)
    for neighbour in neighbours:
        moral[neighbour] |= neighbours - {neighbour}
    return neighbours


def _remove(moral: dict[str, set[str]], name: str) -> set[str]:
    """Removes a variable, and returns its neighbours."""
    neighbours = moral.pop(name, set())
    for neighbour in neighbours:
        moral[neighbour].discard(name)
    return neighbours


def _inferred_from(graph: Graph, name: str) -> list[str]:
    """The variables whose given q reads this one, or reads another of them: they are inferred after it."""
    found: list[str] = []
    pending = [name]
    while pending:
        read = pending.pop()
        after = [f.head for f in graph.factors if f.side == "q" and read in graph.roots(f.parents)]
        new = [head for head in after if head not in (*found, name)]
        found += new
        pending += new
    return found


def _topological_order(graph: Graph) -> list[str]:
    """Parents first; families that are drawn in turn stand together, in that order."""
    import networkx as nx

    found = dependence(graph)
    groups = {name: group.variables for group in turns(graph, "p") for name in group.variables}
    for name, (first, *_) in groups.items():
        if name != first:
            found = nx.contracted_nodes(found, first, name, self_loops=False)
    order = nx.lexicographical_topological_sort(found)
    return [name for first in order for name in groups.get(first, (first,))]


def _hidden(graph: Graph, variable: Variable) -> tuple[int, ...]:
    """The hidden sizes of the widest network that generates something from this latent."""
    terms: list[object] = [f.density for f in graph.factors if f.side == "p" and variable.name in f.parents]
    terms += [d.value for d in graph.definitions if variable.name in variables(d.value)]
    sizes = [t.module.hidden for term in terms for t in walk(term) if isinstance(t, Apply)]
    return max(sizes, key=lambda hidden: (sum(hidden), hidden), default=()) or _DEFAULT_HIDDEN


# --- what a given q leaves out -------------------------------------------------------------------


@dataclass(frozen=True)
class Omission:
    """The posterior of `factor.head` depends on `variable`, and the factor does not read it. `variable` is the head
    where the members of a family depend on each other; `group`: it says which of the heads a row has."""

    factor: Factor
    variable: str
    group: bool = False


def omissions(graph: Graph, drawn: tuple[Factor, ...], inverted: Iterable[str] = ()) -> tuple[Omission, ...]:
    """The dependences that given posteriors leave out, the first of each.

    Latents are drawn in this order; each one's posterior given what is known by then may depend on all of that, and
    q must read enough of it to separate the latent from the rest (d-separation, Pearl 1988). What a bijection of the
    data gives, `inverted`, stands for that data where a q reads it.
    """
    if graph.energy is not None:
        return ()
    depends = dependence(graph)
    known = [v.name for v in graph.data if v.role == "observed" or v.elementwise]
    seen_in_part = {v.name for v in graph.partial if v.elementwise}
    found: list[Omission] = []
    # A q of what rows have in common learns from all of them by its parameters, and other factors as well.
    shared = {v.name for v in graph.shared}
    for q in (q for q in drawn if q.head not in shared):
        reads = set(graph.roots(q.parents))
        given = shared | (reads & {*known, *inverted})
        connected = _connected(depends, q.head, given, seen_in_part - {q.head})
        for other in known:
            if other in reads or other == q.head or other not in connected:
                continue
            found.append(Omission(q, other))
            break
        else:
            other = _left_out_along(graph, q)
            found += [Omission(q, other)] if other else []
        known.append(q.head)
    return (*_groups_left_out(graph, drawn), *found)


def choices_left_out(graph: Graph, drawn: tuple[Factor, ...]) -> Iterator[tuple[Factor, str]]:
    """What posteriors leave out that is often left out on purpose, in a few words: how what rows have in common depends
    on each other, and the data that come after a member."""
    depends, known = dependence(graph), list[str]()
    for q in drawn:
        head, reads = graph[q.head], graph.roots(q.parents)
        if head.shared:
            connected = _connected(depends, q.head, {*reads, *(v.name for v in graph.data)}, set())
            others = [n for n in known if n in connected and n not in reads]
            if others:
                yield q, f"leaves out {', '.join(others)}, on which the posterior of {q.head} depends"
            known.append(q.head)
        elif later := _later_left_out(graph, q):
            yield q, f"reads nothing that comes later, and the posterior of {head.shown} depends on all of {later}"


def _later_left_out(graph: Graph, q: Factor) -> str:
    """The data along the index of a family of which its q reads no member after its own, although its members depend on
    each other; "" where there are none."""
    head, own = graph[q.head], graph.factor("p", q.head)
    if head.along is None or own is None or not isinstance(q.density, Sequence):
        return ""
    along = [(name, by) for name, by in distances(graph, q) if graph[name].along is not None]
    filters = all(by is None or (by != WHOLE and by <= 0) for _, by in along)
    coupled = any(name == q.head and by != 0 for name, by in distances(graph, own))
    data = [name for name, _ in along if graph[name].role != "latent"]
    return data[0] if filters and coupled and data else ""


def _groups_left_out(graph: Graph, drawn: tuple[Factor, ...]) -> list[Omission]:
    """The q of what is one a group that are the same in all groups, the first of each family."""
    found: dict[str, Omission] = {}
    for q in drawn:
        head = graph[q.head]
        if head.group and not any(head.group in (n, graph[n].group) for n in (*q.parents, *graph.roots(q.parents))):
            found.setdefault(head.family or head.name, Omission(q, head.group, group=True))
    return list(found.values())


def _left_out_along(graph: Graph, q: Factor) -> str:
    """What the q of a folded family leaves out from member to member: data that some of them do not read although those
    at each position are generated from them, or, as the head itself, the other members. "" for nothing: independent
    members of which each is inferred from all data along the index are a choice that is often made."""
    head, density = graph[q.head], q.density
    if head.role != "latent" or not isinstance(density, Sequence):
        return ""
    around = {f.head: f for f in graph.factors if f.side == "p" and isinstance(f.density, Sequence)}
    for x in (v.name for v in graph.observed if v.name in around and (q.head, 0) in distances(graph, around[v.name])):
        if any(x not in graph.roots(variables(s.law)) for s in density.segments):
            return x
    alone = not any(by != 0 for name, by in distances(graph, q) if graph[name].along and _tells(graph[name], by))
    coupled = q.head in around and any(n == q.head and by != 0 for n, by in distances(graph, around[q.head]))
    return q.head if alone and coupled else ""


def _tells(read: Variable, by: int | None) -> bool:
    """Whether what is read `by` positions away says of other members: another latent's, or data read as a whole."""
    return read.role == "latent" or by == WHOLE


def _connected(depends: nx.DiGraph, start: str, given: set[str], in_part: set[str]) -> set[str]:
    """What `start` depends on once `given` is known (Koller and Friedman 2009, algorithm 3.1). What is known in part
    connects its parents, and separates nothing."""
    above: set[str] = set()
    climbing = [g for g in given if g in depends]
    while climbing:
        node = climbing.pop()
        if node not in above:
            above.add(node)
            climbing += depends.predecessors(node)
    given = given - in_part
    pending, seen, found = [(start, True)], set(), set()
    while pending:
        node, upward = pending.pop()  # upward: reached from a child
        if (node, upward) in seen:
            continue
        seen.add((node, upward))
        if node not in given:
            found.add(node)
        if upward and node not in given:
            pending += [(p, True) for p in depends.predecessors(node)]
            pending += [(c, False) for c in depends.successors(node)]
        if not upward:
            pending += [(c, False) for c in depends.successors(node)] if node not in given else []
            pending += [(p, True) for p in depends.predecessors(node)] if node in above else []
    return found - {start}


def path_of(graph: Graph, omission: Omission) -> tuple[str, ...]:
    """A path along which the two variables depend on each other."""
    import networkx as nx

    start, end = omission.factor.head, omission.variable
    undirected = _moral(graph)
    undirected.remove_nodes_from(set(graph.roots(omission.factor.parents)) - {start, end})
    try:
        return tuple(nx.shortest_path(undirected, start, end))
    except nx.NetworkXNoPath:
        return (start, end)
