"""Importance-weighted bounds beside latents of few values, which take each of these: against the weights by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import dgmppl
from dgmppl.runtime.model import GenerativeModel
from tests.contracts.support import COMPOSITIONS, build, checked, data_of, seed

MODEL = """\
model weighed
observed x : real[2] from "rows.npz".x
latent   y : categorical(3)
latent   z : real[2]
p(y)        = Categorical(param)
p(z | y)    = Normal(mlp[4](y))
p(x | z, y) = Normal(mlp[8](z, y))
"""
POSTERIORS = {
    "drawn for each value": "q(z | x, y) = Normal(mlp[8](x, y))\n",
    "drawn before": "q(z | x) = Normal(mlp[8](x))\nq(y | x, z) = Categorical(mlp[4](x, z))\n",
    "a q that is not needed": "q(z | x, y) = Normal(mlp[8](x, y))\nq(y | x) = Categorical(mlp[4](x))\n",
}


def _log_weights(model: GenerativeModel, x: Tensor, z: Tensor, log_q: Tensor) -> Tensor:
    """log sum_y p(x, y, z_y) / q(z_y): z and log q are those of each value, (values, n, ...)."""
    found = []
    for k in range(3):
        y = torch.full((len(x),), float(k))
        p = model.p_y().log_prob(y) + model.p_z(y).log_prob(z[k]) + model.p_x(z[k], y).log_prob(x)
        found.append(p - log_q[k])
    return torch.stack(found).logsumexp(0)


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_weights_are_those_by_hand(name: str) -> None:
    found = checked(MODEL + POSTERIORS[name] + "train { objective = iwae(6) }\n")
    assert found.plan is not None and found.plan.criterion == "iwae(6)"
    model, (x,) = build(found, scale=0.4), data_of(found, 5)
    with torch.no_grad():
        with seed(3):
            total = sum(model.terms(x).values())
        with seed(3):
            if name == "drawn before":
                q = model.q_z(x)
                z = q.rsample()
                z, log_q = z.expand(3, 5, 2), q.log_prob(z).expand(3, 5)
            else:
                y = torch.arange(3.0).repeat(5)
                q = model.q_z(x.repeat_interleave(3, 0), y)
                z = q.rsample()
                log_q = q.log_prob(z).reshape(5, 3).T
                z = z.reshape(5, 3, 2).transpose(0, 1)
        assert torch.allclose(total, _log_weights(model, x, z, log_q), atol=1e-5)


def test_sums_before_and_after_a_draw_are_those_by_hand() -> None:
    """z is drawn for each y, and b is summed out once z is known."""
    found = checked(next(p for p in COMPOSITIONS if p.stem == "weighed_cases"))
    model, (x,) = build(found, scale=0.4), data_of(found, 5)
    with torch.no_grad():
        with seed(3):
            total = sum(model.terms(x).values())
        with seed(3):
            q = model.q_z(x.repeat_interleave(3, 0), torch.arange(3.0).repeat(5))
            z = q.rsample()
            z, log_q = z.reshape(5, 3, 2).transpose(0, 1), q.log_prob(z).reshape(5, 3).T
        cases = []
        for k, m in itertools.product(range(3), range(2)):
            y, b = torch.full((5,), float(k)), torch.full((5,), float(m))
            p = model.p_y().log_prob(y) + model.p_b(y).log_prob(b) + model.p_z(y).log_prob(z[k])
            cases.append(p + model.p_x(z[k], y, b).log_prob(x) - log_q[k])
        assert torch.allclose(total, torch.stack(cases).logsumexp(0), atol=1e-5)
        inferred = model.infer(x)
        assert {n: v.shape for n, v in inferred.items()} == {"y": (5,), "b": (5,), "z": (5, 2)}
    model.loss(x).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_more_draws_bring_the_bound_to_the_likelihood() -> None:
    """Against log p(x) by many draws from the prior, every value of y weighed by its probability."""
    bounds = []
    for samples in (1, 30, 2000):
        found = checked(MODEL + POSTERIORS["drawn for each value"] + f"train {{ objective = iwae({samples}) }}\n")
        model, (x,) = build(found, scale=0.4), data_of(found, 4)
        with torch.no_grad(), seed(1):
            figure = "elbo" if samples == 1 else f"iwae({samples})"
            many = torch.stack([model.figures(x)[figure] for _ in range(60 if samples < 100 else 2)])
            bounds.append(many.mean(0))
            cases = []
            for k in range(3):
                y = torch.full((200_000,), float(k))
                z = model.p_z(y).sample()
                p = torch.stack([model.p_x(z, y).log_prob(row.expand(200_000, 2)) for row in x], 1)
                cases.append(
                    p.logsumexp(0) - torch.tensor(200_000.0).log() + model.p_y().log_prob(torch.tensor(float(k)))
                )
            exact = torch.stack(cases).logsumexp(0)
    assert (bounds[0] < bounds[1] + 0.02).all()
    assert (bounds[1] < bounds[2] + 0.02).all()
    assert torch.allclose(bounds[2], exact, atol=0.05)


def test_values_are_read_by_their_weights() -> None:
    found = checked(MODEL + POSTERIORS["drawn for each value"] + "train { objective = iwae(6) }\n")
    model, (x,) = build(found, scale=0.4), data_of(found, 5)
    with torch.no_grad():
        inferred = model.infer(x, mean=True)
        z = torch.stack([model.q_z(x, torch.full((5,), float(k))).mean for k in range(3)])
        log_q = torch.stack([model.q_z(x, torch.full((5,), float(k))).log_prob(z[k]) for k in range(3)])
        each = []
        for k in range(3):
            y = torch.full((5,), float(k))
            p = model.p_y().log_prob(y) + model.p_z(y).log_prob(z[k]) + model.p_x(z[k], y).log_prob(x)
            each.append(p - log_q[k])
        best = torch.stack(each).argmax(0)
    assert torch.equal(inferred["y"], best.float())
    assert torch.allclose(inferred["z"], z[best, torch.arange(5)], atol=1e-6)


@pytest.mark.parametrize("objective", ["elbo", "iwae(4)"])
def test_classes_at_positions_are_summed_out_in_each_case(objective: str) -> None:
    """No q reads k, which is summed out at each position whatever becomes of y."""
    text = (
        MODEL.replace("real[2] from", "real[3, 2] from")
        .replace("latent   z", "latent   k : categorical(3)[3]\nlatent   z")
        .replace(
            "p(x | z, y) = Normal(mlp[8](z, y))",
            "p(k) = Categorical(param)\np(x[d] | k[d], y) = Normal(mlp[4](k[d], y))",
        )
    )
    found = checked(text + "q(z | x, y) = Normal(mlp[8](x, y))\n" + f"train {{ objective = {objective} }}\n")
    assert found.plan is not None and not any("q(k" in q for q in found.plan.derived)
    model, (x,) = build(found, scale=0.4), data_of(found, 5)
    with torch.no_grad():
        with seed(3):
            total = sum(model.terms(x).values())
        with seed(3):
            rows, y = x.repeat_interleave(3, 0), torch.arange(3.0).repeat(5)
            z = model.q_z(rows, y).rsample()
        ratio = model.p_z(y).log_prob(z) - model.q_z(rows, y).log_prob(z)
        each = []
        for k in itertools.product((0.0, 1.0, 2.0), repeat=3):
            value = torch.tensor(k).expand(15, 3)
            each.append(model.p_k().log_prob(value) + model.p_x(value, y).log_prob(rows))
        of_value = (torch.stack(each).logsumexp(0) + model.p_y().log_prob(y)).reshape(5, 3)
        if objective == "elbo":
            q = model.q_y(x)
            log_q = torch.stack([q.log_prob(torch.tensor(float(c))) for c in range(3)], 1)
            kl = torch.distributions.kl_divergence(model.q_z(rows, y), model.p_z(y)).reshape(5, 3)
            expected = (log_q.exp() * (of_value - log_q - kl)).sum(1)
        else:
            expected = (of_value + ratio.reshape(5, 3)).logsumexp(1)
        assert torch.allclose(total, expected, atol=1e-4)
        assert {n: v.shape for n, v in model.infer(x).items()} == {"y": (5,), "k": (5, 3), "z": (5, 2)}


def test_no_q_is_derived_for_it_and_a_given_one_is_told_of() -> None:
    text = MODEL + POSTERIORS["drawn for each value"]
    assert "q(y | x) = Categorical" in dgmppl.explain(text)
    assert "q(y" not in dgmppl.explain(text + "train { objective = iwae(5) }\n")
    given = dgmppl.check(MODEL + POSTERIORS["a q that is not needed"] + "train { objective = iwae(5) }\n")
    assert any("nothing teaches q(y | x)" in d.headline for d in given)


def test_every_other_weight_has_a_gradient() -> None:
    for posterior, samples in itertools.product(POSTERIORS.values(), (1, 5)):
        found = checked(MODEL + posterior + f"train {{ objective = iwae({samples}) }}\n")
        model, (x,) = build(found, scale=0.4), data_of(found, 5)
        model.loss(x).backward()
        missing = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
        assert {n.split(".")[0] for n in missing} <= {"q_y_net", "q_y_logits_net"}
