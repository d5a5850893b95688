"""A value that stands for a distribution, a draw or its mean, and the density of a draw."""

from __future__ import annotations

from torch import Tensor

from dgmppl.runtime.along import Sequence
from dgmppl.runtime.densities import Autoregressive
from dgmppl.runtime.distributions import Distribution
from dgmppl.runtime.means import mean_of, most_probable
from dgmppl.runtime.preimages import carry


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


def log_prob_of_draw(q: Distribution, draw: Tensor) -> Tensor:
    """``log q`` of a draw of q, whose gradient is that through the draw alone.

    The rest, the gradient in q's parameters where the draw is held fixed, has mean 0. Without it the gradient of a
    bound has no noise where q is the posterior (Roeder, Wu and Duvenaud, 2017, Sticking the landing, section 3). What
    rows have in common is drawn once for a batch, so that noise is not averaged over rows there.
    """
    log = q.log_prob(draw)
    if not log.requires_grad:
        return log
    fixed = q.log_prob(carry(draw, Tensor.detach))
    return log - (fixed - fixed.detach())


def squared_error(p: Distribution, value: Tensor) -> Tensor:
    """The square of how far numbers ``(n,)`` are from the mean of p, or from what stands for it."""
    return (mean_of(p) - value).square()


__all__ = ["log_prob_of_draw", "most_probable", "reading", "squared_error"]
