"""Data along two indices, and members that a value picks: parts of rows, and likelihoods against those written out."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Normal

from dgmppl import pipeline
from dgmppl.data.load import load
from dgmppl.data.wanted import Wanted
from dgmppl.diagnostics import SpecError
from dgmppl.train.contents import parts
from tests.contracts.support import build, checked, data_of, graph_of, seed

LAWS = """
p(s[1]) = Categorical(param)
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
"""
WRITTEN = """model written
const T = 3
observed a[t in 1..T] : real from "rows.npz".a
observed b[t in 1..T] : real from "rows.npz".b
latent s[t in 1..T] : categorical(2)
p(a[1] | s[1]) = Normal(linear(s[1]), param)
p(a[t] | a[t-1], s[t]) = Normal(linear(a[t-1], s[t]), param)
p(b[1] | s[1]) = Normal(linear(s[1]), param)
p(b[t] | a[t], b[t-1], s[t]) = Normal(mlp[4](a[t], b[t-1], s[t]), param)
"""
INDEXED = """model indexed
const T = 3
observed x[t in 1..T, d in 1..2] : real from "rows.npz".x
latent s[t in 1..T] : categorical(2)
p(x[1, d] | s[1]) = Normal(linear(s[1]), param)
p(x[t, 1] | x[t-1, 1], s[t]) = Normal(linear(x[t-1, 1], s[t]), param)
p(x[t, d] | x[t, <d], x[t-1, d], s[t]) = Normal(mlp[4](x[t, <d], x[t-1, d], s[t]), param)
"""


def test_the_likelihood_is_that_of_a_variable_for_each() -> None:
    ours, theirs = build(checked(INDEXED + LAWS)).double(), build(checked(WRITTEN + LAWS)).double()
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(mine)
    data = [rows.double() for rows in data_of(checked(INDEXED + LAWS), 7)]
    torch.testing.assert_close(ours.log_prob(*data), theirs.log_prob(*data), rtol=1e-12, atol=1e-12)


def test_the_likelihood_of_a_tree_is_that_of_a_normal_distribution_of_all_nodes() -> None:
    """x = z + e / 2 and z = A z + e, so that the covariance of x is B B' + 1/4 with B the inverse of 1 - A."""
    spec = """model tree
    observed x[i in 1..1, n in 1..7] : real from "rows.npz".x
    latent z[i in 1..1, n in 1..7] : real
    p(z[1, 1]) = Normal(0, 1)
    p(z[1, 2 * n] | z[1, n]) = Normal(0.7 * z[1, n], 1)
    p(z[1, 2 * n + 1] | z[1, n]) = Normal(-1.2 * z[1, n], 1)
    p(x[1, n] | z[1, n]) = Normal(z[1, n], 0.5 * exp(param - 1))
    """
    data = [rows.double() for rows in data_of(checked(spec), 5)]
    above = np.zeros((7, 7))
    for n in (1, 2, 3):
        above[2 * n - 1, n - 1], above[2 * n, n - 1] = 0.7, -1.2
    spread = np.linalg.inv(np.eye(7) - above)
    law = multivariate_normal(np.zeros(7), spread @ spread.T + np.eye(7) / 4)
    expected = law.logpdf(torch.cat(data, 1).reshape(5, 7).numpy())
    model = build(checked(spec)).double()
    for p in model.parameters():
        torch.nn.init.ones_(p)
    found = model.log_prob(*data)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-9)
    of_all, laws = spread @ spread.T, model.marginals(*data)  # type: ignore[attr-defined]
    left = np.sqrt(np.diag(of_all - of_all @ np.linalg.inv(of_all + np.eye(7) / 4) @ of_all))
    for n in range(7):
        np.testing.assert_allclose(
            laws[f"z[i, {n + 1}]"].stddev.detach().numpy(), np.full((5, 1, 1), left[n]), rtol=1e-6
        )
    plan = checked(spec).plan
    assert plan is not None and "Kalman's filter, 1 step of a state of 7" in plan.objective.reasons[0].text


def test_the_likelihood_is_the_sum_over_all_paths() -> None:
    """log p(x) = log sum_s p(s) p(x | s), path by path, of plain numbers for the weights."""
    spec = """model paths
    const T = 3
    observed x[t in 1..T, d in 1..2] : real from "rows.npz".x
    latent s[t in 1..T] : binary
    p(s[1]) = Bernoulli(0.5)
    p(s[t] | s[t-1]) = Bernoulli(s[t-1] - 0.3)
    p(x[t, 1] | s[t]) = Normal(2 * s[t], 1)
    p(x[t, 2] | x[t, 1], s[t]) = Normal(x[t, 1] - s[t], 0.5)
    """
    model, (first, second) = build(checked(spec)).double(), (rows.double() for rows in data_of(checked(spec), 5))
    found = []
    for path in product((0.0, 1.0), repeat=3):
        total = torch.nn.functional.logsigmoid(torch.tensor(0.5 if path[0] else -0.5).double())
        for before, here in zip(path, path[1:]):
            logit = torch.tensor(before - 0.3).double()
            total = total + torch.nn.functional.logsigmoid(logit if here else -logit)
        s = torch.tensor(path).double()
        total = total + Normal(2 * s, 1).log_prob(first).sum(-1) + Normal(first - s, 0.5).log_prob(second).sum(-1)
        found.append(total)
    torch.testing.assert_close(
        model.log_prob(first, second).double(), torch.stack(found).logsumexp(0), rtol=1e-5, atol=1e-5
    )


def test_rows_are_read_in_parts_and_their_ends_follow_from_the_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(3, 2, (20, 4, 3, 2)).astype(np.float32)
    lengths = np.arange(20) % 4 + 1
    np.savez(tmp_path / "rows.npz", x=values, n=lengths)
    text = """model parts
    observed n : integer(1..4) from "rows.npz".n
    observed x[t in 1..n, d in 0..D] : real[2] from standardize("rows.npz".x)
    p(n) = Categorical(param)
    p(x[t, d]) = Normal(param)
    """
    path = tmp_path / "parts.dgm"
    path.write_text(text)
    found = pipeline.read(path)
    assert [v.name for v in graph_of(found).data] == ["n", "x[t, 0]", "x[t, 1]", "x[t, 2]"]
    train = _table(found)
    there = np.arange(4) < lengths[: len(train["n"]), None]
    for d in range(3):
        assert train[f"x[t, {d}]"].shape[1:] == (4, 2)
        part = train[f"x[t, {d}]"][:, 0]  # every row has the first
        mine = values[: len(part), 0, d]
        scaled = (part - part.mean(0)) / part.std(0)
        np.testing.assert_allclose(scaled, (mine - mine.mean(0)) / mine.std(0), atol=1e-4)
        assert (train[f"x[t, {d}]"][~there] == 0).all()


def _table(found: pipeline.Checked) -> dict[str, np.ndarray]:
    graph, _ = parts(found)
    wanted = {
        v.name: Wanted(v.data, v.type, end=(v.length, v.members.start) if v.length else None)
        for v in graph.data
        if v.data is not None
    }
    return load(wanted, found.folder).train.read(0, 12)


def test_data_of_another_shape_are_told_of_once(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((20, 4, 3)))
    path = tmp_path / "wrong.dgm"
    path.write_text('model m observed x[t in 1..4, d in 1..2] : real from "rows.npz".x p(x[t, d]) = Normal(param)')
    try:
        _table(pipeline.read(path))
    except SpecError as error:
        (told,) = error.diagnostics
        assert told.code == "E505" and "`x` is declared real[4, 2]" in told.headline
    else:
        raise AssertionError("read")


PRIORS = """model priors
observed x[t in 1..4] : categorical(4) from "rows.npz".x
latent A[k in 0..2] : simplex[3] per data
latent B[k in 0..2] : simplex[4] per data
latent m[k in 0..2] : real per data
observed y[t in 1..4] : real from "rows.npz".y
latent s[t in 1..4] : categorical(3)
p(A[k]) = Dirichlet(2)
p(B[k]) = Dirichlet(1)
p(m[k]) = Normal(0, 1)
p(s[1]) = Categorical(uniform)
p(s[t] | s[t-1], A) = Categorical(log(A[s[t-1]]))
p(x[t] | s[t], B) = Categorical(log(B[s[t]]))
p(y[t] | s[t], m) = Normal(m[s[t]], 1)
"""


def test_a_value_picks_rows_that_have_priors_of_their_own() -> None:
    """An HMM with a prior on each row of its tables, its sum against all paths with the same tables."""
    model = build(checked(PRIORS)).double()
    data = {v.name: rows for v, rows in zip(graph_of(checked(PRIORS)).data, data_of(checked(PRIORS), 5), strict=True)}
    with seed(3):
        A, B = torch.rand(3, 3).softmax(-1).double(), torch.rand(3, 4).softmax(-1).double()
        m = torch.randn(3).double()
    for path in product(range(3), repeat=4):
        s = torch.tensor(path).double().expand(5, 4)
        rest = path[1:]
        chain = -np.log(3) + sum(float(A[a, b].log()) for a, b in zip(path, rest))
        found = model.p_s(*A).log_prob(s).double()
        torch.testing.assert_close(found, torch.full((5,), chain).double(), rtol=1e-5, atol=1e-5)
        words = sum(B[k, data["x"][:, t].long()].log() for t, k in enumerate(path))
        torch.testing.assert_close(model.p_x(s, *B).log_prob(data["x"]).double(), words, rtol=1e-5, atol=1e-5)
        numbers = Normal(m[list(path)], 1).log_prob(data["y"]).sum(-1)
        torch.testing.assert_close(model.p_y(s, *m).log_prob(data["y"]).double(), numbers, rtol=1e-5, atol=1e-5)


def test_members_that_a_value_picks_count_from_zero_and_are_alike() -> None:
    wrong = PRIORS.replace("A[k in 0..2]", "A[k in 1..3]").replace(
        "B[k in 0..2] : simplex[4]", "B[k in 0..2] : simplex[k + 2]"
    )
    told = [d.headline for d in pipeline.read(wrong).errors]
    assert any("begins at 1" in headline for headline in told)
    assert any("alike" in headline for headline in told)
