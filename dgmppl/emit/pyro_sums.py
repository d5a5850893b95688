"""Latents that are taken out exactly, in Pyro: where there is data the model has one factor of each row in their place,
the logarithm of the sum; without data it draws them as all else."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.emit.cases import batch_size
from dgmppl.emit.methods import write_seen
from dgmppl.emit.steps import needed_steps, write_steps
from dgmppl.emit.term_kinds import term_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan, Step, Term
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.exact import LogExact
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import Invert, LogDet
from dgmppl.plan.rules.marginalise import LogSum, Marginalise
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.supports import REAL, number_text


@dataclass(frozen=True)
class Summed:
    """The steps at the end of a plan that take latents out exactly, and the terms that these give.

    Args:
        gone: the latents, and what is computed from them.
        heads: the data, and the latents that are drawn, of which a term has the density.
        reads: what the terms depend on besides the data, features apart.
    """

    steps: tuple[Step, ...]
    terms: tuple[Term, ...]
    gone: frozenset[str]
    heads: frozenset[str]
    reads: tuple[str, ...]

    def tells(self, step: Step) -> bool:
        """Whether the factor of the sum stands for what a step of the generative model gives."""
        return not (self.gone | self.heads).isdisjoint((*step.gives, *(n for n in step.reads if n in self.gone)))


def summed(graph: Graph, plan: Plan) -> Summed | None:
    """What Pyro's model has as a factor; None where there is nothing of the kind, or more to it than a sum."""
    first = next((k for k, s in enumerate(plan.steps) if needs_factor(graph, s)), None)
    if first is None or any(isinstance(s, Invert) for s in plan.steps[:first]):
        return None
    steps = plan.steps[first:]
    kinds = (Marginalise, SumOut, SumAlong, Integrate, IntegrateAlong, Compute, Invert)
    if not all(isinstance(s, kinds) for s in steps) or any(_is_open(s) for s in steps):
        return None
    gone = frozenset(name for s in steps for name in s.gives)
    terms = tuple(t for t in plan.terms if gone & set(t.reads))
    if not all(_is_plain(t) for t in terms):
        return None
    heads = frozenset(graph.keyed(key).head for t in terms for key in t.factors()) - gone
    if any(graph[n].role == "latent" and graph[n].type.support != REAL for n in heads):
        return None
    read = [name for s in steps for name in s.reads] + [name for t in terms for name in t.reads]
    computed = [s for s in needed_steps(plan.steps[:first], read) if _is_feature(graph, s)]
    names = dict.fromkeys([*read, *(name for s in computed for name in s.reads)])
    inside = gone | {s.variable for s in computed} | {v.name for v in graph.data}
    return Summed((*computed, *steps), terms, gone, heads, tuple(n for n in names if n not in inside))


def needs_factor(graph: Graph, step: Step) -> bool:
    """Whether a step leaves no single latent of a row a law of its own, from which Pyro's guide could draw it."""
    if isinstance(step, IntegrateAlong):
        return bool(graph[step.variable].length or step.partial) or len(step.gives) > 1
    return isinstance(step, (Marginalise, SumOut, SumAlong)) or (isinstance(step, Integrate) and bool(step.partial))


def _is_open(step: Step) -> bool:
    """Whether a step fills in what the data miss, or what rounding took away."""
    return (isinstance(step, Marginalise) and step.partial) or (isinstance(step, Invert) and step.noisy)


def _is_plain(term: Term) -> bool:
    """Whether a term is a density, or a sum of products of such: nothing in it is drawn."""
    if isinstance(term, LogSum):
        return all(_is_plain(t) for t in term.terms)
    return isinstance(term, (LogProb, LogExact, LogDet))


def _is_feature(graph: Graph, step: Step) -> bool:
    return isinstance(step, Compute) and graph[step.variable].role == "let"


def write_log_sum(writer: Writer, graph: Graph, plan: Plan, found: Summed) -> None:
    """The method that gives the terms of the sum together, each with its weight."""
    names = ", ".join(f"{ident}: Tensor" for ident in _arguments(graph, found))
    with writer.method(
        f"log_sum(self, {names}) -> Tensor", f"{' + '.join(t.label for t in found.terms)}, of each row."
    ):
        write_seen(writer, graph)
        names_read = {n for t in found.terms for n in t.reads}
        steps = needed_steps(found.steps, names_read)
        write_steps(writer, graph, plan, steps, names_read)
        cases = [s for s in steps if s.repeats]
        size = batch_size(graph, cases[-1] if cases else None)
        parts = []
        for term in found.terms:
            source = term_source(writer, graph, plan, term, size)
            parts.append(source if term.weight == 1 else f"{number_text(term.weight)} * ({source})")
        writer.line(f"return {' + '.join(parts)}")


def write_factor_of_sum(writer: Writer, graph: Graph, found: Summed) -> None:
    """The statement of the model that has it."""
    if found.terms:
        name = next(s.variable for s in found.steps if needs_factor(graph, s))
        writer.line(f'pyro.factor("sum_{graph[name].ident}", self.log_sum({", ".join(_arguments(graph, found))}))')


def write_site_in_sum(writer: Writer, graph: Graph, name: str) -> None:
    """A site of a latent whose density is in the sum: that of the site itself counts for nothing."""
    variable = graph[name]
    shape = variable.type.shape
    law = f"{writer.use('Normal')}(0.0, 1.0).expand({tuple_source(shape)}).to_event({len(shape)}).mask(False)"
    writer.line(f'{variable.ident} = pyro.sample("{name}", {law})')


def _arguments(graph: Graph, found: Summed) -> list[str]:
    return [*(v.ident for v in graph.data), *(graph[n].ident for n in found.reads)]


__all__ = ["Summed", "needs_factor", "summed", "write_factor_of_sum", "write_log_sum", "write_site_in_sum"]
