"""The learning rate over time against torch's own schedulers, and the averaged weights against their definition."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from dgmppl.catalogue.training import DECAYS as CATALOGUE
from dgmppl.plan.settings import DecaySetting, OptimizerSetting, TrainSettings
from dgmppl.train.averaging import averaged_model
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.device import open_device
from dgmppl.train.history import Callbacks
from dgmppl.train.schedules import DECAYS, build_schedule, rate_factor
from dgmppl.train.trainer import Trainer

from .models import Gaussian, TinyGan

BATCHES, EPOCHS = 7, 6
SETTINGS = TrainSettings(epochs=EPOCHS, optimizer=OptimizerSetting("sgd", 0.5))


def sgd():
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)


def rates(optimizer, schedule, steps, every=1):
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            schedule.step()
    return found


STEPS = BATCHES * EPOCHS
PEERS = {
    "cosine": (
        DecaySetting("cosine", {"to": 0.1}),
        lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.05),
        1,
    ),
    "linear": (
        DecaySetting("linear", {"to": 0.2}),
        lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, STEPS),
        1,
    ),
    "exponential": (
        DecaySetting("exponential", {"rate": 0.9}),
        lambda o: lr_scheduler.ExponentialLR(o, 0.9 ** (1 / BATCHES)),
        1,
    ),
    "steps": (
        DecaySetting("steps", {"every": 2.0, "factor": 0.1}),
        lambda o: lr_scheduler.StepLR(o, 2, 0.1),
        BATCHES,
    ),
}


@pytest.mark.parametrize("name", PEERS)
def test_decays_are_those_of_torch(name):
    decay, peer, every = PEERS[name]
    ours, theirs = sgd(), sgd()
    schedule = build_schedule(ours, dataclasses.replace(SETTINGS, decay=decay), BATCHES)
    expected = rates(theirs, peer(theirs), STEPS, every)
    assert rates(ours, schedule, STEPS) == pytest.approx(expected, rel=1e-9)


def test_every_decay_is_there_and_has_a_peer():
    assert DECAYS.keys() == CATALOGUE.keys() == PEERS.keys()


def test_warm_up_grows_linearly_and_multiplies_the_decay():
    warm = dataclasses.replace(SETTINGS, warmup=4)
    assert [rate_factor(k, warm, BATCHES) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    decay = DecaySetting("linear")
    both = dataclasses.replace(warm, decay=decay)
    alone = dataclasses.replace(SETTINGS, decay=decay)
    assert rate_factor(1, both, BATCHES) == pytest.approx(0.5 * rate_factor(1, alone, BATCHES))


def test_a_rate_that_stays_needs_no_schedule():
    assert build_schedule(sgd(), SETTINGS, BATCHES) is None


def test_both_players_end_where_the_decay_does():
    """The adversary takes three steps for one of the model's, and decays over as many."""
    rows = MemoryExamples([torch.randn(60, generator=torch.Generator().manual_seed(0))])
    settings = dataclasses.replace(SETTINGS, batch=20, adversary_steps=3, decay=DecaySetting("linear", {"to": 0.5}))
    result = Trainer(TinyGan(), rows, rows, settings, open_device("cpu")).run(Callbacks())
    # Of the last step: 54 of the adversary's, 18 of the model's, so that after one more both would be at the end.
    assert result.epochs[-1].rates == pytest.approx(
        {"adversary": 0.5 * (1 - 0.5 * 53 / 54), "model": 0.5 * (1 - 0.5 * 17 / 18)}
    )


def test_averaged_weights_are_a_mean_of_the_past():
    model = Gaussian()
    average = averaged_model(model, 0.9)
    expected, past = 0.0, [1.0, -2.0, 5.0, 4.0]
    for k, value in enumerate(past):
        with torch.no_grad():
            model.loc.fill_(value)
        average.update_parameters(model)
        decay = min(0.9, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * value
    assert average.module.loc.item() == pytest.approx(expected)
    assert model.loc.item() == 4.0


def test_averaged_weights_are_the_ones_that_are_validated_and_kept():
    rows = MemoryExamples([1.5 + torch.randn(200, generator=torch.Generator().manual_seed(1))])
    settings = TrainSettings(epochs=4, batch=20, optimizer=OptimizerSetting("adam", 0.05))
    model, seen = Gaussian(), []

    class Seeing(Gaussian):
        def figures(self, x):
            seen.append(self.loc.item())  # of the model that is validated, whichever it is
            return super().figures(x)

    for kind, ema in ((Gaussian, None), (Seeing, 0.99)):
        model = kind()
        result = Trainer(model, rows, rows, dataclasses.replace(settings, ema=ema), open_device("cpu")).run(Callbacks())
        if ema is None:
            last = model.loc.item()
    assert model.loc.item() == seen[result.best_epoch - 1]
    assert 0 < model.loc.item() < last, "an average lags behind"
