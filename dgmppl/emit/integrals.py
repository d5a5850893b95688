"""Latents that are integrated out: the densities of the integral as emitted source."""

from __future__ import annotations

from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Factor, Graph, Variable
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.integrate import Integrate


def integral_of(graph: Graph, variable: Variable) -> str:
    """The local name of an integral, by the first of what is integrated out."""
    return graph.local(f"integral_{variable.ident}")


def write_integral(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The integral: the shapes of what is integrated out, and each density as a function of that."""
    assert isinstance(step, Integrate)
    shapes = ", ".join(f'"{graph[n].ident}": {tuple_source(graph[n].type.shape)}' for n in step.variables)
    with writer.block(f"{integral_of(graph, graph[step.variable])} = {writer.use('LinearGaussian')}("):
        writer.line(f"{{{shapes}}},")
        for key in step.factor_keys:
            factor = graph.keyed(key)
            with writer.place(factor.span):
                writer.line(f"{_density(writer, graph, step, factor)},", mark=True)
    writer.line(")")


def write_reading(writer: Writer, graph: Graph, step: Integrate) -> None:
    """A value of each latent from the exact posterior."""
    names = ", ".join(graph[n].ident for n in step.variables)
    names = names if len(step.variables) > 1 else f"({names},)"
    writer.line(f"{names} = {integral_of(graph, graph[step.variable])}.read(mean)")


def write_posterior(writer: Writer, graph: Graph, step: Integrate) -> None:
    """A site of Pyro for each latent, in order, from the exact posterior given those before it."""
    before: list[str] = []
    for variable in (graph[n] for n in step.variables):
        given = "".join(f", {ident}={ident}" for ident in before)
        posterior = f'{integral_of(graph, graph[step.variable])}.posterior("{variable.ident}"{given})'
        law = f"{writer.use('JointNormal')}(*{posterior})"
        writer.line(f'{variable.ident} = pyro.sample("{variable.name}", {law})')
        before.append(variable.ident)


def _density(writer: Writer, graph: Graph, step: Integrate, factor: Factor) -> str:
    """`rt.NormalGiven(x, lambda z, y: self.p_x(z, y), y)`: of what it is a density, and what that depends on."""
    inside = frozenset(step.variables)
    known: dict[str, None] = {}

    def value(name: str) -> str:
        """A variable inside of the function: an argument of it, or a feature that is computed there."""
        definition = graph.definition(name)
        if name not in inside and definition is not None and not inside.isdisjoint(graph.roots((name,))):
            return f"self.define_{graph[name].ident}({', '.join(map(value, variables(definition.value)))})"
        if name not in inside and graph[name].rows:
            known[name] = None
        return graph[name].ident

    law = f"self.{factor.method}({', '.join(map(value, graph.reads(factor)))})"
    head = f'"{graph[factor.head].ident}"' if factor.head in inside else graph[factor.head].ident
    given = [graph[name].ident for name in known]
    arguments = ", ".join([*(graph[n].ident for n in step.variables), *given])
    partial = ["partial=True"] if graph[factor.head].role == "partial" else []
    return f"{writer.use('NormalGiven')}({', '.join([head, f'lambda {arguments}: {law}', *given, *partial])})"


__all__ = ["integral_of", "write_integral", "write_posterior", "write_reading"]
