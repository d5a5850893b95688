"""The generative model as sites of Pyro: the plates of rows and groups, a site for each variable, and flows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from dgmppl.emit.cases import some_source
from dgmppl.emit.densities import by_key
from dgmppl.emit.methods import define_source, factor_source, groups_of, values_of, write_members
from dgmppl.emit.pyro_sums import Summed, summed, write_factor_of_sum, write_site_in_sum
from dgmppl.emit.steps import noisy, turns_source
from dgmppl.emit.values import Place, bijection_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Mapped, Operation, Value
from dgmppl.plan.generate import choose_generation
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.observe import Given
from dgmppl.supports import number_text


def signature(graph: Graph, plan: Plan) -> str:
    """The data in the order in which the torch model takes it. What is modelled may be None, and is sampled then."""
    needed = [k for k, v in enumerate(graph.data) if v.name in plan.conditions]
    data = ""
    for k, v in enumerate(graph.data):
        optional = "" if v.name in plan.conditions else " | None"
        data += f", {v.ident}: Tensor{optional}" + (" = None" if k > max(needed, default=-1) else "")
    return f"self{data}, n: int = 1"


@contextmanager
def weighing(writer: Writer, plan: Plan, factor: str) -> Iterator[None]:
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


def write_common(writer: Writer, graph: Graph, plan: Plan, step: Step) -> None:
    """A site of what rows have in common, in the plate of its groups if it has any; or what is computed from such."""
    variable, writer.at = graph[step.variable], step.because.line
    values = values_of(graph, variable)
    if isinstance(step, Draw):
        factor = by_key(graph, step.factor)
        site = f'{values} = pyro.sample("{variable.name}", {factor_source(graph, factor)})'
        with writer.place(factor.span), weighing(writer, plan, factor.key):
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


def write_plates(writer: Writer, graph: Graph, steps: Iterable[Step]) -> None:
    """The plates of groups, each of which several sites may stand in."""
    drawn = (graph[s.variable] for s in steps if isinstance(s, Draw))
    for variable in {v.group: v for v in drawn if v.group is not None}.values():
        assert variable.group is not None
        plate = f'pyro.plate("{variable.group}", {groups_of(graph, variable)})'
        writer.line(f"{_plate_of(graph, variable.group)} = {plate}")


def plate(writer: Writer, graph: Graph, plan: Plan) -> str:
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


def write_model(writer: Writer, graph: Graph, plan: Plan) -> None:
    exact = summed(graph, plan)
    inverted = {s.image: s for s in plan.steps if isinstance(s, Invert) and exact is None}
    returned = ", ".join(v.ident for v in graph.data if v.name not in plan.conditions)
    with writer.method(
        f"model({signature(graph, plan)}) -> Tensor | tuple[Tensor, ...]",
        "The generative model; a row of the plate is an example. Without data it samples.",
    ):
        writer.line(f'pyro.module("{graph.name}", self)')
        # A latent that the data does not depend on has a site too: the guide has one.
        wanted = {v.name for v in graph.data} | {s.variable for s in plan.steps if isinstance(s, Draw)}
        steps = choose_generation(Scope(graph.source), graph, wanted)
        pending = _before_images(tuple(s for s in steps if not isinstance(s, Given)), inverted)
        read = {name for s in pending if s.variable not in inverted for name in s.reads}
        write_plates(writer, graph, pending)
        for step in (s for s in pending if in_common(graph, s)):
            write_common(writer, graph, plan, step)
        with writer.block(f"with {plate(writer, graph, plan)}:"):
            own = [s for s in pending if not in_common(graph, s)]
            late = _after_sums(own, exact) if exact is not None else []
            for step in (s for s in own if s not in late):
                _write_step(writer, graph, plan, step, inverted, read)
            if exact is not None:
                _write_sums(writer, graph, plan, late, exact)
        writer.line(f"return {returned}")


def _write_step(
    writer: Writer, graph: Graph, plan: Plan, step: Step, inverted: Mapping[str, Invert], read: set[str]
) -> None:
    """The site of what a step of the generative model gives, or its value where it is computed."""
    latents = {s.variable for s in inverted.values()}
    if step.variable in latents:
        chain = [next(s for s in inverted.values() if s.variable == step.variable)]
        if chain[0].image in latents:
            return  # what it is a bijection of comes with its own image
        while chain[-1].variable in inverted:
            chain.append(inverted[chain[-1].variable])
        _write_image(writer, graph, plan, chain, read)
    elif step.variable in inverted:
        return
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


def _after_sums(steps: Sequence[Step], exact: Summed) -> list[Step]:
    """The steps that a sum stands for, and those that depend on these."""
    found: list[Step] = []
    given = set(exact.gone | exact.heads)
    for step in steps:
        if exact.tells(step) or not given.isdisjoint(step.reads):
            found.append(step)
            given |= set(step.gives)
    return found


def _write_sums(writer: Writer, graph: Graph, plan: Plan, steps: Sequence[Step], exact: Summed) -> None:
    """Latents that are summed out: all is drawn where the data that depend on them are not given, and else these have
    one factor."""
    given = [graph[name] for s in steps for name in s.gives]
    seen = [v for v in given if v.role in ("observed", "partial")]
    if seen:
        with writer.block(f"if {' or '.join(f'{v.ident} is None' for v in seen)}:"):
            for step in steps:
                if isinstance(step, DrawInTurn):
                    _write_drawn_in_turn(writer, graph, plan, step)
                else:
                    _write_step(writer, graph, plan, step, {}, set())
    with writer.block("else:") if seen else nullcontext():
        for variable in (v for v in given if v.name in exact.heads and v.role == "latent"):
            write_site_in_sum(writer, graph, variable.name)
        for step in steps:
            if isinstance(step, DrawInTurn):
                for name, key in zip(step.gives, step.factor_keys):
                    if name not in exact.gone | exact.heads:
                        _write_site(writer, graph, plan, name, key)
            elif not exact.tells(step):
                _write_step(writer, graph, plan, step, {}, set())
        write_factor_of_sum(writer, graph, exact)


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
        _write_drawn_in_turn(writer, graph, plan, step)
    with writer.block("else:"):
        for name, key in sorted(zip(step.gives, step.factor_keys), key=lambda pair: graph[pair[0]].role == "observed"):
            _write_site(writer, graph, plan, name, key)


def _write_drawn_in_turn(writer: Writer, graph: Graph, plan: Plan, step: DrawInTurn) -> None:
    writer.line(turns_source(writer, graph, step, _rows(graph, plan)), mark=True)
    for v in (graph[name] for name in step.gives):
        writer.line(f'pyro.deterministic("{v.name}", {v.ident}, event_dim={len(v.type.shape)})')


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
    with writer.place(factor.span), weighing(writer, plan, factor.key):
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
        flows.append(flow_source(writer, graph, definition.value))
    density = factor_source(graph, factor)
    for flow in reversed(flows):
        density = f"{writer.use('Pushforward')}({density}, {flow})" if flow else density
    image, outer = graph[step.image], graph.definition(step.image)
    assert outer is not None
    with writer.place(outer.span):
        with weighing(writer, plan, factor.key):
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


def flow_source(writer: Writer, graph: Graph, value: Value) -> str:
    """The flow of `f(u)`, `g(f(u))` or `floor(f(u))`; "" where nothing maps u."""
    if isinstance(value, Operation):
        value = value.operands[0]
    flows: list[str] = []
    while isinstance(value, Mapped):
        flows.insert(0, bijection_source(value.bijection, Place(writer, graph)))
        value = value.value
    return f"{writer.use('Compose')}({', '.join(flows)})" if len(flows) > 1 else "".join(flows)
