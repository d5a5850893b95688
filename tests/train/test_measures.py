"""Measures of samples: MMD against its definition, precision and recall where they are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from dgmppl.catalogue.figures import SAMPLE_FIGURES
from dgmppl.supports import REAL, Categorical, Type
from dgmppl.train.measures import MEASURES, features, median_distance, precision, recall, squared_mmd


def draws(rows, seed, shift=0.0, columns=3):
    return np.random.default_rng(seed).normal(shift, 1.0, (rows, columns))


def test_mmd_is_its_double_sum():
    x, y, width = draws(6, 0), draws(9, 1, 0.5), 1.7

    def k(a, b):
        return math.exp(-sum((p - q) ** 2 for p, q in zip(a, b)) / (2 * width**2))

    within_x = sum(k(x[i], x[j]) for i, j in itertools.permutations(range(6), 2)) / (6 * 5)
    within_y = sum(k(y[i], y[j]) for i, j in itertools.permutations(range(9), 2)) / (9 * 8)
    across = sum(k(a, b) for a in x for b in y) / (6 * 9)
    assert squared_mmd(x, y, width) == pytest.approx(within_x + within_y - 2 * across, rel=1e-12)


def test_mmd_is_unbiased_where_both_are_the_same_distribution():
    found = np.array([squared_mmd(draws(12, 2 * s), draws(9, 2 * s + 1), 1.5) for s in range(400)])
    assert abs(found.mean()) < 3 * found.std() / math.sqrt(len(found))
    # The biased estimate, which takes in each point with itself, would be far from 0: 1/m + 1/n times 1 - E k.
    assert found.std() / math.sqrt(len(found)) < 0.01
    assert (found < 0).any()


def test_mmd_grows_with_the_difference():
    data = draws(300, 0)
    width = median_distance(data)
    found = [squared_mmd(draws(300, 1, shift), data, width) for shift in (0.0, 0.5, 1.5)]
    assert abs(found[0]) < 0.01 < found[1] < found[2]


def test_the_width_is_the_median_of_distances_and_never_zero():
    assert median_distance(np.array([[0.0], [1.0], [3.0]])) == 2.0
    assert median_distance(np.array([[0.0], [0.0], [0.0], [3.0]])) == pytest.approx(1.5)
    assert median_distance(np.zeros((4, 2))) == 1.0


def test_a_set_covers_itself_and_nothing_far_away():
    x = draws(60, 0)
    assert precision(x, x) == recall(x, x) == 1.0
    assert precision(x + 100, x) == recall(x + 100, x) == 0.0
    same = np.zeros((10, 2))
    assert precision(same, same) == 1.0


def test_a_model_that_leaves_out_a_mode_has_precision_but_half_the_recall():
    one, other = draws(100, 0), draws(100, 1) + 50
    samples = draws(100, 2) * 0.7
    data = np.concatenate([one, other])
    assert precision(samples, data) > 0.95
    assert 0.3 < recall(samples, data) <= 0.5


def test_precision_on_a_line():
    data = np.array([[0.0], [1.0], [2.0], [10.0]])
    # Distances to the nearest other point: 1, 1, 1, 8. The balls cover [-1, 3] and [2, 18].
    samples = np.array([[-1.1], [-0.9], [3.1], [17.9], [18.1]])
    assert precision(samples, data, k=1) == pytest.approx(3 / 5)
    # To the second nearest: 2, 1, 2, 9.
    assert precision(np.array([[-2.1], [-1.9], [0.9], [18.9], [19.1]]), data, k=2) == pytest.approx(3 / 5)


def test_features_are_numbers_of_the_same_spread():
    types = {"x": Type(REAL, (2,)), "y": Type(Categorical(3), ())}
    data = {"x": draws(50, 0, columns=2) * 100, "y": np.arange(50) % 3}
    samples = {"x": np.zeros((4, 2)), "y": np.array([0, 1, 2, 2])}
    drawn, known = features(samples, data, types)
    assert drawn.shape == (4, 5)
    assert known.shape == (50, 5)
    assert known[:, :2].var(axis=0).sum() == pytest.approx(1.0)
    assert known[:, 2:].var(axis=0).sum() == pytest.approx(1.0)
    assert (drawn[:, 2:] > 0).argmax(axis=1).tolist() == [0, 1, 2, 2]


def test_every_measure_takes_samples_and_data():
    assert MEASURES.keys() == SAMPLE_FIGURES.keys()
    for measure in MEASURES.values():
        assert math.isfinite(measure(draws(20, 0), draws(20, 1)))
