"""Bijections as data: a transform of each element and the conditioner of its parameters, or a map of its own.

To add a transform: its entry in `TRANSFORMS` and its class in `dgmppl.runtime.transforms`. To add a bijection: its
entry in `BIJECTIONS` and its class in the runtime, a subclass of `dgmppl.runtime.bijections.Bijection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.extents import Shape, channels_of
from dgmppl.supports import POSITIVE, REAL, SIMPLEX, UNIT, Interval, Support

Options = Mapping[str, float]


def _once(options: Options) -> int:
    return 1


def _same(shape: Shape) -> Shape:
    return shape


_NO_GRID = "a grid is declared as real[4, 4] or real[4, 4, 3]; of a vector there are reverse, permute and lu"


def _squeezed(shape: Shape) -> Shape:
    """A quarter of the positions with four times the channels."""
    if len(shape) not in (2, 3):
        raise ValueError("halves both axes of a grid", _NO_GRID)
    if shape[0] % 2 or shape[1] % 2:
        raise ValueError("halves both axes of a grid, and they are even")
    return (shape[0] // 2, shape[1] // 2, 4 * channels_of(shape))


def _unsqueezed(shape: Shape) -> Shape:
    if len(shape) not in (2, 3):
        raise ValueError("gives a grid whose channels are a multiple of four", _NO_GRID)
    if len(shape) != 3 or shape[2] % 4:
        raise ValueError("gives a grid whose channels are a multiple of four")
    return (2 * shape[0], 2 * shape[1], shape[2] // 4)


def _one_more(shape: Shape) -> Shape:
    """A number for each but the last of some proportions: these."""
    if len(shape) != 1:
        raise ValueError("takes a vector", "for one in each row, a factor of rows: p(w[i]) = Normal(0, 1) >> ...")
    return (shape[0] + 1,)


def _one_less(shape: Shape) -> Shape:
    if len(shape) != 1:
        raise ValueError("gives one vector", "for one in each row, a factor of rows: p(w[i]) = Normal(0, 1) >> ...")
    if shape[0] < 2:
        raise ValueError("gives two proportions or more", "a single one is always 1")
    return (shape[0] - 1,)


@dataclass(frozen=True)
class TransformKind:
    """An increasing map of each element. `parameters` says how many numbers an element has, for its options."""

    name: str
    runtime: str
    parameters: Callable[[Options], int]
    options: tuple[Argument, ...] = ()
    searched: bool = False  # its inverse has no closed form
    joint: bool = False  # what it does with an element depends on the numbers of all

    @property
    def signature(self) -> Signature:
        """What its parentheses hold."""
        return Signature(self.name, self.options, usage=f"{self.name}(8)")


def _monotone(options: Options) -> int:
    """Of each layer two numbers a unit, and the weights between: none from the one number at the beginning."""
    units, layers = int(options.get("units", 4)), int(options.get("layers", 2))
    ends = [0] + [units] * (layers - 1) + [1]
    return sum(units * (before + 2 + after) for before, after in zip(ends, ends[1:])) + 2


TRANSFORMS: dict[str, TransformKind] = {
    t.name: t
    for t in (
        TransformKind("affine", "AffineTransform", lambda _: 2),
        TransformKind("shift", "ShiftTransform", lambda _: 1),
        TransformKind("volume_preserving", "VolumePreserving", lambda _: 2, joint=True),
        TransformKind(
            "spline",
            "Spline",
            lambda o: 3 * int(o.get("bins", 8)) - 1,
            (Argument("bins", "count"), Argument("bound", "positive")),
        ),
        TransformKind(
            "mixture_cdf",
            "MixtureCDF",
            lambda o: 3 * int(o.get("components", 8)) + 2,
            (Argument("components", "count"),),
            searched=True,
        ),
        TransformKind(
            "monotone",
            "Monotone",
            _monotone,
            (Argument("units", "count"), Argument("layers", "count")),
            searched=True,
        ),
    )
}


@dataclass(frozen=True)
class Slot:
    """A network in a bijection's brackets, with the numbers that it gives for each element that is transformed; 0:
    as many as the transform has.

    `networks`: only these may stand there, "" for any. `without`: options that they may not have there, each with why.
    """

    name: str
    outputs: int = 0
    networks: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BijectionKind:
    """A bijection that a spec may name.

    `acts` says on what: "elements" of any shape, the "channels" of a vector or of each position of a grid, a "grid", a
    whole "event", which is a vector or a grid, or a "vector" alone.

    `context`: "network" (parentheses are inputs of the slots' networks), "value" (parentheses hold the
    parameters themselves, as many as are learned without them), "bijection" (they hold the bijection of each level) or
    "" (takes none).
    """

    name: str
    runtime: str
    # What the parameters of a transform follow from: a "half" of the vector, the "past" of each element, or neither
    # ("given": what stands in parentheses). "" where there is no transform.
    conditioner: str = ""
    slots: tuple[Slot, ...] = ()
    sole: Slot | None = None  # the slot of one network given without a name
    context: str = ""
    beside: int | None = None  # its network reads all elements, and so many numbers beside them; None: only some
    learned: int = 0  # parameters an element, learned where nothing conditions it
    own: Callable[[Shape, Options], int] | None = (
        None  # ... or so many for a shape; ValueError(headline, help) for none
    )
    sized: bool = False  # the runtime class wants the shape of what it maps
    numbers: tuple[Argument, ...] = ()  # numbers in the brackets
    masks: bool = False  # takes `mask`, which says what is kept
    domain: Support = REAL
    codomain: Support = REAL
    integers: bool = False  # also maps integers to integers
    rounds: bool = False  # ... by rounding, so the runtime class must be told
    acts: str = "vector"
    least: int = 1  # elements that it needs
    searched: bool = False  # its inverse has no closed form
    jacobian: bool = False  # nor its log-determinant, which is that of a whole Jacobian, or estimated
    passes: Callable[[Options], int] = _once  # of its network in one direction
    moves: bool = False  # only changes the order of the elements
    after: Callable[[Shape], Shape] = _same  # the shape that it gives; ValueError for one that it does not take
    before: Callable[[Shape], Shape] = _same  # ... and the one that it takes

    @property
    def elementwise(self) -> bool:
        """Whether each element of the image is a function of that element alone."""
        return self.acts == "elements"

    @property
    def signature(self) -> Signature:
        """What its brackets hold."""
        sole = (Argument(self.sole.name, "network", by="position"),) if self.sole else ()
        transform = (Argument("transform", "transform", by="position"),) if self.conditioner else ()
        named = (Argument(s.name, "network", by="name") for s in self.slots)
        mask = (Argument("mask", "mask", by="name"),) if self.masks else ()
        network = "masked[64]" if self.conditioner == "past" else "mlp[64]"
        usage = f"{self.name}[{network}]" if sole else f"{self.name}[spline(8)]" if transform else ""
        usage = f"{self.name}[2](squeeze >> coupling[conv[64]])" if self.context == "bijection" else usage
        return Signature(self.name, (*sole, *transform, *named, *self.numbers, *mask), usage=usage)

    def learns(self, shape: Shape, options: Options, parameters: int = 0) -> int:
        """How many numbers it learns itself for a shape, where nothing conditions it; `parameters` are those of its
        transform for an element. Raises ValueError, with a way out, for options that do not fit the shape."""
        return self.own(shape, options) if self.own else (self.learned + parameters) * math.prod(shape)

    def slot(self, name: str) -> Slot:
        """The network by this name."""
        return next(s for s in (*self.slots, self.sole) if s is not None and s.name == name)


def _sylvester(shape: Shape, options: Options) -> int:
    """Numbers of Q, of a shift and two diagonals, and of what is above these."""
    (features,) = shape
    columns, reflections = int(options.get("orthogonal", 0)), int(options.get("householder", 0))
    if columns and reflections:
        headline = "its matrix is either `orthogonal` or a product of `householder` reflections"
        raise ValueError(headline, "leave one of the two out")
    if columns > features:
        headline = f"{columns} orthogonal directions need as many elements"
        raise ValueError(headline, f"up to {features} here: sylvester[orthogonal = {features}]")
    m = columns or features
    return features * (columns or reflections) + 3 * m + m * (m - 1)


def _residual(shape: Shape, options: Options) -> int:
    """Nothing but its network learns."""
    if options.get("lipschitz") == 0:
        raise ValueError("a Lipschitz constant of 0 leaves nothing of its network", "lipschitz = 0.9")
    return 0


_REZERO = Argument("rezero", "flag", by="name")
_ESTIMATED = Argument("estimated", "flag", by="name")
_RANDOM = {"dropout": "dropout makes another map of it each time"}
_OVER_ROWS = {
    "batch": "a normalisation over the rows makes a row's map depend on others",
    "spectral": "its norm is followed from pass to pass, so that the map changes between them",
}


def _of_ode(options: Options) -> int:
    """Of the method of Runge and Kutta: four for each step."""
    return 4 * int(options.get("steps", 8))


_SOLVED = (Argument("steps", "count", by="name"), _ESTIMATED)
_SEED = Argument("seed", "seed", by="name")

BIJECTIONS: dict[str, BijectionKind] = {
    b.name: b
    for b in (
        BijectionKind(
            "coupling",
            "Coupling",
            conditioner="half",
            least=2,
            slots=(Slot("scale", 1), Slot("shift", 1)),
            sole=Slot("both"),
            context="network",
            masks=True,
            numbers=(Argument("parts", "count", by="name"), _REZERO),
            sized=True,
            integers=True,
            rounds=True,
            acts="event",
        ),
        BijectionKind(
            "autoregressive",
            "AutoregressiveFlow",
            conditioner="past",
            least=2,
            sole=Slot("network"),
            context="network",
            numbers=(_REZERO,),
            sized=True,
            acts="event",
        ),
        BijectionKind(
            "elementwise", "ElementwiseFlow", conditioner="given", context="value", sized=True, acts="elements"
        ),
        BijectionKind("lu", "LULinear", own=lambda shape, _: channels_of(shape) ** 2, sized=True, acts="channels"),
        BijectionKind("reverse", "Reverse", integers=True, moves=True, acts="channels"),
        BijectionKind("permute", "Permute", sized=True, numbers=(_SEED,), integers=True, moves=True, acts="channels"),
        BijectionKind(
            "squeeze",
            "Squeeze",
            sized=True,
            integers=True,
            moves=True,
            acts="grid",
            after=_squeezed,
            before=_unsqueezed,
        ),
        BijectionKind(
            "multiscale",
            "MultiScale",
            context="bijection",
            sized=True,
            integers=True,
            numbers=(Argument("levels", "count", by="position"),),
            acts="grid",
        ),
        BijectionKind("actnorm", "ActNorm", own=lambda shape, _: 2 * channels_of(shape), sized=True, acts="channels"),
        BijectionKind("conv1x1", "Conv1x1", own=lambda shape, _: channels_of(shape) ** 2, sized=True, acts="channels"),
        BijectionKind("householder", "Householder", context="value", learned=1, sized=True),
        BijectionKind(
            "orthogonal",
            "Orthogonal",
            context="value",
            own=lambda shape, _: shape[0] * (shape[0] - 1) // 2,
            sized=True,
            least=2,
        ),
        BijectionKind(
            "planar", "Planar", context="value", own=lambda shape, _: 2 * shape[0] + 1, sized=True, searched=True
        ),
        BijectionKind("radial", "Radial", context="value", own=lambda shape, _: shape[0] + 2, sized=True),
        BijectionKind(
            "sylvester",
            "Sylvester",
            context="value",
            own=_sylvester,
            searched=True,
            sized=True,
            numbers=(Argument("orthogonal", "count", by="name"), Argument("householder", "count", by="name")),
        ),
        BijectionKind(
            "residual",
            "ResidualFlow",
            sole=Slot(
                "network",
                1,
                networks=("mlp", "linear", "densenet"),
                without={**_RANDOM, "norm": "its slope is bounded by the norms of its matrices alone"},
            ),
            beside=0,
            own=_residual,
            context="network",
            sized=True,
            searched=True,
            jacobian=True,
            numbers=(Argument("lipschitz", "share", by="name"), _ESTIMATED),
        ),
        BijectionKind(
            "ode",
            "ODEFlow",
            sole=Slot("network", 1, without={**_RANDOM, **_OVER_ROWS}),
            beside=1,
            context="network",
            sized=True,
            searched=True,
            jacobian=True,
            passes=_of_ode,
            numbers=_SOLVED,
        ),
        BijectionKind("affine", "Affine", context="value", learned=2, sized=True, acts="elements"),
        BijectionKind("sigmoid", "Sigmoid", codomain=UNIT, acts="elements"),
        BijectionKind("tanh", "Tanh", codomain=Interval(-1, 1), acts="elements"),
        BijectionKind("exp", "Exp", codomain=POSITIVE, acts="elements"),
        BijectionKind("softplus", "Softplus", codomain=POSITIVE, acts="elements"),
        BijectionKind(
            "stick_breaking", "StickBreaking", codomain=SIMPLEX, after=_one_more, before=_one_less, acts="vector"
        ),
    )
}

# Bijections that a formula writes: `2 * f(u) + 1` (the numbers `scale` and `shift`), `x + density` and
# `s * z` (by a value), `W @ s` and `s @ W` (the number `transposed`), `u + W @ tanh(u @ W)`,
# `u[d] * exp(net(u[<d]))`, `u + integrate(t in 0..1: ...)`.
ARITHMETIC: dict[str, BijectionKind] = {
    b.name: b
    for b in (
        BijectionKind("scale and shift", "FixedAffine", acts="elements"),
        BijectionKind("shift by a value", "Shift", context="value", acts="elements"),
        BijectionKind("scale by a value", "Scale", context="value", acts="elements"),
        BijectionKind("product with a matrix", "Matrix", context="value"),
        BijectionKind("gradient of a convex potential", "ConvexPotential", context="value", searched=True),
        BijectionKind(
            "map of each element",
            "TriangularFlow",
            conditioner="past",
            least=2,
            context="value",
            sized=True,
            acts="event",
        ),
        BijectionKind(
            "integral over time",
            "FieldFlow",
            context="value",
            sized=True,
            searched=True,
            jacobian=True,
            passes=_of_ode,
            numbers=_SOLVED,
            acts="elements",
        ),
    )
}
FIXED_AFFINE, SHIFT, SCALE, MATRIX, CONVEX, TRIANGULAR, FIELD = ARITHMETIC

ENTRIES: dict[str, BijectionKind] = {**BIJECTIONS, **ARITHMETIC}
