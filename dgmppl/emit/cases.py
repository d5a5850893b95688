"""Sums over the values of variables, and data that some rows miss: how emitted source names and writes them."""

from __future__ import annotations

from collections.abc import Sequence

from dgmppl.emit.densities import by_key
from dgmppl.emit.methods import density_of, factor_source, is_completed, seen_of
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.rows import factor_has_rows
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.enumerate import Enumerate
from dgmppl.plan.rules.exact import Exact
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.plan.rules.sum_under_q import Sum
from dgmppl.supports import number_text


def batch_size(graph: Graph, step: Step | None = None) -> str:
    """How many rows the data has, or those of the cases of a sum."""
    first = (*graph.observed, *graph.data)[0]
    return f"{cases_of(graph, graph[step.variable])}.weight.numel()" if step else f"len({first.ident})"


def write_weights(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The density that weighs the values of a sum, where they are weighed at once."""
    if not step.factor:
        return
    factor = by_key(graph, step.factor)
    writer.at = step.because.line
    expand = "" if factor_has_rows(graph, factor) else f".expand(({size},))"
    writer.line(f"{density_of(graph, factor)} = {factor_source(graph, factor)}{expand}", mark=True)


def write_cases(writer: Writer, graph: Graph, step: Step, names: set[str], size: str) -> None:
    """Each value of a variable in each of so many rows, the rows of `names` repeated for it."""
    variable = graph[step.variable]
    call = f"{_weighed_by(graph, step, size)}, {values_source(variable)}"
    every = writer.use(_every(step, variable))
    last = variable.ident if is_seen_in_part(step) else "self.like"
    writer.at = step.because.line
    writer.line(f"{variable.ident}, {cases_of(graph, variable)} = {every}({call}, {last})", mark=True)
    for v in graph.variables:
        if v.name in names and is_completed(graph, v):
            seen = seen_of(graph, v)
            writer.line(f"{seen} = {cases_of(graph, variable)}.repeat({seen})")
        if v.name in names - {step.variable} and v.rows:
            writer.line(f"{v.ident} = {cases_of(graph, variable)}.repeat({v.ident})")
    writer.at = None


def is_seen_in_part(step: Step) -> bool:
    """Whether a step completes a variable that the data has in some rows, or of which it has some elements."""
    return isinstance(step, Impute) or (isinstance(step, (Sum, Marginalise, Exact)) and bool(step.partial))


def _every(step: Step, variable: Variable) -> str:
    """The function of the runtime that gives the values that a variable takes in each row."""
    if isinstance(step, Enumerate):
        return "each_value"
    if not is_seen_in_part(step):
        return "every_value"
    if isinstance(step, Marginalise):
        return "every_agreeing_value"
    return "every_missing_element" if variable.elementwise else "every_missing_value"


def _weighed_by(graph: Graph, step: Step, size: str) -> str:
    """What the function is told of the rows: the density of the values or, where that comes later, their number."""
    if not step.factor:
        return f"{size}, {tuple_source(graph[step.variable].type.shape)}"
    return density_of(graph, by_key(graph, step.factor))


def cases_of(graph: Graph, variable: Variable) -> str:
    return graph.local(f"cases_{variable.ident}")


def values_source(variable: Variable) -> str:
    """The lowest value of a finite variable's elements, and how many they take."""
    return f"{number_text(variable.type.support.low or 0.0)}, {variable.type.support.size}"


def mean_source(source: str, graph: Graph, sums: Sequence[Step]) -> str:
    """A number of each case of these sums, outermost first, as one of each row."""
    for step in reversed(sums):
        source = f"{cases_of(graph, graph[step.variable])}.mean({source})"
    return source


def imputing(variable: Variable) -> str:
    """The function of the runtime that completes a variable by draws."""
    return "impute_elements" if variable.elementwise else "impute"


def missing_of(graph: Graph, variable: Variable) -> str:
    return graph.local(f"missing_{variable.ident}")


def some_source(variable: Variable) -> str:
    """A number that each element of a variable may be."""
    return number_text(variable.type.feasible)
