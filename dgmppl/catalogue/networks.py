"""Networks as data: what each takes in its brackets, its size, and whether it may read the past `x[<d]`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from dgmppl.catalogue.signature import Argument, Signature

ACTIVATIONS = ("leaky_relu", "relu", "tanh", "silu", "gelu", "elu", "sigmoid", "softplus")


@dataclass(frozen=True)
class Sizes:
    """The sizes of a network: of its input, of each hidden layer and of its output.

    For a causal network `inputs` and `outputs` are those of one position, `length` counts positions, and `context`
    is the size of what every position reads. `kernel` is the width of a convolution.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    length: int = 0
    context: int = 0
    kernel: int = 7


def _dense(n: Sizes) -> int:
    """Each layer has a weight for each pair of an input and an output, and a bias for each output."""
    widths = (n.inputs, *n.hidden, n.outputs)
    return sum((a + 1) * b for a, b in pairwise(widths))


def _convolutional(n: Sizes) -> int:
    """The weights of a layer are shared by the positions. Each hidden layer gets the context by a map of its own."""
    widths = (n.inputs, *n.hidden, n.outputs)
    return sum((a * n.kernel + 1) * b for a, b in pairwise(widths)) + n.context * sum(n.hidden or (n.outputs,))


def _masked(n: Sizes) -> int:
    """All positions are one vector, with the context beside them in the first layer; masked weights count too."""
    return _dense(Sizes(n.inputs * n.length + n.context, n.hidden, n.outputs * n.length))


@dataclass(frozen=True)
class Network:
    """`sizes` tells whether numbers without a name in the brackets are hidden sizes (and are needed). `options` are
    named as the arguments of the runtime class.

    `weights` counts the weights and biases of the runtime class; a contract test holds it against that class.
    """

    name: str
    runtime: str
    sizes: bool
    options: tuple[Argument, ...] = ()
    causal: bool = False
    needs_length: bool = False  # the runtime class wants the length of the sequence first
    weights: Callable[[Sizes], int] = _dense

    @property
    def signature(self) -> Signature:
        """What its brackets hold."""
        sizes = (Argument("hidden sizes", "count", required=True, by="position", many=True),) if self.sizes else ()
        return Signature(self.name, (*sizes, *self.options), usage=f"{self.name}[256, 256]" if sizes else "")

    def widths(self, n: Sizes) -> tuple[int, ...]:
        """The sizes of the layers from input to output."""
        length = n.length if self.needs_length else 1
        return (n.inputs * length, *n.hidden, n.outputs * length)


_ACTIVATION = Argument("activation", "activation", by="name")
_OUT = Argument("out", "activation", by="name")

NETWORKS: dict[str, Network] = {
    n.name: n
    for n in (
        Network("mlp", "MLP", sizes=True, options=(_ACTIVATION, _OUT)),
        Network("linear", "Linear", sizes=False),
        Network(
            "causal",
            "CausalConv",
            sizes=True,
            options=(_ACTIVATION, _OUT, Argument("kernel", "count", by="name")),
            causal=True,
            weights=_convolutional,
        ),
        Network(
            "masked",
            "CausalMLP",
            sizes=True,
            options=(_ACTIVATION, _OUT),
            causal=True,
            needs_length=True,
            weights=_masked,
        ),
    )
}
