"""The model of what is seen: the same statements, of which elements of the data may be missing, and latents are known.

What is missing has its law given what is seen and the latents by p alone, so that no q is needed for either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace

from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Graph
from dgmppl.supports import SUPPORTS
from dgmppl.syntax import tree


def spec_of_the_seen(spec: tree.Spec, missing: Collection[str], inferred: Collection[str] = ()) -> tree.Spec:
    """A spec whose variables `missing` may be missing, element by element.

    Neither they nor `inferred` have a q; features that q alone reads, adversaries and how to fit are left out.
    """
    missing, inferred = ({declared_name(name) for name in names} for names in (missing, inferred))
    kept = [_in_part(s, missing) for s in spec.statements if not _is_left_out(s, missing | inferred)]
    return replace(spec, statements=tuple(_without_unread(kept)))


def with_known(graph: Graph, names: Collection[str]) -> Graph:
    """A graph whose latents of these names are data."""
    found = (replace(v, role="observed") if v.name in names else v for v in graph.variables)
    return replace(graph, variables=tuple(found))


def spec_of_whole_rows(spec: tree.Spec, whole: Collection[str], summed: Collection[str] = ()) -> tree.Spec:
    """A spec whose variables `whole`, which some rows miss, are in all rows; neither they nor the latents `summed` have
    a q."""
    whole, summed = ({declared_name(name) for name in names} for names in (whole, summed))
    kept = (s for s in spec.statements if not _is_of_q(s, whole | summed))
    rows = tree.Field(spec.name_span, "rows.npy", None, True)  # nothing reads it: the values are given
    told = (
        replace(s, role="observed", elementwise=None, data=rows)
        if isinstance(s, tree.Variable) and s.name in whole
        else s
        for s in kept
    )
    return replace(spec, statements=tuple(told))


def spec_given_common(spec: tree.Spec, common: Collection[str]) -> tree.Spec:
    """A spec in which latents that rows have in common are conditions of each row: nothing models them."""
    names = {declared_name(name) for name in common}
    rows = tree.Field(spec.name_span, "rows.npy", None, True)  # nothing reads it: the values are given
    told = (
        replace(s, role="observed", per=None, data=rows) if isinstance(s, tree.Variable) and s.name in names else s
        for s in spec.statements
        if not (isinstance(s, tree.Factor) and any(h.name in names for h in s.heads)) and not isinstance(s, tree.Train)
    )
    return replace(spec, statements=tuple(_without_unread([*told])))


def _is_left_out(s: tree.Statement, names: set[str]) -> bool:
    return _is_of_q(s, names) or isinstance(s, (tree.Adversary, tree.Train))


def _is_of_q(s: tree.Statement, names: set[str]) -> bool:
    return isinstance(s, tree.Factor) and s.side == "q" and any(h.name in names for h in s.heads)


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


__all__ = ["spec_given_common", "spec_of_the_seen", "spec_of_whole_rows", "with_known"]
