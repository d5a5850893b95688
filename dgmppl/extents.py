"""Shapes that the compiler and the runtime work out alike: channels, and the layers of a network between two shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dgmppl.words import counted

Shape = tuple[int, ...]


def channels_of(shape: Shape) -> int:
    """How many numbers each position of a shape has: all of a vector, the last axis of a grid `[8, 8, 3]`, and one of a
    grid `[8, 8]`; 0 for what is neither."""
    if len(shape) == 1:
        return shape[0]
    return 0 if len(shape) not in (2, 3) else 1 if len(shape) == 2 else shape[2]


@dataclass(frozen=True)
class Layer:
    """One layer. `kind` is "conv", "transposed" or "linear"; `shape` is what it gives, channels last.

    A linear layer reads or gives a grid as one vector; its fans are those of vectors, the others' are channels.
    """

    kind: str
    shape: Shape
    fan_in: int
    fan_out: int
    stride: int = 1


def conv_layers(inputs: Shape, hidden: tuple[int, ...], outputs: Shape | None, stride: int) -> list[Layer]:
    """The layers from one shape `(*extent, channels)` to another; a vector has its channels alone.

    From a grid to a vector, each hidden layer divides the extent by the stride, and a linear map ends it. From a vector
    to a grid, a linear map begins it, and each layer multiplies the extent. From a grid to a grid, the hidden layers
    do either, or with a stride of 1 keep the extent. Between vectors all layers are linear. Without outputs, there are
    the hidden layers alone, and those of a grid divide the extent.

    Raises:
        ValueError: the two extents are not so many strides apart.
    """
    source = inputs[:-1]
    target = outputs[:-1] if outputs is not None else ()
    if outputs is not None and target and (not source or _grows(source, target, stride, len(hidden))):
        return _growing(inputs, hidden, outputs, stride)
    layers, extent, channels = [], source, inputs[-1]
    for width in hidden:
        extent = _smaller(extent, stride, 1)
        layers.append(Layer("conv" if extent else "linear", (*extent, width), channels, width, stride))
        channels = width
    if outputs is None:
        return layers
    if not target:
        size = math.prod(extent) * channels
        return [*layers, Layer("linear", outputs, size, outputs[-1])]
    if extent != target:
        layers_text = f"{counted(len(hidden), 'layer')} of stride {stride}"
        raise ValueError(f"{layers_text} take {_text(source)} to {_text(extent)}, and not to {_text(target)}")
    return [*layers, Layer("conv", outputs, channels, outputs[-1])]


def _grows(source: Shape, target: Shape, stride: int, layers: int) -> bool:
    return stride > 1 and _smaller(target, stride, layers) == source


def _growing(inputs: Shape, hidden: tuple[int, ...], outputs: Shape, stride: int) -> list[Layer]:
    """A grid of the first hidden size, and from then on larger ones."""
    target = outputs[:-1]
    extents = [_smaller(target, stride, k) for k in range(len(hidden), -1, -1)]
    if len(inputs) == 1:
        shape = (*extents[0], hidden[0])
        layers = [Layer("linear", shape, inputs[0], math.prod(shape))]
        widths = (*hidden[1:], outputs[-1])
        channels, grown = hidden[0], extents[1:]
    else:
        layers, widths, channels = [], (*hidden, outputs[-1]), inputs[-1]
        grown = [*extents[1:], target]
    kind = "transposed" if stride > 1 else "conv"
    for k, (extent, width) in enumerate(zip(grown, widths)):
        # From a grid, every hidden layer enlarges it and the last one only changes its channels.
        last = len(inputs) > 1 and k == len(widths) - 1
        step = 1 if last else stride
        layers.append(Layer("conv" if last else kind, (*extent, width), channels, width, step))
        channels = width
    return layers


def dense_layers(inputs: Shape, hidden: tuple[int, ...], outputs: Shape | None) -> list[Layer]:
    """The layers of which each reads the input and what all before it give, side by side.

    A vector that becomes a grid is read by the first layer alone.

    Raises:
        ValueError: two extents that differ.
    """
    plain = conv_layers(inputs, hidden, outputs, 1)
    begins = len(inputs) == 1 and len(plain[0].shape) > 1
    layers, channels, before = [], inputs[-1], inputs[-1]
    for k, layer in enumerate(plain):
        layers.append(replace(layer, fan_in=layer.fan_in // before * channels))
        before = layer.shape[-1]
        channels = before if begins and k == 0 else channels + before
    return layers


def unet_blocks(
    hidden: tuple[int, ...], blocks: int, attention: int
) -> tuple[list[list[tuple[int, int, bool]]], list[list[tuple[int, int, bool]]]]:
    """The residual blocks of a U-Net, level by level, on the way down and on the way back: the channels that each reads
    and gives, and whether it attends, which those of so many of the coarsest levels do. On the way back the first block
    of a level reads what came up beside what was found on the way down."""

    def level(k: int, reads: int) -> list[tuple[int, int, bool]]:
        attends = k >= len(hidden) - attention
        return [(hidden[k] if m else reads, hidden[k], attends) for m in range(blocks)]

    down = [level(k, hidden[max(k - 1, 0)]) for k in range(len(hidden))]
    return down, [level(k, 2 * hidden[k]) for k in reversed(range(len(hidden) - 1))]


def _smaller(extent: Shape, stride: int, times: int) -> Shape:
    """What is left of an extent after so many layers of a stride: `ceil(size / stride)` each."""
    for _ in range(times):
        extent = tuple(-(-size // stride) for size in extent)
    return extent


def _text(extent: Shape) -> str:
    return f"[{', '.join(map(str, extent))}]"
