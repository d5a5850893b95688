"""The distributions a factor may name, as data.

One entry a distribution: its parameters with their constraints, the supports it lives on, and what it can do.
Emitted source calls `torch_class` (or Pyro's class of the same name) with the parameters by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.graph.supports import Support


@dataclass(frozen=True)
class Parameter:
    """A parameter: `link` maps a network's unconstrained output into `constraint`.

    `size` says how many numbers it has an element of the variable: "1", or "K" for one for each value.
    """

    name: str
    constraint: str = "real"
    size: str = "1"
    default: float | None = None


LINKS = {"real": "", "positive": "positive", "unit": "unit"}


@dataclass(frozen=True)
class Distribution:
    """`supports` are the variables' supports it fits; `vector` ones have the whole last axis as one event."""

    name: str
    parameters: tuple[Parameter, ...]
    supports: tuple[str, ...]
    reparameterised: bool = False
    vector: bool = False
    ours: bool = False  # torch and Pyro lack the class, or its numerics are ours: Pyro's source imports it from us

    def values(self, support: Support) -> int:
        """How many values an element has, where a parameter has one number for each."""
        return support.size or 0

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)


_LOC, _SCALE = Parameter("loc"), Parameter("scale", "positive")
_LOGITS = Parameter("logits")

DISTRIBUTIONS: dict[str, Distribution] = {
    d.name: d
    for d in (
        Distribution("Normal", (_LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("Laplace", (_LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("Cauchy", (_LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("Logistic", (_LOC, _SCALE), ("real",), reparameterised=True, ours=True),
        Distribution(
            "StudentT", (Parameter("df", "positive"), _LOC, _SCALE), ("real",), reparameterised=True, ours=True
        ),
        Distribution("LogNormal", (_LOC, _SCALE), ("positive",), reparameterised=True, ours=True),
        Distribution("Exponential", (Parameter("rate", "positive"),), ("positive",), reparameterised=True, ours=True),
        Distribution(
            "Gamma",
            (Parameter("concentration", "positive"), Parameter("rate", "positive")),
            ("positive",),
            reparameterised=True,
            ours=True,
        ),
        Distribution(
            "Beta",
            (Parameter("concentration1", "positive"), Parameter("concentration0", "positive")),
            ("unit",),
            reparameterised=True,
            ours=True,
        ),
        Distribution(
            "Dirichlet",
            (Parameter("concentration", "positive"),),
            ("simplex",),
            reparameterised=True,
            vector=True,
            ours=True,
        ),
        Distribution("Bernoulli", (_LOGITS,), ("binary",)),
        Distribution("Categorical", (Parameter("logits", size="K"),), ("categorical", "binary", "integer")),
        Distribution("Poisson", (Parameter("rate", "positive"),), ("integer",), ours=True),
        Distribution("Geometric", (_LOGITS,), ("integer",), ours=True),
        Distribution(
            "NegativeBinomial",
            (Parameter("total_count", "positive"), Parameter("logits")),
            ("integer",),
            ours=True,
        ),
        Distribution("DiscretizedLogistic", (_LOC, _SCALE), ("integer",), ours=True),
    )
}

# Distributions that need a finite support, and integers without bounds, respectively.
FINITE_ONLY = ("Categorical",)
UNBOUNDED_ONLY = ("Poisson", "Geometric", "NegativeBinomial", "DiscretizedLogistic")

# Pairs (q, p) whose Kullback-Leibler divergence is known in closed form; all of one family that torch has are here.
CLOSED_KL = {
    ("Normal", "Normal"),
    ("Laplace", "Laplace"),
    ("Cauchy", "Cauchy"),
    ("LogNormal", "LogNormal"),
    ("Gamma", "Gamma"),
    ("Exponential", "Exponential"),
    ("Beta", "Beta"),
    ("Dirichlet", "Dirichlet"),
    ("Bernoulli", "Bernoulli"),
    ("Categorical", "Categorical"),
    ("Poisson", "Poisson"),
    ("Geometric", "Geometric"),
}


def fits(distribution: Distribution, support: Support) -> bool:
    """Whether every value of `support` has a probability, and nothing outside it has."""
    if support.name not in distribution.supports:
        return False
    if support.name == "integer":
        return support.finite == (distribution.name not in UNBOUNDED_ONLY)
    return True


def leaks(distribution: Distribution, support: Support) -> bool:
    """Whether it is a usable density on `support` that also puts mass outside it (real ones on an interval)."""
    return "real" in distribution.supports and support.name == "interval"


def suggestions(support: Support) -> list[str]:
    """Names of the distributions that fit a support."""
    return [d.name for d in DISTRIBUTIONS.values() if fits(d, support)]
