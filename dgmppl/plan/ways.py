"""Ways of drawing a sample: which options the `sample` of a model has, and what they are about."""

from __future__ import annotations

from dgmppl.graph.dropping import dropped_by
from dgmppl.graph.held import every_block
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import Bijection, Use, walk
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.compose import GoBack
from dgmppl.plan.rules.match import Matching


def ways_of(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """`steps` and `noise` where a normal chain is gone back along, or a flow was taught along a path; `guidance` where
    one of these, or a chain of classes, reads what a `drop` may leave out."""
    back = [s for s in plan.generate if isinstance(s, GoBack)]
    chains, strided = [graph.keyed(s.factor) for s in back], any(s.strided for s in back)
    taught = taught_flows(plan)
    guided = any(dropped_by(graph, graph.reads(f)) for f in chains)
    guided = guided or any(dropped_in(graph, t) for t in taught.values())
    return (*(("steps", "noise") if strided or taught else ()), *(("guidance",) if guided else ()))


def taught_flows(plan: Plan) -> dict[str, Matching]:
    """The variables that flows give which were taught along a path."""
    return {t.variable: t for t in plan.terms if isinstance(t, Matching)}


def dropped_in(graph: Graph, term: Matching) -> tuple[str, ...]:
    """What conditions the field of a flow and may be dropped, by the names that the flow has for it."""
    definition = graph.definition(term.variable)
    whole: object = definition.value if term.latents and definition else _density(graph.factor("p", term.variable))
    blocks = (b for t in walk(whole) if isinstance(t, Bijection) for b, _ in every_block(t) if b.solves)
    read = ((name, value) for b in blocks for name, value in b.context)
    found = (name for name, v in read if isinstance(v, Use) and dropped_by(graph, (v.variable,)) == (v.variable,))
    return tuple(dict.fromkeys(found))


def _density(factor: Factor | None) -> object:
    return factor.density if factor is not None else None


__all__ = ["dropped_in", "taught_flows", "ways_of"]
