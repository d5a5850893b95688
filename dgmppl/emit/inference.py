"""`infer`, `marginals` and `reconstruct`: the latents of given rows, and the rows that these latents give back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from dgmppl.emit.along import expected_source
from dgmppl.emit.cases import (
    batch_size,
    cases_of,
    imputing,
    is_seen_in_part,
    missing_of,
    some_source,
    values_source,
)
from dgmppl.emit.densities import by_key, factor_reads
from dgmppl.emit.exact import exact_of, write_reading
from dgmppl.emit.methods import (
    define_source,
    density_of,
    factor_source,
    groups_of,
    values_of,
    write_members,
    write_seen,
)
from dgmppl.emit.steps import live, needed_steps, noisy, turns_source, write_steps
from dgmppl.emit.term_kinds import likelihood_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.elements import reads_past
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.energy import Settle
from dgmppl.plan.rules.enumerate import Enumerate
from dgmppl.plan.rules.exact import Exact, ExactAlong
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import Dequantise, Invert
from dgmppl.plan.rules.marginalise import LogSum, Marginalise
from dgmppl.plan.rules.observe import Given, GivenSome
from dgmppl.plan.rules.sum_in_common import SumInCommon
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.rules.sum_under_q import Sum


def write_inference(writer: Writer, graph: Graph, plan: Plan) -> None:
    """The methods that exist: none where no latent follows from the data."""
    names = inferred_of(graph, plan)
    if not names:
        return
    _write_infer(writer, graph, plan, names)
    _write_marginals(writer, graph, plan, names)
    heads = reconstructed_of(graph, plan, names)
    if heads:
        _write_reconstruct(writer, graph, plan, names, heads)


def inferred_of(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """The latents, and the partial variables, whose value given the data the plan knows; in its order."""
    given = [(name, s) for s in plan.steps for name in s.gives or (s.variable,)]
    steps = [name for name, s in given if graph[name].role == "latent" or is_seen_in_part(s)]
    steps += [n for n in _summed_out(graph, plan) if n not in steps]
    return (*dict.fromkeys(steps), *_completed(graph, plan))


def _completed(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """Variables that rows miss, or elements of, each of which follows from its own p given all else."""
    some = (s.variable for s in plan.steps if isinstance(s, GivenSome))
    return tuple(name for name in some if graph.factor("p", name) is not None)


def _summed_out(graph: Graph, plan: Plan) -> list[str]:
    """Latents that are summed out of an energy, each of which has its conditional there."""
    if not plan.samplers:
        return []
    form = plan.samplers[0].form
    names = [*form.summed, *([form.enumerated] if form.enumerated else [])]
    return [n for n in names if graph[n].role == "latent" and _conditional_reads(graph, plan, n) is not None]


def _conditional_reads(graph: Graph, plan: Plan, name: str) -> tuple[str, ...] | None:
    """What a variable's conditional under the energy reads; None where the model has none."""
    sampler = plan.samplers[0]
    update = sampler.update(name)
    if name == sampler.form.enumerated:
        return sampler.form.state
    if update is None or update.logits is None or update.kind != "block":
        return None
    return tuple(v.name for v in graph.variables if v.name in update.logits.reads())


def _write_infer(writer: Writer, graph: Graph, plan: Plan, names: tuple[str, ...]) -> None:
    read = {n for name in _summed_out(graph, plan) for n in _conditional_reads(graph, plan, name) or ()}
    completed = _completed(graph, plan)
    densities = [f for n in completed if (f := graph.factor("p", n)) is not None]
    read |= {n for f in densities for n in factor_reads(graph, f)}
    steps = needed_steps(plan.steps, {*names, *read, *_judged(plan)})
    settled = [s for s in steps if isinstance(s, Settle)]
    told = ", ".join(n for n in names if not graph[n].shared)
    common = ", ".join(n for n in names if graph[n].shared)
    of = " and ".join([*([f"{told} of each row"] if told else []), *([f"{common}, once"] if common else [])])
    first = next((k for k, s in enumerate(steps) if isinstance(s, (Marginalise, Enumerate))), len(steps))
    with _method(writer, graph, "infer", f"{of}, {{}}; see `GenerativeModel.infer`."):
        write_seen(writer, graph)
        for step in steps[:first]:
            writer.at = step.because.line
            if isinstance(step, (Draw, Impute, Sum, SumInCommon)):
                _write_value(writer, graph, step)
            elif isinstance(step, DrawInTurn):
                how = '"mean" if mean else "rsample"'
                writer.line(turns_source(writer, graph, step, batch_size(graph), how), mark=True)
            elif isinstance(step, Dequantise):
                image = graph[step.variable]
                ident = image.ident
                drawn = f"{writer.use('dequantised')}({ident})"
                writer.line(f"{noisy(graph, image)} = {ident} + 0.5 if mean else {drawn}", mark=True)
            elif isinstance(step, Settle):
                if step is settled[0]:
                    write_steps(writer, graph, plan, settled, ())
            else:
                write_steps(writer, graph, plan, [step], ())
            if isinstance(step, Exact):
                write_reading(writer, graph, step)
        if steps[first:]:
            # What is completed, and what its density reads, is that of the case too.
            later = set(_summed_out(graph, plan)) - {name for s in steps for name in s.gives or (s.variable,)}
            of_data = {*completed, *graph.roots(read)} if completed or later else set[str]()
            data = [v.name for v in graph.data if v.name in of_data]
            of_cases = [n for n in names if n not in data and n not in later]
            _write_posterior(writer, graph, plan, steps[first:], [*of_cases, *data])
            for factor in densities:
                _write_features(writer, graph, plan, factor_reads(graph, factor))
        for name in _summed_out(graph, plan):
            writer.at = None
            ident = graph[name].ident
            inputs = [graph[n].ident for n in _conditional_reads(graph, plan, name) or ()]
            size = f"len({inputs[0]})" if steps[first:] and inputs else batch_size(graph)  # data may be those of cases
            writer.line(f"{ident} = {writer.use('reading')}(self.p_{ident}({', '.join(inputs)}), mean, {size})")
        for factor in densities:
            writer.at = None
            x = graph[factor.head]
            given = f"{factor_source(graph, factor)}, {x.ident}{f', {some_source(x)}' * x.elementwise}, mean"
            completed_by = writer.use("completed" if x.elementwise else "completed_rows")
            source = f"{completed_by}({given})"
            along = next((s for s in steps[:first] if isinstance(s, SumAlong) and _averages(graph, s, factor)), None)
            if along is not None:
                source = f"{expected_source(writer, graph, along, factor, completed_by)} if mean else {source}"
            writer.line(f"{x.ident} = {source}")
        writer.at = None
        writer.line(f"return {{{', '.join(_item(graph, n) for n in names)}}}")


def _averages(graph: Graph, step: SumAlong, factor: Factor) -> bool:
    """Whether the mean of what is missing is that over the values that are summed out at its own position. Of few
    values it has none: those are the most probable ones on the most probable path."""
    if factor.key not in step.chain.factor_keys or graph[factor.head].type.support.finite:
        return False
    windows = step.chain.windows[step.chain.factor_keys.index(factor.key)]
    return all(w.first == w.last == 0 for w in windows) and not reads_past(factor.density, factor.head)


def _write_posterior(writer: Writer, graph: Graph, plan: Plan, steps: Sequence[Step], names: Sequence[str]) -> None:
    """What is summed out under its prior has its posterior by Bayes' rule: a row takes one of its cases."""
    weights = _write_case_weights(writer, graph, plan, steps, names)
    case = graph.local("case")
    numbers, cases = weights
    writer.line(f"{case} = {writer.use('posterior_case')}({numbers}, mean, {cases})")
    for name in (n for n in names if graph[n].rows):
        ident = graph[name].ident
        writer.line(f"{ident} = {writer.use('of_case')}({ident}, {case})")


def _write_case_weights(
    writer: Writer, graph: Graph, plan: Plan, steps: Sequence[Step], names: Sequence[str]
) -> tuple[str, str]:
    """The cases of sums, and what else a case counts for. What is drawn for each case weighs it by p / q."""
    (total,) = (t for t in plan.terms if isinstance(t, LogSum))
    read, size = {*names, *(name for t in total.terms for name in t.reads)}, ""
    for k, step in enumerate(steps):
        if isinstance(step, Draw):
            factor, ident = by_key(graph, step.factor), graph[step.variable].ident
            writer.at = step.because.line
            writer.line(f"{density_of(graph, factor)} = {factor_source(graph, factor)}", mark=True)
            writer.line(
                f"{ident} = {writer.use('reading')}({density_of(graph, factor)}, mean, {size or batch_size(graph)})"
            )
        else:
            write_steps(writer, graph, plan, [step], live(steps[k + 1 :], read), size)
        if isinstance(step, Exact):
            write_reading(writer, graph, step)
        size = batch_size(graph, step) if step.repeats else size
    sums = [s for s in steps if s.repeats]
    size = batch_size(graph, sums[-1])
    numbers = likelihood_source(writer, graph, plan, total, size)
    writer.at = None
    return numbers, ", ".join(cases_of(graph, graph[s.variable]) for s in sums)


def _item(graph: Graph, name: str) -> str:
    return f'"{name}": {values_of(graph, graph[name])}'


def _write_value(writer: Writer, graph: Graph, step: Draw | Impute | Sum | SumInCommon) -> None:
    """A latent's own value, of which a sum has all in turn; a partial one has that of the data where it is seen."""
    factor, variable = by_key(graph, step.factor), graph[step.variable]
    size = batch_size(graph) if not variable.shared else groups_of(graph, variable) if variable.group else None
    value = f"{writer.use('reading')}({factor_source(graph, factor)}, mean, {size})"
    if variable.role == "partial":
        target = f"{variable.ident}, {missing_of(graph, variable)}"
        value = f"{writer.use(imputing(variable))}({variable.ident}, {value})"
    else:
        target = values_of(graph, variable)
    writer.line(f"{target} = {value}", mark=True)
    write_members(writer, graph, variable)


def _method(writer: Writer, graph: Graph, name: str, doc: str) -> AbstractContextManager[None]:
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    drawn = "the means of q in place of draws with `mean`" if name == "infer" else "the mean, or else a draw"
    signature = f"{name}(self{data}, *, mean: bool = {name == 'reconstruct'}) -> dict[str, Tensor]"
    return writer.method(signature, doc.format(drawn))


def marginals_of(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """The latents of a row whose posterior each, given the data alone, is known exactly."""
    names = [n for n in inferred_of(graph, plan) if graph[n].role == "latent"]
    if plan.samplers:
        return tuple(n for n in _summed_out(graph, plan) if graph[n].type.support.numeric and _follows(graph, plan, n))
    steps = needed_steps(plan.steps, {*names, *_judged(plan)})
    sums = [s for s in steps if isinstance(s, Marginalise) and not s.partial]
    exact = [s for s in steps if isinstance(s, Exact)]
    if len({type(s) for s in steps} & {Integrate, SumOut, SumAlong, IntegrateAlong, Marginalise}) != 1:
        return ()
    if not all(isinstance(s, (Given, GivenSome, Compute, Invert, Exact, Marginalise)) for s in steps):
        return ()
    found = [s.variable for s in sums] or [n for s in exact for n in s.gives]
    return tuple(n for n in names if n in found)


def _follows(graph: Graph, plan: Plan, name: str) -> bool:
    """Whether a variable's conditional under an energy reads what the data have, and nothing else."""
    reads = _conditional_reads(graph, plan, name) or ()
    return {v.name for v in graph.observed} >= set(reads) and not any(isinstance(s, GivenSome) for s in plan.steps)


def _judged(plan: Plan) -> set[str]:
    """What the cases of a sum are weighed by."""
    return {name for t in plan.terms if isinstance(t, LogSum) for name in t.reads}


def _write_marginals(writer: Writer, graph: Graph, plan: Plan, inferred: tuple[str, ...]) -> None:
    """`marginals`: the exact posterior of each latent alone."""
    names = marginals_of(graph, plan)
    if not names:
        return
    steps = needed_steps(plan.steps, {*names, *_judged(plan)})
    first = next((k for k, s in enumerate(steps) if isinstance(s, Marginalise)), len(steps))
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    each = f"each member of {', '.join(names)}" if any(isinstance(s, ExactAlong) for s in steps) else ", ".join(names)
    doc = f"The posterior of {each} alone given the data; see `GenerativeModel.marginals`."
    with writer.method(f"marginals(self{data}) -> dict[str, {writer.use('Distribution')}]", doc):
        write_seen(writer, graph)
        if plan.samplers:
            laws = []
            for name in names:
                given = ", ".join(graph[n].ident for n in _conditional_reads(graph, plan, name) or ())
                laws.append(f'"{name}": self.p_{graph[name].ident}({given})')
            writer.line(f"return {{{', '.join(laws)}}}")
            return
        write_steps(writer, graph, plan, steps[:first], ())
        if steps[first:]:
            numbers, cases = _write_case_weights(writer, graph, plan, steps[first:], names)
            if len(names) > 1:
                total = graph.local("numbers")
                writer.line(f"{total} = {numbers}")
                numbers = total
            with writer.block("return {"):
                for name in names:
                    values = f"{graph[name].ident}, {values_source(graph[name])}"
                    writer.line(f'"{name}": {writer.use("posterior_of_cases")}({values}, {numbers}, {cases}),')
            writer.line("}")
            return
        writer.at = None
        joint = " | ".join(f"{exact_of(graph, s)}.marginals()" for s in steps if isinstance(s, Exact))
        if all(graph[n].ident == n for n in names):
            writer.line(f"return {joint}")
            return
        posteriors = graph.local("laws")  # by the names in the source, as z_1 of z[1]
        writer.line(f"{posteriors} = {joint}")
        with writer.block("return {"):
            for name in names:
                writer.line(f'"{name}": {posteriors}["{graph[name].ident}"],')
        writer.line("}")


def reconstructed_of(graph: Graph, plan: Plan, latents: Iterable[str]) -> tuple[str, ...]:
    """The variables of the data that depend on these latents given what the data has of the others."""
    known, data = set(latents) - set(_completed(graph, plan)), {v.name for v in graph.data}

    def through(names: Iterable[str]) -> bool:
        roots = set(graph.roots(names))
        return bool(known & roots) and roots <= known | data

    found = []
    for v in graph.data:
        factor, definition = graph.factor("p", v.name), graph.definition(v.name)
        if definition is not None:
            reads = variables(definition.value)
        elif factor is not None:
            reads = factor_reads(graph, factor)
        elif plan.samplers and graph.energy is not None and v.name in graph.energy.arguments:
            reads = _conditional_reads(graph, plan, v.name) or ()
        else:
            reads = ()
        if v.name not in known and v.name not in plan.conditions and through(reads):
            found.append(v.name)
    return tuple(found)


def _write_reconstruct(
    writer: Writer, graph: Graph, plan: Plan, latents: tuple[str, ...], heads: tuple[str, ...]
) -> None:
    latents = tuple(n for n in latents if n not in _completed(graph, plan))
    doc = f"{', '.join(heads)} given back through {', '.join(latents)}: {{}}."
    given = ", ".join(v.ident for v in graph.data)
    with _method(writer, graph, "reconstruct", doc):
        latent = graph.local("latents")
        writer.line(f"{latent} = self.infer({given}, mean=mean)")
        for name in latents:
            writer.line(f'{values_of(graph, graph[name])} = {latent}["{name}"]')
            write_members(writer, graph, graph[name])
        items = []
        for name in heads:
            factor, definition = graph.factor("p", name), graph.definition(name)
            if definition is not None:
                _write_features(writer, graph, plan, variables(definition.value))
                items.append((name, define_source(graph, definition)))
                continue
            if factor is not None:
                _write_features(writer, graph, plan, factor_reads(graph, factor))
                density = factor_source(graph, factor)
            else:
                reads = ", ".join(graph[n].ident for n in _conditional_reads(graph, plan, name) or ())
                density = f"self.p_{graph[name].ident}({reads})"
            items.append((name, f"{writer.use('reading')}({density}, mean, {batch_size(graph)})"))
        with writer.block("return {"):
            for name, source in items:
                writer.line(f'"{name}": {source},')
        writer.line("}")


def _write_features(writer: Writer, graph: Graph, plan: Plan, reads: Iterable[str]) -> None:
    """Features that are read, computed anew from what the latents gave."""
    computed: list[Step] = [s for s in plan.generate if isinstance(s, Compute) and graph[s.variable].role == "let"]
    write_steps(writer, graph, plan, needed_steps(computed, reads), ())


__all__ = ["inferred_of", "marginals_of", "reconstructed_of", "write_inference"]
