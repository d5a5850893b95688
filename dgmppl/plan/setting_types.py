"""Values of settings that are more than a number or a name."""

from __future__ import annotations

from dataclasses import dataclass, field

from dgmppl.source import Span
from dgmppl.words import counted


@dataclass(frozen=True)
class OptimizerSetting:
    name: str
    lr: float
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DecaySetting:
    """How the learning rate falls: a name of `DECAYS` with its options."""

    name: str
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitSetting:
    """Which rows train, validate and test: sizes below 1 are shares of the rows, others numbers of rows. By the rule
    "whole" each of them are all rows."""

    rule: str
    sizes: tuple[float, float, float]
    seed: int = 0
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class PathSetting:
    """A path from noise to data: a name of `PATHS` with its options."""

    name: str = "linear"
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RampSetting:
    """A weight that changes over the epochs: a name of `RAMPS`, its ends, and over how many; None: over all."""

    name: str
    start: float
    end: float
    epochs: int | None = None

    def words(self) -> str:
        """`from 0 to 1 over 50 epochs`."""
        shape = {"linear": "along a line", "cosine": "along half a cosine"}[self.name]
        epochs = "all epochs" if self.epochs is None else counted(self.epochs, "epoch")
        return f"from {self.start:g} to {self.end:g} {shape} over {epochs}"


@dataclass(frozen=True)
class ObjectiveSetting:
    """An objective that the spec asks for by name. `game` is "" unless a game is named; `path` and `target` are those
    of flow matching; `simple` are the variables whose divergences along an index are weighed by none of their own.
    `beta` and `ramps` are weights that change over the epochs, the latter by variable."""

    name: str
    span: Span = field(compare=False, repr=False)
    options: dict[str, float | bool] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    game: str = ""
    penalty: float | None = None
    path: PathSetting = PathSetting()
    target: str = "velocity"
    simple: frozenset[str] = frozenset()
    beta: RampSetting | None = None
    ramps: dict[str, RampSetting] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """A warning that is not told, by its code: of the statements that declare or model `name`, or of all ("")."""

    code: str
    name: str = ""
    span: Span = field(default=Span(0, 0), compare=False, repr=False)


@dataclass(frozen=True)
class Stage:
    """A part of a fit that moves the weights of some statements alone, and ends as a whole fit would.

    `parts` are sides ("p", "q", or "" for both) with names of variables, as the spec has them; `statements` what they
    are in the graph, and `weights` what the model holds these weights under. `lr`: a learning rate of its own.
    """

    parts: tuple[tuple[str, str], ...]
    lr: float | None = None
    span: Span = field(default=Span(0, 0), compare=False, repr=False)
    statements: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
