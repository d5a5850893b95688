"""Networks: perceptrons and convolutions, sized by the compiler. Causal ones are in `dgmppl.runtime.causal`."""

from __future__ import annotations

from collections.abc import Sequence

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
        self.context = context_maps(context, hidden)
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.out = make_activation(out) if out is not None else nn.Identity()
        self.padding = dilation * (kernel - 1)

    @property
    def last(self) -> nn.Module:
        """The layer that gives the output."""
        return self.layers[-1]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        rank = len(self.inputs) - 1
        batch, h, added = rows_of(x, rank, context, self.context)
        h = h.movedim(-1, 1) if rank else h
        for k, (layer, planned) in enumerate(zip(self.layers, self.plan)):
            h = self._apply_layer(h, layer, planned)
            if k + 1 == len(self.plan):
                break
            if added:
                h = h + added[k][..., None, None]
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


def rows_of(
    x: Tensor, rank: int, context: Tensor | None, maps: Sequence[nn.Module] | nn.ModuleList = ()
) -> tuple[torch.Size, Tensor, list[Tensor]]:
    """The batch shape of ``x (*batch, *positions, channels)`` with `rank` axes of positions and of its context, x with
    one axis for the batch, and what each of these maps makes of the context, ``(N, size)``.

    Raises:
        ValueError: there are maps and no context.
    """
    event = x.shape[x.dim() - rank - 1 :]
    batch = x.shape[: x.dim() - rank - 1]
    if not len(maps):
        return batch, x.reshape(-1, *event), []
    if context is None:
        raise ValueError("this network was built with a context and needs one")
    batch = torch.broadcast_shapes(batch, context.shape[:-1])
    added = [layer(context).expand(*batch, -1).reshape(batch.numel(), -1) for layer in maps]
    return batch, x.expand(*batch, *event).reshape(-1, *event), added


def context_maps(context: int, sizes: Sequence[int]) -> nn.ModuleList:
    """A linear map of the context to each of these sizes; none where there is no context."""
    return nn.ModuleList(nn.Linear(context, size, bias=False) for size in sizes if context)


__all__ = ["ACTIVATIONS", "MLP", "NORMS", "ConvNet"]
