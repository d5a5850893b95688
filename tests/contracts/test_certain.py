"""A latent that the data says with certainty: log p(x, y) by hand, below log p(x) by enumeration."""

from __future__ import annotations

import itertools

import pytest
import torch

from dgmppl.graph.ends import ends_of
from tests.contracts.support import COMPOSITIONS, build, checked, data_of, graph_of, seed

COARSE = """\
model coarse
observed x : integer(0..2)[4] from "rows.npz".x
latent   y : integer(0..2)[2]
p(y)     = Categorical(param)
p(x | y) = Categorical(mlp[4](y))
q(y | x) = Delta(floor(mean(reshape(x, [2, 2]), axis = 1) + 0.5))
"""


def test_the_bound_is_the_joint_and_lies_below_the_likelihood() -> None:
    found = checked(COARSE)
    model = build(found, scale=0.5)
    (x,) = data_of(found, 50)
    with torch.no_grad():
        y = torch.floor((x.reshape(-1, 2, 2).sum(-1) + 1) / 2)
        joint = model.p_y().log_prob(y) + model.p_x(y).log_prob(x)
        assert torch.allclose(model.elbo(x), joint, atol=1e-5)
        values = torch.tensor(list(itertools.product(range(3), repeat=2))).float()
        cases = [model.p_y().log_prob(v) + model.p_x(v.expand(50, 2)).log_prob(x) for v in values]
        assert (model.elbo(x) <= torch.logsumexp(torch.stack(cases), 0) + 1e-5).all()
        assert torch.equal(model.infer(x)["y"], y)
        everything = torch.tensor(list(itertools.product(range(3), repeat=4))).float()
        assert model.elbo(everything).exp().sum() < 1


def test_beside_other_latents_it_is_a_bound_with_a_gradient_for_everything() -> None:
    found = checked(next(p for p in COMPOSITIONS if p.stem == "coarse_first"))
    model, data = build(found, scale=0.3), data_of(found, 6)
    with seed(2):
        terms = model.terms(*data)
    assert not any("log q(y" in name or "log q(b" in name for name in terms)
    sum(terms.values()).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("value", "ends"),
    [
        ("floor(mean(x))", (0, 2)),
        ("floor(mean(x) + 0.5)", (0, 2)),
        ("floor((2 - x[0]) / 2 * 3 - 1)", (-1, 2)),
        ("straight_through(floor(4 * sigmoid(linear(x)) - 1))", (-1, 3)),
        ("floor(1 / (x[0] - 1))", (-float("inf"), float("inf"))),
    ],
)
def test_the_ends_of_a_value_are_those_of_its_arithmetic(value: str, ends: tuple[float, float]) -> None:
    shape = " : real" if "linear" in value else ""
    text = f"let v{shape} = {value}\np(x) = Categorical(param)\n"
    found = checked('model ends\nobserved x : integer(0..2)[4] from "rows.npz".x\n' + text)
    graph = graph_of(found)
    definition = graph.definition("v")
    assert definition is not None
    found = ends_of(graph, definition.value)
    assert (found.low, found.high) == ends
