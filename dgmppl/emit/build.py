"""What a model holds: the constructor's lines for networks, flows, parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.emit.values import module_source, shape_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.supports import number_text
from dgmppl.graph.values import (
    Bijection,
    Block,
    Chain,
    Learned,
    Mixture,
    Module,
    Points,
    walk,
)


def held_terms(graph: Graph) -> Iterator[tuple[object, object]]:
    """Every typed expression of the graph, with the statement that it stands in."""
    for d in graph.definitions:
        yield d.value, d
    for f in graph.factors:
        yield f.density, f
    if graph.energy is not None:
        yield graph.energy.value, graph.energy
    for a in graph.adversaries:
        yield a.module, a


def write_held(writer: Writer, graph: Graph) -> None:
    """One line for each thing that the model holds, in order of first use."""
    seen: set[str] = set()
    for parameter in graph.parameters:
        with writer.place(parameter.span):
            size = shape_source(parameter.type.shape)
            writer.line(
                f"self.{parameter.ident} = nn.Parameter({number_text(parameter.scale)} * torch.randn({size}))",
                mark=True,
            )
    for term, statement in held_terms(graph):
        with writer.place(statement.span):  # type: ignore[attr-defined]
            inside = {m.attribute for t in walk(term) if isinstance(t, Block) for _, m in t.slots if not m.named}
            weights = {id(t.weights) for t in walk(term) if isinstance(t, Mixture)}
            for t in walk(term):
                if isinstance(t, Module) and t.attribute not in seen | inside:
                    seen.add(t.attribute)
                    writer.line(f"self.{t.attribute} = {module_source(t, writer)}", mark=True)
                elif isinstance(t, Chain):
                    _write_chain(writer, t, seen)
                elif isinstance(t, Learned) and t.attribute not in seen:
                    seen.add(t.attribute)
                    shape = (t.copies, *t.shape) if t.copies and id(t) not in weights else t.shape
                    kind = "zeros" if id(t) in weights else "randn"
                    writer.line(f"self.{t.attribute} = nn.Parameter(torch.{kind}({shape_source(shape)}))", mark=True)
                elif isinstance(t, Points) and t.attribute not in seen:
                    seen.add(t.attribute)
                    sides = ", ".join(f"torch.linspace(-1, 1, {s})" for s in t.sides)
                    grid = f"torch.cartesian_prod({sides}).reshape(-1, {len(t.sides)})"
                    writer.line(f'self.register_buffer("{t.attribute}", {grid})', mark=True)


def _write_chain(writer: Writer, chain: Chain, seen: set[str]) -> None:
    """A flow that the model holds, after the named networks and flows that it uses."""
    for part in chain.parts:
        for t in walk(part):
            if isinstance(t, Chain):
                _write_chain(writer, t, seen)
            elif isinstance(t, Block):
                for _, m in t.slots:
                    if m.named and m.attribute not in seen:
                        seen.add(m.attribute)
                        writer.line(f"self.{m.attribute} = {module_source(m, writer)}", mark=True)
    if chain.attribute and chain.attribute not in seen:
        seen.add(chain.attribute)
        _write_flow(writer, chain)


def _write_flow(writer: Writer, chain: Chain) -> None:
    parts = chain.parts
    if chain.repeat == 1 and len(parts) == 1 and isinstance(parts[0], Chain):
        chain, parts = Chain(chain.span, chain.attribute, parts[0].parts, parts[0].repeat), parts[0].parts
    seeds = _Seeds()
    loop = seeds.enter(chain)
    items = [_bijection(p, writer, seeds) for p in parts]
    compose = writer.use("Compose")
    if chain.repeat == 1:
        _write_call(writer, f"self.{chain.attribute} = {compose}(", items, ")")
        return
    if len(items) == 1:
        line = f"self.{chain.attribute} = {compose}(*({items[0]} for {loop} in range({chain.repeat})))"
        writer.line(line, mark=True)
        return
    with writer.block(f"self.{chain.attribute} = {compose}("):
        writer.line("*(")
        writer.indent += 1
        writer.line("part")
        writer.line(f"for {loop} in range({chain.repeat})")
        _write_call(writer, "for part in (", items, ")")
        writer.indent -= 1
        writer.line(")")
    writer.line(")")


class _Seeds:
    """The seeds of a flow's permutations: each has its own, in repeats too, counted from 0 or from the seed given."""

    def __init__(self) -> None:
        self.met = 0
        self.loops: list[tuple[str, int]] = []

    def enter(self, chain: Chain) -> str:
        """The variable of a chain's loop; "_" where nothing in it has a seed."""
        inside = _permutations(chain) // chain.repeat
        if chain.repeat == 1 or not inside:
            return "_"
        depth = len(self.loops)
        self.loops.append(("k" if depth == 0 else f"k{depth + 1}", inside))
        return self.loops[-1][0]

    def leave(self, loop: str, repeat: int) -> None:
        if loop != "_":
            _, inside = self.loops.pop()
            self.met += inside * (repeat - 1)

    def next(self, given: float | None) -> str:
        """The seed of the next permutation, an expression in the variables of the loops around it."""
        start = self.met if given is None else int(given)
        self.met += 1
        terms = [name if step == 1 else f"{step} * {name}" for name, step in self.loops]
        return " + ".join([*terms, *([str(start)] if start or not terms else [])])


def _permutations(bijection: Bijection) -> int:
    """How many permutations a bijection has, repeats counted; those of a named flow are its own."""
    if isinstance(bijection, Chain):
        return bijection.repeat * sum(_permutations(p) for p in bijection.parts if not _named(p))
    assert isinstance(bijection, Block)
    return int("seed" in BIJECTIONS[bijection.kind].numbers)


def _named(bijection: Bijection) -> bool:
    return isinstance(bijection, Chain) and bool(bijection.attribute)


def _write_call(writer: Writer, opening: str, items: list[str], closing: str) -> None:
    flat = f"{opening}{', '.join(items)}{closing}"
    if len(flat) + 4 * writer.indent <= 100:
        writer.line(flat, mark=True)
        return
    with writer.block(opening):
        for item in items:
            writer.line(f"{item},")
    writer.line(closing)


def _bijection(bijection: Bijection, writer: Writer, seeds: _Seeds) -> str:
    if isinstance(bijection, Chain):
        if bijection.attribute:
            return f"self.{bijection.attribute}"
        loop = seeds.enter(bijection)
        inner = ", ".join(_bijection(p, writer, seeds) for p in bijection.parts)
        seeds.leave(loop, bijection.repeat)
        if bijection.repeat == 1:
            return f"{writer.use('Compose')}({inner})"
        parts = f"({inner},)" if len(bijection.parts) == 1 else f"({inner})"
        return f"{writer.use('Compose')}(*(part for {loop} in range({bijection.repeat}) for part in {parts}))"
    assert isinstance(bijection, Block)
    entry = BIJECTIONS[bijection.kind]
    arguments = [str(bijection.features)] if entry.features else []
    for name, module in bijection.slots:
        arguments.append(f"{name}=" + (f"self.{module.attribute}" if module.named else module_source(module, writer)))
    numbers = dict(bijection.numbers)
    if "seed" in entry.numbers:
        arguments.append(f"seed={seeds.next(numbers.pop('seed', None))}")
    arguments += [f"{name}={number_text(number)}" for name, number in numbers.items()]
    arguments += ["conditioner=nn.Identity()"] if bijection.identity else []
    arguments += ["integer=True"] if bijection.integer else []
    arguments += [f"low={bijection.low}"] if bijection.low else []
    arguments += [f"size={bijection.size}"] if bijection.size is not None else []
    return f"{writer.use(entry.runtime)}({', '.join(arguments)})"


__all__ = ["held_terms", "write_held"]
