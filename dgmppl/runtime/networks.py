"""Networks: perceptrons, convolutions and causal networks, sized by the compiler."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.extents import ConvLayer, conv_layers

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
}


def make_activation(name: str) -> nn.Module:
    """The activation of that name. Raises ValueError for a name that is not in ACTIVATIONS."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


NORMS = ("batch", "layer", "group")
_GROUP = 8  # channels of a group


class Norm(nn.Module):
    """A normalisation of ``(N, C, ...)``, with a scale and a shift for each of the C channels.

    "batch" normalises a channel over the rows of the batch (Ioffe and Szegedy, 2015), and a single number by the
    running averages; "layer" normalises a row over its channels (Ba et al., 2016), "group" over eight of them at a
    time (Wu and He, 2018), or all where eight do not divide C. Raises ValueError for a kind that is not in NORMS.
    """

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        if kind not in NORMS:
            raise ValueError(f"unknown normalisation {kind!r}; there are {', '.join(NORMS)}")
        groups = channels // _GROUP if kind == "group" and channels % _GROUP == 0 else 1
        self.norm = nn.BatchNorm1d(channels) if kind == "batch" else nn.GroupNorm(groups, channels)

    def forward(self, h: Tensor) -> Tensor:
        flat = h.flatten(2) if h.dim() > 2 else h
        norm = self.norm
        if isinstance(norm, nn.BatchNorm1d) and flat.numel() == flat.shape[1]:  # one number has no spread
            return F.batch_norm(flat, norm.running_mean, norm.running_var, norm.weight, norm.bias).view_as(h)
        normalised: Tensor = norm(flat)
        return normalised.view_as(h)


class _OfVectors(Norm):
    """The same for vectors ``(..., C)``."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.reshape(-1, h.shape[-1])).view_as(h)


class MLP(nn.Sequential):
    """A multi-layer perceptron ``(..., in_features) -> (..., out_features)``.

    Args:
        in_features: size of the last dimension of the input.
        hidden: size of each hidden layer; none of them leaves a linear map.
        out_features: size of the last dimension of the output.
        activation: name in ACTIVATIONS, after each hidden layer.
        out: name in ACTIVATIONS, after the last layer; None leaves the output as it is.
        bias: whether the last layer has one; it cancels where an output only adds to an energy.
        norm: name in NORMS, before each activation of a hidden layer.
        dropout: share of the hidden units that are dropped in training (Srivastava et al., 2014).

    Example:
        >>> MLP(2, (8, 8), 3)(torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        in_features: int,
        hidden: tuple[int, ...],
        out_features: int,
        activation: str = "leaky_relu",
        out: str | None = None,
        bias: bool = True,
        norm: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            layers.append(nn.Linear(width, size))
            layers += [_OfVectors(norm, size)] if norm else []
            layers.append(make_activation(activation))
            layers += [nn.Dropout(dropout)] if dropout else []
            width = size
        layers.append(nn.Linear(width, out_features, bias=bias))
        if out is not None:
            layers.append(make_activation(out))
        super().__init__(*layers)
        self.in_features = in_features
        self.out_features = out_features


class ConvNet(nn.Module):
    """Convolutions between grids, or between a grid and a vector; channels are the last axis of both.

    A grid ``(..., height, width, channels)`` keeps its extent under a stride of 1. Under a larger one, each hidden
    layer divides the extent by it (rounding up), or with a transposed convolution multiplies it, as the shapes ask for.
    A linear map ends in a vector, or begins from one (Radford et al., 2016). Borders are padded with zeros.

    Args:
        inputs: shape of the input without the batch, ``(height, width, channels)``, or ``(features,)``.
        hidden: channels of each hidden layer, at least one.
        outputs: shape of the output, likewise.
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
        outputs: tuple[int, ...],
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
        super().__init__()
        plan = conv_layers(inputs, hidden, outputs, stride)
        self.inputs, self.plan = inputs, plan
        last = len(plan) - 1
        self.layers = nn.ModuleList(
            _conv_layer(layer, kernel, dilation, bias or k < last) for k, layer in enumerate(plan)
        )
        self.norms = nn.ModuleList(Norm(norm, size) for size in hidden) if norm else None
        self.context = nn.ModuleList(nn.Linear(context, size, bias=False) for size in hidden) if context else None
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.out = make_activation(out) if out is not None else nn.Identity()
        self.padding = dilation * (kernel - 1)

    @property
    def last(self) -> nn.Module:
        """The layer that gives the output."""
        return self.layers[-1]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        rank = len(self.inputs)
        batch = x.shape[: x.dim() - rank]
        if self.context is not None:
            batch = torch.broadcast_shapes(batch, _required(context).shape[:-1])
        h = x.expand(*batch, *self.inputs).reshape(-1, *self.inputs)
        h = h.movedim(-1, 1) if rank > 1 else h
        for k, (layer, planned) in enumerate(zip(self.layers, self.plan)):
            h = self._apply_layer(h, layer, planned)
            if k + 1 == len(self.plan):
                break
            if self.context is not None:
                added = self.context[k](_required(context))
                h = h + added.expand(*batch, added.shape[-1]).reshape(-1, added.shape[-1], 1, 1)
            if self.norms is not None:
                h = self.norms[k](h)
            h = self.dropout(self.activation(h))
        h = h.movedim(1, -1) if h.dim() > 2 else h
        return self.out(h).reshape(*batch, *self.plan[-1].shape)

    def _apply_layer(self, h: Tensor, layer: nn.Module, planned: ConvLayer) -> Tensor:
        extent, channels = planned.shape[:-1], planned.shape[-1]
        if planned.kind == "linear":
            found: Tensor = layer(h.movedim(1, -1).flatten(1) if h.dim() > 2 else h)
            return found.reshape(-1, *extent, channels).movedim(-1, 1) if extent else found
        # An even kernel leaves one more row and column to pad, or to cut, at the end than at the beginning.
        odd = self.padding % 2
        if planned.kind == "conv":
            convolved: Tensor = layer(F.pad(h, (0, odd, 0, odd)) if odd else h)
            return convolved
        assert isinstance(layer, nn.ConvTranspose2d)
        # What the strides leave open of the larger extent is added at its end.
        grown: Tensor = layer(h, output_size=[e + odd for e in extent])
        return grown[..., : extent[0], : extent[1]] if odd else grown


def _conv_layer(layer: ConvLayer, kernel: int, dilation: int, bias: bool) -> nn.Module:
    if layer.kind == "linear":
        return nn.Linear(layer.fan_in, layer.fan_out, bias=bias)
    kind = nn.Conv2d if layer.kind == "conv" else nn.ConvTranspose2d
    padding = dilation * (kernel - 1) // 2
    return kind(layer.fan_in, layer.fan_out, kernel, stride=layer.stride, padding=padding, dilation=dilation, bias=bias)


class CausalConv(nn.Module):
    """Causal one-dimensional convolutions ``(..., D, in_channels) -> (..., D, out_channels)``.

    The output at position d depends on the inputs at positions before d only: the first layer sees the input
    shifted by one, and every layer is padded on the left alone (Tomczak, 2022, Sec. 2.2.3). A position sees
    ``(len(hidden) + 1) (kernel - 1) + 1`` positions of its past.

    Args:
        in_channels: size of the last dimension of the input, e.g. 1, or K for one-hot values.
        hidden: channels of each hidden layer.
        out_channels: size of the last dimension of the output.
        kernel: width of each convolution.
        activation: name in ACTIVATIONS, after each hidden layer.
        out: name in ACTIVATIONS, after the last layer.
        context: size K of a vector that every position may see; 0 for none. It is added, through a linear
            map, to each hidden layer before its activation (to the output when there is no hidden layer).
    """

    def __init__(
        self,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        kernel: int = 7,
        activation: str = "leaky_relu",
        out: str | None = None,
        context: int = 0,
    ) -> None:
        super().__init__()
        sizes = (in_channels, *hidden, out_channels)
        self.kernel = kernel
        self.layers = nn.ModuleList(nn.Conv1d(a, b, kernel) for a, b in pairwise(sizes))
        self.activation = make_activation(activation)
        self.out = make_activation(out) if out is not None else nn.Identity()
        receivers = (hidden or (out_channels,)) if context else ()
        self.context = nn.ModuleList(nn.Linear(context, size, bias=False) for size in receivers)

    @property
    def last(self) -> nn.Module:
        """The layer that gives the output."""
        return self.layers[-1]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch = _batch_shape(x, context if self.context else None)
        h = x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:]).transpose(-1, -2)
        h = F.pad(h, (1, 0))[..., :-1]  # position d now holds input d-1: all that follows is strictly causal
        for index, layer in enumerate(self.layers):
            h = layer(F.pad(h, (self.kernel - 1, 0)))
            if index < len(self.context):
                added = self.context[index](_required(context))
                h = h + added.expand(*batch, -1).reshape(-1, added.shape[-1], 1)
            if index + 1 < len(self.layers):
                h = self.activation(h)
        return self.out(h.transpose(-1, -2).reshape(*batch, x.shape[-2], -1))


class MaskedLinear(nn.Linear):
    """A linear layer of which a fixed mask ``(out_features, in_features)`` keeps some weights."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class CausalMLP(nn.Module):
    """A masked autoencoder (MADE) ``(..., D, in_channels) -> (..., D, out_channels)``.

    The output at position d depends on the inputs at positions before d only: a unit of degree m sees the
    units of degree at most m, and an output of degree d the hidden units of degree below d (Germain et al.,
    2015, Eqs. 12 and 13). A context has degree 0, so every position sees it.

    Args:
        length: number of positions D.
        in_channels, out_channels: sizes at each position.
        hidden: size of each hidden layer.
        activation, out: names in ACTIVATIONS, as for MLP.
        context: size K of a vector that every position may see; 0 for none.
    """

    def __init__(
        self,
        length: int,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        activation: str = "leaky_relu",
        out: str | None = None,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.length = length
        self.out_channels = out_channels
        self.has_context = context > 0
        positions = torch.arange(1, length + 1)
        degrees = torch.cat([positions.repeat_interleave(in_channels), positions.new_zeros(context)])
        # Degree 0 is of use only with a context: without one, such a unit would be a constant.
        lowest = 0 if context or length == 1 else 1
        layers: list[nn.Module] = []
        for size in hidden:
            after = torch.arange(size) % (length - lowest) + lowest
            layers += [MaskedLinear(after.unsqueeze(-1) >= degrees), make_activation(activation)]
            degrees = after
        layers.append(MaskedLinear(positions.repeat_interleave(out_channels).unsqueeze(-1) > degrees))
        if out is not None:
            layers.append(make_activation(out))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch = _batch_shape(x, context if self.has_context else None)
        h = x.expand(*batch, *x.shape[-2:]).flatten(-2)
        if self.has_context:
            given = _required(context)
            h = torch.cat([h, given.expand(*batch, given.shape[-1])], dim=-1)
        return self.layers(h).unflatten(-1, (self.length, self.out_channels))


def _batch_shape(x: Tensor, context: Tensor | None) -> torch.Size:
    return x.shape[:-2] if context is None else torch.broadcast_shapes(x.shape[:-2], context.shape[:-1])


def _required(context: Tensor | None) -> Tensor:
    if context is None:
        raise ValueError("this network was built with a context and needs one")
    return context


__all__ = ["ACTIVATIONS", "MLP", "NORMS", "CausalConv", "CausalMLP", "ConvNet"]
