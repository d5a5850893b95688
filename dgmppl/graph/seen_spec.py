"""The model of what is seen: the same statements, of which elements of the data may be missing, and latents are known.

What is missing has its law given what is seen and the latents by p alone, so that no q is needed for either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace

from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Definition, Graph, Variable
from dgmppl.graph.past import rows_given
from dgmppl.graph.values import Operation, Use, Value, variables
from dgmppl.supports import SUPPORTS, Interval, Real
from dgmppl.syntax import tree


def spec_of_the_seen(spec: tree.Spec, missing: Collection[str], inferred: Collection[str] = ()) -> tree.Spec:
    """A spec whose variables `missing` may be missing, element by element.

    Neither they nor `inferred` have a q, but for one that p quotes, as ``p(z) = mixture[8](q(z | param))``; features
    that q alone reads, adversaries and how to fit are left out.
    """
    missing, inferred = ({declared_name(name) for name in names} for names in (missing, inferred))
    left_out = (missing | inferred) - _quoted(spec)
    kept = [_in_part(s, missing) for s in spec.statements if not _is_left_out(s, left_out)]
    return replace(spec, statements=tuple(_without_unread(kept)))


def with_known(graph: Graph, names: Collection[str]) -> Graph:
    """A graph whose latents of these names are data."""
    found = (replace(v, role="observed") if v.name in names else v for v in graph.variables)
    return replace(graph, variables=tuple(found))


def graph_of_whole_rows(graph: Graph, known: Collection[str]) -> Graph:
    """A graph whose latents of these names are data, and whose data are there in all rows; no variable has a q.

    It is that of a spec where one can be written, which has no data for members of a family but the first, z[0] = x.
    """
    factors = tuple(f for f in graph.factors if f.side == "p")
    read = {name for f in factors for name in (*graph.reads(f), *graph.roots(graph.reads(f)))}
    definitions: list[Definition] = []
    for d in reversed(graph.definitions):  # features that q alone reads are left out
        if graph[d.variable].role != "let" or d.variable in read:
            definitions.insert(0, d)
            read |= set(variables(d.value))
    unread = {d.variable for d in graph.definitions} - {d.variable for d in definitions}
    told = (
        replace(v, role="observed", elementwise=False) if v.name in known or v.role == "partial" else v
        for v in graph.variables
        if v.name not in unread
    )
    return replace(graph, variables=tuple(told), factors=factors, definitions=tuple(definitions))


def spec_of_whole_rows(spec: tree.Spec, whole: Collection[str], summed: Collection[str] = ()) -> tree.Spec:
    """A spec whose variables `whole`, which some rows miss, are in all rows; neither they nor the latents `summed` have
    a q."""
    whole, summed = ({declared_name(name) for name in names} for names in (whole, summed))
    kept = (s for s in spec.statements if not _is_of_q(s, (whole | summed) - _quoted(spec)))
    rows = rows_given(spec)
    told = (
        replace(s, role="observed", elementwise=None, data=rows)
        if isinstance(s, tree.Variable) and s.name in whole
        else s
        for s in kept
    )
    return replace(spec, statements=tuple(_without_unread([*told])))


def spec_given_common(spec: tree.Spec, common: Collection[str]) -> tree.Spec:
    """A spec in which latents that rows have in common are conditions of each row: nothing models them. Networks with
    random weights have no prior in it: their weights are those of a draw."""
    names = {declared_name(name) for name in common}
    networks = {s.name for s in spec.statements if isinstance(s, tree.Net) and s.name in names}
    rows = rows_given(spec)
    told = (
        replace(s, role="observed", per=None, data=rows)
        if isinstance(s, tree.Variable) and s.name in names
        else replace(s, parents=tuple(p for p in s.parents if p.name not in networks))
        if isinstance(s, tree.Factor)
        else s
        for s in spec.statements
        if not (isinstance(s, tree.Factor) and any(h.name in names for h in s.heads)) and not isinstance(s, tree.Train)
    )
    return replace(spec, statements=tuple(_without_unread([*told])))


def without_rounding(graph: Graph) -> tuple[Graph, dict[str, str]] | None:
    """A graph of which variables that are rounded, ``x = floor(f(u))``, have the values before: in the bins from each
    whole number to the next. Of each that is rounded, which variable has them: itself, or v of ``x = floor(v)``.

    No variable has a q. None where nothing is rounded, or where something else depends on what is.
    """
    rounded = {d.variable: v for d in graph.definitions if (v := _rounded(graph, d)) is not None}
    if not rounded:
        return None
    before = {name: v.variable if isinstance(v, Use) else name for name, v in rounded.items()}
    bare = {name for name, other in before.items() if name != other}
    factors = tuple(f for f in graph.factors if f.side == "p")
    others = (d for d in graph.definitions if d.variable not in rounded)
    read = {name for f in factors for name in graph.reads(f)} | {name for d in others for name in variables(d.value)}
    if read & set(rounded) or len(set(before.values())) < len(before):
        return None
    kept = tuple(_before_rounding(v, before) for v in graph.variables if v.name not in bare)
    definitions = tuple(
        replace(d, value=rounded[d.variable]) if d.variable in rounded else d
        for d in graph.definitions
        if d.variable not in bare
    )
    return replace(graph, variables=kept, factors=factors, definitions=definitions), before


def _rounded(graph: Graph, d: Definition) -> Value | None:
    """What a variable of the data is before it is rounded; None for one that is not."""
    if graph[d.variable].role not in ("observed", "partial"):
        return None
    return d.value.operands[0] if isinstance(d.value, Operation) and d.value.op == "floor" else None


def _before_rounding(v: Variable, before: Mapping[str, str]) -> Variable:
    if v.name not in before.values():
        return v
    support = v.type.support
    if v.name in before and support.discrete:
        low, high = support.low, support.high
        support = Real() if low is None or high is None else Interval(low, high + 1)
    return replace(v, role="observed", elementwise=False, type=replace(v.type, support=support))


def _is_left_out(s: tree.Statement, names: set[str]) -> bool:
    return _is_of_q(s, names) or isinstance(s, (tree.Adversary, tree.Train))


def _is_of_q(s: tree.Statement, names: set[str]) -> bool:
    return isinstance(s, tree.Factor) and s.side == "q" and any(h.name in names for h in s.heads)


def _quoted(spec: tree.Spec) -> set[str]:
    """The variables whose q a factor of p quotes."""
    return {name for s in spec.statements if isinstance(s, tree.Factor) and s.side == "p" for name in _quotes(s)}


def _quotes(term: object) -> set[str]:
    if isinstance(term, tree.Quotation) and term.side == "q":
        return {head.name for head in term.heads}
    if isinstance(term, tree.Node):
        term = tuple(getattr(term, f.name) for f in fields(term))
    return {name for part in term for name in _quotes(part)} if isinstance(term, tuple) else set()


def _in_part(s: tree.Statement, missing: set[str]) -> tree.Statement:
    """A declaration by which elements of a variable may be missing."""
    if not isinstance(s, tree.Variable) or not (s.role == "partial" or (s.role == "observed" and s.name in missing)):
        return s
    return replace(s, role="partial", elementwise=None if _is_one(s) else "elementwise")


def _is_one(s: tree.Variable) -> bool:
    """Whether a variable is one vector, which a row has or misses as a whole."""
    kind = SUPPORTS.get(s.type.support)
    return kind is not None and kind.event_rank > 0


def _without_unread(statements: list[tree.Statement]) -> list[tree.Statement]:
    """The statements without the features that no other one reads, and without what is said of these."""
    features = {s.name for s in statements if isinstance(s, tree.Let)}
    while True:
        read: set[str] = set()
        for s in statements:
            found = _names(s)
            read |= found - {_target(s)} if _is_first(s, features) else found
        kept = [
            s
            for s in statements
            if not (isinstance(s, tree.Let) and s.name not in read) and not _is_first(s, features - read)
        ]
        if len(kept) == len(statements):
            return kept
        statements = kept


def _is_first(s: tree.Statement, features: set[str]) -> bool:
    """Whether a statement says what a member of such a feature is."""
    return _target(s) in features


def _target(s: tree.Statement) -> str:
    return s.target.name if isinstance(s, tree.Definition) else ""


def _names(term: object) -> set[str]:
    """The names that a part of a spec refers to."""
    if isinstance(term, tuple):
        return {name for part in term for name in _names(part)}
    if not isinstance(term, tree.Node):
        return set()
    found = {term.name} if isinstance(term, (tree.Name, tree.Reference)) else set()
    return found.union(*(_names(getattr(term, f.name)) for f in fields(term)))


__all__ = [
    "graph_of_whole_rows",
    "spec_given_common",
    "spec_of_the_seen",
    "spec_of_whole_rows",
    "with_known",
    "without_rounding",
]
