"""Linear bijections of channels: where actnorm starts, what permutations move, rotations of the normal distribution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmppl.permutations import permutation
from dgmppl.runtime import Normal, Pushforward
from dgmppl.runtime.linear import ActNorm, Householder, Permute
from tests.runtime.bijections import D


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("shape", [(3,), (4, 2, 3)], ids=["vector", "grid"])
def test_actnorm_starts_from_the_first_batch_of_a_fit(shape: tuple[int, ...], backwards: bool) -> None:
    torch.manual_seed(0)
    scale = torch.tensor([2.0, 0.1, 30.0])
    x, other = (5 + scale * torch.randn(50, *shape) for _ in range(2))
    norm = ActNorm(shape)

    def apply(values: Tensor) -> Tensor:
        return norm.inverse(values) if backwards else norm(values)

    norm.eval()
    assert torch.equal(apply(x), x)
    norm.train()
    y = apply(x).reshape(-1, 3)
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    again = ActNorm(shape)
    again.load_state_dict(norm.state_dict())
    assert torch.equal(again.inverse(other) if backwards else again(other), apply(other))


def test_actnorm_starts_from_what_does_not_vary() -> None:
    norm = ActNorm(2)
    y = norm(torch.full((5, 2), 7.0))
    assert y.isfinite().all()
    assert norm.log_scale.exp().max() <= 1.001e3


@pytest.mark.parametrize("features", [2, 3, 4, 7, 64])
def test_permutations_move_something_between_the_halves(features: int) -> None:
    identity = tuple(range(features))
    orders = [permutation(features, seed) for seed in range(20)]
    for order in orders:
        assert tuple(sorted(order)) == identity
        assert set(order[: features // 2]) != set(identity[: features // 2])
    assert orders == [permutation(features, seed) for seed in range(20)]
    assert len(set(orders)) > {2: 0, 3: 2}.get(features, 8)
    assert permutation(1, 0) == (0,)
    x = torch.arange(float(features))
    assert tuple(Permute(features, seed=3)(x).long().tolist()) == orders[3]


def test_a_householder_flow_keeps_the_normal() -> None:
    torch.manual_seed(0)
    base = Normal(torch.zeros(D), torch.ones(D)).to_event(1)
    y = torch.randn(7, D)
    torch.testing.assert_close(Pushforward(base, Householder(D)).log_prob(y), base.log_prob(y))
