"""Where the cells of a variable lie: steps in whole numbers, and bins laid by draws of it or by a law."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Bins, Fine, Steps, Values, WideBins
from dgmppl.coding.stack import CodingError
from dgmppl.runtime.bijections import Compose, Conditioned
from dgmppl.runtime.densities import Mixture, Pushforward
from dgmppl.runtime.elementwise import Affine, FixedAffine, Scale, Shift

_STEPS = 2**12
"""Of what is rounded, over all whole numbers that it may become: along one its density hardly changes."""

_STEPS_OF_ONE = 2**14
"""Of one whole number: over as many a flow is nearly linear along one."""

_PARTS = 2**7
"""Of a bin of what a flow maps."""

_AFFINE = (Affine, FixedAffine, Shift, Scale)

_WIDER = 1.5  # than the prior, so that posteriors in its tails have bins too


def steps_of(cells: Values) -> Fine:
    """Steps in each of some whole numbers."""
    each = min(max(_STEPS // 2 ** math.ceil(math.log2(cells.size)), 2**4), 2**8)
    return Fine(Steps(torch.tensor(float(cells.low)), cells.size, each), _STEPS_OF_ONE // each)


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


def of_law(law: td.Distribution) -> Fine:
    """Bins for the elements of a law that a flow maps, each batch its own.

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
    return Fine(WideBins(mean, variance.sqrt()), _PARTS)


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
    """Bins for a variable of which these are draws, ``(n, *shape)``, NaN where there is none."""
    return Bins(*_laid(draws, _WIDER))


def fine_bins_of(draws: Tensor) -> Fine:
    """The same for a variable that a flow maps."""
    return Fine(WideBins(*_laid(draws, 1.0)), _PARTS)


def _laid(draws: Tensor, wider: float) -> tuple[Tensor, Tensor]:
    """The mean of draws, and a deviation that is so much wider. Both are rounded: so they are the same on machines
    whose numbers differ in the last bits."""
    there = ~draws.isnan()
    count = there.sum(0).clamp_min(1)
    mean = torch.where(there, draws, 0.0).sum(0) / count
    deviation = (torch.where(there, draws - mean, 0.0).square().sum(0) / count).sqrt()
    scale = wider * torch.where(there.any(0), deviation, 1.0).clamp_min(1e-6)
    scale = torch.exp2(torch.round(2 * scale.log2()) / 2)
    loc = torch.round(mean / scale * 2) / 2 * scale
    return loc, scale


__all__ = ["bins_of", "fine_bins_of", "of_law", "plain", "steps_of"]
