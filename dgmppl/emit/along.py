"""Families that are eliminated along their index: their densities as links of a chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from dgmppl.emit.cases import some_source, values_source
from dgmppl.emit.exact import exact_of, seen_source
from dgmppl.emit.methods import is_completed
from dgmppl.emit.values import Place, value_expr
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.chains import LAST, Chain, Window
from dgmppl.graph.elements import reads_past
from dgmppl.graph.lengths import last_position
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import Sequence as SequenceOf
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong


def write_chain(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The chain: the values that a member of each family takes, and each density as a function of paths."""
    assert isinstance(step, SumAlong)
    every = writer.use("enumerate_values")
    states = {
        n: f"{every}({values_source(graph[n])}, {tuple_source(graph[n].element.shape)}, self.like)" for n in step.gives
    }
    _write_links(writer, graph, step, "FiniteChain", states)


def write_normal_chain(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The chain: the shape of a member of each family, and each density as a function of paths."""
    assert isinstance(step, IntegrateAlong)
    shapes = {n: tuple_source(graph[n].element.shape) for n in step.chain.variables}
    _write_links(writer, graph, step, "GaussianChain", shapes, step.alike)


def _write_links(
    writer: Writer,
    graph: Graph,
    step: SumAlong | IntegrateAlong,
    kind: str,
    members: Mapping[str, str],
    alike: Sequence[bool] = (),
) -> None:
    chain = step.chain
    told = ", ".join(f'"{graph[n].ident}": {source}' for n, source in members.items())
    with writer.block(f"{exact_of(graph, step)} = {writer.use(kind)}("):
        writer.line(f"{chain.length},")
        writer.line(f"{{{told}}},")
        places = zip(chain.places, chain.starts)
        for key, windows, (place, start), same in zip_longest(chain.factor_keys, chain.windows, places, alike):
            factor = graph.keyed(key)
            with writer.place(factor.span):
                link = link_source(writer, graph, factor, windows, step.gives, place, start, bool(same))
                writer.line(f"{link},", mark=True)
        if (lengths := _lengths(writer, graph, chain)) is not None:
            writer.line(f"lengths={lengths},")
        if chain.still:
            shapes = (f'"{graph[n].ident}": {tuple_source(graph[n].type.shape)}' for n in chain.still)
            writer.line(f"still={{{', '.join(shapes)}}},")
        if chain.backward:
            writer.line("backward=True,")
        if step.partial:
            writer.line(f"seen={seen_source(graph, step)},")
    writer.line(")")


def _lengths(writer: Writer, graph: Graph, chain: Chain) -> str | None:
    """How many members each row has, where that differs."""
    own = graph.keyed(chain.factor_keys[0]).density
    if not isinstance(own, SequenceOf) or own.lengths is None:
        return None
    return str(value_expr(own.lengths, Place(writer, graph)))


def _last_place(writer: Writer, graph: Graph, family: Variable) -> str:
    """The position of the last member of each row, from 0."""
    value = last_position(graph[family.length], family.members.start, family.span)
    return str(value_expr(value, Place(writer, graph)))


def expected_source(writer: Writer, graph: Graph, step: SumAlong, factor: Factor, completed: str) -> str:
    """The mean of what is missing of a variable under the posterior of a chain that its density reads."""
    chain, x = step.chain, graph[factor.head]
    start = chain.starts[chain.factor_keys.index(factor.key)]
    reads = graph.reads(factor)
    names = [n for n in step.gives if n in reads]
    given = [graph[n].ident for n in reads if n not in names and graph[n].rows] + [x.ident]
    arguments = ", ".join([*(graph[n].ident for n in names), *given])
    some = f"{some_source(x)}, " * x.elementwise
    law = f"self.{factor.method}({', '.join(graph[n].ident for n in reads)})"
    mean = f"lambda {arguments}: {completed}({law}, {x.ident}, {some}True)"
    told = ", ".join(f'"{graph[n].ident}"' for n in names) + "," * (len(names) == 1)
    ends = f", {start}" if start else ""
    return f"{exact_of(graph, step)}.expected(({told}), {mean}, {tuple_source(given)}{ends})"


def write_path_site(writer: Writer, graph: Graph, step: IntegrateAlong) -> None:
    """A site of Pyro for a family, from its exact posterior."""
    variable = graph[step.variable]
    law = f"{writer.use('PathNormal')}({exact_of(graph, step)})"
    writer.line(f'{variable.ident} = pyro.sample("{variable.name}", {law})')


def link_source(
    writer: Writer,
    graph: Graph,
    factor: Factor,
    windows: tuple[Window, ...],
    inside: tuple[str, ...],
    place: int | None,
    start: int,
    alike: bool,
) -> str:
    """`rt.Link(x, lambda s, c: self.p_x(s, c), {"s": (0, 0)}, (c,))`: of what it is a density, what it reads of the
    chain, and what it depends on besides."""
    reads = graph.reads(factor)
    known = [n for n in reads if n not in inside and graph[n].rows]
    if factor.head in inside and isinstance(factor.density, SequenceOf):  # where the ends are does not matter
        known = [n for n in known if any(n in variables(s.law) for s in factor.density.segments)]
    given = [graph[n].ident for n in known]
    head = graph[factor.head].ident
    arguments = [*(graph[w.variable].ident for w in windows if w.variable != factor.head), *given]
    law = f"self.{factor.method}({', '.join(graph[n].ident for n in reads)})"
    missing = graph[factor.head].role == "partial" and not is_completed(graph, graph[factor.head])
    if missing and factor.head not in inside:
        law = f"{writer.use('OfSeen')}({law}, {some_source(graph[factor.head])})"
    if place is not None:
        length = graph[inside[0]].type.shape[0]
        at = str(place) if place != LAST else _last_place(writer, graph, graph[inside[0]])
        law = f"{writer.use('OnlyAt')}({law}, {at}, {length})"
        head = f"{writer.use('only_at')}({head}, {at}, {length})"
    elif isinstance(factor.density, SequenceOf) and factor.density.type.shape[0] != (
        length := graph[inside[0]].type.shape[0]
    ):
        law = f"{writer.use('Placed')}({law}, {start}, {length})"
        head = f"{writer.use('placed')}({head}, {start}, {length})"
    law = f"lambda {', '.join(arguments)}: {law}" if arguments else f"lambda: {law}"
    looked = ", ".join(f'"{graph[w.variable].ident}": {tuple_source((w.first, w.last))}' for w in windows)
    parts = [f'"{head}"' if factor.head in inside else head, law, f"{{{looked}}}"]
    if given:
        parts.append(tuple_source(given))
    if factor.head not in inside and reads_past(factor.density, factor.head):
        parts.append("own=True")
    if alike and (given or parts[-1] == "own=True"):
        parts.append("alike=True")
    return f"{writer.use('Link')}({', '.join(parts)})"


__all__ = [
    "expected_source",
    "link_source",
    "write_chain",
    "write_normal_chain",
    "write_path_site",
]
