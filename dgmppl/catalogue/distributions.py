"""The distributions a factor may name, as data.

One entry a distribution: its parameters with their constraints, the supports it lives on, and what it can do.
Emitted source calls `torch_class` (or Pyro's class of the same name) with the parameters by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.supports import (
    BINARY,
    NATURAL,
    POSITIVE,
    REAL,
    SIMPLEX,
    UNIT,
    AnyFinite,
    AnyIntegers,
    Domain,
    Support,
)


@dataclass(frozen=True)
class Parameter:
    """A parameter: the link of `constraint`, a support, maps a network's unconstrained output into it.

    `size` says how many numbers it has an element of the variable: "1", or "K" for one for each value.
    """

    name: str
    constraint: Support = REAL
    size: str = "1"
    default: float | None = None


@dataclass(frozen=True)
class Distribution:
    """`support` is what has a probability: it fits variables with these very values."""

    name: str
    parameters: tuple[Parameter, ...]
    support: Domain
    reparameterised: bool = False
    ours: bool = False  # the class is in dgmppl.runtime, not in torch

    def values(self, support: Support) -> int:
        """How many values an element has, where a parameter has one number for each."""
        return support.size or 0

    @property
    def signature(self) -> Signature:
        """What its parentheses hold, unless one network gives all of it."""
        arguments = tuple(Argument(p.name, "parameter", required=p.default is None) for p in self.parameters)
        usage = f"{self.name}({', '.join(p.name for p in self.parameters)}), or one network for all"
        return Signature(self.name, arguments, "parameter", usage)

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)


_LOC, _SCALE = Parameter("loc"), Parameter("scale", POSITIVE)
_LOGITS = Parameter("logits")

DISTRIBUTIONS: dict[str, Distribution] = {
    d.name: d
    for d in (
        Distribution("Normal", (_LOC, _SCALE), REAL, reparameterised=True),
        Distribution("Laplace", (_LOC, _SCALE), REAL, reparameterised=True),
        Distribution("Cauchy", (_LOC, _SCALE), REAL, reparameterised=True),
        Distribution("Logistic", (_LOC, _SCALE), REAL, reparameterised=True, ours=True),
        Distribution("StudentT", (Parameter("df", POSITIVE), _LOC, _SCALE), REAL, reparameterised=True),
        Distribution("LogNormal", (_LOC, _SCALE), POSITIVE, reparameterised=True),
        Distribution("Exponential", (Parameter("rate", POSITIVE),), POSITIVE, reparameterised=True),
        Distribution(
            "Gamma",
            (Parameter("concentration", POSITIVE), Parameter("rate", POSITIVE)),
            POSITIVE,
            reparameterised=True,
        ),
        Distribution(
            "Beta",
            (Parameter("concentration1", POSITIVE), Parameter("concentration0", POSITIVE)),
            UNIT,
            reparameterised=True,
        ),
        Distribution(
            "Dirichlet",
            (Parameter("concentration", POSITIVE),),
            SIMPLEX,
            reparameterised=True,
        ),
        Distribution("Bernoulli", (_LOGITS,), BINARY),
        Distribution("Categorical", (Parameter("logits", size="K"),), AnyFinite()),
        Distribution("Poisson", (Parameter("rate", POSITIVE),), NATURAL),
        Distribution("Geometric", (_LOGITS,), NATURAL),
        Distribution(
            "NegativeBinomial",
            (Parameter("total_count", POSITIVE), Parameter("logits")),
            NATURAL,
        ),
        Distribution("DiscretizedLogistic", (_LOC, _SCALE), AnyIntegers(), ours=True),
    )
}

# Pairs (q, p) whose Kullback-Leibler divergence torch has in closed form.
CLOSED_KL = {
    ("Normal", "Normal"),
    ("Laplace", "Laplace"),
    ("Gamma", "Gamma"),
    ("Exponential", "Exponential"),
    ("Beta", "Beta"),
    ("Dirichlet", "Dirichlet"),
    ("Bernoulli", "Bernoulli"),
    ("Categorical", "Categorical"),
    ("Poisson", "Poisson"),
}


def fits(distribution: Distribution, support: Support) -> bool:
    """Whether every value of `support` has a probability, and nothing outside it has."""
    return distribution.support.same_values_as(support)


def leaks(distribution: Distribution, support: Support) -> bool:
    """Whether it is a usable density on `support` that also puts mass outside it (real ones on an interval)."""
    return distribution.support.reaches_outside(support)


def suggestions(support: Support) -> list[str]:
    """Names of the distributions that fit a support."""
    return [d.name for d in DISTRIBUTIONS.values() if fits(d, support)]
