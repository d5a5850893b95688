"""Latents of few values that are summed out one after another, or at many positions at once: the likelihood and the
posterior are those by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor

import dgmppl
from dgmppl.pipeline import Checked
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.runtime.model import GenerativeModel
from tests.contracts.support import build, checked, data_of, graph_of, seed

PARTS = {
    "a tree": """\
model tree
observed x : real[2] from "r.npz".x
observed y : categorical(3) from "r.npz".y
latent a : categorical(3)
latent b : integer(1..2)
latent c : binary[2]
let h : real[3] = mlp[4](c)
p(a)     = Categorical(param)
p(b | a) = Categorical(mlp[3](a))
p(c | a) = Bernoulli(mlp[3](a))
p(x | b) = Normal(mlp[3](b))
p(y | c) = Categorical(linear(h))
""",
    "a loop": """\
model loop
observed x : real[2] from "r.npz".x
latent a : categorical(3)
latent b : binary
latent c : categorical(3)
latent d : binary
latent e : categorical(3)
p(a)        = Categorical(param)
p(b | a)    = Bernoulli(mlp[3](a))
p(c | a)    = Categorical(mlp[3](a))
p(d | b, c) = Bernoulli(mlp[3](b, c))
p(e | d)    = Categorical(mlp[3](d))
p(x | e, a) = Normal(mlp[3](e, a))
""",
    "a class at each position": """\
model classes
observed x : real[3, 2] from "r.npz".x
latent k : categorical(3)[3]
param M : real[3, 2]
p(k) = Categorical(param)
p(x[d] | k[d]) = Normal(M[k[d]] + linear(k[d]), 0.5)
""",
    "two at each position and one for all": """\
model all_of_it
observed x : natural[1, 2] from "r.npz".x
observed y : real from "r.npz".y
latent s : categorical(3)
latent j : binary[1, 2]
latent k : categorical(3)[1, 2]
p(s)                         = Categorical(param)
p(j[i, l] | s)               = Bernoulli(linear(s, i))
p(k[i, l] | j[i, l])         = Categorical(mlp[3](j[i, l]))
p(x[i, l] | j[i, l], k[i, l], s) = Poisson(mlp[4](j[i, l], k[i, l], s))
p(y | s)                     = Normal(linear(s))
""",
    "rows of a plate": """\
model rows
observed x : real[2] from "r.npz".x
latent k : binary[2, 3]
p(k) = Bernoulli(param)
p(x[d] | k[d]) = Normal(mlp[4](k[d]))
""",
    "a chain": """\
model chain
observed a : real from "r.npz".a
observed b : real from "r.npz".b
observed c : real from "r.npz".c
latent k[t in 1..4] : categorical(3)
net next = mlp[4]
net see = mlp[4]
p(k[1])          = Categorical(param)
p(k[t] | k[t-1]) = Categorical(next(k[t-1]))
p(a | k[1])      = Normal(see(k[1]))
p(b | k[2])      = Normal(see(k[2]))
p(c | k[4])      = Normal(see(k[4]))
""",
    "what nothing depends on": """\
model leaf
observed x : real[3] from "r.npz".x
latent k : categorical(3)[3]
latent l : binary[3]
p(k) = Categorical(param)
p(l[d] | k[d]) = Bernoulli(0.3)
p(x[d] | k[d]) = Normal(linear(k[d]))
""",
}


def _values(found: Checked) -> Iterator[dict[str, Tensor]]:
    """Every joint value of the latents, by name."""
    latents = graph_of(found).latents
    every = [
        [
            torch.tensor(v).double().reshape(u.type.shape)
            for v in itertools.product(u.type.support.values(), repeat=u.type.elements)
        ]
        for u in latents
    ]
    for joint in itertools.product(*every):
        yield {v.name: value for v, value in zip(latents, joint)}


def _joint(found: Checked, model: GenerativeModel, data: Mapping[str, Tensor], n: int) -> tuple[list, Tensor]:
    """Every joint value of the latents, and log p(data, value) of each row, (n, values)."""
    graph, values, numbers = graph_of(found), list(_values(found)), []
    for value in values:
        known = {k: v.expand(n, *v.shape) for k, v in value.items()} | dict(data)
        for d in graph.definitions:
            known[d.variable] = getattr(model, f"define_{graph[d.variable].ident}")(*(known[r] for r in ("c",)))
        each = [
            getattr(model, f.method)(*(known[r] for r in graph.reads(f))).log_prob(known[f.head])
            for f in graph.factors
            if f.side == "p"
        ]
        numbers.append(sum(each, torch.zeros(n)))
    return values, torch.stack(numbers, 1)


@pytest.mark.parametrize("name", PARTS)
def test_the_sum_and_the_posterior_are_those_by_enumeration(name: str) -> None:
    found = checked(PARTS[name])
    assert found.plan is not None
    (step,) = (s for s in found.plan.steps if isinstance(s, SumOut))
    graph = graph_of(found)
    assert step.largest < math.prod(v.type.support.size**v.type.elements for v in graph.latents)  # type: ignore[operator]
    model, rows = build(found, scale=0.5), data_of(found, 5)
    model.double()
    rows = [r.double() for r in rows]
    with torch.no_grad():
        values, joint = _joint(found, model, {v.name: r for v, r in zip(graph.data, rows)}, 5)
        assert torch.allclose(model.log_prob(*rows), joint.logsumexp(1), atol=1e-8)
        best = model.infer(*rows, mean=True)
        scores = []
        for row in range(5):
            (same,) = (
                k for k, v in enumerate(values) if all(torch.equal(best[n][row].double(), v[n].double()) for n in v)
            )
            scores.append(joint[row, same])
        assert torch.allclose(torch.stack(scores), joint.amax(1), atol=1e-8)
        # Shares of every value of each latent, in many draws for one row.
        many = [r[:1].expand(8_000, *r.shape[1:]) for r in rows]
        with seed(1):
            drawn = model.infer(*many)
        posterior = joint[0].softmax(0)
        for latent in graph.latents:
            expected = sum(p * v[latent.name] for p, v in zip(posterior, values))
            both = sum(p * v[latent.name] * v[graph.latents[0].name].sum() for p, v in zip(posterior, values))
            first = drawn[graph.latents[0].name].reshape(8_000, -1).sum(1)
            found_both = (drawn[latent.name] * first.reshape(-1, *(1,) * len(latent.type.shape))).mean(0)
            assert torch.allclose(drawn[latent.name].mean(0), expected, atol=0.06)
            assert torch.allclose(found_both, both, atol=0.06 * max(1.0, both.abs().max().item()))


@pytest.mark.parametrize("name", PARTS)
def test_every_weight_has_a_gradient_that_is_that_of_enumeration(name: str) -> None:
    found = checked(PARTS[name])
    model, rows = build(found, scale=0.5).double(), [r.double() for r in data_of(found, 3)]
    weights = dict(model.named_parameters())
    _, joint = _joint(found, model, {v.name: r for v, r in zip(graph_of(found).data, rows)}, 3)
    ours = torch.autograd.grad(model.log_prob(*rows).sum(), weights.values(), allow_unused=True)
    theirs = torch.autograd.grad(joint.logsumexp(1).sum(), weights.values(), allow_unused=True)
    for key, a, b in zip(weights, ours, theirs):
        assert b is not None
        assert torch.allclose(torch.zeros_like(b) if a is None else a, b, atol=1e-7), key


def test_what_some_rows_miss_counts_where_it_is_seen() -> None:
    """A label of which rows have some, below a class of a tree: its table is 1 where it is missing."""
    text = PARTS["a tree"].replace("observed y", "partial y")
    found = checked(text)
    assert found.plan is not None and any(isinstance(s, SumOut) for s in found.plan.steps)
    model, whole = build(found, scale=0.5), build(checked(PARTS["a tree"]))
    whole.load_state_dict(model.state_dict())
    x, y = data_of(checked(PARTS["a tree"]), 6)
    seen = torch.arange(6) % 2 == 0
    with torch.no_grad():
        some = model.log_prob(x, torch.where(seen, y, torch.nan))
        every = torch.stack([whole.log_prob(x, torch.full((6,), float(k))) for k in range(3)])
        expected = torch.where(seen, whole.log_prob(x, y), every.logsumexp(0))
    assert torch.allclose(some, expected, atol=1e-5)


def test_what_is_far_too_large_for_enumeration_is_a_product_over_positions() -> None:
    found = checked(
        PARTS["a class at each position"].replace("x : real[3, 2]", "x : real[100, 2]").replace(")[3]", ")[100]")
    )
    model, (x,) = build(found, scale=0.5), data_of(found, 4)
    with torch.no_grad():
        k = torch.arange(3.0)[:, None, None].expand(3, 4, 100)
        each = model.p_k().base_dist.log_prob(k) + torch.stack([model.p_x(v).base_dist.log_prob(x).sum(-1) for v in k])
        assert torch.allclose(model.log_prob(x), each.logsumexp(0).sum(-1), atol=1e-3)
        assert torch.equal(model.infer(x, mean=True)["k"], each.argmax(0).float())


def test_explain_says_by_which_tables() -> None:
    assert "summed out at each of 3 positions, over 3 values" in " ".join(
        dgmppl.explain(PARTS["a class at each position"]).split()
    )
    text = " ".join(dgmppl.explain(PARTS["a tree"]).split())
    assert "summed out one after another, by tables of at most 12 values a row" in text
    assert "exact log-likelihood log p(x, y)" in text
