"""Energy: what stays unnormalised is told by two phases, the data's energy and that of samples from its chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.diagnostics import Note
from dgmppl.graph.inverse import can_derive, some_posterior
from dgmppl.graph.nodes import Energy
from dgmppl.plan import latex
from dgmppl.plan.nodes import Step, Term
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.sampler import ChainSettings, Sampler, choose_chain, choose_sampler
from dgmppl.plan.state import Elimination
from dgmppl.words import counted


@dataclass(frozen=True)
class Settle(Step):
    """From its conditional under the energy, the data held fixed (the positive phase)."""

    explains: ClassVar[bool] = True

    def words(self) -> str:
        return f"draw {self.variable} under the energy"


@dataclass(frozen=True)
class RunChain(Step):
    """From the energy's Markov chain (`variable` is the first of `variables`)."""

    variables: tuple[str, ...]

    @property
    def gives(self) -> tuple[str, ...]:
        return self.variables

    def words(self) -> str:
        return f"draw {', '.join(self.variables)} from the energy's chain"


@dataclass(frozen=True)
class MinusEnergy(Term):
    """-F(data): the positive phase."""


@dataclass(frozen=True)
class NegativePhase(Term):
    """+F(sample of the model), whose gradient is that of -log Z. `chain` says where samples start and how long the
    sampler runs."""

    chain: ChainSettings

    beside: ClassVar[bool] = True


@dataclass(frozen=True)
class LogConditional(Term):
    """log p(variable | rest) by normalising the energy over the variable's few values."""

    variable: str


class Energies(Rule):
    """Latents of an energy that are neither summed out of it nor drawn from a q are settled under it."""

    def apply(self, state: Elimination) -> bool:
        # What else is known by then decides what is left to the energy, so this waits for the others.
        if state.open or not state.known & set(state.members()):
            return False
        sampler = sampler_of(state)
        for name in sampler.form.state if sampler is not None else ():
            if state.graph[name].role == "latent" and name not in state.known:
                why = f"{name} is latent in the energy and cannot be summed out: it is drawn with the data held fixed"
                energy = _energy(state)
                reads = tuple(a for a in energy.arguments if a in state.known)
                state.add(Settle(name, state.reason(why, energy.span), reads=reads))
                return True
        return False

    def terms(self, state: Elimination) -> Iterator[Term]:
        sampler = sampler_of(state)
        if sampler is None:
            return
        energy, form = _energy(state), sampler.form
        inside = ", ".join(form.state)
        shown = ", ".join(map(latex.name, form.state))
        name = "F" if form.summed or form.enumerated else "E"
        owner = form.state[0]
        if form.enumerated is not None and state.graph[form.enumerated].role != "latent":
            y = form.enumerated
            why = state.reason(f"{y} has few values: the energy is normalised over them exactly", energy.span)
            some = state.graph[y].role == "partial"
            maths = (latex.rows(y, "seen") if some else "") + rf"\log p({latex.name(y)} \mid {shown})"
            label = f"log p({y} | {inside})" + (" where seen" if some else "")
            yield LogConditional(label, y, why, y, reads=(*form.state, y), latex=maths)
        positive = state.reason("the energy of the data (the positive phase)", energy.span)
        negative = state.reason("the energy of the model's samples, whose gradient is that of -log Z", energy.span)
        yield MinusEnergy(f"-{name}({inside})", owner, positive, reads=form.state, latex=f"-{name}({shown})")
        chain = choose_chain(state.graph, sampler, state.asked, state.settings, state.repeated())
        yield NegativePhase(
            f"{name}({inside}) of samples",
            owner,
            negative,
            chain,
            reads=form.state,
            latex=rf"\mathbb{{E}}_{{p}}[{name}({shown})]",
            estimator="samples of the chain",
        )

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        sampler = sampler_of(state)
        chain = next((t.chain for t in terms if isinstance(t, NegativePhase)), None)
        if sampler is None or chain is None:
            return
        kinds = {u.kind for u in sampler.updates if u.variable in sampler.form.state}
        how = " and ".join(_WAYS[k] for k in sorted(kinds))
        start = "chains started at the data" if chain.from_data else "chains"
        start = "persistent chains" if chain.persistent else start
        yield f"{how}, {counted(chain.steps, 'step')}, {start}"
        if sampler.form.summed:
            yield f"{', '.join(sampler.form.summed)} summed out in closed form"
        if sampler.form.enumerated:
            yield f"{sampler.form.enumerated} summed over its values"


_WAYS = {"block": "block Gibbs", "sites": "Gibbs, one element at a time", "langevin": "Langevin dynamics"}


def sampler_of(state: Elimination) -> Sampler | None:
    """The energy's sampler, given which of its latents the data's side draws. Reports what none fits (E302)."""
    if state.graph.energy is None:
        return None
    if state.sampler is None:
        drawn = {q.head for q in state.posteriors()} | state.needed
        state.sampler = choose_sampler(state.scope, state.graph, state.graph.energy, frozenset(drawn), state.asked)
    return state.sampler


def verify_energy(state: Elimination) -> None:
    """Reports an energy of latents alone, none of which the data gives a value (E306: nothing would teach it), and a
    partial variable that is not summed out of it (E220)."""
    graph, energy = state.graph, state.graph.energy
    if energy is None or state.failed:
        return
    if not state.known & set(energy.arguments):
        latent = graph[energy.arguments[0]]
        seen = ", ".join(v.name for v in graph.observed)
        state.scope.fail(
            "E306",
            f"nothing teaches this energy: the data gives `{latent.name}` no value",
            energy.head_span,
            "only latents",
            notes=(Note(latent.span, "needs a q"),),
            help=some_posterior(latent, seen, "mlp[256]")
            if can_derive(latent)
            else f"let the energy read the data too: E({seen}, {latent.name}) = ...",
        )
    sampler = sampler_of(state)
    for member in energy.arguments:
        if graph[member].role == "partial" and sampler is not None and member != sampler.form.enumerated:
            state.scope.fail(
                "E220",
                f"an energy of a partial variable that is not summed out cannot be compiled yet: `{member}`",
                energy.head_span,
                "its samples have every variable in every row",
                notes=(Note(graph[member].span, "declared here"),),
                help="one element of few values, without a q and beside no other latent, is summed out of an energy",
            )


def _energy(state: Elimination) -> Energy:
    assert state.graph.energy is not None
    return state.graph.energy
