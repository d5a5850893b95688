"""Networks: what a spec says of one, what it is in its place, and its value."""

from __future__ import annotations

from dataclasses import dataclass, field

from dgmppl.catalogue.axes import Axes, Sizes
from dgmppl.catalogue.networks import NETWORKS, Form, Network, own_network
from dgmppl.graph.values.arithmetic import Element
from dgmppl.graph.values.base import Term, Value
from dgmppl.graph.values.leaves import Learned, Use
from dgmppl.graph.values.positions import At
from dgmppl.source import Span


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
class Module(Term):
    """A network with the axes that it reads and gives, held by the model as `attribute`: one, or several in a chain.

    Uses that share weights share it. `named`: declared by `net`, `bias`: whether the last layer has one, `random`: its
    weights are a variable of the graph, and not learned.
    """

    attribute: str
    stages: tuple[Stage, ...]
    named: bool = False
    bias: bool = True
    random: bool = False
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
    components); `weights`: what it is applied by, where these are random; `lengths`: how long the sequences are that
    it reads, where that differs."""

    module: Module
    inputs: tuple[Value, ...]
    context: tuple[Value, ...] = ()
    copies: int = 0
    aligned: tuple[Value, ...] = ()
    weights: Use | None = None
    lengths: Value | None = None

    @property
    def own_tensor(self) -> bool:
        return True


def is_bare(value: object) -> bool:
    """Whether a value is a network or `param` by itself, or what a network of sequences gives at a position: numbers
    without bounds, which pass through the link of their place."""
    if isinstance(value, Element) and isinstance(value.value, At):  # which has one number there
        return is_bare(value.value)
    return isinstance(value.value if isinstance(value, At) else value, (Apply, Learned))
