"""Couplings: a part of the elements is transformed by what the others say."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmppl.permutations import Mask
from dgmppl.runtime.bijections import NOTHING, Bijection, Context, names_of, zero_last_layer
from dgmppl.runtime.functions import concat
from dgmppl.runtime.networks import Sequential
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.transforms import SCALE_BOUND, Transform


class Coupling(Bijection):
    """A coupling, ``y_a = x_a, y_b = T(x_b; net(x_a))``; affine, ``y_b = exp(s(x_a)) x_b + t(x_a)``, where no other
    transform T is given (Dinh et al., 2017, Eqs. 7 and 8).

    a is what the mask keeps, by default the first half of the features (rounded down) of a vector, or of the channels
    of a grid ``(height, width, channels)``. Without a scale it is the additive
    coupling of Dinh et al. (2015); with ``integer=True`` the shift is rounded, which makes it a bijection of
    the integers with log-determinant 0 (Hoogeboom et al., 2019; Tomczak, 2022, Sec. 3.1.3.1 and 3.2). On a range
    of K integers from low the shift goes round it, ``y_b = low + (x_b - low + round(t(x_a))) mod K`` (Tran et al.,
    2019, Sec. 4.1), which is a bijection of the range. Of two numbers a step up and a step down give the same, so there
    it is a flip m, 0 or 1, with ``y_b = low + z + m - 2 z m`` for z = x_b - low, and the gradient of that; m changes
    towards the nearest t that rounds to the other.

    A network that reads vectors gets the n elements of a in a row, with K numbers of the context behind them, and
    gives one number for each of the m elements of b. One that reads grids, known by its `rank`, gets the grid of the
    channels of a, and gives those of b; with a mask of positions, the whole grid, with 0 for b, and gives the whole.

    Args:
        shape: the shape of x, or its number of features D, at least 2.
        scale, shift: networks ``n + K -> m`` for s and t; None leaves that part out.
        both: one network with ``2 m`` outputs for s and t, in place of the two; for a transform with k numbers an
            element ``k m`` outputs, the first of all elements first (at each position, of its channels).
        context: names of vectors, of K numbers together, that the networks read after x_a.
        grids: those of them that are grids ``(height, width, channels)`` of the extent of x, which a network of grids
            reads as more channels; one of vectors reads them in a row.
        integer: round the shift, with a straight-through gradient.
        low, size: the integers are those from low to low + size - 1; size 0: all of them.
        transform: of b; None is affine.
        mask: "half", "alternate", "checkerboard", "random" or "part" (see `dgmppl.permutations.Mask`).
        seed: of a random mask.
        complement: keep b instead.
        part, parts: the number of the part that is transformed, and how many there are.
        rezero: multiply what the networks give by one learned number, at first 0 (Bachlechner et al., 2020).

    s is bounded softly, ``c tanh(s / c)`` with c = SCALE_BOUND, and the last layers start at zero, or the number
    that multiplies them, so a coupling starts as the identity.
    """

    order: Tensor
    back: Tensor

    def __init__(
        self,
        shape: int | tuple[int, ...],
        scale: nn.Module | None = None,
        shift: nn.Module | None = None,
        both: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        grids: str | tuple[str, ...] = (),
        integer: bool = False,
        low: int = 0,
        size: int = 0,
        transform: Transform | None = None,
        mask: str = "half",
        seed: int = 0,
        complement: bool = False,
        part: int = 0,
        parts: int = 2,
        rezero: bool = False,
    ) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.rank = len(self.shape)
        if math.prod(self.shape) < 2:
            raise ValueError(f"a coupling needs two features or more, not {math.prod(self.shape)}")
        if integer and (scale is not None or both is not None):
            raise ValueError("a coupling of integers has a shift only: a scale would leave the integers")
        if size and not integer:
            raise ValueError("only integers are shifted modulo the size of their range")
        if both is not None and (scale is not None or shift is not None):
            raise ValueError("a coupling has one network for both, or one each for scale and shift")
        if transform is not None and both is None:
            raise ValueError("a transform has one network for all of its numbers")
        self.transform = transform
        self.scale, self.shift, self.both = scale, shift, both
        self.grids = names_of(grids)
        self.reads = {name: 3 if name in self.grids else 1 for name in names_of(context)}
        self.integer, self.low, self.size = integer, low, size
        self._part(Mask(mask, seed, complement, part, parts))
        self.gate = nn.Parameter(torch.zeros(())) if rezero else None
        for net in () if rezero else (scale, shift, both):
            zero_last_layer(net)

    def _part(self, mask: Mask) -> None:
        """The order that puts what is kept before what is transformed, and the one that puts both back: of the channels
        (of a vector: its elements), or of the elements of the flattened x."""
        kept, moved = mask.split(self.shape)
        order = (*kept, *moved)
        self.by_channel, self.in_order = mask.by_channel, order == tuple(range(len(order)))
        self.parts = (len(kept), len(moved))
        self.moves = len(moved) * (math.prod(self.shape[:-1]) if mask.by_channel else 1)
        if not (self.in_order and self.by_channel):
            for name, value in (("order", torch.tensor(order)), ("back", torch.tensor(order).argsort())):
                self.register_buffer(name, value, persistent=False)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        a, b = self._split(x)
        if self.transform is not None:
            moved, log_slope = self.transform.forward(b, self._numbers(a, context))
            return self._joined(a, moved), self._total(log_slope, b)
        log_scale, shift = self._coefficients(a, context)
        moved = self._flipped(b, shift) if self.size == 2 else self._in_range(b * log_scale.exp() + shift)
        return self._joined(a, moved), self._total(log_scale, b)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        a, b = self._split(y)
        if self.transform is not None:
            moved, log_slope = self.transform.inverse(b, self._numbers(a, context))
            return self._joined(a, moved), self._total(log_slope, b)
        log_scale, shift = self._coefficients(a, context)
        log_scale = -log_scale
        moved = self._flipped(b, shift) if self.size == 2 else self._in_range((b - shift) * log_scale.exp())
        return self._joined(a, moved), self._total(log_scale, b)

    @staticmethod
    def _total(log_slope: Tensor, b: Tensor) -> Tensor:
        """The log-determinant of elements in a row."""
        total = log_slope.sum(-1)
        return total.expand(broadcast_shapes(total.shape, b.shape[:-1]))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, each as a vector."""
        flat = self.rank > 1 and not self.by_channel
        x = x.flatten(-self.rank) if flat else x
        a, b = (x if self.in_order else x[..., self.order]).split(self.parts, -1)
        return (a, b) if flat or self.rank == 1 else (a.flatten(-self.rank), b.flatten(-self.rank))

    def _joined(self, a: Tensor, b: Tensor) -> Tensor:
        if self.rank > 1 and self.by_channel:
            a, b = (part.unflatten(-1, (*self.shape[:-1], -1)) for part in (a, b))
        found = concat(a, b)
        found = found if self.in_order else found[..., self.back]
        return found.unflatten(-1, self.shape) if self.rank > 1 and not self.by_channel else found

    def _numbers(self, a: Tensor, context: Context) -> Tensor:
        """The numbers of the transform, ``(..., k, m)``."""
        assert self.both is not None and self.transform is not None
        return self._read_by(self.both, a, context, self.transform.parameters)

    def _coefficients(self, a: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        if self.both is not None:
            scale, shift = self._read_by(self.both, a, context, 2).unbind(-2)
        else:
            scale, shift = (self._of(net, a, context) for net in (self.scale, self.shift))
        if self.integer and self.size != 2:
            shift = shift + (shift.round() - shift).detach()
        return SCALE_BOUND * torch.tanh(scale / SCALE_BOUND), shift

    def _of(self, net: nn.Module | None, a: Tensor, context: Context) -> Tensor:
        return a.new_zeros(self.moves) if net is None else self._read_by(net, a, context, 1).squeeze(-2)

    def _read_by(self, net: nn.Module, a: Tensor, context: Context, each: int) -> Tensor:
        """What a network gives: so many numbers for each element of b, ``(..., each, m)``."""
        values = dict(zip(self.reads, self._read(context)))
        found: Tensor
        if not self._on_grids(net):
            flat = (v.flatten(-self.reads[name]) for name, v in values.items())
            found = self._gated(net(concat(a, *flat)))
            return found.unflatten(-1, (each, self.moves))
        grid = a.unflatten(-1, (*self.shape[:2], -1)) if self.by_channel else self._with_zeros(a)
        vectors = [v for name, v in values.items() if name not in self.grids]
        given = [concat(*vectors)] if vectors else []
        found = self._gated(net(concat(grid, *(values[name] for name in self.grids)), *given))
        numbers = found.unflatten(-1, (each, -1)).movedim(-2, -4).flatten(-3)
        return numbers if self.by_channel else numbers[..., self.order[-self.moves :]]

    def _on_grids(self, net: nn.Module) -> bool:
        """Whether a network reads the grid as one."""
        first = net[0] if isinstance(net, Sequential) else net
        return self.rank > 1 and getattr(first, "rank", 0) == 2

    def _gated(self, numbers: Tensor) -> Tensor:
        return numbers if self.gate is None else self.gate * numbers

    def _with_zeros(self, a: Tensor) -> Tensor:
        """The grid with a in its places and 0 in those of b."""
        flat = concat(a, a.new_zeros(self.moves).expand(*a.shape[:-1], -1))[..., self.back]
        return flat.unflatten(-1, (*self.shape, 1)[:3])

    def _flipped(self, b: Tensor, shift: Tensor) -> Tensor:
        """One of two numbers, or the other where the shift rounds to an odd number. It is its own inverse."""
        whole = shift.detach().round()
        odd = torch.remainder(whole, 2)
        towards = torch.where(shift.detach() < whole, -1.0, 1.0)  # the way to the nearest number that flips otherwise
        flip = odd + (1 - 2 * odd) * towards * (shift - shift.detach())
        z = b - self.low
        return self.low + z + flip - 2 * z * flip

    def _in_range(self, b: Tensor) -> Tensor:
        return self.low + torch.remainder(b - self.low, self.size) if self.size else b


__all__ = ["Coupling"]
