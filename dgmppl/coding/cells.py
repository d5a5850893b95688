"""What an element is one of: the values of a discrete one, or small intervals of a continuous one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.runtime.densities import Mixture

BINS = 1024
"""Of a continuous latent: finer ones would not shorten a code noticeably (Townsend et al., 2019)."""


class Cells:
    """The cells of each element of a variable."""

    size: int

    def log_weights(self, law: td.Distribution) -> Tensor:
        """Logarithms of the probability of each cell under laws of single elements, ``(*batch, K)``."""
        raise NotImplementedError

    def index(self, value: Tensor) -> Tensor:
        """The cell of each value."""
        raise NotImplementedError

    def value(self, index: Tensor) -> Tensor:
        """The value that stands for each cell."""
        raise NotImplementedError

    def part(self, axes: int, place: int) -> Cells:
        """Those of the elements at one place along the first axes."""
        return self

    def along(self, behind: int) -> Cells:
        """Those of elements with one more axis before the last so many, along which they are the same."""
        return self

    def at(self, place: int, axes: int) -> Cells:
        """Those of one of the elements along the last so many axes, in a row."""
        return self


@dataclass(frozen=True)
class Values(Cells):
    """The whole numbers from `low` on."""

    low: int
    size: int

    def log_weights(self, law: td.Distribution) -> Tensor:
        values = torch.arange(self.low, self.low + self.size, dtype=torch.get_default_dtype())
        return law.log_prob(values.reshape(-1, *[1] * len(law.batch_shape))).movedim(0, -1)

    def index(self, value: Tensor) -> Tensor:
        return value.round().long() - self.low

    def value(self, index: Tensor) -> Tensor:
        return (index + self.low).to(torch.get_default_dtype())


class Around(td.Normal):
    """A normal with a little of one that is wider: where a flow bends, a value lies further from where it leads."""

    SHARE, WIDER = 2.0**-9, 16.0


def _of_normal(law: td.Normal, log_masses: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Logarithms of masses, which a function has of normals of this mean and deviation, ``(..., 1)`` each."""
    loc, scale = law.loc.unsqueeze(-1), law.scale.unsqueeze(-1)
    found = log_masses(loc, scale)
    if not isinstance(law, Around):
        return found
    wider = log_masses(loc, Around.WIDER * scale)
    return torch.logaddexp(found + math.log1p(-Around.SHARE), wider + math.log(Around.SHARE))


class Intervals(Cells):
    """Intervals that follow each other. The first and the last have no end, and take what a law has there."""

    shape: torch.Size
    """Of the elements that have intervals of their own; others broadcast."""

    def ends(self) -> Tensor:
        """Where each interval but the last ends, increasing, ``(*shape, K - 1)``."""
        raise NotImplementedError

    def middles(self) -> Tensor:
        """The value that stands for each interval, ``(*shape, K)``."""
        raise NotImplementedError

    def position(self, value: Tensor) -> Tensor:
        """Where a value lies, from 0 to the number of intervals: between k and k + 1 where it is in number k."""
        raise NotImplementedError

    def value_at(self, position: Tensor) -> Tensor:
        """The value at a position."""
        raise NotImplementedError

    def log_weights(self, law: td.Distribution) -> Tensor:
        if isinstance(law, Mixture):
            parts = self.along(0).log_weights(law.components)
            return torch.logsumexp(law.logits.unsqueeze(-1) + parts, -2)
        ends = self.ends()
        if isinstance(law, td.Normal):
            return _of_normal(law, lambda loc, scale: _normal_masses((ends - loc) / scale).log())
        # The mass of an interval of any other is the density in its middle times its width; of the outermost, which
        # have no end, what the law has there.
        padded = (*[1] * (len(law.batch_shape) - len(self.shape)), *self.shape)
        density = law.log_prob(self.middles().movedim(-1, 0).reshape(self.size, *padded)).movedim(0, -1)
        found = torch.where(density.isnan(), -torch.inf, density) + self._widths(ends).log()
        try:
            outer = ends[..., [0, -1]].movedim(-1, 0).reshape(2, *padded)
            below, above = law.cdf(outer).nan_to_num(0.0).clamp(0.0, 1.0)  # NaN below where a law begins
        except NotImplementedError:
            return found
        return torch.cat([below.log().unsqueeze(-1), found[..., 1:-1], (1 - above).log().unsqueeze(-1)], -1)

    def borders(self) -> Tensor:
        """Where intervals begin and end, ``(*shape, K + 1)``."""
        raise NotImplementedError

    def log_weights_inside(self, law: td.Normal) -> Tensor:
        """Logarithms of the masses of intervals, from the beginning of the first to the end of the last."""
        borders = self.borders()
        return _of_normal(law, lambda loc, scale: log_masses((borders - loc) / scale))

    def width(self, value: Tensor) -> Tensor:
        """How wide the interval of each value is; an outermost one, which has no end, as its neighbour."""
        index = self.index(value).unsqueeze(-1)
        return self._widths(self.ends()).expand(*value.shape, self.size).gather(-1, index).squeeze(-1)

    def _widths(self, ends: Tensor) -> Tensor:
        width = ends.diff(dim=-1)
        return torch.cat([width[..., :1], width, width[..., -1:]], -1)


@dataclass(frozen=True)
class Bins(Intervals):
    """Bins of equal mass under a normal of this mean and deviation, which each element has of its own.

    They are the same whatever the element depends on, so that its prior and its posterior have one choice to make,
    in whichever order latents become known (Kingma et al., 2019, Bit-Swap, Sec. 3.1).
    """

    loc: Tensor
    scale: Tensor
    size: int = BINS

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        return self.loc.shape

    def ends(self) -> Tensor:
        return self._at(torch.arange(1, self.size) / self.size)

    def middles(self) -> Tensor:
        return self._at(self._middle_masses())

    def _middle_masses(self) -> Tensor:
        return (torch.arange(self.size) + 0.5) / self.size

    def _at(self, mass: Tensor) -> Tensor:
        """The values below which so much of the normal lies, ``(*shape, masses)``."""
        return self.loc.unsqueeze(-1) + self.scale.unsqueeze(-1) * self._quantile(mass)

    def _quantile(self, mass: Tensor) -> Tensor:
        return torch.special.ndtri(mass)

    def _below(self, standard: Tensor) -> Tensor:
        """The mass below a value, counted from the middle in deviations."""
        return torch.special.ndtr(standard)

    def position(self, value: Tensor) -> Tensor:
        return self._below((value - self.loc) / self.scale) * self.size

    def value_at(self, position: Tensor) -> Tensor:
        return self.loc + self.scale * self._quantile(position / self.size)

    def index(self, value: Tensor) -> Tensor:
        return self.position(value).long().clamp(0, self.size - 1)

    def value(self, index: Tensor) -> Tensor:
        return self.loc + self.scale * self._quantile(self._middle_masses())[index]

    def part(self, axes: int, place: int) -> Cells:
        loc, scale = (
            m.flatten(0, axes - 1).narrow(0, place, 1).reshape(*[1] * axes, *m.shape[axes:])
            for m in (self.loc, self.scale)
        )
        return replace(self, loc=loc, scale=scale)

    def along(self, behind: int) -> Cells:
        return replace(self, loc=self.loc.unsqueeze(-1 - behind), scale=self.scale.unsqueeze(-1 - behind))

    def at(self, place: int, axes: int) -> Cells:
        return replace(self, loc=self.loc.flatten(-axes)[..., place], scale=self.scale.flatten(-axes)[..., place])


@dataclass(frozen=True)
class WideBins(Bins):
    """Bins of equal mass under a Student distribution of two degrees of freedom: they reach further than those of a
    normal, and are finer in its tails. What a flow maps is told by its value, and may lie anywhere."""

    def _quantile(self, mass: Tensor) -> Tensor:
        return (2 * mass - 1) / (2 * mass * (1 - mass)).sqrt()

    def _below(self, standard: Tensor) -> Tensor:
        return 0.5 + standard / (2 * (2 + standard.square()).sqrt())

    def width(self, value: Tensor) -> Tensor:
        standard = (value - self.loc) / self.scale
        return self.scale * (2 + standard.square()) ** 1.5 / self.size


@dataclass(frozen=True)
class Steps(Intervals):
    """Steps of one width, so many in each of some whole numbers: what is rounded to these is one of them.

    Attributes:
        low: the first whole number; or of each element of each row, ``(n, *shape)``.
        count: how many whole numbers there are.
        each: how many steps are in one.
    """

    low: Tensor
    count: int
    each: int

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        return self.low.shape

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.count * self.each

    def ends(self) -> Tensor:
        return self.low.unsqueeze(-1) + torch.arange(1, self.size) / self.each

    def middles(self) -> Tensor:
        return self.low.unsqueeze(-1) + (torch.arange(self.size) + 0.5) / self.each

    def position(self, value: Tensor) -> Tensor:
        return (value - self.low) * self.each

    def value_at(self, position: Tensor) -> Tensor:
        return self.low + position / self.each

    def index(self, value: Tensor) -> Tensor:
        return self.position(value).floor().long().clamp(0, self.size - 1)

    def value(self, index: Tensor) -> Tensor:
        return self.low + (index + 0.5) / self.each

    def borders(self) -> Tensor:
        return self.low.unsqueeze(-1) + torch.arange(self.size + 1) / self.each

    def width(self, value: Tensor) -> Tensor:
        return torch.full_like(value, 1 / self.each)

    def _widths(self, ends: Tensor) -> Tensor:
        return torch.full((self.size,), 1 / self.each)

    @property
    def whole(self) -> Steps:
        """The whole numbers themselves."""
        return replace(self, each=1)

    def within(self, value: Tensor) -> Steps:
        """Those of one whole number for each element of each row, ``(n, *shape)``."""
        return replace(self, low=value, count=1)

    def part(self, axes: int, place: int) -> Cells:
        if not self.low.dim():
            return self
        low = self.low.flatten(1, axes).narrow(1, place, 1)
        return replace(self, low=low.reshape(len(low), *[1] * axes, *self.low.shape[axes + 1 :]))

    def at(self, place: int, axes: int) -> Cells:
        return replace(self, low=self.low.flatten(-axes)[..., place]) if self.low.dim() else self

    def along(self, behind: int) -> Cells:
        return replace(self, low=self.low.unsqueeze(-1 - behind)) if self.low.dim() else self


@dataclass(frozen=True)
class Fine(Intervals):
    """Intervals that are parted again: what a flow maps has to be told to a width over which that is nearly linear.
    Within a whole one all parts are taken to be as probable as each other, but under a normal, which may be narrower.
    """

    whole: Intervals
    parts: int

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        return self.whole.shape

    @property
    def size(self) -> int:  # type: ignore[override]
        """Entries of its tables."""
        return self.whole.size + self.parts

    @property
    def count(self) -> int:
        """How many parts there are in all."""
        return self.whole.size * self.parts

    def position(self, value: Tensor) -> Tensor:
        return self.whole.position(value) * self.parts

    def value_at(self, position: Tensor) -> Tensor:
        return self.whole.value_at(position / self.parts)

    def number(self, value: Tensor) -> Tensor:
        """Which of all parts a value lies in."""
        return self.position(value).floor().long().clamp(0, self.count - 1)

    def within(self, value: Tensor) -> Parts:
        """The parts of the intervals in which values lie."""
        return Parts(self, self.whole.index(value))

    def width(self, value: Tensor) -> Tensor:
        return self.whole.width(value) / self.parts

    def rounded_to(self, value: Tensor) -> Fine:
        """Of steps, those of one whole number for each element of each row."""
        assert isinstance(self.whole, Steps)
        return replace(self, whole=self.whole.within(value))


@dataclass(frozen=True)
class Parts(Intervals):
    """The parts of one interval of each element, of which `number` is which it is."""

    of: Fine
    number: Tensor

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        return self.number.shape

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.of.parts

    def borders(self) -> Tensor:
        return torch.stack([self.of.whole.value_at(self.number + k / self.size) for k in range(self.size + 1)], -1)

    def index(self, value: Tensor) -> Tensor:
        inside = (self.of.whole.position(value) - self.number) * self.size
        return inside.floor().long().clamp(0, self.size - 1)

    def value(self, index: Tensor) -> Tensor:
        return self.of.whole.value_at(self.number + (index + 0.5) / self.size)


def log_masses(z: Tensor) -> Tensor:
    """Logarithms of the mass of a standard normal between increasing numbers ``(..., K + 1)``, ``(..., K)``."""
    low, high = z[..., :-1], z[..., 1:]
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)  # on the side without cancellation
    below = torch.special.log_ndtr(low)
    inside = torch.special.log_ndtr(torch.minimum(high, -low))
    one_side = inside + torch.log1p(-torch.exp(below - inside))
    across = torch.log1p(-torch.special.ndtr(low) - torch.special.ndtr(-high))
    return torch.where(high > 0, across, one_side).nan_to_num(-torch.inf, torch.inf, -torch.inf)


def _normal_masses(z: Tensor) -> Tensor:
    """The mass of a standard normal below, between and above increasing numbers ``(..., K - 1)``, ``(..., K)``."""
    tail = torch.special.ndtr(-z.abs())  # of the nearer side, where no digits are lost
    below = z < 0
    first = torch.where(below[..., :1], tail[..., :1], 1 - tail[..., :1])
    last = torch.where(below[..., -1:], 1 - tail[..., -1:], tail[..., -1:])
    across = below[..., :-1] != below[..., 1:]
    inner = torch.where(across, 1 - tail[..., :-1] - tail[..., 1:], tail.diff(dim=-1).abs())
    return torch.cat([first, inner, last], -1)


__all__ = [
    "BINS",
    "Around",
    "Bins",
    "Cells",
    "Fine",
    "Intervals",
    "Steps",
    "Values",
    "WideBins",
    "log_masses",
]
