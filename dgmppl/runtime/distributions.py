"""torch.distributions as emitted code uses them: no argument checks, ``.to_event(k)``, all values floats.

``kl_divergence`` finds a rule by a class or its parents, so torch's rules serve the subclasses. The
distributions of counts and of positive numbers are in ``counts`` and ``positives``, those which torch lacks are in
``densities``. Outside its support a density is 0, ``log_prob`` -inf. A few do here in one operation what torch does in
several: small models spend their steps in such overheads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints, kl_divergence, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn import functional as F

from dgmppl.runtime.shapes import broadcast_shapes

Distribution = td.Distribution
Size = torch.Size | Sequence[int]


class Unchecked(td.Distribution):
    """Switches the argument checks off, which cost time and raise on a NaN before a fit can report it."""

    _validate_args = False

    def expand(self, batch_shape: Size, _instance: Any = None) -> Any:
        # torch makes the new object itself only for a class that keeps its parent's constructor.
        new = self.__new__(type(self)) if _instance is None else _instance
        return super().expand(torch.Size(batch_shape), new)

    def to_event(self, k: int | None = None) -> Any:
        """Make the last k batch dimensions (all of them for None) part of the event."""
        return to_event(self, k)


class Independent(Unchecked, td.Independent):
    """The last batch dimensions of a distribution, taken as one event."""

    def __init__(self, base_distribution: td.Distribution, reinterpreted_batch_ndims: int) -> None:
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        start = len(batch) - reinterpreted_batch_ndims
        if start < 0:
            raise ValueError(f"{reinterpreted_batch_ndims} batch dimensions are to be an event, of {len(batch)}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        td.Distribution.__init__(self, batch[:start], batch[start:] + event)

    def log_prob(self, value: Tensor) -> Tensor:
        return _sum_last(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)


def _sum_last(values: Tensor, k: int) -> Tensor:
    return values.sum(tuple(range(-k, 0))) if k else values


@register_kl(Independent, Independent)
def _kl_independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return _sum_last(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


def to_event(distribution: td.Distribution, k: int | None = None) -> td.Distribution:
    """Make the last k batch dimensions (all of them for None) part of the event; nested ones are merged."""
    k = len(distribution.batch_shape) if k is None else k
    if k == 0:
        return distribution
    if isinstance(distribution, td.Independent):
        return Independent(distribution.base_dist, k + distribution.reinterpreted_batch_ndims)
    return Independent(distribution, k)


def _together(first: Tensor | float, second: Tensor | float) -> tuple[Tensor, Tensor]:
    """Broadcasts two parameters, without views of those that agree already: a view costs a step both ways."""
    if isinstance(first, Tensor):
        if isinstance(second, Tensor) and first.shape == second.shape:
            return first, second
        if isinstance(second, (int, float)):
            return first, torch.full_like(first, second)
    a, b = broadcast_all(first, second)
    return a, b


class Normal(Unchecked, td.Normal):
    def __init__(self, loc: Tensor | float, scale: Tensor | float) -> None:
        self.loc, self.scale = _together(loc, scale)
        td.Distribution.__init__(self, self.loc.shape)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        # Not `randn_like`: noise in the order of memory would differ for a grid whose channels are first there.
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)


class Laplace(Unchecked, td.Laplace):
    pass


class Cauchy(Unchecked, td.Cauchy):
    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return -2 * torch.hypot(z, torch.ones_like(z)).log() - self.scale.log() - math.log(math.pi)


class Uniform(Unchecked, td.Uniform):
    pass


class Bernoulli(Unchecked, td.Bernoulli):
    def __init__(self, probs: Tensor | float | None = None, logits: Tensor | float | None = None) -> None:
        if probs is None and isinstance(logits, Tensor):
            self.logits = self._param = logits
            td.Distribution.__init__(self, logits.shape)
        else:
            super().__init__(probs, logits)

    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = _together(self.logits, value)
        missed = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        # 0 for 0 and 1, whose squares they are, and -inf elsewhere, in few and quick operations.
        off = torch.threshold_(value.square().sub_(value).abs_().neg_(), -torch.finfo(value.dtype).tiny, -torch.inf)
        return (-missed).add_(off)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        probs = self.probs if "probs" in self.__dict__ else torch.sigmoid(self.logits)
        if sample_shape:
            probs = probs.expand(self._extended_shape(torch.Size(sample_shape)))
        # torch.bernoulli draws one number at a time, several times slower. A comparison keeps no gradient.
        return (torch.rand(probs.shape, dtype=probs.dtype, device=probs.device) < probs).to(probs.dtype)


class Categorical(Unchecked, td.Categorical):
    """Values 0..K-1 as floats, like all data here."""

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None) -> None:
        if probs is None and logits is not None:
            self.logits = self._param = F.log_softmax(logits, -1)
            self._num_events = logits.shape[-1]
            td.Distribution.__init__(self, logits.shape[:-1])
        else:
            super().__init__(probs, logits)

    def log_prob(self, value: Tensor) -> Tensor:
        return log_prob_of_index(self.logits, value)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self._param.dtype)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return super().enumerate_support(expand).to(self._param.dtype)


def log_prob_of_index(logits: Tensor, value: Tensor) -> Tensor:
    """The log-probabilities ``(..., K)`` at indices ``(...)``, floats; -inf for what is none of 0, ..., K-1.

    An index has a gradient only if a bijection of integers made it, which goes round the range: that gradient is half
    the difference between the neighbours on either side, the first following the last; of two, the second less the
    first.
    """
    index = value.long().clamp(0, logits.shape[-1] - 1)
    if value.shape != logits.shape[:-1]:
        batch = broadcast_shapes(value.shape, logits.shape[:-1])
        logits, value, index = logits.expand(*batch, -1), value.expand(batch), index.expand(batch)
    found = logits.gather(-1, index.unsqueeze(-1)).squeeze(-1)
    if value.requires_grad:
        given = logits.detach()
        around = (given.roll(-1, -1) - given.roll(1, -1)) / 2
        slope = around if logits.shape[-1] != 2 else given.diff(dim=-1).expand_as(given)
        found = found + slope.gather(-1, index.unsqueeze(-1)).squeeze(-1) * (value - value.detach())
    return found.masked_fill(index != value, -torch.inf)


@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    """torch's own is infinite where a probability is too small for floating point and its logit is not."""
    on, off = torch.sigmoid(p.logits), torch.sigmoid(-p.logits)
    odds = F.softplus(-q.logits) - F.softplus(-p.logits), F.softplus(q.logits) - F.softplus(p.logits)
    return _expected(on, odds[0]) + _expected(off, odds[1])


@register_kl(Categorical, Categorical)
def _kl_categorical(p: Categorical, q: Categorical) -> Tensor:
    return _expected(p.logits.exp(), p.logits - q.logits).sum(-1)


def _expected(probability: Tensor, value: Tensor) -> Tensor:
    """``probability * value``, 0 where the probability is."""
    return probability * value.masked_fill(probability == 0, 0.0)


class Delta(Unchecked):
    """All of the probability at one value, which a draw gives with its gradient."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True
    support = constraints.real

    def __init__(self, v: Tensor) -> None:
        self.v = v
        super().__init__(v.shape)

    @property
    def mean(self) -> Tensor:
        return self.v

    def expand(self, batch_shape: Size, _instance: Any = None) -> Any:
        return Delta(self.v.expand(torch.Size(batch_shape)))

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        return self.v.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.zeros_like(self.v).masked_fill(value != self.v, -torch.inf)


class OneHotCategorical(Unchecked, td.OneHotCategorical):
    def log_prob(self, value: Tensor) -> Tensor:
        one_hot = ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)
        return super().log_prob(value).masked_fill(~one_hot, -torch.inf)


class MultivariateNormal(Unchecked, td.MultivariateNormal):
    pass


__all__ = [
    "Bernoulli",
    "Categorical",
    "Cauchy",
    "Delta",
    "Distribution",
    "Independent",
    "Laplace",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "kl_divergence",
    "to_event",
]
