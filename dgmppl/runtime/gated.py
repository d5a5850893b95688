"""Gated masked convolutions of a grid, without a blind spot."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.incremental import current
from dgmppl.runtime.layers import channel_dropout, context_maps, like, make_activation, position_norms
from dgmppl.runtime.masked import MaskedConv
from dgmppl.runtime.past import rows_with


class GatedPixelCNN(nn.Module):
    """Two stacks of gated convolutions ``(..., H, W, in_channels) -> (..., H, W, out_channels)`` (van den Oord et al.,
    2016b, Sec. 2.1 to 2.3).

    The vertical stack sees at a position all rows above it within reach, the horizontal one what is to the left in its
    own row, and what the vertical one has found. Both gate: ``tanh(W h) * sigmoid(V h)``, with the context added to
    both (Eq. 4). The horizontal stack has residual connections between layers of one size. So the output at a position
    depends on the inputs before it in the order of rows only, and on what is above to the right too.

    Args:
        in_channels, out_channels: sizes at each position.
        hidden: channels of each layer, at least one.
        kernel: side of the convolutions, odd; what is not before a position is cut off.
        out: as for MLP.
        norm: "layer" normalises the channels of each position before a gate.
        dropout: share of the channels of each layer that are left out in training.
        context: size K of a vector that every position may see; 0 for none.
        aligned: channels of what a position sees of itself, and of those around it that it may see; 0 for none. A
            masked convolution of them is added before the first gate of the horizontal stack.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        kernel: int = 5,
        out: str | None = None,
        norm: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
        aligned: int = 0,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a masked convolution has a middle: an odd kernel, and not {kernel}")
        sizes = enumerate(pairwise((in_channels, *hidden)))
        self.layers = nn.ModuleList(
            _Gated(a, b, kernel // 2, itself=k > 0, norm=norm, dropout=dropout) for k, (a, b) in sizes
        )
        self.last = nn.Linear(hidden[-1], out_channels)
        self.context = context_maps(context, [2 * size for size in hidden for _ in ("vertical", "horizontal")])
        self.beside = MaskedConv(aligned, 2 * hidden[0], kernel, itself=True, bias=False) if aligned else None
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        batch, h, added, given = rows_with(x, 2, context, aligned, self.context)
        v, beside = h.movedim(-1, 1), [b.movedim(-1, 1) for b in given]
        h = v
        shifts: list[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(self.layers)
        if added:
            shifts = list(zip(added[::2], added[1::2]))
        if (draw := current()) is not None:
            found = self._next(h, shifts, beside, draw.position, draw.kept(self))
            return found.reshape(*batch, 1, 1, -1)
        for k, (layer, (above, left)) in enumerate(zip(self._stack, shifts)):
            found = layer.norms[0](_shifted(layer.rows_above(v), above))
            beneath = F.pad(found, (0, 0, 1, 0))[:, :, :-1]  # row i reads what ends in row i - 1
            inside = layer.to_the_left(h) + layer.link(beneath)
            inside = inside + self.beside(beside[0]) if self.beside is not None and k == 0 else inside
            h = layer.join(h, layer.norms[1](_shifted(inside, left)))
            v = layer.gate(found)
        return self.out(self.last(F.leaky_relu(h).movedim(1, -1))).reshape(*batch, *x.shape[-3:-1], -1)

    @property
    def _stack(self) -> list[_Gated]:
        return [cast("_Gated", layer) for layer in self.layers]

    def _next(
        self,
        x: Tensor,
        shifts: list[tuple[Tensor | None, Tensor | None]],
        beside: list[Tensor],
        position: int,
        kept: dict[str, Any],
    ) -> Tensor:
        """The output (N, C) at a position."""
        height, width = x.shape[2:]
        layers = self._stack
        i, j = divmod(position, width)
        if not kept:
            kept["beside"] = self.beside.room(x, height, width) if self.beside is not None else None
            kept["rows"] = [layer.empty_rows(x, height) for layer in layers]
        if j == 0:  # the row above is whole: the vertical stack computes what this row reads of it
            kept["above"] = self._above(x, [above for above, _ in shifts], i, kept["rows"])
            kept["left"] = [layer.empty_row(x) for layer in layers]
        else:
            kept["left"][0][:, :, layers[0].reach + j] = x[:, :, i, j - 1]
        h = x[:, :, i, j]
        for k, (layer, (_, left)) in enumerate(zip(layers, shifts)):
            if k:
                kept["left"][k][:, :, layer.reach + j] = h
            window = kept["left"][k][:, :, j : j + layer.reach + 1]
            found = F.linear(window.flatten(1), layer.horizontal.weight.flatten(1), layer.horizontal.bias)
            found = found + kept["above"][k][:, :, j]
            if self.beside is not None and k == 0:
                found = found + self.beside.next(beside[0], i, j, kept["beside"])
            found = layer.norms[1](_shifted(found, left))
            h = layer.join(h[..., None, None], found[..., None, None])[..., 0, 0]
        return cast("Tensor", self.out(self.last(F.leaky_relu(h))))

    def _above(self, x: Tensor, shifts: list[Tensor | None], i: int, rows: list[Tensor]) -> list[Tensor]:
        """What each layer of the horizontal stack reads at row i of the vertical one, (N, C, W)."""
        v, found = x[:, :, i - 1 : i], []
        for layer, shift, kept in zip(self._stack, shifts, rows):
            if i == 0:
                nothing = x.new_zeros(x.shape[0], layer.link.in_channels, 1, x.shape[3])
                found.append(layer.link(nothing)[:, :, 0])
                continue
            side = layer.reach
            kept[:, :, side + i - 1, side : side + x.shape[3]] = v[:, :, 0]
            above = layer.norms[0](_shifted(layer.vertical(kept[:, :, i - 1 : i + side]), shift))
            found.append(layer.link(above)[:, :, 0])
            v = layer.gate(above)
        return found


class _Gated(nn.Module):
    """A layer of both stacks (N, C, H, W); `itself`: the horizontal one sees the position too, and adds to it."""

    def __init__(self, a: int, b: int, reach: int, itself: bool, norm: str | None, dropout: float) -> None:
        super().__init__()
        self.reach, self.itself = reach, itself
        self.vertical = nn.Conv2d(a, 2 * b, (reach + 1, 2 * reach + 1))
        self.horizontal = nn.Conv2d(a, 2 * b, (1, reach + 1))
        self.link, self.out = nn.Conv2d(2 * b, 2 * b, 1), nn.Conv2d(b, b, 1)
        self.norms = position_norms(norm, (2 * b, 2 * b))
        self.residual = itself and a == b
        self.dropout = channel_dropout(dropout, grid=True)

    def rows_above(self, v: Tensor) -> Tensor:
        """Of the rows that end in a position's own."""
        side = self.reach
        found: Tensor = self.vertical(F.pad(v, (side, side, side, 0)))
        return found

    def to_the_left(self, h: Tensor) -> Tensor:
        """Of the positions that end in a position, or in the one before it."""
        padded = F.pad(h, (self.reach, 0)) if self.itself else F.pad(h, (self.reach + 1, 0))[..., :-1]
        found: Tensor = self.horizontal(padded)
        return found

    def gate(self, h: Tensor) -> Tensor:
        a, b = h.chunk(2, 1)
        found: Tensor = self.dropout(torch.tanh(a) * torch.sigmoid(b))
        return found

    def join(self, h: Tensor, inside: Tensor) -> Tensor:
        found: Tensor = self.out(self.gate(inside))
        return found + h if self.residual else found

    def empty_rows(self, x: Tensor, height: int) -> Tensor:
        """Room for what the vertical stack reads, with the zeros at its borders."""
        side = self.reach
        return x.new_zeros(x.shape[0], self.vertical.in_channels, height + side, x.shape[3] + 2 * side)

    def empty_row(self, x: Tensor) -> Tensor:
        """Room for what the horizontal stack reads of one row."""
        return x.new_zeros(x.shape[0], self.horizontal.in_channels, x.shape[3] + self.reach + 1)


def _shifted(h: Tensor, by: Tensor | None) -> Tensor:
    return h if by is None else h + like(by, h)


__all__ = ["GatedPixelCNN"]
