"""Steps and terms as straight-line code in the order of the maths: one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dgmppl.catalogue.distributions import DISTRIBUTIONS, leaks
from dgmppl.catalogue.functions import STRAIGHT_THROUGH
from dgmppl.emit.along import chain_of, write_chain, write_normal_chain
from dgmppl.emit.cases import (
    batch_size,
    cases_of,
    imputing,
    is_seen_in_part,
    missing_of,
    some_source,
    write_cases,
    write_weights,
)
from dgmppl.emit.densities import by_key
from dgmppl.emit.energies import chain_source
from dgmppl.emit.expr import Name
from dgmppl.emit.integrals import integral_of, write_integral
from dgmppl.emit.methods import (
    count_of,
    define_source,
    density_of,
    factor_source,
    groups_of,
    values_of,
    write_members,
)
from dgmppl.emit.sums import sum_of, write_sum
from dgmppl.emit.values import Place, bijection_source, reshaped
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Definition, Graph, Variable
from dgmppl.graph.rows import factor_has_rows
from dgmppl.graph.values import Joined, Mapped, Operation, Parametric, Reshaped, Use, Value, walk
from dgmppl.plan.nodes import Plan, Step, Term
from dgmppl.plan.rules.compose import Compose, ComposedKL, GoBack
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.draw import Draw, MinusKL, MinusLogProb, not_reparameterised
from dgmppl.plan.rules.energy import LogConditional, MinusEnergy, NegativePhase, RunChain, Settle
from dgmppl.plan.rules.filter import IntegrateAlong, LogIntegralAlong
from dgmppl.plan.rules.forward import LogSumAlong, SumAlong
from dgmppl.plan.rules.impute import Impute, LogQSeen
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.integrate import Integrate, LogIntegral
from dgmppl.plan.rules.invert import Dequantise, Invert, LogDet
from dgmppl.plan.rules.marginalise import LogSum, MinusLogProbAnew
from dgmppl.plan.rules.match import Matching
from dgmppl.plan.rules.observe import Given, GivenSome, LogProbSeen
from dgmppl.plan.rules.sum_product import LogSumProduct, SumOut
from dgmppl.plan.rules.sum_under_q import Entropy
from dgmppl.supports import number_text


def needed_steps(steps: Sequence[Step], names: Iterable[str]) -> tuple[Step, ...]:
    """The steps that give values to `names`, and to what those are computed from."""
    wanted = set(names)
    kept: list[Step] = []
    for step in reversed(steps):
        if isinstance(step, Dequantise):
            if any(isinstance(k, Invert) and k.image == step.variable for k in kept):
                kept.insert(0, step)
            continue
        if not wanted & set(step.gives):
            continue
        kept.insert(0, step)
        wanted |= set(step.reads)
    return tuple(kept)


def _definition(graph: Graph, variable: str) -> Definition:
    definition = graph.definition(variable)
    assert definition is not None
    return definition


# --- steps on the data's side --------------------------------------------------------------------


def write_steps(
    writer: Writer, graph: Graph, plan: Plan, steps: Sequence[Step], last: Iterable[str], size: str = ""
) -> None:
    """The data's side: latents inverted, drawn from their q, summed under it, or settled under the energy.

    `last` are the variables that are read afterwards, `size` is how many rows there are.
    """
    settled = [s for s in steps if isinstance(s, Settle)]
    size = size or batch_size(graph)
    for k, step in enumerate(steps):
        writer.at = step.because.line
        if isinstance(step, Settle):
            if step is settled[0]:
                _settle(writer, graph, plan, settled)
        elif step.repeats:
            write_weights(writer, graph, step, size)
            write_cases(writer, graph, step, live(steps[k + 1 :], last), size)
            size = batch_size(graph, step)
        else:
            STEPS[type(step)](writer, graph, step, size)
    writer.at = None


def live(steps: Sequence[Step], last: Iterable[str]) -> set[str]:
    """The variables whose values these steps, and what follows them, read from before."""
    wanted = set(last)
    for step in reversed(steps):
        wanted -= {step.variable, *step.gives}
        wanted |= set(step.reads)
        if is_seen_in_part(step):
            wanted.add(step.variable)  # as far as it is seen
    return wanted


def _given(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """Given values are the method's arguments."""


def _compute(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    definition, variable = _definition(graph, step.variable), graph[step.variable]
    writer.line(f"{values_of(graph, variable)} = {define_source(graph, definition)}", mark=True)
    write_members(writer, graph, variable)


def noisy(graph: Graph, variable: Variable) -> str:
    """A rounded variable with its noise back."""
    return graph.local(f"noisy_{variable.ident}")


def _dequantise(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    variable = graph[step.variable]
    writer.line(f"{noisy(graph, variable)} = {writer.use('dequantised')}({variable.ident})", mark=True)


def log_det_of(graph: Graph, variable: Variable) -> str:
    """The logarithm of the determinant that comes with inverting to a variable."""
    return graph.local(f"log_det_{variable.ident}")


def _invert(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    assert isinstance(step, Invert)
    value = _definition(graph, step.image).value
    if isinstance(value, Operation):
        value = value.operands[0]
    image = graph[step.image]
    latent = graph[step.variable].ident
    log_det = log_det_of(graph, graph[step.variable])
    dets: list[str] = []
    flows = sum(isinstance(t, Mapped) for t in walk(value))

    def undo(value: Value, current: str) -> None:
        """Writes what of `current`, the value of an expression, are its latents."""
        if isinstance(value, Mapped):
            target = _target(graph, value.value, f"inner_{len(dets) + 1}_{latent}")
            det = graph.local(f"log_det_{len(dets) + 1}_{latent}") if flows > 1 else log_det
            flow = bijection_source(value.bijection, Place(writer, graph))
            writer.line(f"{target}, {det} = {flow}.inverse_and_log_det({current})", mark=True)
            dets.append(det)
            undo(value.value, target)
        elif isinstance(value, Joined):
            targets = [_target(graph, part, f"part_{k}_{current}") for k, part in enumerate(value.parts, 1)]
            sizes = ", ".join(str((part.shape or (1,))[value.axis]) for part in value.parts)
            writer.line(f"{', '.join(targets)} = {current}.split(({sizes}), {value.axis})", mark=True)
            for part, target in zip(value.parts, targets):
                if not part.shape:
                    writer.line(f"{target} = {target}.squeeze(-1)")
                undo(part, target)
        elif isinstance(value, Reshaped):
            source = str(reshaped(Name(current), value.shape, value.value.shape))
            undo(value.value, source)
        elif isinstance(value, Use) and graph[value.variable].ident != current:
            writer.line(f"{graph[value.variable].ident} = {current}", mark=True)

    current = noisy(graph, image) if step.noisy else image.ident
    if flows:
        undo(value, current)
    elif isinstance(value, Use):
        writer.line(f"{latent}, {log_det} = {current}, self.like.new_zeros(len({current}))", mark=True)
    else:
        undo(value, current)
        writer.line(f"{log_det} = self.like.new_zeros(len({current}))", mark=True)
    if flows > 1:
        writer.line(f"{log_det} = {' + '.join(dets)}", mark=True)


def _target(graph: Graph, value: Value, name: str) -> str:
    """The name of a value that a bijection is undone to: a latent's own."""
    return graph[value.variable].ident if isinstance(value, Use) else graph.local(name)


def _draw_q(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    factor = by_key(graph, step.factor)
    q = density_of(graph, factor)
    writer.line(f"{q} = {factor_source(graph, factor)}", mark=True)
    variable, draw = graph[step.variable], f"{q}.rsample({count_of(graph, factor, size)})"
    if isinstance(step, Impute):
        ident, use = variable.ident, writer.use(imputing(variable))
        writer.line(f"{ident}, {missing_of(graph, variable)} = {use}({ident}, {draw})")
    else:
        writer.line(f"{values_of(graph, variable)} = {draw}")
        write_members(writer, graph, variable)


def _settle(writer: Writer, graph: Graph, plan: Plan, settled: list[Settle]) -> None:
    names = ", ".join(graph[s.variable].ident for s in settled)
    drawn = {s.variable for s in settled}
    known = ", ".join(graph[n].ident for n in plan.samplers[0].form.state if n not in drawn)
    writer.line(f"{names} = self.settle({known})", mark=True)


def turns_source(writer: Writer, graph: Graph, step: DrawInTurn, size: str, how: str = "") -> str:
    """Families that are drawn in turn: the distribution of each as a function of all of them."""
    variables = [graph[name] for name in step.gives]
    idents = ", ".join(v.ident for v in variables)
    laws = ", ".join(f"lambda {idents}: {factor_source(graph, by_key(graph, key))}" for key in step.factor_keys)
    shapes = ", ".join(tuple_source(v.type.shape) for v in variables)
    named = [] if step.turns.lag is None else [f"lag={step.turns.lag}"]
    named += ["backward=True"] if step.turns.backward else []
    named += [f"how={how}"] if how else []
    arguments = ", ".join([f"({laws})", f"({shapes})", size, "self.like", *named])
    return f"{idents} = {writer.use('in_turn')}({arguments})"


def _draw_in_turn(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    assert isinstance(step, DrawInTurn)
    writer.line(turns_source(writer, graph, step, size, '"rsample"'), mark=True)
    for key in step.factor_keys:  # whose densities are evaluated at the draws
        factor = by_key(graph, key)
        writer.line(f"{density_of(graph, factor)} = {factor_source(graph, factor)}")


def _compose(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """What reads the chain elsewhere reads its first member, along an axis of size 1."""
    factor = by_key(graph, step.factor)
    q = density_of(graph, factor)
    writer.line(f"{q} = {factor_source(graph, factor)}", mark=True)
    if any(f.head != step.variable and step.variable in graph.reads(f) for f in graph.factors):
        writer.line(f"{graph[step.variable].ident} = self.{factor.method}_chain.first({q})")


STEPS: dict[type[Step], Callable[[Writer, Graph, Step, str], None]] = {
    Given: _given,
    GivenSome: _given,
    Compute: _compute,
    Dequantise: _dequantise,
    Invert: _invert,
    Draw: _draw_q,
    Impute: _draw_q,
    Integrate: write_integral,
    DrawInTurn: _draw_in_turn,
    SumOut: write_sum,
    SumAlong: write_chain,
    Compose: _compose,
    IntegrateAlong: write_normal_chain,
}


# --- terms ---------------------------------------------------------------------------------------


def term_source(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    """The expression of a term, of as many numbers as there are rows, `size`."""
    source = TERMS[type(term)](writer, graph, plan, term, size)
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


def _log_integral(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogIntegral)
    return f"{integral_of(graph, graph[term.variables[0]])}.log_density()"


def _log_sum_product(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    (step,) = (s for s in plan.steps if isinstance(s, SumOut))
    return f"{sum_of(graph, graph[step.variable])}.log_sum()"


def _log_integral_along(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogIntegralAlong)
    return f"{chain_of(graph, graph[term.variables[0]])}.log_density()"


def _log_sum_along(writer: Writer, graph: Graph, plan: Plan, term: Term, size: str) -> str:
    assert isinstance(term, LogSumAlong)
    return f"{chain_of(graph, graph[term.variables[0]])}.log_sum()"


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
    LogSum: _log_sum,
    LogIntegral: _log_integral,
    LogSumProduct: _log_sum_product,
    LogSumAlong: _log_sum_along,
    LogIntegralAlong: _log_integral_along,
    MinusEnergy: _minus_energy,
    NegativePhase: _negative_phase,
    LogConditional: _log_conditional,
    Matching: _matching,
}


# --- the model's side: sampling ------------------------------------------------------------------


def write_generation(
    writer: Writer, graph: Graph, steps: Sequence[Step], size: str, differentiable: bool = False
) -> None:
    """The sampling program, `size` rows. With `differentiable`, gradients flow through the draws."""
    for step in steps:
        writer.at = step.because.line
        variable = graph[step.variable]
        if isinstance(step, RunChain):
            names = ", ".join(graph[v].ident for v in step.variables)
            writer.line(f"{names}{',' if len(step.variables) == 1 else ''} = self.draw_from_energy({size})", mark=True)
        elif isinstance(step, DrawInTurn):
            factors = [by_key(graph, key) for key in step.factor_keys]
            graded = differentiable and not any(not_reparameterised(f.density) for f in factors)
            writer.line(turns_source(writer, graph, step, size, '"rsample"' if graded else ""), mark=True)
        elif isinstance(step, GoBack) and not differentiable:
            chain = f"self.{by_key(graph, step.chain).method}_chain"
            prior = factor_source(graph, by_key(graph, step.factor))
            writer.line(f"{variable.ident} = {chain}.draw({prior}, {size}, steps, noise)", mark=True)
        elif isinstance(step, Draw):
            factor = by_key(graph, step.factor)
            rsample = differentiable and not not_reparameterised(factor.density)
            call = "rsample" if rsample else "sample"
            count = count_of(graph, factor, size)
            clamp = "" if differentiable else _clamp(variable, factor.density)
            draw = f"{factor_source(graph, factor)}.{call}({count}){clamp}"
            writer.line(f"{values_of(graph, variable)} = {draw}", mark=True)
            write_members(writer, graph, variable)
        elif isinstance(step, Compute):
            definition = graph.definition(step.variable)
            assert definition is not None
            clamp = "" if differentiable else _clamp(variable, definition.value)
            writer.line(f"{values_of(graph, variable)} = {define_source(graph, definition)}{clamp}", mark=True)
            write_members(writer, graph, variable)
    writer.at = None


def _clamp(variable: Variable, term: object) -> str:
    """What puts a sample back into a bounded support that its density, or a rounded flow, reaches beyond."""
    low, high = variable.type.support.low, variable.type.support.high
    if low is None or high is None or variable.role == "let":
        return ""
    rounded = isinstance(term, Operation) and term.op in ("floor", STRAIGHT_THROUGH)
    over = any(isinstance(t, Parametric) and leaks(DISTRIBUTIONS[t.kind], variable.type.support) for t in walk(term))
    return f".clamp({number_text(low)}, {number_text(high)})" if rounded or over else ""
