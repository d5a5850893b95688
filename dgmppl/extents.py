"""The layers of a convolutional network between two shapes: known to the compiler and built by the runtime."""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ConvLayer:
    """One layer. `kind` is "conv", "transposed" or "linear"; `shape` is what it gives, channels last.

    A linear layer reads or gives a grid as one vector; its fans are those of vectors, the others' are channels.
    """

    kind: str
    shape: Shape
    fan_in: int
    fan_out: int
    stride: int = 1


def conv_layers(inputs: Shape, hidden: tuple[int, ...], outputs: Shape, stride: int) -> list[ConvLayer]:
    """The layers from one shape `(*extent, channels)` to another; a vector has its channels alone.

    From a grid to a vector, each hidden layer divides the extent by the stride, and a linear map ends it. From a vector
    to a grid, a linear map begins it, and each layer multiplies the extent. From a grid to a grid, the hidden layers
    do either, or with a stride of 1 keep the extent.

    Raises:
        ValueError: the two extents are not so many strides apart, or neither shape is a grid.
    """
    source, target = inputs[:-1], outputs[:-1]
    if not source and not target:
        raise ValueError("neither what it reads nor what it gives is a grid")
    if source and target and _smaller(target, stride, len(hidden)) == source and stride > 1:
        return _growing(inputs, hidden, outputs, stride)
    if not source:
        return _growing(inputs, hidden, outputs, stride)
    layers, extent, channels = [], source, inputs[-1]
    for width in hidden:
        extent = _smaller(extent, stride, 1)
        layers.append(ConvLayer("conv", (*extent, width), channels, width, stride))
        channels = width
    if not target:
        size = math.prod(extent) * channels
        return [*layers, ConvLayer("linear", outputs, size, outputs[-1])]
    if extent != target:
        layers_text = f"{len(hidden)} layer{'s' if len(hidden) > 1 else ''} of stride {stride}"
        raise ValueError(f"{layers_text} take {_text(source)} to {_text(extent)}, and not to {_text(target)}")
    return [*layers, ConvLayer("conv", outputs, channels, outputs[-1])]


def _growing(inputs: Shape, hidden: tuple[int, ...], outputs: Shape, stride: int) -> list[ConvLayer]:
    """A grid of the first hidden size, and from then on larger ones."""
    target = outputs[:-1]
    extents = [_smaller(target, stride, k) for k in range(len(hidden), -1, -1)]
    if len(inputs) == 1:
        shape = (*extents[0], hidden[0])
        layers = [ConvLayer("linear", shape, inputs[0], math.prod(shape))]
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
        layers.append(ConvLayer("conv" if last else kind, (*extent, width), channels, width, step))
        channels = width
    return layers


def _smaller(extent: Shape, stride: int, times: int) -> Shape:
    """What is left of an extent after so many layers of a stride: `ceil(size / stride)` each."""
    for _ in range(times):
        extent = tuple(-(-size // stride) for size in extent)
    return extent


def _text(extent: Shape) -> str:
    return f"[{', '.join(map(str, extent))}]"
