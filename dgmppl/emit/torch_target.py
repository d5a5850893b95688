"""Plan to torch source: a `GenerativeModel` with one method a factor and the objective in the order of the maths."""

from __future__ import annotations

from dgmppl.emit.build import write_held
from dgmppl.emit.cases import batch_size, mean_source, some_source, values_source
from dgmppl.emit.densities import factor_reads
from dgmppl.emit.energies import chain_steps, write_chain, write_energy
from dgmppl.emit.games import write_games
from dgmppl.emit.inference import write_inference
from dgmppl.emit.methods import factor_source, write_definition, write_factor
from dgmppl.emit.module import class_name, write_module
from dgmppl.emit.steps import needed_steps, write_generation, write_steps
from dgmppl.emit.terms import write_terms
from dgmppl.emit.writer import Emitted, Writer, tuple_source
from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.nodes import Graph
from dgmppl.graph.rows import factor_has_rows
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.energy import NegativePhase
from dgmppl.supports import number_text


def emit_torch(graph: Graph, plan: Plan) -> Emitted:
    """The torch module of a plan."""
    writer = Writer(graph.source)
    doc = f"{_structure(graph)}, fitted by {plan.objective.name}."
    with writer.block(f"class {class_name(graph)}({writer.use('GenerativeModel')}):"):
        writer.line(f'"""{doc}"""')
        writer.line()
        _write_attributes(writer, graph, plan)
        with writer.block("def __init__(self) -> None:"):
            writer.line("super().__init__()")
            write_held(writer, graph)
            for term in plan.terms:
                if isinstance(term, NegativePhase):
                    write_chain(writer, graph, plan.samplers[0], term.chain)
        for factor in graph.factors:
            write_factor(writer, graph, factor)
        for definition in graph.definitions:
            write_definition(writer, graph, definition)
        for sampler in plan.samplers:
            write_energy(writer, graph, sampler, chain_steps(plan))
        if plan.terms:
            write_terms(writer, graph, plan)
        write_games(writer, graph, plan)
        _write_figures(writer, graph, plan)
        write_inference(writer, graph, plan)
        _write_sample(writer, graph, plan)
    return write_module(writer, graph, f"{plan.model}: {doc}")


def _structure(graph: Graph) -> str:
    p = [f.key for f in graph.factors if f.side == "p"]
    p += [
        f"{d.variable} = f({', '.join(_inputs(d.value))})" for d in graph.definitions if graph[d.variable].role != "let"
    ]
    p += [f"exp(-E({', '.join(graph.energy.arguments)}))"] if graph.energy is not None else []
    return " ".join(p)


def _inputs(value: object) -> tuple[str, ...]:
    from dgmppl.graph.values import variables

    return variables(value)


def data_arguments(graph: Graph) -> str:
    return "".join(f", {v.ident}: Tensor" for v in graph.data)


def _write_attributes(writer: Writer, graph: Graph, plan: Plan) -> None:
    names = ", ".join(repr(v.name) for v in graph.data)
    writer.line(f"data = ({names}{',' if len(graph.data) == 1 else ''})".replace("'", '"'))
    kinds = [f'"{v.name}": "{"partial " if v.role == "partial" else ""}{v.type.describe()}"' for v in graph.data]
    writer.line(f"types = {{{', '.join(kinds)}}}")
    if plan.criterion is not None:
        writer.line(f'criterion = "{plan.criterion}"')
    apart = [f'"{t.label}"' for t in plan.terms if t.beside and plan.objective.kind]
    if apart:
        writer.line(f"apart = {tuple_source(apart)}")
    weights = {t.label: t.weight for t in plan.terms if t.weight != 1}
    if weights:
        inside = ", ".join(f'"{k}": {number_text(v)}' for k, v in weights.items())
        writer.line(f"weights = {{{inside}}}")
    writer.line()


def _write_figures(writer: Writer, graph: Graph, plan: Plan) -> None:
    """What evaluation reports beyond the sum of the terms."""
    sampler = plan.samplers[0] if plan.samplers else None
    energy = sampler.form if sampler is not None else None
    given = ", ".join(v.ident for v in graph.data)
    figures: list[str] = []
    steps: list[str] = []
    seen = True
    if plan.fitted.samples > 1:
        figures.append(f'"elbo": self.elbo({given})')
    if energy is not None:
        state = ", ".join(graph[n].ident for n in energy.state)
        seen = all(graph[n].role == "observed" for n in energy.state)
        summed = graph[energy.enumerated] if energy.enumerated is not None else None
        known = ""
        if summed is not None and summed.role != "latent":
            y = summed.ident
            p_y = graph.local(f"p_{y}")
            steps.append(f"{p_y} = self.p_{y}({state})")
            if summed.role == "partial":
                known = f"{writer.use('log_prob_seen')}({p_y}, {y}, {some_source(summed)})"
                figures.append(f'"{plan.criterion}": {writer.use("rows_seen")}({known}, {y})')
                figures.append(f'"error": {writer.use("errors_seen")}({p_y}, {values_source(summed)}, {y})')
            else:
                figures.append(f'"{plan.criterion}": {p_y}.log_prob({y})')
                low = number_text(summed.type.support.low or 0.0)
                offset = f" + {low}" if low != "0" else ""
                figures.append(f'"error": ({p_y}.logits.argmax(-1){offset} != {y}).float()')
        if plan.objective.kind == "log_prob" and seen:
            value = f"-self.free_energy({state}){' + ' + known if known else ''} - self.log_partition()"
            if summed is not None and not known:
                members = graph.energy.arguments if graph.energy is not None else ()
                value = f"-self.energy({', '.join(graph[n].ident for n in members)}) - self.log_partition()"
            figures.append(f'"log_prob": {value}')
        if energy.pseudo is not None:
            call = f"{writer.use('pseudo_log_likelihood')}(self.free_energy, {graph[energy.pseudo].ident})"
            figures.append(f'"pseudo-likelihood": {call}')
    errors, before = _errors(writer, graph, plan)
    if errors and not figures:
        figures.append(f"**super().figures({given})")
    figures += errors
    if not figures:
        return
    with writer.method(
        f"figures(self{data_arguments(graph)}) -> dict[str, Tensor]",
        "What is reported of each example, shape (n,); log-probabilities in nats."
        + (" An error is of the rows that have the value." if errors else ""),
    ):
        if steps and not seen and energy is not None:
            before = (*before, *energy.state, *([energy.enumerated] if energy.enumerated else []))
        needed = needed_steps(plan.steps, before)
        sums = [s for s in needed if s.repeats]
        write_steps(writer, graph, plan, needed, before)
        figures = [_under(f, graph, sums) for f in figures]
        for s in steps:
            writer.line(s)
        with writer.block("return {"):
            for f in figures:
                writer.line(f"{f},")
        writer.line("}")


def _under(figure: str, graph: Graph, sums: list[Step]) -> str:
    """A figure computed from the cases of sums, as one number a row."""
    name, _, source = figure.partition(": ")
    return f"{name}: {mean_source(source, graph, sums)}" if sums and source else figure


def _errors(writer: Writer, graph: Graph, plan: Plan) -> tuple[list[str], tuple[str, ...]]:
    """How often a partial variable of few values is predicted wrongly where it is seen: by its q, or by its p where
    it has none. Also the variables that this reads."""
    found: list[str] = []
    reads: list[str] = []
    for v in graph.partial:
        factor = graph.factor("q", v.name) or graph.factor("p", v.name)
        if factor is None:
            continue  # a part of the energy, whose figures say it
        inputs = factor_reads(graph, factor)
        summed = any(s.repeats for s in needed_steps(plan.steps, inputs))
        if joint_values(v) > MAX_CASES or summed:
            continue
        density = factor_source(graph, factor) + (
            "" if factor_has_rows(graph, factor) else f".expand(({batch_size(graph)},))"
        )
        name = "error" if len(graph.partial) == 1 else f"error in {v.name}"
        found.append(f'"{name}": {writer.use("errors_seen")}({density}, {values_source(v)}, {v.ident})')
        reads += inputs
    return found, tuple(reads)


def _write_sample(writer: Writer, graph: Graph, plan: Plan) -> None:
    conditions = [graph[c] for c in plan.conditions]
    results = [v for v in graph.data if v.name not in plan.conditions]
    arguments = "".join(f", {c.ident}: Tensor | float" for c in conditions)
    result = "Tensor" if len(results) == 1 else "dict[str, Tensor]"
    what = ", ".join(v.name for v in results)
    given = f" given {', '.join(c.name for c in conditions)}" if conditions else ""
    writer.rows.append(("", None))
    writer.line("@torch.no_grad()")
    with writer.block(f"def sample(self, n: int{arguments}) -> {result}:"):
        writer.line(f'"""n draws of {what}{given}."""')
        for c in conditions:
            writer.line(f'{c.ident} = self.condition("{c.name}", {c.ident}, n)')
        write_generation(writer, graph, plan.generate, "n")
        if len(results) == 1:
            writer.line(f"return {results[0].ident}")
        else:
            inside = ", ".join(f'"{v.name}": {v.ident}' for v in results)
            writer.line(f"return {{{inside}}}")
