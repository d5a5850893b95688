"""Plan to Pyro source: the same factors, with `model` and `guide` for Pyro's own inference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from dgmppl.catalogue.distributions import CLOSED_KL
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.emit.along import write_normal_chain, write_path_site
from dgmppl.emit.build import write_held
from dgmppl.emit.cases import some_source
from dgmppl.emit.densities import by_key
from dgmppl.emit.integrals import write_integral, write_posterior
from dgmppl.emit.methods import (
    define_source,
    factor_source,
    groups_of,
    values_of,
    write_definition,
    write_factor,
    write_feature,
    write_flow_methods,
    write_members,
)
from dgmppl.emit.module import class_name, names_in, write_module
from dgmppl.emit.steps import needed_steps, noisy, turns_source
from dgmppl.emit.values import Place, bijection_source
from dgmppl.emit.writer import Emitted, Writer
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Block, Density, Mapped, Operation, Parametric, Pushforward, Use, Value, walk
from dgmppl.plan.generate import choose_generation
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compose import ComposedKL
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw, MinusKL, family_of
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import Dequantise, Invert
from dgmppl.plan.rules.match import Matching
from dgmppl.plan.rules.observe import Given
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.supports import number_text


def verify_pyro(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) with a plain sentence where Pyro cannot express the model."""
    energy = graph.energy
    if energy is not None:
        raise SpecError(
            [
                Diagnostic(
                    "E310",
                    "Pyro cannot express this model: an energy is unnormalised, and Pyro's densities are not",
                    energy.head_span,
                    "no density in closed form",
                    help="compile it with --target torch",
                )
            ],
            graph.source,
        )
    if plan.played:
        adversary = graph.adversaries[0]
        raise SpecError(
            [
                Diagnostic(
                    "E310",
                    "Pyro cannot express this model: it is fitted by a game, and Pyro fits densities",
                    adversary.span,
                    "an adversary",
                    help="compile it with --target torch",
                )
            ],
            graph.source,
        )
    _verify_turns(graph, plan)
    ramped = next((t for t in plan.terms if t.ramps), None)
    if ramped is not None:
        name = ramped.owner if any(v.name == ramped.owner for v in graph.variables) else graph.data[0].name
        why = f"the weight of {ramped.label} changes over the epochs, and Pyro's model knows of none"
        _refuse(graph, graph[name], why, "its weight", "give one number, or compile it with --target torch")
    simple = next((t for t in plan.terms if isinstance(t, ComposedKL) and t.simple), None)
    if simple is not None:
        why = f"the divergences of `{simple.owner}` have none of their own weights, and Pyro's have"
        _refuse(graph, graph[simple.owner], why, "its weight", "leave `simple` out, or compile it with --target torch")
    matched = next((t for t in plan.terms if isinstance(t, Matching)), None)
    if matched is not None:
        help_ = "leave `objective` out to fit its likelihood there, or compile it with --target torch"
        why = f"the flow of `{matched.variable}` is fitted by flow matching, and Pyro fits densities"
        _refuse(graph, graph[matched.variable], why, "its field is taught", help_)
    _verify_integers(graph, plan)
    _verify_rows(graph, plan)


def _verify_turns(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) where several latents are drawn in turn: each would be a site that waits for another."""
    for step in (*plan.steps, *plan.generate):
        latents = [n for n in step.gives if graph[n].role == "latent"] if isinstance(step, DrawInTurn) else []
        if latents[1:]:
            why = f"{' and '.join(f'`{n}`' for n in latents)} depend on each other member by member"
            _refuse(graph, graph[latents[1]], why, step.words())


def _verify_integers(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) where a law without a slope between whole numbers in Pyro would teach a flow of them."""
    laws: list[tuple[str, Density, object]] = []
    for step in plan.steps:
        factor = graph.factor("p", step.variable)
        definition = graph.definition(step.image) if isinstance(step, Invert) else None
        if factor is not None and definition is not None:
            laws.append((step.variable, factor.density, definition.value))
    for factor in graph.factors:
        pushed = (t for t in walk(factor.density) if isinstance(t, Pushforward))
        laws += [(factor.head, t.base, t.bijection) for t in pushed]
    for name, density, flow in laws:
        whole = any(isinstance(t, Block) and t.integer for t in walk(flow))
        if whole and any(isinstance(t, Parametric) and t.kind == "Categorical" for t in walk(density)):
            why = f"a Categorical teaches the flow of `{name}` by its slope between whole numbers, and Pyro's has none"
            _refuse(graph, graph[name], why, "of whole numbers")


def _verify_rows(graph: Graph, plan: Plan) -> None:
    """Raises SpecError (E310) where rows have cases, or not all the same variables."""
    for step in plan.steps:
        if isinstance(step, Invert) and _taken_apart(graph, step):
            _refuse(
                graph,
                graph[step.image],
                f"`{step.image}` is made of parts, and Pyro's sites are pushed forward one by one",
                step.words(),
            )
        uneven = bool(graph[step.variable].length)
        several = isinstance(step, IntegrateAlong) and (uneven or len(step.gives) > 1)
        if not (step.repeats or several or isinstance(step, (Impute, SumOut, SumAlong))):
            continue
        variable = graph[step.variable]
        if variable.role == "partial":
            why, label = (
                f"`{variable.name}` is missing in some rows, and Pyro's guide has the same sites in all",
                "partial",
            )
        elif isinstance(step, IntegrateAlong):
            why = f"{', '.join(step.gives)} are integrated out together, and Pyro's sites are drawn one by one"
            why = f"`{variable.name}` is integrated out of rows of different lengths" if uneven else why
            label = step.words()
        elif isinstance(step, SumAlong):
            why, label = f"`{variable.name}` is summed out along its index", step.words()
        else:
            why = f"`{variable.name}` is summed row by row, and Pyro sums along an axis of its own"
            label = step.words()
        _refuse(graph, variable, why, label)


def _refuse(
    graph: Graph, variable: Variable, why: str, label: str, help_: str = "compile it with --target torch"
) -> NoReturn:
    headline = f"Pyro cannot express this model: {why}"
    found = Diagnostic("E310", headline, variable.span, label, help=help_)
    raise SpecError([found], graph.source)


def _taken_apart(graph: Graph, step: Invert) -> bool:
    """Whether a definition is of several latents side by side, or of one in another shape."""
    definition = graph.definition(step.image)
    assert definition is not None
    value = definition.value
    while isinstance(value, (Mapped, Operation)):
        value = value.value if isinstance(value, Mapped) else value.operands[0]
    return not isinstance(value, Use)


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
        _write_model(writer, graph, plan)
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


def _signature(graph: Graph, plan: Plan) -> str:
    """The data in the order in which the torch model takes it. What is modelled may be None, and is sampled then."""
    needed = [k for k, v in enumerate(graph.data) if v.name in plan.conditions]
    data = ""
    for k, v in enumerate(graph.data):
        optional = "" if v.name in plan.conditions else " | None"
        data += f", {v.ident}: Tensor{optional}" + (" = None" if k > max(needed, default=-1) else "")
    return f"self{data}, n: int = 1"


@contextmanager
def _weighing(writer: Writer, plan: Plan, factor: str) -> Iterator[None]:
    """Puts a site under the weight that its term has in the objective, where that is not 1."""
    weight = next((t.weight for t in plan.terms if factor in t.factors()), 1.0)
    if weight == 1:
        yield
        return
    with writer.block(f"with pyro.poutine.scale(scale={number_text(weight)}):"):
        yield


def in_common(graph: Graph, step: Step) -> bool:
    """Whether what a step gives is no row's own: it stands outside the plate of rows."""
    variable = graph[step.variable]
    return not variable.rows or variable.group is not None


def _write_common(writer: Writer, graph: Graph, plan: Plan, step: Step) -> None:
    """A site of what rows have in common, in the plate of its groups if it has any; or what is computed from such."""
    variable, writer.at = graph[step.variable], step.because.line
    values = values_of(graph, variable)
    if isinstance(step, Draw):
        factor = by_key(graph, step.factor)
        site = f'{values} = pyro.sample("{variable.name}", {factor_source(graph, factor)})'
        with writer.place(factor.span), _weighing(writer, plan, factor.key):
            if variable.group is None:
                writer.line(site, mark=True)
            else:
                with writer.block(f"with {_plate_of(graph, variable.group)}:"):
                    writer.line(site, mark=True)
    else:
        definition = graph.definition(step.variable)
        assert definition is not None
        writer.line(f"{values} = {define_source(graph, definition)}", mark=True)
    write_members(writer, graph, variable)
    writer.at = None


def _plate_of(graph: Graph, group: str) -> str:
    """The local name of the plate of groups."""
    return graph.local(f"plate_{graph[group].ident}")


def _write_plates(writer: Writer, graph: Graph, steps: Iterable[Step]) -> None:
    """The plates of groups, each of which several sites may stand in."""
    drawn = (graph[s.variable] for s in steps if isinstance(s, Draw))
    for variable in {v.group: v for v in drawn if v.group is not None}.values():
        assert variable.group is not None
        plate = f'pyro.plate("{variable.group}", {groups_of(graph, variable)})'
        writer.line(f"{_plate_of(graph, variable.group)} = {plate}")


def _plate(writer: Writer, graph: Graph, plan: Plan) -> str:
    """The plate of rows. Beside what rows have in common, those at hand stand for all of them."""
    rows = _rows(graph, plan)
    if not graph.shared:
        return f'pyro.plate("data", {rows})'
    count = graph.local("rows")
    writer.line(f"{count} = {rows}")
    return f'pyro.plate("data", self.all_rows({count}), subsample_size={count})'


def _rows(graph: Graph, plan: Plan) -> str:
    """How many rows a call is about: those of the data, or n."""
    if plan.conditions:
        return f"len({graph[plan.conditions[0]].ident})"
    first = next(v for v in graph.data)
    return f"n if {first.ident} is None else len({first.ident})"


def _write_model(writer: Writer, graph: Graph, plan: Plan) -> None:
    inverted = {s.image: s for s in plan.steps if isinstance(s, Invert)}
    latents = {s.variable for s in plan.steps if isinstance(s, Invert)}
    returned = ", ".join(v.ident for v in graph.data if v.name not in plan.conditions)
    with writer.method(
        f"model({_signature(graph, plan)}) -> Tensor | tuple[Tensor, ...]",
        "The generative model; a row of the plate is an example. Without data it samples.",
    ):
        writer.line(f'pyro.module("{graph.name}", self)')
        # A latent that the data does not depend on has a site too: the guide has one.
        wanted = {v.name for v in graph.data} | {s.variable for s in plan.steps if isinstance(s, Draw)}
        steps = choose_generation(Scope(graph.source), graph, wanted)
        pending = _before_images(tuple(s for s in steps if not isinstance(s, Given)), inverted)
        read = {name for s in pending if s.variable not in inverted for name in s.reads}
        _write_plates(writer, graph, pending)
        for step in (s for s in pending if in_common(graph, s)):
            _write_common(writer, graph, plan, step)
        with writer.block(f"with {_plate(writer, graph, plan)}:"):
            for step in (s for s in pending if not in_common(graph, s)):
                if step.variable in latents:
                    chain = [next(s for s in inverted.values() if s.variable == step.variable)]
                    if chain[0].image in latents:
                        continue  # what it is a bijection of comes with its own image
                    while chain[-1].variable in inverted:
                        chain.append(inverted[chain[-1].variable])
                    _write_image(writer, graph, plan, chain, read)
                elif step.variable in inverted:
                    continue
                elif isinstance(step, DrawInTurn):
                    _write_sites_in_turn(writer, graph, plan, step)
                elif isinstance(step, Draw):
                    _write_site(writer, graph, plan, step.variable, step.factor)
                elif isinstance(step, Compute):
                    definition, variable = graph.definition(step.variable), graph[step.variable]
                    assert definition is not None
                    value = define_source(graph, definition)
                    if variable.role == "observed":
                        rank = len(variable.type.shape)
                        value = f'pyro.deterministic("{variable.name}", {value}, event_dim={rank})'
                    writer.line(f"{variable.ident} = {value}", mark=True)
        writer.line(f"return {returned}")


def _before_images(steps: tuple[Step, ...], inverted: dict[str, Invert]) -> list[Step]:
    """The steps of the generative model with all that a bijection of a latent reads before that latent: its site is
    that of the image, which cannot wait for its own turn."""
    images = {s.variable: s.image for s in inverted.values()}
    by_variable = {s.variable: s for s in steps}
    found: list[Step] = []

    def place(step: Step) -> None:
        if step in found:
            return
        for name in step.reads:
            if name in by_variable:
                place(by_variable[name])
        image, inside = images.get(step.variable), {step.variable}
        while image is not None:
            inside.add(image)
            for name in by_variable[image].reads if image in by_variable else ():
                if name in by_variable and name not in inside:
                    place(by_variable[name])
            image = images.get(image)
        found.append(step)

    for step in steps:
        place(step)
    return found


def _write_sites_in_turn(writer: Writer, graph: Graph, plan: Plan, step: DrawInTurn) -> None:
    """A site for each of several families that depend on each other: the data are known where the model is fitted, and
    drawn with the others where it is sampled from."""
    variables = [graph[name] for name in step.gives]
    seen = [v for v in variables if v.role == "observed"]
    with writer.block(f"if {seen[0].ident} is None:"):
        writer.line(turns_source(writer, graph, step, _rows(graph, plan)), mark=True)
        for v in variables:
            writer.line(f'pyro.deterministic("{v.name}", {v.ident}, event_dim={len(v.type.shape)})')
    with writer.block("else:"):
        for name, key in sorted(zip(step.gives, step.factor_keys), key=lambda pair: graph[pair[0]].role == "observed"):
            _write_site(writer, graph, plan, name, key)


def _write_site(writer: Writer, graph: Graph, plan: Plan, name: str, key: str) -> None:
    factor = by_key(graph, key)
    variable = graph[name]
    density = factor_source(graph, factor)
    observed = f", obs={variable.ident}" if variable.role == "observed" else ""
    if variable.role == "partial":
        # What is missing counts for nothing, and something stands in its place.
        where = writer.use("where_elements_seen" if variable.elementwise else "where_seen")
        density = f"{where}({density}, {variable.ident})"
        observed = f", obs={writer.use('filled')}({variable.ident}, {some_source(variable)})"
    with writer.place(factor.span), _weighing(writer, plan, factor.key):
        writer.line(f'{variable.ident} = pyro.sample("{variable.name}", {density}{observed})', mark=True)


def _write_image(writer: Writer, graph: Graph, plan: Plan, chain: list[Invert], read: set[str]) -> None:
    """A variable that is a bijection of a latent is the latent's density pushed forward; a rounded one is a
    dequantised variable that the data pins to its bin. `chain` are the steps that invert it, outermost first: a latent
    between may be a bijection of another. `read` are variables that something else reads."""
    step, factor = chain[0], graph.factor("p", chain[-1].variable)
    assert factor is not None
    flows = []
    for s in chain:
        definition = graph.definition(s.image)
        assert definition is not None
        flows.append(_flow(writer, graph, definition.value))
    density = factor_source(graph, factor)
    for flow in reversed(flows):
        density = f"{writer.use('Pushforward')}({density}, {flow})" if flow else density
    image, outer = graph[step.image], graph.definition(step.image)
    assert outer is not None
    with writer.place(outer.span):
        with _weighing(writer, plan, factor.key):
            if step.noisy:
                source = noisy(graph, image)
                writer.line(f'{source} = pyro.sample("{source}", {density})', mark=True)
            else:
                # A latent is observed by nobody: its value is the guide's.
                source = image.ident
                observed = f", obs={source}" if image.role == "observed" else ""
                writer.line(f'{source} = pyro.sample("{image.name}", {density}{observed})', mark=True)
        if step.noisy:
            delta = f"{writer.use('Delta')}(torch.floor({source}), event_dim={len(image.type.shape)})"
            writer.line(f'{image.ident} = pyro.sample("{image.name}", {delta}, obs={image.ident})', mark=True)
        for k, s in enumerate(chain):
            if any(inner.variable in read for inner in chain[k:]):
                latent = graph[s.variable].ident
                value = f"{flows[k]}.inverse({source})" if flows[k] else source
                writer.line(f"{latent} = {value}", mark=True)
                source = latent


def _flow(writer: Writer, graph: Graph, value: Value) -> str:
    """The flow of `f(u)`, `g(f(u))` or `floor(f(u))`; "" where nothing maps u."""
    if isinstance(value, Operation):
        value = value.operands[0]
    flows: list[str] = []
    while isinstance(value, Mapped):
        flows.insert(0, bijection_source(value.bijection, Place(writer, graph)))
        value = value.value
    return f"{writer.use('Compose')}({', '.join(flows)})" if len(flows) > 1 else "".join(flows)


def _write_guide(writer: Writer, graph: Graph, plan: Plan) -> None:
    drawn = [s for s in plan.steps if isinstance(s, (Draw, Integrate, IntegrateAlong))]
    rounded = [s for s in plan.steps if isinstance(s, Dequantise)]
    wanted = {name for s in drawn for name in (*s.gives, *s.reads)}
    steps = tuple(s for s in needed_steps(plan.steps, wanted) if not isinstance(s, (Given, Dequantise)))
    doc = "The posterior of the latents given the data." if drawn else "There is no latent to infer."
    with writer.method(f"guide({_signature(graph, plan)}) -> None", doc):
        writer.line(f'pyro.module("{graph.name}", self)')
        if not steps and not rounded:
            return
        _write_plates(writer, graph, steps)
        for step in (s for s in steps if in_common(graph, s)):
            _write_common(writer, graph, plan, step)
        own = tuple(s for s in steps if not in_common(graph, s))
        if not own and not rounded:
            return
        with writer.block(f"with {_plate(writer, graph, plan)}:"):
            for step in plan.steps:  # in its order, and so with the same noise
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
                        _flow(writer, graph, definition.value),
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
                    with _weighing(writer, plan, factor.key):
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
