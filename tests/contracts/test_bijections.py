"""Bijections as specs write them: repeated, nested, named, conditioned, of any shape, and inside mixtures.

Of each, the density is that of the change of variables with autograd's Jacobian, every weight learns, and as many
weights are counted as there are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model
from scipy import stats

from dgmppl import pipeline, runtime
from dgmppl.catalogue.bijections import TRANSFORMS, TransformKind
from tests.contracts.support import build, checked, data_of, graph_of, seed

_XYW = """\
observed x : real[4] from "rows.npz".x
observed y : real[3] from "rows.npz".y
observed w : categorical(2) from "rows.npz".w
"""

# Flows of a standard normal, with the number of their networks.
_IMAGE = 'observed x : real[4, 4] from "rows.npz".x\n'
FLOWS: dict[str, tuple[str, int]] = {
    "a repeat of two contexts": (
        _XYW + "p(x | y, w) = Normal(0, 1) >> 3 * (coupling[mlp[8]](y) >> reverse >> coupling[mlp[8]](w) >> reverse)",
        6,
    ),
    "a repeat in a repeat": (
        _XYW + "p(x | y, w) = Normal(0, 1) >> 2 * (2 * (coupling[mlp[8]](y) >> reverse) >> affine(mlp[8](w)))",
        6,
    ),
    "a named flow in a repeat": (
        _XYW
        + "flow f = coupling[mlp[8]](y) >> reverse\n"
        + "p(x | y, w) = Normal(0, 1) >> 2 * (f >> coupling[mlp[8]](w)) >> reverse >> f",
        3,
    ),
    "a named flow with another name": (
        _XYW.replace("observed w", "#")
        + "flow f = coupling[mlp[8]](y) >> reverse\nflow g = f\n"
        + "p(x | y) = Normal(0, 1) >> f >> g",
        1,
    ),
    "one coupling of two contexts": (
        _XYW + "p(x | y, w) = Normal(0, 1) >> 2 * (coupling[mlp[8]](y, w) >> reverse) >> affine",
        2,
    ),
    "contexts of one size as a half": (
        _XYW.replace("y : real[3]", "y : real[2]").replace("categorical(2)", "real[2]")
        + "p(x | y, w) = Normal(0, 1) >> 2 * (coupling[mlp[8]] >> reverse >> coupling[linear](y) >> reverse) "
        + ">> coupling[mlp[8]](w)",
        5,
    ),
    "an expression as a context": (
        _XYW.replace("observed w", "#") + "p(x | y) = Normal(0, 1) >> 2 * (coupling[mlp[8]](2 * y, y) >> reverse)",
        2,
    ),
    "parameters that are given": (
        'observed x : real[3] from "rows.npz".x\nobserved y : unit[3] from "rows.npz".y\n'
        + "p(x | y) = Normal(0, 1) >> householder(y) >> coupling[mlp[8]](y)",
        1,
    ),
    "a permutation in each repeat": (
        'observed x : real[5] from "rows.npz".x\n'
        + "p(x) = Normal(0, 1) >> 4 * (coupling[mlp[8]] >> permute[seed = 2])",
        4,
    ),
    "a grid": ('observed x : unit[2, 3] from "rows.npz".x\np(x) = Normal(0, 1) >> affine >> sigmoid', 0),
    "a grid by a class": (
        'observed x : real[2, 3] from "rows.npz".x\nobserved w : categorical(2) from "rows.npz".w\n'
        + "p(x | w) = Normal(0, 1) >> affine(mlp[8](w))",
        1,
    ),
    "a number": ('observed x : positive from "rows.npz".x\np(x) = Normal(0, 1) >> affine >> exp', 0),
    "a number by another": (
        'observed x : real from "rows.npz".x\nobserved w : real from "rows.npz".w\n'
        + "p(x | w) = Normal(0, 1) >> affine(mlp[8](w))",
        1,
    ),
    "an autoregressive flow of splines": (
        _XYW + "p(x | y, w) = Normal(0, 1) >> 2 * (autoregressive[masked[8], spline(4)](y, w) >> reverse)",
        2,
    ),
    "inverse autoregressions of one context": (
        _XYW.replace("observed w", "#")
        + "p(x | y) = Normal(0, 1) >> 2 * (inverse(autoregressive[causal[8, kernel = 2]])(y) >> permute)",
        2,
    ),
    "an inverse of a named flow": (
        _XYW.replace("observed w", "#")
        + "flow f = coupling[mlp[8], spline(3), mask = alternate](y) >> reverse\n"
        + "p(x | y) = Normal(0, 1) >> f >> lu >> inverse(f >> affine)",
        1,
    ),
    "couplings of every transform": (
        'observed x : real[4] from "rows.npz".x\n'
        + "p(x) = Normal(0, 1) >> coupling[mlp[8], spline(bins = 3, bound = 4)] >> reverse >> coupling[mlp[8], "
        + "mixture_cdf(2)] >> reverse >> coupling[mlp[8], affine] >> reverse >> coupling[mlp[8], shift] >> reverse",
        4,
    ),
    "couplings of parts": (
        _XYW
        + "p(x | y, w) = Normal(0, 1) >> coupling[mlp[8], parts = 3](y) >> 2 * (coupling[scale = mlp[4], "
        + "shift = mlp[4], parts = 2, rezero = true](w) >> reverse) >> coupling[mlp[8], spline(3), rezero = true]",
        12,
    ),
    "gated autoregressions": (
        _XYW.replace("observed w", "#")
        + "p(x | y) = Normal(0, 1) >> 2 * (autoregressive[masked[8], rezero = true](y) >> reverse)",
        2,
    ),
    "contractions": (
        'observed x : real[4] from "rows.npz".x\n'
        + "p(x) = Normal(0, 1) >> inverse(2 * (residual[mlp[8, activation = lipswish]] >> affine)) "
        + ">> residual[densenet[4, 4, activation = tanh], lipschitz = 0.5]",
        3,
    ),
    "contractions of two contexts": (
        _XYW
        + "flow f = residual[mlp[8, activation = tanh], estimated = true](w)\n"
        + "p(x | y, w) = Normal(0, 1) >> inverse(f >> 2 * residual[mlp[8, activation = silu]](y, w)) >> affine",
        3,
    ),
    "differential equations": (
        _XYW
        + "p(x | y, w) = Normal(0, 1) >> 2 * ode[mlp[8, activation = tanh], steps = 2](y) "
        + ">> inverse(ode[resnet[6, activation = silu], steps = 3](w))",
        3,
    ),
    "few directions": (
        'observed x : real[4] from "rows.npz".x\n'
        + "p(x) = Normal(0, 1) >> 2 * planar >> radial >> orthogonal >> sylvester >> reverse >> "
        + "2 * sylvester[orthogonal = 2] >> sylvester[householder = 3]",
        0,
    ),
    "few directions that a context gives": (
        _XYW
        + "flow f = 2 * planar(mlp[8](y)) >> sylvester[orthogonal = 3](mlp[8](y, w))\n"
        + "p(x | y, w) = Normal(0, 1) >> f >> 2 * (sylvester(mlp[8](w)) >> reverse) >> inverse(radial(linear(y)) >> f)",
        6,
    ),
    "parameters of planar flows that are given": (
        'observed x : real[2] from "rows.npz".x\nobserved y : real[5] from "rows.npz".y\n'
        + "p(x | y) = Normal(0, 1) >> planar(y) >> orthogonal(mlp[4](y)) >> affine",
        1,
    ),
    "elements by a class": (
        'observed x : real[2, 3] from "rows.npz".x\nobserved w : categorical(2) from "rows.npz".w\n'
        + "p(x | w) = Normal(0, 1) >> elementwise[spline(4)](mlp[8](w)) >> inverse(affine) "
        + ">> elementwise[inverse(mixture_cdf(2))] >> elementwise[monotone(3, layers = 3)]",
        1,
    ),
    "a flow of images": (
        _IMAGE + "p(x) = Normal(0, 1) >> inverse(multiscale[2](squeeze >> 2 * (actnorm >> conv1x1 "
        ">> coupling[conv[4], affine])))",
        4,
    ),
    "a flow of images by a class and another image": (
        _IMAGE + 'observed y : real[4, 4, 2] from "rows.npz".y\nobserved w : categorical(2) from "rows.npz".w\n'
        "p(x | y, w) = Normal(0, 1) >> 2 * (coupling[conv[4], spline(3), mask = checkerboard](y, w) "
        ">> coupling[mlp[4], mask = complement(checkerboard)](w)) >> squeeze >> actnorm >> inverse(squeeze)",
        4,
    ),
    "a grid without channels by others": (
        _IMAGE + 'observed y : real[4, 4] from "rows.npz".y\nobserved w : categorical(3)[4, 4] from "rows.npz".w\n'
        "p(x | y, w) = Normal(0, 1) >> coupling[conv[4], mask = checkerboard](y) "
        ">> coupling[unet[4], spline(3), mask = random(2)](w, y, w) "
        ">> reversible(coupling[conv[4], shift, mask = complement(checkerboard)](w))",
        3,
    ),
    "one grid in every form": (
        'observed x : real[4, 4, 2] from "rows.npz".x\nobserved y : real[4, 4] from "rows.npz".y\n'
        "p(x | y) = Normal(0, 1) >> coupling[conv[4]](y) >> reverse >> coupling[mlp[4]](y) "
        ">> coupling[scale = conv[4], shift = mlp[4]](y) >> reverse "
        ">> coupling[scale = mlp[4], shift = conv[4]](y) >> affine(linear(y))",
        7,
    ),
    "scales of an image by an image": (
        _IMAGE + 'observed y : real[4, 4] from "rows.npz".y\n'
        "p(x | y) = Normal(0, 1) >> inverse(multiscale[2](coupling[conv[4], mask = checkerboard](y) >> squeeze "
        ">> coupling[conv[4]](y)))",
        4,
    ),
    "one context twice": (
        _XYW + "p(x | y, w) = Normal(0, 1) >> coupling[mlp[4]](y, w, y) >> reverse >> affine(mlp[4](y, y)) "
        ">> autoregressive[masked[5]](w, w)",
        3,
    ),
    "couplings of residual and dense networks, one behind another": (
        'observed x : real[2, 2, 4] from "rows.npz".x\nobserved y : real[3] from "rows.npz".y\n'
        "p(x | y) = Normal(0, 1) >> coupling[resnet[4], spline(3)](y) >> reverse >> coupling[conv[4] >> resnet[4]](y) "
        ">> reverse >> coupling[densenet[4], mask = checkerboard](y)",
        3,
    ),
    "integrals of formulas": (
        _XYW
        + "param a : real[4] = normal(0.3)\nnet s = mlp[6, activation = tanh]\n"
        + "flow f(u) = u + integrate(t in 0.01..1: -0.5 * (0.1 + t) * (u + s(sin(t), u, y) * exp(a)), steps = 2)\n"
        + "flow g(u) = reverse(u) + integrate(t in 0..1: tanh(reverse(u)) * t - linear(w), steps = 2)\n"
        + "p(x | y, w) = Normal(0, 1) >> f >> inverse(g)",
        2,
    ),
    "an integral of an image": (
        _IMAGE + 'observed y : real[4, 4] from "rows.npz".y\n'
        "flow f(u) = u + integrate(t in 0..1: unet[4, 4, attention = 1](u, y, t) - y * t, steps = 2)\n"
        "p(x | y) = Normal(0, 1) >> inverse(f)",
        1,
    ),
    "a reversible flow": (
        _XYW
        + "flow f = reversible(3 * (coupling[mlp[8]](y) >> permute >> coupling[mlp[8]](w)))\n"
        + "p(x | y, w) = Normal(0, 1) >> affine >> reversible(lu >> inverse(reversible(f)))",
        6,
    ),
    "formulas of flows, values and numbers": (
        _XYW
        + "param W : real[4, 4] = normal(1)\nparam b : real[4]\nflow g = coupling[mlp[4]](w) >> reverse\n"
        + "flow f(u) = 2 * (g(W @ u + b) * exp(linear(y)) - param) + 1\n"
        + "flow h(v) = 3 - coupling[mlp[4]](w)(v @ W) / softplus(param) - linear(y)\n"
        + "p(x | y, w) = Normal(0, 1) >> 2 * h >> f",
        4,
    ),
    "formulas read backwards": (
        _XYW.replace("observed w", "#")
        + "flow f(u) = log(softplus(-u) * exp(linear(y))) / 2\nflow s(u) = inverse(f)(coupling[mlp[8]](u))\n"
        + "p(x | y) = Normal(0, 1) >> inverse(f) >> s >> inverse(s >> affine)",
        2,
    ),
    "a formula of a grid": (
        'observed x : interval(-1, 3)[2, 3] from "rows.npz".x\nobserved y : real[2, 3] from "rows.npz".y\n'
        + "flow f(u) = 2 * tanh((u - y) * exp(linear(y)) / 4) + 1\np(x | y) = Normal(0, 1) >> affine >> f",
        1,
    ),
    "formulas of each element and its past": (
        _XYW
        + "net s = masked[8]\nnet m = masked[6, activation = tanh]\nparam b : real[4]\nparam a : real = normal(1)\n"
        + "flow f(u[d]) = u[d] * exp(tanh(s(u[<d], y))) + m(u[<d], w, b[d] * u[d - 1]) - linear(y)[d]\n"
        + "flow g(v[i]) = 2 * elementwise[spline(3)](causal[4, kernel = 2](v[<i]))(v[i]) + i / 4 * param - a\n"
        + "flow h(u[d]) = u[d] * exp(tanh(masked[4](h[<d], y))) + h[d - 1]\n"
        + "p(x | y, w) = Normal(0, 1) >> inverse(f) >> g >> h >> reverse >> f",
        5,
    ),
    "formulas of each element onto another support": (
        _XYW.replace("real[4]", "positive[4]").replace("observed y", "# ")
        + "flow f(u[d]) = softplus(affine(gru[3](u[<d], w))(u[d]) + u[d - 2]) * exp(linear(w))\n"
        + "flow g(u[d]) = affine(stack(u[d - 1], tanh(2 * u[d - 1])))(elementwise[spline(2)](u[d]))\n"
        + "p(x | w) = Normal(0, 1) >> reversible(g >> inverse(g) >> g) >> f",
        2,
    ),
    "sums with a contraction, an integral, along a direction": (
        _XYW.replace("observed w", "# ")
        + "net v = mlp[8, activation = tanh]\nparam a : real[4] = normal(1)\n"
        + "flow c(u) = 2 * (u + 0.5 * mlp[8, activation = lipswish, norm = spectral](u, y)) - 1\n"
        + "flow o(u) = reverse(u) + integrate(t in 0..1: v(reverse(u), t, y), steps = 2)\n"
        + "flow d(u) = u - 2 * a * tanh(exp(param) @ u + param)\n"
        + "flow e(u) = linear(y) * tanh(u @ exp(a) - 1) + u\n"
        + "param W : real[4, 2] = normal(1)\n"
        + "flow l(u) = 3 - (W @ tanh(linear(y) + u @ W) + u)\nflow k(u) = u + W @ tanh(u @ W - 0.5)\n"
        + "p(x | y) = Normal(0, 1) >> inverse(c) >> o >> d >> e >> inverse(l) >> k >> l",
        4,
    ),
    "autoregressions of grids": (
        _IMAGE + 'observed w : categorical(2) from "rows.npz".w\n'
        "p(x | w) = Normal(0, 1) >> autoregressive[pixelcnn[4, kernel = 3]](w) "
        ">> inverse(autoregressive[masked[17], spline(3)](w))",
        2,
    ),
    "autoregressions of colours": (
        'observed x : real[2, 2, 3] from "rows.npz".x\n'
        "p(x) = Normal(0, 1) >> autoregressive[gru[4], shift] >> reverse "
        ">> autoregressive[pixelcnn[6, kernel = 3], spline(2)]",
        2,
    ),
    "formulas of a pixel": (
        'observed x : real[3, 2] from "rows.npz".x\n'
        + 'observed w : categorical(2) from "rows.npz".w\n'
        + "flow f(u[i, j]) = u[i, j] * exp(tanh(pixelcnn[4, kernel = 3](u[<i, <j], w))) + gru[3](u[<i, <j], w) * "
        + "u[i - 1, j + 1] + linear(w)[i, j]\np(x | w) = Normal(0, 1) >> inverse(f)",
        3,
    ),
    "channels in other orders": (
        'observed x : real[2, 2, 4] from "rows.npz".x\n'
        "p(x) = Normal(0, 1) >> 2 * (coupling[scale = conv[4], shift = conv[4]] >> permute >> lu) "
        ">> coupling[mlp[4], shift, mask = random(1)] >> reverse",
        5,
    ),
}
flow = pytest.mark.parametrize("name", FLOWS)


@pytest.mark.parametrize("given", [False, True], ids=["by default", "with options"])
@pytest.mark.parametrize("kind", TRANSFORMS.values(), ids=TRANSFORMS)
def test_the_catalogue_counts_the_parameters_of_a_transform(kind: TransformKind, given: bool) -> None:
    options = {o.name: 5 for o in kind.options} if given else {}
    assert kind.parameters(options) == getattr(runtime, kind.runtime)(**options).parameters


def spec_of(name: str) -> str:
    return f"model flow_of_it\n{FLOWS[name][0]}\n"


@pytest.fixture
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(before)


@flow
@pytest.mark.usefixtures("double")
def test_the_density_is_that_of_the_change_of_variables(name: str) -> None:
    found = checked(spec_of(name))
    model = build(found, scale=0.3)
    data = [d.double() for d in data_of(found, 5)]
    given = data[1:]
    with seed(2):
        shape = model.p_x(*given).bijection.source_shape(graph_of(found)["x"].type.shape)
        u = torch.randn(5, *shape)
    with torch.no_grad():
        x = model.p_x(*given).bijection(u)
        log_prob = model.log_prob(x, *given)
    for k in (0, 4):
        row = [d[k : k + 1] for d in given]
        jacobian = torch.autograd.functional.jacobian(lambda v, r=row: model.p_x(*r).bijection(v[None])[0], u[k])
        size = math.prod(u.shape[1:])
        log_det = jacobian.reshape(size, size).slogdet().logabsdet
        expected = stats.norm.logpdf(u[k].numpy()).sum() - log_det.item()
        assert math.isclose(log_prob[k].item(), expected, abs_tol=1e-7)


@flow
def test_every_weight_is_counted_and_learns(name: str) -> None:
    found = checked(spec_of(name))
    assert found.plan is not None
    model = build(found, scale=0.3)
    assert sum(p.numel() for p in model.parameters()) == found.plan.structure.weights
    repeats = (re.match(r"(\d+) x \(", line.sizes) for line in found.plan.structure.networks)
    held = sum(int(repeat[1]) if repeat else 1 for repeat in repeats)
    assert held == FLOWS[name][1]
    model.loss(*data_of(found)).backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.any(), key


@flow
def test_a_fit_stays_finite_and_its_weights_load(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """From the start on: all gradients are finite, and the density of what was saved is that of the model."""
    found = checked(spec_of(name))
    model, data = build(found), data_of(found, 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(200 if request.config.getoption("--slow") else 5):
        optimizer.zero_grad()
        loss = model.loss(*data)
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
    model.eval()
    save_model(model, str(tmp_path / "weights.safetensors"))
    again = build(found).eval()
    load_model(again, str(tmp_path / "weights.safetensors"))
    assert torch.equal(again.log_prob(*data), model.log_prob(*data))


@flow
def test_pyro_has_the_same_flow(name: str) -> None:
    found = checked(spec_of(name))
    model, other = build(found, scale=0.3).eval(), build(found, "pyro").eval()
    other.load_state_dict(model.state_dict())
    data = data_of(found, 4)
    torch.testing.assert_close(other.p_x(*data[1:]).log_prob(data[0]), model.log_prob(*data))


def test_a_flow_of_a_definition_has_all_of_its_repeats() -> None:
    """`rep_flow_named`: conditioned on two variables, repeated and named."""
    text = (
        f"model named\n{_XYW}latent u : real[4]\n"
        "flow f = 2 * (coupling[mlp[8]](y) >> reverse >> coupling[mlp[8]](w))\np(u) = Normal(0, 1)\nx = f(u)\n"
    )
    found = checked(text)
    model = build(found, scale=0.3)
    model.loss(*data_of(found)).backward()
    assert len(list(model.parameters())) == 16
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_repeats_of_a_named_flow_share_its_weights_and_that_is_said() -> None:
    text = 'observed x : real[2] from "rows.npz".x\nflow f = coupling[mlp[4]] >> reverse\nflow g = 3 * f\n'
    found = pipeline.read(f"model shared\n{text}p(x) = Normal(0, 1) >> g\n")
    assert [d.code for d in found.diagnostics] == ["W406"]
    assert found.plan is not None
    assert found.plan.structure.weights == (1 + 1) * 4 + (4 + 1) * 2
    model = build(found)
    assert sum(p.numel() for p in model.parameters()) == found.plan.structure.weights
    assert len(model.g.parts) == 3


MIXTURES = {
    "affine": "p(x) = mixture[4](Normal(0, 1) >> affine)",
    "two": "p(x) = mixture[3](Normal(param) >> householder >> affine >> exp)",
    "few directions": "p(x) = mixture[3](Normal(param) >> planar >> sylvester[orthogonal = 1] >> radial >> orthogonal)",
    "shared": "flow f = coupling[mlp[8]] >> reverse\np(x) = mixture[3](Normal(param) >> f)",
    "points": "p(x) = mixture[u in grid(3)](Normal(0, 1) >> affine(mlp[8](u)))",
}


@pytest.mark.parametrize("name", MIXTURES)
def test_components_have_parameters_of_their_own(name: str) -> None:
    """The density is the weighted sum of those of the components; every weight is counted, and learns."""
    support = "positive" if "exp" in MIXTURES[name] else "real"
    found = checked(f'model mixed\nobserved x : {support}[2] from "rows.npz".x\n{MIXTURES[name]}\n')
    model = build(found, scale=0.3)
    assert found.plan is not None
    assert sum(p.numel() for p in model.parameters()) == found.plan.structure.weights
    (x,) = data_of(found, 6)
    mixture = model.p_x()
    parts = mixture.components.log_prob(x.unsqueeze(1))
    assert not torch.allclose(parts[:, 0], parts[:, 1])
    total = (mixture.logits.exp() * parts.exp()).sum(-1).log()
    torch.testing.assert_close(model.log_prob(x), total)
    model.loss(x).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert model.sample(50).shape == (50, 2)


def test_a_mixture_of_flows_integrates_to_one() -> None:
    found = checked(f'model mixed\nobserved x : real[2] from "rows.npz".x\n{MIXTURES["affine"]}\n')
    model = build(found, scale=0.3)
    axis = torch.linspace(-8, 8, 321)
    with torch.no_grad():
        density = model.log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert math.isclose(float(density.sum()) * (16 / 320) ** 2, 1, abs_tol=1e-3)


def test_copies_start_apart() -> None:
    """Components that start alike would get the same gradients for ever."""
    found = checked(f'model mixed\nobserved x : real[2] from "rows.npz".x\n{MIXTURES["affine"]}\n')
    (affine,) = build(found).p_x_flow.parts
    assert len(torch.unique(affine.loc, dim=0)) == 4
