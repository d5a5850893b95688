"""Data whose elements may be missing one by one: NaN stands where they are.

What is missing is integrated out, or computed: no NaN enters a density or a network, nor the gradient of one. Something
of the support stands in its place there, and what comes of it is left out (`torch.where` on both sides: a gradient of 0
times NaN is NaN).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.runtime.along import Sequence
from dgmppl.runtime.cases import Cases, _each, enumerate_values, impute
from dgmppl.runtime.counts import Multinomial
from dgmppl.runtime.densities import Mixture
from dgmppl.runtime.distributions import Distribution
from dgmppl.runtime.inference import reading
from dgmppl.runtime.normals import LowRankNormal
from dgmppl.runtime.preimages import fill
from dgmppl.runtime.shapes import broadcast_shapes

IN_PART = (LowRankNormal, Multinomial)
"""Distributions of vectors that say of some elements how likely they are, and how the others are given these."""


def beside_mask(x: Tensor, some: float, embed: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """How a variable enters a network of which elements are missing: 0 for them (Nazabal et al., 2020), and beside each
    whether it is seen (Collier et al., 2020, VAEs in the presence of missing data), ``(n, *shape, channels + 1)``.

    Args:
        x: ``(n, *shape)``, NaN where it is missing.
        some: a number that every element may be.
        embed: how the variable enters a network where it is whole: as one number an element, or several along an axis
            of their own.
    """
    seen = ~x.isnan()
    found = x.masked_fill(~seen, some)
    found = found if embed is None else embed(found)
    channels = found if found.dim() > x.dim() else found.unsqueeze(-1)
    mask = seen.unsqueeze(-1)
    return torch.cat([torch.where(mask, channels, 0.0), mask.to(x.dtype)], -1)


def log_prob_of_seen(p: Distribution, value: Tensor, some: float) -> Tensor:
    """``log p`` of the elements that are seen, the others integrated out, ``(n,)`` nats.

    Args:
        p: elements that are independent of each other, a normal distribution of them all, counts that add up, or a
            mixture of such.
        value: ``(n, *event_shape)``, NaN where it is missing.
        some: a number of the support, which stands where a value is missing.
    """
    seen = ~value.isnan()
    return log_prob_where(p, value.masked_fill(~seen, some), seen)


def impute_elements(seen: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """A variable's own elements where they are seen and those of the draw where they are missing; and where that is,
    ``(n, *shape)``."""
    missing = seen.isnan()
    return fill(draw, seen, missing), missing


def log_prob_where(p: Any, value: Tensor, where: Tensor) -> Tensor:
    """``log p`` of some elements of a value without gaps, the others integrated out, ``(n,)`` nats; see
    `log_prob_of_seen`."""
    if not p.event_shape:
        return torch.where(where, p.log_prob(value), 0.0)
    if isinstance(p, td.Independent):
        each = log_prob_where(p.base_dist, value, where)
        return each.sum(tuple(range(-p.reinterpreted_batch_ndims, 0)))
    if isinstance(p, Mixture):
        axis = value.dim() - len(p.event_shape)
        each = log_prob_where(p.components, value.unsqueeze(axis), where.unsqueeze(axis))
        return torch.logsumexp(p.logits + each, -1)
    if isinstance(p, IN_PART):
        return p.marginal_log_prob(value, where)
    if isinstance(p, Sequence) and p.lag == 0:
        return _along(p, value, where).sum(-1)
    raise TypeError(f"elements of {type(p).__name__} depend on each other: some alone have no closed density")


def _along(p: Sequence, value: Tensor, where: Tensor) -> Tensor:
    """``log p`` of some elements of each member of a sequence whose members are independent, ``(..., T)``; 0 of those
    that do not exist."""
    axis, size = value.dim() - len(p.event_shape), p.event_shape[0]
    parts = []
    for s in p.segments:
        law, alone = p.law(s, value, s.first, s.count)
        first, count = (s.first, s.count) if alone else (0, value.shape[axis])
        found = log_prob_where(law, value.narrow(axis, first, count), where.narrow(axis, first, count))
        found = found.expand(*found.shape[:-1], count).narrow(-1, s.first - first, s.count)
        if p.lengths is not None:  # of the last element of a row, wherever that is, there is a law of its own
            found = torch.where(s.holds(s.first, s.count, p.lengths), found, 0.0)
            found = torch.nn.functional.pad(found, (s.first, size - s.last - 1))
        parts.append(found)
    if p.lengths is not None:
        return sum(parts[1:], parts[0])
    shape = broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*shape, -1) for part in parts], -1)


class OfSeen:
    """A distribution of what is seen of a value: its density is theirs, what is missing (NaN) integrated out.

    Args:
        p: elements that are independent of each other, or a mixture of such, or a sequence of such.
        some: a number of the support, which stands where a value is missing.
    """

    def __init__(self, p: Any, some: float) -> None:
        self.p, self.some = p, some

    def log_prob(self, value: Tensor) -> Tensor:
        """``log p``, nats; see `log_prob_of_seen`."""
        return log_prob_of_seen(self.p, value, self.some)

    def log_probs(self, value: Tensor) -> Tensor:
        """``log p`` of each member of a sequence, ``(..., T)`` nats."""
        seen = ~value.isnan()
        return _along(self.p, value.masked_fill(~seen, self.some), seen)


def completed(p: Distribution, value: Tensor, some: float, mean: bool) -> Tensor:
    """A value with what is missing of it read off p given what is seen, ``(n, *event_shape)``; see
    `dgmppl.runtime.inference.reading`."""
    seen = ~value.isnan()
    filled = value.masked_fill(~seen, some)
    return torch.where(seen, filled, reading(_given_seen(p, filled, seen), mean, len(value)))


def completed_rows(p: Distribution, value: Tensor, mean: bool) -> Tensor:
    """A value that rows miss as a whole, read off p in those, ``(n, *event_shape)``; see `completed`."""
    return impute(value, reading(p, mean, len(value)))[0]


def _given_seen(p: Any, value: Tensor, seen: Tensor) -> Any:
    """The distribution of the missing elements given those that are seen: p itself where elements are independent. The
    weights of the components of a mixture are those of the posterior; a normal distribution of all elements, and that
    of counts that add up, is conditioned."""
    if isinstance(p, Mixture):
        axis = value.dim() - len(p.event_shape)
        each = log_prob_where(p.components, value.unsqueeze(axis), seen.unsqueeze(axis))
        return Mixture(p.logits + each, _given_seen(p.components, value.unsqueeze(axis), seen.unsqueeze(axis)))
    if isinstance(p, td.Independent) and isinstance(p.base_dist, IN_PART):
        return td.Independent(p.base_dist.given(value, seen), p.reinterpreted_batch_ndims, validate_args=False)
    if isinstance(p, IN_PART):
        return p.given(value, seen)
    return p


def every_agreeing_value(p: Distribution, low: float, size: int, seen: Tensor) -> tuple[Tensor, Cases]:
    """The cases of a variable of few values, elements of which are missing, and its value in each of them: weighed by p
    where that agrees with all that is seen, else by 0; see `dgmppl.runtime.cases.every_value`."""
    values = enumerate_values(low, size, tuple(p.event_shape), seen)
    log_p = p.log_prob(values.unsqueeze(1)).mT.expand(len(seen), -1)
    row = seen.unsqueeze(1)
    agrees = ((row == values) | row.isnan()).reshape(*log_p.shape, -1).all(-1)
    log_p = torch.where(agrees, log_p, -torch.inf)
    return _each(values, len(seen)), Cases(log_p.exp(), log_p)


def every_missing_element(q: Distribution, low: float, size: int, seen: Tensor) -> tuple[Tensor, Cases]:
    """The cases of a variable of few values, elements of which are missing, and its value in each of them: weighed by q
    of the elements that are missing where it agrees with those that are seen, else by 0."""
    values = enumerate_values(low, size, tuple(q.event_shape), seen)
    missing, n = seen.isnan(), len(seen)
    log_q = log_prob_where(q, values.unsqueeze(1), missing).mT
    agrees = ((seen.unsqueeze(1) == values) | missing.unsqueeze(1)).reshape(n, len(values), -1).all(-1)
    log_q = torch.where(agrees, log_q, 0.0)
    return _each(values, n), Cases(torch.where(agrees, log_q.exp(), 0.0), log_q)


__all__ = [
    "OfSeen",
    "beside_mask",
    "completed",
    "completed_rows",
    "every_agreeing_value",
    "every_missing_element",
    "impute_elements",
    "log_prob_of_seen",
    "log_prob_where",
]
