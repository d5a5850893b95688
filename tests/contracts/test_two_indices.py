"""Data along two indices: the parts that rows are read as, and their likelihood against that of a spec without."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch.distributions import Normal

from dgmppl import pipeline
from dgmppl.data.load import Wanted, load
from dgmppl.diagnostics import SpecError
from dgmppl.train.contents import parts
from tests.contracts.support import build, checked, data_of, graph_of

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
