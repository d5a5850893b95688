"""The sampler that an energy's structure gives: conditionals where it is multi-affine, Langevin where it is smooth.

For a binary unit x_i that enters the energy linearly, p(x_i = 1 | rest) = sigmoid(-dE/dx_i); units of one
variable that do not multiply each other are drawn at once (Hinton 2002; Tomczak 2022, Sec. 6.5).

A sampler is apart from what uses it: a loss runs it as a `ChainSettings`, sampling runs it from noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Energy, Graph, Variable
from dgmppl.graph.polynomial import VALUES, Polynomial, polynomial
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Reason
from dgmppl.plan.settings import ObjectiveSetting, TrainSettings

MAX_ENUMERATED = 16  # units: 2^16 configurations fit any machine
MAX_VALUES = 1000  # values of a variable that is summed one by one
MAX_PSEUDO = 4096  # elements whose conditionals a pseudo-likelihood multiplies


@dataclass(frozen=True)
class Update:
    """How one variable of a chain is renewed. `kind`: "block" (Bernoulli with `logits`), "sites" (one element
    at a time, from energy differences) or "langevin"."""

    variable: str
    kind: str
    because: Reason
    logits: Polynomial | None = None


@dataclass(frozen=True)
class FreeEnergy:
    """An energy with some of its variables summed out.

    Args:
        polynomial: the energy as a sum of products of tensors, where it is one.
        summed: variables summed out in closed form; `enumerated`: the one that is summed value by value.
        state: what is left.
        partition: the variables over whose values log Z is enumerated.
        pseudo: the variable whose elements' conditionals make a pseudo-likelihood.
    """

    polynomial: Polynomial | None
    summed: tuple[str, ...]
    enumerated: str | None
    state: tuple[str, ...]
    partition: tuple[str, ...] | None
    pseudo: str | None = None


@dataclass(frozen=True)
class Sampler:
    """A Markov chain over the state of an energy: how a sweep renews each variable. `step_size` and `noise` are those
    of Langevin dynamics."""

    form: FreeEnergy
    updates: tuple[Update, ...]
    step_size: float
    noise: float

    def update(self, variable: str) -> Update | None:
        return next((u for u in self.updates if u.variable == variable), None)

    @property
    def langevin(self) -> bool:
        return any(u.kind == "langevin" for u in self.updates if u.variable in self.form.state)


@dataclass(frozen=True)
class ChainSettings:
    """How a loss runs a sampler: `steps` sweeps, from the data, from noise, or from where the last batch left
    `chains` persistent chains, of which a share `restart` begins anew."""

    steps: int
    persistent: bool
    chains: int
    restart: float
    from_data: bool


def choose_sampler(
    scope: Scope, graph: Graph, energy: Energy, drawn: frozenset[str], asked: ObjectiveSetting | None
) -> Sampler:
    """How the energy's variables are summed out and sampled. `drawn` are latents that a q gives values to.

    Reports a variable that no sampler fits (E302).
    """
    line = scope.source.position(energy.span.start)[0]
    members = [graph[a] for a in energy.arguments]
    binary = [v.name for v in members if _is_unit(v)]
    # A feature depends on members of the energy in ways that its form does not show.
    plain = all(graph[name].role != "let" for name in variables(energy.value))
    form = polynomial(energy.value, binary) if plain else None
    updates = tuple(_update(scope, energy, v, form, line) for v in members)
    summed = _summed(members, updates, drawn)
    enumerated = _enumerated(members, updates, summed, drawn)
    gone = {*summed, *([enumerated] if enumerated else [])}
    state = tuple(v.name for v in members if v.name not in gone)
    if not state:
        scope.fail(
            "E302",
            "every variable of the energy is summed out",
            energy.head_span,
            "nothing is left to sample",
            help="a factor says the same: p(y) = Categorical(param)",
        )
    options = asked.options if asked is not None else {}
    step_size = float(options.get("step_size", _default_step([graph[n] for n in state])))
    partition = _partition(members, updates, form)
    pseudo = _pseudo(members, partition, enumerated, state)
    return Sampler(
        FreeEnergy(form, summed, enumerated, state, partition, pseudo),
        updates,
        step_size,
        float(options.get("noise", math.sqrt(2 * step_size))),
    )


def choose_chain(
    graph: Graph,
    sampler: Sampler,
    asked: ObjectiveSetting | None,
    settings: TrainSettings,
    repeated: frozenset[str] = frozenset(),
) -> ChainSettings:
    """How the negative phase runs a sampler. `repeated` are variables of which a row has several values, those of a
    sum: a chain that started at them would not start at draws of q."""
    options = asked.options if asked is not None else {}
    langevin = sampler.langevin
    weighed = bool(repeated & set(sampler.form.state))
    persistent = bool(options.get("persistent", langevin or weighed))
    return ChainSettings(
        steps=int(options.get("steps", 20 if langevin else 1)),
        persistent=persistent,
        chains=int(options.get("chains", settings.batch)),
        restart=float(options.get("restart", 0.05 if langevin else 0.0)),
        from_data=not langevin and not persistent and not weighed,
    )


def verify_options(scope: Scope, asked: ObjectiveSetting | None, sampler: Sampler, chain: ChainSettings) -> None:
    """Reports options of a chain that this energy's chain does not have (E305)."""
    for names, used, why in (
        (
            ("chains", "restart"),
            chain.persistent,
            "no chain is kept between batches: persistent = true keeps them",
        ),
        (
            ("step_size", "noise"),
            sampler.langevin,
            "nothing is drawn by Langevin dynamics: Gibbs sampling has no step size",
        ),
    ):
        for name in (n for n in names if asked is not None and n in asked.options and not used):
            assert asked is not None
            scope.report("E305", f"`{name}` would change nothing", asked.span, why, help=f"leave `{name}` out")


def _default_step(state: list[Variable]) -> float:
    """The step size of Langevin dynamics on values of about unit scale, or on a range of any width. With the noise
    sqrt(2 step size) the chain draws from exp(-E) (Welling and Teh 2011)."""
    supports = [v.type.support for v in state]
    widths = [s.high - s.low for s in supports if s.low is not None and s.high is not None]
    return 0.01 * (min(widths) / 2) ** 2 if len(widths) == len(supports) else 0.01


def _update(scope: Scope, energy: Energy, variable: Variable, form: Polynomial | None, line: int) -> Update:
    support = variable.type.support
    name = variable.name
    linear = form is not None and form.degree(name) <= 1
    if form is not None and linear and _renewed_at_once(variable, form):
        logits = form.derivative(name).negated()
        what = f"the one-hot vector of {name}" if not support.numeric else name
        return Update(name, "block", Reason(f"the energy is linear in {what} when the rest is fixed", line), logits)
    if support.smooth:
        return Update(name, "langevin", Reason(f"{name} is continuous and the energy is smooth in it", line))
    if support.finite:
        why = "units of it multiply each other" if form is not None else "the energy is no polynomial"
        return Update(name, "sites", Reason(f"{name} has few values an element, and {why}", line))
    scope.fail(
        "E302",
        f"no sampler fits `{name}` under this energy",
        energy.head_span,
        f"`{name}` is {support.describe()}",
        notes=(Note(variable.span, "declared here"),),
        help="energies are sampled over finite values, by Gibbs, and over real, positive or bounded ones, by Langevin",
    )


def _is_unit(variable: Variable) -> bool:
    """Whether each element is 0 or 1 as a number: it is drawn at once where an energy is linear in it."""
    return variable.type.support.numeric and bool(variable.type.support.conditional)


def _renewed_at_once(variable: Variable, form: Polynomial) -> bool:
    """Whether what an energy is linear in are the units of a variable, or the one-hot vectors of one that only picks
    elements."""
    kinds = {kind for m in form.terms for kind, name, _ in m.factors if kind in VALUES and name == variable.name}
    return kinds <= {"variable"} if _is_unit(variable) else not variable.type.support.numeric and kinds == {"category"}


def _summed(members: list[Variable], updates: tuple[Update, ...], drawn: frozenset[str]) -> tuple[str, ...]:
    """Latents that can be summed out together: each linear in the energy, none reading another."""
    found: list[str] = []
    for v, u in zip(members, updates):
        if v.role != "latent" or v.name in drawn or u.kind != "block" or u.logits is None:
            continue
        others = [w for w in updates if w.variable in found and w.logits is not None]
        if not u.logits.reads() & set(found) and not any(v.name in w.logits.reads() for w in others if w.logits):
            found.append(v.name)
    return tuple(found)


def _enumerated(
    members: list[Variable], updates: tuple[Update, ...], summed: tuple[str, ...], drawn: frozenset[str]
) -> str | None:
    """The variable of a single element and few values that is summed value by value, if it is worth it.

    Not one of the data beside a latent that the chain has to draw: that is drawn given the observed value.
    """
    chained = any(v.role == "latent" and v.name not in (*summed, *drawn) for v in members)
    for v in members:
        if v.role != "latent" and chained:
            continue
        small = not v.type.shape and v.type.support.finite and (v.type.support.size or 0) <= MAX_VALUES
        if small and v.name not in (*summed, *drawn) and len(members) > 1 and not summed:
            return v.name
    return None


def _partition(members: list[Variable], updates: tuple[Update, ...], form: Polynomial | None) -> tuple[str, ...] | None:
    """The fewest variables whose enumeration gives log Z: once they are fixed, the others are summed in closed
    form. None where that is no small number of configurations."""
    if form is None:
        return None
    best: tuple[int, tuple[str, ...]] | None = None
    units = [v for v in members if _is_unit(v)]
    blocks = all(u.kind == "block" and u.logits is not None for u in updates)
    for v in units if blocks else ():
        rest = [w for w in updates if w.variable != v.name]
        independent = all(w.logits is not None and w.logits.reads() <= {v.name} for w in rest)
        smaller = best is None or v.type.elements < best[0]
        if independent and smaller and v.type.elements <= MAX_ENUMERATED:
            best = (v.type.elements, (v.name,))
    if best is None and units == members and sum(v.type.elements for v in members) <= MAX_ENUMERATED:
        return tuple(v.name for v in members)
    return best[1] if best else None


def _pseudo(
    members: list[Variable], partition: tuple[str, ...] | None, enumerated: str | None, state: tuple[str, ...]
) -> str | None:
    """The one observed binary variable whose elements' conditionals make a pseudo-likelihood (Besag 1975)."""
    observed = [v for v in members if v.role == "observed" and v.name != enumerated]
    if partition is not None or len(observed) != 1 or set(state) != {observed[0].name}:
        return None
    v = observed[0]
    fits = _is_unit(v) and v.type.elements <= MAX_PSEUDO
    return v.name if fits else None
