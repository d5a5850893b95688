"""Sums over the values of variables, and data that some rows miss: how emitted source names and writes them."""

from __future__ import annotations

from collections.abc import Sequence

from dgmppl.emit.densities import by_key, factor_reads
from dgmppl.emit.methods import factor_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.supports import number_text
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.sum_under_q import Sum


def batch_size(graph: Graph, step: Step | None = None) -> str:
    """How many rows the data has, or those of the cases of a sum."""
    return f"{cases_of(graph[step.variable])}.weight.numel()" if step else f"len({graph.observed[0].ident})"


def write_weights(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The q that weighs the values of a sum."""
    factor = by_key(graph, step.factor)
    writer.at = step.because.line
    expand = "" if factor_reads(graph, factor) else f".expand(({size},))"
    writer.line(f"{factor.method} = {factor_source(graph, factor)}{expand}", mark=True)


def write_cases(writer: Writer, graph: Graph, step: Step, names: set[str]) -> None:
    """Each value of a variable in each row, the rows of `names` repeated for it."""
    variable, q = graph[step.variable], by_key(graph, step.factor).method
    call = f"{q}, {values_source(variable)}"
    partial = isinstance(step, Sum) and step.partial
    every = writer.use("every_missing_value" if partial else "every_value")
    last = variable.ident if partial else "self.device"
    writer.at = step.because.line
    writer.line(f"{variable.ident}, {cases_of(variable)} = {every}({call}, {last})", mark=True)
    for v in graph.variables:
        if v.name in names - {step.variable}:
            writer.line(f"{v.ident} = {cases_of(variable)}.repeat({v.ident})")
    writer.at = None


def cases_of(variable: Variable) -> str:
    return f"cases_{variable.ident}"


def values_source(variable: Variable) -> str:
    """The lowest value of a finite variable's elements, and how many they take."""
    return f"{number_text(variable.type.support.low or 0.0)}, {variable.type.support.size}"


def mean_source(source: str, graph: Graph, sums: Sequence[Step]) -> str:
    """A number of each case of these sums, outermost first, as one of each row."""
    for step in reversed(sums):
        source = f"{cases_of(graph[step.variable])}.mean({source})"
    return source


def missing_of(variable: Variable) -> str:
    return f"missing_{variable.ident}"


def some_source(variable: Variable) -> str:
    """A number that each element of a variable may be."""
    support = variable.type.support
    if support.name == "simplex":
        return f"1 / {variable.type.shape[-1]}"
    if support.name in ("interval", "unit") and support.low is not None and support.high is not None:
        return number_text((support.low + support.high) / 2)
    return number_text(1.0 if support.name == "positive" else support.low or 0.0)
