"""torch.distributions as emitted code uses them: no argument checks, ``.to_event(k)``, all values floats.

``kl_divergence`` finds a rule by a class or its parents, so torch's rules serve the subclasses. The
distributions which torch lacks are in ``densities``. A few do here in one operation what torch does in several: small
models spend their steps in such overheads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import kl_divergence, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn import functional as F

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
        if not sample_shape:
            return self.loc + self.scale * torch.randn_like(self.loc)
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)


class Laplace(Unchecked, td.Laplace):
    pass


class Cauchy(Unchecked, td.Cauchy):
    pass


class StudentT(Unchecked, td.StudentT):
    pass


class LogNormal(Unchecked, td.LogNormal):
    def __init__(self, loc: Tensor | float, scale: Tensor | float) -> None:
        super().__init__(loc, scale, validate_args=False)


class Gamma(Unchecked, td.Gamma):
    pass


class Exponential(Unchecked, td.Exponential):
    pass


class Beta(Unchecked, td.Beta):
    def __init__(self, concentration1: Tensor | float, concentration0: Tensor | float) -> None:
        super().__init__(concentration1, concentration0, validate_args=False)


class Dirichlet(Unchecked, td.Dirichlet):
    pass


class Uniform(Unchecked, td.Uniform):
    pass


class Poisson(Unchecked, td.Poisson):
    pass


class NegativeBinomial(Unchecked, td.NegativeBinomial):
    pass


class Geometric(Unchecked, td.Geometric):
    pass


class Bernoulli(Unchecked, td.Bernoulli):
    def __init__(self, probs: Tensor | float | None = None, logits: Tensor | float | None = None) -> None:
        if probs is None and isinstance(logits, Tensor):
            self.logits = self._param = logits
            td.Distribution.__init__(self, logits.shape)
        else:
            super().__init__(probs, logits)

    def sample(self, sample_shape: Size = ()) -> Tensor:
        probs = self.probs if "probs" in self.__dict__ else torch.sigmoid(self.logits)
        if sample_shape:
            probs = probs.expand(self._extended_shape(torch.Size(sample_shape)))
        # torch.bernoulli draws one number at a time, several times slower. A comparison keeps no gradient.
        return (torch.rand_like(probs) < probs).to(probs.dtype)


def through_value(log_probs: Tensor, value: Tensor) -> Tensor:
    """Zero, with the gradient in a whole `value` of 0..K-1 that its log-probability has by central differences.

    An index has no gradient, and what maps whole numbers to whole numbers learns by a straight-through one
    (Hoogeboom et al., 2019, Sec. 3). The range is a circle, as it is to a shift modulo its size.
    """
    slope = (log_probs.roll(-1, -1) - log_probs.roll(1, -1)).detach() / 2
    index = value.detach().long().unsqueeze(-1)
    batch = torch.broadcast_shapes(index.shape[:-1], slope.shape[:-1])
    found = slope.expand(*batch, slope.shape[-1]).gather(-1, index.expand(*batch, 1)).squeeze(-1)
    return found * (value - value.detach())


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
        if value.shape == self._batch_shape:
            log_prob = self.logits.gather(-1, value.long().unsqueeze(-1)).squeeze(-1)
        else:
            log_prob = super().log_prob(value)
        return log_prob + through_value(self.logits, value) if value.requires_grad else log_prob

    def sample(self, sample_shape: Size = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self._param.dtype)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return super().enumerate_support(expand).to(self._param.dtype)


class OneHotCategorical(Unchecked, td.OneHotCategorical):
    pass


class MultivariateNormal(Unchecked, td.MultivariateNormal):
    pass


__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "Cauchy",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "Gamma",
    "Geometric",
    "Independent",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "StudentT",
    "Uniform",
    "kl_divergence",
    "to_event",
]
