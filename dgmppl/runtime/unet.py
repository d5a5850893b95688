"""A U-Net: a grid read at several scales and written again at its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.extents import Layer, unet_blocks
from dgmppl.runtime.layers import (
    channel_dropout,
    context_maps,
    like,
    make_activation,
    make_layer,
    make_norm,
    rows_of,
    with_weight_norm,
)


class UNet(nn.Module):
    """Residual blocks at several scales ``(..., H, W, in_channels) -> (..., H, W, out_channels)`` (Ronneberger et al.,
    2015; with the blocks and the attention of Ho et al., 2020, App. B).

    Each level but the last is halved, rounding up, by a convolution of stride 2. On the way back a level is enlarged to
    the extent of the one above, and read beside what that one had found on the way down.

    Args:
        inputs, outputs: ``(H, W, channels)`` of one extent; without outputs it gives its last hidden layer, ``(H, W,
            hidden[0])``.
        hidden: channels of each level, from the finest to the coarsest.
        kernel: of all convolutions that read neighbours.
        blocks: residual blocks of a level on the way down, and as many on the way back.
        attention: in how many of the coarsest levels each block is followed by attention of all positions to all.
        heads: of attention, which divide the channels of these levels.
        activation, out, norm, dropout: as for MLP; a norm of layers stands before each activation.
        context: size K of a vector that conditions the network: a perceptron embeds it, and a linear map of that is
            added in each block; 0 for none.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        kernel: int = 3,
        blocks: int = 1,
        attention: int = 0,
        heads: int = 4,
        activation: str = "silu",
        out: str | None = None,
        norm: str | None = "group",
        dropout: float = 0.0,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.rank = 2
        down, up = unet_blocks(hidden, blocks, attention)
        embedded = 4 * hidden[0] if context else 0

        def conv(a: int, b: int, stride: int = 1) -> nn.Module:
            return make_layer(Layer("conv", (0, 0, b), a, b, stride), kernel, norm=norm)

        def level(found: list[tuple[int, int, bool]]) -> nn.ModuleList:
            return nn.ModuleList(
                _Block(a, b, kernel, activation, norm, dropout, embedded, heads if attends else 0)
                for a, b, attends in found
            )

        self.first = conv(inputs[-1], hidden[0])
        self.down, self.up = nn.ModuleList(map(level, down)), nn.ModuleList(map(level, up))
        self.smaller = nn.ModuleList(conv(size, size, 2) for size in hidden[:-1])
        self.larger = nn.ModuleList(conv(b, a) for a, b in reversed(list(zip(hidden, hidden[1:]))))
        self.embed = nn.ModuleList(
            nn.Sequential(
                nn.Linear(context, embedded),
                make_activation(activation),
                nn.Linear(embedded, embedded),
                make_activation(activation),
            )
            for _ in range(bool(context))
        )
        self.norm, self.activation = make_norm(norm, hidden[0]), make_activation(activation)
        self.last = conv(hidden[0], outputs[-1]) if outputs is not None else nn.Identity()
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch, h, given = rows_of(x, self.rank, context, self.embed)
        h = self.first(h.movedim(-1, 1))
        levels: list[Tensor] = []
        for k, blocks in enumerate(self.down):
            h = self.smaller[k - 1](h) if k else h
            h = _through(blocks, h, given)
            levels.append(h)
        for blocks, larger, beside in zip(self.up, self.larger, levels[-2::-1]):
            h = torch.cat([larger(F.interpolate(h, list(beside.shape[2:]))), beside], 1)
            h = _through(blocks, h, given)
        h = self.out(self.last(self.activation(self.norm(h))).movedim(1, -1))
        return h.reshape(*batch, *h.shape[1:])


def _through(blocks: nn.Module, h: Tensor, given: list[Tensor]) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        h = block(h, given)
    return h


class _Block(nn.Module):
    """A residual block (N, C, H, W), normalised before each of its two convolutions, perhaps followed by attention."""

    def __init__(
        self, a: int, b: int, kernel: int, activation: str, norm: str | None, dropout: float, context: int, heads: int
    ) -> None:
        super().__init__()
        self.before, self.between = make_norm(norm, a), make_norm(norm, b)
        self.first = make_layer(Layer("conv", (0, 0, b), a, b), kernel, norm=norm)
        self.second = make_layer(Layer("conv", (0, 0, b), b, b), kernel, norm=norm)
        beside = Layer("conv", (0, 0, b), a, b)
        self.beside = make_layer(beside, 1, bias=False, norm=norm) if a != b else nn.Identity()
        self.context = context_maps(context, (b,))
        self.activation, self.dropout = make_activation(activation), channel_dropout(dropout, grid=True)
        self.attention = _GridAttention(b, heads, norm) if heads else nn.Identity()

    def forward(self, h: Tensor, given: list[Tensor]) -> Tensor:
        inside = self.first(self.activation(self.before(h)))
        for of, embedded in zip(self.context, given):
            inside = inside + like(of(embedded), inside)
        inside = self.second(self.dropout(self.activation(self.between(inside))))
        found: Tensor = self.attention(self.beside(h) + inside)
        return found


class _GridAttention(nn.Module):
    """Adds what each position of (N, C, H, W) finds by attention to all (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int, norm: str | None) -> None:
        super().__init__()
        self.heads, self.norm = heads, make_norm(norm, width)
        self.attend = with_weight_norm(nn.Linear(width, 3 * width), norm)
        self.join = with_weight_norm(nn.Linear(width, width), norm)

    def forward(self, h: Tensor) -> Tensor:
        positions = self.norm(h).flatten(2).mT
        query, key, value = self.attend(positions).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(-2)
        return h + self.join(found).mT.reshape(h.shape)


__all__ = ["UNet"]
