"""Networks as data: what each takes in its brackets, which axes it reads and gives, its size, whether it is causal.

To add one: an entry in `NETWORKS`, its class in `dgmppl.runtime.networks` or `causal`, and a row of the contract test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.extents import ConvLayer, conv_layers

ACTIVATIONS = ("leaky_relu", "relu", "tanh", "silu", "gelu", "elu", "sigmoid", "softplus")
NORMS = ("batch", "layer", "group")


@dataclass(frozen=True)
class Axes:
    """What a network reads or gives: a position for each index of `extent`, with so many `channels` at each.

    A vector has no extent; its numbers are channels.
    """

    channels: int
    extent: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers these are."""
        return self.channels * math.prod(self.extent)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.extent, self.channels)

    def describe(self) -> str:
        """`16`, or `8 x 8 x 17`."""
        return " x ".join(map(str, self.shape))


@dataclass(frozen=True)
class Sizes:
    """The sizes of a network: of its input, of each hidden layer and of its output, with its options.

    `context` is the size of a vector that conditions a network which reads positions.
    """

    inputs: Axes
    hidden: tuple[int, ...]
    outputs: Axes
    context: int = 0
    options: Mapping[str, str | float] = field(default_factory=dict)

    def count(self, option: str, default: int) -> int:
        """An option that is a number."""
        return int(self.options.get(option, default))


def _norms(n: Sizes) -> int:
    """A normalisation has a scale and a shift for each hidden channel."""
    return 2 * sum(n.hidden) if "norm" in n.options else 0


def _dense(n: Sizes) -> int:
    """Each layer has a weight for each pair of an input and an output, and a bias for each output."""
    widths = (n.inputs.size, *n.hidden, n.outputs.size)
    return sum((a + 1) * b for a, b in pairwise(widths)) + _norms(n)


def _causal_convolutions(n: Sizes) -> int:
    """The weights of a layer are shared by the positions. Each hidden layer gets the context by a map of its own."""
    widths = (n.inputs.channels, *n.hidden, n.outputs.channels)
    weights = sum((a * n.count("kernel", 7) + 1) * b for a, b in pairwise(widths))
    return weights + n.context * sum(n.hidden or (n.outputs.channels,))


def _masked_convolutions(n: Sizes) -> int:
    """The weights that a mask takes away count too; the last layer looks at one position."""
    kernel = n.count("kernel", 5)
    if kernel % 2 == 0 or kernel < 3:
        raise ValueError("its kernel has a middle and something before it: an odd number from 3")
    widths = (n.inputs.channels, *n.hidden)
    weights = sum((a * kernel**2 + 1) * b for a, b in pairwise(widths))
    return weights + (n.hidden[-1] + 1) * n.outputs.channels + n.context * sum(n.hidden)


def _masked(n: Sizes) -> int:
    """All positions are one vector, with the context beside them in the first layer; masked weights count too."""
    return _dense(Sizes(Axes(n.inputs.size + n.context), n.hidden, Axes(n.outputs.size)))


def _recurrent(gates: int) -> Callable[[Sizes], int]:
    """Each gate of a layer has weights for its input and for its state, and a bias for each of the two."""

    def weights(n: Sizes) -> int:
        widths = (n.inputs.channels, *n.hidden)
        layers = sum(gates * b * (a + b + 2) for a, b in pairwise(widths))
        return layers + (n.hidden[-1] + 1) * n.outputs.channels + n.context * sum(n.hidden)

    return weights


def _transformer(n: Sizes) -> int:
    """A layer has four maps of its width, two between it and four times as much, and two normalisations."""
    width, heads = n.hidden[0], n.count("heads", 4)
    if set(n.hidden) != {width}:
        raise ValueError("its layers have one width: transformer[64, 64] has two layers of it")
    if width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")
    layer = 4 * width * (width + 1) + 4 * width * (width + 1) + width * (4 * width + 1) + 4 * width
    ends = (n.inputs.channels + 1 + n.outputs.extent[0] + n.context) * width + 2 * width
    return ends + len(n.hidden) * layer + (width + 1) * n.outputs.channels


def _layers(n: Sizes) -> list[ConvLayer]:
    return conv_layers(n.inputs.shape, n.hidden, n.outputs.shape, n.count("stride", 1))


def _convolutions(n: Sizes) -> int:
    """A convolution's weights are shared by the positions; between a vector and a grid there is a linear map."""
    square = n.count("kernel", 3) ** 2
    dense = sum((layer.fan_in + 1) * layer.fan_out for layer in _layers(n) if layer.kind == "linear")
    conv = sum((layer.fan_in * square + 1) * layer.fan_out for layer in _layers(n) if layer.kind != "linear")
    return dense + conv + n.context * sum(n.hidden) + _norms(n)


def _plain_widths(n: Sizes) -> tuple[str, ...]:
    return (str(n.inputs.size), *map(str, n.hidden), str(n.outputs.size))


def _channel_widths(n: Sizes) -> tuple[str, ...]:
    return (str(n.inputs.channels), *map(str, n.hidden), str(n.outputs.channels))


def _grid_widths(n: Sizes) -> tuple[str, ...]:
    layers = [" x ".join(map(str, layer.shape)) for layer in _layers(n)[:-1]]
    return (n.inputs.describe(), *layers, n.outputs.describe())


@dataclass(frozen=True)
class Network:
    """A network that a spec may name.

    Attributes:
        rank: how many axes of positions it reads and gives: 0 for vectors, 1 for sequences, 2 for grids.
        sizes: whether numbers without a name in the brackets are hidden sizes (and are needed).
        options: named as the arguments of the runtime class.
        causal: whether it may read the past `x[<d]`, and needs one.
        takes: what its constructor takes for input and output: "sizes", the "channels" of both after the "length" of
            the sequence or without it, or whole "shapes".
        weights: counts the weights and biases of the runtime class; a contract test holds it against that class.
        widths: the sizes of its layers from input to output, as `explain` shows them.
    """

    name: str
    runtime: str
    sizes: bool
    options: tuple[Argument, ...] = ()
    rank: int = 0
    causal: bool = False
    takes: str = "sizes"
    weights: Callable[[Sizes], int] = _dense
    widths: Callable[[Sizes], tuple[str, ...]] = _plain_widths

    @property
    def signature(self) -> Signature:
        """What its brackets hold."""
        sizes = (Argument("hidden sizes", "count", required=True, by="position", many=True),) if self.sizes else ()
        return Signature(self.name, (*sizes, *self.options), usage=f"{self.name}[256, 256]" if sizes else "")


def _named(name: str, kind: str) -> Argument:
    return Argument(name, kind, by="name")


_ACTIVATION, _OUT = _named("activation", "activation"), _named("out", "activation")
_NORM, _DROPOUT = _named("norm", "norm"), _named("dropout", "share")

NETWORKS: dict[str, Network] = {
    n.name: n
    for n in (
        Network("mlp", "MLP", sizes=True, options=(_ACTIVATION, _OUT, _NORM, _DROPOUT)),
        Network("linear", "Linear", sizes=False),
        Network(
            "conv",
            "ConvNet",
            sizes=True,
            options=(
                *(_named("kernel", "count"), _named("stride", "count"), _named("dilation", "count")),
                *(_ACTIVATION, _OUT, _NORM, _DROPOUT),
            ),
            rank=2,
            takes="shapes",
            weights=_convolutions,
            widths=_grid_widths,
        ),
        Network(
            "causal",
            "CausalConv",
            sizes=True,
            options=(_ACTIVATION, _OUT, _named("kernel", "count")),
            rank=1,
            causal=True,
            takes="channels",
            weights=_causal_convolutions,
            widths=_channel_widths,
        ),
        Network(
            "masked",
            "CausalMLP",
            sizes=True,
            options=(_ACTIVATION, _OUT),
            rank=1,
            causal=True,
            takes="length",
            weights=_masked,
        ),
        Network(
            "pixelcnn",
            "PixelCNN",
            sizes=True,
            options=(_ACTIVATION, _OUT, _named("kernel", "count")),
            rank=2,
            causal=True,
            takes="channels",
            weights=_masked_convolutions,
            widths=_channel_widths,
        ),
        *(
            Network(
                name,
                runtime,
                sizes=True,
                options=(_OUT,),
                rank=1,
                causal=True,
                takes="channels",
                weights=_recurrent(gates),
                widths=_channel_widths,
            )
            for name, runtime, gates in (("rnn", "CausalRNN", 1), ("gru", "CausalGRU", 3), ("lstm", "CausalLSTM", 4))
        ),
        Network(
            "transformer",
            "CausalTransformer",
            sizes=True,
            options=(_named("heads", "count"), _ACTIVATION, _OUT, _DROPOUT),
            rank=1,
            causal=True,
            takes="length",
            weights=_transformer,
            widths=_channel_widths,
        ),
    )
}
