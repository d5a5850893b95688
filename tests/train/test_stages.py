"""Stages of a fit: what each moves, where the next begins, and how each ends."""

import dataclasses

import pytest
import torch

from dgmppl import pipeline
from dgmppl.plan.setting_types import Stage
from dgmppl.plan.settings import OptimizerSetting, TrainSettings
from dgmppl.source import Source
from dgmppl.train.device import open_device, seeded
from dgmppl.train.history import Callbacks
from dgmppl.train.trainer import Trainer, fit

from .models import TinyVae

SPEC = """\
model staged
observed x : real[13] from standardize(wine.data)
latent   z : real[4]
let h : real[8] = mlp[8](x)
p(z)     = mixture[8](Normal(0, 1) >> affine)
p(x | z) = Normal(mlp[16, dropout = 0.5](z))
q(z | x) = Normal(linear(h))
train {{ {} }}
"""
ROWS = [torch.randn((200, 4), generator=torch.Generator().manual_seed(1))]
SETTINGS = TrainSettings(epochs=4, batch=50, optimizer=OptimizerSetting("adam", 0.05))
FIRST = Stage((("p", "x"),), weights=("decoder",))
SECOND = Stage((("q", "z"),), weights=("encoder",))


def weights(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def test_a_stage_moves_its_weights_and_no_others():
    model = TinyVae()
    before, seen = weights(model), []
    settings = dataclasses.replace(SETTINGS, stages=(FIRST, SECOND))
    result = fit(model, ROWS, ROWS, settings, lambda epoch: seen.append(weights(model)))
    assert len(result.epochs) == 8
    for name in ("encoder.weight", "encoder.bias"):
        assert all(torch.equal(seen[k][name], before[name]) for k in range(4))
        assert not torch.equal(seen[7][name], before[name])
    best = min(range(4), key=lambda k: -result.epochs[k].validation["elbo"])
    assert all(torch.equal(seen[k]["decoder.weight"], seen[best]["decoder.weight"]) for k in range(4, 8))
    assert {p.requires_grad for n, p in model.named_parameters() if n.startswith("encoder")} == {True}


@pytest.mark.parametrize("ema", [None, 0.5])
def test_what_a_stage_moves_computes_as_in_a_fit_and_the_rest_as_outside(ema):
    """With and without an average, which is what is validated: each step has dropout where its stage moves weights."""
    model, seen = TinyVae(), []

    def look(module, *_):
        if module is model.decoder:  # an average is a copy, with its hooks
            seen.append((model.decoder.training, model.encoder.training))

    model.decoder.register_forward_hook(look)
    fit(model, ROWS, ROWS, dataclasses.replace(SETTINGS, ema=ema, epochs=1, stages=(FIRST, SECOND)))
    steps = [modes for modes in seen if True in modes]  # the rest are those of validation
    assert steps == [(True, False)] * 4 + [(False, True)] * 4


def test_each_stage_has_the_patience_of_a_fit():
    settings = dataclasses.replace(SETTINGS, epochs=30, patience=2, optimizer=OptimizerSetting("sgd", 1e-30))
    with seeded(0, torch.device("cpu")):
        whole = fit(TinyVae(), ROWS, ROWS, settings)
        both = fit(TinyVae(), ROWS, ROWS, dataclasses.replace(settings, stages=(FIRST, SECOND)))
    assert whole.stopped == both.stopped == "patience"
    assert len(both.epochs) >= len(whole.epochs) + 2


def test_a_rate_of_its_own():
    settings = dataclasses.replace(SETTINGS, epochs=2, stages=(FIRST, dataclasses.replace(SECOND, lr=0.5)))
    rows = open_device("cpu")
    from dgmppl.train.batches import MemoryExamples

    trainer = Trainer(TinyVae(), MemoryExamples(ROWS), MemoryExamples(ROWS), settings, rows)
    result = trainer.run(Callbacks())
    assert [epoch.rates["model"] for epoch in result.epochs] == [0.05, 0.05, 0.5, 0.5]


def plan_of(settings):
    found = pipeline.check(Source("a.dgm", SPEC.format(settings)))
    assert not found.errors, found.errors
    return found


def test_factors_are_named_with_what_they_read():
    found = plan_of("stages = [fit(q(z), x), fit(z)]")
    first, second = found.plan.settings.stages
    assert first.statements == ("q(z | x)", "p(x | z)") or first.statements == ("q(z | h)", "p(x | z)")
    model = pipeline.build(found)
    prior = {n.partition(".")[0] for n, _ in model.named_parameters()} - set(first.weights)
    assert prior and all(name.startswith("p_z") for name in prior)
    assert set(second.weights) == prior | {w for w in first.weights if not w.startswith("p_x")}
    assert len(first.weights) == 3  # a network of each factor, and that of the feature h


def test_weights_in_no_stage_are_told():
    found = plan_of("stages = [fit(q(z)), fit(x)]")
    (told,) = found.diagnostics
    assert told.code == "W404"
    assert "nothing teaches p(z): no stage of the fit moves its weights" in told.headline


def test_what_is_held_has_no_dropout():
    found = plan_of("epochs = 1, stages = [fit(q(z)), fit(z, x)]")
    model = pipeline.build(found)
    seen = []
    settings = found.plan.settings
    rows = [torch.randn(50, 13, generator=torch.Generator().manual_seed(2))]
    model.p_x_net.register_forward_hook(lambda module, *_: seen.append(module.training))
    fit(model, rows, rows, settings)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert not any(first) and any(second)
