"""Drawing position by position is drawing from the whole: the same values from the same noise, and no pass twice."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from dgmppl import pipeline, runtime
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.runtime import Autoregressive, AutoregressiveFlow, GenerativeModel, Normal, Spline, causal, gated
from dgmppl.runtime.causal import CausalConv
from dgmppl.runtime.incremental import current
from tests.contracts.support import build, checked

CAUSAL = [n.name for n in NETWORKS.values() if n.causal]
SEQUENTIAL = [name for name in CAUSAL if NETWORKS[name].causal.rank == 1]
_HEAD = 'observed x : {support}[6] from "rows.npz".x\nobserved c : real[2] from "rows.npz".c\n'

# Right sides of p(x[d] | x[<d], c) in which {net} is a causal network; one stands twice in the last.
FACTORS = {
    "classes": ("integer(0..3)", "Categorical({net}(x[<d]))"),
    "a context": ("categorical(3)", "Categorical({net}(x[<d], c))"),
    "a number of each position": ("real", "Normal({net}(x[<d], c), param)"),
    "a mixture": ("real", "mixture[3, weights = {net}(x[<d], c)](Normal({net}(x[<d], c), param))"),
    "a mixture on a grid": ("binary", "mixture[u in grid(3)](Bernoulli({net}(x[<d], u)))"),
    "pushed forward": ("unit", "Normal({net}(x[<d])) >> affine >> sigmoid"),
    "through splines": ("real", "Normal({net}(x[<d])) >> elementwise[spline(3)] >> affine(mlp[4](c))"),
    "a network twice": ("real", "Normal(m(x[<d], c) + m(x[<d], 2 * c), 1)"),
}


@pytest.fixture(autouse=True)
def _double():
    """So that no draw hangs on the last bit of a sum."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(before)


CLASSES = [getattr(runtime, NETWORKS[kind].causal.runtime) for kind in CAUSAL]


def from_the_whole(forward: Any, rank: int) -> Any:
    """A network's pass over the whole, of which the position that is drawn is kept."""

    def narrowed(self: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
        found = forward(self, x, *context)
        draw = current()
        if draw is None:
            return found
        flat = found.flatten(-1 - rank, -2)[..., draw.position : draw.position + 1, :]
        return flat.unflatten(-2, (1,) * rank)

    return narrowed


def both_ways(model: GenerativeModel, **given: Tensor) -> tuple[Tensor, Tensor]:
    """Draws position by position, and with each position computed from the whole, from the same noise."""
    torch.manual_seed(1)
    quick = model.sample(5, **given)
    torch.manual_seed(1)
    with ExitStack() as stack:
        for module in (causal, gated):
            stack.enter_context(patch.object(module, "current", lambda: None))
        for kind, cls in zip(CAUSAL, CLASSES):
            stack.enter_context(patch.object(cls, "forward", from_the_whole(cls.forward, NETWORKS[kind].causal.rank)))
        return quick, model.sample(5, **given)


GRIDS = {
    "classes": "integer(0..3)[3, 4]; Categorical({net}(x[<i, <j], c))",
    "colours": "real[3, 4, 2]; Normal({net}(x[<i, <j]), param)",
    "a mixture": "real[3, 4]; mixture[3, weights = {net}(x[<i, <j], c)](Normal({net}(x[<i, <j]), param))",
    "a mixture with weights for all": "unit[4, 2]; mixture[2](Normal({net}(x[<i, <j], c))) >> affine >> sigmoid",
}


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("what", GRIDS)
def test_draws_of_grids_are_those_of_recomputing(what: str, kind: str) -> None:
    type_, right = GRIDS[what].split("; ")
    head = _HEAD.format(support="real").replace("real[6]", type_)
    net = f"{kind}[8, 8" + (", kernel = 3]" if any(o.name == "kernel" for o in NETWORKS[kind].options) else "]")
    found = pipeline.read(f"model drawn\n{head}p(x[i, j] | x[<i, <j], c) = {right.format(net=net)}\n")
    assert found.ok, [str(d) for d in found.errors]
    given = {"c": torch.randn(5, 2)} if found.plan and "c" in found.plan.conditions else {}
    quick, slow = both_ways(build(found, scale=0.5).double(), **given)
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", SEQUENTIAL)
@pytest.mark.parametrize("what", FACTORS)
def test_draws_are_those_of_recomputing(what: str, kind: str) -> None:
    support, right = FACTORS[what]
    tanh = ", activation = tanh" if any(o.name == "activation" for o in NETWORKS[kind].options) else ""
    net = f"{kind}[8, 8{tanh}]"
    text = _HEAD.format(support=support) + f"net m = {net}\np(x[d] | x[<d], c) = " + right.format(net=net)
    if "m(" not in right:
        text = text.replace(f"net m = {net}\n", "")
    found = pipeline.read(f"model drawn\n{text}\n")
    assert found.ok, [str(d) for d in found.errors]
    given = {"c": torch.randn(5, 2)} if found.plan and "c" in found.plan.conditions else {}
    quick, slow = both_ways(build(found, scale=0.5).double(), **given)
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)
    assert current() is None


@pytest.mark.parametrize("spec", ["flow/maf", "flow/neural_autoregressive", "latent/vae_iaf"])
def test_flows_too(spec: str) -> None:
    path = Path("specs") / f"{spec}.dgm"
    found = checked(path.read_text().replace("[64]", "[6]").replace("digits.image", '"rows.npz".x'))
    quick, slow = both_ways(build(found, scale=0.1).double())
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [(), (4,), (2, 4)], ids=str)
def test_a_flow_has_one_image_with_and_without_gradients(batch: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    flow = AutoregressiveFlow(5, CausalConv(1, (8,), 11, kernel=3, context=2), Spline(bins=4), context="y")
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.3 * torch.randn_like(p))
    x, y = torch.randn(*batch, 5), torch.randn(4, 2) if batch else torch.randn(2)
    with torch.no_grad():
        quick = flow.forward_and_log_det(x, {"y": y})
    for a, b in zip(quick, flow.forward_and_log_det(x, {"y": y}), strict=True):
        torch.testing.assert_close(a, b)


def test_each_position_is_computed_once() -> None:
    """Of a convolution, D positions in all and not D squared."""
    net = CausalConv(1, (4,), 1, kernel=3)
    passes = []
    with patch("torch.nn.functional.conv1d", side_effect=AssertionError("the whole sequence")):
        law = Autoregressive(
            lambda x: passes.append(1) or Normal(net(x.unsqueeze(-1)).squeeze(-1), 1).to_event(1), (7,)
        )
        assert law.sample((3,)).shape == (3, 7)
    assert len(passes) == 7
