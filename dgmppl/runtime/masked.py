"""Causal networks of grids and sequences by masks: convolutions in the order of rows, and masked autoencoders."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.incremental import current
from dgmppl.runtime.layers import context_maps, make_activation, position_norms
from dgmppl.runtime.past import rows_with, so_far


def colour_mask(out_channels: int, in_channels: int, colours: int, itself: bool) -> Tensor:
    """Which of a position's channels one that is computed there sees, ``(out_channels, in_channels)``: both come in
    so many parts, one after another, and a part sees those before it, and with `itself` its own (van den Oord et al.,
    2016, Sec. 3.4).

    Raises:
        ValueError: channels that are not divided into so many parts.
    """
    if out_channels % colours or in_channels % colours:
        raise ValueError(f"{in_channels} and {out_channels} channels do not come in {colours} parts of one size")
    sees, seen = (torch.arange(size) * colours // size for size in (out_channels, in_channels))
    return (sees.unsqueeze(-1) >= seen if itself else sees.unsqueeze(-1) > seen).float()


class MaskedConv(nn.Conv2d):
    """A convolution that sees, in the order of rows, what is before a position, and with `itself` the position too; of
    channels in as many parts as there are `colours`, there it sees those of earlier ones as well (van den Oord et al.,
    2016, Sec. 3.4). Kernels are odd; borders are padded with zeros."""

    mask: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, itself: bool, bias: bool = True, colours: int = 1
    ) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"a masked convolution has a middle: an odd kernel, and not {kernel}")
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        side = kernel // 2
        mask = torch.zeros(*((out_channels, in_channels) if colours > 1 else ()), kernel, kernel)
        mask[..., :side, :] = 1
        mask[..., side, :side] = 1
        mask[..., side, side] = colour_mask(out_channels, in_channels, colours, itself) if colours > 1 else itself
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def at(self, window: Tensor) -> Tensor:
        """The output in the middle of the last row of a window (N, C, kernel // 2 + 1, kernel)."""
        rows = self.kernel_size[0] // 2 + 1
        return F.linear(window.flatten(1), (self.weight * self.mask)[:, :, :rows].flatten(1), self.bias)

    def room(self, x: Tensor, height: int, width: int) -> Tensor:
        """Room for what it reads of a grid, with the zeros at its borders."""
        side = self.kernel_size[0] // 2
        return x.new_zeros(x.shape[0], self.in_channels, height + side, width + 2 * side)

    def next(self, x: Tensor, i: int, j: int, kept: Tensor, colour: int = 0) -> Tensor:
        """The output (N, C) at a position, where x is (N, C, 1, 1), or what a colour has of C, in what it keeps of the
        positions before."""
        side, size = self.kernel_size[0] // 2, x.shape[1]
        kept[:, colour * size : (colour + 1) * size, side + i, side + j] = x[..., 0, 0]
        return self.at(kept[:, :, i : i + side + 1, j : j + 2 * side + 1])


class PixelCNN(nn.Module):
    """Masked convolutions ``(..., H, W, in_channels) -> (..., H, W, out_channels)`` (van den Oord et al., 2016).

    The output at a position depends on the inputs before it in the order of rows only: the first layer does not see the
    position itself, and the others see what that one has found of it. What lies above to the right, outside of all
    kernels, is not seen.

    With colours ``(..., H, W, colours, in_channels) -> (..., H, W, colours, out_channels)``: one of them is given what
    is before its position and the colours before it (Sec. 3.4).

    Args:
        in_channels, out_channels: sizes at each position, or of each of its colours.
        hidden: channels of each hidden layer, at least one; as many for each colour.
        kernel: side of the hidden layers' convolutions, odd.
        activation, out: as for MLP.
        norm: "layer" normalises the channels of each position before each activation.
        context: size K of a vector that every position may see, added to each hidden layer by a linear map; 0 for none.
        aligned: channels of what a position sees of itself, and of those around it that it may see; 0 for none.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        kernel: int = 5,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        context: int = 0,
        aligned: int = 0,
        colours: int | None = None,
    ) -> None:
        super().__init__()
        self.colours, each = colours, colours or 1
        self.norms = position_norms(norm, hidden, each)
        sizes = enumerate(pairwise((each * in_channels, *hidden)))
        self.layers = nn.ModuleList(MaskedConv(a, b, kernel, itself=k > 0, colours=each) for k, (a, b) in sizes)
        self.beside = (
            MaskedConv(each * aligned, hidden[0], kernel, itself=True, bias=False, colours=each) if aligned else None
        )
        self.last = colour_linear(hidden[-1], each * out_channels, colours)
        self.context = context_maps(context, hidden)
        self.activation = make_activation(activation)
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        rank = 2 if self.colours is None else 3
        batch, h, added, given = rows_with(x, rank, context, aligned, self.context)
        h, beside = channels_first(h), [channels_first(b) for b in given]
        if (draw := current()) is not None:
            found = self._next(h, added, beside, draw.position, draw.kept(self))
            return found.reshape(*batch, *(1,) * rank, -1)
        for index, layer in enumerate(self.layers):
            h = layer(h) + (added[index][..., None, None] if added else 0)
            if self.beside is not None and index == 0:
                h = h + self.beside(beside[0])
            h = self.activation(self.norms[index](h))
        return self.out(self.last(h.movedim(1, -1))).reshape(*batch, *x.shape[-1 - rank : -1], -1)

    def _next(
        self, x: Tensor, added: list[Tensor], beside: list[Tensor], position: int, kept: dict[str, Any]
    ) -> Tensor:
        """The output (N, C) at a position, or of one of its colours."""
        height, width = x.shape[2:]
        layers = [cast("MaskedConv", layer) for layer in self.layers]
        side = layers[0].kernel_size[0] // 2
        if not kept:
            kept["read"] = [layer.room(x, height, width) for layer in layers]
            kept["beside"] = self.beside.room(x, height, width) if self.beside is not None else None
        i, j, colour = place_of(position, width, self.colours)
        if position:  # the first layer reads values, the latest of which was drawn just now
            a, b, _ = place_of(position - 1, width, self.colours)
            kept["read"][0][:, :, side + a, side + b] = x[:, :, a, b]
        seen = (..., slice(i, i + side + 1), slice(j, j + 2 * side + 1))
        for index, layer in enumerate(layers):
            h = layer.at(kept["read"][index][seen]) + (added[index] if added else 0)
            if self.beside is not None and index == 0:
                h = h + self.beside.next(beside[0], i, j, kept["beside"], colour)
            h = self.activation(self.norms[index](h))
            if index + 1 < len(layers):
                kept["read"][index + 1][:, :, side + i, side + j] = h
        found: Tensor = self.out(self.last(h))
        return found if self.colours is None else found.unflatten(-1, (self.colours, -1))[:, colour]


def channels_first(h: Tensor) -> Tensor:
    """``(N, H, W, ...)`` with all that a position has as channels, ``(N, C, H, W)``."""
    return h.flatten(3).movedim(-1, 1)


def place_of(position: int, width: int, colours: int | None) -> tuple[int, int, int]:
    """The row, the column and the colour of a position of a grid, 0 where a position has none."""
    pixel, colour = divmod(position, colours or 1)
    return *divmod(pixel, width), colour


def colour_linear(in_features: int, out_features: int, colours: int | None) -> nn.Linear:
    """A linear map of what a position has; of several colours each from its own channels and those before."""
    if colours is None:
        return nn.Linear(in_features, out_features)
    return MaskedLinear(colour_mask(out_features, in_features, colours, itself=True))


class MaskedLinear(nn.Linear):
    """A linear layer of which a fixed mask ``(out_features, in_features)`` keeps some weights."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class _DegreeNorm(nn.Module):
    """Normalises units ``(..., H)`` of one degree, which see the same inputs, over each other (after Ba et al., 2016),
    with a scale and a shift for each unit. There are two of each degree, or more.

    Raises:
        ValueError: for another kind than "layer".
    """

    degrees: Tensor
    counts: Tensor

    def __init__(self, degrees: Tensor, kind: str) -> None:
        super().__init__()
        if kind != "layer":
            raise ValueError(f"{kind!r} normalises over other units; of those that see as much there is 'layer'")
        self.weight, self.bias = nn.Parameter(torch.ones(len(degrees))), nn.Parameter(torch.zeros(len(degrees)))
        self.register_buffer("degrees", degrees, persistent=False)
        self.register_buffer("counts", degrees.bincount().clamp(min=1), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        h = h - self._mean(h)
        return h * (self._mean(h.square()) + 1e-5).rsqrt() * self.weight + self.bias

    def _mean(self, h: Tensor) -> Tensor:
        """For each unit the mean over those of its degree."""
        sums = h.new_zeros(*h.shape[:-1], len(self.counts)).index_add(-1, self.degrees, h)
        return (sums / self.counts).index_select(-1, self.degrees)


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
        norm: "layer" normalises the units of one degree over each other before each activation.
        context: size K of a vector that every position may see; 0 for none.
        aligned: channels of what a position sees of itself, whose degree is one lower than that of its input; 0 for
            none.
    """

    def __init__(
        self,
        length: int,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        context: int = 0,
        aligned: int = 0,
    ) -> None:
        super().__init__()
        self.length = length
        self.out_channels = out_channels
        self.has_context = context > 0
        positions = torch.arange(1, length + 1)
        beside = (positions - 1).repeat_interleave(aligned)
        degrees = torch.cat([positions.repeat_interleave(in_channels), beside, positions.new_zeros(context)])
        # Degree 0 is of use only where something has it: without that, such a unit would be a constant.
        lowest = 0 if context or aligned or length == 1 else 1
        layers: list[nn.Module] = []
        for size in hidden:
            after = torch.arange(size) % (length - lowest) + lowest
            layers.append(MaskedLinear(after.unsqueeze(-1) >= degrees))
            layers += [_DegreeNorm(after, norm)] if norm is not None else []
            layers.append(make_activation(activation))
            degrees = after
        layers.append(MaskedLinear(positions.repeat_interleave(out_channels).unsqueeze(-1) > degrees))
        if out is not None:
            layers.append(make_activation(out))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        identity: list[nn.Module] = [nn.Identity()] if self.has_context else []
        batch, h, given, beside = rows_with(x, 1, context, aligned, identity)
        if (draw := current()) is not None and beside:
            beside = [so_far(beside[0], self.length, draw.position, draw.kept(self))]
        h = torch.cat([h.flatten(-2), *(b.flatten(-2) for b in beside), *given], dim=-1).reshape(*batch, -1)
        if draw is not None:
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


__all__ = ["CausalMLP", "PixelCNN"]
