"""Gated masked convolutions of a grid, without a blind spot."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.incremental import current
from dgmppl.runtime.layers import channel_dropout, context_maps, like, make_activation, position_norms
from dgmppl.runtime.masked import MaskedConv, channels_first, colour_linear, colour_mask, place_of
from dgmppl.runtime.past import rows_with


class GatedPixelCNN(nn.Module):
    """Two stacks of gated convolutions ``(..., H, W, in_channels) -> (..., H, W, out_channels)`` (van den Oord et al.,
    2016b, Sec. 2.1 to 2.3).

    The vertical stack sees at a position all rows above it within reach, the horizontal one what is to the left in its
    own row, and what the vertical one has found. Both gate: ``tanh(W h) * sigmoid(V h)``, with the context added to
    both (Eq. 4). The horizontal stack has residual connections between layers of one size. So the output at a position
    depends on the inputs before it in the order of rows only, and on what is above to the right too.

    With colours ``(..., H, W, colours, in_channels) -> (..., H, W, colours, out_channels)``: one of them is given what
    is before its position and the colours before it. Of its own position the horizontal stack sees these, by masks (van
    den Oord et al., 2016, Sec. 3.4).

    Args:
        in_channels, out_channels: sizes at each position, or of each of its colours.
        hidden: channels of each layer, at least one; as many for each colour.
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
        colours: int | None = None,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a masked convolution has a middle: an odd kernel, and not {kernel}")
        self.colours, each = colours, colours or 1
        sizes = enumerate(pairwise((each * in_channels, *hidden)))
        self.layers = nn.ModuleList(
            _Gated(a, b, kernel // 2, itself=k > 0, norm=norm, dropout=dropout, colours=colours) for k, (a, b) in sizes
        )
        self.last = colour_linear(hidden[-1], each * out_channels, colours)
        self.context = context_maps(context, [2 * size for size in hidden for _ in ("vertical", "horizontal")])
        self.beside = (
            MaskedConv(each * aligned, 2 * hidden[0], kernel, itself=True, bias=False, colours=each)
            if aligned
            else None
        )
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        rank = 2 if self.colours is None else 3
        batch, h, added, given = rows_with(x, rank, context, aligned, self.context)
        v, beside = channels_first(h), [channels_first(b) for b in given]
        h = v
        shifts: list[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(self.layers)
        if added:
            shifts = list(zip(added[::2], added[1::2]))
        if (draw := current()) is not None:
            found = self._next(h, shifts, beside, draw.position, draw.kept(self))
            return found.reshape(*batch, *(1,) * rank, -1)
        for k, (layer, (above, left)) in enumerate(zip(self._stack, shifts)):
            found = layer.norms[0](_shifted(layer.rows_above(v), above))
            beneath = F.pad(found, (0, 0, 1, 0))[:, :, :-1]  # row i reads what ends in row i - 1
            inside = layer.to_the_left(h) + layer.link(beneath)
            inside = inside + self.beside(beside[0]) if self.beside is not None and k == 0 else inside
            h = layer.join(h, layer.norms[1](_shifted(inside, left)))
            v = layer.gate(found)
        found = self.out(self.last(F.leaky_relu(h).movedim(1, -1)))
        return found.reshape(*batch, *x.shape[-1 - rank : -1], -1)

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
        """The output (N, C) at a position, or of one of its colours."""
        height, width = x.shape[2:]
        layers = self._stack
        i, j, colour = place_of(position, width, self.colours)
        if not kept:
            kept["beside"] = self.beside.room(x, height, width) if self.beside is not None else None
            kept["rows"] = [layer.empty_rows(x, height) for layer in layers]
        if j == 0 and colour == 0:  # the row above is whole: the vertical stack computes what this row reads of it
            kept["above"] = self._above(x, [above for above, _ in shifts], i, kept["rows"])
            kept["left"] = [layer.empty_row(x) for layer in layers]
        elif position:  # the latest value was drawn just now, at this position or to its left
            _, b, _ = place_of(position - 1, width, self.colours)
            kept["left"][0][:, :, layers[0].reach + b + layers[0].shift] = x[:, :, i, b]
        h = x[:, :, i, j]
        for k, (layer, (_, left)) in enumerate(zip(layers, shifts)):
            if k:
                kept["left"][k][:, :, layer.reach + j] = h
            window = kept["left"][k][:, :, j : j + layer.reach + 1]
            found = F.linear(window.flatten(1), layer.of_the_row().flatten(1), layer.horizontal.bias)
            found = found + kept["above"][k][:, :, j]
            if self.beside is not None and k == 0:
                found = found + self.beside.next(beside[0], i, j, kept["beside"], colour)
            found = layer.norms[1](_shifted(found, left))
            h = layer.join(h[..., None, None], found[..., None, None])[..., 0, 0]
        whole: Tensor = self.out(self.last(F.leaky_relu(h)))
        return whole if self.colours is None else whole.unflatten(-1, (self.colours, -1))[:, colour]

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
    """A layer of both stacks (N, C, H, W); `itself`: the horizontal one sees the position too, and adds to it.

    Of several colours, whose channels come one after another, the horizontal stack always sees the position, by a mask:
    with `itself` a colour's own channels and those before, else these alone. It has whole rows from the vertical one.
    """

    mask: Tensor | None
    of_itself: Tensor | None

    def __init__(
        self, a: int, b: int, reach: int, itself: bool, norm: str | None, dropout: float, colours: int | None
    ) -> None:
        super().__init__()
        self.reach, self.colours = reach, colours or 1
        self.shift = int(not itself and colours is None)  # it reads the row shifted by one
        self.vertical = nn.Conv2d(a, 2 * b, (reach + 1, 2 * reach + 1))
        self.horizontal = nn.Conv2d(a, 2 * b, (1, reach + 1))
        self.link, self.out = nn.Conv2d(2 * b, 2 * b, 1), nn.Conv2d(b, b, 1)
        self.norms = nn.ModuleList((*position_norms(norm, (2 * b,)), *position_norms(norm, (2 * b,), self.colours)))
        self.residual = itself and a == b
        self.dropout = channel_dropout(dropout, grid=True)
        mask = of_itself = None
        if colours is not None:
            mask = torch.ones(2 * b, a, 1, reach + 1)
            mask[:, :, 0, -1] = colour_mask(2 * b, a, colours, itself)
            of_itself = colour_mask(b, b, colours, itself=True)[..., None, None]
        self.register_buffer("mask", mask)
        self.register_buffer("of_itself", of_itself)

    def rows_above(self, v: Tensor) -> Tensor:
        """Of the rows that end in a position's own."""
        side = self.reach
        found: Tensor = self.vertical(F.pad(v, (side, side, side, 0)))
        return found

    def of_the_row(self) -> Tensor:
        """The weights of a position's own row."""
        weight = self.horizontal.weight
        return weight if self.mask is None else weight * self.mask

    def to_the_left(self, h: Tensor) -> Tensor:
        """Of the positions that end in a position, or in the one before it."""
        padded = F.pad(h, (self.reach + self.shift, 0))
        return F.conv2d(padded[..., :-1] if self.shift else padded, self.of_the_row(), self.horizontal.bias)

    def gate(self, h: Tensor) -> Tensor:
        """Each colour's channels, halved: values, and gates that they go through."""
        a, b = h.unflatten(1, (self.colours, -1)).chunk(2, 2)
        found: Tensor = self.dropout((torch.tanh(a) * torch.sigmoid(b)).flatten(1, 2))
        return found

    def join(self, h: Tensor, inside: Tensor) -> Tensor:
        weight = self.out.weight if self.of_itself is None else self.out.weight * self.of_itself
        found = F.conv2d(self.gate(inside), weight, self.out.bias)
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
