"""Distributions that are ours as Pyro distributions, for ``pyro.sample`` inside plates: those that torch lacks, and
those whose numerics differ from torch's, so that both targets have one density and one sampler."""

from __future__ import annotations

from pyro.distributions.torch_distribution import TorchDistributionMixin

from dgmppl.runtime import counts, densities, positives


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


class StudentT(positives.StudentT, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class LogNormal(positives.LogNormal, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Gamma(positives.Gamma, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Exponential(positives.Exponential, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Beta(positives.Beta, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class ContinuousBernoulli(positives.ContinuousBernoulli, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Dirichlet(positives.Dirichlet, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Poisson(counts.Poisson, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class Geometric(counts.Geometric, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


class NegativeBinomial(counts.NegativeBinomial, TorchDistributionMixin):
    to_event = TorchDistributionMixin.to_event


__all__ = [
    "Autoregressive",
    "Beta",
    "ContinuousBernoulli",
    "Dirichlet",
    "DiscretizedLogistic",
    "Exponential",
    "Gamma",
    "Geometric",
    "IntegerCategorical",
    "LogNormal",
    "Logistic",
    "Mixture",
    "NegativeBinomial",
    "OrderedLogistic",
    "Poisson",
    "Pushforward",
    "StudentT",
]
