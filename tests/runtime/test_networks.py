"""Networks: shapes, sizes, and causality read off the Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dgmppl.runtime import ACTIVATIONS, MLP, CausalConv, CausalMLP
from dgmppl.runtime.masked import MaskedLinear

LENGTH = 7
CAUSAL: dict[str, Callable[[int], Any]] = {
    "CausalConv": lambda context: CausalConv(2, (8, 8), 3, kernel=3, context=context),
    "CausalConv, linear": lambda context: CausalConv(2, (), 3, kernel=3, context=context),
    "CausalMLP": lambda context: CausalMLP(LENGTH, 2, (32, 32), 3, context=context),
    "CausalMLP, linear": lambda context: CausalMLP(LENGTH, 2, (), 3, context=context),
}
causal = pytest.mark.parametrize("name", CAUSAL)
with_context = pytest.mark.parametrize("context", [0, 4])


@causal
@with_context
def test_a_position_sees_its_past_and_nothing_else(name: str, context: int) -> None:
    torch.manual_seed(0)
    net = CAUSAL[name](context)
    given = torch.randn(context) if context else None
    # (out position, out channel, in position, in channel) -> which position sees which
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, given), torch.randn(LENGTH, 2))
    sees = jacobian.abs().sum((1, 3)) > 0
    reach = torch.ones(LENGTH, LENGTH).tril(-1).bool()
    if isinstance(net, CausalConv):
        reach &= torch.ones(LENGTH, LENGTH).triu(-1 - len(net.layers) * (net.kernel - 1)).bool()
    assert torch.equal(sees, reach)


@causal
@with_context
def test_shapes_and_batches(name: str, context: int) -> None:
    torch.manual_seed(0)
    net = CAUSAL[name](context)
    x = torch.randn(5, 1, LENGTH, 2)
    given = torch.randn(4, context) if context else None
    y = net(x, given)
    assert y.shape == (5, 4 if context else 1, LENGTH, 3)
    alone = net(x[3, 0], None if given is None else given[2])
    torch.testing.assert_close(y[3, 2 if context else 0], alone)


@causal
def test_a_context_reaches_every_position(name: str) -> None:
    net = CAUSAL[name](4)
    x = torch.zeros(LENGTH, 2)
    jacobian = torch.autograd.functional.jacobian(lambda c: net(x, c), torch.randn(4))
    assert (jacobian.abs().sum((1, 2)) > 0).all()
    with pytest.raises(ValueError, match="context"):
        net(x)


def test_a_single_position_has_no_past() -> None:
    net = CausalMLP(1, 1, (8,), 2)
    assert torch.equal(net(torch.zeros(1, 1)), net(torch.ones(1, 1)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_mlp_with_each_activation(name: str) -> None:
    net = MLP(3, (8, 5), 2, activation=name, out=name)
    assert net(torch.randn(4, 6, 3)).shape == (4, 6, 2)
    assert sum(isinstance(m, ACTIVATIONS[name]) for m in net) == 3
    assert sum(p.numel() for p in net.parameters()) == (3 + 1) * 8 + (8 + 1) * 5 + (5 + 1) * 2


def test_no_hidden_layer_is_a_linear_map() -> None:
    net = MLP(3, (), 2)
    x, y = torch.randn(2, 3)
    torch.testing.assert_close(net(x + y) + net(torch.zeros(3)), net(x) + net(y))


def test_an_unknown_activation_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'swish'.*silu"):
        MLP(1, (2,), 1, activation="swish")


def test_masked_weights_are_left_out() -> None:
    layer = MaskedLinear(torch.tensor([[1, 0], [1, 1]]))
    jacobian = torch.autograd.functional.jacobian(layer, torch.zeros(2))
    torch.testing.assert_close(jacobian, layer.weight * layer.mask)
    assert jacobian[0, 1] == 0
