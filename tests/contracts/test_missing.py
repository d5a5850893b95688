"""Elements that are missing one by one: what is seen is judged as if the rest had never been there. Against sums over
all values, conditional and marginal normal distributions, quadrature, and weights of the draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from dgmppl import pipeline
from dgmppl.runtime import GenerativeModel, RowsError
from tests.contracts.support import build, seed

FACTORS = """\
model factors
partial x : real[5] elementwise from "rows.npz".x
latent  z : real[2]
param   W : real[5, 2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(W @ z + param, exp(param))
"""
AUTOREGRESSIVE = """\
model pixels
partial x : binary[4] elementwise from "rows.npz".x
latent  k : categorical(2)
p(k)               = Categorical(param)
p(x[d] | x[<d], k) = Bernoulli(causal[5](x[<d], k))
"""
MIXTURE = """\
model mixed
partial x : real[3] elementwise from "rows.npz".x
p(x) = mixture[4](Normal(param))
"""
FLOW = """\
model flow
partial  x : real[2] elementwise from "rows.npz".x
p(x) = Normal(0, 1) >> 2 * (coupling[mlp[4]] >> reverse)
q(x | x) = Normal(mlp[4](x))
"""
SUMMED = """\
model summed
partial  x : categorical(3)[2] elementwise from "rows.npz".x
observed y : real from "rows.npz".y
p(x)     = Categorical(param)
p(y | x) = Normal(mlp[4](x))
"""
GUIDED = SUMMED + "q(x | x, y) = Categorical(mlp[4](x, y))\n"


def model_of(text: str) -> GenerativeModel:
    """A spec's model in double precision, its weights far from where they start."""
    found = pipeline.read(text)
    assert found.ok, [str(d) for d in found.errors]
    return build(found, number=3, scale=0.6).double()


def with_gaps(rows: Tensor, number: int = 0) -> Tensor:
    """Rows without half of their elements; the first row without any, the second without all."""
    with seed(number):
        gaps = torch.rand(rows.shape) < 0.5
    gaps[0], gaps[1] = False, True
    return rows.double().masked_fill(gaps, torch.nan)


def moments(model: GenerativeModel) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the covariance of factor analysis."""
    law = model.p_x(torch.zeros(1, 2, dtype=torch.double))
    w = model.W.detach().numpy()
    return law.mean[0].detach().numpy(), w @ w.T + np.diag(law.variance.detach().reshape(-1)[:5].numpy())


def test_factors_of_what_is_seen_are_the_marginal_normal() -> None:
    model, x = model_of(FACTORS), with_gaps(torch.randn(20, 5))
    mean, covariance = moments(model)
    for row, found in zip(x.numpy(), model.log_prob(x).tolist(), strict=True):
        s = ~np.isnan(row)
        expected = multivariate_normal(mean[s], covariance[np.ix_(s, s)]).logpdf(row[s]) if s.any() else 0.0
        assert found == pytest.approx(expected, abs=1e-9)


LOW_RANK = """\
model low_rank
partial x : real[5] elementwise from "rows.npz".x
param   W : real[5, 2]
p(x) = LowRankNormal(param, exp(param), W)
"""


def test_elements_that_are_normal_together_need_no_q() -> None:
    found = pipeline.read(LOW_RANK)
    assert found.plan is not None and found.plan.criterion == "log_prob" and not found.plan.structure.q
    model, x = model_of(LOW_RANK), with_gaps(torch.randn(20, 5))
    law = model.p_x()
    mean, covariance = law.mean.detach().numpy(), law.covariance_matrix.detach().numpy()
    for row, value in zip(x.numpy(), model.log_prob(x).tolist(), strict=True):
        s = ~np.isnan(row)
        expected = multivariate_normal(mean[s], covariance[np.ix_(s, s)]).logpdf(row[s]) if s.any() else 0.0
        assert value == pytest.approx(expected, abs=1e-9)
    model.log_prob(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("text", [FACTORS, LOW_RANK], ids=["of factors", "of low rank"])
def test_what_is_missing_is_inferred_as_the_conditional_normal(text: str) -> None:
    model, x = model_of(text), with_gaps(torch.randn(20, 5))
    law = model.p_x() if text == LOW_RANK else None
    mean, covariance = (
        (law.mean.detach().numpy(), law.covariance_matrix.detach().numpy()) if law is not None else moments(model)
    )
    found = model.infer(x, mean=True)["x"].detach().numpy()
    with seed(1):
        drawn = model.infer(x.repeat_interleave(4000, 0))["x"].reshape(20, 4000, 5).detach()
    for row, middle, draws in zip(x.numpy(), found, drawn.numpy(), strict=True):
        s, m = ~np.isnan(row), np.isnan(row)
        assert np.array_equal(middle[s], row[s])
        gain = covariance[np.ix_(m, s)] @ np.linalg.inv(covariance[np.ix_(s, s)])
        assert middle[m] == pytest.approx(mean[m] + gain @ (row[s] - mean[s]))
        left = covariance[np.ix_(m, m)] - gain @ covariance[np.ix_(s, m)]
        assert np.cov(draws[:, m].T).reshape(left.shape) == pytest.approx(left, abs=0.12 * np.abs(covariance).max())


def test_a_row_with_gaps_is_the_same_among_others() -> None:
    model, x = model_of(FACTORS), with_gaps(torch.randn(6, 5))
    alone = torch.cat([model.log_prob(row[None]) for row in x])
    assert torch.allclose(model.log_prob(x), alone, atol=1e-12)


COUNTS = """\
model counts
observed n : natural from "rows.npz".n
partial x : natural[3] elementwise from "rows.npz".x
{}
"""
COUNTED = {
    "alone": "p(x | n) = Multinomial(n, param)",
    "in a mixture": "p(x | n) = mixture[2](Multinomial(n, param))",
    "given classes": "latent z : categorical(2)\np(z) = Categorical(param)\np(x | n, z) = Multinomial(n, linear(z))",
}


@pytest.mark.parametrize("told", COUNTED.values(), ids=COUNTED)
def test_counts_that_add_up_are_summed_over_what_agrees(told: str) -> None:
    """The density of whole rows, which is scipy's (`tests.runtime.test_distributions`), over all that agree."""
    model = model_of(COUNTS.format(told))
    every = torch.tensor([x for x in itertools.product(range(5), repeat=3) if sum(x) == 4]).double()
    n, x = torch.full((16,), 4.0).double(), with_gaps(every[torch.arange(16) % len(every)])
    whole = model.log_prob(n[:1].expand(len(every)), every).exp()
    assert whole.sum().item() == pytest.approx(1, abs=1e-9)
    for row, found in zip(x, model.log_prob(n, x).tolist(), strict=True):
        agree = ((every == row) | row.isnan()).all(-1)
        assert found == pytest.approx(whole[agree].sum().log().item(), abs=1e-6)
    with seed(1):
        drawn = model.infer(n.repeat_interleave(2000, 0), x.repeat_interleave(2000, 0))["x"].reshape(16, 2000, 3)
    for row, draws in zip(x, drawn.detach(), strict=True):
        agree = ((every == row) | row.isnan()).all(-1)
        mean = (whole[agree] @ every[agree]) / whole[agree].sum()
        assert torch.allclose(draws.mean(0), mean, atol=0.2) and (draws.sum(-1) == 4).all()


def agreeing(row: Tensor, values: Tensor) -> Tensor:
    return values[((values == row) | row.isnan()).all(-1)]


def test_pixels_that_depend_on_each_other_are_summed_over_what_agrees() -> None:
    model = model_of(AUTOREGRESSIVE)
    values = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).double()
    x = with_gaps(values[torch.arange(32) % 16])
    weights = torch.log_softmax(model.p_k().logits, -1)
    for row, found in zip(x, model.log_prob(x), strict=True):
        these = agreeing(row, values)
        every = [w + model.p_x(these.new_full((len(these),), k)).log_prob(these) for k, w in enumerate(weights)]
        assert torch.allclose(found, torch.cat(every).logsumexp(0))
    completed = model.infer(x)["x"]
    assert torch.equal(completed[~x.isnan()], x[~x.isnan()])
    assert set(completed.unique().tolist()) <= {0.0, 1.0}


def test_a_mixture_is_one_of_what_is_seen() -> None:
    model, x = model_of(MIXTURE), with_gaps(torch.randn(20, 3))
    law = model.p_x()
    scale, loc = law.components.stddev, law.components.mean
    each = torch.distributions.Normal(loc, scale).log_prob(x.nan_to_num(0.0)[:, None])
    seen = ~x.isnan()[:, None]
    joint = law.logits + torch.where(seen, each, torch.zeros_like(each)).sum(-1)
    assert torch.allclose(model.log_prob(x), joint.logsumexp(-1))
    expected = (joint.softmax(-1)[..., None] * loc).sum(1)  # the posterior of the components
    assert torch.allclose(model.infer(x, mean=True)["x"], torch.where(x.isnan(), expected, x))


def test_the_draws_of_a_flow_weigh_up_to_the_density_of_what_is_seen() -> None:
    """E_q[p(x) / q(missing | seen)] is p(seen), which quadrature gives for one element of two."""
    model = model_of(FLOW)
    grid = torch.linspace(-40, 40, 20001, dtype=torch.double)
    for seen in (0, 1):
        x = torch.full((1, 2), torch.nan, dtype=torch.double)
        x[0, seen] = 0.4
        points = x.repeat(len(grid), 1)
        points[:, 1 - seen] = grid
        exact = torch.trapezoid(model.p_x().log_prob(points).exp(), grid)
        with seed(2), torch.no_grad():
            weights = model.elbo(x.expand(200_000, 2)).exp().detach()
        assert float(weights.mean()) == pytest.approx(
            float(exact.detach()), abs=6 * float(weights.std()) / math.sqrt(200_000)
        )
    whole = torch.randn(5, 2).double()
    assert torch.allclose(model.elbo(whole), model.p_x().log_prob(whole))


def test_under_its_q_what_is_missing_is_summed_with_its_weight() -> None:
    model = model_of(GUIDED)
    values = torch.tensor(list(itertools.product((0.0, 1.0, 2.0), repeat=2))).double()
    x, y = with_gaps(values[torch.arange(18) % 9], 4), torch.randn(18).double()
    for row, at, found in zip(x, y, model.elbo(x, y), strict=True):
        these, gaps = agreeing(row, values), row.isnan()
        q = torch.log_softmax(model.q_x(row[None], at[None]).base_dist.logits[0], -1)
        log_q = sum((q[d, these[:, d].long()] for d in range(2) if gaps[d]), torch.zeros(len(these)).double())
        log_p = model.p_x().log_prob(these) + model.p_y(these).log_prob(at)
        assert torch.allclose(found, (log_q.exp() * (log_p - log_q)).sum())
    exact = model_of(SUMMED)
    exact.load_state_dict({k: v for k, v in model.state_dict().items() if k in exact.state_dict()})
    assert (model.elbo(x, y) <= exact.log_prob(x, y) + 1e-12).all()


@pytest.mark.parametrize("text", [FACTORS, AUTOREGRESSIVE, MIXTURE, FLOW, SUMMED, GUIDED])
def test_gradients_are_numbers_and_what_is_missing_has_none(text: str) -> None:
    model, finite = model_of(text), "binary" in text or "categorical" in text
    size = {"factors": 5, "pixels": 4, "mixed": 3}.get(text.split()[1], 2)
    rows = torch.randint(2, (8, size)) if finite else torch.randn(8, size)
    data = [with_gaps(rows), torch.randn(8).double()][: 2 if "observed" in text else 1]
    with model.unchecked():
        data[0].requires_grad_(not finite)
        model.loss(*data).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    if not finite:
        assert data[0].grad is not None and (data[0].grad[data[0].isnan()] == 0).all()


def test_a_network_reads_nothing_of_what_is_missing_and_which_elements_those_are() -> None:
    text = FACTORS.replace("W @ z + param, exp(param)", "mlp[4](z)").replace("param   W : real[5, 2]\n", "")
    model = model_of(text + "q(z | x) = Normal(mlp[4](x))\n")
    x = with_gaps(torch.randn(4, 5))
    read = []
    model.q_z_net.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    model.q_z(x)
    found = read[0].reshape(4, 5, 2)
    assert torch.equal(found[..., 0], x.nan_to_num(0.0))
    assert torch.equal(found[..., 1], (~x.isnan()).double())


def test_a_target_is_predicted_in_the_rows_that_miss_it() -> None:
    spec = 'model r\nobserved x : real[2] from "rows.npz".x\npartial y : real from "rows.npz".y\n'
    model = model_of(spec + "p(x) = Normal(param)\np(y | x) = Normal(mlp[4](x))\n")
    x, y = torch.randn(6, 2).double(), torch.randn(6).double()
    y[::2] = torch.nan
    found = model.infer(x, y, mean=True)["y"]
    assert torch.equal(found, torch.where(y.isnan(), model.p_y(x).mean, y))


def test_rows_that_break_the_type_are_refused_with_their_element() -> None:
    model = model_of(AUTOREGRESSIVE)
    x = with_gaps(torch.zeros(3, 4))
    x[2, 3] = 0.5
    with pytest.raises(RowsError, match=r"row 2, element \[3\] is 0.5"):
        model.log_prob(x)


CHAIN = """\
model chain
partial x[t in 1..4] : real[2] elementwise from "rows.npz".x
latent  k[t in 1..4] : categorical(3)
p(k[1])            = Categorical(param)
p(k[t] | k[t - 1]) = Categorical(linear(k[t - 1]))
p(x[t] | k[t])     = Normal(linear(k[t]))
"""


def test_a_chain_is_summed_over_all_paths_of_what_is_seen() -> None:
    model, x = model_of(CHAIN), with_gaps(torch.randn(12, 4, 2))
    paths = torch.tensor(list(itertools.product(range(3), repeat=4))).double()
    given = model.p_x(paths)
    law, _ = given.law(given.segments[0], x[:1], 0, 4)
    each = torch.distributions.Normal(law.base_dist.loc, law.base_dist.scale)
    for row, found in zip(x, model.log_prob(x), strict=True):
        seen = torch.where(row.isnan(), 0.0, each.log_prob(row.nan_to_num(0.0))).sum((-1, -2))
        assert torch.allclose(found, (model.p_k().log_prob(paths) + seen).logsumexp(0))


def test_a_filter_reads_what_is_seen_at_its_position() -> None:
    """q(z[t] | z[t - 1], x[t]) of a row depends on the elements of x[t] that are seen, and on which they are."""
    text = CHAIN.replace("latent  k[t in 1..4] : categorical(3)", "latent  k[t in 1..4] : real[2]")
    text = text.replace("Categorical(param)", "Normal(0, 1)").replace("Categorical(linear", "Normal(linear")
    text += "q(k[1] | x) = Normal(mlp[4](x[1]))\nq(k[t] | k[t - 1], x[t]) = Normal(mlp[4](k[t - 1], x[t]))\n"
    model, x = model_of(text.replace("Normal(linear(k[t]))", "Normal(mlp[4](k[t]))")), torch.randn(1, 4, 2).double()
    z = torch.zeros(1, 4, 2).double()
    before = model.q_k(x).log_probs(z)
    gaps = x.clone()
    gaps[0, 2, 1] = torch.nan
    after = model.q_k(gaps).log_probs(z)
    assert torch.equal(after[0, [0, 1, 3]], before[0, [0, 1, 3]])
    assert after[0, 2] != before[0, 2]


FILTERED = """\
model filtered
partial x[t in 1..4] : real[3] elementwise from "rows.npz".x
latent  z[t in 1..4] : real[2]
param   A : real[2, 2]
param   C : real[3, 2]
p(z[1])            = Normal(0, 1)
p(z[t] | z[t - 1]) = Normal(A @ z[t - 1], 0.5)
p(x[t] | z[t])     = Normal(C @ z[t], 0.3)
"""


def test_kalmans_filter_of_what_is_seen_is_the_marginal_normal() -> None:
    model, x = model_of(FILTERED), with_gaps(torch.randn(12, 4, 3))
    a, c = model.A.detach().numpy(), model.C.detach().numpy()
    moves = np.eye(8) - np.kron(np.eye(4, k=-1), a)
    noise = np.diag([1.0] * 2 + [0.25] * 6)
    states = np.linalg.inv(moves) @ noise @ np.linalg.inv(moves).T
    seen = np.kron(np.eye(4), c)
    covariance = seen @ states @ seen.T + 0.09 * np.eye(12)
    found = model.infer(x, mean=True)["x"].detach().reshape(12, 12).numpy()
    for row, filled, log_prob in zip(x.reshape(12, 12).numpy(), found, model.log_prob(x).tolist(), strict=True):
        s, m = ~np.isnan(row), np.isnan(row)
        known = covariance[np.ix_(s, s)]
        expected = multivariate_normal(np.zeros(s.sum()), known).logpdf(row[s]) if s.any() else 0.0
        assert log_prob == pytest.approx(expected, abs=1e-8)
        assert filled[m] == pytest.approx(covariance[np.ix_(m, s)] @ np.linalg.solve(known, row[s]), abs=1e-8)


LABELLED = """\
model labelled
partial x : real[2] elementwise from "rows.npz".x
partial y : categorical(3) from "rows.npz".y
p(x)     = Normal(param)
p(y | x) = Categorical(linear(x))
"""


def test_figures_beside_what_is_completed_are_about_the_data() -> None:
    """The bound is that of the rows as they are given, not of the rows after they are completed."""
    model = model_of(LABELLED).eval()
    x = torch.tensor([[0.0, 1.0], [torch.nan, 2.0], [torch.nan, torch.nan], [1.0, torch.nan]]).double()
    y = torch.tensor([0.0, 2.0, 1.0, torch.nan]).double()
    with torch.no_grad(), seed(1):
        figures = model.figures(x, y)
    with torch.no_grad(), seed(1):
        bound = model.elbo(x, y)
    assert torch.equal(figures["elbo"], bound)
    assert figures["error(y)"].shape == (3,)  # of the rows that have it


def test_what_is_computed_from_a_completed_variable_reads_all_of_it() -> None:
    """A definition of the data, in `sample` and where rows are given back."""
    model = model_of("""\
model computed
partial  y : real[2] elementwise from "rows.npz".y
observed x : real[2] from "rows.npz".x
latent   u : real[2]
p(y) = Normal(param)
p(u) = Normal(0, 1)
x    = u * exp(param) + mlp[4](y)
""").eval()
    drawn = model.sample(5)
    assert drawn["x"].shape == (5, 2) and drawn["x"].isfinite().all()
    y = torch.tensor([[0.0, torch.nan], [1.0, 2.0]]).double()
    back = model.reconstruct(y, drawn["x"][:2].double())
    assert torch.allclose(back["x"], drawn["x"][:2].double())


CAUSE = "latent f : real[2]\nparam B : real[3, 2]\np(f) = Normal(0, 1)\n"
CAUSES = {
    "below": CAUSE + "p(x[t] | f) = Normal(B @ f + 0.1 * t, 0.3)\n",
    "in the state": "\n".join(FILTERED.splitlines()[2:-1])
    + f"\n{CAUSE}p(x[t] | z[t], f) = Normal(C @ z[t] + B @ f + 0.1 * t, 0.3)\n",
}


@pytest.mark.parametrize("where", CAUSES)
def test_a_cause_of_the_row_is_integrated_out_of_what_is_seen(where: str) -> None:
    head = 'model causes\npartial x[t in 1..4] : real[3] elementwise from "rows.npz".x\n'
    model, x = model_of(head + CAUSES[where]), with_gaps(torch.randn(12, 4, 3))
    b = np.kron(np.ones((4, 1)), model.B.detach().numpy())
    mean, covariance = np.repeat(0.1 * np.arange(1, 5), 3), b @ b.T + 0.09 * np.eye(12)
    if where == "in the state":
        a, c = model.A.detach().numpy(), np.kron(np.eye(4), model.C.detach().numpy())
        moved = np.linalg.inv(np.eye(8) - np.kron(np.eye(4, k=-1), a))
        covariance += c @ moved @ np.diag([1.0] * 2 + [0.25] * 6) @ moved.T @ c.T
    found = model.infer(x, mean=True)["x"].detach().reshape(12, 12).numpy()
    for row, filled, log_prob in zip(x.reshape(12, 12).numpy(), found, model.log_prob(x).tolist(), strict=True):
        s, m = ~np.isnan(row), np.isnan(row)
        known, rest = covariance[np.ix_(s, s)], row[s] - mean[s]
        expected = multivariate_normal(np.zeros(s.sum()), known).logpdf(rest) if s.any() else 0.0
        assert log_prob == pytest.approx(expected, abs=1e-8)
        assert filled[m] == pytest.approx(mean[m] + covariance[np.ix_(m, s)] @ np.linalg.solve(known, rest), abs=1e-8)
