"""Sequences of different lengths: how far an index goes in a row follows from an observed variable, and what reads a
whole sequence is told where it ends."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from dgmppl.diagnostics import Note
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Along, Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    Apply,
    At,
    Constant,
    Element,
    Index,
    IndexSum,
    Joined,
    OneHot,
    Operation,
    Reduced,
    Sequence,
    Softmax,
    Use,
    Value,
    variables,
    walk,
)
from dgmppl.source import Span
from dgmppl.supports import Type, real
from dgmppl.supports.whole import Integers
from dgmppl.syntax import tree


def length_value(variable: Variable, start: int, span: Span) -> Value:
    """How many members a row has whose index goes from `start` to the value of `variable`."""
    return _moved(variable, 1 - start, span)


def last_position(variable: Variable, start: int, span: Span) -> Value:
    """The position of the last member, from 0."""
    return _moved(variable, -start, span)


def _moved(variable: Variable, by: int, span: Span) -> Value:
    use, support = Use(variable.type, span, variable.name), variable.type.support
    if by == 0:
        return use
    type_ = Type(Integers((support.low or 0) + by, (support.high or 0) + by))
    return Operation(type_, span, "+" if by > 0 else "-", (use, Constant(real(), span, float(abs(by)))))


def uneven(graph: Graph, value: Value) -> Along | None:
    """The index along which the first axis of a value lies, where its length differs from row to row."""
    if isinstance(value, Use):
        variable = graph[value.variable]
        if variable.role == "let" and variable.along is None:
            definition = graph.definition(variable.name)
            return None if definition is None else uneven(graph, definition.value)
        return variable.along if variable.length else None
    if isinstance(value, Apply):
        return _of_any(graph, value.inputs) if value.module.inputs.extent and value.module.outputs.extent else None
    if isinstance(value, Reduced):
        return None if -len(value.value.shape) in value.axes else uneven(graph, value.value)
    if isinstance(value, Joined):
        first = not value.stacked and value.axis == -len(value.shape)
        return None if first else _of_any(graph, value.parts)
    if isinstance(value, Softmax):
        return uneven(graph, value.value) if len(value.shape) > 1 else None
    if isinstance(value, OneHot):
        return uneven(graph, value.value)
    if isinstance(value, Operation) and value.op != "sum":
        operands = value.operands
        if value.op == "@":
            return uneven(graph, operands[0]) if len(operands[0].shape) > 1 else None
        return _of_any(graph, tuple(o for o in operands if len(o.shape) == len(value.shape)))
    return None


def _of_any(graph: Graph, values: tuple[Value, ...]) -> Along | None:
    return next((along for v in values if v.shape and (along := uneven(graph, v)) is not None), None)


def is_last(variable: Variable, subscript: tree.Expr) -> bool:
    """Whether an index names the last member of each row, `z[n]`, where lengths differ."""
    return isinstance(subscript, tree.Name) and bool(variable.length) and subscript.name == variable.length


def lengths_of(scope: Scope, variable: Variable) -> range:
    """How many members a row may have of a folded family."""
    size = len(variable.members)
    length = scope.variable(variable.length) if variable.length else None
    if length is None:
        return range(size, size + 1)
    return range(int(length.type.support.low or 0) - variable.members.start + 1, size + 1)


def verify_everywhere(scope: Scope, variable: Variable, number: int, span: Span) -> None:
    """Reports a member that some rows do not have, where all read it (E228)."""
    if number - variable.members.start < lengths_of(scope, variable).start:
        return
    length = scope.variable(variable.length)
    assert length is not None
    scope.fail(
        "E228",
        f"`{member_name(variable.name, number)}` does not exist in rows with a smaller `{length.name}`",
        span,
        "of all rows",
        notes=(Note(length.span, length.type.describe()),),
        help=f"{member_name(variable.name, length.name)} is the last member of each row",
    )


def verify_lengths(scope: Scope, graph: Graph) -> None:
    """Reports what would be read, or said, of members that do not exist (E228)."""
    for v in graph.variables:
        if v.length and v.role != "let":
            _verify_members(scope, graph, v)
    for f in graph.factors:
        along = isinstance(f.density, Sequence) and f.density.lengths is not None
        _verify_terms(scope, graph, f.density, along)
    for d in graph.definitions:
        _verify_terms(scope, graph, d.value, False)


def _verify_members(scope: Scope, graph: Graph, variable: Variable) -> None:
    """Of each member that exists a law says how likely it is, or nothing does."""
    name, notes = variable.name, (Note(variable.span, f"as many as `{variable.length}` says"),)
    member = variable.shown
    help_ = f"a law of each member: p({member} | ...) = ..."
    for f in graph.factors:
        if f.head == name and not isinstance(f.density, Sequence):
            way_out = help_.replace("p(", f"{f.side}(")
            headline = f"{graph.written(f)} is of all members of `{name}` at once, and rows have some of them"
            scope.report("E228", headline, f.head_span, "of which?", notes=notes, help=way_out)
    others = [(d.span, "a definition") for d in graph.definitions if d.variable == name]
    others += [(a.span, "an adversary") for a in graph.adversaries if name in a.arguments]
    if graph.energy is not None and name in graph.energy.arguments:
        others.append((graph.energy.head_span, "an energy"))
    for span, what in others[:1]:
        headline = f"{what} is of all members of `{name}` at once, and rows have some of them"
        scope.report("E228", headline, span, "of which?", notes=notes, help=help_)
    if variable.role == "latent" and variable.type.support.discrete and graph.factor("q", name) is not None:
        scope.report(
            "E228",
            f"`{name}` is {variable.type.support.describe()}, and is summed out over as many members as rows have",
            variable.span,
            f"as many as `{variable.length}` says",
            help="leave its q out: where all that depends on it reads a few members it is summed out exactly",
        )


def _verify_terms(scope: Scope, graph: Graph, term: object, along: bool) -> None:
    """What depends on several positions together looks at those that exist: no normalisation over rows, and no sum
    that a formula writes; `along`: of the law of members."""
    for t in walk(term):
        norm = dict(t.module.stages[0].spec.options).get("norm") if isinstance(t, Apply) else None
        pooled = isinstance(t, Apply) and t.lengths is not None and t.module.stages[0].form.runtime == "DeepSet"
        if norm in BATCH_NORMS and (pooled or (along and norm == "batch")):
            assert isinstance(t, Apply)
            headline = f"norm = {norm} looks at several positions together, and rows have some of them"
            scope.report("E228", headline, t.span, "of different lengths", help="norm = weight, or leave it out")
        if isinstance(t, Softmax) and len(t.shape) == 1 and uneven(graph, t.value) is not None:
            headline = "`softmax` is of all positions along the index, and rows have some of them"
            scope.report("E228", headline, t.span, "of different lengths", help="a network reads them: set[64](x)")
        if isinstance(t, IndexSum):
            inside = (u for u in walk(t.body) if isinstance(u, Element) and uneven(graph, u.value) is not None)
            for element in inside:
                if isinstance(element.index[0], Index):
                    headline = "a sum over an index is of all positions, and rows have some of them"
                    help_ = "sum(x), mean(x, axis = 0) and networks of sequences read those that exist"
                    scope.report("E228", headline, t.span, "of different lengths", help=help_)
                    break


BATCH_NORMS = ("batch", "layer", "group")


def with_lengths(graph: Graph) -> Graph:
    """The graph in which what reads whole sequences of different lengths reads these too, and each factor has them
    among its parents.

    It is asked once the whole graph is known: a feature may be read before the statement that defines it.
    """
    names = {v.length for v in graph.variables if v.length}
    if not names:
        return graph
    factors = tuple(replace(f, density=_told(graph, f.density, f.head)) for f in graph.factors)
    definitions = tuple(replace(d, value=_told(graph, d.value)) for d in graph.definitions)
    adversaries = tuple(replace(a, value=_told(graph, a.value)) for a in graph.adversaries)
    graph = replace(graph, factors=factors, definitions=definitions, adversaries=adversaries)
    given = []
    for f in graph.factors:
        read = graph.roots(variables(f.density))
        given.append(replace(f, parents=(*f.parents, *(n for n in read if n in names and n not in f.parents))))
    return replace(graph, factors=tuple(given))


def _told(graph: Graph, item: Any, head: str = "") -> Any:
    """A term, or a part of it, in which what reads along an uneven index knows its lengths; `head` is what a factor
    models, of which a law reads only what exists."""
    if isinstance(item, tuple):
        parts = tuple(_told(graph, part, head) for part in item)
        return item if all(a is b for a, b in zip(parts, item)) else parts
    if not is_dataclass(item) or isinstance(item, (type, Span, Type)):
        return item
    changed = {}
    for f in fields(item):
        old = getattr(item, f.name)
        new = _told(graph, old, head) if isinstance(old, tuple) or is_dataclass(old) else old
        if new is not old:
            changed[f.name] = new
    found: Any = replace(item, **changed) if changed else item
    along = _read_along(graph, found, head)
    if along is None:
        return found
    lengths = length_value(graph[along.length], along.start, found.span)
    if isinstance(found, Operation):
        (value,) = found.operands
        return Reduced(found.type, found.span, "sum", value, tuple(range(-len(value.shape), 0)), lengths)
    return replace(found, lengths=lengths)


def _read_along(graph: Graph, term: object, head: str) -> Along | None:
    """The uneven index along which a term reads all of what it is of, or what lies ahead."""
    if isinstance(term, Apply) and takes_lengths(term):
        return _of_any(graph, term.inputs)
    if isinstance(term, Reduced) and -len(term.value.shape) in term.axes:
        return uneven(graph, term.value)
    if isinstance(term, Operation) and term.op == "sum" and term.operands[0].shape:
        return uneven(graph, term.operands[0])
    if isinstance(term, At) and term.offsets[0] > 0:
        itself = isinstance(term.value, Use) and term.value.variable == head
        return None if itself else uneven(graph, term.value)
    return None


def takes_lengths(term: Apply) -> bool:
    """Whether a network reads sequences as long as they are: another reads what stands beyond their ends as well."""
    first = term.module.stages[0]
    return first.form.rank == 1 and not first.form.causal and not first.spec.is_own


__all__ = [
    "is_last",
    "last_position",
    "length_value",
    "lengths_of",
    "uneven",
    "verify_everywhere",
    "verify_lengths",
    "with_lengths",
]
