"""What an explanation says of latents that are drawn: why no exact rule takes them out, and what their q leave out."""

from __future__ import annotations

import pytest

from dgmppl.pipeline import read
from dgmppl.plan.explain import explain_plan

X = 'observed x : real[3] from "rows.npz".x\n'
Z = "latent z : real[2]\np(z) = Normal(0, 1)\n"
WALK = 'const T = 12\nobserved x[t in 1..T] : real[2] from "walks.npz".steps\n'
STATE = "latent z[t in 1..T] : real[2]\np(z[1]) = Normal(0, 1)\n"
MOVED = "p(z[t] | z[t-1]) = Normal(linear(z[t-1]), 1)\n"
GROUP = 'observed x : real from "rows.npz".x\nobserved g : categorical(4) from "rows.npz".g\n'

CASES = {
    "a mean": (X + Z + "p(x | z) = Normal(mlp[4](z), 1)", "z: the mean of x is not affine in z"),
    "a deviation": (X + Z + "p(x | z) = Normal(linear(z), exp(linear(z)))", "z: the deviation of x depends on z"),
    "both": (X + Z + "p(x | z) = Normal(linear(z))", "z: one network of z gives the mean and the deviation of x"),
    "a product": (
        X + Z + "latent w : real\np(w) = Normal(0, 1)\np(x | z, w) = Normal(w * linear(z), 1)",
        "w: the mean of x is not affine in w and z together",
    ),
    "read by a q": (
        X + Z + "latent w : real\np(w) = Normal(0, 1)\np(x | z, w) = Normal(linear(z) + w, 1)\n"
        "q(z | x) = Normal(linear(x))\nq(w | z, x) = Normal(linear(z, x))",
        "z: q(w | z, x) reads it",
    ),
    "many numbers": (
        X.replace("3", "1200") + Z.replace("2", "1200") + "p(x | z) = Normal(0.5 * z, 1)\nq(z | x) = Normal(linear(x))",
        "z: 1,200 numbers > 1,000",
    ),
    "of all rows": (
        X + Z.replace("real[2]", "real[2] per data") + "p(x | z) = Normal(linear(z), 1)",
        "z: one for all rows, and integrals are those of a row",
    ),
    "a transition": (
        WALK + STATE + "p(z[t] | z[t-1]) = Normal(mlp[4](z[t-1]), 1)\np(x[t] | z[t]) = Normal(linear(z[t]), 1)",
        "z[t]: the mean of z[t] is not affine in its other members",
    ),
    "an emission": (
        WALK + STATE + MOVED + "p(x[t] | z[t]) = Normal(mlp[4](z[t]), 1)",
        "z[t]: the mean of x[t] is not affine in z[t]",
    ),
    "both ways": (
        WALK + STATE + MOVED + "p(x[T] | z[T]) = Normal(linear(z[T]), 1)\n"
        "p(x[t] | z[t], z[t+1]) = Normal(linear(z[t], z[t+1]), 1)",
        "z[t]: some densities read members of z[t] before theirs, and some after",
    ),
    "a wide state": (
        WALK + STATE.replace("real[2]", "real[300]") + MOVED + "p(x[t] | z[t]) = Normal(linear(z[t]), 1)",
        "z[t]: a state of 300 numbers > 200",
    ),
    "all members": (
        WALK + STATE + MOVED + "p(x[t] | z[t]) = Normal(linear(z[t]), 1)\n"
        'observed y : real from "walks.npz".y\np(y | z) = Normal(sum(z), 1)',
        "z[t]: p(y | z) reads more of z[t] than a few members before, or a few after",
    ),
    "a mean that is left out": (
        GROUP + "latent mu : real per data\nlatent m : real per g\np(mu) = Normal(0, 1)\np(m | mu) = Normal(mu, 1)\n"
        "p(x | m) = Normal(exp(m), 1)\nq(mu) = Normal(param)\nq(m | g) = Normal(linear(g))",
        "q(m | g) leaves out mu, on which the posterior of m depends",
    ),
    "a filter": (
        WALK + STATE + "p(z[t] | z[t-1]) = Normal(mlp[4](z[t-1]))\np(x[t] | z[t]) = Normal(mlp[4](z[t]))\n"
        "q(z[1] | x[1]) = Normal(linear(x[1]))\nq(z[t] | z[t-1], x[t]) = Normal(mlp[4](z[t-1], x[t]))",
        "q(z[t] | z[t-1], x[t]) reads nothing that comes later, and the posterior of z[t] depends on all of x",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_explanation_says_why_latents_are_drawn(name: str) -> None:
    body, expected = CASES[name]
    plan = read(f"model told\n{body}\n", files=False).plan
    assert plan is not None
    assert expected in [r.text for r in plan.inexact]
    shown = " ".join(explain_plan(plan).split())
    assert "not exact" in shown and expected in shown


EXACT = {
    "integrated": X + Z + "p(x | z) = Normal(linear(z), 1)",
    "filtered": WALK + STATE + MOVED + "p(x[t] | z[t]) = Normal(linear(z[t]), 1)",
    "no normal density": X.replace("real", "binary") + Z + "p(x | z) = Bernoulli(mlp[4](z))",
    "a q that smooths": WALK + STATE + "p(z[t] | z[t-1]) = Normal(mlp[4](z[t-1]))\n"
    "p(x[t] | z[t]) = Laplace(mlp[4](z[t]))",
}


@pytest.mark.parametrize("name", EXACT)
def test_nothing_is_said_where_no_exact_rule_comes_near_or_one_applies(name: str) -> None:
    plan = read(f"model told\n{EXACT[name]}\n", files=False).plan
    assert plan is not None and not plan.inexact


def test_a_q_that_a_sum_does_not_need_is_told() -> None:
    rest = "latent k : categorical(3)\np(k) = Categorical(param)\np(x | k) = Normal(linear(k))\n"
    rest += "q(k | x) = Categorical(mlp[4](x))\n"
    plan = read(f"model told\n{X}{rest}", files=False).plan
    assert plan is not None
    assert any("without which it would be summed out exactly" in s.because.text for s in plan.steps)
