"""Densities: distributions over values of a type."""

from __future__ import annotations

from dataclasses import dataclass, field

from dgmppl.graph.values.base import Bijection, Density, Value, walk
from dgmppl.graph.values.leaves import Points
from dgmppl.source import Span


@dataclass(frozen=True)
class Parametric(Density):
    """A distribution of the catalogue. `joint` is the one network that supplies `joint_parameters`;
    `arguments` are the others by name, `linked` the names of those passed through their link."""

    kind: str
    arguments: tuple[tuple[str, Value], ...] = ()
    joint: Value | None = None
    linked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mixture(Density):
    """`count` components with mixing `weights` (logits): one joint mixture over the whole variable, or over an element
    where elements are modelled one by one."""

    count: int
    weights: Value
    component: Density
    points: Points | None = None


@dataclass(frozen=True)
class Pushforward(Density):
    base: Density
    bijection: Bijection


@dataclass(frozen=True)
class Rounded(Density):
    """A density by elements rounded to whole numbers, those of its type: `Logistic(...) >> round(0..255)`."""

    base: Density


@dataclass(frozen=True)
class Residual(Density):
    """A posterior relative to a prior: `q = Normal(loc_p + shift, scale_p * ratio)`, shift and ratio from `delta`."""

    prior: str  # the key of the factor
    delta: Value


@dataclass(frozen=True)
class Delta(Density):
    """All of the probability at one value: the posterior of a variable that is a function of what is known."""

    value: Value


@dataclass(frozen=True)
class Quoted(Density):
    """Another factor's distribution, with these values for its parents."""

    factor: str
    given: tuple[Value, ...]


@dataclass(frozen=True)
class Autoregressive(Density):
    """`step`, the law of one element, read position by position along the first `axes`:
    p(x) = prod_d p(x[d] | x[<d]). `order`: another than row by row, with its seed."""

    variable: str
    step: Density
    axes: int = 1
    order: tuple[str, int] | None = None


@dataclass(frozen=True)
class Plate(Density):
    """`element`, the law of one element, for each position along the first `axes`, none of which depends on another:
    p(x) = prod_d p(x[d])."""

    element: Density
    axes: int = 1

    @property
    def positional(self) -> bool:
        """Whether its elements differ in what they read."""
        return any(isinstance(t, Value) and t.positional for t in walk(self.element))


@dataclass(frozen=True)
class Segment(Density):
    """`law`, that of each element of a sequence from position `first` to `last`, counted from 0. Where lengths differ,
    the last `short` of each sequence have another; `final`: it is that of the last element of each.
    `parents` are those of its own statement, whose left side is at `head_span`."""

    first: int
    last: int
    law: Density
    short: int = 0
    final: bool = False
    parents: tuple[str, ...] = field(default=(), compare=False)
    head_span: Span = field(default=Span(0, 0), compare=False, repr=False)


@dataclass(frozen=True)
class Sequence(Density):
    """A distribution along the index of a folded family: `segments`, in order, are together all of its members.
    `backward`: members depend on those after them, and not on those before. `lengths`: how many members each row has,
    where that differs."""

    variable: str
    segments: tuple[Segment, ...]
    backward: bool = False
    lengths: Value | None = None
