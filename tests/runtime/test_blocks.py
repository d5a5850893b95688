"""Blocks of networks beside torch's own, and beside their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dgmppl import runtime as rt
from dgmppl.runtime.attention import Attention


@pytest.mark.parametrize("causal", [True, False])
def test_a_layer_of_attention_is_that_of_torch(causal: bool) -> None:
    torch.manual_seed(0)
    ours = Attention(8, 2, "gelu", 0.0, causal).double()
    theirs = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).double()
    pairs = (
        (ours.before, theirs.norm1),
        (ours.between, theirs.norm2),
        (ours.join, theirs.self_attn.out_proj),
        (ours.inner, theirs.linear1),
        (ours.outer, theirs.linear2),
    )
    for a, b in pairs:
        b.load_state_dict(a.state_dict())
    theirs.self_attn.in_proj_weight.data = ours.attend.weight.data
    theirs.self_attn.in_proj_bias.data = ours.attend.bias.data
    x = torch.randn(3, 5, 8).double()
    mask = torch.ones(5, 5).triu(1).bool() if causal else None
    torch.testing.assert_close(ours(x), theirs(x, src_mask=mask))


def test_a_recurrent_network_goes_both_ways() -> None:
    torch.manual_seed(0)
    net, x = rt.GRU((6, 2), (4,), (3,)), torch.randn(5, 6, 2)
    theirs = nn.GRU(2, 4, batch_first=True, bidirectional=True)
    theirs.load_state_dict({k.removeprefix("layers.0."): v for k, v in net.state_dict().items() if "layers" in k})
    last = theirs(x)[1]  # the states at both ends
    torch.testing.assert_close(net(x), net.last(torch.cat([last[0], last[1]], -1)))


def test_a_residual_block_adds_to_what_it_reads() -> None:
    """With B = 0, `h <- a(h + B a(A h))` is `a(h)`; a relu of positive numbers changes nothing."""
    for inputs in ((6,), (4, 3, 6)):
        net = rt.ResNet(inputs, (6, 6), None, activation="relu")
        for block in net.blocks:
            nn.init.zeros_(block.second.weight)
            nn.init.zeros_(block.second.bias)
        x = torch.rand(5, *inputs)
        assert torch.equal(net(x), x)


def test_a_dense_block_keeps_all_that_was_before() -> None:
    x = torch.randn(5, 4, 3, 2)
    found = rt.DenseNet((4, 3, 2), (3, 5), None)(x)
    assert found.shape == (5, 4, 3, 10)
    assert torch.equal(found[..., :2], x)


@pytest.mark.parametrize("net", ["mlp", "conv", "resnet", "set"])
def test_a_spectral_norm_leaves_weights_of_largest_singular_value_one(net: str) -> None:
    torch.manual_seed(0)
    made = {
        "mlp": lambda: rt.MLP(3, (8, 8), 2, norm="spectral"),
        "conv": lambda: rt.ConvNet((4, 4, 3), (8, 8), (2,), norm="spectral"),
        "resnet": lambda: rt.ResNet((3,), (8, 6), (2,), norm="spectral"),
        "set": lambda: rt.DeepSet((4, 3), (8, 8), (2,), norm="spectral"),
    }[net]()
    for _ in range(100):  # a step of power iteration each
        made(torch.randn(2, *{"conv": (4, 4, 3), "set": (4, 3)}.get(net, (3,))))
    weights = [m.weight.flatten(1) for m in made.eval().modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    assert len(weights) >= 3
    for weight in weights:
        torch.testing.assert_close(torch.linalg.matrix_norm(weight, 2), torch.tensor(1.0), rtol=2e-2, atol=0.0)


def test_a_norm_of_weights_starts_where_they_were() -> None:
    """A direction and a length are the weights as they were drawn."""
    x = torch.randn(3, 5)
    torch.manual_seed(0)
    plain = rt.MLP(5, (8,), 2)
    torch.manual_seed(0)
    torch.testing.assert_close(rt.MLP(5, (8,), 2, norm="weight")(x), plain(x))


def test_a_context_reaches_every_block_of_a_u_net() -> None:
    torch.manual_seed(0)
    net = rt.UNet((6, 5, 2), (4, 8), (6, 5, 3), context=2, blocks=2)
    net(torch.randn(3, 6, 5, 2), torch.randn(3, 2)).sum().backward()
    maps = [p for name, p in net.named_parameters() if ".context." in name]
    assert len(maps) == 2 * 2 + 2
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in maps)
