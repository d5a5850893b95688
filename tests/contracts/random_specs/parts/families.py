"""The families of a support, by name: `FAMILIES`."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, Unit

Right = tuple[str, bool | tuple[str, ...]]
"""The text of a right-hand side, and whether it is autoregressive; or the element that it is of, and the parents."""

LOCATED = ("Normal", "Laplace", "Logistic")

ONTO = {  # bijections from the real numbers
    "positive": ("exp", "softplus"),
    "unit": ("sigmoid",),
    "simplex": ("stick_breaking",),
}


def bounded(support: str) -> bool:
    """Whether it is an interval, which has no family of its own."""
    return support.startswith("interval")


def ends(support: str) -> tuple[float, float]:
    """Those of an interval."""
    low, high = support[len("interval(") : -1].split(", ")
    return float(low), float(high)


def onto(d: Draft, support: str) -> str:
    """A bijection of the real numbers onto a support: of an interval a formula, said once."""
    if not bounded(support):
        return d.choose(ONTO[support])
    if support == "interval(-1, 1)":
        return "tanh"
    if ("onto", support) not in d.shared:
        (low, high), name = ends(support), d.name("onto")
        forms = (f"{high - low} * sigmoid(o) + {low}", f"{(low + high) / 2} - {(high - low) / 2} * tanh(o)")
        d.say(f"flow {name}(o) = {d.supports.choice(forms)}")
        d.shared["onto", support] = name
    return d.shared["onto", support]


def reached(support: str) -> bool:
    """Whether there is such a bijection."""
    return support in ONTO or bounded(support)


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
