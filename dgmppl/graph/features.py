"""Let-bound features: values with a name, and families of them."""

from __future__ import annotations

from dgmppl.diagnostics import Note
from dgmppl.graph.context import Context
from dgmppl.graph.expressions import check_value, evaluate
from dgmppl.graph.names import member_ident, member_name
from dgmppl.graph.nodes import Definition, Variable
from dgmppl.graph.recurrences import as_declared, feature
from dgmppl.graph.scope import Fail, IndexedFeature, Scope, VariableFamily
from dgmppl.graph.several import inputs_written_out
from dgmppl.syntax import tree


def is_feature(scope: Scope, statement: tree.Definition) -> bool:
    """Whether a definition gives a let-bound family one more member (`r[0] = x`)."""
    family = scope.names.get(statement.target.name)
    return isinstance(family, VariableFamily) and all(v.role == "let" for v in family.members.values())


def check_features(scope: Scope, spec: tree.Spec) -> list[Definition]:
    """Let-bound features, in order; then the members that definitions add to let-bound families."""
    found: list[Definition] = []
    for s in spec.statements:
        if isinstance(s, tree.Definition) and is_feature(scope, s):
            with scope.statement():
                found.append(_member_definition(scope, s))
    for s in spec.statements:
        if isinstance(s, tree.Let):
            with scope.statement(s.name):
                found.extend(_let(scope, s))
    return found


def _member_definition(scope: Scope, statement: tree.Definition) -> Definition:
    family = scope.names[statement.target.name]
    assert isinstance(family, VariableFamily)
    subscripts = statement.target.subscripts
    if len(subscripts) != 1:
        scope.fail("E215", f"`{family.name}` is a family of features", statement.target.span, "needs one index")
    index = scope.integer(subscripts[0], {}, "an index")
    if index in family.members:
        scope.fail(
            "E207",
            f"`{member_name(family.name, index)}` is defined twice",
            statement.target.span,
            "defined again",
            notes=(Note(scope.places[family.name], "defined here for its whole range"),),
        )
    text = inputs_written_out(scope, statement.value, {})
    value = check_value(scope, text, None, Context(member_ident(family.name, index), seen=True))
    name = member_name(family.name, index)
    ident = scope.ident(member_ident(family.name, index))
    family.members[index] = Variable(
        name, ident, "let", value.type, statement.target.span, None, family.name, index, family.index
    )
    return Definition(name, value, statement.span)


def _let(scope: Scope, statement: tree.Let) -> list[Definition]:
    binding = scope.names.get(statement.name)
    if statement.name in scope.poisoned:
        raise Fail
    if isinstance(statement.family, (tree.Indices, tree.Axis)):
        if isinstance(binding, IndexedFeature) and binding.statement is statement:
            feature(scope, binding, statement.name_span, "", evaluate)
        return []  # its value stands where it is read
    if statement.family is None and statement.type is None:
        if binding is not None:
            scope.declare(statement.name, binding, statement.name_span)  # reports that the name is taken
        text = inputs_written_out(scope, statement.value, {})
        value = check_value(scope, text, None, Context(statement.name, seen=True))
        variable = Variable(statement.name, scope.ident(statement.name), "let", value.type, statement.name_span)
        scope.declare(statement.name, variable, statement.name_span)
        return [Definition(statement.name, value, statement.span)]
    if scope.places[statement.name] != statement.name_span:
        raise Fail  # the name is another statement's, which was reported
    if isinstance(binding, Variable):
        text = inputs_written_out(scope, statement.value, {})
        value = check_value(scope, text, binding.type, Context(binding.ident, seen=True))
        return [Definition(binding.name, as_declared(value, binding.type), statement.span)]
    assert isinstance(binding, VariableFamily) and statement.family is not None
    index = statement.family.index
    inner = [m for m in binding.members.values() if m.span == statement.name_span]
    ranges = {index: (min(m.index or 0 for m in inner), max(m.index or 0 for m in inner))}
    found: list[Definition] = []
    for m in inner:
        env = {index: m.index or 0}
        text = inputs_written_out(scope, statement.value, env)
        value = check_value(scope, text, m.type, Context(m.ident, env, ranges=ranges, seen=True))
        found.append(Definition(m.name, as_declared(value, m.type), statement.span))
    return found


def let_variables(scope: Scope) -> list[Variable]:
    found: list[Variable] = []
    for binding in scope.names.values():
        whole = binding.whole if isinstance(binding, IndexedFeature) else binding
        members = whole.members.values() if isinstance(whole, VariableFamily) else [whole]
        found.extend(v for v in members if isinstance(v, Variable) and v.role == "let")
    return found
