"""Bijections of free networks: how far they go, what they estimate, and the equation that an `ODEFlow` follows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from dgmppl.runtime import ACTIVATIONS, MLP, DenseNet, integrals, jacobians
from dgmppl.runtime.contractions import ResidualFlow, spectral_norm
from dgmppl.runtime.integrals import FieldFlow, ODEFlow

D = 4


def spread(bijection: nn.Module, scale: float = 0.5) -> nn.Module:
    torch.manual_seed(1)
    bijection = bijection.double()
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return bijection


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dense", [False, True], ids=["mlp", "densenet"])
def test_a_residual_flow_is_a_contraction_whatever_its_weights(activation: str, dense: bool) -> None:
    network = DenseNet((D,), (8, 8), (D,), activation=activation) if dense else MLP(D, (8, 8), D, activation)
    flow = spread(ResidualFlow(D, network, lipschitz=0.9), scale=5.0)
    x = torch.randn(200, D, dtype=torch.double)
    g = flow._contraction([])
    jacobians = torch.func.vmap(torch.func.jacrev(g))(x)
    assert float(torch.linalg.matrix_norm(jacobians, 2).detach().max()) <= 0.9
    torch.testing.assert_close(flow.inverse(flow(x)), x)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5), (1, 4)])
def test_the_spectral_norm_and_its_gradient(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.double, requires_grad=True)
    torch.testing.assert_close(spectral_norm(matrix), torch.linalg.matrix_norm(matrix, 2))
    (found,) = torch.autograd.grad(spectral_norm(matrix), matrix)
    (expected,) = torch.autograd.grad(torch.linalg.matrix_norm(matrix, 2), matrix)
    torch.testing.assert_close(found, expected)


def verify_mean(draws: Tensor, expected: Tensor) -> None:
    """The mean of draws ``(n, k)`` lies within 4.5 standard errors."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - expected).abs() < 4.5 * error).all())
    assert bool((draws.std(0) > 0).all())


def test_estimates_of_a_residual_flow_have_no_bias() -> None:
    flow = spread(ResidualFlow(D, MLP(D, (8,), D, activation="lipswish"), lipschitz=0.8, estimated=True))
    x = torch.randn(3, 1, D, dtype=torch.double)
    rows = x.expand(3, 50, D).contiguous()
    draws = torch.stack([flow.forward_and_log_det(rows)[1].detach().mean(-1) for _ in range(150)])
    verify_mean(draws, flow.eval().forward_and_log_det(x[:, 0])[1])


def test_estimates_of_an_equation_have_no_bias() -> None:
    """A linear one, ``dz/dt = A z``: its divergence is tr A everywhere."""
    flow = ODEFlow(D, MLP(D + 1, (), D), steps=2, estimated=True).double()
    torch.manual_seed(0)
    matrix = torch.randn(D, D, dtype=torch.double)
    flow.network[0].weight.data[:, :D] = matrix
    x = torch.randn(500, D, dtype=torch.double)
    draws = torch.cat([flow.forward_and_log_det(x)[1].detach() for _ in range(4)])
    verify_mean(draws.unsqueeze(1), matrix.trace())


def test_a_figure_is_never_an_estimate() -> None:
    for flow in (
        spread(ResidualFlow(D, MLP(D, (8,), D), estimated=True)),
        spread(ODEFlow(D, MLP(D + 1, (8,), D), steps=2, estimated=True)),
    ):
        x = torch.randn(3, D, dtype=torch.double)
        assert not torch.equal(flow.forward_and_log_det(x)[1], flow.forward_and_log_det(x)[1])
        assert torch.equal(*(flow.eval().forward_and_log_det(x)[1] for _ in range(2)))


def test_an_equation_is_solved() -> None:
    """``dz/dt = A z`` is ``z(1) = exp(A) z(0)``, with ``log |det| = tr A``, to the order of the method."""
    torch.manual_seed(0)
    matrix = 0.5 * torch.randn(D, D, dtype=torch.double)
    x = torch.randn(3, D, dtype=torch.double)
    errors = []
    for steps in (4, 8):
        flow = ODEFlow(D, MLP(D + 1, (), D), steps=steps).double()
        flow.network[0].weight.data[:, :D] = matrix
        y, log_det = flow.forward_and_log_det(x)
        errors.append(float((y - x @ torch.linalg.matrix_exp(matrix).mT).abs().max()))
        torch.testing.assert_close(log_det, matrix.trace().expand(3), atol=1e-3, rtol=0)
    assert 12 < errors[0] / errors[1] < 20  # 2^4


def test_the_time_is_read() -> None:
    """``dz/dt = t`` ends at z + 1/2."""
    flow = ODEFlow(D, MLP(D + 1, (), D)).double()
    flow.network[0].weight.data[:, D] = 1
    x = torch.randn(3, D, dtype=torch.double)
    torch.testing.assert_close(flow(x), x + 0.5)


def test_a_field_may_be_any_function_over_any_time() -> None:
    """``dz/dt = -b(t) z / 2``, the drift that forgets the data (Song et al., 2021, Eq. 11), with what b reads without
    rows, is solved as scipy solves it."""
    beta = torch.tensor([0.5, 6.0], dtype=torch.double)

    def field(z: Tensor, t: Tensor, beta: Tensor) -> Tensor:
        return -((beta[0] + beta[1] * t) / 2)[:, None, None] * z.sin()

    flow = FieldFlow((2, 3), field, steps=40, start=0.25, end=0.75, context={"beta": 1})
    x = torch.randn(4, 2, 3, dtype=torch.double)
    y, log_det = flow.forward_and_log_det(x, {"beta": beta})
    found = solve_ivp(
        lambda t, z: -(0.5 + 6 * t) / 2 * np.sin(z), (0.25, 0.75), x.flatten().numpy(), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(y.flatten(), torch.as_tensor(found.y[:, -1]), atol=1e-7, rtol=0)
    torch.testing.assert_close(flow.inverse(y, {"beta": beta}), x)
    with torch.no_grad():
        torch.testing.assert_close(flow.inverse_and_log_det(y, {"beta": beta})[1], -log_det)


def test_many_rows_are_undone_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is taught, as many Jacobians are held at once as there is room for."""
    flow = FieldFlow(D, lambda z, t, y, a: (z + y).tanh() * a, steps=2, context={"y": 1, "a": 1}).double()
    x, y, a = (torch.randn(*s, dtype=torch.double) for s in ((7, D), (7, D), (D,)))
    whole = flow.inverse_and_log_det(x, {"y": y, "a": a})
    monkeypatch.setattr(integrals, "HELD", 2 * D**2)
    monkeypatch.setattr(jacobians, "PASSES", 4)
    with torch.no_grad():
        torch.testing.assert_close(flow.inverse_and_log_det(x, {"y": y, "a": a}), whole)


def test_second_derivatives_of_inverses() -> None:
    torch.manual_seed(0)
    for flow in (
        spread(ResidualFlow(2, MLP(2, (4,), 2, activation="tanh"))),
        spread(ODEFlow(2, MLP(3, (4,), 2, activation="tanh"), steps=2)),
    ):
        y = torch.randn(2, 2, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(flow.inverse_and_log_det, (y,))
        assert torch.autograd.gradgradcheck(flow.inverse_and_log_det, (y,))


@pytest.mark.parametrize("lipschitz", [0.0, 1.0])
def test_constants_that_make_no_bijection(lipschitz: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ResidualFlow(D, MLP(D, (8,), D), lipschitz=lipschitz)
