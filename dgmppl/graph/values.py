"""Typed expressions: what the right-hand sides of a spec mean once names, sizes and supports are known.

Three kinds: values (tensors), bijections, and densities. Shapes are event shapes; the batch is implied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dgmppl.catalogue.axes import Axes, Sizes
from dgmppl.catalogue.bijections import ENTRIES, TRANSFORMS
from dgmppl.catalogue.networks import NETWORKS, Form, Network, own_network
from dgmppl.permutations import HALF, Mask
from dgmppl.source import Span
from dgmppl.supports import Type


@dataclass(frozen=True)
class Value:
    """A tensor of a known type."""

    type: Type
    span: Span = field(compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def own_rows(self) -> bool:
        """Whether it is itself read from the rows, whatever it is computed from."""
        return False

    @property
    def rows(self) -> bool:
        """Whether each row has a value of its own: whether it is computed from anything that has. Only then does it
        have a batch axis."""
        return any(isinstance(t, Value) and t.own_rows for t in walk(self))

    @property
    def own_positions(self) -> bool:
        """Whether it is itself read at a position, whatever it is computed from."""
        return False

    @property
    def positional(self) -> bool:
        """Whether it has a value for each position of an element by element factor. Only then has it axes for them,
        which stand behind the batch and are no part of its shape."""
        return self.own_positions or any(isinstance(t, Value) and t.positional for t in children(self))

    @property
    def constant(self) -> bool:
        """Whether it is computed from constants alone, and so is no tensor but a number."""
        leaves = (Use, Past, Position, Declared, Learned, Points, Apply)
        return not self.shape and not any(isinstance(t, leaves) for t in walk(self))


@dataclass(frozen=True)
class Constant(Value):
    number: float


@dataclass(frozen=True)
class Use(Value):
    """A variable, by its name in the graph (`z[3]` for a member of a family). `in_rows`: see `Variable.rows`."""

    variable: str
    in_rows: bool = True

    @property
    def own_rows(self) -> bool:
        return self.in_rows


@dataclass(frozen=True)
class Past(Value):
    """A variable as a causal network reads it: each position along its first `axes`, in the order of rows, sees what is
    before it. Its type is that of the whole variable."""

    variable: str
    axes: int = 1

    @property
    def own_rows(self) -> bool:
        return True

    @property
    def own_positions(self) -> bool:
        return True


@dataclass(frozen=True)
class At(Value):
    """`value[d - 1]`: of a value whose first axes are those of the positions, what stands `offsets` away from each."""

    value: Value
    offsets: tuple[int, ...]

    @property
    def own_positions(self) -> bool:
        return True

    @property
    def here(self) -> bool:
        """Whether it is that of the position itself."""
        return not any(self.offsets)


@dataclass(frozen=True)
class Feature(Value):
    """`h[d]`: a feature with a value at each position of an `extent`, computed by `body` from what is read there."""

    name: str
    ident: str
    extent: tuple[int, ...]
    body: Value

    @property
    def own_positions(self) -> bool:
        return True

    @property
    def recurrent(self) -> bool:
        """Whether it is computed from its own value at the position before."""
        return any(isinstance(t, State) and t.name == self.name for t in walk(self.body))


@dataclass(frozen=True)
class State(Value):
    """`h[d - 1]` in the feature `h[d]` itself: its value at the position before, zeros at the first."""

    name: str
    ident: str

    @property
    def own_positions(self) -> bool:
        return True


@dataclass(frozen=True)
class Position(Value):
    """An index of an element by element factor as a value, counted from 0: the `axis`-th of those over `extent`."""

    name: str
    axis: int
    extent: tuple[int, ...]

    @property
    def own_positions(self) -> bool:
        return True


@dataclass(frozen=True)
class Declared(Value):
    """A `param` declared by name, or a tensor of fixed values, which learns nothing."""

    name: str
    learns: bool = True


@dataclass(frozen=True)
class Learned(Value):
    """`param` inside an expression; `copies` of it where it stands inside a mixture."""

    attribute: str
    copies: int = 0


@dataclass(frozen=True)
class Points(Value):
    """The grid points that a mixture's components are indexed by, `count` of them."""

    attribute: str
    sides: tuple[int, ...]

    @property
    def count(self) -> int:
        n = 1
        for s in self.sides:
            n *= s
        return n


@dataclass(frozen=True)
class NetworkSpec:
    """`mlp[256, out = tanh]`: a kind with its configuration, before its sizes are known. The kind of a user's own is
    `module:Class`, and `rank` how many axes of positions that reads."""

    kind: str
    hidden: tuple[int, ...] = ()
    options: tuple[tuple[str, str | float], ...] = ()
    rank: int = 0

    @property
    def is_own(self) -> bool:
        """Whether it is a user's own class."""
        return ":" in self.kind

    @property
    def entry(self) -> Network:
        """What the catalogue says of it."""
        return own_network(self.kind, self.rank) if self.is_own else NETWORKS[self.kind]


@dataclass(frozen=True)
class Stage:
    """One network of a chain, in the form in which it stands there, with the axes that it reads and gives.

    `context` is the size of what conditions one that reads positions, `aligned` of what a causal one reads at each
    position itself. `ends`: whether it has a last layer; one that another follows has none, and gives its last hidden
    layer.
    """

    spec: NetworkSpec
    form: Form
    inputs: Axes
    outputs: Axes
    context: int = 0
    aligned: int = 0
    ends: bool = True

    @property
    def sizes(self) -> Sizes:
        outputs = self.outputs if self.ends else None
        return Sizes(self.inputs, self.spec.hidden, outputs, self.context, self.aligned, dict(self.spec.options))


@dataclass(frozen=True)
class Module:
    """A network with the axes that it reads and gives, held by the model as `attribute`: one, or several in a chain.

    Uses that share weights share it. `named`: declared by `net`, `bias`: whether the last layer has one.
    """

    attribute: str
    stages: tuple[Stage, ...]
    named: bool = False
    bias: bool = True
    span: Span = field(default=Span(0, 0), compare=False, repr=False)

    @property
    def inputs(self) -> Axes:
        return self.stages[0].inputs

    @property
    def outputs(self) -> Axes:
        return self.stages[-1].outputs

    @property
    def context(self) -> int:
        """The size of a vector that conditions it."""
        return self.stages[0].context

    @property
    def out(self) -> str:
        """The activation of its output, "" where it has none."""
        return str(dict(self.stages[-1].spec.options).get("out", ""))

    @property
    def specs(self) -> tuple[NetworkSpec, ...]:
        return tuple(stage.spec for stage in self.stages)

    @property
    def hidden(self) -> tuple[int, ...]:
        """The sizes of all hidden layers."""
        return tuple(size for spec in self.specs for size in spec.hidden)

    @property
    def own(self) -> tuple[str, ...]:
        """The classes of a user's among them, whose weights are known once they are built."""
        return tuple(spec.kind for spec in self.specs if spec.is_own)

    @property
    def weights(self) -> int:
        """How many weights and biases it has, without those of a user's own."""
        return sum(s.form.weights(s.sizes) for s in self.stages) - (0 if self.bias else self.outputs.channels)


@dataclass(frozen=True)
class Apply(Value):
    """A network applied to values. `context` are those that condition one which reads positions, `aligned` those that
    a causal one reads at the position itself; `copies`: the output has a leading axis of that size (mixture
    components)."""

    module: Module
    inputs: tuple[Value, ...]
    context: tuple[Value, ...] = ()
    copies: int = 0
    aligned: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Operation(Value):
    """`op` is one of + - * / ^ @, "negate", "sum", or the name of a function."""

    op: str
    operands: tuple[Value, ...]


@dataclass(frozen=True)
class Element(Value):
    """`value[index]`: an index is a number, a summation's index, or a value (picks by category). Fewer indices than
    axes pick what lies behind them, a row."""

    value: Value
    index: tuple[int | str | Value, ...]


@dataclass(frozen=True)
class Joined(Value):
    """`concat(a, b)`: values side by side along `axis`, counted from the last, -1; `stack(a, b)`: along a new last
    axis. Single numbers are vectors of one."""

    parts: tuple[Value, ...]
    axis: int = -1
    stacked: bool = False


@dataclass(frozen=True)
class Part(Value):
    """`value[2, 0..7]`: numbers pick along the first axes, ranges (both ends included) keep a part of them."""

    value: Value
    index: tuple[int | tuple[int, int], ...]


@dataclass(frozen=True)
class Reshaped(Value):
    """The elements of a value in order, in another shape."""

    value: Value


@dataclass(frozen=True)
class Reduced(Value):
    """The "sum" or "mean" over `axes`, each counted from the last, -1."""

    op: str
    value: Value
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Softmax(Value):
    """Numbers along the last axis as probabilities: `exp(v) / sum(exp(v))`."""

    value: Value


@dataclass(frozen=True)
class OneHot(Value):
    """`one_hot(y)`: the indicator of each of a variable's values, along a new last axis."""

    value: Value


@dataclass(frozen=True)
class IndexSum(Value):
    """`sum(i, j: body)` with each index's range."""

    indices: tuple[tuple[str, int], ...]
    body: Value


@dataclass(frozen=True)
class Mapped(Value):
    """A bijection applied to a value: `f(u)`."""

    bijection: Bijection
    value: Value


# --- bijections ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bijection:
    """A bijection between vectors of one size."""

    span: Span = field(compare=False, repr=False)


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
    themselves. `copies` counts
    the components of a mixture that have parameters of their own. On integers, `range` is (lowest, how many) where
    they are bounded.
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

    @property
    def direct(self) -> bool:
        """Whether the context is its parameters themselves, with no network between."""
        return bool(self.context) and not self.slots

    @property
    def own_weights(self) -> int:
        """How many numbers it learns itself, beside its networks."""
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


# --- densities -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Density:
    """A distribution over values of `type`."""

    type: Type
    span: Span = field(compare=False, repr=False)


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


Expression = Value | Bijection | Density | Module


def children(term: object) -> Iterator[object]:
    """The typed expressions right below one."""
    if not isinstance(term, (Value, Bijection, Density)):
        return
    for f in fields(term):
        yield from _terms(getattr(term, f.name))


def _terms(item: object) -> Iterator[object]:
    if isinstance(item, (Value, Bijection, Density, Module)):
        yield item
    elif isinstance(item, tuple):
        for part in item:
            yield from _terms(part)


def walk(term: object) -> Iterator[object]:
    """A typed expression and everything inside it, outermost first."""
    yield term
    for child in children(term):
        yield from walk(child)


def variables(term: object) -> tuple[str, ...]:
    """Names of the variables that an expression reads, in order of appearance, each once."""
    found = [t.variable for t in walk(term) if isinstance(t, (Use, Past))]
    return tuple(dict.fromkeys(found))


def rewritten(term: Any, old: object, new: object) -> Any:
    """A typed expression with one part of it replaced wherever it stands."""
    if term is old or (type(term) is type(old) and term == old):
        return new
    if isinstance(term, tuple):
        return tuple(rewritten(part, old, new) for part in term)
    if not isinstance(term, (Value, Bijection, Density)):
        return term
    changed = {f.name: rewritten(getattr(term, f.name), old, new) for f in fields(term) if f.init}
    return replace(term, **{name: part for name, part in changed.items() if part is not getattr(term, name)})
