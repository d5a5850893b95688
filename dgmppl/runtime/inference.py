"""A value that stands for a distribution: a draw, or its mean."""

from __future__ import annotations

from torch import Tensor

from dgmppl.runtime.along import Sequence
from dgmppl.runtime.densities import Autoregressive
from dgmppl.runtime.distributions import Distribution
from dgmppl.runtime.means import mean_of, most_probable


def reading(d: Distribution, mean: bool, n: int | None) -> Tensor:
    """One value of each of n rows, ``(n, *event_shape)``, with a gradient where the draw has one.

    Args:
        mean: the mean in place of a draw. Of a distribution over a few values, the most probable one; of what a
            bijection maps, the image of the mean of what it maps; along an index that of each member given
            the means of those before; of an autoregressive distribution, which has none in closed form, a draw.
        n: how many rows there are; a distribution that is the same for all of them is read as often. None: once, of
            what all rows have in common.
    """
    rows = () if n is None else (n,)
    if mean and isinstance(d, Sequence):
        return d.means(n)
    if mean and not isinstance(d, Autoregressive):
        return mean_of(d).expand((*rows, *d.event_shape))
    count = () if d.batch_shape else rows
    return d.rsample(count) if d.has_rsample else d.sample(count)


__all__ = ["most_probable", "reading"]
