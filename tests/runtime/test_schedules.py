"""Schedules: the numbers that are checked are those that a model computes, and those of their equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dgmppl import pipeline, runtime
from dgmppl.catalogue.schedules import SCHEDULES
from dgmppl.graph.nodes import Schedule
from tests.contracts.support import build, graph_of

ARGUMENTS = {"linear": (1e-4, 0.02), "geometric": (0.01, 50.0), "cosine": (0.008, 0.999)}


@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_runtime_gives_the_numbers_of_the_catalogue(name: str, count: int) -> None:
    kind = SCHEDULES[name]
    found = getattr(runtime, kind.runtime)(count, *ARGUMENTS[name])
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(kind.numbers(count, *ARGUMENTS[name]), rel=1e-12)


def test_usual_forms_are_those_of_numpy() -> None:
    linear, geometric = (SCHEDULES[name].numbers(7, 0.01, 2.0) for name in ("linear", "geometric"))
    assert linear == pytest.approx(np.linspace(0.01, 2.0, 7))
    assert geometric == pytest.approx(np.geomspace(0.01, 2.0, 7))


def test_the_signal_of_a_cosine_falls_as_its_square() -> None:
    beta = np.array(SCHEDULES["cosine"].numbers(50, 0.008, 1.0))
    t = np.arange(51) / 50
    left = np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    assert np.cumprod(1 - beta)[:-1] == pytest.approx(left[1:-1] / left[0], rel=1e-9)


SPEC = """
model scheduled
const T = 12
observed x : real[2] from moons.point
latent z[t in 0..T] : real[2]
schedule sigma[t in 2..T] = sqrt(beta[t] * (1 - left[t-1]) / (1 - left[t]))
schedule left[t in 0..T] = cumprod(1 - beta[t])
schedule beta[t in 1..T] = (linear(0.01, 0.3) + 0.1 * t / T) ^ 1.5
z[0] = x
q(z[t] | z[t-1]) = Normal(sqrt(1 - beta[t]) * z[t-1], sqrt(beta[t]))
p(z[T]) = Normal(0, 1)
p(x | z[1]) = Normal(z[1], 1)
p(z[t-1] | z[t]) = Normal(mlp[8](z[t], t), sigma[t])
"""


def test_buffers_hold_the_numbers_that_were_checked() -> None:
    found = pipeline.read(SPEC)
    assert found.ok, [str(d) for d in found.errors]
    model = build(found)
    schedules = {p.name: p for p in graph_of(found).parameters if isinstance(p, Schedule)}
    assert list(schedules) == ["beta", "left", "sigma"]
    beta = [(0.01 + 0.29 * k / 11 + 0.1 * (k + 1) / 12) ** 1.5 for k in range(12)]
    left = [1.0, *np.cumprod(1 - np.array(beta))]
    sigma = [math.sqrt(beta[t - 1] * (1 - left[t - 1]) / (1 - left[t])) for t in range(2, 13)]
    for name, expected in (("beta", beta), ("left", left), ("sigma", sigma)):
        assert schedules[name].numbers == pytest.approx(expected, rel=1e-12)
        assert model.get_buffer(name).tolist() == pytest.approx(expected, rel=1e-7)
