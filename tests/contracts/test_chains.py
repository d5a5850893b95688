"""Chains of latents with a fixed q: folded they are what they are unrolled, and composed what their steps say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from dgmppl import pipeline
from dgmppl.graph import folding
from dgmppl.pipeline import Checked
from tests.contracts.support import build, graph_of, seed

CHAIN = """
model chain
const T = {T}
observed x : real[2] from moons.point
latent   z[t in 0..T] : real[2]
schedule beta[t in 1..T] = linear(0.05, 0.4)
schedule abar[t in 0..T] = cumprod(1 - beta[t])
net eps = mlp[8]
z[0] = x
q(z[t] | z[t-1]) = Normal(sqrt(1 - beta[t]) * z[t-1], sqrt(beta[t]))
p(z[T])          = Normal(0, 1)
p(z[t-1] | z[t]) = Normal({mean}, 0.4 + beta[t])
"""
NOISE = "(z[t] - beta[t] / sqrt(1 - abar[t]) * eps(z[t], t)) / sqrt(1 - beta[t])"
LINEAR = "0.9 * z[t] + 0.1 * eps(z[t], t) * 0"


def chain(length: int, mean: str = NOISE) -> Checked:
    found = pipeline.read(CHAIN.format(T=length, mean=mean))
    assert found.ok, [str(d) for d in found.errors]
    return found


def steps(length: int) -> tuple[Tensor, Tensor]:
    """The slopes and deviations of the steps of q, from the definition."""
    beta = torch.linspace(0.05, 0.4, length, dtype=torch.float64)
    return (1 - beta).sqrt(), beta.sqrt()


def joint_of_steps(slopes: Tensor, scales: Tensor, start: float) -> MultivariateNormal:
    """z_1, ..., z_T of z_t = a_t z_{t-1} + s_t e_t from z_0, by the linear map of all e."""
    size = len(slopes)
    back = torch.eye(size, dtype=torch.float64) - torch.diag(slopes[1:], -1)
    solved = torch.linalg.inv(back)
    first = torch.zeros(size, dtype=torch.float64)
    first[0] = slopes[0] * start
    mixing = solved @ torch.diag(scales)
    return MultivariateNormal(solved @ first, mixing @ mixing.T)


def values(found: Checked, model: torch.nn.Module, known: dict[str, Tensor], side: str) -> Tensor:
    """The sum of the log-densities of the factors of a side."""
    graph, total = graph_of(found), torch.zeros(())
    for f in graph.factors:
        if f.side == side:
            law = getattr(model, f.method)(*(known[name] for name in graph.reads(f)))
            total = total + law.log_prob(known[f.head])
    return total


def test_a_family_means_the_same_folded_and_unrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    unrolled = chain(5)
    monkeypatch.setattr(folding, "UNROLLED", 2)
    along = chain(5)
    assert [v.name for v in graph_of(along).latents] == ["z"]
    assert len(graph_of(unrolled).latents) == 5
    one, other = build(along).double(), build(unrolled).double()
    other.load_state_dict(one.state_dict(), strict=False)
    with seed(1):
        x, z = torch.randn(7, 2).double(), torch.randn(7, 5, 2).double()
    apart = {"x": x, **{f"z[{t}]": z[:, t - 1] for t in range(1, 6)}}
    for side in ("p", "q"):
        found = values(along, one, {"x": x, "z": z}, side)
        torch.testing.assert_close(found, values(unrolled, other, apart, side), rtol=1e-5, atol=1e-5)


def test_a_member_follows_from_the_start_and_from_the_next_one() -> None:
    length, start = 20, 0.7
    slopes, scales = steps(length)
    joint = joint_of_steps(slopes, scales, start)
    model = build(chain(length)).double()
    steps_of_q = model.q_z_chain
    m = steps_of_q.start(model.q_z(torch.full((1, 2), start).double()))
    for t in range(length):
        found = steps_of_q.given_start(m, torch.tensor([t]))
        assert found.mean.flatten().tolist() == pytest.approx([float(joint.mean[t])] * 2, rel=1e-5)
        assert found.variance.flatten().tolist() == pytest.approx([float(joint.covariance_matrix[t, t])] * 2, rel=1e-5)
    for t in range(length - 1):
        mean, cov = joint.mean[t : t + 2], joint.covariance_matrix[t : t + 2, t : t + 2]
        later = 1.3
        found = steps_of_q.given_next(m, torch.full((1, 1, 2), later).double(), torch.tensor([t]))
        expected = mean[0] + cov[0, 1] / cov[1, 1] * (later - mean[1])
        assert found.mean.flatten().tolist() == pytest.approx([float(expected)] * 2, rel=1e-4)
        variance = cov[0, 0] - cov[0, 1] ** 2 / cov[1, 1]
        assert found.variance.flatten().tolist() == pytest.approx([float(variance)] * 2, rel=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_the_divergence_is_that_of_the_joint_normals(training: bool) -> None:
    """p goes back linearly, so that KL(q || p) of all members is one of two normal distributions."""
    length, rows = 20, 100_000
    model = build(chain(length, LINEAR)).double().train(training)
    x = torch.tensor([0.7, -0.4]).double()
    slopes, scales = steps(length)
    back = torch.full((length,), 0.9).double()  # z_T first, then z_{T-1}, ...
    width = torch.cat([torch.ones(1).double(), 0.4 + scales[1:].flip(0) ** 2])
    p = joint_of_steps(back, width, 0.0)
    order = torch.arange(length).flip(0)
    exact = 0.0
    for element in x.tolist():
        q = joint_of_steps(slopes, scales, element)
        reordered = MultivariateNormal(q.mean[order], q.covariance_matrix[order][:, order])
        exact += float(kl_divergence(reordered, p))
    n = rows if training else 2000
    with seed(3), torch.no_grad():
        found = -model.terms(x.expand(n, 2))["-KL(q(z | x) || p(z))"]
    error = float(found.std()) / n**0.5
    assert abs(float(found.mean()) - exact) < 4 * error + 1e-5
    assert error < 0.02 * exact


def test_what_is_emitted_does_not_grow_with_the_chain() -> None:
    sources = [pipeline.emit(chain(length)).text for length in (10, 1000)]
    assert len(sources[0].splitlines()) == len(sources[1].splitlines()) < 300
