"""Divergences close one by one: each of a closed form is used where nothing that p reads is known through the draw."""

from __future__ import annotations

import pytest
import torch

from tests.contracts.support import build, checked, data_of, seed

HIERARCHY = """\
model hierarchy
observed x : real[2] from "rows.npz".x
latent   a : real[2]
latent   b : real[2]
latent   c : real[2]
p(c)     = Normal(0, 1)
p(b | c) = Normal(mlp[4](c))
p(a | b) = Normal(mlp[4](b))
p(x | a) = Normal(mlp[4](a))
"""
APART = "q(a | x) = Normal(mlp[4](x))\nq(b | x) = Normal(mlp[4](x))\nq(c | x) = Normal(mlp[4](x))\n"
CASES = {
    "each apart from the others": (APART, {"a", "b", "c"}),
    "from below": ("q(a | x) = Normal(mlp[4](x))\nq(b | a) = Normal(mlp[4](a))\nq(c | b) = Normal(mlp[4](b))\n", {"c"}),
    "one of them from another": (
        APART.replace("q(b | x) = Normal(mlp[4](x))", "q(b | a) = Normal(mlp[4](a))"),
        {"b", "c"},
    ),
    "one without a closed form": (APART.replace("q(b | x) = Normal", "q(b | x) = Logistic"), {"a", "c"}),
}


@pytest.mark.parametrize("name", CASES)
def test_which_close(name: str) -> None:
    posterior, closed = CASES[name]
    found = checked(HIERARCHY + posterior)
    assert found.plan is not None
    assert {t.owner for t in found.plan.terms if t.estimator == "closed form"} == closed


def test_their_mean_is_that_of_the_ratios() -> None:
    """E_q[log p - log q] of all latents by draws, with and without divergences in closed form."""
    model, (x,) = build(found := checked(HIERARCHY + APART), scale=0.3), data_of(checked(HIERARCHY + APART), 4)
    assert found.plan is not None
    x = x.repeat_interleave(20_000, 0)
    with torch.no_grad(), seed(1):
        ours = sum(model.terms(x).values())
        q = {n: getattr(model, f"q_{n}")(x) for n in "abc"}
        z = {n: d.rsample() for n, d in q.items()}
        p = {"a": model.p_a(z["b"]), "b": model.p_b(z["c"]), "c": model.p_c()}
        theirs = model.p_x(z["a"]).log_prob(x) + sum(p[n].log_prob(z[n]) - q[n].log_prob(z[n]) for n in "abc")
    a, b = ours.reshape(4, -1), theirs.reshape(4, -1)
    error = ((a.var(1) + b.var(1)) / 20_000).sqrt()
    assert ((a.mean(1) - b.mean(1)).abs() < 5 * error).all()
    assert (a.var(1) < b.var(1)).all()
