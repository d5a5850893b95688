"""Terms as expressions: one function a kind."""

from __future__ import annotations

from collections.abc import Callable

from dgmppl.emit.cases import cases_of, missing_of, some_source
from dgmppl.emit.densities import by_key
from dgmppl.emit.energies import chain_source
from dgmppl.emit.exact import exact_of
from dgmppl.emit.methods import density_of, factor_source, groups_of, values_of
from dgmppl.emit.steps import log_det_of
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.rows import factor_has_rows
from dgmppl.plan.nodes import Plan, Term
from dgmppl.plan.rules.compose import ComposedKL
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.draw import MinusKL, MinusLogProb
from dgmppl.plan.rules.energy import LogConditional, MinusEnergy, NegativePhase
from dgmppl.plan.rules.exact import LogExact
from dgmppl.plan.rules.filter import LogIntegralAlong
from dgmppl.plan.rules.forward import LogSumAlong
from dgmppl.plan.rules.impute import LogQSeen
from dgmppl.plan.rules.integrate import LogIntegral
from dgmppl.plan.rules.invert import LogDet
from dgmppl.plan.rules.marginalise import LogSum, MinusLogProbAnew
from dgmppl.plan.rules.match import Matching
from dgmppl.plan.rules.observe import LogProbSeen
from dgmppl.plan.rules.sum_in_common import EntropyInCommon
from dgmppl.plan.rules.sum_product import LogSumProduct, SumOut
from dgmppl.plan.rules.sum_under_q import Entropy


def term_source(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    """The expression of a term, of as many numbers as there are rows, `size`."""
    return shared_source(term, one_source(writer, graph, plan, term, size), size)


def one_source(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    """The expression of a term or, of what rows have in common, of each group or once."""
    return TERMS[type(term)](writer, graph, plan, term, size)


def shared_source(term: Term, source: str, size: str) -> str:
    """The share of each row in what rows have in common; else the term itself."""
    return f"self.share({source}, {size})" if term.shared else source


def _log_prob(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogProb)
    factor = by_key(graph, term.factor)
    return f"{factor_source(graph, factor)}.log_prob({values_of(graph, graph[factor.head])})"


def _log_prob_seen(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, (LogProbSeen, LogQSeen))
    factor = by_key(graph, term.factor)
    head = graph[factor.head]
    made = any(s.factor == factor.key for s in plan.steps)
    density = density_of(graph, factor) if made else factor_source(graph, factor)
    if head.elementwise:
        return f"{writer.use('log_prob_of_seen')}({density}, {head.ident}, {some_source(head)})"
    return f"{writer.use('log_prob_seen')}({density}, {head.ident}, {some_source(head)})"


def _minus_log_prob(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, MinusLogProb)
    factor = by_key(graph, term.factor)
    head = graph[factor.head]
    if head.elementwise:
        given = f"{density_of(graph, factor)}, {head.ident}, {missing_of(graph, head)}"
        return f"-{writer.use('log_prob_where')}({given})"
    if term.shared:
        return f"-{writer.use('log_prob_of_draw')}({density_of(graph, factor)}, {values_of(graph, head)})"
    source = f"-{density_of(graph, factor)}.log_prob({values_of(graph, head)})"
    return f"torch.where({missing_of(graph, head)}, {source}, 0.0)" if head.role == "partial" else source


def _minus_log_prob_anew(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, MinusLogProbAnew)
    factor = by_key(graph, term.factor)
    return f"-{factor_source(graph, factor)}.log_prob({values_of(graph, graph[factor.head])})"


def _minus_kl(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, MinusKL)
    q, p = by_key(graph, term.q), by_key(graph, term.p)
    head = graph[q.head]
    rows = factor_has_rows(graph, q) or factor_has_rows(graph, p) or not head.rows
    # The same for every row, or group.
    expand = "" if rows else f".expand({size if head.group is None else groups_of(graph, head)})"
    if term.along:
        value = values_of(graph, head)
        return f"-{writer.use('kl_along')}({density_of(graph, q)}, {factor_source(graph, p)}, {value}){expand}"
    return f"-{writer.use('kl_divergence')}({density_of(graph, q)}, {factor_source(graph, p)}){expand}"


def _composed_kl(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, ComposedKL)
    q, p = by_key(graph, term.q), by_key(graph, term.p)
    simple = ", simple=True" if term.simple else ""
    return f"-self.{q.method}_chain.kl({density_of(graph, q)}, {factor_source(graph, p)}{simple})"


def _log_det(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogDet)
    return log_det_of(graph, graph[term.variable])


def _entropy(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, Entropy)
    return f"{cases_of(graph, graph[by_key(graph, term.factor).head])}.entropy()"


def _entropy_in_common(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, EntropyInCommon)
    q = by_key(graph, term.factor)
    return f"-{density_of(graph, q)}.log_prob({values_of(graph, graph[q.head])})"


def likelihood_source(writer: Writer, graph: Graph, plan: Plan, term: LogSum, size: str) -> str:
    """The source of what a sum over cases has of each besides its weight: 0 where nothing depends on them."""
    source = ""
    for one in (term_source(writer, graph, plan, t, size) for t in term.terms):
        source = one if not source else f"{source} - {one[1:]}" if one.startswith("-") else f"{source} + {one}"
    return source or f"self.like.new_zeros({size})"


def _log_sum(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    """The terms of each case added up, then summed over the cases, the innermost variable first."""
    assert isinstance(term, LogSum)
    source = likelihood_source(writer, graph, plan, term, size)
    for name in reversed(term.variables):
        source = f"{cases_of(graph, graph[name])}.log_sum({source})"
    return source


def _log_of_integral(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogExact)
    return f"{exact_of(graph, term)}.log_density()"


def _log_sum_product(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    # The term leaves out a latent that nothing depends on.
    (step,) = (s for s in plan.steps if isinstance(s, SumOut))
    return f"{exact_of(graph, step)}.log_sum()"


def _log_of_sum(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogExact)
    return f"{exact_of(graph, term)}.log_sum()"


def _minus_energy(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    return f"-self.free_energy({_state(graph, plan)})"


def _negative_phase(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    # There may be more or fewer chains than examples: each example gets their mean.
    return f"self.free_energy({chain_source(graph, plan)}).mean().expand({size})"


def _state(graph: Graph, plan: Plan) -> str:
    return ", ".join(graph[n].ident for n in plan.samplers[0].form.state)


def _log_conditional(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogConditional)
    given = _state(graph, plan)
    variable = graph[term.variable]
    density = f"self.p_{variable.ident}({given})"
    if variable.role == "partial":
        return f"{writer.use('log_prob_seen')}({density}, {variable.ident}, {some_source(variable)})"
    return f"{density}.log_prob({variable.ident})"


def _matching(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, Matching)
    return f"-self.match_{graph[term.variable].ident}({', '.join(graph[name].ident for name in term.reads)})"


TERMS: dict[type[Term], Callable[[Writer, Graph, Plan, Term, str], str]] = {
    LogProb: _log_prob,
    LogProbSeen: _log_prob_seen,
    LogQSeen: _log_prob_seen,
    MinusLogProb: _minus_log_prob,
    MinusLogProbAnew: _minus_log_prob_anew,
    MinusKL: _minus_kl,
    ComposedKL: _composed_kl,
    LogDet: _log_det,
    Entropy: _entropy,
    EntropyInCommon: _entropy_in_common,
    LogSum: _log_sum,
    LogIntegral: _log_of_integral,
    LogSumProduct: _log_sum_product,
    LogSumAlong: _log_of_sum,
    LogIntegralAlong: _log_of_integral,
    MinusEnergy: _minus_energy,
    NegativePhase: _negative_phase,
    LogConditional: _log_conditional,
    Matching: _matching,
}
