"""The families of a support, by name: `FAMILIES`."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Unit

Right = tuple[str, bool | tuple[str, ...]]
"""The text of a right-hand side, and whether it is autoregressive; or the element that it is of, and the parents."""

LOCATED = ("Normal", "Laplace", "Logistic")

ONTO = {  # bijections from the real numbers
    "positive": ("exp", "softplus"),
    "unit": ("sigmoid",),
    "interval(-1, 1)": ("tanh",),
    "simplex": ("stick_breaking",),
}

FAMILIES = {
    "positive": ("Gamma", "LogNormal", "Exponential", "HalfNormal", "HalfCauchy"),
    "unit": ("Beta", "ContinuousBernoulli"),
    "binary": ("Bernoulli", "Bernoulli", "Categorical"),
    "integer": ("DiscretizedLogistic",),
    "natural": ("Poisson", "Geometric", "NegativeBinomial"),
    "simplex": ("Dirichlet",),
    "sphere": ("VonMisesFisher",),
}


def families(head: Unit) -> tuple[str, ...]:
    """Those that a variable may have."""
    if head.real:
        # Networks make nothing finite of a latent as large as a Cauchy's draws may be.
        return (*LOCATED, "Cauchy") if head.role == "observed" else LOCATED
    return FAMILIES.get(head.support, ("Categorical",))


def family_of(unit: Unit) -> str:
    """The first of them."""
    return FAMILIES.get(unit.support, ("Normal",) if unit.real else ("Categorical",))[0]
