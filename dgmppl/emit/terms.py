"""The objective as a method: what becomes known, in order, and the terms that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgmppl.emit.cases import batch_size, is_seen_in_part, mean_source, values_source, write_cases, write_weights
from dgmppl.emit.densities import by_key
from dgmppl.emit.methods import (
    density_of,
    factor_source,
    groups_of,
    is_completed,
    row_groups,
    seen_of,
    values_of,
    write_members,
    write_seen,
)
from dgmppl.emit.steps import live, needed_steps, write_steps
from dgmppl.emit.term_kinds import one_source, shared_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.rows import factor_has_rows
from dgmppl.plan.nodes import Plan, Step, Term
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.impute import LogQSeen
from dgmppl.plan.rules.sum_in_common import SumInCommon
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
    """The terms by name, with what is written before that dictionary; and a line before rows are repeated, behind which
    what rows have in common has been drawn."""
    names = {name for t in plan.terms for name in t.reads}
    steps = needed_steps(plan.steps, names)
    if kept:
        _write_terms(writer, graph, plan, steps, plan.terms, last, kept)
    else:
        _write_in_common(writer, graph, plan, steps, plan.terms, last)


def _write_in_common(
    writer: Writer,
    graph: Graph,
    plan: Plan,
    steps: Sequence[Step],
    terms: Sequence[Term],
    last: str,
    before: tuple[Step, ...] = (),
    under: tuple[SumInCommon, ...] = (),
    named: str = "terms",
) -> None:
    """These terms, each weighed by what it is `under`, after the steps `before`. What depends on a variable of few
    values that rows have in common is a function of it, which is called with each of them; what depends on another one
    alone is computed beside it, once. Terms that are computed before others are `named` so."""
    k, step = next(((k, s) for k, s in enumerate(steps) if isinstance(s, SumInCommon)), (len(steps), None))
    if step is None:
        _write_terms(writer, graph, plan, steps, terms, last, "", under)
        return
    variable, after = graph[step.variable], steps[k + 1 :]
    late = {name for s in steps[k:] for name in s.gives}
    early = [t for t in terms if not late & set(t.reads)]
    apart = [t for t in terms if t not in early and _is_apart(steps[k:], t)]
    inside = [t for t in terms if t not in (*early, *apart)]
    beside = needed_steps(after, {name for t in apart for name in t.reads})
    after = needed_steps(after, {name for t in inside for name in t.reads}) if apart else after
    begun, total = graph.local(named), writer.use("each_value_in_common")
    before = (*before, *steps[:k], step)
    if early:
        _write_terms(writer, graph, plan, steps[:k], early, f"{begun} = ", "", under)
    else:
        write_steps(writer, graph, plan, steps[:k], ())
    other = f"{named}_apart"
    if apart:
        _write_in_common(
            writer, graph, plan, beside, apart, f"{graph.local(other)} = ", before[:-1], under, named=other
        )
    writer.at = step.because.line
    factor = by_key(graph, step.factor)
    expand = "" if factor_has_rows(graph, factor) or not variable.group else f".expand(({groups_of(graph, variable)},))"
    writer.line(f"{density_of(graph, factor)} = {factor_source(graph, factor)}{expand}", mark=True)
    writer.line()
    given = graph.local(f"given_{variable.ident}")
    held = _held(graph, before[:-1], after, inside)
    arguments = ", ".join(
        f"{ident}: Tensor" for ident in (values_of(graph, variable), _weight_of(graph, variable, True))
    )
    arguments += "".join(f", {ident}: Tensor = {ident}" for ident in held)
    with writer.block(f"def {given}({arguments}) -> dict[str, Tensor]:"):
        write_members(writer, graph, variable)
        if variable.group and any(not t.shared for t in inside):
            weight, rows = _weight_of(graph, variable, True), _weight_of(graph, variable, False)
            writer.line(f"{rows} = {weight}[{row_groups(graph, variable)}]")
        _write_in_common(writer, graph, plan, after, inside, "return ", before, (*under, step))
    writer.line()
    values = f"{given}, {density_of(graph, factor)}, {values_source(variable)}, self.like"
    others = f"{begun} | " * bool(early) + f"{graph.local(other)} | " * bool(apart)
    writer.line(f"{last}{others}{total}({values})", mark=True)
    writer.at = None


def _is_apart(steps: Sequence[Step], term: Term) -> bool:
    """Whether a term depends on others of the classes that rows have in common alone, and not on that of the first of
    these steps. Nothing that it needs is drawn, or taken out of a row: that is done once for all terms."""
    first, *after = steps
    touched = set(first.gives) | {first.variable}
    for s in after:
        touched |= set(s.gives) | {s.variable} if touched & set(s.reads) else set()
    needed = needed_steps(after, term.reads)
    return not touched & set(term.reads) and all(isinstance(s, (SumInCommon, Compute)) for s in needed)


def _held(graph: Graph, before: Sequence[Step], after: Sequence[Step], terms: Sequence[Term]) -> list[str]:
    """What a function of a value keeps of what is outside of it, under names that are given to other values inside."""
    if not any(s.repeats or is_seen_in_part(s) for s in after):
        return []
    known = {name for s in before for name in s.gives} | {s.variable for s in after if is_seen_in_part(s)}
    read = live(after, {name for t in terms for name in t.reads})
    held = [v for v in graph.variables if v.rows and v.name in known & read]
    return [v.ident for v in held] + [seen_of(graph, v) for v in held if is_completed(graph, v)]


def _weight_of(graph: Graph, variable: Variable, of_groups: bool) -> str:
    """The local name of what q gives the value of a variable: in each group, or in the group of each row."""
    if of_groups and variable.group is not None:
        return graph.local(f"weight_{variable.ident}_by_{graph[variable.group].ident}")
    return graph.local(f"weight_{variable.ident}")


def _weighed(graph: Graph, term: Term, source: str, under: Sequence[SumInCommon]) -> str:
    """A term, weighed by what q gives the values that it is under. A term of a group, or of all rows, depends on none
    of another group's: it has the same share of each value."""
    own = graph[term.owner] if term.shared else None
    for step in under:
        variable = graph[step.variable]
        if own is not None and variable.group is not None and variable.group != own.group:
            source = f"{source} / {step.values}"
        else:
            source = f"{source} * {_weight_of(graph, variable, own is not None)}"
    return source


def _write_terms(
    writer: Writer,
    graph: Graph,
    plan: Plan,
    steps: Sequence[Step],
    terms: Sequence[Term],
    last: str,
    kept: str,
    under: tuple[SumInCommon, ...] = (),
) -> None:
    sums = [s for s in steps if s.repeats]
    stretches = _stretches(terms, steps, sums)
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
            _write_dict(writer, graph, plan, stretch, sums, size, opening, under)
            begun = True


def _write_dict(
    writer: Writer,
    graph: Graph,
    plan: Plan,
    stretch: Stretch,
    sums: Sequence[Step],
    size: str,
    opening: str,
    under: Sequence[SumInCommon],
) -> None:
    with writer.block(opening):
        for term, depth in stretch.terms:
            writer.at = term.because.line
            # A logarithm of a sum has taken the cases of the variables that it sums out together already.
            weighed = [s for s in sums[:depth] if isinstance(s, Sum)]
            source = mean_source(one_source(writer, graph, plan, term, size), graph, weighed)
            source = shared_source(term, _weighed(graph, term, source, under), size)
            writer.line(f'"{term.label}": {source},', mark=True)
    writer.line("}")
    writer.at = None


def _stretches(terms: Sequence[Term], steps: Sequence[Step], sums: Sequence[Step]) -> list[Stretch]:
    depth: dict[str, int] = {}
    parts: list[list[Step]] = [[]]
    for step in steps:
        if step.repeats:
            parts.append([])
        parts[-1].append(step)
        depth.update((name, len(parts) - 1) for name in step.gives)
    summed = {s.variable for s in sums}
    placed: list[list[tuple[Term, int]]] = [[] for _ in parts]
    for term in terms:
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
