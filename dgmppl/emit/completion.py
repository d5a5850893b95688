"""`complete`: all variables of rows of which some are known, by p; in a model that is made for that alone."""

from __future__ import annotations

from dgmppl.emit.densities import by_key
from dgmppl.emit.generation import clamp_of, write_generation
from dgmppl.emit.methods import factor_source, groups_of, values_of, write_members
from dgmppl.emit.steps import turns_source
from dgmppl.emit.ways import way_arguments, way_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.observe import Given
from dgmppl.plan.ways import taught_flows


def write_completion(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`def complete(self, n, known)`: the steps of sampling, each left out where what it gives is known."""
    known = graph.local("known")
    found = [name for step in plan.generate for name in step.gives if graph[name].role != "let"]
    writer.rows.append(("", None))
    writer.line("@torch.no_grad()")
    ways = way_arguments(graph, plan) or ", *"
    arguments = f"n: int, {known}: dict[str, Tensor]{ways}, mean: bool = False"
    with writer.block(f"def complete(self, {arguments}) -> dict[str, Tensor]:"):
        writer.line(f'"""n draws, or means, of {", ".join(found)}, but for what is `{known}`."""')
        for step in plan.generate:
            writer.at = step.because.line
            variable = graph[step.variable]
            if isinstance(step, Given):
                writer.line(f'{variable.ident} = self.condition("{variable.name}", {known}["{variable.name}"], n)')
            elif variable.role == "let":
                write_generation(writer, graph, [step], "n")
            else:
                _write_step(writer, graph, plan, step, known)
        writer.at = None
        inside = ", ".join(f'"{name}": {values_of(graph, graph[name])}' for name in dict.fromkeys(found))
        writer.line(f"return {{{inside}}}")


def _write_step(writer: Writer, graph: Graph, plan: Plan, step: Step, known: str) -> None:
    asked = " and ".join(f'"{name}" in {known}' for name in step.gives)
    with writer.block(f"if {asked}:"):
        for name in step.gives:
            writer.line(f'{values_of(graph, graph[name])} = {known}["{name}"]')
            write_members(writer, graph, graph[name])
    with writer.block("else:"):
        if isinstance(step, DrawInTurn):
            how = '"mean" if mean else "sample"'
            writer.line(turns_source(writer, graph, step, "n", how), mark=True)
        elif type(step) is Draw and step.variable not in taught_flows(plan):
            _write_value(writer, graph, step)
        elif type(step) is Draw:
            with writer.block(f"with {way_source(writer, graph, taught_flows(plan)[step.variable])}:"):
                _write_value(writer, graph, step)
        elif isinstance(step, Compute):
            write_generation(writer, graph, [step], "n", taught=taught_flows(plan))
        else:
            write_generation(writer, graph, [step], "n")


def _write_value(writer: Writer, graph: Graph, step: Draw) -> None:
    """A variable's mean or a draw."""
    factor, variable = by_key(graph, step.factor), graph[step.variable]
    size = "n" if variable.group is None else str(groups_of(graph, variable))
    size = size if variable.rows or variable.group is not None else "None"
    value = f"{writer.use('reading')}({factor_source(graph, factor)}, mean, {size})"
    writer.line(f"{values_of(graph, variable)} = {value}{clamp_of(variable, factor.density)}", mark=True)
    write_members(writer, graph, variable)


__all__ = ["write_completion"]
