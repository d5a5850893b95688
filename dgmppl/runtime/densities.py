"""The distributions that the language needs and torch does not have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all
from torch.nn import functional as F

from dgmppl.runtime.bijections import Bijection
from dgmppl.runtime.distributions import Categorical, MultivariateNormal, Size, Unchecked, log_prob_of_index
from dgmppl.runtime.incremental import Incremental, Order
from dgmppl.runtime.preimages import carry
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.special import by_difference, outside


class _Density(Unchecked):
    """Shared by the classes below: ``expand`` copies the object and lets it expand its own parameters."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def expand(self, batch_shape: Size, _instance: Any = None) -> Any:
        new = self.__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        new._expand_parameters()
        return new

    def _expand_parameters(self) -> None:
        raise NotImplementedError


class _LocationScale(_Density):
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Tensor | float, scale: Tensor | float) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape)

    def _expand_parameters(self) -> None:
        self.loc, self.scale = self.loc.expand(self._batch_shape), self.scale.expand(self._batch_shape)

    def _standard_logistic(self, sample_shape: Size) -> Tensor:
        """Draws of Logistic(0, 1), shaped like a sample: the logit of uniform noise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.logit(noise, eps=torch.finfo(noise.dtype).eps)


class Logistic(_LocationScale):
    """The logistic distribution, ``p(x) = sigmoid(z) sigmoid(-z) / scale`` with ``z = (x - loc) / scale``."""

    has_rsample = True
    support = constraints.real

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.scale * math.pi).square() / 3

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        return self.loc + self.scale * self._standard_logistic(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return F.logsigmoid(z) + F.logsigmoid(-z) - self.scale.log()


class DiscretizedLogistic(_LocationScale):
    r"""A logistic variable rounded to the nearest integer.

    ``P(x) = sigmoid((x + 1/2 - loc) / scale) - sigmoid((x - 1/2 - loc) / scale)`` for every integer x
    (Tomczak, 2022, Sec. 3.2; Hoogeboom et al., 2019). With b and a the two arguments this is computed as
    ``log sigmoid(b) + log sigmoid(-a) + log(1 - exp(-1 / scale))``, which loses no digits in the tails.

    On a range low..high what rounds to less or more counts as its end, so that the lowest value has the probability
    ``sigmoid(b)`` and the highest ``sigmoid(-a)`` (Salimans et al., 2017, Eq. 2); others have probability 0.
    """

    support = constraints.real  # torch has no constraint for all the integers

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, low: int | None = None, high: int | None = None
    ) -> None:
        self.low, self.high = low, high
        super().__init__(loc, scale)

    @property
    def mean(self) -> Tensor:
        if self.low is None or self.high is None:
            return self.loc
        between = torch.arange(self.low, self.high, dtype=self.loc.dtype, device=self.loc.device)
        return self.low + torch.sigmoid((self.loc.unsqueeze(-1) - between - 0.5) / self.scale.unsqueeze(-1)).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        draws = torch.round(self.loc + self.scale * self._standard_logistic(sample_shape))
        return draws if self.low is None else draws.clamp(self.low, self.high)

    def log_prob(self, value: Tensor) -> Tensor:
        return by_difference(self._log_prob, value, self.low, self.high)

    def _log_prob(self, value: Tensor) -> Tensor:
        upper = (value + 0.5 - self.loc) / self.scale
        lower = (value - 0.5 - self.loc) / self.scale
        below, above = F.logsigmoid(upper), F.logsigmoid(-lower)
        log_prob = below + above + torch.log(-torch.expm1(-1.0 / self.scale))
        if self.low is not None:
            log_prob = torch.where(value <= self.low, below, log_prob)
        if self.high is not None:
            log_prob = torch.where(value >= self.high, above, log_prob)
        return log_prob.masked_fill(outside(value, self.low, self.high, whole=True), -torch.inf)


class OrderedLogistic(Categorical):
    r"""Ordered classes 0..K-1 by cumulative logits, the proportional odds model (McCullagh, 1980).

    ``P(x <= k) = sigmoid(cutpoints_k - predictor)``: one logistic variable around the predictor, cut into K pieces.
    With b and a the ends of a piece less the predictor, its logarithm is computed as
    ``log sigmoid(b) + log sigmoid(-a) + log(1 - exp(a - b))``, which loses no digits in the tails.

    Args:
        predictor: ``(...)``.
        cutpoints: increasing, ``(..., K-1)``.
    """

    def __init__(self, predictor: Tensor | float, cutpoints: Tensor) -> None:
        between = cutpoints - (predictor.unsqueeze(-1) if isinstance(predictor, Tensor) else predictor)
        upper, lower = F.pad(between, (0, 1), value=torch.inf), F.pad(between, (1, 0), value=-torch.inf)
        super().__init__(logits=F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper)))


class IntegerCategorical(_Density):
    """A categorical over the K integers low..low+K-1, from logits ``(..., K)``."""

    has_enumerate_support = True

    def __init__(self, low: int, logits: Tensor) -> None:
        self.low = low
        self.logits = F.log_softmax(logits, -1)
        super().__init__(logits.shape[:-1])

    def _expand_parameters(self) -> None:
        self.logits = self.logits.expand(*self._batch_shape, self.logits.shape[-1])

    @property
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(self.low, self.low + self.logits.shape[-1] - 1)

    @property
    def mean(self) -> Tensor:
        values = self.low + torch.arange(self.logits.shape[-1], device=self.logits.device)
        return (self.logits.exp() * values).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        index = td.Categorical(logits=self.logits, validate_args=False).sample(torch.Size(sample_shape))
        return self.low + index.to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return log_prob_of_index(self.logits, value - self.low)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        k = self.logits.shape[-1]
        values = self.low + torch.arange(k, device=self.logits.device).to(self.logits.dtype)
        values = values.reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values


class Mixture(_Density):
    """``p(x) = sum_k softmax(logits)_k p_k(x)``.

    Args:
        logits: unnormalised log-weights ``(..., K)``.
        components: a distribution whose last batch dimension has size K; it is summed out.
    """

    def __init__(self, logits: Tensor, components: td.Distribution) -> None:
        self.logits = F.log_softmax(logits, dim=-1)
        batch = broadcast_shapes(self.logits.shape, components.batch_shape)
        self.components = components if components.batch_shape == batch else components.expand(batch)
        super().__init__(batch[:-1], components.event_shape)

    def _expand_parameters(self) -> None:
        self.components = self.components.expand((*self._batch_shape, self.logits.shape[-1]))

    @property
    def support(self) -> Any:
        return self.components.support

    @property
    def mean(self) -> Tensor:
        weights = self.logits.exp().reshape(*self.logits.shape, *(1,) * len(self._event_shape))
        return (weights * self.components.mean).sum(-1 - len(self._event_shape))

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        draws = self.components.sample(torch.Size(sample_shape))
        k_dim = draws.dim() - len(self._event_shape) - 1
        logits = self.logits.expand(draws.shape[: k_dim + 1])
        index = td.Categorical(logits=logits, validate_args=False).sample()
        index = index.reshape(*index.shape, 1, *(1,) * len(self._event_shape))
        shape = (*draws.shape[:k_dim], 1, *draws.shape[k_dim + 1 :])
        return carry(draws, lambda v: v.gather(k_dim, index.expand(shape)).squeeze(k_dim))

    def log_prob(self, value: Tensor) -> Tensor:
        value = carry(value, lambda v: v.unsqueeze(v.dim() - len(self._event_shape)))
        return torch.logsumexp(self.logits + self.components.log_prob(value), dim=-1)


class JointNormal(_Density):
    """The normal distribution of a tensor whose elements depend on each other.

    Args:
        loc: the mean of its elements in a row, ``(..., elements)``.
        scale_tril: the lower triangular root of their covariance, ``(..., elements, elements)``.
        shape: the shape of the tensor.
    """

    has_rsample = True
    support = constraints.real

    def __init__(self, loc: Tensor, scale_tril: Tensor, shape: tuple[int, ...]) -> None:
        self.flat = MultivariateNormal(loc, scale_tril=scale_tril)
        super().__init__(self.flat.batch_shape, torch.Size(shape))

    def _expand_parameters(self) -> None:
        self.flat = self.flat.expand(self._batch_shape)

    @property
    def mean(self) -> Tensor:
        return self.flat.mean.reshape(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        drawn = self.flat.rsample(torch.Size(sample_shape))
        return drawn.reshape(drawn.shape[:-1] + self._event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density of a value, nats."""
        batch = value.shape[: value.dim() - len(self._event_shape)]
        return self.flat.log_prob(value.reshape(*batch, -1))


class Pushforward(_Density):
    """The distribution of ``y = f(x)`` for x from a base distribution and a bijection f.

    ``log p(y) = log p_base(f^-1(y)) + log |det d f^-1(y) / dy|``. On integers (a bijection whose
    log-determinant is 0) this is a probability. The density of the latest ``rsample`` reuses its x and
    log-determinant, so a posterior flow is never inverted in a fit. ``sample`` is not remembered: it keeps no
    gradient, and ``log_prob`` must have one.

    Args:
        base: a distribution whose last event dimensions are those that f acts on.
        bijection: f, or ``f.given(y=y)``, whose context's batch shape is then part of the batch shape.
    """

    def __init__(self, base: td.Distribution, bijection: Bijection) -> None:
        batch = broadcast_shapes(base.batch_shape, bijection.batch_shape)
        self.base = base if base.batch_shape == batch else base.expand(batch)
        self.bijection = bijection
        self.has_rsample = self.base.has_rsample
        self._latest: tuple[Tensor, Tensor, Tensor] | None = None
        outer = len(base.event_shape) - bijection.rank
        super().__init__(batch, base.event_shape[:outer] + bijection.image_shape(base.event_shape[outer:]))

    def _expand_parameters(self) -> None:
        self.base = self.base.expand(self._batch_shape)
        self._latest = None

    @property
    def support(self) -> Any:
        return constraints.independent(constraints.real, len(self._event_shape))

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        drawn = self.base.sample(torch.Size(sample_shape))  # Pyro's whole numbers are integers
        return self.bijection(drawn if drawn.is_floating_point() else drawn.to(torch.get_default_dtype()))

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        x = self.base.rsample(torch.Size(sample_shape))
        y, log_det = self.bijection.forward_and_log_det(x)
        self._latest = (y, x, log_det)
        return y

    def log_prob(self, value: Tensor) -> Tensor:
        if self._latest is not None and self._latest[0] is value:
            _, x, log_det = self._latest
            return self.base.log_prob(x) - self._over_event(log_det)
        x, log_det = self.bijection.inverse_and_log_det(value)
        return self.base.log_prob(x) + self._over_event(log_det)

    def _over_event(self, log_det: Tensor) -> Tensor:
        extra = len(self._event_shape) - self.bijection.image_rank
        return log_det.flatten(-extra).sum(-1) if extra else log_det


class Autoregressive(_Density):
    """``p(x) = prod_d p(x_d | x_<d)``, all of whose conditionals one causal function gives.

    Args:
        step: maps x ``(..., *event_shape)`` to a distribution of batch ``(...)`` and the same event, of which
            element d depends on the elements before d of the first event dimension only.
        event_shape: the shape of x; sampling goes along its first dimensions, the last of them fastest.
        batch_shape: the batch shape that step adds by itself, e.g. that of a context.
        like: a tensor of the dtype and on the device in which to sample; None is torch's default.
        axes: how many dimensions these are.
        order: another order of the positions than row by row, in which `step` says that they depend on each other.
    """

    def __init__(
        self,
        step: Callable[[Tensor], td.Distribution],
        event_shape: Size,
        batch_shape: Size = (),
        like: torch.Tensor | None = None,
        axes: int = 1,
        order: Order | None = None,
    ) -> None:
        self.step, self.axes, self.order = step, axes, order
        self.like = torch.empty(0) if like is None else like
        super().__init__(torch.Size(batch_shape), torch.Size(event_shape))

    def _expand_parameters(self) -> None:
        pass

    @property
    def support(self) -> Any:
        return self.step(self.like.new_zeros(self._extended_shape())).support

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        return self._draw(sample_shape)

    @torch.no_grad()
    def completed(self, value: Tensor) -> Tensor:
        """Draws that keep what is seen (not NaN) of a value ``(n, *event_shape)``: of p(missing | seen) in the rows
        that are `seen_first`. In others what comes before knows nothing of what is seen after it."""
        return self._draw(() if self.batch_shape else (len(value),), value)

    def seen_first(self, value: Tensor) -> Tensor:
        """In which rows of a value ``(n, *event_shape)`` all that is missing (NaN) comes after all that is seen.
        A position that misses a part of its vector is neither."""
        gone = value.isnan().flatten(1, self.axes).unsqueeze(-1).flatten(2)
        if self.order is not None:
            gone = gone[:, list(self.order.positions)]
        some, whole = gone.any(-1), gone.all(-1)
        from_here_on = some.long().cummax(1).values.bool()
        return (whole == from_here_on).all(1)

    def _draw(self, sample_shape: Size, seen: Tensor | None = None) -> Tensor:
        """Draws, or with what is `seen` (not NaN) of them."""
        shape = self._extended_shape(torch.Size(sample_shape))
        x = self.like.new_zeros(shape)
        axis = len(shape) - len(self._event_shape)
        last = axis + self.axes - 1
        flat = x.flatten(axis, last)  # the same memory
        # A law of one position has axes of size 1 there; one with a parameter for each has them all.
        one = (*shape[:axis], *(1,) * self.axes, *shape[last + 1 :])
        incremental = Incremental()
        for place in range(flat.shape[axis]):
            d = place if self.order is None else self.order.positions[place]
            with incremental.at(place, d):
                step = self.step(x)
            if step.batch_shape != shape[:axis]:  # a step that reads nothing is the same for every row
                step = step.expand(shape[:axis])
            drawn = step.sample()
            found = drawn.flatten(axis, last).select(axis, 0 if drawn.shape == one else d)
            if seen is not None:
                known = seen.flatten(axis, last).select(axis, d)
                found = torch.where(known.isnan(), found, known)
            flat.select(axis, d).copy_(found)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        found = self.step(value).log_prob(value)
        # A step that reads nothing else is the same for every row of a batch.
        shape = broadcast_shapes(found.shape, self._batch_shape)
        return found if found.shape == shape else found.expand(shape)


__all__ = [
    "Autoregressive",
    "DiscretizedLogistic",
    "IntegerCategorical",
    "JointNormal",
    "Logistic",
    "Mixture",
    "OrderedLogistic",
    "Pushforward",
]
