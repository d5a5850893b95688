"""torch.distributions as emitted code uses them: no argument checks, ``.to_event(k)``, all values floats.

``kl_divergence`` finds a rule by a class or its parents, so torch's rules serve the subclasses. The
distributions which torch lacks are in ``densities``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import kl_divergence

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


def to_event(distribution: td.Distribution, k: int | None = None) -> td.Distribution:
    """Make the last k batch dimensions (all of them for None) part of the event; nested ones are merged."""
    k = len(distribution.batch_shape) if k is None else k
    if k == 0:
        return distribution
    if isinstance(distribution, td.Independent):
        return Independent(distribution.base_dist, k + distribution.reinterpreted_batch_ndims)
    return Independent(distribution, k)


class Normal(Unchecked, td.Normal):
    pass


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
    pass


class Categorical(Unchecked, td.Categorical):
    """Values 0..K-1 as floats, like all data here."""

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
