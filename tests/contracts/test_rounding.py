"""`floor` under a gradient: cut, or passed straight through where a spec says so."""

from __future__ import annotations

import pytest
import torch

from dgmppl import pipeline, runtime
from tests.contracts.support import build, checked, data_of, samples_of

FEATURE = """\
model rounded_features
observed x : real[6] from "rows.npz".x
observed y : categorical(3) from "rows.npz".y
let c : real[8] = straight_through(floor(4 * mlp[8](x)))
p(y | x) = Categorical(linear(c))
"""
GENERATOR = """\
model rounded_samples
observed x : integer(0..16)[6] from "rows.npz".x
latent z : real[2]
p(z) = Normal(0, 1)
x = straight_through(floor(17 * sigmoid(mlp[8](z))))
adversary D(x) = mlp[8]
"""


def test_the_value_is_floors_and_the_gradient_that_of_the_argument() -> None:
    x = torch.tensor([-1.5, -1e-9, 0.1, 2.0, 1234.567, 2.0**20 + 0.3], requires_grad=True)
    y = runtime.straight_through_floor(x)
    assert torch.equal(y, x.detach().floor())
    (gradient,) = torch.autograd.grad((y * torch.arange(6.0)).sum(), x)
    assert torch.equal(gradient, torch.arange(6.0))


@pytest.mark.parametrize("text", [FEATURE, GENERATOR], ids=["feature", "generator"])
def test_every_weight_learns_through_it(text: str) -> None:
    found = checked(text)
    model, data = build(found, scale=0.3), data_of(found)
    for player in model.players():
        model.zero_grad()
        player.loss(*data).backward()
        for p in player.parameters:
            assert p.grad is not None and p.grad.any()


def test_values_are_whole() -> None:
    found = checked(GENERATOR)
    (x,) = samples_of(found, build(found, scale=0.3), 50).values()
    assert torch.equal(x, x.round())
    assert ((x >= 0) & (x <= 16)).all()
    features = build(checked(FEATURE)).define_c(torch.randn(9, 6))
    assert torch.equal(features, features.round())


def test_only_a_rounded_value_is_passed_straight_through() -> None:
    found = pipeline.read(FEATURE.replace("floor(4 * mlp[8](x))", "tanh(mlp[8](x))"))
    assert [d.code for d in found.errors] == ["E217"]
