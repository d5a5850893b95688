"""Bijections, and the value of one."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.catalogue.bijections import ENTRIES, FIELD, TRANSFORMS
from dgmppl.graph.values.base import Bijection, Value, walk
from dgmppl.graph.values.networks import Module
from dgmppl.permutations import HALF, Mask
from dgmppl.supports import Support


@dataclass(frozen=True)
class Transform:
    """A transform of each element, `spline(bins = 8)`, or one read backwards."""

    kind: str
    options: tuple[tuple[str, float], ...] = ()
    inverted: bool = False

    @property
    def parameters(self) -> int:
        """Numbers of an element."""
        return TRANSFORMS[self.kind].parameters(dict(self.options))


@dataclass(frozen=True)
class Triangular:
    """What a `flow` `f(u[d])` does with an element: a `bijection` of a single number onto values of the support
    `gives`, by `numbers` that `method` computes of what is before it and of the block's context. That is of the
    `argument` of the flow, or by the name of the flow of what it gives."""

    flow: str
    method: str
    argument: str
    numbers: tuple[tuple[str, Value], ...]
    bijection: Bijection
    gives: Support


@dataclass(frozen=True)
class Field:
    """The field of `integrate(t in 0..1: value)`: what `method` computes of the `argument`, which moves, of the `time`
    between `start` and `end`, and of the block's context."""

    flow: str
    method: str
    argument: str
    time: str
    value: Value
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Levels(Bijection):
    """A multi-scale bijection of values of this `shape`: behind each level but the last, some channels are done."""

    kind: str
    shape: tuple[int, ...]
    levels: tuple[Bijection, ...]
    channels: tuple[int, ...]  # that each level gives


@dataclass(frozen=True)
class Inverse(Bijection):
    """A bijection read backwards."""

    inner: Bijection


@dataclass(frozen=True)
class Block(Bijection):
    """One bijection of the catalogue, of values of this `shape`.

    `slots` are its networks; `transform` is what they condition, where that is not affine; `mask` says which elements a
    coupling keeps. `context` is what it is conditioned on, by the names under which the map takes them. Those are the
    inputs of its networks, position by position those named in `grids`, or, without a network, its parameters
    themselves. `triangular`: what it does by a formula of each element; `field`: what moves it over a time. `copies`
    counts the components of a mixture that have parameters of their own. On integers, `range` is (lowest, how many)
    where they are bounded.
    """

    kind: str
    shape: tuple[int, ...]
    slots: tuple[tuple[str, Module], ...] = ()
    numbers: tuple[tuple[str, float], ...] = ()
    transform: Transform | None = None
    mask: Mask = HALF
    context: tuple[tuple[str, Value], ...] = ()
    grids: tuple[str, ...] = ()
    copies: int = 0
    integer: bool = False
    range: tuple[int, int] | None = None
    triangular: Triangular | None = None
    field: Field | None = None

    @property
    def direct(self) -> bool:
        """Whether the context is taken as it is, with no network between."""
        return bool(self.context) and (self.written or not self.slots)

    @property
    def written(self) -> bool:
        """Whether a formula writes it, with networks in any place."""
        return self.triangular is not None or self.field is not None

    @property
    def solves(self) -> bool:
        """Whether it follows a differential equation."""
        return self.kind in ("ode", FIELD)

    @property
    def own_weights(self) -> int:
        """How many numbers it learns itself, beside its networks."""
        if self.triangular is not None:
            return sum(t.own_weights for t in walk(self.triangular.bijection) if isinstance(t, Block))
        if self.slots or self.context:
            return int(dict(self.numbers).get("rezero", 0))
        parameters = self.transform.parameters if self.transform else 0
        return ENTRIES[self.kind].learns(self.shape, dict(self.numbers), parameters) * max(self.copies, 1)


@dataclass(frozen=True)
class Composition(Bijection):
    """`parts` applied left to right, the whole `repeat` times with fresh weights; held as `attribute`. One that is
    `reversible` keeps nothing of what is between them for its gradient."""

    attribute: str
    parts: tuple[Bijection, ...]
    repeat: int = 1
    reversible: bool = False


@dataclass(frozen=True)
class Mapped(Value):
    """A bijection applied to a value: `f(u)`."""

    bijection: Bijection
    value: Value
