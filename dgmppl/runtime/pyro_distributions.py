"""Distributions that are ours as Pyro distributions, for ``pyro.sample`` inside plates: those that torch lacks, and
those whose numerics differ from torch's, so that both targets have one density and one sampler.

Each is the class of the same name in the runtime, with Pyro's mixin; it is made when it is first asked for.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import torch
from pyro.distributions.torch_distribution import TorchDistribution, TorchDistributionMixin
from torch import Tensor
from torch.distributions import Distribution

from dgmppl.runtime import along, counts, densities, directions, gaussian_chains, normals, positives, rounding
from dgmppl.runtime.cases import is_missing
from dgmppl.runtime.missing import log_prob_where

_MODULES = (along, counts, densities, directions, gaussian_chains, normals, positives, rounding)
__all__ = [
    "filled",
    "where_elements_seen",
    "where_seen",
    *(
        name
        for module in _MODULES
        for name in module.__all__
        if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), Distribution)
    ),
]


def filled(value: Tensor | None, some: float) -> Tensor | None:
    """A value with a number of the support where it is missing; None stays."""
    return None if value is None else value.masked_fill(value.isnan(), some)


def where_seen(p: Any, value: Tensor | None) -> Any:
    """p with the rows masked that miss a value; p itself where there is none, and it is drawn."""
    return p if value is None else p.mask(~is_missing(value))


def where_elements_seen(p: Any, value: Tensor | None) -> Any:
    """p with the elements masked that are missing of a value; p itself where there is none, and it is drawn."""
    if value is None:
        return p
    base, seen = getattr(p, "base_dist", None), ~value.isnan()
    if base is None or base.event_shape:
        return _SeenInPart(p, seen)
    return base.mask(seen).to_event(p.reinterpreted_batch_ndims)


class _SeenInPart(TorchDistribution):
    """A mixture of which some elements are seen: its density is theirs, the others integrated out."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, p: Any, seen: Tensor) -> None:
        self.p, self.seen = p, seen
        super().__init__(p.batch_shape, p.event_shape, validate_args=False)

    @property
    def support(self) -> Any:
        return self.p.support

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return _SeenInPart(self.p.expand(batch_shape), self.seen)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        found: Tensor = self.p.sample(torch.Size(sample_shape))
        return found

    def log_prob(self, value: Tensor) -> Tensor:
        return log_prob_where(self.p, value, self.seen)


@functools.cache
def __getattr__(name: str) -> Any:
    for module in _MODULES:
        if name in module.__all__:
            # `to_event` is that of Pyro's Independent, not ours.
            body = {"__module__": __name__, "to_event": TorchDistributionMixin.to_event}
            return type(name, (getattr(module, name), TorchDistributionMixin), body)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
