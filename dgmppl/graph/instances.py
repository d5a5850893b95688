"""Factor statements at every index of their families, with their variables resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Variable, factor_key
from dgmppl.graph.scope import Scope, VariableFamily, describe_binding
from dgmppl.graph.shapes import resolve_member
from dgmppl.source import Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Instance:
    """A factor statement at one index of its family, with its variables resolved."""

    statement: tree.Factor
    head: Variable
    parents: tuple[Variable, ...]
    past: tuple[str, tuple[str, ...]] | None
    env: Mapping[str, int]
    ranges: Mapping[str, tuple[int, int]]

    @property
    def key(self) -> str:
        return factor_key(self.statement.side, self.head.name, (p.name for p in self.parents))


def _free_indices(scope: Scope, references: tuple[tree.Reference, ...]) -> list[tuple[str, VariableFamily]]:
    """The indices that a statement ranges over, with the family that gives each its range."""
    found: dict[str, VariableFamily] = {}
    for reference in references:
        family = scope.names.get(reference.name)
        if isinstance(family, VariableFamily):
            for name in _names(reference.subscripts):
                if name not in scope.names:
                    found.setdefault(name, family)
    return list(found.items())


def _names(node: object) -> Iterator[str]:
    if isinstance(node, tree.Name):
        yield node.name
    elif isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif isinstance(node, tree.Node):
        for part in vars(node).values():
            yield from _names(part)


def resolve(scope: Scope, reference: tree.Reference, env: Mapping[str, int]) -> Variable:
    binding = scope.lookup(reference.name, reference.span, "variable")
    if isinstance(binding, VariableFamily):
        if len(reference.subscripts) != 1:
            scope.fail(
                "E215",
                f"`{reference.name}` is a family of variables",
                reference.span,
                "needs one index",
                help=f"{reference.name}[{next(iter(binding.members))}]",
            )
        index = scope.integer(reference.subscripts[0], env, "an index")
        return resolve_member(scope, binding, index, reference.span)
    if not isinstance(binding, Variable):
        scope.fail(
            "E217",
            f"`{reference.name}` is {describe_binding(binding)}, not a variable",
            reference.span,
            notes=(Note(scope.places[reference.name], "declared here"),),
        )
    if reference.subscripts:
        name = reference.name
        scope.fail(
            "E223",
            f"`{name}` is one variable, and this names an element of it",
            reference.span,
            "its elements are modelled together, or each given those before it",
            notes=(Note(scope.places[name], "declared here"),),
            help=f"write {name}, or p({name}[d] | {name}[<d]) = ...",
        )
    return binding


def _exists(scope: Scope, reference: tree.Reference, env: Mapping[str, int]) -> bool:
    family = scope.names.get(reference.name)
    if not isinstance(family, VariableFamily) or len(reference.subscripts) != 1:
        return True
    return scope.integer(reference.subscripts[0], env, "an index") in family.members


def _environments(
    scope: Scope, references: tuple[tree.Reference, ...], span: Span
) -> tuple[list[dict[str, int]], dict[str, tuple[int, int]]]:
    """The index values at which every variable of a statement exists; one empty environment without indices."""
    indices = _free_indices(scope, references)
    if not indices:
        return [{}], {}
    if len(indices) > 1:
        scope.fail("E215", "a statement ranges over one index", span, f"this has {len(indices)}")
    name, family = indices[0]
    low, high = min(family.members), max(family.members)
    ranges = {name: (low, high)}
    reach = range(low - len(family.members), high + len(family.members) + 1)
    found = [{name: k} for k in reach if all(_exists(scope, r, {name: k}) for r in references)]
    if not found and low == high:
        # A chain of one link: the depth was turned down, and nothing is left for this statement to say.
        scope.report(
            "W402",
            f"`{family.name}` has one member, so no `{name}` is left for this statement",
            span,
            "stands for nothing",
            severity="warning",
            help="fine at this depth",
        )
    elif not found:
        scope.fail(
            "E215",
            f"no `{name}` for which all of these exist",
            span,
            f"{family.name} goes from {low} to {high}",
        )
    return found, ranges


def instances_of(scope: Scope, statement: tree.Factor) -> list[Instance]:
    with scope.statement():
        if len(statement.heads) > 1:
            scope.fail(
                "E221",
                "a factor models one variable",
                statement.heads[1].span,
                "a second one",
                help="write a factor for each: p(x, y | z) = p(x | z) p(y | z, x)",
            )
        head = statement.heads[0]
        past = next((p for p in statement.parents if p.past), None)
        parents = tuple(p for p in statement.parents if not p.past)
        element: tuple[str, tuple[str, ...]] | None = None
        if past is not None:
            element = _element_index(scope, head, past)
            head = tree.Reference(head.span, head.name)
        environments, ranges = _environments(scope, (head, *parents), statement.head_span)
        return [
            Instance(
                statement,
                resolve(scope, head, env),
                tuple(resolve(scope, p, env) for p in parents),
                element,
                env,
                ranges,
            )
            for env in environments
        ]
    return []  # type: ignore[unreachable]  # a failed statement ends here


def _element_index(scope: Scope, head: tree.Reference, past: tree.Reference) -> tuple[str, tuple[str, ...]]:
    """The variable and indices of `x[d] | x[<d]`, or `x[i, j] | x[<i, <j]`."""
    binding = scope.lookup(head.name, head.span, "variable")
    names = tuple(s.name if isinstance(s, tree.Name) else "" for s in head.subscripts)
    distinct = len(set(names)) == len(names)
    if past.name != head.name or names != past.past or not distinct or isinstance(binding, VariableFamily):
        scope.fail(
            "E223",
            "the past is that of the variable that is modelled, at its index",
            past.span,
            help=f"p({head.name}[i, j] | {head.name}[<i, <j]) = ..."
            if max(len(names), len(past.past)) > 1
            else f"p({head.name}[d] | {head.name}[<d]) = ...",
        )
    if not isinstance(binding, Variable):
        scope.fail("E217", f"`{head.name}` is {describe_binding(binding)}, not a variable", head.span)
    if len(binding.type.shape) < len(names):
        what = "one index" if len(binding.type.shape) == 1 else "no index"
        scope.fail(
            "E223",
            f"`{head.name}` has {what} to go along",
            head.span,
            f"`{head.name}` is {binding.type.describe()}",
            help=f"p({head.name}[d] | {head.name}[<d]) = ..." if binding.type.shape else f"p({head.name}) = ...",
        )
    return head.name, names


def verify_heads(scope: Scope, instances: list[Instance]) -> None:
    seen: dict[tuple[str, str], Instance] = {}
    for instance in instances:
        key = (instance.statement.side, instance.head.name)
        first = seen.setdefault(key, instance)
        if first is not instance:
            scope.report(
                "E207",
                f"`{instance.head.name}` has two factors in {key[0]}",
                instance.statement.head_span,
                "the second one",
                notes=(Note(first.statement.head_span, "the first one"),),
                help="remove one of the two",
            )
