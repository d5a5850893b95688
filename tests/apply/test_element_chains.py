"""Markov chains of elements leave a law as it is: what starts as draws of it ends as such, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from dgmppl.apply.element_chains import Chains
from dgmppl.supports import POSITIVE, REAL, UNIT, Support

torch_law = torch.distributions
LAWS = {
    "normal": (REAL, stats.norm(5000, 1000), torch_law.Normal(5000.0, 1000.0)),
    "heavy tails": (REAL, stats.t(3), torch_law.StudentT(torch.tensor(3.0))),
    "skewed": (POSITIVE, stats.lognorm(1.2), torch_law.LogNormal(0.0, 1.2)),
    "from 0 on": (POSITIVE, stats.expon(scale=1e4), torch_law.Exponential(1e-4)),
    "shares": (UNIT, stats.beta(2, 8), torch_law.Beta(2.0, 8.0)),
    "shares near the ends": (UNIT, stats.beta(0.5, 0.5), torch_law.Beta(0.5, 0.5)),
}


@pytest.mark.parametrize("kind", LAWS)
def test_draws_of_a_law_stay_draws_of_it(kind: str) -> None:
    support, law, target = LAWS[kind]
    start = law.rvs((8000, 1), np.random.default_rng(0))
    drawn = moved(support, torch.as_tensor(start, dtype=torch.float32), target)
    assert stats.kstest(drawn, law.cdf).statistic < 0.025  # 0.018 has a probability of 0.01


def test_a_start_far_away_in_the_units_of_the_law_is_left() -> None:
    """Chains start as draws of p, which may be far wider than the law given all else, and lie elsewhere."""
    start = 1e6 + 1e5 * torch.randn(2000, 1)
    drawn = moved(REAL, start, torch_law.Normal(1.2e6, 3e4))
    assert stats.kstest(drawn, stats.norm(1.2e6, 3e4).cdf).statistic < 0.06


def moved(support: Support, start: Tensor, law: torch.distributions.Distribution) -> np.ndarray:
    """The values of chains, ten of each row, after they have learned the sizes of their moves and forgotten them."""
    torch.manual_seed(0)
    chains = Chains(
        lambda state: law.log_prob(state["x"]).sum(1),
        {"x": support},
        {"x": torch.ones_like(start, dtype=torch.bool)},
        of_a_row=10,
    )
    state = chains.run(chains.run({"x": start}, 30, adapt=True), 30, adapt=False)
    return state["x"].double().flatten().numpy()
