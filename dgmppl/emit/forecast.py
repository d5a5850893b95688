"""`forecast` and `propose`: sequences that go on, and draws of what is behind them given what is known."""

from __future__ import annotations

from dgmppl.emit.cases import batch_size
from dgmppl.emit.densities import by_key
from dgmppl.emit.exact import write_reading
from dgmppl.emit.generation import clamp_of, write_generation
from dgmppl.emit.methods import factor_source, values_of, write_members, write_seen
from dgmppl.emit.steps import needed_steps, turns_source, write_steps
from dgmppl.emit.term_kinds import term_source
from dgmppl.emit.terms import write_all_terms
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.plan.forecast import Forecast, is_weighed
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.exact import Exact
from dgmppl.plan.rules.in_turn import DrawInTurn


def write_forecast(writer: Writer, graph: Graph, forecast: Forecast) -> None:
    """`def forecast(self, past, x, z)`: rows that begin with members up to the number `past`, and go on by p."""
    along, number = forecast.along, graph.local("past")
    given = [*(graph[name].ident for name in forecast.given)]
    given += [values_of(graph, graph[name]) for name in forecast.latents]
    known = {*forecast.given, *forecast.latents}
    doc = f"Draws of {', '.join(forecast.families)} that begin with the members up to {along.letter} = `{number}`."
    arguments = "".join(f", {name}: Tensor" for name in (number, *given))
    writer.rows.append(("", None))
    writer.line("@torch.no_grad()")
    with writer.block(f"def forecast(self{arguments}) -> dict[str, Tensor]:"):
        writer.line(f'"""{doc}"""')
        for name in forecast.latents:
            write_members(writer, graph, graph[name])
        for step in forecast.steps:
            writer.at = step.because.line
            variable = graph[step.variable]
            if isinstance(step, DrawInTurn):
                counts = [_count(graph[name], number) for name in step.gives]
                writer.line(turns_source(writer, graph, step, f"len({number})", "", counts), mark=True)
            elif isinstance(step, Draw) and _goes_on(forecast, variable):
                factor = by_key(graph, step.factor)
                law = f"{factor_source(graph, factor)}.continued({variable.ident}, {_count(variable, number)})"
                writer.line(f"{variable.ident} = {law}{clamp_of(variable, factor.density)}", mark=True)
            elif isinstance(step, Compute) or step.variable not in known:
                write_generation(writer, graph, [step], f"len({number})")
        writer.at = None
        kept = {*forecast.families, *forecast.without} - {*graph.conditions}
        inside = ", ".join(f'"{v.name}": {v.ident}' for v in graph.data if v.name in kept)
        writer.line(f"return {{{inside}}}")


def _goes_on(forecast: Forecast, variable: Variable) -> bool:
    return variable.along is not None and variable.along.letter == forecast.along.letter and not variable.shared


def _count(variable: Variable, number: str) -> str:
    """How many members a family has up to a number."""
    assert variable.along is not None
    away = variable.along.start - 1
    return f"{number} {'-' if away > 0 else '+'} {abs(away)}" if away else number


def write_proposal(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`def propose(self, past, x)`: a draw of the latents of each row, and the logarithm of what it weighs."""
    data = [v.ident for v in graph.data]
    names = ", ".join(plan.proposes)
    weighed = is_weighed(graph, plan)
    law = "q, and the logarithm of p / q of each" if weighed else "the exact posterior, which weigh alike"
    writer.rows.append(("", None))
    writer.line("@torch.no_grad()")
    arguments = "".join(f", {ident}: Tensor" for ident in data)
    with writer.block(f"def propose(self{arguments}) -> tuple[dict[str, Tensor], Tensor]:"):
        writer.line(f'"""Draws of {names} from {law}."""')
        if not weighed:
            writer.line(f"return self.infer({', '.join(data)}), self.like.new_zeros({batch_size(graph)})")
            return
        write_seen(writer, graph)
        terms = [t for t in plan.terms if not t.beside]
        steps = needed_steps(plan.steps, {*plan.proposes, *(name for t in terms for name in t.reads)})
        items = ", ".join(f'"{name}": {values_of(graph, graph[name])}' for name in plan.proposes)
        if any(s.repeats for s in steps):  # behind the draws, rows are repeated for what is summed
            drawn, all_terms = graph.local("drawn"), graph.local("terms")
            write_all_terms(writer, graph, plan, f"{all_terms} = ", f"{drawn} = {{{items}}}")
            weight = " + ".join(f'{all_terms}["{t.label}"]' for t in terms)
            writer.line(f"return {drawn}, {weight}")
            return
        write_steps(writer, graph, plan, steps, ())
        weight = graph.local("weight")
        sources = [term_source(writer, graph, plan, t, batch_size(graph)) for t in terms]
        writer.line(f"{weight} = {' + '.join(sources).replace('+ -', '- ')}")
        read = [s for s in steps if isinstance(s, Exact)]
        if read:
            writer.line("mean = False")
        for step in read:
            write_reading(writer, graph, step)
        writer.line(f"return {{{items}}}, {weight}")


__all__ = ["write_forecast", "write_proposal"]
