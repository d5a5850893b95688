"""Figures of a split: the same whether its rows are at hand or come in chunks, and however they are cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dgmppl.train.device import seeded
from dgmppl.train.figures import CHUNK, Moments, chunks_of, evaluate_figures

from .models import Gaussian, TinyVae


class Streamed:
    """Rows that come in chunks; says how many were asked for."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.sizes = []

    def chunks(self, size):
        self.sizes.append(size)
        for parts in zip(*(t.split(size) for t in self.tensors)):
            yield list(parts)


@pytest.mark.parametrize("cuts", [[10], [1, 9], [3, 3, 4], [1] * 10])
def test_moments_of_parts_merge_to_those_of_the_whole(cuts):
    # A mean far from zero, where sums of squares would lose their digits.
    values = torch.from_numpy(np.random.default_rng(0).normal(1e8, 1.0, 10))
    merged = Moments()
    for part in values.split(cuts):
        merged = merged.merge(Moments.of(part))
    assert merged.count == 10
    assert merged.mean == pytest.approx(values.mean().item(), rel=1e-15)
    assert merged.estimate.standard_error == pytest.approx(values.numpy().std(ddof=1) / math.sqrt(10), rel=1e-6)


def test_moments_of_nothing_and_of_one():
    assert math.isnan(Moments().estimate.mean)
    one = Moments.of(torch.tensor([2.0])).estimate
    assert one.mean == 2.0
    assert math.isnan(one.standard_error)
    assert Moments().merge(Moments.of(torch.tensor([2.0]))).estimate.rows == 1
    infinite = Moments.of(torch.tensor([-math.inf, 0.0])).estimate
    assert infinite.mean == -math.inf


def test_one_draw_is_that_of_all_rows_in_chunks_of_500():
    torch.manual_seed(0)
    model, x = TinyVae(), torch.randn(1203, 4)
    with torch.no_grad(), seeded(7, x.device):
        values = torch.cat([model.figures(part)["elbo"] for part in x.split(500)]).double()
    found = evaluate_figures(model, [x], seed=7)["elbo"]
    assert found.mean == pytest.approx(values.mean().item(), rel=1e-12)
    assert found.standard_error == pytest.approx(values.std().item() / math.sqrt(1203), rel=1e-9)
    assert found.rows == 1203


@pytest.mark.parametrize("samples", [1, 3])
def test_streamed_rows_give_the_same_figures(samples):
    torch.manual_seed(0)
    model, x = TinyVae(), torch.randn(777, 4)
    streamed = Streamed([x])
    assert evaluate_figures(model, streamed, samples) == evaluate_figures(model, [x], samples)
    assert streamed.sizes == [CHUNK]


def test_more_draws_leave_less_noise():
    torch.manual_seed(0)
    model, x = TinyVae(), torch.randn(1, 4).expand(400, 4)
    few, many = (evaluate_figures(model, [x], samples)["elbo"] for samples in (1, 100))
    # All rows are alike, so that all that varies is the draw.
    assert many.standard_error < few.standard_error / 5


def test_an_exact_figure():
    model, x = Gaussian(), torch.tensor([0.0, 1.0, 2.0])
    found = evaluate_figures(model, [x])["log_prob"]
    exact = -0.5 * math.log(2 * math.pi) - 0.5 * np.array([0.0, 1.0, 4.0])
    assert found.mean == pytest.approx(exact.mean(), rel=1e-6)
    assert found.standard_error == pytest.approx(exact.std(ddof=1) / math.sqrt(3), rel=1e-6)


def test_the_mode_of_the_model_and_the_callers_random_numbers_are_left_alone():
    model = TinyVae().train()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    evaluate_figures(model, [torch.randn(5, 4, generator=torch.Generator().manual_seed(0))])
    assert torch.equal(torch.rand(2), expected)
    assert model.training


def test_chunks_keep_every_row_in_order():
    x, y = torch.arange(7), torch.arange(7) * 2
    chunks = list(chunks_of([x, y], 3))
    assert [len(a) for a, _ in chunks] == [3, 3, 1]
    assert torch.equal(torch.cat([b for _, b in chunks]), y)


def test_a_figure_of_no_row_is_left_out():
    """How well a partial variable is predicted is of the rows that have it; a chunk, or a split, may have none."""

    class Some(Gaussian):
        def figures(self, x):
            return {**super().figures(x[:, 0]), "error": x[x[:, 0] > 0, 0].ceil()}

    rows = torch.tensor([[-1.0, 0.0], [0.5, 0.0], [1.5, 0.0]])
    found = evaluate_figures(Some(), [rows])
    assert found["error"].rows == 2
    assert found["error"].mean == 1.5
    assert "error" not in evaluate_figures(Some(), [rows[:1]])
