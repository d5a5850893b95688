"""One contract for every bijection: its inverse undoes it, its log-determinant is that of its Jacobian."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dgmppl.permutations import permutation
from dgmppl.runtime import MLP, Categorical, Normal, Pushforward, bijections
from dgmppl.runtime.bijections import (
    Affine,
    Bijection,
    Compose,
    Coupling,
    Exp,
    Householder,
    Permute,
    Reverse,
    Sigmoid,
    Softplus,
    Tanh,
)

D, K = 5, 3
HALF, REST = D // 2, D - D // 2

# Each entry: how to build it, and the size of its context (0 for none).
REGISTRY: dict[str, tuple[Callable[[], Bijection], int]] = {
    "coupling": (lambda: Coupling(D, MLP(HALF, (8,), REST, out="tanh"), MLP(HALF, (8,), REST)), 0),
    "coupling of both": (lambda: Coupling(D, both=MLP(HALF, (8,), 2 * REST)), 0),
    "coupling, scale only": (lambda: Coupling(D, scale=MLP(HALF, (8,), REST)), 0),
    "coupling, additive": (lambda: Coupling(D, shift=MLP(HALF, (8,), REST)), 0),
    "coupling given": (lambda: Coupling(D, both=MLP(HALF + K, (8,), 2 * REST)), K),
    "reverse": (Reverse, 0),
    "permute": (lambda: Permute(D, seed=3), 0),
    "householder": (lambda: Householder(D), 0),
    "householder given": (lambda: Householder(D, MLP(K, (8,), D)), K),
    "householder of the context": (lambda: Householder(D, nn.Identity()), D),
    "affine": (lambda: Affine(D), 0),
    "affine given": (lambda: Affine(D, MLP(K, (8,), 2 * D)), K),
    "sigmoid": (Sigmoid, 0),
    "tanh": (Tanh, 0),
    "exp": (Exp, 0),
    "softplus": (Softplus, 0),
    "compose": (
        lambda: Compose(
            Coupling(D, both=MLP(HALF + K, (8,), 2 * REST)),
            Reverse(),
            Coupling(D, both=MLP(HALF, (8,), 2 * REST)),  # takes no context
            Householder(D, MLP(K, (), D)),
            Affine(D),
        ),
        K,
    ),
}
# Not in the registry under their own name: the protocol, and what `given` returns, what the scalar maps share.
INDIRECT = {"Bijection", "Conditioned", "Elementwise"}


@pytest.fixture(params=REGISTRY)
def case(request: pytest.FixtureRequest) -> tuple[Bijection, Tensor, Tensor | None]:
    """A bijection whose parameters are moved off their start (often the identity), an input and a context."""
    torch.manual_seed(0)
    make, size = REGISTRY[request.param]
    bijection = make().double()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    context = torch.randn(4, size, dtype=torch.double) if size else None
    return bijection, torch.randn(4, D, dtype=torch.double), context


def test_the_inverse_undoes_the_map(case: tuple[Bijection, Tensor, Tensor | None]) -> None:
    bijection, x, context = case
    y, log_det = bijection.forward_and_log_det(x, context)
    back, log_det_back = bijection.inverse_and_log_det(y, context)
    assert not torch.allclose(y, x)
    torch.testing.assert_close(back, x, atol=1e-8, rtol=0)
    torch.testing.assert_close(log_det_back, -log_det, atol=1e-8, rtol=0)
    torch.testing.assert_close(bijection(x, context), y)
    torch.testing.assert_close(bijection.inverse(y, context), back)


def test_float32_returns_too(case: tuple[Bijection, Tensor, Tensor | None]) -> None:
    bijection, x, context = case
    bijection, x, context = bijection.float(), x.float(), None if context is None else context.float()
    back = bijection.inverse(bijection(x, context), context)
    torch.testing.assert_close(back, x, atol=1e-5, rtol=1e-5)


def test_the_log_determinant_is_the_jacobians(case: tuple[Bijection, Tensor, Tensor | None]) -> None:
    bijection, x, context = case
    _, log_det = bijection.forward_and_log_det(x, context)
    assert log_det.shape == (4,)
    for i in range(4):
        given = None if context is None else context[i]
        jacobian = torch.autograd.functional.jacobian(lambda v, c=given: bijection(v, c), x[i])
        torch.testing.assert_close(log_det[i], jacobian.slogdet().logabsdet)


def test_a_given_context_is_the_same_map(case: tuple[Bijection, Tensor, Tensor | None]) -> None:
    bijection, x, context = case
    context = torch.randn(4, 2, dtype=torch.double) if context is None else context
    fixed = bijection.given(context)
    assert fixed.batch_shape == (4,)
    for found, expected in zip(fixed.forward_and_log_det(x), bijection.forward_and_log_det(x, context), strict=True):
        torch.testing.assert_close(found, expected)
    for found, expected in zip(
        fixed.inverse_and_log_det(bijection(x, context)),
        bijection.inverse_and_log_det(bijection(x, context), context),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


def test_batches_broadcast_against_contexts(case: tuple[Bijection, Tensor, Tensor | None]) -> None:
    """The shape a mixture of conditioned flows needs: one input for each of several contexts."""
    bijection, x, context = case
    y, log_det = bijection.forward_and_log_det(x.unsqueeze(1), context)
    contexts = 1 if context is None else 4
    assert y.shape == (4, contexts, D)
    assert log_det.shape == (4, contexts)
    expected = bijection.forward_and_log_det(x[1], None if context is None else context[2])
    torch.testing.assert_close((y[1, 2 % contexts], log_det[1, 2 % contexts]), expected)


def test_couplings_start_as_the_identity() -> None:
    x = torch.randn(3, D)
    for name in ("coupling", "coupling of both", "coupling, additive"):
        y, log_det = REGISTRY[name][0]().forward_and_log_det(x)
        assert torch.equal(y, x)
        assert not log_det.any()


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


def test_a_coupling_cannot_overflow() -> None:
    net = MLP(1, (), 2)
    coupling = Coupling(2, both=net)
    for weight in net.parameters():
        nn.init.constant_(weight, 1e6)
    y, log_det = coupling.forward_and_log_det(torch.full((1, 2), 1e3))
    assert y.isfinite().all()
    assert (log_det.abs() <= bijections.SCALE_BOUND).all()


def test_composition_order() -> None:
    double, add = Affine(1), Affine(1)
    with torch.no_grad():
        double.log_scale.fill_(2.0).log_()
        add.loc.fill_(1.0)
    torch.testing.assert_close(Compose(double, add)(torch.tensor([3.0])), torch.tensor([7.0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 1}, "two features"),
        ({"features": 4, "scale": MLP(2, (), 2), "integer": True}, "integers"),
        ({"features": 4, "both": MLP(2, (), 4), "shift": MLP(2, (), 2)}, "one network"),
    ],
)
def test_couplings_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Coupling(**arguments)


def test_a_householder_flow_keeps_the_normal() -> None:
    torch.manual_seed(0)
    base = Normal(torch.zeros(D), torch.ones(D)).to_event(1)
    y = torch.randn(7, D)
    torch.testing.assert_close(Pushforward(base, Householder(D)).log_prob(y), base.log_prob(y))


def test_every_public_bijection_is_in_the_registry() -> None:
    covered = {type(make()).__name__ for make, _ in REGISTRY.values()}
    assert set(bijections.__all__) == covered | INDIRECT
