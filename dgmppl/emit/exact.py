"""Latents that are taken out exactly: what is emitted alike for integrals, for sums, and for chains along an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.exact import Exact, LogExact
from dgmppl.plan.rules.filter import IntegrateAlong, LogIntegralAlong
from dgmppl.plan.rules.forward import LogSumAlong, SumAlong
from dgmppl.plan.rules.integrate import Integrate, LogIntegral
from dgmppl.plan.rules.sum_product import SumOut

_NAMES: dict[type[Step] | type[Term], str] = {
    Integrate: "integral",
    LogIntegral: "integral",
    SumOut: "sum",
    SumAlong: "chain",
    LogSumAlong: "chain",
    IntegrateAlong: "chain",
    LogIntegralAlong: "chain",
}


def exact_of(graph: Graph, taken: Exact | LogExact) -> str:
    """The local name of an integral, a sum or a chain, by the first of what is taken out."""
    return graph.local(f"{_NAMES[type(taken)]}_{graph[taken.variables[0]].ident}")


def write_exact(
    writer: Writer, graph: Graph, step: Exact, kind: str, told: Iterable[str], density: Callable[[Factor], str]
) -> None:
    """An integral or a sum: what is told of the latents, a line each, each density as a function of them, and what is
    seen of them."""
    with writer.block(f"{exact_of(graph, step)} = {writer.use(kind)}("):
        for line in told:
            writer.line(f"{line},")
        for key in step.factor_keys:
            factor = graph.keyed(key)
            with writer.place(factor.span):
                writer.line(f"{density(factor)},", mark=True)
        if step.partial:
            writer.line(f"seen={seen_source(graph, step)},")
    writer.line(")")


def seen_source(graph: Graph, step: Exact) -> str:
    """What the data have of the partial variables that a step takes out, by name."""
    seen = ", ".join(f'"{graph[n].ident}": {graph[n].ident}' for n in step.partial)
    return f"{{{seen}}}"


def write_reading(writer: Writer, graph: Graph, step: Exact) -> None:
    """A value of each latent from the exact posterior: its mean, or what is most probable, or a draw."""
    names = ", ".join(graph[n].ident for n in step.variables)
    names = names if len(step.variables) > 1 else f"({names},)"
    writer.line(f"{names} = {exact_of(graph, step)}.read(mean)")


@dataclass
class Inside:
    """The inside of a function of latents: which of them it reads, and which other variables of rows, in order."""

    graph: Graph
    latents: Sequence[str]
    read: dict[str, None] = field(default_factory=dict)
    known: dict[str, None] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """A variable inside of the function: an argument of it, or a feature that is computed there."""
        graph, definition = self.graph, self.graph.definition(name)
        if name in self.latents:
            self.read[name] = None
        elif definition is not None and not set(self.latents).isdisjoint(graph.roots((name,))):
            return f"self.define_{graph[name].ident}({', '.join(map(self.value, variables(definition.value)))})"
        elif graph[name].rows:
            self.known[name] = None
        return graph[name].ident

    def law(self, factor: Factor) -> str:
        """The call of a density."""
        return f"self.{factor.method}({', '.join(map(self.value, self.graph.reads(factor)))})"


__all__ = ["Inside", "exact_of", "seen_source", "write_exact", "write_reading"]
