"""Numbers along an index, computed in double precision where a model is built: schedules, and what is made of them."""

from __future__ import annotations

from dgmppl.catalogue.functions import FUNCTIONS
from dgmppl.catalogue.schedules import SCHEDULES
from dgmppl.emit.expr import Binary, Expr, Name, Negative, Number, Tuple, call
from dgmppl.emit.writer import Writer
from dgmppl.graph.names import safe_local
from dgmppl.graph.nodes import Factor, Graph, Schedule
from dgmppl.graph.values import (
    At,
    Constant,
    Cumulative,
    Declared,
    OneHot,
    Operation,
    Parametric,
    Position,
    Scheduled,
    Sequence,
    Value,
)
from dgmppl.plan.rules.compose import class_of, probabilities_of, shift_of, slope_of


def numbers_expr(value: Value, graph: Graph, writer: Writer, first: int, last: int) -> Expr:
    """A value that depends on numbers alone at positions from `first` to `last`: a tensor, or one number for all."""
    if isinstance(value, Constant):
        return Number(value.number)
    if isinstance(value, Position):
        ends = Number(first + value.start), Number(last + value.start + 1)
        return call("torch.arange", *ends, dtype=Name("torch.float64"))
    if isinstance(value, Scheduled):
        kind = SCHEDULES[value.kind]
        given = list(value.arguments)
        while given and given[-1] == kind.defaults.get(kind.signature.arguments[len(given) - 1].name):
            given.pop()
        found = call(writer.use(kind.runtime), value.count, *map(Number, given))
        return _between(found, value.count, first, last)
    if isinstance(value, Cumulative):
        inner = numbers_expr(value.value, graph, writer, value.missing, last)
        found = call(writer.use("cumprod"), inner, *([value.missing] if value.missing else []))
        return _between(found, last + 1, first, last)
    if isinstance(value, OneHot):
        return Number(1)  # at the class that it is of
    if isinstance(value, At):
        assert isinstance(value.value, Declared)
        schedule = _schedule(graph, value.value.name)
        (by,) = value.offsets
        return _between(Name(safe_local(schedule.ident)), len(schedule.numbers), first + by, last + by)
    assert isinstance(value, Operation)
    if value.op == "*" and any(isinstance(o, OneHot) for o in value.operands):
        (value,) = (o for o in value.operands if not isinstance(o, OneHot))
        return numbers_expr(value, graph, writer, first, last)
    parts = [numbers_expr(o, graph, writer, first, last) for o in value.operands]
    if value.op == "negate":
        return Negative(parts[0])
    if value.op in FUNCTIONS:
        function = FUNCTIONS[value.op].runtime
        return call(function if "." in function else writer.use(function), parts[0])
    return Binary("**" if value.op == "^" else value.op, parts[0], parts[1])


def write_linear_chain(writer: Writer, graph: Graph, q: Factor, by_loss: bool = False) -> None:
    """The line of a chain that is composed: the numbers of its steps."""
    density = q.density
    assert isinstance(density, Sequence)
    if isinstance(density.segments[0].law, Parametric) and density.segments[0].law.kind == "Categorical":
        _write_chain_of_classes(writer, graph, q, density, by_loss)
        return
    laws = [(s.first, s.last, dict(s.law.arguments)) for s in density.segments if isinstance(s.law, Parametric)]
    slopes = [(first, last, slope_of(a["loc"], density.variable)) for first, last, a in laws[1:]]
    scales = [(first, last, a["scale"]) for first, last, a in laws]
    named = {name: _joined(parts, graph, writer) for name, parts in (("slopes", slopes), ("scales", scales))}
    if by_loss:
        named["by_loss"] = Name("True")
    made = call(writer.use("NormalChain"), density.type.shape[0], **named)
    with writer.place(q.span):
        writer.line(f"self.{q.method}_chain = {made}", mark=True)


def _write_chain_of_classes(writer: Writer, graph: Graph, q: Factor, density: Sequence, by_loss: bool) -> None:
    laws = [(s.first, s.last, p) for s in density.segments[1:] if (p := probabilities_of(s)) is not None]
    slopes = [(first, last, slope_of(p, density.variable)) for first, last, p in laws]
    shifts = [(first, last, shift_of(p, density.variable)) for first, last, p in laws]
    named = {name: _joined(parts, graph, writer) for name, parts in (("slopes", slopes), ("shifts", shifts))}
    classes, towards = density.type.support.size or 0, class_of(density.segments[1])
    if towards is not None:
        named["towards"] = Number(int(towards))
    if by_loss:
        named["by_loss"] = Name("True")
    made = call(writer.use("CategoricalChain"), density.type.shape[0], classes, **named)
    with writer.place(q.span):
        writer.line(f"self.{q.method}_chain = {made}", mark=True)


def _joined(parts: list[tuple[int, int, Value]], graph: Graph, writer: Writer) -> Expr:
    """The numbers that one part of an index after another has."""
    whole: list[tuple[int, int, Value]] = []
    for first, last, value in parts:
        if whole and whole[-1][2] == value:
            whole[-1] = (whole[-1][0], last, value)
        else:
            whole.append((first, last, value))
    found = [numbers_expr(value, graph, writer, first, last) for first, last, value in whole]
    if len(found) == 1:
        return found[0]
    counts = [last + 1 - first for first, last, _ in whole]
    return call("torch.cat", Tuple(tuple(call(writer.use("doubles"), e, k) for e, k in zip(found, counts))))


def _between(found: Expr, size: int, first: int, last: int) -> Expr:
    """The numbers from one position to another, of so many."""
    if (first, last) == (0, size - 1):
        return found
    return found[(f"{first or ''}:{last + 1 if last + 1 < size else ''}",)]


def _schedule(graph: Graph, name: str) -> Schedule:
    return next(p for p in graph.parameters if isinstance(p, Schedule) and p.name == name)
