"""Factor statements at every index of their families, with their variables resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dgmppl.diagnostics import Note
from dgmppl.graph.context import Elements
from dgmppl.graph.elements import at_position, elements_of
from dgmppl.graph.lengths import is_last, lengths_of, verify_everywhere
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Variable, factor_key
from dgmppl.graph.positions import names_in
from dgmppl.graph.scope import NamedNet, Scope, VariableFamily, describe_binding
from dgmppl.graph.sequences import Members, is_along, members_of, tied_numbers, within
from dgmppl.graph.several import references, several, written_out
from dgmppl.graph.shapes import member_position, resolve_member
from dgmppl.graph.ties import at_number
from dgmppl.graph.values import Density, Element, Use, walk
from dgmppl.source import Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Instance:
    """A factor statement at one index of its family, with its variables resolved. `parents` are other variables, each
    once; `given` are the parents as they stand there, where it is of one of the `elements` of its head.
    `members`: those of a folded family that it is about."""

    statement: tree.Factor
    head: Variable
    parents: tuple[Variable, ...]
    elements: Elements | None
    given: tuple[tuple[tree.Reference, str], ...]
    env: Mapping[str, int]
    ranges: Mapping[str, tuple[int, int]]
    members: Members | None = None

    @property
    def key(self) -> str:
        return factor_key(self.statement.side, self.head.name, (p.name for p in self.parents))


def _free_indices(scope: Scope, references: tuple[tree.Reference, ...]) -> list[tuple[str, VariableFamily]]:
    """The indices that a statement ranges over, with the family that gives each its range."""
    found: dict[str, VariableFamily] = {}
    for reference in references:
        family = scope.names.get(reference.name)
        if isinstance(family, VariableFamily):
            for name in names_in(reference.subscripts):
                if name not in scope.names:
                    found.setdefault(name, family)
    return list(found.items())


def resolve(scope: Scope, reference: tree.Reference, env: Mapping[str, int]) -> Variable:
    binding = scope.lookup(reference.name, reference.span, "variable")
    if isinstance(binding, NamedNet) and binding.weights is not None:
        binding = binding.weights
    if isinstance(binding, VariableFamily):
        if len(reference.subscripts) != 1:
            scope.fail(
                "E215",
                f"`{reference.name}` is a family of variables",
                reference.span,
                "needs one index",
                help=member_name(reference.name, next(iter(binding.members))),
            )
        index = scope.integer(reference.subscripts[0], env, "an index")
        return resolve_member(scope, binding, index, reference.span)
    if not isinstance(binding, Variable):
        scope.fail(
            "E217",
            f"`{reference.name}` is {describe_binding(binding)}, not a variable",
            reference.span,
            notes=(Note(scope.places[reference.name], "declared here"),),
            help=f"its weights are random where they have a prior: p({reference.name}) = Normal(0, 1)"
            if isinstance(binding, NamedNet)
            else "",
        )
    if binding.along is not None and len(reference.subscripts) == 1:
        item = reference.subscripts[0]
        if isinstance(item, tree.Range):
            for end in (item.low, item.high):
                member_position(scope, binding, scope.integer(end, env, "an end of the range"), reference.span)
            return binding
        strange = next((n for n in names_in(item) if n not in scope.names and n not in env), None)
        if strange is not None and not is_last(binding, item):
            one = member_name(binding.name, binding.members.start)
            scope.fail(
                "E215",
                f"`{strange}` is no index of this statement",
                reference.span,
                "of which member?",
                help=f"a member by its number, {one}, or at the index that the head has: p(...[{strange}] | ...)",
            )
        if not is_last(binding, item):
            number = scope.integer(item, env, "an index")
            member_position(scope, binding, number, reference.span)
            verify_everywhere(scope, binding, number, reference.span)
        return binding
    if reference.subscripts:
        name = reference.name
        scope.fail(
            "E223",
            f"`{name}` is one variable, and this names an element of it",
            reference.span,
            "its elements are named where they are modelled one by one",
            notes=(Note(scope.places[name], "declared here"),),
            help=f"write {name}, or p({name}[d] | {name}[<d]) = ...",
        )
    return binding


def _exists(scope: Scope, reference: tree.Reference, env: Mapping[str, int]) -> bool:
    family = scope.names.get(reference.name)
    if several(scope, reference):  # at least one of them
        return bool(references(scope, reference, env))
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
        if is_along(scope, statement.heads[0]):
            return _along(scope, statement)
        head, elements = statement.heads[0], elements_of(scope, statement)
        if elements is not None:
            head = tree.Reference(head.span, head.name)
        environments, ranges = _environments(scope, (head, *statement.parents), statement.head_span)
        found: list[Instance] = []
        for env in environments:
            if not _is_said(scope, statement, env):
                written = written_out(scope, statement, env)
                whole = written.parents
                if elements is not None:
                    whole = tuple(_whole(scope, p, elements) for p in whole)
                found.append(_instance(scope, written, head, whole, elements, env, ranges))
        return found
    return []  # type: ignore[unreachable]  # a failed statement ends here


def _is_said(scope: Scope, statement: tree.Factor, env: Mapping[str, int]) -> bool:
    """Whether a statement about members comes to one that is another variable, which has a factor of its own, or which
    q says nothing of."""
    head = statement.heads[0]
    ties = scope.ties.get(head.name, {})
    if not ties or len(head.subscripts) != 1 or not any(name in env for name in names_in(head.subscripts[0])):
        return False
    tie = ties.get(scope.integer(head.subscripts[0], env, "an index"))
    return tie is not None and (tie.own or statement.side == "q")


def _along(scope: Scope, statement: tree.Factor) -> list[Instance]:
    """What a statement says of a folded family."""
    statement = written_out(scope, statement, {})
    members = members_of(scope, statement)
    return [*_tied(scope, statement), *([_of(scope, members)] if members is not None else [])]


def _tied(scope: Scope, statement: tree.Factor) -> list[Instance]:
    """What it says at the numbers of its index at which a member is another variable."""
    found: list[Instance] = []
    head = statement.heads[0]
    for letter, number in tied_numbers(scope, statement):
        env = {letter: number}
        if _is_said(scope, statement, env):
            continue
        there: tree.Factor = at_number(scope, statement, letter, number)
        if there.heads[0].subscripts:
            members = members_of(scope, there, number)
            found += [_of(scope, members)] if members is not None else []
            continue
        declared = scope.declared[head.name]
        ranges = {letter: (declared.start, declared.stop - 1)}
        found.append(_instance(scope, there, there.heads[0], there.parents, None, env, ranges))
    return found


def _of(scope: Scope, members: Members) -> Instance:
    """A statement about some members of a folded family."""
    written, elements = members.statement, members.elements
    head = tree.Reference(written.heads[0].span, written.heads[0].name)
    whole = tuple(_whole(scope, p, elements) for p in written.parents)
    return replace(_instance(scope, written, head, whole, elements, {}, {}), members=members)


def _whole(scope: Scope, reference: tree.Reference, elements: Elements) -> tree.Reference:
    """The variable of a parent that stands for elements of one. Reports a family of variables, which has no elements
    (E215)."""
    if not at_position(scope, reference, elements):
        return reference
    family = scope.names.get(reference.name)
    if isinstance(family, VariableFamily):
        low, high = min(family.members), max(family.members)
        (letter, *_), along = elements.indices, elements.variable or elements.feature
        other = scope.names.get(along)
        is_family = isinstance(other, Variable) and other.along is not None
        declare = f"declare it along that of `{along}`, {family.name}[{letter} in {low}..{high}]; or " * is_family
        scope.fail(
            "E215",
            f"`{family.name}` goes along `{family.index}`, and the elements of `{along}` along `{letter}`",
            reference.span,
            f"which `{family.name}`?",
            notes=(Note(scope.places[family.name], "declared here"),),
            help=f"{declare}read a member by its number, {member_name(family.name, low)}, "
            f"or all of them, {family.name}",
        )
    return tree.Reference(reference.span, reference.name)


def _instance(
    scope: Scope,
    statement: tree.Factor,
    head: tree.Reference,
    whole: tuple[tree.Reference, ...],
    elements: Elements | None,
    env: Mapping[str, int],
    ranges: Mapping[str, tuple[int, int]],
) -> Instance:
    variable, parents = resolve(scope, head, env), [resolve(scope, p, env) for p in whole]
    if elements is None:
        once = _members_once(whole, parents)
        return Instance(statement, variable, tuple(once), None, (), env, ranges)
    given = tuple((reference, p.name) for reference, p in zip(statement.parents, parents))
    for k, (reference, _) in enumerate(given):
        if reference in statement.parents[:k]:
            text = scope.source.text[reference.span.start : reference.span.end]
            scope.fail("E202", f"`{text}` stands twice among the parents", reference.span, "each parent once")
    itself = next((r for (r, name), w in zip(given, whole) if name == variable.name and r == w), None)
    if itself is not None:
        _of_itself(scope, itself, elements)
    others = {p.name: p for p in parents if p.name != variable.name}
    return Instance(statement, variable, tuple(others.values()), elements, given, env, ranges)


def _members_once(references: tuple[tree.Reference, ...], parents: list[Variable]) -> list[Variable]:
    """The parents, with a folded family once of which several members are."""
    found: list[Variable] = []
    for k, (reference, parent) in enumerate(zip(references, parents)):
        if parent.along is None or parent not in found or reference in references[:k]:
            found.append(parent)
    return found


def verify_member_reads(scope: Scope, instance: Instance, density: Density) -> None:
    """Of a folded family a factor of another variable reads the members that stand behind its bar (E224)."""
    statement = instance.statement
    for parent in instance.parents:
        named = [r for r in statement.parents if r.name == parent.name]
        numbers = all(n in instance.env or isinstance(scope.names.get(n), float) for r in named for n in _names(r))
        if parent.along is None or not numbers or any(not r.subscripts for r in named):
            continue  # all of it, or the one whose number each row has
        known = {k for r in named for k in _numbers(scope, r.subscripts[0], instance.env)}
        for term in walk(density):
            if isinstance(term, Element) and isinstance(term.value, Use) and term.value.variable == parent.name:
                position = term.index[0]
                number = parent.members[position] if isinstance(position, int) else None
                if number is not None and number not in known:
                    text = member_name(parent.name, number)
                    head = scope.source.text[statement.head_span.start : statement.head_span.end]
                    scope.fail(
                        "E224",
                        f"{head} reads `{text}`, which is not among its parents",
                        term.span,
                        f"reads `{text}`",
                        help=f"{head[:-1]}, {text}) = ...",
                    )


def _numbers(scope: Scope, item: tree.Expr | tree.Range, env: Mapping[str, int]) -> range:
    """The numbers of the members that stand in brackets: one, or those of a range."""
    ends = (item.low, item.high) if isinstance(item, tree.Range) else (item, item)
    low, high = (scope.integer(end, env, "an index") for end in ends)
    return range(low, high + 1)


def _names(reference: tree.Reference) -> tuple[str, ...]:
    return tuple(names_in(reference.subscripts))


def _of_itself(scope: Scope, reference: tree.Reference, elements: Elements) -> None:
    past = ", ".join(f"<{i}" for i in elements.indices)
    scope.fail(
        "E205",
        f"the elements of `{reference.name}` depend on all of it",
        reference.span,
        "both before and after the bar",
        help=f"what is before an element may stand there: {reference.name}[{past}]",
    )


def verify_heads(scope: Scope, instances: list[Instance]) -> None:
    seen: dict[tuple[str, str], list[Instance]] = {}
    for instance in instances:
        key = (instance.statement.side, instance.head.name)
        others = seen.setdefault(key, [])
        first = next((other for other in others if _overlap(scope, instance, other)), None)
        others.append(instance)
        if first is not None:
            scope.report(
                "E207",
                f"`{instance.head.name}` has two factors in {key[0]}",
                instance.statement.head_span,
                "the second one",
                notes=(Note(first.statement.head_span, "the first one"),),
                help="remove one of the two",
            )


def _overlap(scope: Scope, instance: Instance, other: Instance) -> bool:
    """Whether two statements model one variable, or one member of a folded family."""
    a, b = instance.members, other.members
    if a is None or b is None:
        return True
    found = ((within(a, n), within(b, n)) for n in lengths_of(scope, instance.head))
    return any(max(x.start, y.start) < min(x.stop, y.stop) for x, y in found)
