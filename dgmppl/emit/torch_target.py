"""Plan to torch source: a `GenerativeModel` with one method a factor and the objective in the order of the maths."""

from __future__ import annotations

from dgmppl.catalogue.training import RAMP_CLASSES
from dgmppl.emit.build import write_held
from dgmppl.emit.completion import write_completion
from dgmppl.emit.energies import chain_steps, write_chain, write_energy
from dgmppl.emit.figures import write_figures
from dgmppl.emit.forecast import write_forecast, write_proposal
from dgmppl.emit.games import write_games
from dgmppl.emit.generation import write_generation
from dgmppl.emit.inference import write_inference
from dgmppl.emit.matching import write_matching
from dgmppl.emit.methods import write_definition, write_factor, write_feature, write_flow_methods
from dgmppl.emit.module import class_name, names_in, write_module
from dgmppl.emit.numbers import write_linear_chain
from dgmppl.emit.predict import write_prediction
from dgmppl.emit.terms import write_terms
from dgmppl.emit.ways import way_arguments
from dgmppl.emit.writer import Emitted, Writer, tuple_source
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.compose import Compose, ComposedKL
from dgmppl.plan.rules.energy import NegativePhase
from dgmppl.plan.settings import RampSetting
from dgmppl.plan.ways import taught_flows, ways_of
from dgmppl.supports import number_text


def emit_torch(graph: Graph, plan: Plan) -> Emitted:
    """The torch module of a plan."""
    writer = Writer(graph.source, taken=names_in(graph))
    doc = f"{_structure(graph)}, fitted by {plan.objective.name}."
    with writer.block(f"class {class_name(graph)}({writer.use('GenerativeModel')}):"):
        writer.line(f'"""{doc}"""')
        writer.line()
        _write_attributes(writer, graph, plan)
        with writer.block("def __init__(self) -> None:"):
            writer.line("super().__init__()")
            write_held(writer, graph)
            by_loss = {t.owner for t in plan.terms if isinstance(t, ComposedKL) and t.by_loss}
            for step in plan.steps:
                if isinstance(step, Compose):
                    write_linear_chain(writer, graph, graph.keyed(step.factor), step.variable in by_loss)
            for term in plan.terms:
                if isinstance(term, NegativePhase):
                    write_chain(writer, graph, plan.samplers[0], term.chain)
        for factor in graph.factors:
            write_factor(writer, graph, factor)
        for feature in graph.features:
            write_feature(writer, graph, feature)
        for definition in graph.definitions:
            write_definition(writer, graph, definition)
        write_flow_methods(writer, graph)
        for sampler in plan.samplers:
            write_energy(writer, graph, sampler, chain_steps(plan))
        write_matching(writer, graph, plan)
        if plan.terms:
            write_terms(writer, graph, plan)
        write_games(writer, graph, plan)
        write_figures(writer, graph, plan)
        write_inference(writer, graph, plan)
        _write_sample(writer, graph, plan)
        if plan.forecast is not None:
            write_forecast(writer, graph, plan.forecast)
        if plan.proposes:
            write_proposal(writer, graph, plan)
        if plan.completes:
            write_completion(writer, graph, plan)
        if plan.prediction is not None:
            write_prediction(writer, graph, plan, plan.prediction)
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
    kinds = [f'"{v.name}": "{_missing(v)}{v.type.describe()}"' for v in graph.data]
    writer.line(f"types = {{{', '.join(kinds)}}}")
    ends = [f'"{v.name}": ("{v.length}", {v.members.start})' for v in graph.data if v.length]
    if ends:
        writer.line(f"ends = {{{', '.join(ends)}}}")
    if plan.criterion is not None:
        writer.line(f'criterion = "{plan.criterion}"')
    if any(f.name == plan.criterion and f.lower_is_better for f in plan.figures):
        writer.line("lower_is_better = True")
    squared = [f'"{f.name}"' for f in plan.figures if f.kind == "rmse"]
    if squared:
        writer.line(f"squared = {tuple_source(squared)}")
    apart = [f'"{t.label}"' for t in plan.terms if t.beside and (plan.objective.kind or plan.fitted.samples > 1)]
    if plan.fitted.samples > 1:
        writer.line(f"samples = {plan.fitted.samples}")
    if apart:
        writer.line(f"apart = {tuple_source(apart)}")
    weights = {t.label: t.weight for t in plan.terms if t.weight != 1}
    if weights:
        inside = ", ".join(f'"{k}": {number_text(v)}' for k, v in weights.items())
        writer.line(f"weights = {{{inside}}}")
    ramps = {t.label: ", ".join(_ramp(writer, ramp) for ramp in t.ramps) for t in plan.terms if t.ramps}
    if ramps:
        inside = ", ".join(f'"{k}": ({text},)' for k, text in ramps.items())
        writer.line(f"ramps = {{{inside}}}")
    writer.line()


def _ramp(writer: Writer, ramp: RampSetting) -> str:
    given = ", ".join(number_text(n) for n in (ramp.start, ramp.end, ramp.epochs or 1))
    return f"{writer.use(RAMP_CLASSES[ramp.name])}({given})"


def _missing(variable: Variable) -> str:
    """What may be missing of a variable's values."""
    if variable.role != "partial":
        return ""
    return "partial elementwise " if variable.elementwise else "partial "


def _write_sample(writer: Writer, graph: Graph, plan: Plan) -> None:
    conditions = [graph[c] for c in graph.asked]
    results = [v for v in graph.data if v.name not in plan.conditions]
    arguments = "".join(f", {c.ident}: Tensor | float" for c in conditions)
    result = "Tensor" if len(results) == 1 else "dict[str, Tensor]"
    what = ", ".join(v.name for v in results)
    given = f" given {', '.join(c.name for c in conditions)}" if conditions else ""
    writer.rows.append(("", None))
    writer.line("@torch.no_grad()")
    ways, taught = ways_of(graph, plan), taught_flows(plan)
    arguments += way_arguments(graph, plan)
    with writer.block(f"def sample(self, n: int{arguments}) -> {result}:"):
        chain = "rt.NormalChain" if "steps" in ways else "rt.CategoricalChain"
        how = f"; {', '.join(f'`{w}`' for w in ways)}: see `{'rt.on_the_way' if taught else f'{chain}.draw'}`"
        writer.line(f'"""n draws of {what}{given}{how if ways else ""}."""')
        for c in conditions:
            writer.line(f'{c.ident} = self.condition("{c.name}", {c.ident}, n)')
        write_generation(writer, graph, plan.generate, "n", taught=taught)
        if len(results) == 1:
            writer.line(f"return {results[0].ident}")
        else:
            inside = ", ".join(f'"{v.name}": {v.ident}' for v in results)
            writer.line(f"return {{{inside}}}")
