"""Regressions with what groups have in common, by q that are derived: where these start, and what they reach."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import dgmppl
from tests.contracts.support import build, checked

SHOPS = """\
model shops
observed shop   : {group} from "sales.csv".shop
observed hours  : real from "sales.csv".hours
observed income : real from standardize("sales.csv".income)
param    mu     : real
param    b      : real
latent   tau    : positive per data
latent   s      : positive per data
latent   a      : real per shop
p(tau)                  = HalfCauchy(1)
p(s)                    = HalfCauchy(1)
p(a | tau)              = Normal(mu, tau)
p(income | a, hours, s) = Normal(a + b * hours, s)
train {{ split = whole{settings} }}
"""


def sales() -> pd.DataFrame:
    """Incomes of 20 shops in euros, 42,000 or so with a deviation of 5,000."""
    r = np.random.default_rng(0)
    shop, hours = r.integers(0, 20, 500), r.normal(size=500)
    noise = 0.6 * r.normal(size=20)[shop], 0.6 * r.normal(size=500)
    return pd.DataFrame(
        {"shop": shop, "hours": hours, "income": 42000 + 5000 * (noise[0] + 0.5 * hours + noise[1])}
    ).astype({"shop": float})


@pytest.mark.parametrize(
    ("group", "settings"),
    [
        ("integer(0..19)", ", epochs = 60, optimizer = adam(1e-2)"),
        pytest.param("categorical(20)", "", marks=pytest.mark.slow),
    ],
)
def test_random_intercepts_in_euros_are_those_of_the_greatest_likelihood(group: str, settings: str) -> None:
    """Those of statsmodels 0.15: `mixedlm("income ~ hours", rows, groups="shop").fit(reml=False)`, in euros."""
    rows = sales()
    mean, deviation = rows.income.mean(), rows.income.std(ddof=0)
    model = dgmppl.train(SHOPS.format(group=group, settings=settings), data=rows).model
    with torch.no_grad():
        mu, b = mean + deviation * float(model.mu), deviation * float(model.b)
        tau, s = deviation * float(model.q_tau().mean), deviation * float(model.q_s().mean)
        a = mean + deviation * model.q_a(torch.arange(20.0)).mean.numpy() - mu
    assert mu == pytest.approx(42900.0, abs=200)  # its standard error is 746
    assert b == pytest.approx(2808.5, abs=70)  # 134
    assert s == pytest.approx(2863.0, rel=0.03)
    assert tau == pytest.approx(3283.3, rel=0.08)
    exact = [-3058.4, -3110.9, -5049.8, 1106.7, -2886.1, -243.7, 1631.4, 2983.3, -6100.3, 3805.7]
    exact += [2536.6, 1307.6, 5549.6, -163.1, 1259.7, -3270.2, 2331.0, -1097.0, -2685.3, 5153.2]
    np.testing.assert_allclose(a, exact, atol=400)  # 570, the deviation of their posterior


LATENTS = {
    "real": "p(m) = Normal(0, 1)",
    "positive": "p(m) = LogNormal(0, 1)",
    "simplex[3]": "p(m) = Dirichlet(2)",
    "categorical(3)": "p(m) = Categorical(uniform)",
}


@pytest.mark.parametrize("group", ["categorical(4)", "ordinal(4)", "integer(3..6)", "integer(-1..2)", "binary"])
@pytest.mark.parametrize("latent", LATENTS)
def test_a_q_that_is_derived_has_numbers_of_its_own_for_each_group(latent: str, group: str) -> None:
    """Whatever the groups are called: their numbers say nothing of how near they are to each other."""
    read = "m" if latent in ("real", "positive") else "mlp[4](m)"
    model = build(
        checked(
            f"""model m
observed g : {group} from "rows.csv".g
observed y : real from "rows.csv".y
latent m : {latent} per g
{LATENTS[latent]}
p(y | m) = Normal({read}, 1)
"""
        )
    )
    first = {"integer(3..6)": 3, "integer(-1..2)": -1}.get(group, 0)
    values = torch.arange(first, first + (2 if group == "binary" else 4)).float()
    q = model.q_m(values)
    of_each = (q.probs if latent.startswith("categorical") else q.mean).reshape(len(values), -1)[:, 0]
    weights = [p for name, p in model.named_parameters() if name.startswith("q_m")]
    rows = [torch.autograd.grad(one, weights, retain_graph=True, allow_unused=True) for one in of_each]
    moved = [torch.cat([torch.zeros(1) if g is None else g.reshape(-1) for g in row]) for row in rows]
    assert int(torch.linalg.matrix_rank(torch.stack(moved))) == len(values)


def test_a_q_that_is_derived_of_what_is_positive_starts_narrow() -> None:
    """Its logarithm has a deviation of 0.1, or in groups and along an index near that."""
    model = build(
        checked(
            """model m
observed g : integer(1..50) from "rows.npz".g
observed x[t in 1..3] : real from "rows.npz".x
latent s : positive[20] per data
latent m : positive per g
latent w[t in 1..3] : positive per g
p(s) = HalfNormal(1)
p(m) = HalfNormal(1)
p(w[t]) = HalfNormal(1)
p(x[t] | w[t], m, s) = Normal(0, w[t] + m + s[0] + s[19])
"""
        )
    )
    with torch.no_grad():
        groups = torch.arange(1, 51).float()
        for q in (model.q_s(), model.q_m(groups), model.q_w(groups)):
            logarithms = torch.stack([q.rsample() for _ in range(400)]).log()
            assert (logarithms.std(0).log() - np.log(0.1)).abs().max() < 0.6
            assert logarithms.mean(0).abs().max() < 0.5
