"""The objective as a method: what becomes known, in order, and the terms that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgmppl.emit.cases import batch_size, mean_source, write_cases, write_weights
from dgmppl.emit.methods import write_seen
from dgmppl.emit.steps import live, needed_steps, write_steps
from dgmppl.emit.term_kinds import term_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan, Step, Term
from dgmppl.plan.rules.impute import LogQSeen
from dgmppl.plan.rules.sum_under_q import Entropy, Sum


@dataclass(frozen=True)
class Stretch:
    """Steps between two sums, and the terms that are written after them, each with the number of sums it is under."""

    steps: tuple[Step, ...]
    terms: tuple[tuple[Term, int], ...]


def write_terms(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`terms`: each term is computed before the rows are repeated for a sum that it does not stand under."""
    doc = f"The terms of the objective for each example, shape (n,), nats: {plan.objective.formula}."
    arguments = "".join(f", {v.ident}: Tensor" for v in graph.data)
    with writer.method(f"terms(self{arguments}) -> dict[str, Tensor]", doc):
        write_seen(writer, graph)
        write_all_terms(writer, graph, plan, "return ")


def write_all_terms(writer: Writer, graph: Graph, plan: Plan, last: str, kept: str = "") -> None:
    """The terms by name, with what is written before that dictionary; and a line before rows are repeated."""
    names = {name for t in plan.terms for name in t.reads}
    steps = needed_steps(plan.steps, names)
    sums = [s for s in steps if s.repeats]
    stretches = _stretches(plan, steps, sums)
    begun, before = False, graph.local("terms")
    for k, stretch in enumerate(stretches):
        later = [t for s in stretches[k:] for t, _ in s.terms]
        size = batch_size(graph, sums[k - 1] if k else None)
        if k:
            after = [s for part in stretches[k:] for s in part.steps]
            before_it = batch_size(graph, sums[k - 2] if k > 1 else None)
            write_cases(writer, graph, sums[k - 1], live(after, _read_by(later, sums[k - 1])), before_it)
        write_steps(writer, graph, plan, [s for s in stretch.steps if s not in sums], (), size)
        if kept and not k:
            writer.line(kept)
        if k < len(sums):
            write_weights(writer, graph, sums[k], size)
        if stretch.terms or k == len(sums):
            opening = (last if k == len(sums) else f"{before} = ") + (f"{before} | {{" if begun else "{")
            _write_dict(writer, graph, plan, stretch, sums, size, opening)
            begun = True


def _write_dict(
    writer: Writer, graph: Graph, plan: Plan, stretch: Stretch, sums: Sequence[Step], size: str, opening: str
) -> None:
    with writer.block(opening):
        for term, depth in stretch.terms:
            writer.at = term.because.line
            # A logarithm of a sum has taken the cases of the variables that it sums out together already.
            weighed = [s for s in sums[:depth] if isinstance(s, Sum)]
            source = mean_source(term_source(writer, graph, plan, term, size), graph, weighed)
            writer.line(f'"{term.label}": {source},', mark=True)
    writer.line("}")
    writer.at = None


def _stretches(plan: Plan, steps: Sequence[Step], sums: Sequence[Step]) -> list[Stretch]:
    depth: dict[str, int] = {}
    parts: list[list[Step]] = [[]]
    for step in steps:
        if step.repeats:
            parts.append([])
        parts[-1].append(step)
        depth.update((name, len(parts) - 1) for name in step.gives)
    summed = {s.variable for s in sums}
    placed: list[list[tuple[Term, int]]] = [[] for _ in parts]
    for term in plan.terms:
        place = max((depth.get(name, 0) for name in term.reads), default=0)
        under = place
        if isinstance(term, (Entropy, LogQSeen)) and term.owner in summed:
            under = place - 1  # it is a number of each row, though the entropy is known once there are cases
            place = under if isinstance(term, LogQSeen) else place
        placed[place].append((term, under))
    return [Stretch(tuple(part), tuple(terms)) for part, terms in zip(parts, placed)]


def _read_by(terms: Sequence[Term], sum_: Step) -> set[str]:
    """What terms after a sum read; its entropy needs the weights alone."""
    others = (t for t in terms if not (isinstance(t, Entropy) and t.factor == sum_.factor))
    return {name for t in others for name in t.reads}
