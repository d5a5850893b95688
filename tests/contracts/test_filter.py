"""Normal latents along an index: integrals against the joint normal distribution of all members, and pykalman."""

from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from pykalman import KalmanFilter
from torch import Tensor

from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.integrate import Integrate
from tests.contracts.support import build, checked, data_of, graph_of, joint_normal, pair, seed

DATA = 'observed x[t in 1..T] : real[3] from "walks.npz".steps\n'
LATENT = "latent z[t in 1..T] : real[2]\nparam A : real[2, 2] = normal(0.5)\n"
CHAIN = LATENT + "p(z[1]) = Normal(param, 1)\np(z[t] | z[t-1]) = Normal(A @ z[t-1], param)\n"
INPUTS = 'observed u[t in 1..T] : real[2] from "walks.npz".inputs\nobserved c : categorical(2) from "walks.npz".kind\n'
SPECS = {
    "a state": DATA + CHAIN + "p(x[t] | z[t]) = Normal(linear(z[t]), param)",
    "a number": 'observed x[t in 1..T] : real from "walks.npz".x\nlatent z[t in 1..T] : real\n'
    "p(z[1]) = Normal(0, 1)\np(z[t] | z[t-1]) = Normal(0.9 * z[t-1], 0.3)\np(x[t] | z[t]) = Normal(z[t], param)",
    "changes in time": DATA
    + LATENT
    + "p(z[1]) = Normal(0, 1)\np(z[t] | z[t-1]) = Normal(exp(-0.1 * t) * (A @ z[t-1]), exp(0.1 * t))\n"
    "p(x[t] | z[t]) = Normal(linear(z[t]) + 0.1 * t, param)",
    "driven": DATA
    + INPUTS
    + LATENT
    + "p(z[1] | c) = Normal(mlp[3](c))\np(z[t] | z[t-1], u[t], c) = Normal(A @ z[t-1] + mlp[3](u[t], c), param)\n"
    "p(x[t] | z[t], u[t]) = Normal(linear(z[t], u[t]), param)",
    "slopes of a row": DATA
    + INPUTS
    + "latent z[t in 1..T] : real[2]\nparam A : real[2, 2, 2] = normal(0.5)\n"
    + "p(z[1]) = Normal(0, 1)\np(z[t] | z[t-1], c) = Normal(A[c] @ z[t-1], 1)\n"
    "p(x[t] | z[t], u[t]) = Normal(linear(z[t]), exp(sum(u[t])))",
    "autoregressive": DATA
    + CHAIN
    + "p(x[1] | z[1]) = Normal(linear(z[1]), param)\n"
    + "p(x[t] | z[t], x[t-1]) = Normal(linear(z[t]) + mlp[3](x[t-1]), param)",
    "late": DATA + CHAIN + "p(x[1]) = Normal(0, 1)\np(x[t] | z[t-1], z[t]) = Normal(linear(z[t-1], z[t]), param)",
    "second order": DATA + LATENT + "p(z[1]) = Normal(0, 1)\np(z[2] | z[1]) = Normal(z[1], 1)\n"
    "p(z[t] | z[t-1], z[t-2]) = Normal(A @ z[t-1] - 0.5 * z[t-2], 0.7)\np(x[t] | z[t]) = Normal(linear(z[t]), param)",
    "two families": DATA + CHAIN + "latent w[t in 1..T] : real\np(w[1] | z[1]) = Normal(linear(z[1]), 1)\n"
    "p(w[t] | w[t-1], z[t]) = Normal(w[t-1] + linear(z[t]), 0.5)\n"
    + "p(x[t] | z[t], w[t]) = Normal(linear(z[t], w[t]), param)",
    "two of the data": DATA
    + 'observed y[t in 1..T] : real from "walks.npz".y\n'
    + CHAIN
    + "let h[t in 1..T] : real[2] = linear(z[t])\np(x[t] | z[t]) = Normal(linear(h[t]), param)\n"
    "p(y[t] | z[t], x[t]) = Normal(sum(z[t]) + linear(x[t]), 0.4)",
    "what reads a member": DATA
    + 'observed y : real[2] from "walks.npz".y\nobserved w : real from "walks.npz".w\n'
    + CHAIN
    + "p(x[t] | z[t]) = Normal(linear(z[t]), param)\n"
    + "p(y | z[T], x) = Normal(linear(z[T]) + mlp[4](x), param)\np(w | z[2]) = Normal(sum(z[2]), 0.5)",
    "a state before the first": DATA.replace("1..T", "2..T")
    + 'observed y[t in 2..T] : real from "walks.npz".y\n'
    + CHAIN
    + "p(x[t] | z[t], z[t-1]) = Normal(linear(z[t], z[t-1]), param)\n"
    + "p(y[2] | z[2]) = Normal(sum(z[2]), 1)\np(y[t] | z[t-1], y[t-1]) = Normal(linear(z[t-1], y[t-1]), 0.4)",
    "a cause of the row": DATA
    + CHAIN.replace("A @ z[t-1]", "A @ z[t-1] + f").replace("z[t-1])", "z[t-1], f)", 1)
    + "latent f : real[2]\np(f) = Normal(0, 1)\np(x[t] | z[t], f) = Normal(linear(z[t]) + linear(f), param)",
    "causes above each other": DATA
    + INPUTS
    + CHAIN
    + 'observed y : real[2] from "walks.npz".y\nlatent m : real\nlatent f : real[2]\n'
    + "p(m | c) = Normal(linear(c), exp(linear(c)))\np(f | m, c) = Normal(m + linear(c), 0.5)\n"
    + "p(y | m) = Normal(m, 0.3)\np(x[t] | z[t], f, u[t]) = Normal(linear(z[t]) + f @ u[t], param)",
    "a drift of second order": DATA + LATENT + "latent f : real\np(f) = Normal(0, 1)\np(z[1] | f) = Normal(f, 1)\n"
    "p(z[2] | z[1]) = Normal(z[1], 1)\np(z[t] | z[t-1], z[t-2], f) = Normal(A @ z[t-1] - 0.5 * z[t-2] + f, 0.7)\n"
    "p(x[t] | z[t]) = Normal(linear(z[t]), param)",
    "backward": DATA + LATENT + "p(z[T]) = Normal(param, 1)\np(z[t] | z[t+1]) = Normal(A @ z[t+1], param)\n"
    "p(x[t] | z[t]) = Normal(linear(z[t]) + 0.1 * t, param)",
    "backward around a cause": DATA + LATENT + "latent f : real\np(f) = Normal(0, 1)\np(z[T]) = Normal(param, 1)\n"
    "p(z[T-1] | z[T], f) = Normal(z[T] + f, 1)\np(z[t] | z[t+1], z[t+2]) = Normal(A @ z[t+1] + z[t+2], param)\n"
    "p(x[T]) = Normal(0, 1)\np(x[t] | z[t], z[t+1], f) = Normal(linear(z[t], z[t+1]) + 0.1 * t * f, param)",
    "apart": DATA
    + "latent z[t in 1..T] : real[2]\np(z[t]) = Normal(0, 1)\np(x[t] | z[t]) = Normal(linear(z[t]), param)",
}


GAPS = 'partial x[t in 1..T] : real[2] elementwise from "walks.npz".xy\n'
OWN = "param B : real[2, 2] = normal(0.5)\np(x[1]) = Normal(param, 1)\n"
MISSING = {
    "of data alone": GAPS + OWN + "p(x[t] | x[t-1]) = Normal(B @ x[t-1] + 0.1 * t, param)",
    "of second order, driven": GAPS
    + INPUTS
    + OWN
    + "p(x[2] | x[1], c) = Normal(x[1] + linear(c), exp(linear(c)))\n"
    + "p(x[t] | x[t-1], x[t-2], u[t]) = Normal(B @ x[t-1] - 0.5 * x[t-2] + mlp[3](u[t]), exp(sum(u[t])))",
    "of a state that reads them": GAPS
    + LATENT
    + "p(z[1]) = Normal(0, 1)\np(z[t] | z[t-1], x[t-1]) = Normal(A @ z[t-1] + linear(x[t-1]), param)\n"
    + "p(x[t] | z[t]) = Normal(linear(z[t]), param)",
    "of a state and the last": GAPS
    + CHAIN
    + "p(x[1] | z[1]) = Normal(linear(z[1]), param)\n"
    + "p(x[t] | z[t], x[t-1], z[t-1]) = Normal(linear(z[t], z[t-1]) + linear(x[t-1]), param)",
    "of two": GAPS
    + OWN
    + 'partial y[t in 1..T] : real elementwise from "walks.npz".y\nobserved w : real from "walks.npz".w\n'
    + "p(x[t] | x[t-1]) = Normal(B @ x[t-1], param)\np(y[t] | x[t]) = Normal(sum(x[t]), 0.5)\n"
    + "p(w | x[T]) = Normal(linear(x[T]), param)",
    "of two that read each other": GAPS
    + OWN
    + 'partial y[t in 1..T] : real elementwise from "walks.npz".y\n'
    + "p(x[t] | x[t-1], y[t-1]) = Normal(B @ x[t-1] + y[t-1], param)\n"
    + "p(y[1] | x[1]) = Normal(sum(x[1]), 0.5)\np(y[t] | x[t], y[t-1]) = Normal(0.5 * sum(x[t]) + y[t-1], 0.4)",
    "with a cause of the row": GAPS
    + OWN
    + "latent f : real[2]\np(f) = Normal(0, 1)\np(x[t] | x[t-1], f) = Normal(B @ x[t-1] + f, param)",
    "as a whole": GAPS.replace(" elementwise", "")
    + OWN
    + 'observed y[t in 1..T] : real from "walks.npz".y\n'
    + "p(x[t] | x[t-1]) = Normal(B @ x[t-1], param)\np(y[t] | x[t]) = Normal(sum(x[t]), 0.5)",
    "backward": GAPS
    + "param B : real[2, 2] = normal(0.5)\np(x[T]) = Normal(param, 1)\n"
    + "p(x[t] | x[t+1]) = Normal(B @ x[t+1] + 0.1 * t, param)",
}

REST = 'observed w : real[3] from "walks.npz".w\n'
APART = {
    "as a whole": 'partial x : real[2] from "walks.npz".x\n'
    + REST
    + "p(x) = Normal(param, exp(param))\np(w | x) = Normal(linear(x), param)",
    "by element, through a feature of a class": 'partial x : real[2] elementwise from "walks.npz".x\n'
    + REST
    + 'observed c : categorical(3) from "walks.npz".c\nparam A : real[3, 3, 2] = normal(0.5)\n'
    + "p(x | c) = Normal(mlp[3](c))\np(w | x, c) = Normal(A[c] @ x, exp(linear(c)))",
    "of several and a latent": 'partial x : real[2] elementwise from "walks.npz".x\n'
    + 'partial y : real from "walks.npz".y\n'
    + REST
    + "latent z : real\np(z) = Normal(0, 1)\np(x | z) = Normal(linear(z), 1)\n"
    + "p(y | x) = Normal(linear(x), param)\np(w | y, z) = Normal(linear(y) + z, param)",
    "of nothing but what is partial": 'partial x : real[2] elementwise from "walks.npz".x\n'
    + 'partial y : real[3] elementwise from "walks.npz".y\n'
    + "p(x) = Normal(param, 1)\np(y | x) = Normal(linear(x), param)",
}
"""What is missing of variables that lie along no index."""


@pytest.mark.parametrize("name", [*MISSING, *(f"no index, {name}" for name in APART)])
def test_what_is_missing_is_integrated_out(name: str) -> None:
    """The likelihood of what is seen, and what is filled in, are those of the joint normal distribution."""
    apart = name.startswith("no index, ")
    text = APART[name[len("no index, ") :]] if apart else f"const T = 4\n{MISSING[name]}"
    found = checked(f"model chain\n{text}\n")
    assert found.plan is not None and found.plan.criterion == "log_prob" and not found.plan.structure.q
    assert any(isinstance(s, Integrate if apart else IntegrateAlong) for s in found.plan.steps)
    model, data = build(found, scale=0.3).double(), [d.double() for d in data_of(found, 3)]
    at = [v.name for v in graph_of(found).data].index("x")
    data[at][1] = torch.nan
    value = model.log_prob(*data)
    theirs = pair(found)[1].double()
    theirs.load_state_dict(model.state_dict())
    trace = pyro.poutine.trace(theirs.model).get_trace(*data)
    trace.compute_log_prob()
    assert torch.allclose(sum(s["log_prob"] for n, s in trace.nodes.items() if "log_prob" in s), value)
    each = [joint_normal(found, model, [d[k : k + 1] for d in data]) for k in range(3)]
    expected = torch.stack([total for total, _, _ in each])
    assert torch.allclose(value, expected, atol=1e-6)
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(value.sum(), parameters, allow_unused=True)
    for a, b in zip(slopes, torch.autograd.grad(expected.sum(), parameters, allow_unused=True)):
        assert torch.allclose(a, b, atol=1e-5, rtol=1e-4)
    many = 20_000
    with seed(0), torch.no_grad():
        read = model.infer(*data, mean=True)
        drawn = model.infer(*(d[1:2].expand(many, *d.shape[1:]) for d in data))
    open_ = [*graph_of(found).latents, *graph_of(found).partial]
    rows = {v.name: d for v, d in zip(graph_of(found).data, data)}
    for k, (_, mean, _) in enumerate(each):
        gaps = [rows[v.name][k].isnan() if v.role == "partial" else ... for v in open_]
        assert torch.allclose(torch.cat([read[v.name][k][g].flatten() for v, g in zip(open_, gaps)]), mean, atol=1e-6)
        for v, gap in zip(open_, gaps):
            assert v.role == "latent" or torch.equal(read[v.name][k][~gap], rows[v.name][k][~gap])
    _, mean, covariance = (part.detach() for part in each[1])
    gaps = [rows[v.name][1].isnan() if v.role == "partial" else ... for v in open_]
    z = torch.cat([drawn[v.name][:, g].reshape(many, -1) for v, g in zip(open_, gaps)], 1)
    assert ((z.mean(0) - mean).abs() < 5 * covariance.diagonal().sqrt() / many**0.5).all()
    assert torch.allclose(z.T.cov(), covariance, atol=0.06 * float(covariance.abs().max()))


def test_classes_of_which_some_are_missing_are_summed_out_of_what_is_seen() -> None:
    """A chain of classes by itself: each row by enumeration of what agrees with it."""
    found = checked(
        'model chain\npartial s[t in 1..4] : categorical(3) elementwise from "walks.npz".s\n'
        "p(s[1]) = Categorical(param)\np(s[2] | s[1]) = Categorical(linear(s[1]))\n"
        "p(s[t] | s[t-1], s[t-2]) = Categorical(mlp[4](s[t-1], s[t-2]))\n"
    )
    assert found.plan is not None and found.plan.criterion == "log_prob"
    model, (s,) = build(found, scale=0.7), data_of(found, 6)
    paths = torch.cartesian_prod(*[torch.arange(3.0)] * 4)
    agrees = ((s.unsqueeze(1) == paths) | s.unsqueeze(1).isnan()).all(-1)
    logs = torch.where(agrees, model.p_s().log_prob(paths), -torch.inf)  # type: ignore[operator]
    assert torch.allclose(model.log_prob(s), logs.logsumexp(-1), atol=1e-5)
    assert torch.equal(model.infer(s, mean=True)["s"], paths[logs.argmax(-1)])  # type: ignore[operator]


def spec_of(name: str, length: int = 4) -> str:
    return f"model chain\nconst T = {length}\n{SPECS[name]}\n"


@pytest.mark.parametrize("name", SPECS)
def test_the_filter_is_the_joint_normal(name: str) -> None:
    found = checked(spec_of(name))
    assert found.plan is not None and found.plan.criterion == "log_prob"
    assert any(isinstance(s, IntegrateAlong) for s in found.plan.steps)
    model, data = build(found, scale=0.3), data_of(found, 3)
    single = model.log_prob(*data)
    model.double()
    data = [d.double() for d in data]
    value = model.log_prob(*data)
    assert torch.allclose(single.double(), value, atol=1e-4, rtol=1e-5)
    each = [joint_normal(found, model, [d[k : k + 1] for d in data]) for k in range(3)]
    expected = torch.stack([total for total, _, _ in each])
    assert torch.allclose(value, expected, atol=1e-6)
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(value.sum(), parameters)
    for a, b in zip(slopes, torch.autograd.grad(expected.sum(), parameters)):
        assert torch.allclose(a, b, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        read, smoothed = model.infer(*data, mean=True), model.marginals(*data)  # type: ignore[attr-defined]
    latents = graph_of(found).latents
    for k, (_, mean, covariance) in enumerate(each):
        start = 0
        for v in latents:
            size = v.type.elements
            part = slice(start, start + size)
            assert torch.allclose(read[v.name][k].flatten(), mean[part], atol=1e-6)
            law = smoothed[v.name]
            assert torch.allclose(law.mean[k].flatten(), mean[part], atol=1e-6)
            if v.along is None:
                assert torch.allclose(law.covariance_matrix[k], covariance[part, part], atol=1e-6)
                start += size
                continue
            spread = covariance[part, part].reshape(4, size // 4, 4, size // 4)
            for t in range(4):
                assert torch.allclose(law.covariance_matrix[k, t], spread[t, :, t], atol=1e-6)
            start += size


@pytest.mark.parametrize("name", ["a state", "second order", "two families", "a drift of second order", "backward"])
def test_paths_are_drawn_jointly(name: str) -> None:
    found = checked(spec_of(name, 3))
    model, data = build(found, scale=0.3).double(), [d.double() for d in data_of(found, 1)]
    _, mean, covariance = (part.detach() for part in joint_normal(found, model, data))
    many = 40_000
    with seed(0), torch.no_grad():
        drawn = model.infer(*(d.expand(many, *d.shape[1:]) for d in data))
    z = torch.cat([drawn[v.name].reshape(many, -1) for v in graph_of(found).latents], 1)
    spread = covariance.diagonal().sqrt()
    assert ((z.mean(0) - mean).abs() < 5 * spread / many**0.5).all()
    assert torch.allclose(z.T.cov(), covariance, atol=0.04 * float(covariance.abs().max()))


@pytest.mark.parametrize("name", ["a state", "a number", "driven", "late", "second order"])
def test_the_guide_is_the_posterior(name: str) -> None:
    """Pyro's site has the density of the joint posterior, so that its bound is the likelihood at any draw."""
    found = checked(spec_of(name))
    ours, theirs = (model.double() for model in pair(found, scale=0.3))
    data = [d.double() for d in data_of(found, 2)]
    with torch.no_grad():
        site = pyro.poutine.trace(theirs.guide).get_trace(*data).nodes["z"]
        value = site["value"]
        assert value.shape == (2, *graph_of(found)["z"].type.shape)
        given = pyro.poutine.condition(theirs.model, {"z": value})
        joint_logs = pyro.poutine.trace(given).get_trace(*data)
        joint_logs.compute_log_prob()
        total = sum(joint_logs.nodes[n]["log_prob"] for n in ("z", "x"))
        assert torch.allclose(total - site["fn"].log_prob(value), ours.log_prob(*data), atol=1e-6)
    for k in range(2):
        _, mean, covariance = joint_normal(found, ours, [d[k : k + 1] for d in data])
        expected = torch.distributions.MultivariateNormal(mean, covariance).log_prob(value[k].flatten())
        assert torch.allclose(site["fn"].log_prob(value)[k], expected, atol=1e-6)


KALMAN = """\
model kalman
const T = 30
observed x[t in 1..T] : real[3] from "walks.npz".steps
latent   z[t in 1..T] : real[2]
param A : real[2, 2] = normal(0.5)
param C : real[3, 2]
param d : real[3]
param v : real[2]
param w : real[3]
param m : real[2]
p(z[1])          = Normal(m, 1)
p(z[t] | z[t-1]) = Normal(A @ z[t-1], softplus(v))
p(x[t] | z[t])   = Normal(C @ z[t] + d, softplus(w))
"""


def test_a_linear_dynamical_system_is_pykalmans() -> None:
    found = checked(KALMAN)
    model, (x,) = build(found, scale=0.5), data_of(found, 3)

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.detach().double().numpy()

    scales = [torch.nn.functional.softplus(s.double()).square() for s in (model.v, model.w)]
    oracle = KalmanFilter(
        transition_matrices=array(model.A),
        observation_matrices=array(model.C),
        observation_offsets=array(model.d),
        transition_covariance=np.diag(array(scales[0])),
        observation_covariance=np.diag(array(scales[1])),
        initial_state_mean=array(model.m),
        initial_state_covariance=np.eye(2),
    )
    with torch.no_grad():
        value, smoothed = model.log_prob(x), model.marginals(x)["z"]  # type: ignore[attr-defined]
    for k, row in enumerate(x.double().numpy()):
        means, covariances = oracle.smooth(row)
        assert float(value[k]) == pytest.approx(oracle.loglikelihood(row), abs=1e-4)
        assert smoothed.mean[k].numpy() == pytest.approx(means, abs=1e-4)
        assert smoothed.covariance_matrix[k].numpy() == pytest.approx(covariances, abs=1e-4)


def test_long_chains_and_small_noise_are_as_exact_in_single_precision() -> None:
    found = checked(KALMAN, ("T=500",))
    model, (x,) = build(found), data_of(found, 2)
    with torch.no_grad():
        model.v.fill_(-6.0)
        model.w.fill_(-6.0)
        model.A.copy_(torch.tensor([[0.99, 0.1], [-0.1, 0.99]]))
    single = model.log_prob(x)
    slopes = torch.autograd.grad(single.sum(), list(model.parameters()))
    model.double()
    double = model.log_prob(x.double())
    exact = torch.autograd.grad(double.sum(), list(model.parameters()))
    assert torch.allclose(single.double(), double, rtol=1e-5)
    for a, b in zip(slopes, exact):
        assert torch.allclose(a.double(), b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


SUMMED = {
    "a class": (
        "latent k : categorical(2)",
        DATA
        + "latent z[t in 1..T] : real[2]\nparam A : real[2, 2, 2] = normal(0.5)\np(k) = Categorical(param)\n"
        + "p(z[1] | k) = Normal(linear(k), 1)\np(z[t] | z[t-1], k) = Normal(A[k] @ z[t-1], 1)\n"
        + "p(x[t] | z[t]) = Normal(linear(z[t]), param)",
    ),
    "few paths": (
        "latent k[t in 1..T] : categorical(2)",
        DATA
        + "latent z[t in 1..T] : real[2]\nparam A : real[2, 2, 2] = normal(0.5)\n"
        + "p(k[1]) = Categorical(param)\np(k[t] | k[t-1]) = Categorical(linear(k[t-1]))\n"
        + "p(z[1] | k[1]) = Normal(linear(k[1]), 1)\np(z[t] | z[t-1], k[t]) = Normal(A[k[t]] @ z[t-1], 1)\n"
        + "p(x[t] | z[t]) = Normal(linear(z[t]), param)",
    ),
}


@pytest.mark.parametrize("name", SUMMED)
def test_what_switches_the_law_is_summed_around_it(name: str) -> None:
    """The sum over k of log p(x, k), from the model of which k is data."""
    latent, rest = SUMMED[name]
    given = latent.replace("latent", "observed") + ' from "walks.npz".k'
    found = checked(f"model chain\nconst T = 3\n{latent}\n{rest}\n")
    other = checked(f"model chain\nconst T = 3\n{given}\n{rest}\n")
    model, seen = build(found, scale=0.4), build(other)
    seen.load_state_dict(model.state_dict())
    (x,) = data_of(found, 4)
    shape = graph_of(found)["k"].type.shape
    every = torch.cartesian_prod(*[torch.arange(2.0)] * torch.Size(shape).numel()).reshape(-1, *shape)
    rows = {"x": x.repeat_interleave(len(every), 0), "k": every.repeat(4, *(1,) * len(shape))}
    with torch.no_grad():
        each = seen.log_prob(*(rows[v.name] for v in graph_of(other).data))
        assert torch.allclose(model.log_prob(x), each.reshape(4, -1).logsumexp(1), atol=1e-4)
        drawn = model.infer(x)
    assert drawn["z"].shape == (4, 3, 2) and drawn["k"].shape == (4, *shape)


def test_a_long_path_that_switches_the_law_leaves_the_state_to_a_q() -> None:
    """The paths are too many, and are summed out along the index given a draw of the state."""
    latent, rest = SUMMED["few paths"]
    found = checked(f"model chain\nconst T = 9\n{latent}\n{rest}\n")
    assert found.plan is not None and found.plan.criterion == "elbo"
    assert any(isinstance(s, SumAlong) for s in found.plan.steps) and found.plan.derived
    model, data = build(found), data_of(found, 4)
    assert model.elbo(*data).isfinite().all()


def test_a_q_where_none_is_needed_is_told() -> None:
    text = spec_of("a state") + "q(z | x) = Normal(mlp[4](x))\n"
    plan = checked(text).plan
    assert plan is not None
    assert any("without which it would be integrated out exactly" in s.because.text for s in plan.steps)
