"""How many weights the networks of the runtime have, what their last hidden layer gives, and their sizes in words.

A contract test holds the counts against the classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from dgmppl.catalogue.axes import Axes, Sizes
from dgmppl.extents import Layer, conv_layers, dense_layers, unet_blocks
from dgmppl.words import counted

Count = Callable[[Sizes], int]


def _norms(n: Sizes) -> int:
    """A normalisation has a scale and a shift for each hidden channel."""
    return 2 * sum(n.hidden) if n.options.get("norm") in ("batch", "layer", "group") else 0


def _lengths(n: Sizes, channels: Iterable[int]) -> int:
    """A weight that is normalised has a length for each channel that it gives."""
    return sum(channels) if n.options.get("norm") == "weight" else 0


def _ends(n: Sizes, fan_in: int) -> int:
    """A linear map at the end, where there is one."""
    return sum((fan_in + 1) * outputs.channels for outputs in n.given)


# --- a user's own --------------------------------------------------------------------------------


def of_vectors(n: Sizes) -> int:
    """None that are known before the network is built."""
    return 0


def of_positions(n: Sizes) -> int:
    """The same of a network that reads or gives positions. Raises ValueError where there are none."""
    if not (n.inputs.extent or any(outputs.extent for outputs in n.given)):
        raise ValueError("its `rank` says that it reads positions, and there are none")
    return 0


def own_widths(n: Sizes) -> tuple[str, ...]:
    return (n.inputs.describe(), *(o.describe() for o in n.given))


# --- vectors -------------------------------------------------------------------------------------


def dense(n: Sizes) -> int:
    """Each layer has a weight for each pair of an input and an output, and a bias for each output."""
    widths = (n.inputs.size, *n.hidden, *(outputs.size for outputs in n.given))
    return sum((a + 1) * b for a, b in pairwise(widths)) + _norms(n) + _lengths(n, widths[1:])


def last_of_vector(n: Sizes) -> Axes:
    """The last hidden layer, as a vector."""
    return Axes(n.hidden[-1])


# --- grids ---------------------------------------------------------------------------------------


def _shapes(n: Sizes) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...] | None]:
    return n.inputs.shape, n.hidden, n.outputs.shape if n.outputs else None


def strided(n: Sizes) -> list[Layer]:
    """Layers with the stride of the options."""
    return conv_layers(*_shapes(n), n.count("stride", 1))


def concatenated(n: Sizes) -> list[Layer]:
    """Layers of which each reads all before it."""
    return dense_layers(*_shapes(n))


def _of_layers(n: Sizes, layers: Sequence[Layer]) -> int:
    """A convolution's weights are shared by the positions; between a vector and a grid there is a linear map."""
    square = n.count("kernel", 3) ** 2
    weights = sum((layer.fan_in * (1 if layer.kind == "linear" else square) + 1) * layer.fan_out for layer in layers)
    weights += _lengths(n, (layer.fan_out for layer in layers))
    return weights + n.context * sum(n.hidden) + _norms(n)


def convolutions(n: Sizes) -> int:
    if not n.inputs.extent and not any(outputs.extent for outputs in n.given):
        what = "neither what it reads nor what it gives is a grid" if n.given else "what it reads is no grid"
        raise ValueError(what)
    return _of_layers(n, strided(n))


def residual_blocks(n: Sizes) -> int:
    """A block has a second layer of its width, normalised too, and a map beside both where the shapes differ."""
    if not n.inputs.extent and n.count("stride", 1) > 1 and not any(outputs.extent for outputs in n.given):
        raise ValueError("between vectors there is no stride")
    layers, before = strided(n), n.inputs.shape
    count = _of_layers(n, layers)
    for layer, width in zip(layers, n.hidden):
        if len(before) == len(layer.shape):
            side = 1 if layer.kind == "linear" else n.count("kernel", 3)
            count += (width * side**2 + 1) * width + (2 * width if _norms(n) else 0)
            count += _lengths(n, (width,))
            count += before[-1] * width + _lengths(n, (width,)) if before != layer.shape else 0
        before = layer.shape
    return count


def dense_blocks(n: Sizes) -> int:
    return _of_layers(n, concatenated(n))


def last_of_strided(n: Sizes) -> Axes:
    shape = strided(n)[-1].shape
    return Axes(shape[-1], shape[:-1])


def last_of_concatenated(n: Sizes) -> Axes:
    """The input and all hidden layers, side by side."""
    return Axes(n.inputs.channels + sum(n.hidden), n.inputs.extent)


def unet(n: Sizes) -> int:
    """A convolution at each end and between levels, the blocks of each level, and two maps that embed the context."""
    if not n.inputs.extent or any(outputs.extent != n.inputs.extent for outputs in n.given):
        raise ValueError("it gives a grid of the extent that it reads")
    if 1 in n.hidden:
        raise ValueError("a row is normalised over its channels, and a level of one has no spread")
    if n.count("attention", 0) > len(n.hidden):
        raise ValueError(f"attention at {counted(n.count('attention', 0), 'level')}, and it has {len(n.hidden)}")
    width, kind = n.hidden[0], n.options.get("norm", "group")
    embedded = 4 * width if n.context else 0
    norm, length = 2 * (kind in ("batch", "layer", "group")), int(kind == "weight")

    def conv(a: int, b: int) -> int:
        return (a * n.count("kernel", 3) ** 2 + 1 + length) * b

    weights = conv(n.inputs.channels, width) + norm * width + sum(conv(width, o.channels) for o in n.given)
    weights += sum(conv(a, a) + conv(b, a) for a, b in pairwise(n.hidden))
    weights += (n.context + 1 + embedded + 1) * embedded
    down, up = unet_blocks(n.hidden, n.count("blocks", 1), n.count("attention", 0))
    for a, b, attends in (block for level in (*down, *up) for block in level):
        weights += conv(a, b) + conv(b, b) + norm * (a + b) + embedded * b
        weights += (a + length) * b if a != b else 0
        weights += _attention(n, b, norm, length) if attends else 0
    return weights


def _attention(n: Sizes, width: int, norm: int, length: int) -> int:
    heads = n.count("heads", 4)
    if width % heads:
        raise ValueError(f"{heads} heads do not divide {counted(width, 'channel')}")
    return norm * width + 4 * (width + 1 + length) * width


def last_of_unet(n: Sizes) -> Axes:
    """Its finest level, of the channels that this has."""
    return Axes(n.hidden[0], n.inputs.extent)


# --- the past ------------------------------------------------------------------------------------


def causal_convolutions(n: Sizes) -> int:
    """The weights of a layer are shared by the positions. Each hidden layer gets the context by a map of its own."""
    outputs = n.given[0].channels
    widths = (n.inputs.channels + n.aligned, *n.hidden, outputs)
    weights = sum((a * n.count("kernel", 7) + 1) * b for a, b in pairwise(widths))
    return weights + n.context * sum(n.hidden or (outputs,)) + _norms(n)


def _odd_kernel(n: Sizes) -> int:
    kernel = n.count("kernel", 5)
    if kernel % 2 == 0 or kernel < 3:
        raise ValueError("its kernel has a middle and something before it: an odd number from 3")
    return kernel


def _colours(n: Sizes) -> int:
    """How many parts the channels of a grid come in, one after another: those of a third axis of its past."""
    colours = n.inputs.extent[2] if len(n.inputs.extent) > 2 else 1
    if any(size % colours for size in n.hidden):
        raise ValueError(f"each of {colours} colours has as many of its hidden channels")
    if colours in n.hidden and "norm" in n.options:
        raise ValueError("the channels of a colour are normalised together, and one has no spread")
    return colours


def masked_convolutions(n: Sizes) -> int:
    """The weights that a mask takes away count too; the last layer looks at one position."""
    kernel, colours = _odd_kernel(n), _colours(n)
    widths = (colours * n.inputs.channels, *n.hidden)
    weights = sum((a * kernel**2 + 1) * b for a, b in pairwise(widths))
    weights += colours * (n.aligned * kernel**2 * n.hidden[0] + _ends(n, n.hidden[-1]))
    return weights + n.context * sum(n.hidden) + _norms(n)


def gated_convolutions(n: Sizes) -> int:
    """Two convolutions to twice the channels, one of rows and one of a row, a map from one to the other, and one
    behind the gate; the context is added before both gates, what is aligned in the first layer."""
    side, colours = _odd_kernel(n) // 2 + 1, _colours(n)
    weights = colours * (2 * n.aligned * _odd_kernel(n) ** 2 * n.hidden[0] + _ends(n, n.hidden[-1]))
    for a, b in pairwise((colours * n.inputs.channels, *n.hidden)):
        weights += (a * side * (2 * side - 1) + 1) * 2 * b + (a * side + 1) * 2 * b
        weights += (2 * b + 1) * 2 * b + (b + 1) * b
    return weights + 4 * n.context * sum(n.hidden) + 4 * _norms(n)


def masked(n: Sizes) -> int:
    """All positions are one vector, with the context beside them in the first layer; masked weights count too."""
    length = math.prod(n.inputs.extent)
    least = 2 * (length if n.context or n.aligned or length == 1 else length - 1)
    if "norm" in n.options and min(n.hidden) < least:
        what = "units that see as much are normalised over each other, two at least"
        raise ValueError(f"{what}, and {counted(length, 'position')} take a layer of {least}")
    inputs = n.inputs.size + n.aligned * length + n.context
    return dense(Sizes(Axes(inputs), n.hidden, Axes(n.given[0].size), options=n.options))


# --- sequences -----------------------------------------------------------------------------------


def recurrent(gates: int) -> Count:
    """Each gate of a layer has weights for its input and for its state, and a bias for each of the two."""

    def weights(n: Sizes) -> int:
        widths = (n.inputs.channels + n.aligned, *n.hidden)
        layers = sum(gates * b * (a + b + 2) for a, b in pairwise(widths))
        return layers + _ends(n, n.hidden[-1]) + n.context * sum(n.hidden) + _norms(n)

    return weights


def _verify_sequence(n: Sizes) -> None:
    if not n.inputs.extent:
        raise ValueError("it reads positions with several numbers each, [T, C], and nothing that it reads has them")


def both_ways(gates: int) -> Count:
    """A recurrent network for each direction; the next layer reads the states of both."""

    def weights(n: Sizes) -> int:
        _verify_sequence(n)
        widths = (n.inputs.channels, *(2 * size for size in n.hidden))
        layers = sum(2 * gates * b * (a + b + 2) for a, b in zip(widths, n.hidden))
        return layers + _ends(n, widths[-1]) + 2 * n.context * sum(n.hidden) + 2 * _norms(n)

    return weights


def set_layers(n: Sizes) -> int:
    """A layer has a map of each row and one of their mean."""
    _verify_sequence(n)
    layers = sum((2 * a + 1) * b + _lengths(n, (b, b)) for a, b in pairwise((n.inputs.channels, *n.hidden)))
    ends = _ends(n, n.hidden[-1]) + _lengths(n, (outputs.channels for outputs in n.given))
    return layers + ends + n.context * sum(n.hidden) + _norms(n)


def last_of_sequence(n: Sizes) -> Axes:
    return Axes(n.hidden[-1], n.inputs.extent)


def last_of_both_ways(n: Sizes) -> Axes:
    return Axes(2 * n.hidden[-1], n.inputs.extent)


def gated_unit(n: Sizes) -> int:
    """Three gates of as many numbers as the state, which is the last of what it reads, and what it gives."""
    size = n.given[0].size
    if n.inputs.size <= size:
        raise ValueError(f"its state, {counted(size, 'number')}, is the last of what it reads, and something before it")
    return 3 * size * (n.inputs.size + 2)


def transformer(n: Sizes) -> int:
    """A layer has four maps of its width, two between it and four times as much, and two normalisations."""
    _verify_sequence(n)
    width, heads = n.hidden[0], n.count("heads", 4)
    if set(n.hidden) != {width}:
        raise ValueError("its layers have one width: transformer[64, 64] has two layers of it")
    if width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")
    layer = 4 * width * (width + 1) + 4 * width * (width + 1) + width * (4 * width + 1) + 4 * width
    ends = (n.inputs.channels + n.aligned + 1 + n.inputs.extent[0] + n.context) * width + 2 * width
    return ends + len(n.hidden) * layer + _ends(n, width)


# --- what `explain` shows ------------------------------------------------------------------------


def plain_widths(n: Sizes) -> tuple[str, ...]:
    return (str(n.inputs.size), *map(str, n.hidden), *(str(o.size) for o in n.given))


def channel_widths(n: Sizes) -> tuple[str, ...]:
    return (str(n.inputs.channels), *map(str, n.hidden), *(str(o.channels) for o in n.given))


def sequence_widths(n: Sizes) -> tuple[str, ...]:
    layers = (Axes(size, n.inputs.extent).describe() for size in n.hidden)
    return (n.inputs.describe(), *layers, *(o.describe() for o in n.given))


def unet_widths(n: Sizes) -> tuple[str, ...]:
    """The levels, from the finest to the coarsest and back."""
    levels = [(n.inputs.extent, n.hidden[0])]
    for width in n.hidden[1:]:
        levels.append((tuple(-(-size // 2) for size in levels[-1][0]), width))
    there = [Axes(width, extent).describe() for extent, width in levels]
    return (n.inputs.describe(), *there, *there[-2::-1], *(o.describe() for o in n.given))


def grid_widths(n: Sizes) -> tuple[str, ...]:
    layers = [" x ".join(map(str, layer.shape)) for layer in strided(n)[: len(n.hidden)]]
    return (n.inputs.describe(), *layers, *(o.describe() for o in n.given))
