"""Which families are folded: one variable whose members lie along an axis, instead of a variable for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.graph.offsets import names_in
from dgmppl.graph.scope import Scope
from dgmppl.syntax import tree

UNROLLED = 8
"""So many latents of a family, and fewer, are variables of their own, whose names plans and sources have."""


def folded(scope: Scope, spec: tree.Spec) -> tree.Spec:
    """The spec in which the families that are folded are declared along an `Axis`.

    An index that data have is an axis: all that has it lies along it, and its members share their weights. So is one
    that goes as far as data say, and one of latents alone, if it is long, has a q along it, and if no member has
    weights of its own.
    """
    families = [s for s in spec.statements if isinstance(s, tree.Variable) and s.family is not None]
    names = {s.name for s in spec.statements if isinstance(s, tree.Variable)}
    letters = {s.family.index for s in families if s.family and (s.role != "latent" or length_of(s.family) in names)}
    alone = {s.family.index for s in families if s.family is not None} - letters
    letters |= {letter for letter in alone if _is_long(scope, families, letter) and _shares(spec, letter)}
    if not letters:
        return spec
    return replace(spec, statements=tuple(_along(s, letters) for s in spec.statements))


def length_of(family: tree.Family) -> str:
    """The name at the end of a range, as in `[t in 1..n]`, "" where there is none."""
    return family.range.high.name if isinstance(family.range.high, tree.Name) else ""


def _along(statement: tree.Statement, letters: set[str]) -> tree.Statement:
    if not isinstance(statement, (tree.Variable, tree.Let)) or not isinstance(statement.family, tree.Family):
        return statement
    family = statement.family
    if family.index not in letters:
        return statement
    return replace(statement, family=tree.Axis(family.span, family.index, family.range, (), family.places))


def _is_long(scope: Scope, families: list[tree.Variable], letter: str) -> bool:
    """Whether some family of an index has many members. What is wrong with its range is reported later."""
    for statement in families:
        family = statement.family
        if family is not None and family.index == letter:
            low, high = (scope.known_number(end) for end in (family.range.low, family.range.high))
            if low is not None and high is not None and high - low >= UNROLLED:
                return True
    return False


def _shares(spec: tree.Spec, letter: str) -> bool:
    """Whether all that is said of the families of an index can be said of a member at the index: by distributions of
    elements, without weights that each member has for itself."""
    families = {
        s.name for s in spec.statements if isinstance(s, (tree.Variable, tree.Let)) and _goes_along(s.family, letter)
    }
    nets = {s.name for s in spec.statements if isinstance(s, tree.Net)}
    constants = {s.name for s in spec.statements if isinstance(s, tree.Const)}
    factors = [s for s in spec.statements if isinstance(s, tree.Factor)]
    posteriors = {s.heads[0].name for s in factors if s.side == "q" and _letters(s, constants)}
    if any(isinstance(s, tree.Variable) and s.name in families - posteriors for s in spec.statements):
        return False
    for s in spec.statements:
        if isinstance(s, tree.Let) and s.name in families and not _is_shared(s.value, {letter}, nets):
            return False
        if isinstance(s, tree.Factor) and s.heads[0].name in families and not _can_fold(s, nets, constants):
            return False
        judged = s.arguments if isinstance(s, (tree.Energy, tree.Adversary)) else ()
        if any(a.name in families for a in judged):
            return False
        if isinstance(s, tree.Definition) and s.target.name in families:
            return False
        if any(q.heads[0].name in families for q in _parts(s) if isinstance(q, tree.Quotation)):
            return False
    return True


def _goes_along(family: object, letter: str) -> bool:
    return isinstance(family, tree.Family) and family.index == letter


def _letters(statement: tree.Factor, constants: set[str]) -> set[str]:
    """The indices of a factor's head."""
    return set(names_in(statement.heads[0].subscripts)) - constants


def _can_fold(statement: tree.Factor, nets: set[str], constants: set[str]) -> bool:
    value = statement.value
    if not (
        isinstance(value, tree.Call) and isinstance(value.target, tree.Name) and value.target.name in DISTRIBUTIONS
    ):
        return False
    letters = _letters(statement, constants)
    return not letters or _is_shared(value, letters, nets)


def _is_shared(expr: tree.Node, letters: set[str], nets: set[str]) -> bool:
    """Whether an expression has no weights but those of named networks, and of networks that read the index."""
    for part in _parts(expr):
        if isinstance(part, (tree.Learned, tree.Quotation)):
            return False
        if isinstance(part, tree.Call):
            target = part.target.target if isinstance(part.target, tree.Bracket) else part.target
            plain = isinstance(target, tree.Name) and target.name not in NETWORKS and part.target is target
            reads = any(isinstance(a, (tree.Name, tree.Binary)) and letters & set(names_in(a)) for a in part.arguments)
            if not plain and not reads and not (isinstance(target, tree.Name) and target.name in nets):
                return False
    return True


def _parts(term: object) -> Iterator[tree.Node]:
    """Every node of a statement."""
    if isinstance(term, tuple):
        for part in term:
            yield from _parts(part)
    elif isinstance(term, tree.Node):
        yield term
        for part in vars(term).values():
            yield from _parts(part)
