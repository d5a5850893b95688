"""Distributions that are ours as Pyro distributions, for ``pyro.sample`` inside plates: those that torch lacks, and
those whose numerics differ from torch's, so that both targets have one density and one sampler.

Each is the class of the same name in the runtime, with Pyro's mixin; it is made when it is first asked for.
"""

from __future__ import annotations

import functools
from typing import Any

from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch.distributions import Distribution

from dgmppl.runtime import along, counts, densities, directions, positives, rounding

_MODULES = (along, counts, densities, directions, positives, rounding)
__all__ = [
    name
    for module in _MODULES
    for name in module.__all__
    if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), Distribution)
]


@functools.cache
def __getattr__(name: str) -> Any:
    for module in _MODULES:
        if name in module.__all__:
            # `to_event` is that of Pyro's Independent, not ours.
            body = {"__module__": __name__, "to_event": TorchDistributionMixin.to_event}
            return type(name, (getattr(module, name), TorchDistributionMixin), body)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
