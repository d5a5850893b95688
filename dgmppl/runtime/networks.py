"""Networks: perceptrons, convolutions and causal networks, sized by the compiler."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.extents import ConvLayer, conv_layers
from dgmppl.runtime.incremental import current

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
        h = x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        added = [layer(_required(context)).expand(*batch, -1).reshape(h.shape[0], -1) for layer in self.context]
        if (draw := current()) is not None:
            return self._next(h, added, draw.position, draw.kept(self)).reshape(*batch, 1, -1)
        h = h.transpose(-1, -2)
        h = F.pad(h, (1, 0))[..., :-1]  # position d now holds input d-1: all that follows is strictly causal
        for index, layer in enumerate(self.layers):
            h = layer(F.pad(h, (self.kernel - 1, 0)))
            if index < len(added):
                h = h + added[index].unsqueeze(-1)
            if index + 1 < len(self.layers):
                h = self.activation(h)
        return self.out(h.transpose(-1, -2).reshape(*batch, x.shape[-2], -1))

    def _next(self, x: Tensor, added: list[Tensor], position: int, kept: dict[str, Any]) -> Tensor:
        """The output (N, C) at a position."""
        rows, length, _ = x.shape
        if not kept:
            # What each layer reads, with what is before the first position: zeros. The first reads one earlier.
            sizes = [cast("nn.Conv1d", module).in_channels for module in self.layers]
            kept["read"] = [x.new_zeros(rows, length + self.kernel - 1, size) for size in sizes]
        h = x[:, position - 1] if position else torch.zeros_like(x[:, 0])
        for index, module in enumerate(self.layers):
            layer, read = cast("nn.Conv1d", module), kept["read"][index]
            read[:, position + self.kernel - 1] = h
            window = read[:, position : position + self.kernel].transpose(-1, -2)
            h = F.linear(window.flatten(1), layer.weight.flatten(1), layer.bias)
            if index < len(added):
                h = h + added[index]
            if index + 1 < len(self.layers):
                h = self.activation(h)
        return cast("Tensor", self.out(h))


class MaskedConv(nn.Conv2d):
    """A convolution that sees, in the order of rows, what is before a position, and with `itself` the position too (van
    den Oord et al., 2016, Sec. 3.4). Kernels are odd; borders are padded with zeros."""

    mask: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, itself: bool) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"a masked convolution has a middle: an odd kernel, and not {kernel}")
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2)
        mask = torch.zeros(kernel, kernel)
        mask[: kernel // 2] = 1
        mask[kernel // 2, : kernel // 2 + itself] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def at(self, window: Tensor) -> Tensor:
        """The output in the middle of the last row of a window (N, C, kernel // 2 + 1, kernel)."""
        rows = self.kernel_size[0] // 2 + 1
        return F.linear(window.flatten(1), (self.weight * self.mask)[:, :, :rows].flatten(1), self.bias)


class PixelCNN(nn.Module):
    """Masked convolutions ``(..., H, W, in_channels) -> (..., H, W, out_channels)`` (van den Oord et al., 2016).

    The output at a position depends on the inputs before it in the order of rows only: the first layer does not see the
    position itself, and the others see what that one has found of it. What lies above to the right, outside of all
    kernels, is not seen.

    Args:
        in_channels, out_channels: sizes at each position.
        hidden: channels of each hidden layer, at least one.
        kernel: side of the hidden layers' convolutions, odd.
        activation, out: as for MLP.
        context: size K of a vector that every position may see, added to each hidden layer by a linear map; 0 for none.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        kernel: int = 5,
        activation: str = "leaky_relu",
        out: str | None = None,
        context: int = 0,
    ) -> None:
        super().__init__()
        sizes = enumerate(pairwise((in_channels, *hidden)))
        self.layers = nn.ModuleList(MaskedConv(a, b, kernel, itself=k > 0) for k, (a, b) in sizes)
        self.last = nn.Linear(hidden[-1], out_channels)
        self.context = nn.ModuleList(nn.Linear(context, size, bias=False) for size in hidden if context)
        self.activation = make_activation(activation)
        self.out = make_activation(out) if out is not None else nn.Identity()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        given = context if self.context else None
        batch = x.shape[:-3] if given is None else torch.broadcast_shapes(x.shape[:-3], given.shape[:-1])
        h = x.expand(*batch, *x.shape[-3:]).reshape(-1, *x.shape[-3:]).movedim(-1, 1)
        added = [layer(_required(context)).expand(*batch, -1).reshape(h.shape[0], -1) for layer in self.context]
        if (draw := current()) is not None:
            return self._next(h, added, draw.position, draw.kept(self)).reshape(*batch, 1, 1, -1)
        for index, layer in enumerate(self.layers):
            h = layer(h) + (added[index][..., None, None] if added else 0)
            h = self.activation(h)
        return self.out(self.last(h.movedim(1, -1))).reshape(*batch, *x.shape[-3:-1], -1)

    def _next(self, x: Tensor, added: list[Tensor], position: int, kept: dict[str, Any]) -> Tensor:
        """The output (N, C) at a position."""
        rows, _, height, width = x.shape
        layers = [cast("MaskedConv", layer) for layer in self.layers]
        side = layers[0].kernel_size[0] // 2
        if not kept:
            size = (height + side, width + 2 * side)
            kept["read"] = [x.new_zeros(rows, layer.in_channels, *size) for layer in layers]
        i, j = divmod(position, width)
        if position:  # the first layer reads values, the latest of which was drawn just now
            a, b = divmod(position - 1, width)
            kept["read"][0][:, :, side + a, side + b] = x[:, :, a, b]
        for index, layer in enumerate(layers):
            window = kept["read"][index][:, :, i : i + side + 1, j : j + 2 * side + 1]
            h = self.activation(layer.at(window) + (added[index] if added else 0))
            if index + 1 < len(layers):
                kept["read"][index + 1][:, :, side + i, side + j] = h
        return cast("Tensor", self.out(self.last(h)))


class _Recurrent(nn.Module):
    """A recurrent network ``(..., D, in_channels) -> (..., D, out_channels)``.

    The output at position d follows from the state after the inputs before d (Tomczak, 2022, Sec. 2.2.2).

    Args:
        in_channels, out_channels: sizes at each position.
        hidden: size of the state of each layer, at least one.
        out: name in ACTIVATIONS, after the last layer.
        context: size K of a vector from which the first states follow, by linear maps; 0 for none, and states of zeros.
    """

    kind: ClassVar[Callable[..., nn.RNNBase]]

    def __init__(
        self, in_channels: int, hidden: tuple[int, ...], out_channels: int, out: str | None = None, context: int = 0
    ) -> None:
        super().__init__()
        sizes = (in_channels, *hidden)
        self.layers = nn.ModuleList(self.kind(a, b, batch_first=True) for a, b in pairwise(sizes))
        self.last = nn.Linear(hidden[-1], out_channels)
        self.context = nn.ModuleList(nn.Linear(context, size, bias=False) for size in hidden if context)
        self.out = make_activation(out) if out is not None else nn.Identity()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch = _batch_shape(x, context if self.context else None)
        h = x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        first = [layer(_required(context)).expand(*batch, -1).reshape(h.shape[0], -1) for layer in self.context]
        states: list[Any] = [self._state(s.unsqueeze(0)) for s in first] or [None] * len(self.layers)
        draw = current()
        if draw is None:
            found = self._pass(F.pad(h, (0, 0, 1, 0))[:, :-1], states)
            return found.reshape(*batch, x.shape[-2], -1)
        kept, d = draw.kept(self), draw.position
        if not kept:
            kept["states"] = states
        latest = h[:, d - 1 : d] if d else torch.zeros_like(h[:, :1])
        return self._pass(latest, kept["states"]).reshape(*batch, 1, -1)

    def _state(self, h: Tensor) -> Any:
        return h

    def _pass(self, h: Tensor, states: list[Any]) -> Tensor:
        """The outputs for these inputs from these states, which become those after them."""
        for index, layer in enumerate(self.layers):
            h, states[index] = layer(h, states[index])
        return cast("Tensor", self.out(self.last(h)))


class CausalRNN(_Recurrent):
    __doc__ = _Recurrent.__doc__
    kind = nn.RNN


class CausalGRU(_Recurrent):
    """The same with gated recurrent units (Cho et al., 2014)."""

    kind = nn.GRU


class CausalLSTM(_Recurrent):
    """The same with long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    kind = nn.LSTM

    def _state(self, h: Tensor) -> Any:
        return h, torch.zeros_like(h)


class CausalTransformer(nn.Module):
    """A transformer ``(..., D, in_channels) -> (..., D, out_channels)`` with causal attention (Vaswani et al., 2017).

    The output at position d depends on the inputs before d only. Layers are normalised before attention and before the
    perceptron, which is four times as wide; positions are learned.

    Args:
        length: number of positions D.
        in_channels, out_channels: sizes at each position.
        hidden: the width, once for each layer.
        heads: of attention, which divide the width.
        activation, out, dropout: as for MLP; dropout is that of both parts of a layer.
        context: size K of a vector that a linear map adds to each position; 0 for none.
    """

    def __init__(
        self,
        length: int,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        heads: int = 4,
        activation: str = "gelu",
        out: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
    ) -> None:
        super().__init__()
        width = hidden[0]
        self.embed = nn.Linear(in_channels, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.context = nn.Linear(context, width, bias=False) if context else None
        self.layers = nn.ModuleList(_Attention(width, heads, activation, dropout) for _ in hidden)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, out_channels)
        self.out = make_activation(out) if out is not None else nn.Identity()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch = _batch_shape(x, context if self.context is not None else None)
        h = x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        draw = current()
        if draw is None:
            h = self.embed(F.pad(h, (0, 0, 1, 0))[:, :-1]) + self.positions
        else:
            d = draw.position
            h = self.embed(h[:, d - 1 : d] if d else torch.zeros_like(h[:, :1])) + self.positions[d]
        if self.context is not None:
            h = h + self.context(_required(context)).expand(*batch, -1).reshape(h.shape[0], 1, -1)
        kept = None if draw is None else draw.kept(self)
        for index, layer in enumerate(self.layers):
            h = layer(h, None if kept is None else kept.setdefault(str(index), {}))
        found: Tensor = self.out(self.last(self.norm(h)))
        return found.reshape(*batch, *found.shape[1:])


class _Attention(nn.Module):
    """A layer of a transformer ``(N, D, width)``; with what it keeps, of the position that follows."""

    def __init__(self, width: int, heads: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation, self.dropout = make_activation(activation), nn.Dropout(dropout)

    def forward(self, h: Tensor, kept: dict[str, Any] | None = None) -> Tensor:
        query, key, value = self.attend(self.before(h)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if kept is not None:
            key = kept["key"] = torch.cat([kept["key"], key], 2) if "key" in kept else key
            value = kept["value"] = torch.cat([kept["value"], value], 2) if "value" in kept else value
        found = F.scaled_dot_product_attention(query, key, value, is_causal=kept is None)
        h = h + self.dropout(self.join(found.transpose(1, 2).flatten(-2)))
        return h + self.dropout(self.outer(self.activation(self.inner(self.between(h)))))


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
        if (draw := current()) is not None:
            return self._at(h, draw.position).unsqueeze(-2)
        return self.layers(h).unflatten(-1, (self.length, self.out_channels))

    def _at(self, h: Tensor, position: int) -> Tensor:
        """The output at a position; of the last layer no other is computed."""
        layers = list(self.layers)
        at = max(k for k, layer in enumerate(layers) if isinstance(layer, MaskedLinear))
        for layer in layers[:at]:
            h = layer(h)
        last = cast("MaskedLinear", layers[at])
        rows = slice(position * self.out_channels, (position + 1) * self.out_channels)
        h = F.linear(h, last.weight[rows] * last.mask[rows], last.bias[rows])
        for layer in layers[at + 1 :]:
            h = layer(h)
        return h


def _batch_shape(x: Tensor, context: Tensor | None) -> torch.Size:
    return x.shape[:-2] if context is None else torch.broadcast_shapes(x.shape[:-2], context.shape[:-1])


def _required(context: Tensor | None) -> Tensor:
    if context is None:
        raise ValueError("this network was built with a context and needs one")
    return context


__all__ = [
    "ACTIVATIONS",
    "MLP",
    "NORMS",
    "CausalConv",
    "CausalGRU",
    "CausalLSTM",
    "CausalMLP",
    "CausalRNN",
    "CausalTransformer",
    "ConvNet",
    "PixelCNN",
]
