"""The catalogue's facts about each distribution, against torch, Pyro and draws."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import distributions as td

from dgmppl import runtime as rt
from dgmppl.catalogue.distributions import CLOSED_KL, DISTRIBUTIONS
from dgmppl.runtime import pyro_distributions

by_name = pytest.mark.parametrize("name", DISTRIBUTIONS)
VALUES = {
    "real": (0.4, -0.7),
    "positive": (1.3, 2.2),
    "unit": (0.3, 0.6),
    "increasing": (-0.6, 0.2),
    "sphere": (0.5, -0.9),
    "natural": (5.0, 5.0),
}
VECTORS = ("simplex", "sphere")


def word_of(name: str) -> str:
    """The support of a distribution, the last of several, in a word."""
    return DISTRIBUTIONS[name].support.written()[-1].split("(")[0]


def torchs(name: str) -> Any:
    """Torch's class, where it has one; its `Multinomial` has one number of draws for all rows."""
    return None if name == "Multinomial" else getattr(td, name, None)


def parameters(name: str, k: int = 0, shape: tuple[int, ...] = ()) -> dict[str, torch.Tensor]:
    """Parameters inside the constraints that the catalogue gives; k chooses one of two sets."""
    entry = DISTRIBUTIONS[name]
    found = {}
    for p in entry.parameters:
        alone = (word_of(name) in VECTORS or entry.vector) and p.size != "vector"
        size = (*shape, *({"K": (4,), "K-1": (3,), "R": (4, 2)}.get(p.size, (4,) if alone else ())))
        steps = 0.1 * torch.arange(float(size[-1])) if len(size) > len(shape) else torch.zeros(())
        found[p.name] = (torch.full(size, VALUES[p.constraint.word][k]) + steps).reshape(size)
    return found


def ours(name: str, k: int = 0, shape: tuple[int, ...] = ()) -> Any:
    return getattr(rt, name)(**parameters(name, k, shape))


@by_name
def test_parameters_are_those_of_the_class(name: str) -> None:
    entry, made = DISTRIBUTIONS[name], ours(name)
    constraints = {
        "real": (td.constraints.real,),
        "positive": (td.constraints.positive, td.constraints.nonnegative, td.constraints.greater_than_eq(0)),
    }
    theirs = torchs(name)
    if theirs is None:
        assert entry.ours
        return
    for p in entry.parameters:
        given = theirs.arg_constraints[p.name]
        base = getattr(given, "base_constraint", given)
        assert any(str(base) == str(c) for c in constraints[p.constraint.word]), (p.name, base)
    assert issubclass(type(made), theirs)
    assert hasattr(dist, name)


@by_name
def test_reparameterised_is_what_the_class_has(name: str) -> None:
    entry, made = DISTRIBUTIONS[name], ours(name)
    assert made.has_rsample == entry.reparameterised
    if not entry.reparameterised:
        return
    values = {n: v.requires_grad_() for n, v in parameters(name).items()}
    draw = getattr(rt, name)(**values).rsample((5,))
    gradients = torch.autograd.grad(draw.square().sum(), list(values.values()))
    assert all(g.isfinite().all() and g.any() for g in gradients)


SUPPORTS = {
    "real": lambda x: x.isfinite(),
    "positive": lambda x: (x > 0) & x.isfinite(),
    "unit": lambda x: (x > 0) & (x < 1),
    "binary": lambda x: (x == 0) | (x == 1),
    "categorical": lambda x: (x == x.floor()) & (x >= 0) & (x < 4),
    "ordinal": lambda x: (x == x.floor()) & (x >= 0) & (x < 4),
    "integer": lambda x: x == x.floor(),
    "natural": lambda x: (x == x.floor()) & (x >= 0),
    "simplex": lambda x: (x > 0) & ((x.sum(-1, keepdim=True) - 1).abs() < 1e-5),
    "sphere": lambda x: (x.square().sum(-1) - 1).abs() < 1e-5,
}


@by_name
def test_draws_lie_in_the_support_and_torchs_own(name: str) -> None:
    torch.manual_seed(0)
    made = ours(name)
    draws = made.sample((2000,))
    assert SUPPORTS[word_of(name)](draws).all()
    assert made.log_prob(draws).isfinite().all()
    assert len(made.event_shape) == int(word_of(name) in VECTORS or DISTRIBUTIONS[name].vector)
    theirs = torchs(name)
    if theirs is not None:
        assert theirs(**parameters(name), validate_args=False).support.check(draws).all()


ELSEWHERE = ("VonMisesFisher", "LowRankNormal")
"""Torch has none of this name: divergences are held against quadrature in `test_directions.py`, and against draws."""


@by_name
def test_a_divergence_within_a_family_is_closed_where_torch_has_one(name: str) -> None:
    """A divergence without a rule is NotImplementedError in torch."""
    theirs = torchs(name)
    if theirs is None:
        assert (name, name) not in CLOSED_KL or name in ELSEWHERE
        return
    try:
        td.kl_divergence(theirs(**parameters(name)), theirs(**parameters(name, 1)))
        known = True
    except NotImplementedError:
        known = False
    assert ((name, name) in CLOSED_KL) == known


@pytest.mark.parametrize(("q", "p"), sorted(CLOSED_KL - {("Cauchy", "Cauchy")}))
def test_a_closed_divergence_is_the_mean_over_draws(q: str, p: str) -> None:
    first, second = ours(q, 0, (2,)), ours(p, 1, (2,))
    torch.manual_seed(0)
    x = first.sample((100_000,))
    ratio = first.log_prob(x) - second.log_prob(x)
    found = rt.kl_divergence(first, second)
    assert ((found - ratio.mean(0)).abs() < 5 * ratio.std(0) / math.sqrt(100_000) + 1e-6).all()


def test_every_closed_divergence_is_of_two_distributions_that_torch_knows() -> None:
    for q, p in CLOSED_KL:
        if q in ELSEWHERE:
            continue
        double = [getattr(td, n)(**{k: v.double() for k, v in parameters(n, i).items()}) for i, n in enumerate((q, p))]
        expected = td.kl_divergence(*double)
        torch.testing.assert_close(rt.kl_divergence(ours(q, 0), ours(p, 1)).double(), expected, rtol=1e-5, atol=1e-6)


@by_name
def test_pyro_has_the_same_density(name: str) -> None:
    torch.manual_seed(0)
    entry = DISTRIBUTIONS[name]
    theirs = getattr(pyro_distributions if entry.ours else dist, name)(**parameters(name))
    x = ours(name).sample((20,))
    torch.testing.assert_close(theirs.log_prob(x), ours(name).log_prob(x), rtol=1e-4, atol=1e-5)
    assert theirs.has_rsample == entry.reparameterised
