"""Networks of vectors and grids: perceptrons, convolutions, residual and dense blocks, sized by the compiler.

Those of sequences are in `dgmppl.runtime.sequences`, causal ones in `dgmppl.runtime.causal`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmppl.extents import Layer, Shape, conv_layers, dense_layers
from dgmppl.runtime.layers import (
    ACTIVATIONS,
    NORMS,
    WEIGHT_NORMS,
    Norm,
    channel_dropout,
    context_maps,
    like,
    make_activation,
    make_layer,
    make_norm,
    make_norms,
    rows_of,
    with_weight_norm,
)
from dgmppl.runtime.lengths import WithLengths


class _OfVectors(Norm):
    """A normalisation of vectors ``(..., C)``."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.reshape(-1, h.shape[-1])).view_as(h)


class MLP(nn.Sequential):
    """A multi-layer perceptron ``(..., in_features) -> (..., out_features)``.

    Args:
        in_features: size of the last dimension of the input.
        hidden: size of each hidden layer; none of them leaves a linear map.
        out_features: size of the last dimension of the output; None leaves out the last layer.
        activation: name in ACTIVATIONS, after each hidden layer.
        out: name in ACTIVATIONS, after the last layer; None leaves the output as it is.
        bias: whether the last layer has one; it cancels where an output only adds to an energy.
        norm: name in NORMS, before each activation of a hidden layer; or in WEIGHT_NORMS, of all weights.
        dropout: share of the hidden units that are dropped in training (Srivastava et al., 2014).

    Example:
        >>> MLP(2, (8, 8), 3)(torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        in_features: int,
        hidden: tuple[int, ...],
        out_features: int | None,
        activation: str = "leaky_relu",
        out: str | None = None,
        bias: bool = True,
        norm: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            layers.append(with_weight_norm(nn.Linear(width, size), norm))
            layers += [_OfVectors(norm, size)] if norm in NORMS else []
            layers.append(make_activation(activation))
            layers += [nn.Dropout(dropout)] if dropout else []
            width = size
        if out_features is not None:
            layers.append(with_weight_norm(nn.Linear(width, out_features, bias=bias), norm))
        if out is not None:
            layers.append(make_activation(out))
        super().__init__(*layers)
        self.in_features = in_features
        self.out_features = out_features


class _Planned(nn.Module):
    """A network of which `dgmppl.extents` plans the layers: each hidden one is followed by what conditions it, a
    normalisation, an activation and dropout.

    Args:
        inputs: shape of the input without the batch, ``(height, width, channels)``, or ``(features,)``.
        hidden: channels, or units, of each hidden layer, at least one.
        outputs: shape of the output, likewise; None leaves out the last layer.
        activation, out, norm, dropout, bias: as for MLP; dropout drops whole channels of a grid.
        context: size K of a vector that conditions the network: it is added to each hidden layer, at every position,
            by a linear map of its own; 0 for none.
    """

    def __init__(
        self,
        inputs: Shape,
        hidden: tuple[int, ...],
        outputs: Shape | None,
        activation: str,
        out: str | None,
        norm: str | None,
        dropout: float,
        context: int,
    ) -> None:
        super().__init__()
        self.rank = len(inputs) - 1
        self.norms = make_norms(norm, hidden)
        self.context = context_maps(context, hidden)
        self.activation = make_activation(activation)
        self.dropout = channel_dropout(dropout, grid=self.rank > 0 or (outputs is not None and len(outputs) > 1))
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch, h, added = rows_of(x, self.rank, context, self.context)
        h = self._apply_layers(h.movedim(-1, 1) if self.rank else h, added)
        h = h.movedim(1, -1) if h.dim() > 2 else h
        return self.out(h).reshape(*batch, *h.shape[1:])

    def _apply_layers(self, h: Tensor, added: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def _normed(self, k: int, h: Tensor, added: list[Tensor]) -> Tensor:
        """What a hidden layer gave, with what conditions it, normalised."""
        h = h + like(added[k], h) if added else h
        return self.norms[k](h) if self.norms is not None else h


class ConvNet(_Planned):
    """Convolutions between grids, or between a grid and a vector; channels are the last axis of both.

    A grid ``(..., height, width, channels)`` keeps its extent under a stride of 1. Under a larger one, each hidden
    layer divides the extent by it (rounding up), or with a transposed convolution multiplies it, as the shapes ask for.
    A linear map ends in a vector, or begins from one (Radford et al., 2016). Borders are padded with zeros.

    Args:
        inputs: shape of the input without the batch, ``(height, width, channels)``, or ``(features,)``.
        hidden: channels of each hidden layer, at least one.
        outputs: shape of the output, likewise; None leaves out the last layer.
        kernel, stride, dilation: of the convolutions between hidden layers; that of the last layer has no stride where
            it only changes the channels.
        activation, out, norm, dropout, bias: as for MLP; dropout drops whole channels.
        context: size K of a vector that conditions the network: it is added to each hidden layer, at every position,
            by a linear map of its own; 0 for none.

    Raises:
        ValueError: for shapes that are not so many strides apart.

    Example:
        >>> ConvNet((8, 8, 1), (16, 32), (10,), stride=2)(torch.zeros(5, 8, 8, 1)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(inputs, hidden, outputs, activation, out, norm, dropout, context)
        plan = conv_layers(inputs, hidden, outputs, stride)
        self.hidden = len(hidden)
        self.layers = nn.ModuleList(
            make_layer(layer, kernel, dilation, bias or k < self.hidden, norm) for k, layer in enumerate(plan)
        )

    @property
    def last(self) -> nn.Module:
        """The layer that gives the output."""
        return self.layers[-1]

    def _apply_layers(self, h: Tensor, added: list[Tensor]) -> Tensor:
        for k, layer in enumerate(self.layers):
            h = layer(h)
            if k < self.hidden:
                h = self.dropout(self.activation(self._normed(k, h, added)))
        return h


class ResNet(_Planned):
    """Residual blocks of vectors or of grids (He et al., 2016): ``h <- a(S h + B a(A h))`` with an activation ``a``.

    A and B are linear maps of vectors, convolutions of grids; S is the identity, or a linear map at each position where
    the block changes the channels or the extent, which it does as a layer of ConvNet would: with a stride, A divides
    the extent or multiplies it. A vector that becomes a grid does so by a linear map without a block, and the last
    layer is a single one.

    Args:
        inputs, hidden, outputs, kernel, stride: as for ConvNet, of a block for each hidden size; or shapes of vectors,
            which have no stride.
        activation, out, norm, dropout, bias, context: likewise; the norm is that of A h, with the context, and that of
            what B gives.

    Raises:
        ValueError: for shapes that are not so many strides apart.

    Example:
        >>> ResNet((8, 8, 1), (16, 32), (10,), stride=2)(torch.zeros(5, 8, 8, 1)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(inputs, hidden, outputs, activation, out, norm, dropout, context)
        plan = conv_layers(inputs, hidden, outputs, stride)
        before = [inputs, *(layer.shape for layer in plan)]
        self.layers = nn.ModuleList(make_layer(layer, kernel, norm=norm) for layer in plan[: len(hidden)])
        self.blocks = nn.ModuleList(
            _Residual(shape, layer, kernel, norm) if len(shape) == len(layer.shape) else nn.Identity()
            for shape, layer in zip(before, plan[: len(hidden)])
        )
        self.last = make_layer(plan[-1], kernel, bias=bias, norm=norm) if outputs is not None else nn.Identity()

    def _apply_layers(self, h: Tensor, added: list[Tensor]) -> Tensor:
        for k, (layer, block) in enumerate(zip(self.layers, self.blocks)):
            inside = self.dropout(self.activation(self._normed(k, layer(h), added)))
            h = self.activation(block(inside, h)) if isinstance(block, _Residual) else inside
        found: Tensor = self.last(h)
        return found


class _Residual(nn.Module):
    """``S h + B inside`` behind the first layer of a block, from one shape to another."""

    def __init__(self, before: Shape, planned: Layer, kernel: int, norm: str | None) -> None:
        super().__init__()
        self.extent, width = planned.shape[:-1], planned.shape[-1]
        self.grows = planned.kind == "transposed"
        same = Layer("conv" if self.extent else "linear", planned.shape, width, width)
        self.second = make_layer(same, kernel, norm=norm)
        self.norm = make_norm(norm, width)
        beside = Layer(same.kind, planned.shape, before[-1], width, 1 if self.grows else planned.stride)
        self.beside = make_layer(beside, 1, bias=False, norm=norm) if before != planned.shape else nn.Identity()

    def forward(self, inside: Tensor, h: Tensor) -> Tensor:
        if self.grows:
            h = nn.functional.interpolate(h, list(self.extent))
        found: Tensor = self.beside(h) + self.norm(self.second(inside))
        return found


class DenseNet(_Planned):
    """Dense blocks of vectors or of grids (Huang et al., 2017, Eq. 2): ``h_k = a(A_k [x, h_1, ..., h_(k - 1)])``.

    Each layer reads, side by side, the input and what all layers before it gave, and so does the last.

    Args:
        inputs, outputs: shapes as for ConvNet, of one extent where both are grids, or of vectors.
        hidden: how many channels, or units, each layer adds.
        kernel, activation, out, norm, dropout, bias, context: as for ConvNet.

    Raises:
        ValueError: for grids of two extents.

    Example:
        >>> DenseNet((5,), (16, 16), (3,))(torch.zeros(2, 5)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        kernel: int = 3,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(inputs, hidden, outputs, activation, out, norm, dropout, context)
        plan = dense_layers(inputs, hidden, outputs)
        self.begins = self.rank == 0 and len(plan[0].shape) > 1  # from a vector to a grid, which has other positions
        self.layers = nn.ModuleList(make_layer(layer, kernel, norm=norm) for layer in plan[: len(hidden)])
        self.last = make_layer(plan[-1], kernel, bias=bias, norm=norm) if outputs is not None else nn.Identity()

    def _apply_layers(self, h: Tensor, added: list[Tensor]) -> Tensor:
        for k, layer in enumerate(self.layers):
            found = self.dropout(self.activation(self._normed(k, layer(h), added)))
            h = found if self.begins and k == 0 else torch.cat([h, found], 1)
        given: Tensor = self.last(h)
        return given


class Sequential(nn.Sequential):
    """Networks one behind another, of which the first reads the context, and those of sequences read their lengths."""

    def forward(self, x: Tensor, context: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        h = x
        for k, network in enumerate(self):
            named = {"lengths": lengths} if lengths is not None and isinstance(network, WithLengths) else {}
            h = network(h, context, **named) if k == 0 and context is not None else network(h, **named)
        return h


__all__ = ["ACTIVATIONS", "MLP", "NORMS", "WEIGHT_NORMS", "ConvNet", "DenseNet", "ResNet", "Sequential"]
