"""Latents and reconstructions: they are what the model's own methods give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dgmppl.report.latents import latents_of, rows_back
from dgmppl.report.model_sections import plane
from dgmppl.train.contents import parts
from dgmppl.train.runs import load_data, load_run


@pytest.fixture
def opened(run_of):
    def open_(name, rows=20):
        model, run = load_run(run_of(name))
        graph, plan = parts(run.checked)
        torch.set_grad_enabled(False)
        table = load_data(run.checked, run.path).test
        return model, graph, plan, {n: torch.from_numpy(v) for n, v in table.read(0, rows).items()}

    yield open_
    torch.set_grad_enabled(True)


def test_a_latent_is_the_mean_of_its_q_and_a_row_comes_back_through_it(opened):
    model, graph, plan, rows = opened("vae")
    z = latents_of(model, graph, rows)["z"]
    assert torch.allclose(z, model.q_z(rows["x"]).mean)
    back = rows_back(model, plan, rows)
    assert back.keys() == {"x"}
    assert torch.allclose(back["x"], torch.sigmoid(model.p_x_net(z)).round()) or torch.allclose(
        back["x"], torch.sigmoid(model.p_x_net(z))
    )


def test_a_hierarchy_is_followed_from_the_top(opened):
    model, graph, plan, rows = opened("hierarchy")
    found = latents_of(model, graph, rows)
    r = model.define_r(rows["x"])
    z2 = model.q_z2(r).mean
    assert torch.allclose(found["z2"], z2)
    assert torch.allclose(found["z1"], model.q_z1(z2, r).mean)
    assert rows_back(model, plan, rows).keys() == {"x"}


def test_a_flow_is_inverted_and_gives_back_nothing_new(opened):
    model, graph, plan, rows = opened("flow")
    u = latents_of(model, graph, rows)["u"]
    assert torch.allclose(model.define_x(u), rows["x"], atol=1e-4)
    assert rows_back(model, plan, rows) == {}


def test_a_generator_has_neither(opened):
    model, graph, plan, rows = opened("gan")
    assert latents_of(model, graph, rows) == {} == rows_back(model, plan, rows)


def test_units_of_an_energy_are_drawn_back_through_its_conditionals(opened):
    model, graph, plan, rows = opened("rbm")
    found = latents_of(model, graph, rows)
    assert found.keys() == {"h"}
    assert rows_back(model, plan, rows).keys() == {"x"}


def test_a_plane_of_any_number_of_dimensions():
    rows = np.random.default_rng(0).normal(size=(50, 5)) * [10, 5, 1, 0.1, 0.1]
    two, note = plane(rows[:, :2])
    assert two is not rows
    assert np.array_equal(two, rows[:, :2])
    assert note == ""
    many, note = plane(rows)
    assert many.shape == (50, 2)
    assert "99% of the variance" in note
    # The largest spread lies along the first axis.
    assert abs(np.corrcoef(many[:, 0], rows[:, 0])[0, 1]) > 0.99
    one, _ = plane(rows[:, :1])
    assert np.array_equal(one[:, 0], rows[:, 0])
    assert plane(np.full((4, 3), np.nan))[0].shape == (4, 2)


def test_what_the_emitted_class_gives_is_what_is_shown(opened, monkeypatch):
    """A class that infers and gives rows back is asked; the order of the data is its own."""
    model, graph, plan, rows = opened("partial")
    asked = []

    def infer(*data, mean=False):
        asked.append((len(data), mean))
        return {"z": data[0] * 2, "y": data[1]}

    monkeypatch.setattr(type(model), "infer", staticmethod(infer), raising=False)
    monkeypatch.setattr(type(model), "reconstruct", staticmethod(lambda x, y: {"x": x + 1}), raising=False)
    assert latents_of(model, graph, rows).keys() == {"z"}
    assert asked == [(2, True)]
    assert torch.equal(rows_back(model, plan, rows)["x"], rows["x"] + 1)
