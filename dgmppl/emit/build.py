"""What a model holds: the constructor's lines for networks, flows, parameters and buffers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from dgmppl.catalogue.bijections import ENTRIES, TRANSFORMS
from dgmppl.emit.expr import call
from dgmppl.emit.numbers import numbers_expr
from dgmppl.emit.values import module_source, shape_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.held import Held, blocks, held
from dgmppl.graph.names import safe_local
from dgmppl.graph.nodes import Fixed, Graph, Parameter, Schedule
from dgmppl.graph.starts import Start, starts
from dgmppl.graph.values import (
    Bijection,
    Block,
    Composition,
    Field,
    Inverse,
    Learned,
    Levels,
    Module,
    Points,
    Triangular,
)
from dgmppl.permutations import Mask
from dgmppl.supports import number_text


def write_held(writer: Writer, graph: Graph) -> None:
    """One line for each thing that the model holds: units of its data, and the others in order of first use."""
    for units in graph.units:
        positive = ", positive=True" if units.positive else ""
        shape = tuple_source(units.shape) if len(units.shape) != 1 else str(units.shape[0])
        with writer.place(graph[units.variable].span):
            line = f"self.{units.attribute} = {writer.use('Units')}({json.dumps(units.variable)}, {shape}{positive})"
            writer.line(line, mark=True)
    found = starts(graph)
    for one in held(graph):
        with writer.place(one.statement.span):
            if isinstance(one.term, Schedule):
                _schedule(writer, graph, one)
            elif isinstance(one.term, Learned):
                _learned(writer, one, Start.ZERO if one.zeros else found.get(one.term, Start.DRAWN))
            else:
                _HELD[type(one.term)](writer, one)
    if graph.shared:
        writer.line('self.register_buffer("training_rows", torch.zeros(()))')


def _parameter(writer: Writer, one: Held) -> None:
    assert isinstance(one.term, Parameter)
    initial = f"{number_text(one.term.scale)} * torch.randn({shape_source(one.shape)})"
    writer.line(f"self.{one.term.ident} = nn.Parameter({initial})", mark=True)


def _fixed(writer: Writer, one: Held) -> None:
    """Values are data: whoever makes the model copies them in, or loads them with its weights."""
    assert isinstance(one.term, Fixed)
    empty = f"torch.full({shape_source(one.shape)}, torch.nan)"
    writer.line(f'self.register_buffer("{one.term.ident}", {empty})', mark=True)


def _schedule(writer: Writer, graph: Graph, one: Held) -> None:
    schedule = one.term
    assert isinstance(schedule, Schedule)
    count, double = len(schedule.numbers), safe_local(schedule.ident)
    made = numbers_expr(schedule.value, graph, writer, 0, count - 1)
    if not schedule.value.positional:
        made = call(writer.use("doubles"), made, count)
    writer.line(f"{double} = {made}", mark=True)
    writer.line(f'self.register_buffer("{schedule.ident}", {double}.float())')


_STARTS = {
    Start.DRAWN: "torch.randn({})",
    Start.ZERO: "torch.zeros({})",
    Start.NEAR_ZERO: "0.01 * torch.randn({})",
    Start.NARROW: "torch.full({}, -2.25)",
}


def _learned(writer: Writer, one: Held, start: Start) -> None:
    assert isinstance(one.term, Learned)
    initial = _STARTS[start].format(shape_source(one.shape))
    writer.line(f"self.{one.term.attribute} = nn.Parameter({initial})", mark=True)


def _module(writer: Writer, one: Held) -> None:
    assert isinstance(one.term, Module)
    network = module_source(one.term, writer)
    network = f"{writer.use('WeightsGiven')}({network})" if one.term.random else network
    writer.line(f"self.{one.term.attribute} = {network}", mark=True)


def _points(writer: Writer, one: Held) -> None:
    assert isinstance(one.term, Points)
    sides = ", ".join(f"torch.linspace(-1, 1, {s})" for s in one.term.sides)
    grid = f"torch.cartesian_prod({sides}).reshape(-1, {len(one.term.sides)})"
    writer.line(f'self.register_buffer("{one.term.attribute}", {grid})', mark=True)


def _flow(writer: Writer, one: Held) -> None:
    assert isinstance(one.term, Composition)
    chain, parts = one.term, one.term.parts
    inner = parts[0]
    if (
        chain.repeat == 1
        and not chain.reversible
        and len(parts) == 1
        and isinstance(inner, Composition)
        and not inner.attribute
    ):
        chain, parts = replace(inner, attribute=chain.attribute), inner.parts
    moves = sum(_moves(p) for p in parts)
    place = _Position()
    inside = place.repeated(moves, 0) if chain.repeat > 1 else place
    items = _in_a_row(parts, writer, inside)
    counter = inside.counter if moves and chain.repeat > 1 else "_"
    compose = writer.use(_class_of(chain))
    if chain.repeat == 1:
        _write(writer, _Nested(f"self.{chain.attribute} = {compose}(", items, ")"))
        return
    loop = f"for {counter} in range({chain.repeat})"
    if len(items) == 1:
        writer.line(f"self.{chain.attribute} = {compose}(*({items[0]} {loop}))", mark=True)
        return
    with writer.block(f"self.{chain.attribute} = {compose}("):
        writer.line("*(")
        writer.indent += 1
        writer.line("part")
        writer.line(loop)
        _write(writer, _Nested("for part in (", items, ")"))
        writer.indent -= 1
        writer.line(")")
    writer.line(")")


@dataclass(frozen=True)
class _Position:
    """The position of the next permutation in its flow: `offset`, and for each loop around it `(counter, stride)`."""

    offset: int = 0
    loops: tuple[tuple[str, int], ...] = ()

    def repeated(self, stride: int, depth: int) -> _Position:
        return _Position(self.offset, (*self.loops, ("kjlmn"[depth] if depth < 5 else f"k{depth}", stride)))

    def after(self, moves: int) -> _Position:
        return _Position(self.offset + moves, self.loops)

    @property
    def counter(self) -> str:
        return self.loops[-1][0]

    def source(self) -> str:
        terms = [name if stride == 1 else f"{stride} * {name}" for name, stride in self.loops]
        terms += [str(self.offset)] if self.offset or not terms else []
        return " + ".join(terms)


def _moves(bijection: Bijection) -> int:
    """How many permutations a flow makes; those of a flow that it names count in that flow."""
    return sum(times for block, times in blocks(bijection) if block.kind == "permute")


@dataclass(frozen=True)
class _Nested:
    """Source that may be wrapped: what opens it, its items and what closes it."""

    opening: str
    items: tuple[str | _Nested, ...]
    closing: str

    def __str__(self) -> str:
        comma = "," if len(self.items) == 1 and self.opening.endswith(" (") else ""
        return f"{self.opening}{', '.join(map(str, self.items))}{comma}{self.closing}"


def _write(writer: Writer, item: str | _Nested, end: str = "") -> None:
    flat = f"{item}{end}"
    if isinstance(item, str) or len(flat) + 4 * writer.indent <= 100:
        writer.line(flat, mark=not end)
        return
    with writer.block(item.opening):
        for inner in item.items:
            _write(writer, inner, ",")
    writer.line(f"{item.closing}{end}")


def _bijection(bijection: Bijection, writer: Writer, place: _Position) -> str | _Nested:
    if isinstance(bijection, Composition):
        if bijection.attribute:
            return f"self.{bijection.attribute}"
        moves = sum(_moves(p) for p in bijection.parts)
        inside = place.repeated(moves, len(place.loops)) if bijection.repeat > 1 else place
        counter = inside.counter if bijection.repeat > 1 and moves else "_"
        items = _in_a_row(bijection.parts, writer, inside)
        compose = writer.use(_class_of(bijection))
        if bijection.repeat == 1:
            return _Nested(f"{compose}(", items, ")")
        return _Nested(f"{compose}(*(part for {counter} in range({bijection.repeat}) for part in (", items, ")))")
    if isinstance(bijection, Inverse):
        return _Nested(f"{writer.use('Inverse')}(", (_bijection(bijection.inner, writer, place),), ")")
    if isinstance(bijection, Levels):
        levels = _in_a_row(bijection.levels, writer, place)
        return _Nested(f"{writer.use(ENTRIES[bijection.kind].runtime)}(", (_shape(bijection.shape), *levels), ")")
    assert isinstance(bijection, Block)
    if bijection.triangular is not None:
        items = tuple(_of_elements(bijection, bijection.triangular, writer, place))
        return _Nested(f"{writer.use(ENTRIES[bijection.kind].runtime)}(", items, ")")
    if bijection.field is not None:
        items = tuple(_of_a_field(bijection, bijection.field))
        return _Nested(f"{writer.use(ENTRIES[bijection.kind].runtime)}(", items, ")")
    return f"{writer.use(ENTRIES[bijection.kind].runtime)}({', '.join(_arguments(bijection, writer, place))})"


def _class_of(chain: Composition) -> str:
    return "Reversible" if chain.reversible else "Compose"


def _in_a_row(parts: Sequence[Bijection], writer: Writer, place: _Position) -> tuple[str | _Nested, ...]:
    items = []
    for part in parts:
        items.append(_bijection(part, writer, place))
        place = place.after(_moves(part))
    return tuple(items)


def _arguments(block: Block, writer: Writer, place: _Position) -> list[str]:
    """The arguments of a bijection's constructor."""
    entry = ENTRIES[block.kind]
    arguments = []
    if entry.sized:
        arguments.append(_shape(block.shape))
    for name, module in block.slots:
        arguments.append(f"{name}=" + (f"self.{module.attribute}" if module.named else module_source(module, writer)))
    arguments += _options(block)
    if block.kind == "permute" and place.source() != "0":
        arguments.append(f"position={place.source()}")
    if block.context:
        arguments.append(f"context={_names([name for name, _ in block.context])}")
    if block.transform is not None:
        options = ", ".join(f"{name}={number_text(number)}" for name, number in block.transform.options)
        transform = f"{writer.use(TRANSFORMS[block.transform.kind].runtime)}({options})"
        if block.transform.inverted:
            transform = f"{writer.use('InverseTransform')}({transform})"
        arguments.append(f"transform={transform}")
    arguments += [f"grids={_names(block.grids)}"] if block.grids else []
    sole = block.slots[0][1] if block.slots else None
    if entry.conditioner == "past" and sole is not None and len(sole.inputs.extent) > 1:
        arguments.append("grid=True")
    arguments += [f'mask="{block.mask.kind}"'] if block.mask.kind != Mask().kind else []
    arguments += [f"seed={block.mask.seed}"] if block.mask.seed else []
    arguments += ["complement=True"] if block.mask.complement else []
    arguments += [f"part={block.mask.part}, parts={block.mask.parts}"] if block.mask.kind == "part" else []
    arguments += [f"copies={block.copies}"] if block.copies else []
    arguments += ["integer=True"] if block.integer else []
    arguments += [f"low={block.range[0]}, size={block.range[1]}"] if block.range else []
    if entry.acts in ("elements", "channels") and not entry.sized and len(block.shape) != 1:
        arguments.append(f"rank={len(block.shape)}")
    return arguments


def _of_elements(block: Block, triangular: Triangular, writer: Writer, place: _Position) -> Iterator[str | _Nested]:
    """The arguments of the constructor of a flow that a formula of one element writes."""
    yield _shape(block.shape)
    yield f"self.{triangular.method}"
    yield _bijection(triangular.bijection, writer, place)
    sizes = [sum(value.shape) for _, value in triangular.numbers]  # a number, or a vector of them
    if any(sizes):
        yield f"sizes={tuple_source(sizes)}"
    yield from _made_of(block)


def _of_a_field(block: Block, field: Field) -> Iterator[str]:
    """The arguments of the constructor of a flow along a field."""
    yield _shape(block.shape)
    yield f"self.{field.method}"
    yield from _options(block)
    if (field.start, field.end) != (0.0, 1.0):
        yield f"start={number_text(field.start)}"
        yield f"end={number_text(field.end)}"
    yield from _made_of(block)


def _made_of(block: Block) -> Iterator[str]:
    """The networks of a formula, and what it is conditioned on."""
    if block.slots:
        yield f"networks={tuple_source([f'self.{module.attribute}' for _, module in block.slots])}"
    if block.context:
        yield f"context={{{', '.join(f'{json.dumps(name)}: {len(v.shape)}' for name, v in block.context)}}}"


def _options(block: Block) -> list[str]:
    """The numbers and flags of a bijection."""
    flags = {a.name for a in ENTRIES[block.kind].numbers if a.kind == "flag"}
    return [f"{n}={bool(value) if n in flags else number_text(value)}" for n, value in block.numbers]


def _shape(shape: tuple[int, ...]) -> str:
    """A shape, or the number of features of a vector."""
    return str(shape[0]) if len(shape) == 1 else shape_source(shape)


def _names(names: Sequence[str]) -> str:
    """One name, or a tuple of several."""
    quoted = [json.dumps(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"({', '.join(quoted)})"


_HELD: dict[type, Callable[[Writer, Held], None]] = {
    Parameter: _parameter,
    Fixed: _fixed,
    Module: _module,
    Points: _points,
    Composition: _flow,
}

__all__ = ["write_held"]
