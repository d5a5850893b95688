"""Chains that keep no activations: their gradients are those of a chain, their memory is flat in its depth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmppl.runtime import MLP
from dgmppl.runtime.bijections import Bijection, Compose
from dgmppl.runtime.couplings import Coupling
from dgmppl.runtime.reversible import Reversible
from tests.runtime.bijections import D, K, moved, reversible_flow

GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here"))


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_reversible_chain_has_the_gradients_of_a_chain(backwards: bool, dropout: float, device: str) -> None:
    found = []
    for kind in (Compose, Reversible):
        torch.manual_seed(0)
        flow = moved(reversible_flow(kind, dropout).double()).to(device)
        drawn = (torch.randn(4, size, dtype=torch.double) for size in (D, K, 2))
        x, y, w = (values.to(device).requires_grad_() for values in drawn)
        torch.manual_seed(1)
        # The batch of w is broadcast against those of x and y.
        method = flow.inverse_and_log_det if backwards else flow.forward_and_log_det
        image, log_det = method(x.unsqueeze(1), {"y": y.unsqueeze(1), "w": w})
        (image.sin().sum() + log_det.square().sum()).backward()
        found.append([image, log_det, x.grad, y.grad, w.grad, *(p.grad for p in flow.parameters())])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


def kept_for_the_gradient(flow: Bijection, x: Tensor) -> int:
    """Numbers that a pass keeps beside weights."""
    weights = {p.data_ptr() for p in flow.parameters()}
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        if t.data_ptr() not in weights:
            kept[t.data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y, log_det = flow.forward_and_log_det(x)
    (y.sum() + log_det.sum()).backward()
    return sum(kept.values())


def test_the_memory_of_a_reversible_chain_is_flat_in_its_depth() -> None:
    x = torch.randn(256, 8)
    shallow, deep = (
        Reversible(*(Coupling(8, both=MLP(4, (64,), 8), mask="alternate") for _ in range(depth))) for depth in (4, 64)
    )
    assert kept_for_the_gradient(deep, x) <= 1.5 * kept_for_the_gradient(shallow, x)
    assert kept_for_the_gradient(Compose(*deep.parts), x) > 20 * kept_for_the_gradient(deep, x)
