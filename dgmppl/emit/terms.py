"""The objective as a method: what becomes known, in order, and the terms that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgmppl.emit.cases import batch_size, mean_source, write_cases, write_weights
from dgmppl.emit.densities import by_key, factor_reads
from dgmppl.emit.steps import live, needed_steps, term_source, write_steps
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import (
    LogConditional,
    LogDet,
    LogProb,
    LogQSeen,
    MinusEnergy,
    MinusKL,
    MinusLogProb,
    NegativePhase,
    Plan,
    Step,
    Sum,
    Term,
)


@dataclass(frozen=True)
class Stretch:
    """Steps between two sums, and the terms that are written after them, each with the number of sums it is under."""

    steps: tuple[Step, ...]
    terms: tuple[tuple[Term, int], ...]


def write_terms(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`terms`: each term is computed before the rows are repeated for a sum that it does not stand under."""
    names = set[str]().union(*(_reads(graph, plan, t) for t in plan.terms))
    steps = needed_steps(graph, plan.steps, names)
    sums = [s for s in steps if isinstance(s, Sum)]
    stretches = _stretches(graph, plan, steps, sums)
    doc = f"The terms of the objective for each example, shape (n,), nats: {plan.objective.formula}."
    arguments = "".join(f", {v.ident}: Tensor" for v in graph.data)
    with writer.method(f"terms(self{arguments}) -> dict[str, Tensor]", doc):
        begun = False
        for k, stretch in enumerate(stretches):
            later = [t for s in stretches[k:] for t, _ in s.terms]
            size = batch_size(graph, sums[k - 1] if k else None)
            if k:
                after = [s for part in stretches[k:] for s in part.steps]
                write_cases(writer, graph, sums[k - 1], live(graph, after, _read_by(graph, plan, later, sums[k - 1])))
            write_steps(writer, graph, plan, [s for s in stretch.steps if s not in sums], (), size)
            if k < len(sums):
                write_weights(writer, graph, sums[k], size)
            if stretch.terms or k == len(sums):
                opening = ("return " if k == len(sums) else "terms = ") + ("terms | {" if begun else "{")
                _write_dict(writer, graph, plan, stretch, sums, size, opening)
                begun = True
    if plan.importance > 1:
        _write_bound(writer, graph, plan, arguments)


def _write_dict(
    writer: Writer, graph: Graph, plan: Plan, stretch: Stretch, sums: Sequence[Sum], size: str, opening: str
) -> None:
    with writer.block(opening):
        for term, depth in stretch.terms:
            writer.at = term.because.line
            source = mean_source(term_source(writer, graph, plan, term, size), graph, sums[:depth])
            writer.line(f'"{term.label}": {source},', mark=True)
    writer.line("}")
    writer.at = None


def _stretches(graph: Graph, plan: Plan, steps: Sequence[Step], sums: Sequence[Sum]) -> list[Stretch]:
    depth: dict[str, int] = {}
    parts: list[list[Step]] = [[]]
    for step in steps:
        if isinstance(step, Sum):
            parts.append([])
        parts[-1].append(step)
        depth[step.variable] = len(parts) - 1
    summed = {s.variable for s in sums}
    placed: list[list[tuple[Term, int]]] = [[] for _ in parts]
    for term in plan.terms:
        place = max((depth.get(name, 0) for name in _reads(graph, plan, term)), default=0)
        under = place
        if isinstance(term, (MinusLogProb, LogQSeen)) and by_key(graph, term.factor).head in summed:
            under = place - 1  # it is a number of each row, though the entropy is known once there are cases
            place = under if isinstance(term, LogQSeen) else place
        placed[place].append((term, under))
    return [Stretch(tuple(part), tuple(terms)) for part, terms in zip(parts, placed)]


def _read_by(graph: Graph, plan: Plan, terms: Sequence[Term], sum_: Sum) -> set[str]:
    """What terms after a sum read; its entropy needs the weights alone."""
    entropy = (t for t in terms if not (isinstance(t, MinusLogProb) and t.factor == sum_.factor))
    return set[str]().union(*(_reads(graph, plan, t) for t in entropy))


def _reads(graph: Graph, plan: Plan, term: Term) -> set[str]:
    """Variables whose values a term reads."""
    if isinstance(term, LogProb):
        factor = by_key(graph, term.factor)
        return {factor.head, *factor_reads(graph, factor)}
    if isinstance(term, (MinusLogProb, LogQSeen)):
        return {by_key(graph, term.factor).head}
    if isinstance(term, MinusKL):
        return {by_key(graph, term.q).head, *factor_reads(graph, by_key(graph, term.p))}
    if isinstance(term, LogDet):
        return {term.variable}
    if isinstance(term, (MinusEnergy, NegativePhase, LogConditional)) and plan.energy is not None:
        return {*plan.energy.state, *([term.variable] if isinstance(term, LogConditional) else [])}
    return set()


def _write_bound(writer: Writer, graph: Graph, plan: Plan, arguments: str) -> None:
    given = ", ".join(v.ident for v in graph.data)
    doc = f"Minus the importance-weighted bound with {plan.importance} samples (Burda et al., 2016), batch mean, nats."
    with writer.method(f"loss(self{arguments}) -> Tensor", doc):
        writer.line(f"return -{writer.use('importance_bound')}(self.terms, {plan.importance}, {given}).mean()")
