"""Features with a value at each position, `let h[d] : real[64] = cell(x[d - 1], h[d - 1])`, and what may read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dgmppl.diagnostics import Note
from dgmppl.graph.context import Context, Elements
from dgmppl.graph.ends import ENDS, of_support
from dgmppl.graph.folding import length_of
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Along, Definition, Parameter, Variable
from dgmppl.graph.scope import Fail, IndexedFeature, Scope
from dgmppl.graph.shapes import Evaluate
from dgmppl.graph.values import Apply, Everywhere, Feature, State, Value
from dgmppl.source import Span
from dgmppl.supports import Type
from dgmppl.syntax import tree


def read_feature(
    scope: Scope,
    expr: tree.Bracket,
    binding: IndexedFeature,
    away: tuple[int, ...],
    elements: Elements,
    evaluate: Evaluate,
) -> Value:
    """`h[d]`, or in the feature itself its value before: `h[d - 1]`. Reports what is none of these (E204, E205)."""
    name = binding.statement.name
    index, *others = elements.indices
    if elements.feature == name:
        if others:
            _along_a_grid(scope, expr, name, elements)
        if away != (-1,):
            scope.fail(
                "E205",
                f"`{member_name(name, index)}` is computed from its value at the position before, "
                "and from none other of its own",
                expr.span,
                "depends on itself" if away == (0,) else "not the one before",
                help=member_name(name, f"{index} - 1"),
            )
        return State(binding.type, expr.span, name, binding.ident)
    if any(away):
        here = f"{name}[{', '.join(elements.indices)}]"
        scope.fail("E223", f"a feature is read at its own position: {here}", expr.span, "at another", help=here)
    found = feature(scope, binding, expr.span, elements.feature, evaluate)
    if found.extent != elements.extent:
        if found.recurrent and others:
            _along_a_grid(scope, expr, name, elements)
        headline = f"[{', '.join(elements.indices)}] goes over the {_extent(elements.extent)} positions"
        scope.fail("E204", headline, expr.span, f"`{name}` has {_extent(found.extent)}")
    return found


def _along_a_grid(scope: Scope, expr: tree.Bracket, name: str, elements: Elements) -> None:
    """Reports a recurrence where positions lie along several indices (E223)."""
    past = f"{elements.variable or 'x'}[{', '.join(f'<{i}' for i in elements.indices)}]"
    what = "of a grid" if elements.axes == 2 else f"along {elements.axes} indices"
    scope.fail(
        "E223",
        "a recurrence goes along a sequence, which has one index",
        expr.span,
        f"`{name}` at the positions {what}",
        help=f"a recurrent network reads them as one sequence, row by row: gru[64]({past})",
    )


def feature(scope: Scope, binding: IndexedFeature, span: Span, reader: str, evaluate: Evaluate) -> Feature:
    """The value of a feature, worked out once. Reports features that read each other (E205)."""
    statement = binding.statement
    if binding.failed:
        raise Fail
    if binding.entered:
        scope.fail(
            "E205",
            f"`{statement.name}` and `{reader}` are computed from each other",
            span,
            "closes the circle",
            notes=(Note(statement.name_span, f"`{statement.name}` is declared here"),),
            help="a feature may be computed from its own value at the position before: one with both of them in it",
        )
    if binding.value is None:
        binding.entered = True
        try:
            binding.value = _worked_out(scope, binding, evaluate)
        except Fail:
            binding.failed = True
            raise
        finally:
            binding.entered = False
    return binding.value


def whole_feature(scope: Scope, binding: IndexedFeature, span: Span, reader: str, evaluate: Evaluate) -> Variable:
    """The variable that holds a feature's values at all positions: `mean(h, axis = 0)`, `h[3]`."""
    if binding.whole is None:
        found, statement = feature(scope, binding, span, reader, evaluate), binding.statement
        along = None
        if binding.members is not None and isinstance(statement.family, tree.Axis):
            length = scope.names.get(length_of(statement.family))
            name = length.name if isinstance(length, Variable) else ""
            along = Along(statement.family.index, binding.members.start, name)
        type_ = Type(binding.type.support, (*found.extent, *binding.type.shape))
        ident = scope.ident(f"every_{statement.name}")
        binding.whole = Variable(statement.name, ident, "let", type_, statement.name_span, along=along)
    return binding.whole


def whole_features(scope: Scope) -> list[Definition]:
    """The features that something reads at all positions together, with their values there."""
    read = [(b.value, b.whole) for b in scope.names.values() if isinstance(b, IndexedFeature)]
    known = [(feature, whole) for feature, whole in read if feature is not None and whole is not None]
    return [Definition(w.name, Everywhere(w.type, f.span, f), f.span) for f, w in known]


def _worked_out(scope: Scope, binding: IndexedFeature, evaluate: Evaluate) -> Feature:
    statement, indices = binding.statement, binding.indices
    assert statement.family is not None
    extent, start = next(_extents(scope, statement.value, indices, statement.name, evaluate), ((), 0))
    if binding.members is not None:
        extent, start = (len(binding.members),), binding.members.start
    if not extent:
        scope.fail(
            "E211",
            f"how far `{indices[0]}` goes follows from nothing that `{statement.name}` reads",
            statement.family.span,
            help=f"a feature of each position reads something there: x[{indices[0]} - 1]",
        )
    elements = Elements(indices, extent, feature=statement.name, start=start)
    body = evaluate(scope, statement.value, binding.type, Context(binding.ident, elements=elements, seen=True))
    if body.shape != binding.type.shape:
        shape = list(binding.type.shape) or "one number"
        scope.fail("E204", f"`{statement.name}` has shape {shape}", statement.value.span, f"shape {list(body.shape)}")
    body = as_declared(body, binding.type)
    return Feature(binding.type, statement.name_span, statement.name, binding.ident, extent, body)


def as_declared(value: Value, type_: Type) -> Value:
    """A feature's value, with its declared type where it is a network's: that passes through the link of its support,
    unless its last activation lands there."""
    support = type_.support
    if not isinstance(value, Apply) or support.link is None or support.discrete:
        return value
    lands = not value.module.own and value.module.out in ENDS and ENDS[value.module.out].within(of_support(support))
    return value if lands else replace(value, type=type_)


def _extents(
    scope: Scope, expr: object, indices: tuple[str, ...], itself: str, evaluate: Evaluate
) -> Iterator[tuple[tuple[int, ...], int]]:
    """How far the indices go at the places where they stand, and where the first starts."""
    if isinstance(expr, tuple):
        for part in expr:
            yield from _extents(scope, part, indices, itself, evaluate)
        return
    if not isinstance(expr, tree.Node):
        return
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name) and expr.target.name != itself:
        binding = scope.names.get(expr.target.name)
        if any(isinstance(i, tree.Past) or _stands(i, indices) for i in expr.items):
            along = binding.along if isinstance(binding, Variable) else None
            if isinstance(binding, (Variable, Parameter)):
                yield binding.type.shape[: len(indices)], along.start if along is not None else 0
            elif isinstance(binding, IndexedFeature) and not binding.entered:
                start = binding.members.start if binding.members is not None else 0
                yield feature(scope, binding, expr.span, itself, evaluate).extent, start
    for part in vars(expr).values():
        yield from _extents(scope, part, indices, itself, evaluate)


def _stands(item: object, indices: tuple[str, ...]) -> bool:
    """Whether an index stands there: `d`, `d - 1`."""
    if isinstance(item, tree.Binary):
        return _stands(item.left, indices) or _stands(item.right, indices)
    return isinstance(item, tree.Name) and item.name in indices


def _extent(extent: tuple[int, ...]) -> str:
    return " x ".join(map(str, extent))
