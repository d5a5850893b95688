"""Plan to Pyro source: the same factors, with `model` and `guide` for Pyro's own inference."""

from __future__ import annotations

from dgmppl.catalogue.distributions import CLOSED_KL
from dgmppl.emit.along import write_normal_chain, write_path_site
from dgmppl.emit.build import write_held
from dgmppl.emit.densities import by_key
from dgmppl.emit.integrals import write_integral, write_posterior
from dgmppl.emit.methods import (
    define_source,
    factor_source,
    write_definition,
    write_factor,
    write_feature,
    write_flow_methods,
)
from dgmppl.emit.module import class_name, names_in, write_module
from dgmppl.emit.pyro_limits import verify_pyro
from dgmppl.emit.pyro_model import (
    flow_source,
    in_common,
    plate,
    signature,
    weighing,
    write_common,
    write_model,
    write_plates,
)
from dgmppl.emit.pyro_sums import summed, write_log_sum
from dgmppl.emit.steps import needed_steps, noisy
from dgmppl.emit.writer import Emitted, Writer
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw, MinusKL, family_of
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import Dequantise, Invert
from dgmppl.plan.rules.observe import Given


def emit_pyro(graph: Graph, plan: Plan) -> Emitted:
    """The Pyro module of a plan. Raises SpecError (E310) where Pyro cannot express it."""
    verify_pyro(graph, plan)
    writer = Writer(graph.source, "pyro", taken=names_in(graph))
    elbo = "TraceMeanField_ELBO" if mean_field(graph, plan) else "Trace_ELBO"
    if plan.fitted.samples > 1:
        elbo = f"RenyiELBO(alpha=0, num_particles={plan.fitted.samples})"
    doc = f"{' '.join(f.key for f in graph.factors if f.side == 'p')}, for Pyro; fit with {elbo}."
    with writer.block(f"class {class_name(graph)}({writer.use('GenerativeModel')}):"):
        writer.line(f'"""{doc}"""')
        writer.line()
        names = ", ".join(f'"{v.name}"' for v in graph.data)
        writer.line(f"data = ({names}{',' if len(graph.data) == 1 else ''})")
        writer.line()
        with writer.block("def __init__(self) -> None:"):
            writer.line("super().__init__()")
            write_held(writer, graph)
        for factor in graph.factors:
            write_factor(writer, graph, factor)
        for feature in graph.features:
            write_feature(writer, graph, feature)
        for definition in graph.definitions:
            write_definition(writer, graph, definition)
        write_flow_methods(writer, graph)
        exact = summed(graph, plan)
        if exact is not None and exact.terms:
            write_log_sum(writer, graph, plan, exact)
        write_model(writer, graph, plan)
        _write_guide(writer, graph, plan)
    return write_module(writer, graph, f"{plan.model}: {doc}")


def mean_field(graph: Graph, plan: Plan) -> bool:
    """Whether Pyro's TraceMeanField_ELBO computes this plan's bound.

    It takes every divergence that has a closed form, also where p reads what is drawn later and the form does not
    hold: then Trace_ELBO is the one that is right, in expectation.
    """
    pairs = [(graph.keyed(s.factor), graph.factor("p", s.variable)) for s in plan.steps if isinstance(s, Draw)]
    closable = {q.key for q, p in pairs if p and (family_of(q.density), family_of(p.density)) in CLOSED_KL}
    closed = {t.q for t in plan.terms if isinstance(t, MinusKL)}
    return bool(closed) and closable == closed


def _write_guide(writer: Writer, graph: Graph, plan: Plan) -> None:
    exact = summed(graph, plan)
    given = tuple(s for s in plan.steps if exact is None or s not in exact.steps or isinstance(s, Compute))
    drawn = [s for s in given if isinstance(s, (Draw, Integrate, IntegrateAlong))]
    rounded = [s for s in plan.steps if isinstance(s, Dequantise)]
    wanted = {name for s in drawn for name in (*s.gives, *s.reads)}
    steps = tuple(s for s in needed_steps(given, wanted) if not isinstance(s, (Given, Dequantise)))
    doc = "The posterior of the latents given the data." if drawn else "There is no latent to infer."
    with writer.method(f"guide({signature(graph, plan)}) -> None", doc):
        writer.line(f'pyro.module("{graph.name}", self)')
        if not steps and not rounded:
            return
        write_plates(writer, graph, steps)
        for step in (s for s in steps if in_common(graph, s)):
            write_common(writer, graph, plan, step)
        own = tuple(s for s in steps if not in_common(graph, s))
        if not own and not rounded:
            return
        with writer.block(f"with {plate(writer, graph, plan)}:"):
            for step in given:  # in its order, and so with the same noise
                writer.at = step.because.line
                if isinstance(step, Dequantise):
                    _write_noise(writer, graph, step, steps)
                elif step not in own:
                    continue
                elif isinstance(step, Compute):
                    definition = graph.definition(step.variable)
                    assert definition is not None
                    writer.line(f"{graph[step.variable].ident} = {define_source(graph, definition)}", mark=True)
                elif isinstance(step, Invert):
                    definition = graph.definition(step.image)
                    assert definition is not None
                    image = graph[step.image]
                    source, flow = (
                        noisy(graph, image) if step.noisy else image.ident,
                        flow_source(writer, graph, definition.value),
                    )
                    latent = graph[step.variable].ident
                    writer.line(f"{latent} = {flow}.inverse({source})" if flow else f"{latent} = {source}", mark=True)
                elif isinstance(step, Integrate):
                    write_integral(writer, graph, step, "")
                    write_posterior(writer, graph, step)
                elif isinstance(step, IntegrateAlong):
                    write_normal_chain(writer, graph, step, "")
                    write_path_site(writer, graph, step)
                elif isinstance(step, Draw):
                    factor = by_key(graph, step.factor)
                    name = graph[step.variable]
                    with weighing(writer, plan, factor.key):
                        writer.line(
                            f'{name.ident} = pyro.sample("{name.name}", {factor_source(graph, factor)})',
                            mark=True,
                        )
            writer.at = None


def _write_noise(writer: Writer, graph: Graph, noise: Dequantise, steps: tuple[Step, ...]) -> None:
    """The site of what a rounded variable was, anywhere in its bin."""
    image = graph[noise.variable]
    ident, rank = image.ident, len(image.type.shape)
    uniform = f"{writer.use('Uniform')}({ident}, {ident} + 1).to_event({rank})"
    read = any(isinstance(s, Invert) and s.image == noise.variable for s in steps)
    kept = f"{noisy(graph, image)} = " if read else ""
    writer.line(f'{kept}pyro.sample("{noisy(graph, image)}", {uniform})', mark=True)


__all__ = ["emit_pyro", "verify_pyro"]
