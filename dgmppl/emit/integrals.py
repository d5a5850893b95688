"""Latents that are integrated out: the densities of the integral as emitted source."""

from __future__ import annotations

from dgmppl.emit.exact import Inside, exact_of, write_exact
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.elements import reads_past
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import Sequence
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.integrate import Integrate


def write_integral(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """The integral: the shapes of what is integrated out, and each density as a function of that."""
    assert isinstance(step, Integrate)
    shapes = ", ".join(f'"{graph[n].ident}": {tuple_source(graph[n].type.shape)}' for n in step.variables)
    write_exact(
        writer, graph, step, "LinearGaussian", [f"{{{shapes}}}"], lambda f: _density(writer, graph, step.variables, f)
    )


def write_posterior(writer: Writer, graph: Graph, step: Integrate) -> None:
    """A site of Pyro for each latent, in order, from the exact posterior given those before it."""
    before: list[str] = []
    for variable in (graph[n] for n in step.variables):
        given = "".join(f", {ident}={ident}" for ident in before)
        posterior = f'{exact_of(graph, step)}.posterior("{variable.ident}"{given})'
        law = f"{writer.use('JointNormal')}(*{posterior})"
        writer.line(f'{variable.ident} = pyro.sample("{variable.name}", {law})')
        before.append(variable.ident)


def _density(writer: Writer, graph: Graph, latents: tuple[str, ...], factor: Factor) -> str:
    """`rt.NormalGiven(x, lambda z, y: self.p_x(z, y), y)`: of what it is a density, and what that depends on."""
    inside = Inside(graph, latents)
    law = inside.law(factor)
    head = f'"{graph[factor.head].ident}"' if factor.head in latents else graph[factor.head].ident
    given = [graph[name].ident for name in inside.known]
    arguments = ", ".join([*(graph[n].ident for n in latents), *given])
    partial = ["partial=True"] if graph[factor.head].role == "partial" and factor.head not in latents else []
    own = ["own=True"] if isinstance(factor.density, Sequence) and reads_past(factor.density, factor.head) else []
    return f"{writer.use('NormalGiven')}({', '.join([head, f'lambda {arguments}: {law}', *given, *partial, *own])})"


__all__ = ["write_integral", "write_posterior"]
