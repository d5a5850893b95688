"""Couplings: they start as the identity, keep volumes where they are told to, and act on whole numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dgmppl.runtime import MLP, Categorical, Pushforward, transforms
from dgmppl.runtime.couplings import Coupling
from dgmppl.runtime.transforms import VolumePreserving
from tests.runtime.bijections import HALF, REGISTRY, REST, D, moved


def test_couplings_start_as_the_identity() -> None:
    x = torch.randn(3, D)
    for name in ("coupling", "coupling of both", "coupling, additive"):
        y, log_det = REGISTRY[name][0]().forward_and_log_det(x)
        assert torch.equal(y, x)
        assert not log_det.any()


@pytest.mark.parametrize("norm", ["spectral", "weight"])
def test_couplings_of_normalised_weights_start_as_the_identity_and_leave_it(norm: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, D)
    coupling = Coupling(D, both=MLP(HALF, (8,), 2 * REST, norm=norm))
    for training in (True, False):
        y, log_det = coupling.train(training).forward_and_log_det(x)
        assert torch.equal(y, x)
        assert not log_det.any()
    optimizer = torch.optim.SGD(coupling.train().parameters(), lr=0.1)
    for _ in range(2):  # the first step moves lengths, or the layer that ends in zero, and the second all
        optimizer.zero_grad()
        y, log_det = coupling.forward_and_log_det(x)
        ((y - 1).square().sum() - log_det.sum()).backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in coupling.parameters())


def test_a_volume_preserving_coupling_preserves_volumes() -> None:
    torch.manual_seed(0)
    coupling = moved(Coupling(6, both=MLP(3, (8,), 6), transform=VolumePreserving()))
    x = torch.randn(5, 6)
    y, log_det = coupling.forward_and_log_det(x)
    assert (y - x)[:, 3:].std(0).min() > 0.01
    torch.testing.assert_close(log_det, torch.zeros(5))


def test_a_coupling_of_integers_stays_on_the_integers_and_learns() -> None:
    torch.manual_seed(0)
    net = MLP(HALF, (16,), REST)
    coupling = Coupling(D, shift=net, integer=True)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    x = torch.randint(-20, 20, (50, D)).float()
    y, log_det = coupling.forward_and_log_det(x)
    assert torch.equal(y, y.round())
    assert not torch.equal(y, x)
    assert torch.equal(coupling.inverse(y), x)
    assert not log_det.any()
    y.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())  # straight through the rounding


def ranged(seed: int = 0, low: int = 3, size: int = 5) -> Coupling:
    torch.manual_seed(seed)
    coupling = Coupling(2, shift=MLP(1, (16,), 1), integer=True, low=low, size=size)
    with torch.no_grad():
        for parameter in coupling.parameters():
            parameter.normal_(std=2.0)
    return coupling


def test_a_coupling_of_a_range_is_a_bijection_of_the_range() -> None:
    coupling = ranged()
    axis = torch.arange(3.0, 8.0)
    x = torch.cartesian_prod(axis, axis)
    y, log_det = coupling.forward_and_log_det(x)
    assert {tuple(v) for v in y.tolist()} == {tuple(v) for v in x.tolist()}  # every pair once
    assert not torch.equal(y, x)
    assert torch.equal(coupling.inverse(y), x)
    assert not log_det.any()


def test_a_flow_of_a_range_learns_from_the_identity() -> None:
    """x_2 follows x_1 round the range: independent categories cannot say it, a shift by x_1 makes them do."""
    torch.manual_seed(0)
    first = torch.randint(0, 5, (400, 1)).float()
    x = torch.cat([first, (first + 2 * (torch.rand(400, 1) < 0.1)) % 5], 1)
    net = MLP(1, (32,), 1)
    coupling = Coupling(2, shift=net, integer=True, size=5)
    logits = nn.Parameter(torch.zeros(2, 5))

    def p() -> Pushforward:
        return Pushforward(Categorical(logits=logits).to_event(1), coupling)

    p().log_prob(x).sum().backward()
    with torch.no_grad():
        logits[1] += torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    parameters = [*net.parameters(), logits]
    p().log_prob(x).mean().backward()
    assert all(weight.grad is not None for weight in parameters)
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    best = -torch.inf
    for _ in range(300):
        optimizer.zero_grad()
        found = p().log_prob(x).mean()
        best = max(best, found.item())
        (-found).backward()
        optimizer.step()
    independent = -2 * torch.tensor(5.0).log().item()
    assert best > independent + 0.4
    assert net(torch.arange(5.0).unsqueeze(-1) - 2).round().unique().numel() > 1


def test_a_coupling_cannot_overflow() -> None:
    net = MLP(1, (), 2)
    coupling = Coupling(2, both=net)
    for weight in net.parameters():
        nn.init.constant_(weight, 1e6)
    y, log_det = coupling.forward_and_log_det(torch.full((1, 2), 1e3))
    assert y.isfinite().all()
    assert (log_det.abs() <= transforms.SCALE_BOUND).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 1}, "two features"),
        ({"shape": 4, "scale": MLP(2, (), 2), "integer": True}, "integers"),
        ({"shape": 4, "shift": MLP(2, (), 2), "size": 4}, "modulo"),
        ({"shape": 4, "both": MLP(2, (), 4), "shift": MLP(2, (), 2)}, "one network"),
    ],
)
def test_couplings_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Coupling(**arguments)
