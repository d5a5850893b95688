"""Chains of latents with a fixed q: folded they are what they are unrolled, and composed what their steps say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

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


def test_places_chosen_by_their_losses_have_the_same_sum() -> None:
    """Once for all of them alike, then by what these found: without bias, and with less of a spread."""
    text = CHAIN.format(T=20, mean=LINEAR) + "train { gradient = { z[t] = by_loss } }"
    model, n = build(pipeline.read(text)).double().train(), 100_000
    x = torch.tensor([0.7, -0.4]).double().expand(n, 2)
    places, label = model.q_z_chain.by_loss, "-KL(q(z | x) || p(z))"
    model.observer = (terms := {}).update

    def estimate() -> tuple[float, float]:
        with torch.no_grad():
            model.loss(x)
        return float(terms[label].mean()), float(terms[label].std())

    with seed(3):
        alike, spread = estimate()
        assert places.probabilities(0, 18).tolist() == pytest.approx([1 / 19] * 19)
        places.renew()
        chosen = places.probabilities(0, 18)
        found, less = estimate()
        with torch.no_grad():
            exact = float(model.eval().terms(x[:2000])[label].mean())
    assert float(chosen.max() / chosen.min()) > 2
    assert less < 0.8 * spread
    assert abs(found - alike) < 4 * (less**2 + spread**2) ** 0.5 / n**0.5
    assert abs(found - exact) < 4 * less / n**0.5 + 0.02 * abs(exact)


def test_what_is_emitted_does_not_grow_with_the_chain() -> None:
    sources = [pipeline.emit(chain(length)).text for length in (10, 1000)]
    assert len(sources[0].splitlines()) == len(sources[1].splitlines()) < 300


def test_simple_weights_leave_the_error_of_the_noise() -> None:
    """With the variance of q for p, the loss is a sum of squared errors of what the network says of the noise."""
    text = CHAIN.format(T=12, mean=NOISE).replace("0.4 + beta[t]", "sigma[t]")
    text += "schedule sigma[t in 2..T] = sqrt(beta[t] * (1 - abar[t-1]) / (1 - abar[t]))\n"
    text += "p(x | z[1]) = Normal(eps(z[1], 1 / 12), 1)\ntrain { objective = elbo(weight = { z[t] = simple }) }"
    model = build(pipeline.read(text)).double()
    x = torch.tensor([[0.7, -0.4]]).double().expand(50_000, 2)
    terms: dict[str, Tensor] = {}
    model.observer = terms.update
    beta = torch.linspace(0.05, 0.4, 12, dtype=torch.float64)
    left = (1 - beta).cumprod(0)
    with seed(2), torch.no_grad():
        model.loss(x)
        errors = 0.0
        for t in range(2, 13):
            noise = torch.randn_like(x)
            z = left[t - 1].sqrt() * x + (1 - left[t - 1]).sqrt() * noise
            index = torch.full((len(x), 1), 2 * t / 12 - 1).double()
            errors += float((model.eps(torch.cat([z, index], -1)) - noise).square().sum(-1).mean())
        last = (1 - left[-1]) + left[-1] * x[0] ** 2 - 1 - (1 - left[-1]).log()
    found = -terms["-KL(q(z | x) || p(z))"]
    assert float(found.mean()) == pytest.approx(
        errors + float(last.sum()) / 2, abs=5 * float(found.std()) / len(x) ** 0.5
    )


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [None, 1, 3, 12])
def test_the_way_back_leads_to_the_start_in_any_number_of_steps(steps: int | None, noise: float) -> None:
    """Where p is q's own way back from a start that is known, the first member has q's law given that start."""
    text = CHAIN.format(T=12, mean="c[t] * 0.7 + d[t] * z[t]").replace("0.4 + beta[t]", "sigma[t]")
    text += """
    net f = mlp[8]
    p(x | z[1]) = Normal(f(z[1]), 1)
    schedule sigma[t in 2..T] = sqrt(beta[t] * (1 - abar[t-1]) / (1 - abar[t]))
    schedule c[t in 2..T] = sqrt(abar[t-1]) * beta[t] / (1 - abar[t])
    schedule d[t in 2..T] = sqrt(1 - beta[t]) * (1 - abar[t-1]) / (1 - abar[t])
    """
    text = text.replace("p(z[T])          = Normal(0, 1)", "p(z[T]) = Normal(0.7 * sqrt(abar[T]), sqrt(1 - abar[T]))")
    text = text.replace("net eps = mlp[8]\n", "")
    model = build(pipeline.read(text)).double()
    n = 20_000
    with seed(4), torch.no_grad():
        first = model.q_z_chain.draw(model.p_z(), n, steps, noise)
    assert first.shape == (n, 1, 2)
    assert first.mean((0, 1)).tolist() == pytest.approx([0.7 * 0.95**0.5] * 2, abs=5 * 0.05**0.5 / n**0.5)
    assert first.std((0, 1)).tolist() == pytest.approx([0.05**0.5] * 2, rel=0.03)


GUIDED = """
model guided
const T = 12
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
latent   z[t in 0..T] : real[2]
schedule beta[t in 1..T]  = linear(0.05, 0.4)
schedule abar[t in 0..T]  = cumprod(1 - beta[t])
schedule sigma[t in 2..T] = sqrt(beta[t] * (1 - abar[t-1]) / (1 - abar[t]))
schedule c[t in 2..T]     = sqrt(abar[t-1]) * beta[t] / (1 - abar[t])
schedule d[t in 2..T]     = sqrt(1 - beta[t]) * (1 - abar[t-1]) / (1 - abar[t])
let seen  = drop(y, 0.25)
let start = 0.7 * seen[0] - 0.3 * seen[1]
z[0]                    = x
q(z[t] | z[t-1])        = Normal(sqrt(1 - beta[t]) * z[t-1], sqrt(beta[t]))
p(z[T])                 = Normal({start} * sqrt(abar[T]), sqrt(1 - abar[T]))
p(z[t-1] | z[t], start) = Normal(c[t] * start + d[t] * z[t], sigma[t])
p(x | z[1], seen)       = Normal(mlp[8](z[1], seen), 1)
"""


@pytest.mark.parametrize("guidance", [0.0, -1.0, 1.5])
@pytest.mark.parametrize(("steps", "noise"), [(None, 1.0), (None, 0.0), (4, 0.5)])
def test_guidance_leads_away_from_what_is_drawn_without_a_class(
    steps: int | None, noise: float, guidance: float
) -> None:
    """p is q's own way back from 0.7 with the first class, and from 0 without one. So a mean of (1 + w) times the first
    less w times the second is the way back from (1 + w) 0.7 (Ho and Salimans, 2022, Eq. 6)."""
    start = (1 + guidance) * 0.7
    model, n = build(pipeline.read(GUIDED.format(start=f"{start:g}"))).double(), 20_000
    seen = torch.tensor([[1.0, 0.0]]).double().expand(n, 2)
    given, without = (model.p_z(model.define_start(s)) for s in (seen, torch.zeros_like(seen)))
    with seed(4), torch.no_grad():
        first = model.q_z_chain.draw(given, n, steps, noise, guidance, without)
    assert first.mean((0, 1)).tolist() == pytest.approx([start * 0.95**0.5] * 2, abs=5 * 0.05**0.5 / n**0.5)
    assert first.std((0, 1)).tolist() == pytest.approx([0.05**0.5] * 2, rel=0.03)


GUIDED_CLASSES = """
model guided_classes
const T = 12
observed x : categorical(4) from moons.label
observed y : categorical(2) from moons.label
latent   z[t in 0..T] : categorical(4)
schedule beta[t in 1..T] = linear(0.2, 0.9)
let seen  = drop(y, 0.25)
z[0]                   = x
q(z[t] | z[t-1])       = Categorical(log((1 - beta[t]) * one_hot(z[t-1]) + beta[t] / 4))
p(z[T])                = Categorical(uniform)
p(z[t-1] | z[t], seen) = Categorical(4 * mlp[8](z[t], seen, t) + {more})
"""


@pytest.mark.parametrize("guidance", [0.0, -1.0, 1.5])
@pytest.mark.parametrize("more", ["0", "log(1 - one_hot(3))"])
def test_a_guided_chain_of_classes_has_the_law_of_its_logarithms(more: str, guidance: float) -> None:
    """Enumerated: each step back has (1 + w) log p - w log p without the class, made to sum to 1."""
    found = pipeline.read(GUIDED_CLASSES.format(more=more))
    assert found.ok, found.errors
    model, n = build(found, scale=1.0).double(), 40_000
    chain, seen = model.q_z_chain, torch.tensor([[0.0, 1.0]]).double()
    states = torch.arange(4.0).double().unsqueeze(-1)
    with seed(5), torch.no_grad():
        given, without = (model.p_z(s.expand(4, 2)) for s in (seen, torch.zeros_like(seen)))
        expected = torch.full((4,), 0.25).double()
        for place in range(chain.length - 2, -1, -1):
            p, p0 = (chain.law_back(each, 4, place, states).probs[:, 0] for each in (given, without))
            step = torch.where(p0 > 0, p ** (1 + guidance) / p0**guidance, 0.0) if guidance else p
            expected = expected @ (step / step.sum(-1, keepdim=True))
        many = [model.p_z(s.expand(n, 2)) for s in (seen, torch.zeros_like(seen))]
        drawn = chain.draw(many[0], n, guidance, many[1])
    assert drawn.shape == (n, 1)
    seen_often = torch.bincount(drawn.flatten().long(), minlength=4).double() / n
    assert (seen_often - expected).abs().max() < 5 * 0.5 / n**0.5
    assert model.sample(5, 1.0, guidance=guidance).shape == (5,)


@pytest.mark.parametrize(("steps", "noise"), [(None, 1.0), (5, 0.0)])
def test_samples_without_guidance_are_those_of_the_class_and_with_minus_one_of_none(
    steps: int | None, noise: float
) -> None:
    model = build(pipeline.read(GUIDED.format(start="0"))).double().eval()
    y = torch.tensor([1.0]).double().expand(6)
    drawn: list[Tensor] = []
    for guidance in (0.0, -1.0, 2.0):
        with seed(3):
            drawn.append(model.sample(6, y, steps=steps, noise=noise, guidance=guidance))
    seen = model.define_seen(y)
    for found, given in zip(drawn, (seen, torch.zeros_like(seen))):
        with seed(3), torch.no_grad():
            z = model.q_z_chain.draw(model.p_z(model.define_start(given)), 6, steps, noise)
            expected = model.p_x(z, seen).sample()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(drawn[0], drawn[2])


def test_a_share_of_the_rows_of_a_fit_does_without() -> None:
    model = build(pipeline.read(GUIDED.format(start="0")))
    y = torch.ones(10_000)
    with seed(2):
        seen = model.train().define_seen(y)
    kept = seen.sum(-1)
    assert set(kept.tolist()) == {0.0, 1.0}
    assert float(kept.mean()) == pytest.approx(0.75, abs=4 * (0.25 * 0.75 / 10_000) ** 0.5)
    assert torch.equal(model.eval().define_seen(y), torch.tensor([[0.0, 1.0]]).expand(10_000, 2))


CLASSES = """
model classes
const T = 9
observed x : categorical(3) from "rows.npz".x
latent   z[t in 0..T] : categorical(3)
schedule beta[t in 1..T] = linear(0.1, 0.5)
z[0] = x
p(z[T])          = Categorical(uniform)
p(z[t-1] | z[t]) = Categorical(mlp[8](z[t], t))
q(z[t] | z[t-1]) = Categorical(log((1 - beta[t]) * one_hot(z[t-1]) + beta[t] / 3))
"""


ABSORBING = CLASSES.replace("model classes", "model absorbing").replace("+ beta[t] / 3", "+ beta[t] * one_hot(1)")


@pytest.mark.parametrize("text", [CLASSES, ABSORBING], ids=["alike", "absorbing"])
def test_a_member_of_a_chain_of_classes_has_the_products_of_its_steps(text: str) -> None:
    """Powers of matrices Q_t, and Bayes' rule for a member given the next (Austin et al., 2021, Eqs. 2 and 3)."""
    model = build(pipeline.read(text)).double()
    anew = torch.full((3, 3), 1 / 3).double() if text is CLASSES else torch.eye(3)[1].double().expand(3, 3)
    beta = torch.linspace(0.1, 0.5, 9, dtype=torch.float64)
    steps_of_q = [(1 - b) * torch.eye(3).double() + b * anew for b in beta]
    for x in (0.0, 1.0, 2.0):
        m = model.q_z_chain.start(model.q_z(torch.tensor([x]).double()))
        law = torch.eye(3).double()[int(x)]
        for t, (step, following) in enumerate(zip(steps_of_q, [*steps_of_q[1:], None])):
            law = law @ step
            found = model.q_z_chain.given_start(m, torch.tensor([t])).probs.flatten()
            torch.testing.assert_close(found, law, rtol=1e-5, atol=1e-6)
            for later in range(3) if following is not None else ():
                both = law * following[:, later]
                if both.sum() > 0:
                    found = model.q_z_chain.given_next(m, torch.full((1, 1), float(later)), torch.tensor([t])).probs
                    torch.testing.assert_close(found.flatten(), both / both.sum(), rtol=1e-5, atol=1e-6)


def test_a_chain_that_ends_absorbed_has_a_finite_bound() -> None:
    """With the whole of the last step absorbed the end is known, and p(z[T]) may be it."""
    text = ABSORBING.replace("linear(0.1, 0.5)", "1 / (T + 1 - t)")
    text = text.replace("Categorical(uniform)", "Categorical(log(one_hot(1)))")
    model = build(pipeline.read(text), scale=0.5)
    assert type(model.q_z_chain).__name__ == "CategoricalChain"
    terms = model.terms(torch.tensor([0.0, 1.0, 2.0]))
    loss = -sum(terms.values(), torch.zeros(3)).mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("one_hot(1)))", "one_hot(1) / 2 + beta[t] / 6))"),  # one of all or one that absorbs
        ("one_hot(1)))", "one_hot(1) / 2 + beta[t] * one_hot(2) / 2))"),  # two that absorb
    ],
)
def test_steps_towards_several_classes_are_not_composed(old: str, new: str) -> None:
    found = pipeline.read(ABSORBING.replace(old, new))
    assert [d.code for d in found.errors] == ["E308"]  # they would have to be drawn


@pytest.mark.parametrize("text", [CLASSES, ABSORBING], ids=["alike", "absorbing"])
def test_a_chain_of_classes_is_what_all_of_its_paths_are(text: str) -> None:
    model = build(pipeline.read(text), scale=0.5)
    paths = torch.cartesian_prod(*[torch.arange(3.0)] * 9)
    x = torch.tensor([2.0])
    steps_of_q, start_of = model.q_z_chain, model.q_z_chain.start
    with torch.no_grad():
        log_q = model.q_z(x.expand(len(paths))).log_prob(paths)
        log_p = model.p_z().log_prob(paths)
        probabilities = log_q.exp()
        assert float(probabilities.sum()) == pytest.approx(1, abs=1e-4)
        exact = float((probabilities * (log_q - log_p))[probabilities > 0].sum())
        m = start_of(model.q_z(x))
        for t in range(9):
            expected = [float(probabilities[paths[:, t] == k].sum()) for k in range(3)]
            found = steps_of_q.given_start(m, torch.tensor([t])).probs.flatten().tolist()
            assert found == pytest.approx(expected, abs=1e-4)
        for t in range(8):
            later = paths[:, t + 1] == 1
            both = [float(probabilities[later & (paths[:, t] == k)].sum()) for k in range(3)]
            found = steps_of_q.given_next(m, torch.ones(1, 1), torch.tensor([t])).probs.flatten().tolist()
            assert found == pytest.approx([b / sum(both) for b in both], abs=1e-4)
        for training, n in ((True, 100_000), (False, 4000)):
            model.train(training)
            with seed(5):
                found = -model.terms(x.expand(n))["-KL(q(z | x) || p(z))"]
            error = float(found.std()) / n**0.5
            assert abs(float(found.mean()) - exact) < 4 * error + 1e-4
            assert error < 0.02 * exact


def test_a_chain_may_end_in_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last member is the data, q goes back from it, and p on from the first."""
    text = """
    model forward
    const T = 4
    observed x : real[2] from moons.point
    latent   z[t in 0..T] : real[2]
    net f = mlp[8]
    p(z[0])          = Normal(0, 1)
    p(z[t] | z[t-1]) = Normal(f(z[t-1], t), 0.5)
    q(z[t] | z[t+1]) = Normal(0.5 * z[t+1], 0.1 * (t + 1))
    z[T] = x
    """
    unrolled = pipeline.read(text)
    monkeypatch.setattr(folding, "UNROLLED", 2)
    along = pipeline.read(text)
    assert [v.name for v in graph_of(along).latents] == ["z"]
    one, other = build(along), build(unrolled)
    other.load_state_dict(one.state_dict(), strict=False)
    with seed(1):
        x, z = torch.randn(7, 2), torch.randn(7, 4, 2)
    apart = {"x": x, **{f"z[{t}]": z[:, t] for t in range(4)}}
    for side in ("p", "q"):
        found = values(along, one, {"x": x, "z": z}, side)
        torch.testing.assert_close(found, values(unrolled, other, apart, side), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("z[0] = x\n", "q(z[0]) = Normal(0, 1)\n    p(x | z[0]) = Normal(z[0], 1)\n"),  # it starts from no row
        ("sqrt(beta[t]))\np(z[T])", "param)\np(z[T])"),  # a step has something to learn
        ("sqrt(1 - beta[t]) * z[t-1]", "tanh(z[t-1])"),  # it is not linear
    ],
)
def test_other_chains_are_drawn(old: str, new: str) -> None:
    text = CHAIN.format(T=12, mean="eps(z[t], t)")
    assert old in text
    found = pipeline.read(text.replace(old, new).replace("schedule abar[t in 0..T] = cumprod(1 - beta[t])\n", ""))
    assert found.ok, [str(d) for d in found.errors]
    terms = build(found).terms(torch.randn(5, 2))
    assert any(name.startswith("-log q(z") for name in terms)
    assert all(term.isfinite().all() for term in terms.values())


BESIDE_A_CLASS = """
model classes
const T = 12
observed x : real[2] from moons.point
latent   k : categorical(3)
latent   z[t in 0..T] : real[2]
param    c : real[3]
schedule beta[t in 1..T] = linear(0.05, 0.4)
z[0] = x
q(z[t] | z[t-1])    = Normal(sqrt(1 - beta[t]) * z[t-1], sqrt(beta[t]))
p(k)                = Categorical(uniform)
p(z[T])             = Normal(0, 1)
p(z[t-1] | z[t], k) = Normal(sqrt(1 - beta[t]) * z[t] + c[k], sqrt(beta[t]))
"""


def test_beside_a_class_that_is_summed_out_a_chain_is_drawn() -> None:
    """Given k both ways are one normal process, shifted by c[k] in each step back: x is a mixture of three normals.
    One value of an estimated divergence in the logarithm of the sum would be no bound."""
    found = pipeline.read(BESIDE_A_CLASS)
    assert found.ok, [str(d) for d in found.errors]
    model, n = build(found).double(), 20_000
    shifts, means = torch.tensor([-0.08, 0.0, 0.1]).double(), torch.zeros(3).double()
    with torch.no_grad():
        model.c.copy_(shifts)
    for slope in steps(12)[0].flip(0):
        means = slope * means + shifts
    x = torch.tensor([0.7, -0.4]).double()
    exact = (Normal(means[:, None], 1.0).log_prob(x).sum(-1) - math.log(3)).logsumexp(0)
    with seed(1), torch.no_grad():
        terms = sum(model.terms(x.expand(n, 2)).values(), torch.zeros(n).double())
    error = float(terms.std()) / n**0.5
    assert float(terms.mean()) < float(exact) - 4 * error
    weights = (terms - exact).exp()  # of importance sampling by q: 1 on average
    assert float(weights.mean()) == pytest.approx(1.0, abs=4 * float(weights.std()) / n**0.5)
    assert float(weights.std()) / n**0.5 < 0.02
