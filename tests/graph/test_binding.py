"""Arguments bound to signatures: the same for every kind of thing that takes any."""

from __future__ import annotations

import pytest

from dgmppl import pipeline

_HEAD = 'model bound\nobserved x : real[4] from "rows.npz".x\nlatent z : real[2]\np(z) = Normal(0, 1)\n'


def verdict(statement: str) -> list[tuple[str, str]]:
    rest = "" if statement.startswith("p(x") else "p(x | z) = Normal(mlp[8](z))\n"
    return [(d.code, d.headline) for d in pipeline.read(f"{_HEAD}{rest}{statement}\n").errors]


TWICE = {
    "distribution": "p(x | z) = Normal(linear(z), 1, scale = 2)",
    "network": "p(x | z) = Normal(mlp[8, out = tanh, out = relu](z))",
    "bijection": "p(x) = Normal(0, 1) >> coupling[mlp[8], affine, mlp[8]]",
    "number of a bijection": "p(x) = Normal(0, 1) >> permute[seed = 1, seed = 2]",
    "optimiser": "train { optimizer = adam(1e-3, beta1 = 0.5, beta1 = 0.6) }",
    "rate": "train { optimizer = adam(1e-3, lr = 1e-2) }",
    "decay": "train { decay = steps(3, 0.1, every = 4) }",
    "objective": "train { objective = elbo(2, beta = 3) }",
    "weight": "train { objective = elbo(weight = { x = 1, x = 2 }) }",
    "mixture": "p(x) = mixture[2, 3](Normal(param))",
    "mixture's weights": "p(x) = mixture[2, weights = param, weights = param](Normal(param))",
    "points and a count": "p(x) = mixture[u in grid(3), 2](Normal(mlp[8](u)))",
    "start": "param a : real[3] = normal(0.1, scale = 2)",
}


@pytest.mark.parametrize("what", TWICE)
def test_what_is_given_twice_is_an_error(what: str) -> None:
    """Never the last of the two in silence."""
    ((code, headline),) = verdict(TWICE[what])
    assert code in ("E209", "E305")
    assert "twice" in headline or "takes" in headline or "count of components" in headline


UNKNOWN = {
    "distribution": "p(x | z) = Normal(linear(z), sigma = 2)",
    "network": "p(x | z) = Normal(mlp[8, activate = tanh](z))",
    "bijection": "p(x) = Normal(0, 1) >> coupling[shfit = mlp[8]]",
    "optimiser": "train { optimizer = adam(momentum = 0.5) }",
    "decay": "train { decay = cosine(rate = 0.1) }",
    "split": "train { split = ordered(0.8, 0.1, 0.1, seed = 1) }",
    "objective": "train { objective = elbo(gamma = 3) }",
    "mixture": "p(x) = mixture[2, weight = param](Normal(param))",
    "grid": "p(x) = mixture[u in grid(3, sides = 4)](Normal(mlp[8](u)))",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_an_unknown_name_is_an_error(what: str) -> None:
    ((code, headline),) = verdict(UNKNOWN[what])
    assert code in ("E209", "E305")
    assert "has no" in headline


@pytest.mark.parametrize(
    "statement",
    [
        "p(x | z) = Normal(scale = 1, loc = linear(z))",
        "p(x | z) = StudentT(3, scale = 1, loc = linear(z))",
        "p(x) = Normal(0, 1) >> coupling[shift = mlp[8], scale = mlp[8]]",
        "train { optimizer = adam(beta1 = 0.5, lr = 1e-2) }",
        "train { decay = steps(factor = 0.1, every = 3) }",
        "train { split = shuffled(seed = 1, 0.8, 0.1, 0.1) }",
    ],
)
def test_names_come_in_any_order(statement: str) -> None:
    assert verdict(statement) == []


def test_the_rate_of_an_optimiser_by_name_is_its_rate() -> None:
    found = pipeline.read(
        f"{_HEAD}p(x | z) = Normal(mlp[8](z))\ntrain {{ optimizer = adam(beta1 = 0.5, lr = 0.02) }}\n"
    )
    assert found.plan is not None
    assert found.plan.settings.optimizer.lr == 0.02
    assert found.plan.settings.optimizer.options == {"beta1": 0.5}
