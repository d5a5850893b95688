"""Two functions of a definition that is read backwards: what it maps, and what of its value its latents are."""

from __future__ import annotations

from dgmppl.emit.methods import define_source
from dgmppl.emit.steps import log_det_of, noisy, write_steps
from dgmppl.emit.values import Place, value_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import Operation, variables
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.invert import Invert


def preimage_source(graph: Graph, plan: Plan, step: Invert) -> str:
    """The source of `image` and `preimage`, functions of a model. `image` has the values of latents, and of what else
    the definition reads, to its value before that is rounded; `preimage` has such a value, and what else is read, to
    the latents and ``log |det d latents / d value|``."""
    definition = graph.definition(step.image)
    assert definition is not None
    value = definition.value
    before = value.operands[0] if step.noisy and isinstance(value, Operation) else value
    reads = variables(value)
    writer = Writer(graph.source)
    with writer.block(f"def image(self, {', '.join(graph[name].ident for name in reads)}):"):
        source = value_source(before, Place(writer, graph)) if step.noisy else define_source(graph, definition)
        writer.line(f"return {source}")
    whole = noisy(graph, graph[step.image]) if step.noisy else graph[step.image].ident
    others = [graph[name].ident for name in reads if name not in step.gives]
    with writer.block(f"def preimage(self, {', '.join([whole, *others])}):"):
        write_steps(writer, graph, plan, [step], ())
        latents = tuple_source([graph[name].ident for name in step.gives])
        writer.line(f"return {latents}, {log_det_of(graph, graph[step.variable])}")
    return "\n".join(line for line, _ in writer.rows) + "\n"


__all__ = ["preimage_source"]
