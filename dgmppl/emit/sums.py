"""Latents that are summed out one after another: their tables as emitted source."""

from __future__ import annotations

from dgmppl.emit.cases import some_source, values_source
from dgmppl.emit.exact import Inside, write_exact
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.sum_product import SumOut


def write_sum(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The sum: the values of what is summed out, and each density as a function of them."""
    assert isinstance(step, SumOut)
    values = (f'"{graph[n].ident}": {_values(writer, graph[n], a)}' for n, a in zip(step.variables, step.axes))
    told = [f"{{{', '.join(values)}}}", f"self.like, {size}"]
    write_exact(writer, graph, step, "SumProduct", told, lambda factor: _table(writer, graph, step, factor))


def _values(writer: Writer, variable: Variable, axes: int) -> str:
    shape = variable.type.shape
    behind = f", {tuple_source(shape)}" if shape else ""
    behind += f", axes={axes}" if axes else ""
    return f"{writer.use('Values')}({values_source(variable)}{behind})"


def _table(writer: Writer, graph: Graph, step: SumOut, factor: Factor) -> str:
    """`rt.Table(("k",), lambda k, x: self.p_x(k).log_prob(x), x)`: the latents that it is a table of, and what else it
    reads."""
    inside = Inside(graph, step.variables)
    law, head = inside.law(factor), inside.value(factor.head)
    axes = max(a for n, a in zip(step.variables, step.axes) if n in inside.read)
    source = f"{writer.use('log_prob_at')}({law}, {head}, {axes})" if axes else f"{law}.log_prob({head})"
    if graph[factor.head].role == "partial":
        source = f"{writer.use('log_prob_of_seen')}({law}, {head}, {some_source(graph[factor.head])})"
    names = tuple_source([f'"{graph[n].ident}"' for n in inside.read])
    given = [graph[n].ident for n in inside.known]
    arguments = ", ".join([*(graph[n].ident for n in inside.read), *given])
    return f"{writer.use('Table')}({', '.join([names, f'lambda {arguments}: {source}', *given])})"


__all__ = ["write_sum"]
