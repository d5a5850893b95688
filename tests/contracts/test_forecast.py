"""Sequences that go on: what follows a given past has the law that enumeration, hmmlearn and pykalman give it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hmmlearn.hmm import CategoricalHMM
from pykalman import KalmanFilter
from torch import Tensor

from dgmppl.diagnostics import SpecError
from dgmppl.forecasts import Forecaster, forecaster, told
from dgmppl.pipeline import Checked
from dgmppl.plan.forecast import indices
from dgmppl.runtime import GenerativeModel
from dgmppl.train.forecasts import Continuation
from dgmppl.train.pasts import read_past
from tests.contracts import laws, test_filter, test_forward
from tests.contracts.oracles import _compare
from tests.contracts.support import build, checked, data_of, graph_of, seed

DRAWS = 4000


def along(found: Checked) -> Forecaster:
    (index,) = indices(graph_of(found))
    return forecaster(found, index)


def go_on(found: Checked, model: GenerativeModel, each: int = DRAWS, **rows: Any) -> dict[str, Tensor]:
    """So many draws of each row, which has first members of families and others as a whole."""
    how = along(found)
    past = read_past({name: np.asarray(v, float) for name, v in rows.items()}, {}, graph_of(found), how.forecast)
    with seed(3):
        return Continuation(how, model).draw(past, each)


CHAINS = {
    **{f"summed, {name}": body for name, body in test_forward.SPECS.items()},
    **{f"around a class, {name}": body for name, body in test_forward.BESIDE.items()},
    **{f"integrated, {name}": body for name, body in test_filter.SPECS.items()},
}


@pytest.mark.parametrize("name", [n for n in CHAINS if "backward" not in n])
def test_rows_that_are_cut_go_on_as_rows_of_an_exact_model(name: str) -> None:
    body = CHAINS[name].replace("real[3]", "real[2]").replace("observed y : real[2]", "observed y : real")
    told = (laws.verify_forecasts(checked(f"model chain\nconst T = {size}\n{body}\n")) for size in (3, 2))
    found = next((t for t in told if t != "too many elements"), "")
    assert found in ("enumerated", "integrated", "weighed", "too wide to be told"), found


SYMBOLS = """\
model symbols
const T = 7
observed x[t in 1..T] : categorical(4) from "walks.npz".symbols
latent s[t in 1..T] : categorical(3)
p(s[1])          = Categorical(param)
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(x[t] | s[t])   = Categorical(linear(s[t]))
"""


def hidden_markov(model: Any) -> CategoricalHMM:
    oracle, one = CategoricalHMM(3, n_features=4), torch.arange(3.0).unsqueeze(1).expand(3, 7)
    with torch.no_grad():
        oracle.startprob_ = model.p_s_1_logits.double().softmax(-1).numpy()
        oracle.transmat_ = model.p_s().segments[1].law(one).logits[:, 3].double().softmax(-1).numpy()
        oracle.emissionprob_ = model.p_x(one).segments[0].law(one).logits[:, 0].double().softmax(-1).numpy()
    return oracle


def test_a_hidden_markov_model_goes_on_from_hmmlearns_filter() -> None:
    """Rows of different pasts: the state is where hmmlearn has it, and symbols follow from there."""
    found = checked(SYMBOLS)
    model, (x,) = build(found, scale=1.0), data_of(found, 3)
    oracle = hidden_markov(model)
    counts = (2, 5, 6)
    given = np.where(np.arange(6) < np.array(counts)[:, None], x[:, :6].double().numpy(), np.nan)
    drawn = go_on(found, model, x=given)["x"].reshape(3, DRAWS, 7)
    for k, count in enumerate(counts):
        past = x[k, :count]
        assert (drawn[k, :, :count] == past).all()
        state = oracle.predict_proba(past.long().numpy().reshape(-1, 1))[-1]
        for t in range(count, 7):
            state = state @ oracle.transmat_
            seen = torch.bincount(drawn[k, :, t].long(), minlength=4).double()
            _compare(seen, torch.tensor(state @ oracle.emissionprob_) * DRAWS)


KALMAN = test_filter.KALMAN.replace("T = 30", "T = 8")
BY_Q = "q(z[1] | x) = Normal(linear(r[1]))\nq(z[t] | z[t-1], x) = Normal(mlp[4](z[t-1], r[t]))\n"


def kalman_filter(model: Any) -> KalmanFilter:
    v, w = (torch.nn.functional.softplus(s.detach().double()).square().numpy() for s in (model.v, model.w))
    arrays = [m.detach().double().numpy() for m in (model.A, model.C, model.d, model.m)]
    return KalmanFilter(
        transition_matrices=arrays[0],
        observation_matrices=arrays[1],
        observation_offsets=arrays[2],
        transition_covariance=np.diag(v),
        observation_covariance=np.diag(w),
        initial_state_mean=arrays[3],
        initial_state_covariance=np.eye(2),
    )


def forecast_of(model: Any, past: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the covariance of what is seen so many steps after a past, by pykalman's filter."""
    oracle = kalman_filter(model)
    means, covariances = oracle.filter(past)
    mean, covariance = means[-1], covariances[-1]
    for _ in range(steps):
        mean = oracle.transition_matrices @ mean
        covariance = (
            oracle.transition_matrices @ covariance @ oracle.transition_matrices.T + oracle.transition_covariance
        )
    seen = oracle.observation_matrices
    return seen @ mean + oracle.observation_offsets, seen @ covariance @ seen.T + oracle.observation_covariance


def test_a_linear_dynamical_system_goes_on_from_pykalmans_filter() -> None:
    found = checked(KALMAN)
    model, (x,) = build(found, scale=0.5), data_of(found, 2)
    drawn = go_on(found, model, each=20_000, x=x[:, :4]).get("x").double().reshape(2, 20_000, 8, 3)  # type: ignore[union-attr]
    for k in range(2):
        for steps in (1, 4):
            mean, covariance = forecast_of(model, x[k, :4].double().numpy(), steps)
            seen = drawn[k, :, 3 + steps].numpy()
            error = np.sqrt(np.diag(covariance) / 20_000)
            assert (np.abs(seen.mean(0) - mean) < 5 * error).all()
            scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
            assert (np.abs(np.cov(seen.T) - covariance) < 0.05 * scale).all()


@pytest.mark.parametrize("train", ["", "train { units = false }"])
def test_draws_of_a_poor_q_are_weighed(train: str) -> None:
    """The same system with a q that nothing has taught: by weight its draws go on as they do exactly. The model of the
    past counts in the units of its fit, which may be none."""
    r = "let r[t in 1..T] : real[3] = gru[4](x)[t]\n"
    found = checked(KALMAN + r + BY_Q + train)
    model, (x,) = build(found, scale=0.1), data_of(found, 2)
    how = along(found)
    assert how.weighed
    drawn = go_on(found, model, each=600, x=x[:, :2])["x"].double().reshape(2, 600, 8, 3)
    for k in range(2):
        mean, covariance = forecast_of(model, x[k, :2].double().numpy(), 1)
        seen = drawn[k, :, 2].numpy()
        assert (np.abs(seen.mean(0) - mean) < 5 * np.sqrt(np.diag(covariance) / 600)).all()
        assert (np.abs(np.cov(seen.T).diagonal() / np.diag(covariance) - 1) < 0.25).all()


TWO_INDICES = """\
model two
const T = 3
observed x[t in 1..T, d in 1..2] : real[1] from "walks.npz".x
latent   z[t in 1..T, d in 1..2] : real[1]
p(z[1, d])             = Normal(0, 1)
p(z[t, d] | z[t-1, d]) = Normal(0.9 * z[t-1, d], 0.5)
p(x[t, d] | z[t, d])   = Laplace(z[t, d], 0.5)
"""


def test_families_of_two_indices_go_on_by_a_derived_q() -> None:
    """Each of the two chains from where a filter on a grid has it, by weights of the q of their pasts."""
    found = checked(TWO_INDICES)
    model = build(found)
    past = {"x[t, 1]": np.array([[[0.6], [0.9]]]), "x[t, 2]": np.array([[[-0.5], [-0.3]]])}
    drawn = go_on(found, model, each=200, **past)
    grid = np.linspace(-7, 7, 701)
    step = np.exp(-((grid[None] - 0.9 * grid[:, None]) ** 2) / (2 * 0.25))
    for name, values in past.items():
        belief = np.exp(-(grid**2) / 2)
        for t in (0, 1):
            belief = (belief if t == 0 else belief @ step) * np.exp(-np.abs(values[0, t, 0] - grid) / 0.5)
        belief = belief / belief.sum()
        mean = 0.9 * (belief * grid).sum()
        # 200 draws of a deviation of one, among some 900 candidates of an untaught q that count: an error of 0.08.
        assert float(drawn[name][:, 2].mean()) == pytest.approx(mean, abs=0.3)


PAST = """\
model past
const T = 4
observed c            : categorical(2) from "walks.npz".kind
observed u[t in 1..T] : real from "walks.npz".inputs
observed y            : binary from "walks.npz".y
observed x[t in 1..T] : binary from "walks.npz".x
p(c) = Categorical(param)
p(x[t] | x[<t], u[t], c) = Bernoulli(gru[4](x[<t], u[t], c))
p(y | x) = Bernoulli(mlp[4](x))
"""


def test_what_is_known_of_a_row_stays_and_the_rest_has_its_conditional_law() -> None:
    """All endings of a past one by one: controls go on, the class is given, and what comes of all members is drawn."""
    found = checked(PAST)
    model, (c, u, _, x) = build(found, scale=1.0), data_of(found, 2)
    drawn = go_on(found, model, x=x[:, :2], u=u, c=c)
    assert set(drawn) == {"x", "y"}
    for k in range(2):
        ends = torch.tensor([[a, b, y] for a in (0.0, 1.0) for b in (0.0, 1.0) for y in (0.0, 1.0)])
        rows = torch.cat([x[k, :2].expand(8, 2), ends[:, :2]], 1)
        with torch.no_grad():
            logs = model.log_prob(c[k].expand(8), u[k].expand(8, 4), ends[:, 2], rows).double()
        mine = slice(k * DRAWS, (k + 1) * DRAWS)
        assert (drawn["x"][mine, :2] == x[k, :2]).all()
        place = drawn["x"][mine, 2] * 4 + drawn["x"][mine, 3] * 2 + drawn["y"][mine]
        _compare(torch.bincount(place.long(), minlength=8).double(), logs.softmax(0) * DRAWS)


CONTROLS = """\
model driven
const T = 3
observed u[t in 1..T] : real from "walks.npz".inputs
observed x[t in 1..T] : binary from "walks.npz".x
latent   s[t in 1..T] : binary
p(s[1] | u)      = Bernoulli(5 * sum(u))
p(s[t] | s[t-1]) = Bernoulli(6 * s[t-1] - 3)
p(x[t] | s[t])   = Bernoulli(2 * s[t] - 1)
"""


def test_controls_are_known_beyond_the_past() -> None:
    """Their sum is that of all of them, and not of those so far, which has another sign."""
    found = checked(CONTROLS)
    model, u, x = build(found), torch.tensor([[-1.0, -1.0, 3.0]]), torch.tensor([[1.0, 0.0]])
    drawn = go_on(found, model, x=x, u=u)["x"]
    ends = torch.cat([x.expand(2, 2), torch.tensor([[0.0], [1.0]])], 1)
    with torch.no_grad():
        logs = model.log_prob(u.expand(2, 3), ends).double()
    _compare(torch.bincount(drawn[:, 2].long(), minlength=2).double(), logs.softmax(0) * DRAWS)


def test_sequences_go_on_beyond_the_data() -> None:
    """Up to three members more than the data have, a hidden Markov chain has the law of powers of its transitions."""
    found = checked(SYMBOLS)
    model, (x,) = build(found, scale=1.0), data_of(found, 1)
    (index,) = indices(graph_of(found))
    how = forecaster(found, index, 10)
    past = read_past({"x": x[:, :6].numpy()}, {}, graph_of(found), how.forecast, graph_of(how.checked))
    with seed(3):
        drawn = Continuation(how, model).draw(past, DRAWS)["x"]
    assert drawn.shape == (DRAWS, 10)
    oracle = hidden_markov(model)
    state = oracle.predict_proba(x[0, :6].long().numpy().reshape(-1, 1))[-1]
    for t in range(6, 10):
        state = state @ oracle.transmat_
        seen = torch.bincount(drawn[:, t].long(), minlength=4).double()
        _compare(seen, torch.tensor(state @ oracle.emissionprob_) * DRAWS)


NOT_LONGER = {
    "reads t by a network": "p(x[1]) = Normal(0, 1)\np(x[t] | x[t-1]) = Normal(mlp[2](x[t-1], t))",
    "`x` has two factors in p": 'observed u[t in 1..T] : real from "walks.npz".u\n'
    "p(x[t] | u[t+1]) = Normal(linear(u[t+1]))\np(x[4] | u[4]) = Normal(linear(u[4]))",
}


@pytest.mark.parametrize("why", NOT_LONGER)
def test_laws_that_change_along_the_index_end_with_the_data(why: str) -> None:
    body = NOT_LONGER[why]
    found = checked(f'model m\nconst T = 4\nobserved x[t in 1..T] : real from "walks.npz".x\n{body}\n')
    (index,) = indices(graph_of(found))
    forecaster(found, index)
    with pytest.raises(SpecError, match=why):
        forecaster(found, index, 6)


REFUSED = {
    "backward": ("p(x[T]) = Normal(0, 1)\np(x[t] | x[t+1]) = Normal(linear(x[t+1]))", r"depends on `x\[t\+1\]`"),
    "all at once": ("p(x) = Normal(0, 1) >> 2 * (coupling[mlp[4]] >> reverse)", "of all members at once"),
    "a q of what comes later": (
        'observed y : real from "walks.npz".y\nlatent z[t in 1..T] : real\np(z[1]) = Normal(0, 1)\n'
        "p(z[t] | z[t-1]) = Normal(mlp[2](z[t-1]))\np(x[t] | z[t]) = Normal(linear(z[t]))\n"
        "p(y | z) = Normal(linear(z))\nq(z[1] | x) = Normal(linear(x))\n"
        "q(z[t] | z[t-1], x, y) = Normal(mlp[4](z[t-1], x[t], y))",
        "reads `y`, which depends on all members",
    ),
    "a function": ("latent u[t in 1..T] : real\np(u) = Normal(0, 1)\nx = exp(u)", "function of others|of all members"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_forward_is_refused(name: str) -> None:
    body, why = REFUSED[name]
    kind = "positive" if name == "a function" else "real"
    found = checked(f'model m\nconst T = 4\nobserved x[t in 1..T] : {kind} from "walks.npz".x\n{body}\n')
    with pytest.raises(SpecError, match=why) as refused:
        along(found)
    assert refused.value.diagnostics[0].code == "E714"


def test_a_posterior_that_no_fit_has_is_no_way_to_go_on() -> None:
    text = """model m
observed x[t in 1..4] : real from "r.npz".x
latent s[t in 1..4] : categorical(2)
latent z[t in 1..4] : real
param A : real[2]
p(s[1]) = Categorical(uniform)
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(z[1]) = Normal(0, 1)
p(z[t] | z[t-1], s[t]) = Normal(A[s[t]] * z[t-1], 0.5)
p(x[t] | z[t]) = Normal(z[t], 0.4)
"""
    (words,) = told(checked(text))
    assert words.startswith("none: given first members alone `z[t]` has no exact posterior")


@pytest.mark.parametrize(
    ("how", "law", "words"),
    [
        (
            "real[2] elementwise",
            "Normal(linear(x[t - 1]), 1)",
            "draw the rest given that, the last members too, exactly",
        ),
        ("real[2] elementwise", "Laplace(linear(x[t - 1]), 1)", "the last members too, from q(x | x)"),
        ("real[2]", "Normal(linear(x[t - 1]), 1)", "none: x is missing in a row as a whole or not at all"),
    ],
)
def test_how_data_go_on_of_which_some_are_missing_is_told(how: str, law: str, words: str) -> None:
    found = checked(
        f'model gaps\nconst T = 4\npartial x[t in 1..T] : {how} from "walks.npz".x\n'
        f"p(x[1]) = Normal(0, 1)\np(x[t] | x[t - 1]) = {law}\n"
    )
    (text,) = told(found)
    assert words in text


@pytest.mark.parametrize(
    ("latents", "words"),
    [
        ("", "draw b from q(b); go on with x by p"),
        (
            "latent z[t in 1..4] : real\np(z[1]) = Normal(0, 1)\np(z[t] | z[t-1]) = Normal(z[t-1], 1)\n",
            "draw b from q(b); integrate z out along the index, of p(z | past) p(x | z, b, past), exactly; "
            "go on with z, x by p",
        ),
        (
            "latent z : real\np(z) = Cauchy(0, 1)\nq(z | x) = Normal(gru[2](x))\n",
            "draw b from q(b); draw z from q(z | x, past), of 100 draws one by its weight p / q; go on with x by p",
        ),
    ],
)
def test_what_rows_have_in_common_is_said_to_be_drawn_from_its_q(latents: str, words: str) -> None:
    """Before sequences go on, as all latents that do not lie along the index."""
    read = "z[t], " if "[t" in latents else "z, " * bool(latents)
    mean = "z[t] + b" if "[t" in latents else "z + b" if latents else "b"
    text = 'model m\nobserved x[t in 1..4] : real from "walks.npz".x\nlatent b : real per data\np(b) = Normal(0, 1)\n'
    (found,) = told(checked(f"{text}{latents}p(x[t] | {read}b) = Normal({mean}, 1)"))
    assert found == f"take x up to t = past; {words}, member by member"
