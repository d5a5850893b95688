"""The steps of sampling as straight-line code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dgmppl.catalogue.distributions import DISTRIBUTIONS, leaks
from dgmppl.catalogue.functions import STRAIGHT_THROUGH
from dgmppl.emit.densities import by_key
from dgmppl.emit.methods import count_of, define_source, factor_source, values_of, write_members
from dgmppl.emit.steps import turns_source
from dgmppl.emit.ways import way_source, without_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.values import Operation, Parametric, walk
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.compose import GoBack
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw, not_reparameterised
from dgmppl.plan.rules.energy import RunChain
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.match import Matching
from dgmppl.supports import number_text


def write_generation(
    writer: Writer,
    graph: Graph,
    steps: Sequence[Step],
    size: str,
    differentiable: bool = False,
    taught: Mapping[str, Matching] = MappingProxyType({}),
) -> None:
    """The sampling program, `size` rows. With `differentiable`, gradients flow through the draws. `taught`: what flows
    give that may be followed in other ways."""
    for step in steps:
        writer.at = step.because.line
        variable = graph[step.variable]
        if step.variable in taught:
            with writer.block(f"with {way_source(writer, graph, taught[step.variable])}:"):
                write_generation(writer, graph, [step], size)
        elif isinstance(step, RunChain):
            names = ", ".join(graph[v].ident for v in step.variables)
            writer.line(f"{names}{',' if len(step.variables) == 1 else ''} = self.draw_from_energy({size})", mark=True)
        elif isinstance(step, DrawInTurn):
            factors = [by_key(graph, key) for key in step.factor_keys]
            graded = differentiable and not any(not_reparameterised(f.density) for f in factors)
            writer.line(turns_source(writer, graph, step, size, '"rsample"' if graded else ""), mark=True)
        elif isinstance(step, GoBack) and not differentiable:
            chain = f"self.{by_key(graph, step.chain).method}_chain"
            prior = factor_source(graph, by_key(graph, step.factor))
            without = without_source(graph, by_key(graph, step.factor))
            ways = ["steps", "noise"] if step.strided else []
            ways += ["guidance", without] if without else []
            writer.line(f"{variable.ident} = {chain}.draw({', '.join([prior, size, *ways])})", mark=True)
        elif isinstance(step, Draw):
            factor = by_key(graph, step.factor)
            rsample = differentiable and not not_reparameterised(factor.density)
            call = "rsample" if rsample else "sample"
            count = count_of(graph, factor, size)
            clamp = "" if differentiable else clamp_of(variable, factor.density)
            draw = f"{factor_source(graph, factor)}.{call}({count}){clamp}"
            writer.line(f"{values_of(graph, variable)} = {draw}", mark=True)
            write_members(writer, graph, variable)
        elif isinstance(step, Compute):
            definition = graph.definition(step.variable)
            assert definition is not None
            clamp = "" if differentiable else clamp_of(variable, definition.value)
            writer.line(f"{values_of(graph, variable)} = {define_source(graph, definition)}{clamp}", mark=True)
            write_members(writer, graph, variable)
    writer.at = None


def clamp_of(variable: Variable, term: object) -> str:
    """What puts a sample back into a bounded support that its density, or a rounded flow, reaches beyond."""
    low, high = variable.type.support.low, variable.type.support.high
    if low is None or high is None or variable.role == "let":
        return ""
    rounded = isinstance(term, Operation) and term.op in ("floor", STRAIGHT_THROUGH)
    over = any(isinstance(t, Parametric) and leaks(DISTRIBUTIONS[t.kind], variable.type.support) for t in walk(term))
    return f".clamp({number_text(low)}, {number_text(high)})" if rounded or over else ""
