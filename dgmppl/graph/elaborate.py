"""Syntax tree to typed graph: names resolved, families unrolled or folded, sizes inferred.

Every statement is elaborated on its own, so that one mistake does not hide the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dgmppl.diagnostics import Diagnostic, Note
from dgmppl.graph.checks import verify_graph
from dgmppl.graph.context import Context
from dgmppl.graph.declare import declare, declare_constants
from dgmppl.graph.densities import Head, check_density
from dgmppl.graph.elements import verify_element_reads
from dgmppl.graph.expressions import check_value
from dgmppl.graph.features import check_features, is_feature, let_variables
from dgmppl.graph.folding import folded
from dgmppl.graph.formulas import with_bijections
from dgmppl.graph.indices import with_one_index
from dgmppl.graph.instances import Instance, instances_of, resolve, verify_heads, verify_member_reads
from dgmppl.graph.lengths import with_lengths
from dgmppl.graph.names import declared_name
from dgmppl.graph.networks import apply_slot
from dgmppl.graph.nodes import Adversary, Definition, Energy, Factor, Graph, Parameter, Schedule, Variable, factor_key
from dgmppl.graph.random_weights import weights_in_common
from dgmppl.graph.recurrences import whole_features
from dgmppl.graph.rows import with_rows
from dgmppl.graph.schedules import declare_schedules, used_schedules
from dgmppl.graph.scope import Fail, NamedFlow, NamedNet, Scope
from dgmppl.graph.sequences import joined
from dgmppl.graph.ties import with_ties
from dgmppl.graph.values import Constant, Segment, Use, Value
from dgmppl.source import Source
from dgmppl.supports import real
from dgmppl.syntax import tree


def check_graph(spec: tree.Spec, source: Source) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
    """The typed graph of a spec, or None with what is wrong with it. Warnings come with a graph."""
    scope, written = Scope(source), spec
    declare_constants(scope, spec)
    spec = with_one_index(scope, spec)
    spec = folded(scope, with_ties(scope, spec))
    variables = declare(scope, spec)
    declare_schedules(scope, spec)
    features = check_features(scope, spec)
    instances = [i for s in spec.statements if isinstance(s, tree.Factor) for i in instances_of(scope, s)]
    verify_heads(scope, instances)
    headers = {(i.statement.side, i.head.name): i for i in reversed(instances)}
    attempted = {(s.side, h.name) for s in spec.statements if isinstance(s, tree.Factor) for h in s.heads}
    factors: list[Factor] = []
    failed: list[tree.Factor] = []
    # The size of a network's weights is known once all that uses it is.
    late = [i for i in instances if isinstance(scope.names.get(i.head.name), NamedNet)]
    for instance in (i for i in instances if i not in late):
        # What is wrong with one member of a family is most often wrong with all: said once.
        if not any(instance.statement.span == s.span for s in failed):
            failed.append(instance.statement)
            with scope.statement():
                factors.append(_factor(scope, instance, headers, attempted))
                failed.pop()
    broken = {declared_name(s.heads[0].name) for s in failed} | _misread(scope, written)
    factors = joined(scope, factors, {v.name: v for v in variables}, broken)
    definitions = list(features)
    energy: Energy | None = None
    adversaries: list[Adversary] = []
    for statement in spec.statements:
        with scope.statement():
            if isinstance(statement, tree.Definition) and not is_feature(scope, statement):
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
    sized = {v.name: v for v in weights_in_common(scope)}
    for instance in (replace(i, head=sized[i.head.name]) for i in late if i.head.name in sized):
        with scope.statement():
            factors.append(_factor(scope, instance, headers, attempted))
    lets = let_variables(scope)
    definitions += whole_features(scope)
    used = [b for b in scope.names.values() if isinstance(b, NamedFlow) and b.bijection is not None]
    graph = Graph(
        spec.name,
        source,
        (*variables, *sized.values(), *lets),
        tuple(b for b in scope.names.values() if isinstance(b, Parameter) and not isinstance(b, Schedule)),
        tuple(factors),
        tuple(definitions),
        energy,
        tuple(adversaries),
        tuple((b.statement.name, b.bijection) for b in used if b.bijection is not None),
        tuple((name, b) for name, b in scope.names.items() if isinstance(b, float)),
        _letters(written),
    )
    graph = replace(graph, parameters=(*used_schedules(graph, scope), *graph.parameters))
    graph = with_rows(with_lengths(with_bijections(scope, graph)))
    complete = not any(d.severity == "error" for d in scope.diagnostics)
    verify_graph(scope, graph, written, complete)
    wrong = any(d.severity == "error" for d in scope.diagnostics)
    # What a statement about several indices says wrong it says for each of them.
    ordered = sorted(dict.fromkeys(scope.diagnostics), key=lambda d: d.span.start if d.span else 0)
    return (None if wrong else graph), tuple(ordered)


def _letters(spec: tree.Spec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The indices of families, as they are declared."""
    declared = [(s.name, s.family) for s in spec.statements if isinstance(s, (tree.Variable, tree.Let))]
    return tuple((n, (f.index, *(o.index for o in f.others))) for n, f in declared if isinstance(f, tree.Family))


def _misread(scope: Scope, spec: tree.Spec) -> set[str]:
    """The variables that factors are about in whose left sides something is wrong."""
    wrong = [d.span for d in scope.diagnostics if d.severity == "error" and d.span is not None]
    factors = (s for s in spec.statements if isinstance(s, tree.Factor))
    return {s.heads[0].name for s in factors if any(s.span.start <= w.start < s.span.end for w in wrong)}


def _factor(
    scope: Scope,
    instance: Instance,
    headers: Mapping[tuple[str, str], Instance],
    attempted: set[tuple[str, str]],
) -> Factor:
    statement, variable = instance.statement, instance.head

    def find(quotation: tree.Quotation) -> Instance:
        target = resolve(scope, quotation.heads[0], instance.env)
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
        if found.elements is not None:
            scope.fail(
                "E217",
                "a factor of elements cannot be quoted",
                quotation.span,
                f"{found.key} models one element at a time",
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
        if statement.side == "p":
            scope.fail(
                "E209",
                "a residual is a posterior, relative to its prior",
                statement.value.span,
                "in a factor of p",
                help="write the distribution itself: Normal(...)",
            )
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
    hint = f"{statement.side}_{ident}"
    if instance.members is not None and instance.members.final:
        hint += "_last"
    elif instance.members is not None and instance.members.alone:
        hint += f"_{variable.members[instance.members.first]}".replace("-", "m")
    context = Context(hint, instance.env, instance.elements, ranges=instance.ranges, seen=statement.side == "q")
    density = check_density(scope, statement.value, head, context, instance.members)
    if instance.elements is None:
        verify_member_reads(scope, instance, density)
    if instance.elements is not None:
        verify_element_reads(scope, statement, instance.elements, instance.given, density)
    parents = tuple(p.name for p in instance.parents)
    if isinstance(density, Segment):
        density = replace(density, parents=parents, head_span=statement.head_span)
    method = f"{statement.side}_{ident}"
    return Factor(statement.side, variable.name, parents, density, statement.span, statement.head_span, method)


def _reference_of(scope: Scope, expr: tree.Expr, env: Mapping[str, int]) -> str | None:
    if isinstance(expr, tree.Name):
        return resolve(scope, tree.Reference(expr.span, expr.name), env).name
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        items = tuple(i for i in expr.items if not isinstance(i, (tree.Keyword, tree.Binding, tree.Past)))
        return resolve(scope, tree.Reference(expr.span, expr.target.name, items), env).name
    return None


def _definition(scope: Scope, statement: tree.Definition) -> Definition:
    variable = resolve(scope, statement.target, {})
    if variable.role == "let":
        scope.fail(
            "E207",
            f"`{variable.name}` is defined twice",
            statement.target.span,
            "defined again",
            notes=(Note(variable.span, "defined here"),),
        )
    if variable.role == "partial":
        scope.fail(
            "E220",
            f"`{variable.name} = ...` cannot be compiled for a partial variable",
            statement.span,
            "a function of others leaves no row open",
            notes=(Note(variable.span, "declared here"),),
            help=f"give it a distribution: p({variable.name} | ...) = ..., or declare it `observed`",
        )
    value = check_value(scope, statement.value, variable.type, Context(variable.ident))
    if value.shape != variable.type.shape and not isinstance(value, Constant):
        scope.fail(
            "E204",
            f"`{variable.name}` has shape {list(variable.type.shape)}, and this is one number",
            statement.value.span,
            "one number for all elements",
            notes=(Note(variable.span, "declared here"),),
            help="a function of as many elements: a flow of a vector, or a network, linear(...)",
        )
    return Definition(variable.name, value, statement.span)


def _arguments(scope: Scope, references: tuple[tree.Reference, ...]) -> tuple[Variable, ...]:
    found = tuple(resolve(scope, r, {}) for r in references)
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
    value = apply_slot(scope, statement.value, inputs, Context(ident))
    return Adversary(statement.name, ident, tuple(v.name for v in arguments), value, statement.span)
