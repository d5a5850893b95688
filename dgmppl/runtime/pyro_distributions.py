"""The distributions of ``densities`` as Pyro distributions, for ``pyro.sample`` inside plates."""

from __future__ import annotations

from pyro.distributions.torch_distribution import TorchDistributionMixin

from dgmppl.runtime import densities


class Logistic(densities.Logistic, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event  # Pyro's Independent, not ours


class DiscretizedLogistic(densities.DiscretizedLogistic, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class IntegerCategorical(densities.IntegerCategorical, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class OrderedLogistic(densities.OrderedLogistic, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Mixture(densities.Mixture, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Pushforward(densities.Pushforward, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Autoregressive(densities.Autoregressive, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


__all__ = [
    "Autoregressive",
    "DiscretizedLogistic",
    "IntegerCategorical",
    "Logistic",
    "Mixture",
    "OrderedLogistic",
    "Pushforward",
]
