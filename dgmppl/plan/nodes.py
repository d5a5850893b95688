"""A plan: the objective of a spec, how it is estimated, and the steps that compute it. Plain data.

Steps and terms name variables and factors of the graph; the emitter turns each kind of step, and each kind of
term, into source. Every one says why it is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dgmppl.catalogue.figures import Figure
from dgmppl.graph.polynomial import Polynomial
from dgmppl.plan.settings import TrainSettings
from dgmppl.plan.structure import Structure


@dataclass(frozen=True)
class Reason:
    """Why, and the line of the spec that made it so (None: the structure as a whole)."""

    text: str
    line: int | None = None


# --- steps: what becomes known, in order ---------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """`variable` becomes known."""

    variable: str
    because: Reason


@dataclass(frozen=True)
class Given(Step):
    """From the data, or as a condition."""


@dataclass(frozen=True)
class GivenSome(Given):
    """From the data in the rows that have it. In the others nothing depends on it, and it integrates to one."""


@dataclass(frozen=True)
class Compute(Step):
    """By its definition. `support` tells whether values are put back into the variable's support."""


@dataclass(frozen=True)
class Dequantise(Step):
    """Uniform noise in [0, 1) is added, so that a density bounds a probability."""


@dataclass(frozen=True)
class Invert(Step):
    """`variable` is what the bijection maps to `image`; `noisy`: to its dequantised value."""

    image: str
    noisy: bool


@dataclass(frozen=True)
class Draw(Step):
    """From the factor with this key."""

    factor: str


@dataclass(frozen=True)
class Impute(Draw):
    """From the data in the rows that have it, and drawn from the factor in the others."""


@dataclass(frozen=True)
class Sum(Step):
    """Takes each of its `values`, which the factor with this key weighs; a `partial` one only in the rows that miss
    it, and its own value in the others."""

    factor: str
    values: int
    partial: bool = False


@dataclass(frozen=True)
class Settle(Step):
    """From its conditional under the energy, the data held fixed (the positive phase)."""


@dataclass(frozen=True)
class RunChain(Step):
    """From the energy's Markov chain (`variable` is the first of `variables`)."""

    variables: tuple[str, ...]


# --- terms: what is added up ---------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A term of the objective, per example, in nats. `owner` is the variable whose weight scales it."""

    label: str
    owner: str
    because: Reason
    weight: float = field(default=1.0, kw_only=True)
    latex: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class LogProb(Term):
    factor: str


@dataclass(frozen=True)
class LogProbSeen(LogProb):
    """log p in the rows that have its variable, and 0 in the others."""


@dataclass(frozen=True)
class LogQSeen(Term):
    """log q of a partial variable in the rows that have it, and 0 in the others: no part of the bound."""

    factor: str


@dataclass(frozen=True)
class LogDet(Term):
    """log |det J| of the inverse that step `Invert` computed for `variable`."""

    variable: str


@dataclass(frozen=True)
class MinusLogProb(Term):
    """-log q of a draw, or of a variable that is summed out; where that is partial, in the rows that miss it."""

    factor: str


@dataclass(frozen=True)
class MinusKL(Term):
    """-KL(q || p) in closed form."""

    q: str
    p: str


@dataclass(frozen=True)
class MinusEnergy(Term):
    """-F(data): the positive phase."""


@dataclass(frozen=True)
class NegativePhase(Term):
    """+F(sample of the model), whose gradient is that of -log Z."""


@dataclass(frozen=True)
class LogConditional(Term):
    """log p(variable | rest) by normalising the energy over the variable's few values."""

    variable: str


# --- energies and games --------------------------------------------------------------------------


@dataclass(frozen=True)
class Update:
    """How one variable of a chain is renewed. `kind`: "block" (Bernoulli with `logits`), "sites" (one element
    at a time, from energy differences) or "langevin"."""

    variable: str
    kind: str
    because: Reason
    logits: Polynomial | None = None


@dataclass(frozen=True)
class EnergyPlan:
    """The sampler that an energy's structure gives.

    `summed` are variables summed out of the energy in closed form, `enumerated` the one variable summed by its
    few values, `state` the chain's variables. `partition` is the variable over whose values log Z is enumerated.
    """

    polynomial: Polynomial | None
    summed: tuple[str, ...]
    enumerated: str | None
    state: tuple[str, ...]
    updates: tuple[Update, ...]
    partition: tuple[str, ...] | None
    steps: int
    persistent: bool
    chains: int
    step_size: float
    noise: float
    restart: float
    from_data: bool
    pseudo: str | None = None

    def update(self, variable: str) -> Update | None:
        return next((u for u in self.updates if u.variable == variable), None)


@dataclass(frozen=True)
class GamePlan:
    """One adversary: it tells the data's side of its arguments from the model's.

    `moves_model` and `moves_data` say which sides have something to learn.
    """

    adversary: str
    game: str
    penalty: float
    moves_model: bool
    moves_data: bool
    because: Reason
    weight: float = 1.0


@dataclass(frozen=True)
class Objective:
    """`kind` is what emitted source calls it: "elbo", "log_prob" or "" (no figure per example)."""

    name: str
    kind: str
    formula: str
    latex: str
    estimator: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Plan:
    """What to compute to fit (`steps`, `terms`, `games`) and to sample (`generate`), and how to fit.

    `figures` are those that the emitted class gives of each row; `criterion` names the one that chooses the epoch.
    """

    model: str
    source: str
    structure: Structure
    objective: Objective
    steps: tuple[Step, ...]
    terms: tuple[Term, ...]
    generate: tuple[Step, ...]
    conditions: tuple[str, ...]
    energy: EnergyPlan | None
    games: tuple[GamePlan, ...]
    figures: tuple[Figure, ...]
    criterion: str | None
    settings: TrainSettings
    importance: int = 1
    derived: tuple[str, ...] = ()
