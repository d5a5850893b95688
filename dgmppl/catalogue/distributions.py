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
    SPHERE,
    UNIT,
    AnyFinite,
    AnyIntegers,
    Domain,
    Every,
    Increasing,
    Ordinal,
    Support,
    Type,
)


@dataclass(frozen=True)
class DistributionParameter:
    """A parameter: the link of `constraint`, a support, maps a network's unconstrained output into it.

    `size` says how many numbers it has an element of the variable: "1", or on an axis of their own "K" for one for each
    value, "K-1" for one between each two, "R" for as many as what is given has; "vector" is one number for all elements
    of a vector. `range` says what a
    network's output counts where the variable has a range: a "place" from its middle, or a "width", in units of half of
    it. `counts` says in which units of the data it is given, where it is of the values themselves: a "place" among
    them, a "width" of their spread, a "size" of them or the "rate" 1 / size, or the "log" of a size. `uniform` is the
    number for which, with those of the others, all values are equally likely.
    """

    name: str
    constraint: Support = REAL
    size: str = "1"
    default: float | None = None
    range: str = ""
    counts: str = ""
    uniform: float | None = None

    def axis(self, support: Support) -> tuple[int, ...]:
        """The axis that it has after those of a variable of this support: none for one number an element."""
        values = support.size or 0
        return {"K": (values,), "K-1": (values - 1,)}.get(self.size, ())

    def shape(self, type_: Type) -> tuple[int, ...]:
        """Its shape, for a variable of this type."""
        return type_.shape[:-1] if self.size == "vector" else (*type_.shape, *self.axis(type_.support))


@dataclass(frozen=True)
class Distribution:
    """`support` is what has a probability: it fits variables with these very values. `vector`: one value is a vector of
    them, whose elements depend on each other. `in_part`: yet some of its elements have a density in closed form, the
    others integrated out, and the others a law given these."""

    name: str
    parameters: tuple[DistributionParameter, ...]
    support: Domain
    reparameterised: bool = False
    rounded: bool = False  # its distribution function is known, by which it can be rounded to whole numbers
    vector: bool = False
    in_part: bool = False
    ours: bool = False  # torch and Pyro lack the class, or its numerics are ours: Pyro's source imports it from us

    @property
    def signature(self) -> Signature:
        """What its parentheses hold, unless one network gives all of it."""
        arguments = tuple(Argument(p.name, "parameter", required=p.default is None) for p in self.parameters)
        usage = f"{self.name}({', '.join(p.name for p in self.parameters)}), or one network for all"
        return Signature(self.name, arguments, "parameter", usage)

    def event_rank(self, support: Support) -> int:
        """How many axes a value has whose elements depend on each other."""
        return max(int(self.vector), support.event_rank)

    @property
    def can_be_uniform(self) -> bool:
        """Whether `uniform` stands for its parameters."""
        return all(p.uniform is not None for p in self.parameters)

    def parameter(self, name: str) -> DistributionParameter | None:
        return next((p for p in self.parameters if p.name == name), None)


_LOC = DistributionParameter("loc", counts="place")
_SCALE = DistributionParameter("scale", POSITIVE, counts="width")
_SIZE = DistributionParameter("scale", POSITIVE, counts="size")
_RATE = DistributionParameter("rate", POSITIVE, counts="rate")
_LOGITS = DistributionParameter("logits", uniform=0.0)

DISTRIBUTIONS: dict[str, Distribution] = {
    d.name: d
    for d in (
        Distribution("Normal", (_LOC, _SCALE), REAL, reparameterised=True, rounded=True),
        Distribution("Laplace", (_LOC, _SCALE), REAL, reparameterised=True, rounded=True),
        Distribution("Cauchy", (_LOC, _SCALE), REAL, reparameterised=True, rounded=True),
        Distribution("Logistic", (_LOC, _SCALE), REAL, reparameterised=True, rounded=True, ours=True),
        Distribution(
            "StudentT", (DistributionParameter("df", POSITIVE), _LOC, _SCALE), REAL, reparameterised=True, ours=True
        ),
        Distribution(
            "LowRankNormal",
            (_LOC, _SCALE, DistributionParameter("factor", size="R")),
            REAL,
            reparameterised=True,
            vector=True,
            in_part=True,
            ours=True,
        ),
        Distribution("HalfNormal", (_SIZE,), POSITIVE, reparameterised=True, ours=True),
        Distribution("HalfCauchy", (_SIZE,), POSITIVE, reparameterised=True, ours=True),
        Distribution(
            "LogNormal",
            (DistributionParameter("loc", counts="log"), DistributionParameter("scale", POSITIVE)),
            POSITIVE,
            reparameterised=True,
            ours=True,
        ),
        Distribution("Exponential", (_RATE,), POSITIVE, reparameterised=True, ours=True),
        Distribution(
            "Gamma",
            (DistributionParameter("concentration", POSITIVE), _RATE),
            POSITIVE,
            reparameterised=True,
            ours=True,
        ),
        Distribution(
            "Beta",
            (
                DistributionParameter("concentration1", POSITIVE, uniform=1.0),
                DistributionParameter("concentration0", POSITIVE, uniform=1.0),
            ),
            UNIT,
            reparameterised=True,
            ours=True,
        ),
        Distribution(
            "Dirichlet",
            (DistributionParameter("concentration", POSITIVE, uniform=1.0),),
            SIMPLEX,
            reparameterised=True,
            ours=True,
        ),
        Distribution(
            "VonMisesFisher",
            (
                DistributionParameter("loc", SPHERE, uniform=1.0),
                DistributionParameter("concentration", POSITIVE, size="vector", uniform=0.0),
            ),
            SPHERE,
            reparameterised=True,
            ours=True,
        ),
        Distribution("ContinuousBernoulli", (_LOGITS,), UNIT, reparameterised=True, ours=True),
        Distribution("Bernoulli", (_LOGITS,), BINARY),
        Distribution("Categorical", (DistributionParameter("logits", size="K", uniform=0.0),), AnyFinite()),
        Distribution(
            "OrderedLogistic",
            (DistributionParameter("predictor"), DistributionParameter("cutpoints", Increasing(), size="K-1")),
            Every(Ordinal),
            ours=True,
        ),
        Distribution("Poisson", (DistributionParameter("rate", POSITIVE, counts="size"),), NATURAL, ours=True),
        Distribution("Geometric", (_LOGITS,), NATURAL, ours=True),
        Distribution(
            "NegativeBinomial",
            (DistributionParameter("total_count", POSITIVE), DistributionParameter("logits")),
            NATURAL,
            ours=True,
        ),
        Distribution(
            "Multinomial",
            (DistributionParameter("total_count", NATURAL, size="vector"), DistributionParameter("logits")),
            NATURAL,
            vector=True,
            in_part=True,
            ours=True,
        ),
        Distribution(
            "DiscretizedLogistic",
            (
                DistributionParameter("loc", range="place", counts="place"),
                DistributionParameter("scale", POSITIVE, range="width", counts="width"),
            ),
            AnyIntegers(),
            ours=True,
        ),
    )
}

# Pairs (q, p) whose Kullback-Leibler divergence is known in closed form; all of one family that torch has are here.
CLOSED_KL = {
    ("Normal", "Normal"),
    ("Laplace", "Laplace"),
    ("Normal", "Laplace"),
    ("Laplace", "Normal"),
    ("Cauchy", "Cauchy"),
    ("LowRankNormal", "LowRankNormal"),
    ("HalfNormal", "HalfNormal"),
    ("HalfCauchy", "HalfCauchy"),
    ("LogNormal", "LogNormal"),
    ("Gamma", "Gamma"),
    ("Exponential", "Exponential"),
    ("Beta", "Beta"),
    ("Beta", "ContinuousBernoulli"),
    ("Dirichlet", "Dirichlet"),
    ("VonMisesFisher", "VonMisesFisher"),
    ("ContinuousBernoulli", "ContinuousBernoulli"),
    ("Bernoulli", "Bernoulli"),
    ("Categorical", "Categorical"),
    ("Poisson", "Poisson"),
    ("Geometric", "Geometric"),
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
