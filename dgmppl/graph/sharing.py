"""Checks of what rows have in common: latents that are one for all rows, or one a group."""

from __future__ import annotations

from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.declare import ALL_ROWS
from dgmppl.graph.inverse import MAX_CASES, can_derive, joint_values, shared_posterior
from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.turns import turns
from dgmppl.graph.values import variables
from dgmppl.source import Span
from dgmppl.supports import Type
from dgmppl.syntax import tree


def verify_shared(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    """Reports groups that are none, and what depends on rows although rows have it in common (E201, E220, E226)."""
    if not graph.shared:
        return
    declared = {s.name: s for s in spec.statements if isinstance(s, tree.Variable)}
    told: set[str] = set()
    for v in graph.shared:
        statement = declared.get(declared_name(v.name))  # the weights of a network have none
        if statement is not None and statement.name not in told:
            told.add(statement.name)
            with scope.statement():
                _verify_kind(scope, v)
                _verify_group(scope, graph, v, statement)
    if any(d.severity == "error" for d in scope.diagnostics):
        return
    for factor in graph.factors:
        _verify_reads(scope, graph, graph[factor.head], factor.key, factor.parents, factor.head_span)
    for d in graph.definitions:
        _verify_reads(scope, graph, graph[d.variable], f"{d.variable} = ...", variables(d.value), d.span)
    _verify_apart(scope, graph)
    for group in (*turns(graph, "p"), *turns(graph, "q")):
        common = next((graph[name] for name in group.variables if graph[name].shared), None)
        if common is not None:
            scope.report(
                "E220",
                f"`{common.name}`, which rows have in common, cannot be drawn in turn with another family yet",
                common.span,
                f"{' and '.join(group.variables)} depend on each other's earlier members",
                help="let one of them depend on the other as a whole, or make them one: real[2] in place of two real",
            )


def _verify_kind(scope: Scope, variable: Variable) -> None:
    """What rows have in common and is discrete is summed over its values, of which there must be few."""
    if variable.type.support.discrete and joint_values(variable) > MAX_CASES:
        scope.fail(
            "E220",
            f"`{variable.name}` is {variable.type.describe()}, and rows have it in common",
            variable.span,
            f"it would be summed, and has more than {MAX_CASES} values",
            help="a categorical(K) of few classes, or a family of such, each with a sum of its own: "
            f"latent {variable.name}[j in 1..3] : categorical(K) per ...",
        )


def _verify_group(scope: Scope, graph: Graph, variable: Variable, statement: tree.Variable) -> None:
    """A group is a value of a condition: an observed column of single classes that nothing models."""
    assert statement.per is not None
    name, span = statement.per.name, statement.per.span
    if name == ALL_ROWS:
        binding = scope.names.get(ALL_ROWS)
        if isinstance(binding, Variable):
            scope.fail(
                "E202",
                f"`per {ALL_ROWS}` is per all rows, and a variable is called `{ALL_ROWS}`",
                span,
                "which of them?",
                notes=(Note(binding.span, "declared here"),),
                help="give the variable another name",
            )
        return
    columns = [v.name for v in graph.observed]
    if name not in columns:
        other = scope.names.get(name)
        way_out = f"per {ALL_ROWS} for all rows, or an observed column of classes"
        if other is None:
            help_ = did_you_mean(name, [*columns, ALL_ROWS], way_out)
            scope.fail("E201", f"unknown column `{name}`", span, "not declared", help=help_)
        if isinstance(other, Variable) and other.role == "latent" and other.type.support.size and not other.type.shape:
            last = other.type.support.size - 1
            kind = variable.type.describe()
            way_out = f"one for each class of a latent is a family, {declared_name(variable.name)}[{name}] in a row: "
            way_out += f"latent {declared_name(variable.name)}[k in 0..{last}] : {kind} per {ALL_ROWS}"
        scope.fail(
            "E226", f"`{name}` is no observed variable", span, "says of no row which group it is in", help=way_out
        )
    column = graph[name]
    found = ""
    if not column.type.support.finite or column.type.shape:
        found = f"it is {column.type.describe()}, and a group is one value of few"
    elif name not in graph.conditions:
        found = "a factor models it, and groups are given"
    if found:
        scope.fail(
            "E226",
            f"`{name}` names no groups: {found}",
            span,
            f"one `{variable.name}` for each of its values",
            notes=(Note(column.span, "declared here"),),
            help="a column of classes that nothing models: observed school : categorical(8) from ...",
        )


def _verify_reads(scope: Scope, graph: Graph, head: Variable, what: str, parents: tuple[str, ...], span: Span) -> None:
    """What rows have in common depends on nothing that is one a row, and what is one for all on nothing of a group."""
    if not head.shared:
        return
    for name in dict.fromkeys((*parents, *graph.roots(parents))):
        read = graph[name]
        if not read.rows or (head.group is not None and head.group in (name, read.group)):
            continue
        if read.role == "let" and set(graph.roots((name,))) != {name}:
            continue  # told of what it is computed from
        scope.report(
            "E226",
            f"{what} reads `{name}`, which is {f'one for each {read.group}' if read.group else 'one a row'}",
            span,
            f"each {head.group} has one `{head.name}`" if head.group else f"all rows have one `{head.name}`",
            notes=(Note(read.span, "declared here"),),
            help=_way_out(graph, head, read, what),
        )
        return


def _way_out(graph: Graph, head: Variable, read: Variable, what: str) -> str:
    if what.startswith("q(") and can_derive(head):
        return f"a q of what rows have in common learns from all of them: {shared_posterior(graph, head).text()}"
    if not head.group:
        return "it may read what is one for all rows"
    may = f"it may read what is one for all rows, and what is one for each {head.group}"
    if read.group:
        both = f"{read.name} + {head.name}, with p({head.name}) around 0"
        return f"{may}; effects of several groups are added where a row reads them, {both}"
    size = graph[head.group].type.support.size
    if read.role != "observed" or size is None:
        return may
    table = f"const {read.name} : {Type(read.type.support, (size, *read.type.shape)).describe()} from ..."
    return f"{may}; what is known of each {head.group} is a table: {table}, read as {read.name}[{head.group}]"


def _verify_apart(scope: Scope, graph: Graph) -> None:
    """Energies and games are over what each row has (E220)."""
    energy = graph.energy
    for name in energy.arguments if energy is not None else ():
        if energy is not None and graph[name].shared:
            _apart(scope, graph[name], "an energy over", energy.head_span)
    for adversary in graph.adversaries:
        _apart(scope, graph.shared[0], "a game beside", adversary.span)


def _apart(scope: Scope, variable: Variable, what: str, span: Span) -> None:
    scope.report(
        "E220",
        f"{what} `{variable.name}`, which rows have in common, cannot be compiled yet",
        span,
        "is of rows one by one",
        notes=(Note(variable.span, "declared here"),),
        help=f"declare it as a parameter, which is learned: param {variable.name} : ...",
    )
