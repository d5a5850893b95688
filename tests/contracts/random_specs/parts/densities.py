"""Densities of random specs: a function for each kind, in `DENSITIES`; those that a q may have, in `DRAWN`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.contracts.random_specs.draft import Draft, Unit
from tests.contracts.random_specs.parts.elements import autoregressive, by_elements, in_order, indices, markov_chain
from tests.contracts.random_specs.parts.families import LOCATED, Right, bounded, families, onto, reached
from tests.contracts.random_specs.parts.flows import flow
from tests.contracts.random_specs.parts.networks import network, perceptron, shared_network
from tests.contracts.random_specs.parts.values import affine_map, positive, value


def _learned(family: str) -> str:
    return f"{family}(param)"


def _plain(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A family of the support, all of its parameters by one network or one `param`."""
    if bounded(head.support):
        return None
    if head.support.startswith("ordinal") and d.often(0.5):
        return _ordered(d, head, of)
    family = d.choose(families(head))
    if not of:
        fixed = {"Normal": "Normal(0, 1)", "Gamma": "Gamma(2, 1)", "Beta": "Beta(2, 2)", "Dirichlet": "Dirichlet(1.5)"}
        fixed |= {"VonMisesFisher": "VonMisesFisher(uniform)"}
        return d.choose((_learned(family), fixed.get(family, _learned(family)))), False
    return f"{family}({network(d, of)})", False


def _shared(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if not of or bounded(head.support):
        return None
    family = families(head)[0]
    return f"{family}({shared_network(d, head, of, family)})", False


def _located(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Location and scale apart, each by another kind of value."""
    if not head.real:
        return None
    family, loc = d.choose(families(head)), value(d, head, of)
    scale = d.choose(("0.5", "param", f"exp({perceptron(d, of)})" if of else "param"))
    if d.often(0.3):
        scale = positive(d, head, of)
    if d.often(0.2):
        return f"StudentT(df = 5, loc = {loc}, scale = {scale})", False
    return d.choose((f"{family}({loc}, {scale})", f"{family}(scale = {scale}, loc = {loc})")), False


def _low_rank(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A normal vector whose elements go together along one or two directions."""
    if not head.real or not head.vector:
        return None
    factor_ = d.param(*head.shape, d.choose((1, 2)))
    loc = value(d, head, of) if of else d.choose(("0", "param"))
    return f"LowRankNormal({loc}, {d.choose(('0.5', 'param', 'exp(param)'))}, {factor_})", False


def _rate_by_arithmetic(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if head.support not in ("natural", "positive") or not of:
        return None
    found = affine_map(d, head, of)
    family = "Poisson" if head.support == "natural" else "Exponential"
    return (f"{family}(exp({found}))", False) if found else None


def _ordered(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Classes in order: where a number lies between cuts, which are the same in all rows or not."""
    if not head.support.startswith("ordinal"):
        return None
    predictor = value(d, head, of) if of else "param"
    return f"OrderedLogistic({predictor}, {d.choose(('param', perceptron(d, of))) if of else 'param'})", False


def _mixture(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if head.role != "observed" and head.support not in ("real", "positive", "unit"):
        return None
    inner = _plain(d, head, of) if of else (_learned(d.choose(families(head))), False)
    if inner is None:
        return None
    weights = d.choose(("", "", ", weights = " + (perceptron(d, of) if of else "param")))
    if weights and of and d.shares.random() < 0.3:  # which is warned of, and compiles
        weights = weights.replace(" = ", " = softmax(", 1) + ")"
    return f"mixture[{d.choose((2, 3))}{weights}]({inner[0]})", False


def _grid(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if not head.real:
        return None
    point = d.name("g")
    return f"mixture[{point} in grid(2, 2)](Normal(mlp[4]({', '.join([point, *(u.name for u in of)])})))", False


def _mixture_of_flows(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if not head.real or not head.vector:
        return None
    inner = f"Normal({perceptron(d, of)})" if of else "Normal(param)"
    return f"mixture[2]({inner} >> {d.choose(('affine', 'affine', 'elementwise[spline(2)]'))})", False


def _pushed(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A distribution pushed through a flow; what the base does not read the flow does."""
    if not (head.real or reached(head.support)):
        return None
    split = d.random.randint(0, len(of))
    first, second = of[:split], of[split:]
    shape = (head.shape[0] - 1,) if head.support == "simplex" else head.shape
    located = Unit(head.name, "real", shape, head.role)
    base = d.choose((_plain, _located, _plain))(d, located, first)
    if head.role == "observed" and d.often(0.2):
        base = _mixture(d, located, first)
    assert base is not None
    landed = "" if head.real else f" >> {onto(d, head.support)}"
    if not second and landed and d.often(0.3):
        return base[0] + landed, False
    return f"{base[0]} >> {flow(d, located, second)}{landed}", False


def _rounded_shifts(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A flow of whole numbers."""
    if not head.support.startswith("integer") or len(head.shape) != 1 or head.shape[0] < 2:
        return None
    family = "DiscretizedLogistic" if head.support == "integer" else d.choose(("DiscretizedLogistic", "Categorical"))
    base = f"{family}({network(d, of)})" if of else f"{family}(param)"
    options = d.choose(("", ", parts = 2", ", rezero = true"))
    return f"{base} >> 2 * (coupling[shift = mlp[4]{options}] >> reverse)", False


def _rounded(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A real distribution rounded to whole numbers, as it is, moved, or in a mixture."""
    if not head.support.startswith(("integer", "natural")):
        return None
    counts = head.support == "natural"
    family = d.choose(("Normal", "Laplace", "Logistic", "Cauchy") if head.role == "observed" else LOCATED)
    ends = head.support[len("integer") :] if head.support.startswith("integer(") and d.often(0.5) else ""
    base = f"{family}({network(d, of)})" if of else f"{family}(param)"
    kinds = ("{}",) if counts else ("{}", "{}", "{} >> affine", "mixture[2]({})", "1 + {}")
    return f"{d.choose(kinds).format(base)} >> round{ends}", False


DENSITIES: tuple[Callable[[Draft, Unit, Sequence[Unit]], Right | None], ...] = (
    _plain,
    _plain,
    _plain,
    _shared,
    _located,
    _located,
    _rate_by_arithmetic,
    _low_rank,
    _mixture,
    _grid,
    _mixture_of_flows,
    _pushed,
    _pushed,
    autoregressive,
    by_elements,
    markov_chain,
    in_order,
    _rounded_shifts,
    _rounded,
)

DRAWN: tuple[Callable[[Draft, Unit, Sequence[Unit]], Right | None], ...] = (
    _plain,
    _plain,
    _plain,
    _shared,
    _located,
    _located,
    _low_rank,
    _pushed,
    _pushed,
    by_elements,
    autoregressive,  # refused as long as no gradient goes through its draws
)
"""Densities that a q may have: their draws are differentiable."""

FLOWED = (_pushed,)
"""Densities that a flow makes."""


def factor(
    d: Draft,
    side: str,
    head: Unit,
    of: Sequence[Unit],
    kinds: Sequence[Callable[[Draft, Unit, Sequence[Unit]], Right | None]] = DENSITIES,
) -> str:
    """Says a factor of `head` given all of these, by one of these kinds. Returns its left side."""
    found = None
    while found is None:  # an interval has no family of its own, only what is pushed forward
        found = d.choose(kinds if not bounded(head.support) else (*kinds, _pushed))(d, head, of)
    text, autoregressive = found
    if isinstance(autoregressive, tuple):
        left = d.head(side, autoregressive[0], autoregressive[1:])
    elif autoregressive:
        element, past = indices(head)
        left = d.head(side, head.name + element, [head.name + past, *(u.name for u in of)])
    else:
        left = d.head(side, head.name, [u.name for u in of])
    d.say(f"{left} = {text}")
    return left
