"""Networks: a perceptron and two causal networks, sized by the compiler."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class MLP(nn.Sequential):
    """A multi-layer perceptron ``(..., in_features) -> (..., out_features)``.

    Args:
        in_features: size of the last dimension of the input.
        hidden: size of each hidden layer; none of them leaves a linear map.
        out_features: size of the last dimension of the output.
        activation: name in ACTIVATIONS, after each hidden layer.
        out: name in ACTIVATIONS, after the last layer; None leaves the output as it is.
        bias: whether the last layer has one; it cancels where an output only adds to an energy.

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
    ) -> None:
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            layers += [nn.Linear(width, size), make_activation(activation)]
            width = size
        layers.append(nn.Linear(width, out_features, bias=bias))
        if out is not None:
            layers.append(make_activation(out))
        super().__init__(*layers)
        self.in_features = in_features
        self.out_features = out_features


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


__all__ = ["ACTIVATIONS", "MLP", "CausalConv", "CausalMLP"]
