"""Bijections that change the shape of a grid: space to depth, and levels behind which some channels are done."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmppl.extents import channels_of
from dgmppl.runtime.bijections import NOTHING, Bijection, Context, add_reads, zeros_of
from dgmppl.runtime.functions import concat
from dgmppl.runtime.shapes import broadcast_shapes


class Squeeze(Bijection):
    """A grid ``(H, W, C)`` as ``(H / 2, W / 2, 4 C)``, or ``(H, W)`` as ``(H / 2, W / 2, 4)``: the channels of each
    square of four positions become those of one, row by row (Dinh et al., 2017, Sec. 3.6). The log-determinant is 0.

    Raises:
        ValueError: for axes that are not even.
    """

    reorders = True

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        if shape[0] % 2 or shape[1] % 2:
            raise ValueError(f"squeeze halves both axes of a grid, and they are even, not {shape[:2]}")
        self.shape, self.rank = tuple(shape), len(shape)
        self.squeezed = (shape[0] // 2, shape[1] // 2, 4 * channels_of(shape))

    @property
    def image_rank(self) -> int:
        return 3

    def image_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size(self.squeezed)

    def source_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size(self.shape)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        batch, (rows, columns, channels) = x.shape[: x.dim() - self.rank], self.squeezed
        squares = x.reshape(*batch, rows, 2, columns, 2, channels // 4)
        return squares.transpose(-3, -4).reshape(*batch, *self.squeezed), self._zero(x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        batch, (rows, columns, channels) = y.shape[: y.dim() - 3], self.squeezed
        squares = y.reshape(*batch, rows, columns, 2, 2, channels // 4)
        return squares.transpose(-3, -4).reshape(*batch, *self.shape), zeros_of(y, 3)


class MultiScale(Bijection):
    """Levels of a grid: behind each but the last, the first half of the channels (rounded down) are done, and the next
    level maps the others (Dinh et al., 2017, Sec. 3.6). What is done becomes one vector, that of the first level first.

    Args:
        shape: of the grid.
        levels: a bijection for each, of the shapes that follow.
    """

    def __init__(self, shape: tuple[int, ...], *levels: Bijection) -> None:
        super().__init__()
        self.shape, self.rank = tuple(shape), len(shape)
        self.levels = nn.ModuleList(levels)
        for level in levels:
            add_reads(self.reads, level.reads)
        self.done: list[tuple[int, ...]] = []  # the shape of what is done behind each level
        inside = torch.Size(shape)
        for level in levels[:-1]:
            *extent, channels = level.image_shape(inside)
            self.done.append((*extent, channels // 2))
            inside = torch.Size((*extent, channels - channels // 2))
        self.done.append(tuple(levels[-1].image_shape(inside)))

    @property
    def image_rank(self) -> int:
        return 1

    def image_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size([math.prod(self.shape)])

    def source_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size(self.shape)

    @property
    def batch_shape(self) -> torch.Size:
        return broadcast_shapes((), *(level.batch_shape for level in self._in_order()))

    def _in_order(self) -> list[Bijection]:
        return [level for level in self.levels if isinstance(level, Bijection)]

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        total, parts = self._zero(x), []
        for level, done in zip(self._in_order(), self.done):
            x, log_det = level.forward_and_log_det(x, context)
            total = total + log_det
            part, x = x.split((done[-1], x.shape[-1] - done[-1]), -1)
            parts.append(part.flatten(-len(done)))
        return concat(*parts), total

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        total = zeros_of(y, 1)
        parts = y.split([math.prod(done) for done in self.done], -1)
        x: Tensor | None = None
        for level, done, part in reversed(list(zip(self._in_order(), self.done, parts))):
            part = part.unflatten(-1, done)
            x, log_det = level.inverse_and_log_det(part if x is None else concat(part, x), context)
            total = total + log_det
        assert x is not None
        return x, total


__all__ = ["MultiScale", "Squeeze"]
