"""Energies: the energy, what is summed out of it, its conditionals, its Markov chain."""

from __future__ import annotations

from collections.abc import Iterable

from dgmppl.emit.methods import write_features
from dgmppl.emit.polynomials import polynomial_source
from dgmppl.emit.values import Place, shape_source, value_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.polynomial import Polynomial
from dgmppl.graph.values import Constant, Element, Operation, Use, Value, variables
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.energy import NegativePhase
from dgmppl.plan.sampler import ChainSettings, Sampler, Update
from dgmppl.supports import number_text


def chain_source(graph: Graph, plan: Plan) -> str:
    """The chain's state after its steps, as arguments."""
    state = ", ".join(energy_arguments_of(graph, plan.samplers[0].form.state))
    return f"*self.chain(self.sweep, {state})"


def _signature(graph: Graph, names: Iterable[str]) -> str:
    return "".join(f", {graph[n].ident}: Tensor" for n in names)


def _log_sum(graph: Graph, update: Update, writer: Writer) -> str:
    """A variable summed out, one number an example: sum_j log(1 + exp(logit_j)) over binary units, log sum_k
    exp(logit_k) over categories."""
    assert update.logits is not None
    variable = graph[update.variable]
    logits = polynomial_source(update.logits, graph, writer)
    rank = len(variable.type.shape)
    axes = ", ".join(str(-k) for k in range(rank, 0, -1))
    numeric = variable.type.support.numeric
    total = f"nn.functional.softplus({logits})" if numeric else f"torch.logsumexp({logits}, -1)"
    return f"{total}.sum({axes if rank == 1 else f'({axes})'})" if rank else total


def _summed_out(graph: Graph, form: Polynomial, updates: list[Update], writer: Writer) -> str:
    """-log of the sum of exp(-E) over these variables: E where they are zero, less their softplus sums."""
    rest = form.without(u.variable for u in updates)
    sums = [_log_sum(graph, u, writer) for u in updates]
    base = polynomial_source(rest, graph, writer) + " " if rest.terms else ""
    return base + " ".join(f"- {s}" for s in sums) if base else "-" + " - ".join(sums)


def chain_steps(plan: Plan) -> int:
    """How many sweeps the negative phase runs."""
    return next((t.chain.steps for t in plan.terms if isinstance(t, NegativePhase)), 1)


def write_energy(writer: Writer, graph: Graph, sampler: Sampler, steps: int) -> None:
    """Every method that an energy needs. What the plan derived is written out; how chains run is the runtime's."""
    energy = graph.energy
    assert energy is not None
    with writer.place(energy.span):
        _write_value(writer, graph, sampler)
        _write_free_energy(writer, graph, sampler)
        for update in sampler.updates:
            if update.kind == "block" and update.variable != sampler.form.enumerated:
                _write_conditional(writer, graph, update)
        if sampler.form.enumerated is not None:
            _write_enumerated(writer, graph, sampler)
        if sampler.form.partition is not None:
            _write_partition(writer, graph, sampler)
        _write_sweep(writer, graph, sampler)
        settled = [n for n in sampler.form.state if graph[n].role == "latent" and not graph.factor("q", n)]
        if settled:
            _write_settle(writer, graph, sampler, settled, steps)
        _write_draw(writer, graph, sampler)


def _write_value(writer: Writer, graph: Graph, sampler: Sampler) -> None:
    energy = graph.energy
    assert energy is not None
    names = ", ".join(energy.arguments)
    with writer.method(f"energy(self{_signature(graph, energy.arguments)}) -> Tensor", f"E({names}), shape (n,)."):
        if sampler.form.polynomial is not None:
            source = polynomial_source(sampler.form.polynomial, graph, writer)
        else:
            write_features(writer, graph, variables(energy.value))
            source = value_source(energy.value, Place(writer, graph))
        writer.line(f"return {source}", mark=True)


def _write_free_energy(writer: Writer, graph: Graph, sampler: Sampler) -> None:
    energy = graph.energy
    assert energy is not None
    state = sampler.form.state
    inside = ", ".join(state)
    signature = f"free_energy(self{_signature(graph, state)}) -> Tensor"
    arguments = ", ".join(energy_arguments_of(graph, state))
    if sampler.form.summed and sampler.form.polynomial is not None:
        doc = f"F({inside}) = -log sum over {', '.join(sampler.form.summed)} of exp(-E), shape (n,)."
        with writer.method(signature, doc):
            updates = [u for u in sampler.updates if u.variable in sampler.form.summed]
            writer.line(f"return {_summed_out(graph, sampler.form.polynomial, updates, writer)}", mark=True)
    elif sampler.form.enumerated is not None:
        doc = f"F({inside}) = -log sum over {sampler.form.enumerated} of exp(-E), shape (n,)."
        with writer.method(signature, doc):
            writer.line(f"return -torch.logsumexp(-self.energies({arguments}), -1)", mark=True)
    else:
        with writer.method(signature, f"Nothing is summed out: E({inside}), shape (n,)."):
            inner = ", ".join(energy_arguments_of(graph, energy.arguments))
            writer.line(f"return self.energy({inner})", mark=True)


def energy_arguments_of(graph: Graph, names: Iterable[str]) -> list[str]:
    return [graph[n].ident for n in names]


def _write_conditional(writer: Writer, graph: Graph, update: Update) -> None:
    assert update.logits is not None
    variable = graph[update.variable]
    reads = [v.name for v in graph.variables if v.name in update.logits.reads()]
    given = f" | {', '.join(reads)}" if reads else ""
    doc = f"p({variable.name}{given}), from the energy: the logits are -dE/d{variable.name}."
    rank = len(variable.type.shape)
    family = writer.use(variable.type.support.conditional)
    with writer.method(f"p_{variable.ident}(self{_signature(graph, reads)}) -> {writer.use('Distribution')}", doc):
        logits = polynomial_source(update.logits, graph, writer)
        event = f".to_event({rank})" if rank else ""
        writer.line(f"return {family}(logits={logits}){event}", mark=True)


# --- a variable summed value by value ------------------------------------------------------------


def _write_enumerated(writer: Writer, graph: Graph, sampler: Sampler) -> None:
    energy, name = graph.energy, sampler.form.enumerated
    assert energy is not None and name is not None
    variable = graph[name]
    size = variable.type.support.size
    given = ", ".join(sampler.form.state)
    arguments = ", ".join(energy_arguments_of(graph, sampler.form.state))
    signature = _signature(graph, sampler.form.state)
    with writer.method(f"energies(self{signature}) -> Tensor", f"E for every {name}, shape (n, {size})."):
        vector = _over_values(energy.value, name)
        if vector is not None and name in graph.roots(variables(vector)):
            vector = None  # a feature depends on it
        if vector is not None and (variable.type.support.low or 0) == 0:
            write_features(writer, graph, variables(vector))
            writer.line(f"return {value_source(vector, Place(writer, graph))}", mark=True)
        else:
            first = graph[sampler.form.state[0]].ident
            start = float(variable.type.support.low or 0.0)
            index = graph.local("index")
            inner = ", ".join(
                f"self.like.new_full((len({first}),), {start} + {index})" if n == name else graph[n].ident
                for n in energy.arguments
            )
            writer.line(f"return torch.stack([self.energy({inner}) for {index} in range({size})], -1)", mark=True)
    doc = f"p({name} | {given}), the energy normalised over the values of {name}."
    with writer.method(f"p_{variable.ident}(self{signature}) -> {writer.use('Distribution')}", doc):
        logits = f"logits=-self.energies({arguments})"
        if variable.type.support.low:
            low = number_text(variable.type.support.low)
            writer.line(f"return {writer.use('IntegerCategorical')}({low}, {logits})", mark=True)
        else:
            writer.line(f"return {writer.use('Categorical')}({logits})", mark=True)


def _over_values(value: Value, name: str) -> Value | None:
    """The value with an axis for the values of a variable that only picks elements: v[y] becomes v."""
    if isinstance(value, Element) and len(value.index) == 1 and not value.shape:
        index = value.index[0]
        if isinstance(index, Use) and index.variable == name and name not in variables(value.value):
            return value.value
        return None
    if isinstance(value, Operation) and value.op in ("negate", "*", "/"):
        parts = [o if isinstance(o, Constant) else _over_values(o, name) for o in value.operands]
        if any(p is None for p in parts):
            return None
        shaped = next((p for p in parts if p is not None and p.shape), None)
        if shaped is None:
            return None
        return Operation(shaped.type, value.span, value.op, tuple(p for p in parts if p is not None))
    return None


# --- the partition function ----------------------------------------------------------------------


def _write_partition(writer: Writer, graph: Graph, sampler: Sampler) -> None:
    assert sampler.form.partition is not None and sampler.form.polynomial is not None
    names = sampler.form.partition
    doc = f"log Z, summed over every value of {', '.join(names)}."
    total = sum(graph[n].type.elements for n in names)
    with writer.method("log_partition(self) -> Tensor", doc):
        units = graph.local("units")
        writer.line(f"{units} = {writer.use('enumerate_binary')}({total}).to(self.like)", mark=True)
        start = 0
        for n in names:
            size = graph[n].type.elements
            piece = units if len(names) == 1 else f"{units}[:, {start}:{start + size}]"
            shape = graph[n].type.shape
            if len(shape) != 1:
                piece = f"{piece}.reshape(-1{''.join(f', {s}' for s in shape)})"
            writer.line(f"{graph[n].ident} = {piece}")
            start += size
        rest = [u for u in sampler.updates if u.variable not in names]
        source = (
            _summed_out(graph, sampler.form.polynomial, rest, writer)
            if rest
            else polynomial_source(sampler.form.polynomial, graph, writer)
        )
        writer.line(f"return torch.logsumexp(-({source}), 0)", mark=True)


# --- the chain -----------------------------------------------------------------------------------


def write_chain(writer: Writer, graph: Graph, sampler: Sampler, chain: ChainSettings) -> None:
    """The constructor's line for the chain."""
    assert graph.energy is not None
    starts = [_start(graph[n], writer) for n in sampler.form.state]
    with writer.place(graph.energy.span):
        options = [f"steps={chain.steps}"]
        if chain.persistent:
            options += ["persistent=True", f"chains={chain.chains}"]
            options += [f"restart={number_text(chain.restart)}"] if chain.restart else []
        elif not chain.from_data:
            options += ["from_data=False"]
        writer.line(f"self.chain = {writer.use('Chain')}({', '.join([*starts, *options])})", mark=True)


def _start(variable: Variable, writer: Writer) -> str:
    """Where a chain's variable starts: noise over its support."""
    noise = variable.type.support.noise
    assert noise is not None  # the plan found a sampler
    arguments = [f'"{noise.kind}"', shape_source(variable.type.shape)]
    if noise.low is not None and noise.high is not None:
        arguments += [number_text(noise.low), number_text(noise.high)]
    return f"{writer.use('Start')}({', '.join(arguments)})"


def _write_sweep(writer: Writer, graph: Graph, sampler: Sampler) -> None:
    names = sampler.form.state
    result = "tuple[Tensor, ...]"
    doc = f"One step of the chain: each of {', '.join(names)} is renewed given the others."
    with writer.method(f"sweep(self{_signature(graph, names)}) -> {result}", doc):
        for n in names:
            _write_update(writer, graph, sampler, n)
        writer.line(f"return {tuple_source(energy_arguments_of(graph, names))}")


def _given(graph: Graph, sampler: Sampler, name: str) -> list[str]:
    """What a variable's conditional reads: all of the state where it is summed value by value."""
    update = sampler.update(name)
    if name == sampler.form.enumerated or update is None or update.logits is None:
        return list(sampler.form.state)
    return [v.name for v in graph.variables if v.name in update.logits.reads()]


def _draw_source(graph: Graph, sampler: Sampler, name: str, size: str) -> str:
    """`h = self.p_h(x).sample()`; a variable that is independent of the rest is told how many rows there are."""
    given = _given(graph, sampler, name)
    count = "" if given else f"({size},)"
    ident = graph[name].ident
    return f"{ident} = self.p_{ident}({', '.join(energy_arguments_of(graph, given))}).sample({count})"


def _write_update(writer: Writer, graph: Graph, sampler: Sampler, name: str) -> None:
    update = sampler.update(name)
    assert update is not None
    variable = graph[name]
    ident = variable.ident
    if update.kind == "block" and update.logits is not None:
        reads = [v.name for v in graph.variables if v.name in update.logits.reads()]
        size = f"len({ident})"
        for s in [r for r in reads if r not in sampler.form.state]:
            writer.line(_draw_source(graph, sampler, s, size), mark=True)
        writer.line(_draw_source(graph, sampler, name, size), mark=True)
        return
    others = ", ".join(energy_arguments_of(graph, sampler.form.state))
    energy = f"lambda {ident}: self.free_energy({others})"
    if update.kind == "langevin":
        ends = zip(("low", "high"), variable.type.support.clamp)
        bounds = "".join(f", {k}={number_text(v)}" for k, v in ends if v is not None)
        numbers = f"{number_text(sampler.step_size)}, {number_text(sampler.noise)}"
        writer.line(f"{ident} = {writer.use('langevin')}({energy}, {ident}, 1, {numbers}{bounds})", mark=True)
        return
    first, count = variable.type.support.low or 0.0, variable.type.support.size
    beside = [v for v in energy_arguments_of(graph, sampler.form.state) if v != ident]
    takes = ", ".join([ident, *beside])
    energy = f"lambda {takes}: self.free_energy({others})" if takes != others else "self.free_energy"
    arguments = ", ".join([energy, ident, number_text(first), str(count), *beside])
    writer.line(f"{ident} = {writer.use('gibbs_sites')}({arguments})", mark=True)


def _write_settle(writer: Writer, graph: Graph, sampler: Sampler, settled: list[str], steps: int) -> None:
    known = [n for n in sampler.form.state if n not in settled]
    names = ", ".join(energy_arguments_of(graph, settled))
    doc = f"{', '.join(settled)} given {', '.join(known)}: the positive phase, {max(steps, 10)} sweeps."
    result = "Tensor" if len(settled) == 1 else "tuple[Tensor, ...]"
    with writer.method(f"settle(self{_signature(graph, known)}) -> {result}", doc):
        size = f"len({graph[known[0]].ident})" if known else "1"
        for n in settled:
            place = sampler.form.state.index(n)
            writer.line(f"{graph[n].ident} = self.chain.starts[{place}].draw({size}, self.like)")
        with (
            writer.block("with torch.no_grad():"),
            writer.block(f"for _ in range({max(steps, 10)}):"),
        ):
            for n in settled:
                _write_update(writer, graph, sampler, n)
        writer.line(f"return {names}")


def _write_draw(writer: Writer, graph: Graph, sampler: Sampler) -> None:
    energy = graph.energy
    assert energy is not None
    doc = f"n draws of ({', '.join(energy.arguments)}) by running the chain from noise, `steps` sweeps."
    signature = "draw_from_energy(self, n: int, steps: int = 1000) -> tuple[Tensor, ...]"
    with writer.method(signature, doc):
        state = energy_arguments_of(graph, sampler.form.state)
        writer.line(
            f"{', '.join(state)}{',' if len(state) == 1 else ''} = self.chain.run(self.sweep, n, steps, self.like)",
            mark=True,
        )
        for name in [*sampler.form.summed, *([sampler.form.enumerated] if sampler.form.enumerated else [])]:
            writer.line(_draw_source(graph, sampler, name, "n"))
        writer.line(f"return {tuple_source(energy_arguments_of(graph, energy.arguments))}")
