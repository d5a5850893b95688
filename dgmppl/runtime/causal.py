"""Causal networks: what they give at a position depends on what is before it alone, in the order of rows of a grid.

While a sequence is drawn they compute one position at a time, from what they kept of the others
(`dgmppl.runtime.incremental`).

Beside the past a network may read what is known at each position itself, `aligned`: a position sees what is aligned
with it and with those before it. While a sequence is drawn, that comes for one position at a time.

Here are convolutions and attention; recurrent networks are in `dgmppl.runtime.recurrent`, masked ones in
`dgmppl.runtime.masked`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.attention import Attention
from dgmppl.runtime.incremental import current
from dgmppl.runtime.layers import context_maps, make_activation, position_norms
from dgmppl.runtime.past import latest, rows_with, shifted


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
        norm: "layer" normalises the channels of each position before each activation.
        context: size K of a vector that every position may see; 0 for none. It is added, through a linear
            map, to each hidden layer before its activation (to the output when there is no hidden layer).
        aligned: channels of what a position sees of itself; 0 for none. They stand beside the past in the first layer.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        kernel: int = 7,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        context: int = 0,
        aligned: int = 0,
    ) -> None:
        super().__init__()
        sizes = (in_channels + aligned, *hidden, out_channels)
        self.norms = position_norms(norm, hidden)
        self.kernel = kernel
        self.layers = nn.ModuleList(nn.Conv1d(a, b, kernel) for a, b in pairwise(sizes))
        self.activation = make_activation(activation)
        self.out = make_activation(out)
        self.context = context_maps(context, hidden or (out_channels,))

    @property
    def last(self) -> nn.Module:
        """The layer that gives the output."""
        return self.layers[-1]

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        batch, h, added, beside = rows_with(x, 1, context, aligned, self.context)
        if (draw := current()) is not None:
            return self._next(h, added, beside, draw.position, draw.kept(self)).reshape(*batch, 1, -1)
        # Position d now holds input d-1: all that follows is strictly causal.
        h = torch.cat([shifted(h), *beside], -1).transpose(-1, -2)
        for index, layer in enumerate(self.layers):
            h = layer(F.pad(h, (self.kernel - 1, 0)))
            if index < len(added):
                h = h + added[index].unsqueeze(-1)
            if index + 1 < len(self.layers):
                h = self.activation(self.norms[index](h))
        return self.out(h.transpose(-1, -2).reshape(*batch, x.shape[-2], -1))

    def _next(
        self, x: Tensor, added: list[Tensor], beside: list[Tensor], position: int, kept: dict[str, Any]
    ) -> Tensor:
        """The output (N, C) at a position."""
        rows, length, _ = x.shape
        if not kept:
            # What each layer reads, with what is before the first position: zeros. The first reads one earlier.
            sizes = [cast("nn.Conv1d", module).in_channels for module in self.layers]
            kept["read"] = [x.new_zeros(rows, length + self.kernel - 1, size) for size in sizes]
        h = torch.cat([latest(x, position), *beside], -1).squeeze(1)
        for index, module in enumerate(self.layers):
            layer, read = cast("nn.Conv1d", module), kept["read"][index]
            read[:, position + self.kernel - 1] = h
            window = read[:, position : position + self.kernel].transpose(-1, -2)
            h = F.linear(window.flatten(1), layer.weight.flatten(1), layer.bias)
            if index < len(added):
                h = h + added[index]
            if index + 1 < len(self.layers):
                h = self.activation(self.norms[index](h))
        return cast("Tensor", self.out(h))


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
        aligned: channels of what a position sees of itself, beside the input before it; 0 for none.
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
        aligned: int = 0,
    ) -> None:
        super().__init__()
        width = hidden[0]
        self.embed = nn.Linear(in_channels + aligned, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.context = context_maps(context, (width,))
        self.layers = nn.ModuleList(Attention(width, heads, activation, dropout) for _ in hidden)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, out_channels)
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        batch, h, added, beside = rows_with(x, 1, context, aligned, self.context)
        draw = current()
        before = shifted(h) if draw is None else latest(h, draw.position)
        positions = self.positions if draw is None else self.positions[draw.position]
        h = self.embed(torch.cat([before, *beside], -1)) + positions
        if added:
            h = h + added[0].unsqueeze(1)
        kept = None if draw is None else draw.kept(self)
        for index, layer in enumerate(self.layers):
            h = layer(h, None if kept is None else kept.setdefault(str(index), {}))
        found: Tensor = self.out(self.last(self.norm(h)))
        return found.reshape(*batch, *found.shape[1:])


__all__ = ["CausalConv", "CausalTransformer"]
