"""Latents that are summed out one after another: their tables as emitted source."""

from __future__ import annotations

from dgmppl.emit.cases import some_source, values_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.sum_product import SumOut


def sum_of(graph: Graph, variable: Variable) -> str:
    """The local name of a sum, by the first of what is summed out."""
    return graph.local(f"sum_{variable.ident}")


def write_sum(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The sum: the values of what is summed out, and each density as a function of them."""
    assert isinstance(step, SumOut)
    with writer.block(f"{sum_of(graph, graph[step.variable])} = {writer.use('SumProduct')}("):
        values = (f'"{graph[n].ident}": {_values(writer, graph[n], a)}' for n, a in zip(step.variables, step.axes))
        writer.line(f"{{{', '.join(values)}}},")
        writer.line(f"self.like, {size},")
        for key in step.factor_keys:
            factor = graph.keyed(key)
            with writer.place(factor.span):
                writer.line(f"{_table(writer, graph, step, factor)},", mark=True)
    writer.line(")")


def write_reading_of_sum(writer: Writer, graph: Graph, step: SumOut) -> None:
    """A value of each latent from the exact posterior."""
    names = ", ".join(graph[n].ident for n in step.variables)
    names = names if len(step.variables) > 1 else f"({names},)"
    writer.line(f"{names} = {sum_of(graph, graph[step.variable])}.read(mean)")


def _values(writer: Writer, variable: Variable, axes: int) -> str:
    shape = variable.type.shape
    behind = f", {tuple_source(shape)}" if shape else ""
    behind += f", axes={axes}" if axes else ""
    return f"{writer.use('Values')}({values_source(variable)}{behind})"


def _table(writer: Writer, graph: Graph, step: SumOut, factor: Factor) -> str:
    """`rt.Table(("k",), lambda k, x: self.p_x(k).log_prob(x), x)`: the latents that it is a table of, and what else it
    reads."""
    inside: dict[str, None] = {}
    known: dict[str, None] = {}

    def value(name: str) -> str:
        """A variable inside of the function: an argument of it, or a feature that is computed there."""
        definition = graph.definition(name)
        if name in step.variables:
            inside[name] = None
        elif definition is not None and not set(step.variables).isdisjoint(graph.roots((name,))):
            return f"self.define_{graph[name].ident}({', '.join(map(value, variables(definition.value)))})"
        elif graph[name].rows:
            known[name] = None
        return graph[name].ident

    law = f"self.{factor.method}({', '.join(map(value, graph.reads(factor)))})"
    head = value(factor.head)
    axes = max(a for n, a in zip(step.variables, step.axes) if n in inside)
    source = f"{writer.use('log_prob_at')}({law}, {head}, {axes})" if axes else f"{law}.log_prob({head})"
    if graph[factor.head].role == "partial":
        source = f"{writer.use('log_prob_of_seen')}({law}, {head}, {some_source(graph[factor.head])})"
    names = tuple_source([f'"{graph[n].ident}"' for n in inside])
    given = [graph[n].ident for n in known]
    arguments = ", ".join([*(graph[n].ident for n in inside), *given])
    return f"{writer.use('Table')}({', '.join([names, f'lambda {arguments}: {source}', *given])})"


__all__ = ["sum_of", "write_reading_of_sum", "write_sum"]
