"""Latents of few values along an index: sums over paths against all paths one by one, and against hmmlearn."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hmmlearn.hmm import CategoricalHMM, GaussianHMM
from torch import Tensor

from dgmppl.pipeline import Checked
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.finite_chains import FiniteChain
from tests.contracts.support import build, checked, data_of, graph_of, seed

DATA = 'observed x[t in 1..T] : real[2] from "walks.npz".steps\n'
CHAIN = """\
latent s[t in 1..T] : categorical(3)
p(s[1]) = Categorical(param)
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
"""
BACKWARD = CHAIN.replace("s[1]", "s[T]").replace("t-1", "t+1")
SPECS = {
    "normal": DATA + CHAIN + "p(x[t] | s[t]) = Normal(linear(s[t]))",
    "network": DATA + CHAIN + "p(x[t] | s[t]) = Normal(mlp[4](s[t], t))",
    "flow": DATA + CHAIN + "p(x[t] | s[t]) = Normal(0, 1) >> 2 * (coupling[mlp[4]](s[t]) >> reverse)",
    "autoregressive": DATA
    + CHAIN
    + "p(x[1] | s[1]) = Normal(linear(s[1]))\np(x[t] | s[t], x[t-1]) = Normal(mlp[4](s[t], x[t-1]))",
    "all before": DATA
    + "let h[t in 1..T] : real[3] = gru_cell(x[t-1], h[t-1])\n"
    + CHAIN
    + "p(x[t] | s[t], x[<t]) = Normal(linear(s[t], h[t]))",
    "driven": DATA
    + 'observed u[t in 1..T] : real from "walks.npz".inputs\n'
    + 'observed c : categorical(2) from "walks.npz".kind\n'
    + "latent s[t in 1..T] : categorical(3)\n"
    + "p(s[1] | c) = Categorical(linear(c))\n"
    + "p(s[t] | s[t-1], x[t-1], u[t], c) = Categorical(mlp[4](s[t-1], x[t-1], u[t], c, t))\n"
    + "p(x[t] | s[t], u[t]) = Normal(linear(s[t], u[t]))",
    "transitions": DATA + CHAIN + "p(x[1] | s[1]) = Normal(linear(s[1]))\n"
    "p(x[t] | s[t], s[t-1]) = Normal(mlp[4](s[t], s[t-1], t))",
    "late": DATA + CHAIN + "p(x[1]) = Normal(0, 1)\np(x[t] | s[t-1]) = Normal(mlp[4](s[t-1], t))",
    "a state before the first": DATA
    + "latent s[t in 0..T] : categorical(3)\n"
    + "p(s[0]) = Categorical(param)\np(s[t] | s[t-1]) = Categorical(linear(s[t-1]))\n"
    + "p(x[1] | s[1], s[0]) = Normal(linear(s[1], s[0]))\np(x[t] | s[t], x[t-1]) = Normal(mlp[4](s[t], x[t-1], t))",
    "a state after the last": 'observed x[t in 1..T] : natural from "walks.npz".counts\n'
    + "latent s[t in 1..T + 1] : categorical(3)\n"
    + "p(s[1]) = Categorical(param)\np(s[t] | s[t-1]) = Categorical(linear(s[t-1]))\n"
    + "p(x[t] | s[t]) = Poisson(exp(linear(s[t])))",
    "second order": DATA
    + "latent s[t in 1..T] : binary\n"
    + "p(s[1]) = Bernoulli(param)\np(s[2] | s[1]) = Bernoulli(linear(s[1]))\n"
    + "p(s[t] | s[t-1], s[t-2]) = Bernoulli(mlp[4](s[t-1], s[t-2], t))\n"
    + "p(x[t] | s[t]) = Normal(linear(s[t]))",
    "two back": DATA
    + "latent s[t in 1..T] : binary\n"
    + "p(s[1]) = Bernoulli(param)\np(s[2]) = Bernoulli(param)\n"
    + "p(s[t] | s[t-2]) = Bernoulli(mlp[4](s[t-2], t))\n"
    + "p(x[t] | s[t]) = Normal(linear(s[t]))",
    "factorial": DATA
    + "latent s[t in 1..T] : categorical(3)\nlatent r[t in 1..T] : binary\n"
    + "p(s[1]) = Categorical(param)\np(s[t] | s[t-1]) = Categorical(linear(s[t-1]))\n"
    + "p(r[1]) = Bernoulli(param)\np(r[t] | r[t-1]) = Bernoulli(linear(r[t-1]))\n"
    + "p(x[t] | s[t], r[t]) = Normal(mlp[4](s[t], r[t]))",
    "one above the other": DATA
    + "latent s[t in 1..T] : integer(1..3)\nlatent r[t in 1..T] : binary\n"
    + "p(s[1]) = Categorical(param)\np(s[t] | s[t-1]) = Categorical(linear(s[t-1]))\n"
    + "p(r[1] | s[1]) = Bernoulli(linear(s[1]))\np(r[t] | r[t-1], s[t]) = Bernoulli(mlp[4](r[t-1], s[t], t))\n"
    + "p(x[t] | s[t], r[t]) = Normal(mlp[4](s[t], r[t]))",
    "vectors": DATA
    + "latent s[t in 1..T] : binary[2]\n"
    + "p(s[1]) = Bernoulli(param)\np(s[t] | s[t-1]) = Bernoulli(mlp[4](s[t-1]))\n"
    + "p(x[t] | s[t]) = Normal(linear(s[t]))",
    "mixtures": DATA
    + "latent s[t in 1..T] : categorical(3)\np(s[t]) = Categorical(mlp[4](t))\n"
    + "p(x[t] | s[t]) = Normal(linear(s[t]))",
    "backward": DATA + BACKWARD + "p(x[t] | s[t]) = Normal(mlp[4](s[t], t))",
    "backward, second order": DATA
    + "latent s[t in 1..T] : binary\np(s[T]) = Bernoulli(param)\np(s[T-1] | s[T]) = Bernoulli(linear(s[T]))\n"
    + "p(s[t] | s[t+1], s[t+2]) = Bernoulli(mlp[4](s[t+1], s[t+2], t))\n"
    + "p(x[T]) = Normal(0, 1)\np(x[t] | s[t+1]) = Normal(mlp[4](s[t+1], t))",
    "backward, two families": DATA
    + BACKWARD
    + "latent r[t in 1..T] : binary\np(r[T] | s[T]) = Bernoulli(linear(s[T]))\n"
    + "p(r[t] | r[t+1], s[t], s[t+1]) = Bernoulli(mlp[4](r[t+1], s[t], s[t+1], t))\n"
    + "p(x[t] | r[t]) = Normal(mlp[4](r[t], t))",
    "backward from before the first": DATA
    + "latent s[t in 0..T] : categorical(3)\n"
    + "p(s[T]) = Categorical(param)\np(s[t] | s[t+1]) = Categorical(linear(s[t+1]))\n"
    + "p(x[1] | s[1], s[0]) = Normal(linear(s[1], s[0]))\n"
    + "p(x[t] | s[t], s[t-1], x[t-1]) = Normal(mlp[4](s[t], s[t-1], x[t-1], t))",
    "backward to after the last": 'observed x[t in 1..T] : natural from "walks.npz".counts\n'
    + 'observed w : real from "walks.npz".w\n'
    + "latent s[t in 1..T + 1] : categorical(3)\n"
    + "p(s[T + 1]) = Categorical(param)\np(s[t] | s[t+1]) = Categorical(linear(s[t+1]))\n"
    + "p(x[t] | s[t]) = Poisson(exp(linear(s[t])))\np(w | s[2]) = Normal(mlp[4](s[2]))",
    "what reads a member": DATA
    + 'observed y : categorical(2) from "walks.npz".kind\nobserved w : real from "walks.npz".w\n'
    + CHAIN
    + "p(x[t] | s[t]) = Normal(linear(s[t]))\n"
    + "p(y | s[T]) = Categorical(linear(s[T]))\np(w | s[1], x) = Normal(mlp[4](s[1], x))",
    "two sequences": DATA
    + 'observed n[t in 1..T] : integer(0..3) from "walks.npz".count\n'
    + CHAIN
    + "p(x[t] | s[t]) = Normal(linear(s[t]))\n"
    + "p(n[t] | s[t], x[t]) = Categorical(mlp[4](s[t], x[t]))",
}


def spec_of(name: str, length: int = 4) -> str:
    return f"model chain\nconst T = {length}\n{SPECS[name]}\n"


def every_path(found: Checked, model: GenerativeModel, data: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """log p of the data and each path of the chains, ``(n, paths)``, and the paths, by the densities themselves."""
    graph = graph_of(found)
    latents = graph.latents
    elements = [v.type.elements for v in latents]
    low = [v.type.support.low or 0.0 for v in latents]
    ranges = [torch.arange(v.type.support.size or 0) + a for v, k, a in zip(latents, elements, low) for _ in range(k)]
    every = torch.cartesian_prod(*ranges)
    paths = {v.name: p.reshape(-1, *v.type.shape) for v, p in zip(latents, every.split(elements, 1))}
    count, n = len(every), len(data[0])
    values = {v.name: rows.repeat_interleave(count, 0) for v, rows in zip(graph.data, data)}
    values |= {name: p.repeat(n, *(1,) * (p.dim() - 1)) for name, p in paths.items()}
    total = torch.zeros(n * count)
    for factor in graph.factors:
        density = getattr(model, factor.method)(*(values[r] for r in graph.reads(factor)))
        total = total + density.log_prob(values[factor.head])
    return total.reshape(n, count), paths


@pytest.mark.parametrize("name", SPECS)
def test_the_forward_pass_sums_over_all_paths(name: str) -> None:
    found = checked(spec_of(name))
    assert found.plan is not None and found.plan.criterion == "log_prob"
    assert any(isinstance(s, SumAlong) for s in found.plan.steps)
    model, data = build(found, scale=0.7), data_of(found, 5)
    logs, paths = every_path(found, model, data)
    expected = logs.logsumexp(-1)
    value = model.log_prob(*data)
    assert torch.allclose(value, expected, atol=1e-4, rtol=1e-5)
    parameters = list(model.parameters())
    for a, b in zip(torch.autograd.grad(value.sum(), parameters), torch.autograd.grad(expected.sum(), parameters)):
        assert torch.allclose(a, b, atol=1e-3, rtol=1e-3)
    best = logs.argmax(-1)
    read = model.infer(*data, mean=True)
    for latent, path in paths.items():
        assert torch.equal(read[latent], path[best])


LABELLED = {
    name: re.sub(
        r"latent (s\[.*) : categorical\(3\)", r'partial \1 : categorical(3) elementwise from "walks.npz".s', body
    )
    for name, body in SPECS.items()
    if name in ("normal", "backward", "driven", "factorial", "transitions", "two sequences", "a state before the first")
}


LABELLED["as a whole"] = LABELLED["normal"].replace(" elementwise", "")


@pytest.mark.parametrize("name", LABELLED)
def test_what_is_known_of_a_chain_clamps_the_sum(name: str) -> None:
    """log p of the data and of what is seen of the states: the sum over the paths that agree with it."""
    found = checked(f"model chain\nconst T = 4\n{LABELLED[name]}\n")
    assert found.plan is not None and found.plan.criterion == "log_prob"
    assert any(isinstance(s, SumAlong) for s in found.plan.steps)
    full = checked(spec_of("normal" if name == "as a whole" else name))
    model, other = build(found, scale=0.7), build(full)
    other.load_state_dict(model.state_dict())
    given = dict(zip((v.name for v in graph_of(full).data), data_of(full, 5)))
    logs, paths = every_path(full, other, list(given.values()))
    seen = paths["s"][torch.arange(5) * 7 % len(paths["s"])].clone()
    seen[0] = torch.nan
    if name != "as a whole":
        seen[1, 1:], seen[2, ::2] = torch.nan, torch.nan
    agrees = ((seen.unsqueeze(1) == paths["s"]) | seen.unsqueeze(1).isnan()).all(-1)
    clamped = torch.where(agrees, logs, -torch.inf)
    rows = [seen if v.name == "s" else given[v.name] for v in graph_of(found).data]
    value = model.log_prob(*rows)
    assert torch.allclose(value, clamped.logsumexp(-1), atol=1e-4, rtol=1e-5)
    parameters = list(model.parameters())
    expected = torch.autograd.grad(clamped.logsumexp(-1).sum(), list(other.parameters()))
    for a, b in zip(torch.autograd.grad(value.sum(), parameters), expected):
        assert torch.allclose(a, b, atol=1e-3, rtol=1e-3)
    read = model.infer(*rows, mean=True)
    for latent, path in paths.items():
        assert torch.equal(read[latent], path[clamped.argmax(-1)])


@pytest.mark.parametrize("name", SPECS)
def test_paths_are_drawn_from_their_posterior(name: str) -> None:
    found = checked(spec_of(name, 3))
    model, data = build(found, scale=0.7), data_of(found, 1)
    with torch.no_grad():
        logs, paths = every_path(found, model, data)
        posterior = logs[0].softmax(-1)
        many = 4000
        with seed(3):
            drawn = model.infer(*(d.expand(many, *d.shape[1:]) for d in data))
    same = torch.ones(many, len(posterior), dtype=torch.bool)
    for latent, path in paths.items():
        same &= (drawn[latent].unsqueeze(1) == path).flatten(2).all(-1)
    assert same.any(1).all()
    frequency = same.float().mean(0)
    assert (frequency - posterior).abs().max() < 5 * 0.5 / many**0.5


@pytest.mark.parametrize("name", ["normal", "second order", "mixtures", "one above the other", "backward"])
def test_marginals_are_those_of_all_paths(name: str) -> None:
    found = checked(spec_of(name))
    model, data = build(found, scale=0.7), data_of(found, 5)
    with torch.no_grad():
        logs, paths = every_path(found, model, data)
        posterior = logs.softmax(-1)
        smoothed = model.marginals(*data)  # type: ignore[attr-defined]
    for latent, path in paths.items():
        support = graph_of(found)[latent].type.support
        for k in range(support.size or 0):
            expected = posterior @ (path == k + (support.low or 0.0)).float()
            assert torch.allclose(smoothed[latent].probs[..., k], expected, atol=1e-5)


@pytest.mark.parametrize("first", [1, 0])
@pytest.mark.parametrize("how", ["real[2] elementwise", "real[2]"])
def test_the_mean_of_what_is_missing_is_that_over_all_paths(first: int, how: str) -> None:
    found = checked(
        f'model chain\nconst T = 4\npartial x[t in 1..T] : {how} from "walks.npz".steps\n'
        + 'observed u[t in 1..T] : real from "walks.npz".inputs\n'
        + CHAIN.replace("1..T", f"{first}..T").replace("s[1]", f"s[{first}]")
        + "latent r[t in 1..T] : binary\np(r[t]) = Bernoulli(0.3)\n" * first
        + ("p(x[t] | s[t], r[t], u[t]) = " if first else "p(x[t] | s[t], u[t]) = ")
        + f"mixture[2](Normal(mlp[4](s[t], {'r[t], ' * first}u[t])))"
    )
    model, data = build(found, scale=0.7), data_of(found, 5)
    (seen,) = (d for d, v in zip(data, graph_of(found).data) if v.name == "x")
    many = 10_000
    with torch.no_grad(), seed(1):
        read = model.infer(*data, mean=True)["x"]
        draws = model.infer(*(d.repeat_interleave(many, 0) for d in data))["x"].reshape(5, many, 4, 2)
    assert torch.equal(read[~seen.isnan()], seen[~seen.isnan()])
    assert ((read - draws.mean(1)).abs() <= 5 * draws.std(1) / many**0.5 + 1e-5).all()


BESIDE = {
    "a class": DATA
    + "latent k : categorical(2)\nlatent s[t in 1..T] : categorical(3)\n"
    + "p(k) = Categorical(param)\np(s[1] | k) = Categorical(linear(k))\n"
    + "p(s[t] | s[t-1], k) = Categorical(mlp[4](s[t-1], k))\np(x[t] | s[t], k) = Normal(mlp[4](s[t], k))",
    "another class": DATA
    + 'observed y : real from "walks.npz".y\n'
    + CHAIN
    + "latent k : categorical(2)\np(k) = Categorical(param)\np(y | k) = Normal(linear(k))\n"
    + "p(x[t] | s[t]) = Normal(mlp[4](s[t]))",
}


@pytest.mark.parametrize("name", BESIDE)
def test_classes_of_rows_are_summed_around_it(name: str) -> None:
    found = checked(f"model chain\nconst T = 3\n{BESIDE[name]}\n")
    model, data = build(found, scale=0.7), data_of(found, 5)
    logs, _ = every_path(found, model, data)
    assert torch.allclose(model.log_prob(*data), logs.logsumexp(-1), atol=1e-4, rtol=1e-5)
    drawn = model.infer(*data)
    assert drawn["k"].shape == (5,) and drawn["s"].shape == (5, 3)


SWITCHING = """\
model switching
const T = 4
observed x[t in 1..T] : real[2] from "walks.npz".steps
latent z[t in 1..T] : real[2]
latent s[t in 1..T] : categorical(2)
p(s[1])                = Categorical(param)
p(s[t] | s[t-1])       = Categorical(linear(s[t-1]))
p(z[1] | s[1])         = Normal(linear(s[1]))
p(z[t] | z[t-1], s[t]) = Normal(mlp[4](z[t-1], s[t]))
p(x[t] | z[t])         = Normal(linear(z[t]), param)
let r[t in 1..T] : real[3] = gru[4](x)[t]
q(z[t] | x)            = Normal(linear(r[t]))
"""


def test_a_finite_chain_is_summed_given_what_is_drawn() -> None:
    """log p(x | z) + log sum over s of p(s) p(z | s) - log q(z | x), at the same draw."""
    found = checked(SWITCHING)
    assert found.plan is not None and found.plan.criterion == "elbo"
    model, (x,) = build(found, scale=0.5), data_of(found, 5)
    with seed(2):
        value = model.elbo(x)
    with seed(2):
        q = model.q_z(x)
        z = q.rsample()
    paths = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    each = model.p_s().log_prob(paths) + model.p_z(paths.repeat(5, 1)).log_prob(z.repeat_interleave(16, 0)).reshape(
        5, 16
    )
    expected = model.p_x(z).log_prob(x) + each.logsumexp(-1) - q.log_prob(z)
    assert torch.allclose(value, expected, atol=1e-4)


HMM = """\
model hmm
const T = 12
const K = 4
param A  : real[K, K]
param mu : real[K, 2]
param w  : real[K, 2]
observed x[t in 1..T] : real[2] from "walks.npz".steps
latent s[t in 1..T] : categorical(K)
p(s[1])          = Categorical(param)
p(s[t] | s[t-1]) = Categorical(A[s[t-1]])
p(x[t] | s[t])   = Normal(mu[s[t]], softplus(w[s[t]]))
"""


def test_a_hidden_markov_model_is_hmmlearns() -> None:
    found = checked(HMM)
    model, (x,) = build(found, scale=0.8), data_of(found, 6)
    oracle = GaussianHMM(4, covariance_type="diag")
    with torch.no_grad():
        oracle.startprob_ = model.p_s_1_logits.double().softmax(-1).numpy()
        oracle.transmat_ = model.A.double().softmax(-1).numpy()
        oracle.means_ = model.mu.double().numpy()
        oracle.covars_ = torch.nn.functional.softplus(model.w.double()).square().numpy()
        logs, smoothed = model.log_prob(x), model.marginals(x)["s"].probs  # type: ignore[attr-defined]
        path = model.infer(x, mean=True)["s"]
    for k, row in enumerate(x.double().numpy()):
        score, posterior = oracle.score_samples(row)
        assert float(logs[k]) == pytest.approx(score, abs=1e-4)
        assert smoothed[k].numpy() == pytest.approx(posterior, abs=1e-4)
        assert np.array_equal(path[k].numpy(), oracle.predict(row))


SYMBOLS = """\
model symbols
const T = 10
observed x[t in 1..T] : categorical(5) from "walks.npz".symbols
latent s[t in 1..T] : categorical(3)
p(s[1])          = Categorical(param)
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(x[t] | s[t])   = Categorical(linear(s[t]))
"""


def test_one_of_symbols_is_hmmlearns() -> None:
    found = checked(SYMBOLS)
    model, (x,) = build(found, scale=0.8), data_of(found, 6)
    oracle = CategoricalHMM(3, n_features=5)
    one = torch.arange(3.0)
    with torch.no_grad():
        laws = model.p_s().segments[1].law(one.unsqueeze(1).expand(3, 10))
        oracle.startprob_ = model.p_s_1_logits.double().softmax(-1).numpy()
        oracle.transmat_ = laws.logits[:, 3].double().softmax(-1).numpy()
        oracle.emissionprob_ = (
            model.p_x(one.unsqueeze(1).expand(3, 10)).segments[0].law(one).logits[:, 0].double().softmax(-1).numpy()
        )
        logs = model.log_prob(x)
    for k, row in enumerate(x.long().numpy()):
        assert float(logs[k]) == pytest.approx(oracle.score(row.reshape(-1, 1)), abs=1e-4)


def test_long_chains_are_as_exact_in_single_precision() -> None:
    found = checked(HMM, ("T=1000",))
    model, (x,) = build(found, scale=0.8), data_of(found, 2)
    single = model.log_prob(x)
    grads = torch.autograd.grad(single.sum(), list(model.parameters()))
    model.double()
    double = model.log_prob(x.double())
    exact = torch.autograd.grad(double.sum(), list(model.parameters()))
    assert torch.allclose(single.double(), double, rtol=1e-5)
    for a, b in zip(grads, exact):
        assert torch.allclose(a.double(), b, rtol=1e-2, atol=1e-3 * float(b.abs().max()))


def test_paths_that_cannot_be_have_no_weight() -> None:
    """Left to right: what is behind is never reached, and no gradient is NaN."""
    from dgmppl.runtime import Link, Segment, Sequence
    from dgmppl.runtime.distributions import Categorical

    logits = torch.randn(3, 3).triu().masked_fill(torch.ones(3, 3).tril(-1).bool(), -torch.inf).requires_grad_()
    first = torch.tensor([0.0, -torch.inf, -torch.inf])
    laws = (
        Segment(0, 0, lambda s: Categorical(logits=first)),
        Segment(1, 4, lambda s: Categorical(logits=logits[s[..., :4].long()])),
    )
    x = torch.randn(2, 5)

    def likelihood(s: Tensor) -> Sequence:
        return Sequence((5,), (Segment(0, 4, lambda _: torch.distributions.Normal(s, 1.0)),), lag=0)

    chain = FiniteChain(
        5,
        {"s": torch.arange(3.0)},
        Link("s", lambda: Sequence((5,), laws, lag=1), {"s": (-1, -1)}),
        Link(x, likelihood, {"s": (0, 0)}),
    )
    total = chain.log_sum()
    assert total.isfinite().all()
    (slope,) = torch.autograd.grad(total.sum(), logits)
    assert slope[logits.isfinite()].isfinite().all()
    (path,) = chain.read(mean=True)
    assert (path.diff(dim=1) >= 0).all() and (path[:, 0] == 0).all()
