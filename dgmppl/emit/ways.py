"""Ways of drawing a sample, as source: how a flow is followed, and what a law is without what is dropped."""

from __future__ import annotations

from dgmppl.catalogue.training import PATH_CLASSES
from dgmppl.emit.densities import factor_reads
from dgmppl.emit.writer import Writer
from dgmppl.graph.dropping import dropped_by
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import Dropped, variables
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.match import Matching
from dgmppl.plan.settings import PathSetting
from dgmppl.plan.ways import dropped_in, taught_flows, ways_of
from dgmppl.supports import number_text


def path_source(writer: Writer, path: PathSetting) -> str:
    options = ", ".join(f"{name}={number_text(value)}" for name, value in path.options.items())
    return f"{writer.use(PATH_CLASSES[path.name])}({options})"


def way_arguments(graph: Graph, plan: Plan) -> str:
    """The arguments of a method that draws, which say in what way; "" where there is but one."""
    ways = ways_of(graph, plan)
    if not ways:
        return ""
    found = []
    if "steps" in ways:
        found += ["steps: int | None = None", f"noise: float = {'0.0' if taught_flows(plan) else '1.0'}"]
    found += ["guidance: float = 0.0"] if "guidance" in ways else []
    return f", *, {', '.join(found)}"


def way_source(writer: Writer, graph: Graph, term: Matching) -> str:
    """Inside of which a flow is followed as `sample` is asked to."""
    dropped = "".join(f'"{name}",' for name in dropped_in(graph, term))
    guided = f", guidance, ({dropped})" if dropped else ""
    return f"{writer.use('on_the_way')}({path_source(writer, term.path)}, steps, noise{guided})"


def without_source(graph: Graph, factor: Factor) -> str:
    """The call that gives a factor's distribution without what a `drop` may leave out; "" where it reads none."""
    names = factor_reads(graph, factor)
    if not dropped_by(graph, names):
        return ""
    return f"self.{factor.method}({', '.join(_without(graph, name) for name in names)})"


def _without(graph: Graph, name: str) -> str:
    variable, definition = graph[name], graph.definition(name)
    if definition is None or not dropped_by(graph, (name,)):
        return variable.ident
    if isinstance(definition.value, Dropped):
        return f"torch.zeros_like({variable.ident})"
    return f"self.define_{variable.ident}({', '.join(_without(graph, n) for n in variables(definition.value))})"


__all__ = ["path_source", "way_arguments", "way_source", "without_source"]
