"""Syntax tree to typed graph: names resolved, families unrolled, sizes inferred.

Every statement is elaborated on its own, so that one mistake does not hide the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dgmppl.diagnostics import Diagnostic, Note
from dgmppl.graph.checks import verify_graph
from dgmppl.graph.context import Context
from dgmppl.graph.declare import declare
from dgmppl.graph.densities import Head, check_density
from dgmppl.graph.expressions import check_value, resolve_member
from dgmppl.graph.networks import check_slot
from dgmppl.graph.nodes import Adversary, Definition, Energy, Factor, Graph, Variable, factor_key
from dgmppl.graph.scope import Fail, Family, NamedFlow, Scope, describe_binding
from dgmppl.graph.supports import Type, real
from dgmppl.graph.values import Use, Value
from dgmppl.source import Source, Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Instance:
    """A factor statement at one index of its family, with its variables resolved."""

    statement: tree.Factor
    head: Variable
    parents: tuple[Variable, ...]
    past: tuple[str, str] | None
    env: Mapping[str, int]
    ranges: Mapping[str, tuple[int, int]]

    @property
    def key(self) -> str:
        return factor_key(self.statement.side, self.head.name, (p.name for p in self.parents))


def check_graph(spec: tree.Spec, source: Source) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
    """The typed graph of a spec, or None with what is wrong with it. Warnings come with a graph."""
    scope = Scope(source)
    variables = declare(scope, spec)
    features = _features(scope, spec)
    instances = [i for s in spec.statements if isinstance(s, tree.Factor) for i in _instances(scope, s)]
    _verify_heads(scope, instances)
    headers = {(i.statement.side, i.head.name): i for i in reversed(instances)}
    attempted = {(s.side, h.name) for s in spec.statements if isinstance(s, tree.Factor) for h in s.heads}
    factors = []
    failed: list[tree.Factor] = []
    for instance in instances:
        # What is wrong with one member of a family is most often wrong with all: said once.
        if not any(instance.statement is s for s in failed):
            failed.append(instance.statement)
            with scope.statement():
                factors.append(_factor(scope, instance, headers, attempted))
                failed.pop()
    definitions = list(features)
    energy: Energy | None = None
    adversaries: list[Adversary] = []
    for statement in spec.statements:
        with scope.statement():
            if isinstance(statement, tree.Definition) and not _is_feature(scope, statement):
                definitions.append(_definition(scope, statement))
            elif isinstance(statement, tree.Energy):
                if energy is not None:
                    scope.fail(
                        "E207",
                        "a second energy",
                        statement.head_span,
                        "energies add up: write one sum",
                        notes=(Note(energy.head_span, "the first one"),),
                    )
                energy = _energy(scope, statement)
            elif isinstance(statement, tree.Adversary):
                adversaries.append(_adversary(scope, statement))
    lets = _let_variables(scope)
    used = [b for b in scope.names.values() if isinstance(b, NamedFlow) and b.bijection is not None]
    graph = Graph(
        spec.name,
        source,
        (*variables, *lets),
        tuple(b for b in scope.names.values() if type(b).__name__ == "Parameter"),  # type: ignore[misc]
        tuple(factors),
        tuple(definitions),
        energy,
        tuple(adversaries),
        tuple((b.statement.name, b.bijection) for b in used if b.bijection is not None),
        tuple((name, b) for name, b in scope.names.items() if isinstance(b, float)),
    )
    complete = not any(d.severity == "error" for d in scope.diagnostics)
    verify_graph(scope, graph, spec, complete)
    wrong = any(d.severity == "error" for d in scope.diagnostics)
    ordered = sorted(scope.diagnostics, key=lambda d: d.span.start if d.span else 0)
    return (None if wrong else graph), tuple(ordered)


# --- references and families ---------------------------------------------------------------------


def _free_indices(scope: Scope, references: tuple[tree.Reference, ...]) -> list[tuple[str, Family]]:
    """The indices that a statement ranges over, with the family that gives each its range."""
    found: dict[str, Family] = {}
    for reference in references:
        family = scope.names.get(reference.name)
        if isinstance(family, Family):
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


def _resolve(scope: Scope, reference: tree.Reference, env: Mapping[str, int]) -> Variable:
    binding = scope.lookup(reference.name, reference.span, "variable")
    if isinstance(binding, Family):
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
    if not isinstance(family, Family) or len(reference.subscripts) != 1:
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
    if not found:
        scope.fail(
            "E215",
            f"no `{name}` for which all of these exist",
            span,
            f"{family.name} goes from {low} to {high}",
        )
    return found, ranges


def _instances(scope: Scope, statement: tree.Factor) -> list[Instance]:
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
        past = next((p for p in statement.parents if p.past is not None), None)
        parents = tuple(p for p in statement.parents if p.past is None)
        element: tuple[str, str] | None = None
        if past is not None:
            element = _element_index(scope, head, past)
            head = tree.Reference(head.span, head.name)
        environments, ranges = _environments(scope, (head, *parents), statement.head_span)
        return [
            Instance(
                statement,
                _resolve(scope, head, env),
                tuple(_resolve(scope, p, env) for p in parents),
                element,
                env,
                ranges,
            )
            for env in environments
        ]
    return []  # type: ignore[unreachable]  # a failed statement ends here


def _element_index(scope: Scope, head: tree.Reference, past: tree.Reference) -> tuple[str, str]:
    """The variable and index of `x[d] | x[<d]`."""
    binding = scope.lookup(head.name, head.span, "variable")
    subscript = head.subscripts[0] if len(head.subscripts) == 1 else None
    named = isinstance(subscript, tree.Name) and subscript.name == past.past
    if past.name != head.name or not named or isinstance(binding, Family):
        scope.fail(
            "E223",
            "the past is that of the variable that is modelled, at its index",
            past.span,
            help=f"p({head.name}[d] | {head.name}[<d]) = ...",
        )
    if isinstance(binding, Variable) and len(binding.type.shape) != 1:
        scope.fail(
            "E223",
            "elements are modelled one after another along one axis",
            head.span,
            f"`{head.name}` is {binding.type.describe()}",
            help=f"give it one axis: {Type(binding.type.support, (binding.type.elements,)).describe()}",
        )
    if not isinstance(binding, Variable):
        scope.fail("E217", f"`{head.name}` is {describe_binding(binding)}, not a variable", head.span)
    assert past.past is not None
    return head.name, past.past


def _verify_heads(scope: Scope, instances: list[Instance]) -> None:
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


# --- statements ----------------------------------------------------------------------------------


def _factor(
    scope: Scope,
    instance: Instance,
    headers: Mapping[tuple[str, str], Instance],
    attempted: set[tuple[str, str]],
) -> Factor:
    statement, variable = instance.statement, instance.head

    def find(quotation: tree.Quotation) -> Instance:
        target = _resolve(scope, quotation.heads[0], instance.env)
        found = headers.get((quotation.side, target.name))
        if found is None:
            if (quotation.side, target.family or target.name) in attempted:
                raise Fail  # it has one, whose own mistake was reported
            known = ", ".join(i.key for (side, _), i in headers.items() if side == quotation.side)
            scope.fail(
                "E206",
                f"`{target.name}` has no factor in {quotation.side}",
                quotation.span,
                "quoted here",
                help=f"{quotation.side} has {known}" if known else f"{quotation.side} has no factors",
            )
        return found

    def quote(quotation: tree.Quotation) -> tuple[str, tuple[object, ...]]:
        found = find(quotation)
        if found.past is not None:
            scope.fail(
                "E217",
                "an autoregressive factor cannot be quoted",
                quotation.span,
                f"{found.key} models one element after another",
                help="quote a factor that models its variable at once, or write the right-hand side again",
            )
        if found.head.type != variable.type:
            scope.fail(
                "E204",
                f"{found.key} is over {found.head.type.describe()}",
                quotation.span,
                f"`{variable.name}` is {variable.type.describe()}",
            )
        return found.key, tuple(p.type for p in found.parents)

    def prior(quotation: tree.Quotation) -> str:
        found = find(quotation)
        given = tuple(_reference_of(scope, g, instance.env) for g in quotation.given)
        wanted = tuple(p.name for p in found.parents)
        if found.head.name != variable.name or given != wanted:
            scope.fail(
                "E209",
                "a residual is relative to the prior of its own variable",
                quotation.span,
                f"`{variable.name}` has {found.key}" if found.head.name == variable.name else "",
                help=f"residual({factor_key('p', variable.name, wanted)}, ...)",
            )
        value = found.statement.value
        if not (isinstance(value, tree.Call) and isinstance(value.target, tree.Name) and value.target.name == "Normal"):
            scope.fail(
                "E209",
                "a residual shifts and rescales a Normal prior",
                quotation.span,
                f"{found.key} is none",
                notes=(Note(value.span, "the prior"),),
                help="make the prior a Normal, or give the posterior on its own: q(...) = Normal(...)",
            )
        return found.key

    ident = variable.ident
    head = Head(variable.name, variable.type, variable.span, quote, prior)  # type: ignore[arg-type]
    context = Context(f"{statement.side}_{ident}", instance.env, instance.past, ranges=instance.ranges)
    density = check_density(scope, statement.value, head, context)
    parents = tuple(p.name for p in instance.parents)
    method = f"{statement.side}_{ident}"
    return Factor(statement.side, variable.name, parents, density, statement.span, statement.head_span, method)


def _reference_of(scope: Scope, expr: tree.Expr, env: Mapping[str, int]) -> str | None:
    if isinstance(expr, tree.Name):
        return _resolve(scope, tree.Reference(expr.span, expr.name), env).name
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        items = tuple(i for i in expr.items if not isinstance(i, (tree.Keyword, tree.Binding, tree.Past)))
        return _resolve(scope, tree.Reference(expr.span, expr.target.name, items), env).name
    return None


def _is_feature(scope: Scope, statement: tree.Definition) -> bool:
    """Whether a definition gives a let-bound family one more member (`r[0] = x`)."""
    family = scope.names.get(statement.target.name)
    return isinstance(family, Family) and all(v.role == "let" for v in family.members.values())


def _features(scope: Scope, spec: tree.Spec) -> list[Definition]:
    """Let-bound features, in order; then the members that definitions add to let-bound families."""
    found: list[Definition] = []
    for s in spec.statements:
        if isinstance(s, tree.Definition) and _is_feature(scope, s):
            with scope.statement():
                found.append(_member_definition(scope, s))
    for s in spec.statements:
        if isinstance(s, tree.Let):
            with scope.statement(s.name):
                found.extend(_let(scope, s))
    return found


def _member_definition(scope: Scope, statement: tree.Definition) -> Definition:
    family = scope.names[statement.target.name]
    assert isinstance(family, Family)
    subscripts = statement.target.subscripts
    if len(subscripts) != 1:
        scope.fail("E215", f"`{family.name}` is a family of features", statement.target.span, "needs one index")
    index = scope.integer(subscripts[0], {}, "an index")
    if index in family.members:
        scope.fail(
            "E207",
            f"`{family.name}[{index}]` is defined twice",
            statement.target.span,
            "defined again",
            notes=(Note(scope.places[family.name], "defined here for its whole range"),),
        )
    value = check_value(scope, statement.value, None, Context(f"{family.name}_{index}"))
    name = f"{family.name}[{index}]"
    ident = scope.ident(f"{family.name}_{str(index).replace('-', 'm')}")
    family.members[index] = Variable(
        name, ident, "let", value.type, statement.target.span, None, family.name, index, family.index
    )
    return Definition(name, value, statement.span)


def _let(scope: Scope, statement: tree.Let) -> list[Definition]:
    binding = scope.names.get(statement.name)
    if statement.name in scope.poisoned:
        raise Fail
    if statement.family is None and statement.type is None:
        if binding is not None:
            scope.declare(statement.name, binding, statement.name_span)  # reports that the name is taken
        value = check_value(scope, statement.value, None, Context(statement.name))
        variable = Variable(statement.name, scope.ident(statement.name), "let", value.type, statement.name_span)
        scope.declare(statement.name, variable, statement.name_span)
        return [Definition(statement.name, value, statement.span)]
    if scope.places[statement.name] != statement.name_span:
        raise Fail  # the name is another statement's, which was reported
    if isinstance(binding, Variable):
        value = check_value(scope, statement.value, binding.type, Context(binding.ident))
        return [Definition(binding.name, value, statement.span)]
    assert isinstance(binding, Family) and statement.family is not None
    index = statement.family.index
    inner = [m for m in binding.members.values() if m.span == statement.name_span]
    ranges = {index: (min(m.index or 0 for m in inner), max(m.index or 0 for m in inner))}
    return [
        Definition(
            m.name,
            check_value(scope, statement.value, m.type, Context(m.ident, {index: m.index or 0}, ranges=ranges)),
            statement.span,
        )
        for m in inner
    ]


def _let_variables(scope: Scope) -> list[Variable]:
    found: list[Variable] = []
    for binding in scope.names.values():
        members = binding.members.values() if isinstance(binding, Family) else [binding]
        found.extend(v for v in members if isinstance(v, Variable) and v.role == "let")
    return found


def _definition(scope: Scope, statement: tree.Definition) -> Definition:
    variable = _resolve(scope, statement.target, {})
    if variable.role == "let":
        scope.fail(
            "E207",
            f"`{variable.name}` is defined twice",
            statement.target.span,
            "defined again",
            notes=(Note(variable.span, "defined here"),),
        )
    if variable.role == "latent" and variable.family is not None:
        scope.fail(
            "E220",
            f"`{variable.name} = ...` (a chain tied to the data) cannot be compiled yet",
            statement.span,
            "no objective is derived for it",
        )
    value = check_value(scope, statement.value, variable.type, Context(variable.ident))
    return Definition(variable.name, value, statement.span)


def _arguments(scope: Scope, references: tuple[tree.Reference, ...]) -> tuple[Variable, ...]:
    found = tuple(_resolve(scope, r, {}) for r in references)
    for k, variable in enumerate(found):
        if variable in found[:k]:
            scope.fail(
                "E202", f"`{variable.name}` stands twice among the arguments", references[k].span, "each argument once"
            )
    return found


def _energy(scope: Scope, statement: tree.Energy) -> Energy:
    arguments = _arguments(scope, statement.arguments)
    value = check_value(scope, statement.value, real(), Context("energy"))
    return Energy(tuple(v.name for v in arguments), value, statement.span, statement.head_span)


def _adversary(scope: Scope, statement: tree.Adversary) -> Adversary:
    arguments = _arguments(scope, statement.arguments)
    inputs: tuple[Value, ...] = tuple(Use(v.type, r.span, v.name) for v, r in zip(arguments, statement.arguments))
    ident = scope.ident(statement.name)
    size = sum(v.type.features for v in arguments)
    module = check_slot(scope, statement.value, size, 1, Context(ident))
    return Adversary(statement.name, ident, tuple(v.name for v in arguments), module, inputs, statement.span)
