"""What an element is one of: the values of a discrete one, or small bins of a continuous one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.stack import CodingError
from dgmppl.runtime.bijections import Compose, Conditioned
from dgmppl.runtime.densities import Mixture, Pushforward
from dgmppl.runtime.elementwise import Affine, FixedAffine, Scale, Shift

BINS = 1024
"""Of a continuous latent: finer ones would not shorten a code noticeably (Townsend et al., 2019)."""

_AFFINE = (Affine, FixedAffine, Shift, Scale)

_WIDER = 1.5  # than the prior, so that posteriors in its tails have bins too


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


@dataclass(frozen=True)
class Bins(Cells):
    """Bins of equal mass under a normal of this mean and deviation, which each element has of its own.

    They are the same whatever the element depends on, so that its prior and its posterior have one choice to make,
    in whichever order latents become known (Kingma et al., 2019, Bit-Swap, Sec. 3.1).
    """

    loc: Tensor
    scale: Tensor
    size: int = BINS

    def log_weights(self, law: td.Distribution) -> Tensor:
        if isinstance(law, Mixture):
            parts = self.along(0).log_weights(law.components)
            return torch.logsumexp(law.logits.unsqueeze(-1) + parts, -2)
        ends = self._at(torch.arange(1, self.size) / self.size)
        if isinstance(law, td.Normal):
            return _normal_masses((ends - law.loc.unsqueeze(-1)) / law.scale.unsqueeze(-1)).log()
        # The mass of a bin of any other is the density in its middle times its width; of the outermost, which have no
        # end, what the law has there.
        middle = self._at(self._middles())
        width = self._widths(ends)
        density = law.log_prob(middle.movedim(-1, 0).reshape(self.size, *self._padded(law))).movedim(0, -1)
        found = torch.where(density.isnan(), -torch.inf, density) + width.log()
        try:
            outer = ends[..., [0, -1]].movedim(-1, 0).reshape(2, *self._padded(law))
            below, above = law.cdf(outer).nan_to_num(0.0).clamp(0.0, 1.0)  # NaN below where a law begins
        except NotImplementedError:
            return found
        return torch.cat([below.log().unsqueeze(-1), found[..., 1:-1], (1 - above).log().unsqueeze(-1)], -1)

    def width(self, value: Tensor) -> Tensor:
        """How wide the bin of each value is; an outermost one, which has no end, as its neighbour."""
        widths = self._widths(self._at(torch.arange(1, self.size) / self.size))
        index = self.index(value).unsqueeze(-1)
        return widths.expand(*value.shape, self.size).gather(-1, index).squeeze(-1)

    @staticmethod
    def _widths(ends: Tensor) -> Tensor:
        width = ends.diff(dim=-1)
        return torch.cat([width[..., :1], width, width[..., -1:]], -1)

    def _padded(self, law: td.Distribution) -> tuple[int, ...]:
        return (*[1] * (len(law.batch_shape) - self.loc.dim()), *self.loc.shape)

    def _middles(self) -> Tensor:
        return (torch.arange(self.size) + 0.5) / self.size

    def _at(self, mass: Tensor) -> Tensor:
        """The values below which so much of the normal lies, ``(*shape, masses)``."""
        return self.loc.unsqueeze(-1) + self.scale.unsqueeze(-1) * torch.special.ndtri(mass)

    def index(self, value: Tensor) -> Tensor:
        mass = torch.special.ndtr((value - self.loc) / self.scale)
        return (mass * self.size).long().clamp(0, self.size - 1)

    def value(self, index: Tensor) -> Tensor:
        return self.loc + self.scale * torch.special.ndtri(self._middles())[index]

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


def _normal_masses(z: Tensor) -> Tensor:
    """The mass of a standard normal below, between and above increasing numbers ``(..., K - 1)``, ``(..., K)``."""
    tail = torch.special.ndtr(-z.abs())  # of the nearer side, where no digits are lost
    below = z < 0
    first = torch.where(below[..., :1], tail[..., :1], 1 - tail[..., :1])
    last = torch.where(below[..., -1:], 1 - tail[..., -1:], tail[..., -1:])
    across = below[..., :-1] != below[..., 1:]
    inner = torch.where(across, 1 - tail[..., :-1] - tail[..., 1:], tail.diff(dim=-1).abs())
    return torch.cat([first, inner, last], -1)


def plain(law: td.Distribution) -> td.Distribution:
    """A normal that is moved and scaled as the normal that it is; any other law as it is."""
    if not isinstance(law, Pushforward):
        return law
    base, found = plain(law.base), law.bijection
    found = found.bijection if isinstance(found, Conditioned) else found
    parts = found.in_order() if isinstance(found, Compose) else [found]
    inner = base.base_dist if isinstance(base, td.Independent) else base
    if not isinstance(inner, td.Normal) or not all(isinstance(part, _AFFINE) for part in parts):
        return law
    loc, shape = law.bijection(inner.loc), inner.loc.shape
    scale = (law.bijection(inner.loc + inner.scale) - loc).abs()
    normal = td.Normal(loc.expand(shape), scale.expand(shape), validate_args=False)
    rank = base.reinterpreted_batch_ndims if isinstance(base, td.Independent) else 0
    return td.Independent(normal, rank) if rank else normal


def of_law(law: td.Distribution) -> Bins:
    """Bins for the elements of a law, each batch its own.

    Raises:
        CodingError: where it does not say where they lie.
    """
    try:
        mean, variance = _moments(law)
    except NotImplementedError:
        law = law.base_dist if isinstance(law, td.Independent) else law
        raise CodingError(
            f"{type(law).__name__} under a flow has no mean and deviation, by which its values are cut into bins",
            "give the flow a base that has them, as Normal or Logistic",
        ) from None
    return Bins(mean, _WIDER * variance.sqrt())


def _moments(law: td.Distribution) -> tuple[Tensor, Tensor]:
    law = plain(law)
    if not isinstance(law, Mixture):
        shape = law.batch_shape + law.event_shape
        return law.mean.expand(shape), law.variance.expand(shape)
    mean, variance = _moments(law.components)
    axis = -1 - len(law.event_shape)
    weight = law.logits.exp().reshape(*law.logits.shape, *[1] * len(law.event_shape))
    whole = (weight * mean).sum(axis)
    return whole, (weight * (variance + mean.square())).sum(axis) - whole.square()


def bins_of(draws: Tensor) -> Bins:
    """Bins for a variable of which these are draws, ``(n, *shape)``, NaN where there is none.

    Their ends are rounded: so they are the same on machines whose numbers differ in the last bits.
    """
    there = ~draws.isnan()
    count = there.sum(0).clamp_min(1)
    mean = torch.where(there, draws, 0.0).sum(0) / count
    deviation = (torch.where(there, draws - mean, 0.0).square().sum(0) / count).sqrt()
    scale = _WIDER * torch.where(there.any(0), deviation, 1.0).clamp_min(1e-6)
    scale = torch.exp2(torch.round(2 * scale.log2()) / 2)
    loc = torch.round(mean / scale * 2) / 2 * scale
    return Bins(loc, scale)


__all__ = ["Bins", "Cells", "Values", "bins_of", "of_law", "plain"]
