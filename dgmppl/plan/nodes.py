"""A plan: what each player descends, the steps that its terms need, how to sample, and why. Plain data.

Here are the parts that rules have in common. What a rule adds, its kinds of steps and terms, stands in its module in
`dgmppl.plan.rules`; the emitter has one function for each kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from dgmppl.catalogue.figures import Figure
from dgmppl.plan.settings import RampSetting, TrainSettings
from dgmppl.plan.structure import Structure
from dgmppl.supports import number_text

if TYPE_CHECKING:
    from dgmppl.graph.units import Units
    from dgmppl.plan.forecast import Forecast
    from dgmppl.plan.predict import Prediction
    from dgmppl.plan.sampler import Sampler


@dataclass(frozen=True)
class Reason:
    """Why, and the line of the spec that made it so (None: the structure as a whole)."""

    text: str
    line: int | None = None


@dataclass(frozen=True)
class Step:
    """`variable` becomes known, from the values of `reads` and, where one gives it, by the factor with this key."""

    variable: str
    because: Reason
    factor: str = field(default="", kw_only=True)
    reads: tuple[str, ...] = field(default=(), kw_only=True)

    explains: ClassVar[bool] = False
    """Whether its reason is one of those for the objective."""

    repeats: ClassVar[bool] = False
    """Whether a row has a case for each value from here on."""

    enumerates: ClassVar[bool] = False
    """Whether all that follows is computed once for each value, as rows have it in common."""

    @property
    def gives(self) -> tuple[str, ...]:
        return (self.variable,)

    @property
    def comes_from(self) -> tuple[str, ...]:
        """Keys of the factors that give or weigh its values."""
        return (self.factor,) if self.factor else ()

    @property
    def absorbs(self) -> tuple[str, ...]:
        """Keys of the factors of p whose densities stand in the step's own term, and in no other."""
        return ()

    def words(self) -> str:
        """The step as a person says it: `draw z from q(z | x)`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Term:
    """A term of a loss, per example, in nats, computed from the values of `reads`.

    `owner` is the variable (or the adversary) whose weight scales it, times `ramps`, which change over the epochs.
    `estimator` says how it is computed where that is no plain evaluation: "closed form" for a divergence that needs no
    draw.
    """

    label: str
    owner: str
    because: Reason
    reads: tuple[str, ...] = field(default=(), kw_only=True)
    weight: float = field(default=1.0, kw_only=True)
    ramps: tuple[RampSetting, ...] = field(default=(), kw_only=True)
    latex: str = field(default="", kw_only=True)
    estimator: str = field(default="", kw_only=True)
    shared: bool = field(default=False, kw_only=True)
    """Whether it is of what rows have in common: counted once, so that each of N rows has 1/N of it."""

    rowwise: ClassVar[bool] = True
    """Whether it is a number of each example; a game is scored over the batch."""

    scored: ClassVar[bool] = False
    """Whether it is a log-density of what is known, a log-determinant, or a divergence: a part of a bound."""

    beside: ClassVar[bool] = False
    """Whether it stands beside the bound or likelihood that the others make, and so in no figure of it."""

    @property
    def times(self) -> str:
        """What multiplies it, as text: `4 w(e) ` with a weight of 4 that changes over the epochs e."""
        return ("" if self.weight == 1 else f"{number_text(self.weight)} ") + "w(e) " * bool(self.ramps)

    def factors(self) -> tuple[str, ...]:
        """Keys of the factors whose densities the term evaluates."""
        return ()


@dataclass(frozen=True)
class Loss:
    """What one player descends: minus the weighted sum of its terms.

    Args:
        adversary: the adversary whose network moves; None for the model, which moves everything else.
        terms: what is added up.
        samples: draws of the latents; with more than one the bound is importance-weighted, the logarithm of the mean
            of exp of the terms that depend on them (Burda et al., 2016).
    """

    adversary: str | None
    terms: tuple[Term, ...]
    samples: int = 1


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
    """What to compute to fit (`steps`, then `losses` in the order in which players move) and to sample (`generate`),
    and how to fit.

    `samplers` are the Markov chains that steps and terms draw from; `figures` what the emitted class reports of each
    row, of which `criterion` names the one that chooses the epoch. `evaluated` are the terms of the likelihood, or of
    its bound, where those of the loss are others. `forecast` says how sequences go on, `proposes` what is drawn given
    what is known of them, `completes` that rows are completed of which some variables are known, `prediction` how
    what is left out of rows is drawn, each in a model that is made for that alone. `inexact`: why latents are drawn,
    where a rule that is exact comes near, and what their posteriors leave out. `units`: of the data, taken from the
    training rows where a fit starts.
    """

    model: str
    source: str
    structure: Structure
    objective: Objective
    steps: tuple[Step, ...]
    losses: tuple[Loss, ...]
    generate: tuple[Step, ...]
    conditions: tuple[str, ...]
    samplers: tuple[Sampler, ...]
    figures: tuple[Figure, ...]
    criterion: str | None
    settings: TrainSettings
    derived: tuple[str, ...] = ()
    evaluated: tuple[Term, ...] = ()
    forecast: Forecast | None = field(default=None, repr=False)
    proposes: tuple[str, ...] = field(default=(), repr=False)
    completes: bool = field(default=False, repr=False)
    prediction: Prediction | None = field(default=None, repr=False)
    inexact: tuple[Reason, ...] = ()
    units: tuple[Units, ...] = ()

    def __repr__(self) -> str:
        return f"<plan of {self.model}: {self.objective.name}>"

    def _repr_html_(self) -> str:
        from dgmppl.notebook import plan_html

        return plan_html(self)

    def _repr_latex_(self) -> str:
        from dgmppl.notebook import plan_latex

        return plan_latex(self)

    @cached_property
    def fitted(self) -> Loss:
        """The model's own loss."""
        return next(loss for loss in self.losses if loss.adversary is None)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the model's loss that are numbers of each example."""
        return tuple(t for t in self.fitted.terms if t.rowwise)

    @property
    def played(self) -> bool:
        """Whether an adversary takes part."""
        return len(self.losses) > 1
