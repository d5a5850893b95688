"""Steps as straight-line code in the order of the maths: one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dgmppl.emit.along import write_chain, write_normal_chain
from dgmppl.emit.cases import batch_size, imputing, is_seen_in_part, missing_of, write_cases, write_weights
from dgmppl.emit.densities import by_key
from dgmppl.emit.expr import Name
from dgmppl.emit.integrals import write_integral
from dgmppl.emit.methods import count_of, define_source, density_of, factor_source, values_of, write_members
from dgmppl.emit.sums import write_sum
from dgmppl.emit.values import Place, bijection_source, reshaped
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Definition, Graph, Variable
from dgmppl.graph.values import Joined, Mapped, Operation, Reshaped, Use, Value, walk
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compose import Compose
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.energy import Settle
from dgmppl.plan.rules.exact import Exact
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import Dequantise, Invert
from dgmppl.plan.rules.observe import Given, GivenSome
from dgmppl.plan.rules.sum_in_common import SumInCommon
from dgmppl.plan.rules.sum_product import SumOut


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
        if is_seen_in_part(step):  # as far as it is seen
            wanted.update(step.partial if isinstance(step, Exact) else step.gives)
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


def _draw_in_common(writer: Writer, graph: Graph, step: Step, size: str) -> None:
    """A draw, where what depends on it is no term of the objective, which takes each value."""
    factor = by_key(graph, step.factor)
    q, variable = density_of(graph, factor), graph[step.variable]
    writer.line(f"{q} = {factor_source(graph, factor)}", mark=True)
    writer.line(f"{values_of(graph, variable)} = {q}.sample({count_of(graph, factor, size)})")
    write_members(writer, graph, variable)


def _settle(writer: Writer, graph: Graph, plan: Plan, settled: list[Settle]) -> None:
    names = ", ".join(graph[s.variable].ident for s in settled)
    drawn = {s.variable for s in settled}
    known = ", ".join(graph[n].ident for n in plan.samplers[0].form.state if n not in drawn)
    writer.line(f"{names} = self.settle({known})", mark=True)


def turns_source(
    writer: Writer, graph: Graph, step: DrawInTurn, size: str, how: str = "", begin: Sequence[str] = ()
) -> str:
    """Families that are drawn in turn: the distribution of each as a function of all of them. `begin`: how many members
    each of them has already."""
    variables = [graph[name] for name in step.gives]
    idents = ", ".join(v.ident for v in variables)
    laws = ", ".join(f"lambda {idents}: {factor_source(graph, by_key(graph, key))}" for key in step.factor_keys)
    shapes = ", ".join(tuple_source(v.type.shape) for v in variables)
    named = [] if step.turns.lag is None else [f"lag={step.turns.lag}"]
    named += ["backward=True"] if step.turns.backward else []
    named += [f"how={how}"] if how else []
    named += [f"begin=(({idents}), ({', '.join(begin)}))"] if begin else []
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
    SumInCommon: _draw_in_common,
    Integrate: write_integral,
    DrawInTurn: _draw_in_turn,
    SumOut: write_sum,
    SumAlong: write_chain,
    Compose: _compose,
    IntegrateAlong: write_normal_chain,
}
