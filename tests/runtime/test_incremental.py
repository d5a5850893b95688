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
from dgmppl.runtime import (
    Autoregressive,
    AutoregressiveFlow,
    GenerativeModel,
    Normal,
    Spline,
    causal,
    gated,
    masked,
    recurrent,
)
from dgmppl.runtime.causal import CausalConv
from dgmppl.runtime.incremental import Incremental, current
from tests.contracts.support import build, checked, graph_of, random_rows

CAUSAL = [n.name for n in NETWORKS.values() if n.causal]
SEQUENTIAL = [name for name in CAUSAL if NETWORKS[name].causal_along(1)]
_HEAD = """\
observed x : {support}[6] from "rows.npz".x
observed c : real[2] from "rows.npz".c
observed e : real[6] from "rows.npz".e
param b : real[6] = normal(0.5)
param M : real[2, 2] = normal(0.5)
"""
_FEATURES = """
let h[d] : real[4] = gru_cell(x[d - 1], c, e[d], h[d - 1])
let s[d] : real = 0.5 * s[d - 1] + x[d - 1] * b[d] + c[0]
let f[d] : real[3] = tanh({net}(x[<d], e[d]))
let k[d] : real[2] = mlp[4](f[d], d, k[d - 1])
"""

# Right sides of p(x[d] | x[<d], c) in which {net} is a causal network; one stands twice in the last.
FACTORS = {
    "classes": ("integer(0..3)", "Categorical({net}(x[<d]))"),
    "a context": ("categorical(3)", "Categorical({net}(x[<d], c))"),
    "a number of each position": ("real", "Normal({net}(x[<d], c), param)"),
    "a mixture": ("real", "mixture[3, weights = {net}(x[<d], c)](Normal({net}(x[<d], c), param))"),
    "a mixture on a grid": ("binary", "mixture[u in grid(3)](Bernoulli({net}(x[<d], u)))"),
    "pushed forward": ("unit", "Normal({net}(x[<d])) >> affine >> sigmoid"),
    "through splines": ("real", "Normal({net}(x[<d])) >> elementwise[spline(3)] >> affine(mlp[4](c))"),
    "the element before": ("categorical(3)", "Categorical({net}(x[<d], c) + mlp[4](x[d - 1], x[d - 2], c, d))"),
    "a number at each position": ("real", "Normal({net}(x[<d]) + b[d], exp(b[d]) + 0.1 * relu(x[d - 1]))"),
    "a row for the element before": ("binary", "Bernoulli({net}(x[<d]) + M[x[d - 1], 1] + c[1])"),
    "what stands at the position": ("real", "Normal({net}(x[<d], c, e[d], d)) >> affine(mlp[4](e[d], c))"),
    "a mixture at the position": ("real", "mixture[3, weights = mlp[4](e[d])](Normal({net}(x[<d], e[d], c), param))"),
    "a grid at the position": (
        "binary",
        "mixture[u in grid(3)](Bernoulli({net}(x[<d], u, e[d]) + mlp[4](u, x[d - 1])))",
    ),
    "a recurrence": ("integer(0..2)", "Categorical({net}(x[<d], h[d]) + linear(h[d]))"),
    "a recurrence on a causal network": ("real", "Normal(linear(k[d]) + s[d], exp(0.1 * {net}(x[<d])))"),
    "a network twice": ("real", "Normal(m(x[<d], c) + m(x[<d], 2 * c), 1)"),
}


@pytest.fixture(autouse=True)
def _double():
    """So that no draw hangs on the last bit of a sum."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(before)


CLASSES = [getattr(runtime, NETWORKS[kind].causal[0].runtime) for kind in CAUSAL]


def from_the_whole(forward: Any, axes: int) -> Any:
    """A network's pass over the whole, of which the position that is drawn is kept."""

    def narrowed(self: nn.Module, x: Tensor, *context: Tensor, aligned: Tensor | None = None) -> Tensor:
        draw, rank = current(), axes if getattr(self, "colours", None) is None else 3
        if draw is None:
            return forward(self, x, *context, **({} if aligned is None else {"aligned": aligned}))
        if aligned is not None:  # at the position that is drawn: those before it, which it may see, are kept
            kept = draw.kept(self).setdefault("so far", [])
            kept.append(aligned.flatten(-1 - rank, -2))
            whole = torch.cat(kept, -2)
            positions = x.shape[-1 - rank : -1]
            missing = positions.numel() - whole.shape[-2]
            whole = nn.functional.pad(whole, (0, 0, 0, missing)).unflatten(-2, positions)
            found = forward(self, x, *context, aligned=whole)
        else:
            found = forward(self, x, *context)
        flat = found.flatten(-1 - rank, -2)[..., draw.position : draw.position + 1, :]
        return flat.unflatten(-2, (1,) * rank)

    return narrowed


def given_to(found: pipeline.Checked) -> dict[str, Tensor]:
    """Conditions for five rows."""
    return {name: random_rows(graph_of(found)[name].type, 5).double() for name in graph_of(found).asked}


def verify_adds_up(found: pipeline.Checked, model: GenerativeModel, given: dict[str, Tensor]) -> None:
    """The laws from which elements are drawn, one after another, multiply to the density of all of them."""
    x = random_rows(graph_of(found)["x"].type, 5).double()
    graph = graph_of(found)
    factor = graph.factor("p", "x")
    assert factor is not None
    law = model.p_x(*(given[name] for name in graph.reads(factor)))
    incremental, logs = Incremental(), []
    flat = x.flatten(1, law.axes)
    with torch.no_grad():
        for place in range(flat.shape[1]):
            d = place if law.order is None else law.order.positions[place]
            with incremental.at(place, d):
                step = law.step(x)
            element = flat[:, d].reshape(5, *(1,) * law.axes, *flat.shape[2:])
            logs.append(step.log_prob(element))
        torch.testing.assert_close(sum(logs), law.log_prob(x), rtol=1e-8, atol=1e-8)


def both_ways(model: GenerativeModel, **given: Tensor) -> tuple[Tensor, Tensor]:
    """Draws position by position, and with each position computed from the whole, from the same noise."""
    torch.manual_seed(1)
    quick = model.sample(5, **given)
    torch.manual_seed(1)
    with ExitStack() as stack:
        for module in (causal, gated, masked, recurrent):
            stack.enter_context(patch.object(module, "current", lambda: None))
        for kind, cls in zip(CAUSAL, CLASSES):
            stack.enter_context(
                patch.object(cls, "forward", from_the_whole(cls.forward, NETWORKS[kind].causal[0].rank))
            )
        return quick, model.sample(5, **given)


GRIDS = {
    "classes": "integer(0..3)[3, 4]; Categorical({net}(x[<i, <j], c))",
    "colours": "real[3, 4, 2]; Normal({net}(x[<i, <j]), param)",
    "a mixture": "real[3, 4]; mixture[3, weights = {net}(x[<i, <j], c)](Normal({net}(x[<i, <j]), param))",
    "what stands there": "integer(0..2)[3, 4]; Categorical({net}(x[<i, <j], f[i, j], c, j) + mlp[4](f, x[i - 1, j]))",
    "a mixture with weights for all": "unit[4, 2]; mixture[2](Normal({net}(x[<i, <j], c))) >> affine >> sigmoid",
}


# The same in another order, with what stands at an element's own position.
ORDERS = {
    "zigzag": "real[3, 4]; [i, j]; [<i, <j]; Normal({net}(x[<i, <j], c, e[i, j], i) + linear(f[i, j], j), 1)",
    "permute(seed = 2)": "binary[2, 3]; [i, j]; [<i, <j]; Bernoulli({net}(x[<i, <j], c) + linear(e[i, j + 1], i))",
    "reverse": "categorical(3)[6]; [d]; [<d]; Categorical({net}(x[<d], c, e[d]) + mlp[3](x[d + 1], f[d], W[d], d))",
    "permute": "real[6]; [d]; [<d]; mixture[2, weights = {net}(e[<d])](Normal({net}(x[<d], c, W[d]) + e[d], param))",
}


@pytest.mark.parametrize("kind", SEQUENTIAL)
@pytest.mark.parametrize("order", ORDERS)
def test_draws_in_another_order_are_those_of_recomputing(order: str, kind: str) -> None:
    type_, element, past, right = ORDERS[order].split("; ")
    shape = type_[type_.index("[") :]
    head = f'observed x : {type_} from "rows.npz".x\nobserved c : real[2] from "rows.npz".c\n'
    head += f'observed e : real{shape} from "rows.npz".e\n'
    head += f"param W : real{shape[:-1]}, 2] = normal(0.5)\n" if "W[d]" in right else ""
    head += f"let f{element} : real[2] = mlp[3](e{element}, c)\n" if "f[" in right else ""
    text = f"model drawn\n{head}p(x{element} | x{past}, c, e, order = {order}) = {right.format(net=f'{kind}[8, 8]')}\n"
    found = pipeline.read(text)
    assert found.ok, [str(d) for d in found.errors]
    model, given = build(found, scale=0.5).double(), given_to(found)
    quick, slow = both_ways(model, **given)
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)
    verify_adds_up(found, model, given)


# The same of p(x[i, j, k] | x[<i, <j, <k], c).
COLOURS = {
    "classes": "categorical(3)[3, 2, 3]; Categorical({net}(x[<i, <j, <k], c))",
    "what stands there": "real[2, 3, 2]; Normal({net}(x[<i, <j, <k], f[i, j, k], k), exp(x[i, j, k - 1]))",
    "a mixture on a grid": "binary[2, 2, 3]; mixture[u in grid(3)](Bernoulli({net}(x[<i, <j, <k], u, f[i, j, k])))",
}


@pytest.mark.parametrize("kind", ["pixelcnn", "gated_pixelcnn", "masked"])
@pytest.mark.parametrize("what", COLOURS)
def test_draws_of_colours_are_those_of_recomputing(what: str, kind: str) -> None:
    type_, right = COLOURS[what].split("; ")
    shape = type_[type_.index("[") :]
    head = f'observed x : {type_} from "rows.npz".x\nobserved c : real[2] from "rows.npz".c\n'
    beside = "c" if "c)" in right else "f"
    head = head if beside == "c" else head.replace("c : real[2]", f"f : real{shape}").replace(".c", ".f")
    net = f"{kind}[6, 6{', kernel = 3, norm = layer' if kind != 'masked' else ''}]"
    text = f"model drawn\n{head}p(x[i, j, k] | x[<i, <j, <k], {beside}) = {right.format(net=net)}\n"
    found = pipeline.read(text)
    assert found.ok, [str(d) for d in found.errors]
    model, given = build(found, scale=0.5).double(), given_to(found)
    quick, slow = both_ways(model, **given)
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)
    verify_adds_up(found, model, given)


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("what", GRIDS)
def test_draws_of_grids_are_those_of_recomputing(what: str, kind: str) -> None:
    type_, right = GRIDS[what].split("; ")
    head = _HEAD.format(support="real").replace("x : real[6]", f"x : {type_}")
    head += 'observed f : binary[3, 4, 2] from "rows.npz".f\n' if " f" in right or "(f" in right else ""
    net = f"{kind}[8, 8" + (", kernel = 3]" if any(o.name == "kernel" for o in NETWORKS[kind].options) else "]")
    f = ", f" if "observed f" in head else ""
    found = pipeline.read(f"model drawn\n{head}p(x[i, j] | x[<i, <j], c{f}) = {right.format(net=net)}\n")
    assert found.ok, [str(d) for d in found.errors]
    model, given = build(found, scale=0.5).double(), given_to(found)
    quick, slow = both_ways(model, **given)
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)
    verify_adds_up(found, model, given)


@pytest.mark.parametrize("kind", SEQUENTIAL)
@pytest.mark.parametrize("what", FACTORS)
def test_draws_are_those_of_recomputing(what: str, kind: str) -> None:
    support, right = FACTORS[what]
    tanh = ", activation = tanh" if any(o.name == "activation" for o in NETWORKS[kind].options) else ""
    net = f"{kind}[8, 8{tanh}]"
    text = _HEAD.format(support=support) + f"net m = {net}\np(x[d] | x[<d], c, e) = " + right.format(net=net)
    if "m(" not in right:
        text = text.replace(f"net m = {net}\n", "")
    text += _FEATURES.format(net=net) if "[d])" in right or "s[d]" in right else ""
    found = pipeline.read(f"model drawn\n{text}\n")
    assert found.ok, [str(d) for d in found.errors]
    model, given = build(found, scale=0.5).double(), given_to(found)
    quick, slow = both_ways(model, **given)
    torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)
    verify_adds_up(found, model, given)
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
