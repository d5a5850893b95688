"""The distributions a factor may name, as data.

One entry a distribution: its parameters with their constraints, the supports it lives on, and what it can do.
Emitted source calls `torch_class` (or Pyro's class of the same name) with the parameters by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.graph.supports import Support


@dataclass(frozen=True)
class Parameter:
    """A parameter: `link` maps a network's unconstrained output into `constraint`.

    `size` says how many numbers it has an element of the variable: "1", or "K" for one for each value. `range` says
    what a network's output counts where the variable has a range, of which half is the unit: a "place" from its
    middle, or a "width".
    """

    name: str
    constraint: str = "real"
    size: str = "1"
    default: float | None = None
    range: str = ""


LINKS = {"real": "", "positive": "positive", "unit": "unit"}


@dataclass(frozen=True)
class Distribution:
    """`supports` are the variables' supports it fits; `vector` ones have the whole last axis as one event."""

    name: str
    parameters: tuple[Parameter, ...]
    supports: tuple[str, ...]
    reparameterised: bool = False
    vector: bool = False
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


_LOC, _SCALE = Parameter("loc"), Parameter("scale", "positive")
_LOGITS = Parameter("logits")

DISTRIBUTIONS: dict[str, Distribution] = {
    d.name: d
    for d in (
        Distribution("Normal", (_LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("Laplace", (_LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("Cauchy", (_LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("Logistic", (_LOC, _SCALE), ("real",), reparameterised=True, ours=True),
        Distribution("StudentT", (Parameter("df", "positive"), _LOC, _SCALE), ("real",), reparameterised=True),
        Distribution("LogNormal", (_LOC, _SCALE), ("positive",), reparameterised=True),
        Distribution("Exponential", (Parameter("rate", "positive"),), ("positive",), reparameterised=True),
        Distribution(
            "Gamma",
            (Parameter("concentration", "positive"), Parameter("rate", "positive")),
            ("positive",),
            reparameterised=True,
        ),
        Distribution(
            "Beta",
            (Parameter("concentration1", "positive"), Parameter("concentration0", "positive")),
            ("unit",),
            reparameterised=True,
        ),
        Distribution(
            "Dirichlet",
            (Parameter("concentration", "positive"),),
            ("simplex",),
            reparameterised=True,
            vector=True,
        ),
        Distribution("Bernoulli", (_LOGITS,), ("binary",)),
        Distribution("Categorical", (Parameter("logits", size="K"),), ("categorical", "binary", "integer")),
        Distribution("Poisson", (Parameter("rate", "positive"),), ("integer",)),
        Distribution("Geometric", (_LOGITS,), ("integer",)),
        Distribution(
            "NegativeBinomial",
            (Parameter("total_count", "positive"), Parameter("logits")),
            ("integer",),
        ),
        Distribution(
            "DiscretizedLogistic",
            (Parameter("loc", range="place"), Parameter("scale", "positive", range="width")),
            ("integer",),
            ours=True,
        ),
    )
}

# Distributions that need a finite support, and integers without bounds, respectively. Of the rest, on a range what
# lies beyond its ends counts as these.
FINITE_ONLY = ("Categorical",)
UNBOUNDED_ONLY = ("Poisson", "Geometric", "NegativeBinomial")

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
    if support.name not in distribution.supports:
        return False
    if support.name == "integer":
        return distribution.name not in (UNBOUNDED_ONLY if support.finite else FINITE_ONLY)
    return True


def leaks(distribution: Distribution, support: Support) -> bool:
    """Whether it is a usable density on `support` that also puts mass outside it (real ones on an interval)."""
    return "real" in distribution.supports and support.name == "interval"


def suggestions(support: Support) -> list[str]:
    """Names of the distributions that fit a support."""
    return [d.name for d in DISTRIBUTIONS.values() if fits(d, support)]
