"""Flow matching: the error of a field on paths from noise to data, a method for each variable that flows give."""

from __future__ import annotations

from dgmppl.emit.bijections import bijection_source
from dgmppl.emit.expr import Name
from dgmppl.emit.generation import write_generation
from dgmppl.emit.methods import density_of, factor_source
from dgmppl.emit.values import Place, reshaped, value_source
from dgmppl.emit.ways import path_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.held import every_block
from dgmppl.graph.nodes import Graph
from dgmppl.graph.rows import factor_has_rows
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Mapped, Operation, Reshaped, Value
from dgmppl.plan.generate import choose_generation
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.match import Matching


def write_matching(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`match_x`, for each variable x whose flow is taught so."""
    for term in plan.terms:
        if isinstance(term, Matching):
            _write(writer, graph, term)


def _write(writer: Writer, graph: Graph, term: Matching) -> None:
    arguments = "".join(f", {graph[name].ident}: Tensor" for name in term.reads)
    doc = f"The squared error of the field that gives {term.variable}, at a random time of each row, shape (n,)."
    with writer.method(f"match_{graph[term.variable].ident}(self{arguments}) -> Tensor", doc):
        writer.at = term.because.line
        flow, noise, data = (_of_definition if term.latents else _of_factor)(writer, graph, term)
        given = f"{flow}, {noise}, {data}, {path_source(writer, term.path)}"
        target = "" if term.target == "velocity" else f', "{term.target}"'
        writer.line(f"return {writer.use('matching_error')}({given}{target})", mark=True)
        writer.at = None


def _of_factor(writer: Writer, graph: Graph, term: Matching) -> tuple[str, str, str]:
    """A flow, its noise and the data, of a factor that is a flow of its base."""
    factor = graph.factor("p", term.variable)
    assert factor is not None
    density, x = density_of(graph, factor), graph[term.variable].ident
    writer.line(f"{density} = {factor_source(graph, factor)}", mark=True)
    size = "" if factor_has_rows(graph, factor) else f"(len({x}),)"
    return f"{density}.bijection", f"{density}.base.sample({size})", x


def _of_definition(writer: Writer, graph: Graph, term: Matching) -> tuple[str, str, str]:
    """A flow, its noise and the data, of a definition: what stands outside of the flow is undone."""
    definition = graph.definition(term.variable)
    assert definition is not None
    current, value = graph[term.variable].ident, definition.value
    latents = [s for s in choose_generation(Scope(graph.source), graph, set(term.latents)) if isinstance(s, Draw)]
    with writer.block("with torch.no_grad():"):
        write_generation(writer, graph, [s for s in latents if s.variable in term.latents], f"len({current})")
        while not (isinstance(value, Mapped) and _solves(value)):
            value, current = _undone(writer, graph, value, current)
        writer.at = term.because.line
        end = _named(writer, graph, f"end_{graph[term.variable].ident}", current)
        start = _named(
            writer, graph, f"start_{graph[term.variable].ident}", value_source(value.value, Place(writer, graph))
        )
    return bijection_source(value.bijection, Place(writer, graph)), start, end


def _named(writer: Writer, graph: Graph, name: str, source: str) -> str:
    """A value by a name, its own where it has one."""
    if source.isidentifier():
        return source
    writer.line(f"{graph.local(name)} = {source}", mark=True)
    return graph.local(name)


def _solves(value: Mapped) -> bool:
    return any(block.solves for block, _ in every_block(value.bijection))


def _undone(writer: Writer, graph: Graph, value: Value, current: str) -> tuple[Value, str]:
    """What is inside of a value, and the source of what of it this value is."""
    if isinstance(value, Operation):
        return value.operands[0], f"{writer.use('dequantised')}({current})"
    if isinstance(value, Reshaped):
        return value.value, str(reshaped(Name(current), value.shape, value.value.shape))
    assert isinstance(value, Mapped)
    return value.value, f"{bijection_source(value.bijection, Place(writer, graph))}.inverse({current})"


__all__ = ["write_matching"]
