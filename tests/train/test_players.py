"""Players' weights, as one vector and apart: the same as torch's own optimisers on the plain parameters."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn

from dgmppl.catalogue.training import ELEMENTWISE, OPTIMIZERS
from dgmppl.plan.settings import OptimizerSetting, TrainSettings
from dgmppl.runtime import GenerativeModel, Player
from dgmppl.train import flat
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.device import open_device, seeded
from dgmppl.train.history import Callbacks
from dgmppl.train.optimizers import build_optimizer
from dgmppl.train.trainer import Trainer

CPU = torch.device("cpu")
STEPS = 6
OPTIONS = {
    "adam": {"weight_decay": 0.1},
    "adamw": {"weight_decay": 0.1},
    "adamax": {"weight_decay": 0.1},
    "sgd": {"momentum": 0.9, "weight_decay": 0.1},
    "rmsprop": {"momentum": 0.5, "weight_decay": 0.1},
}


class Net(GenerativeModel):
    """A network with a tied weight, a frozen one and one that the loss does not read."""

    data = ("x",)

    def __init__(self, grouped=False):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.unread = nn.Parameter(torch.ones(3))
        self.grouped = grouped

    def loss(self, x):
        return (self.second(self.first(x).tanh() * self.frozen) - 1).square().mean()

    def groups(self):
        """Biases without weight decay; the tied weight and the frozen one are named more than once."""
        weights = [self.first.weight, self.second.weight, self.frozen, self.unread]
        return [
            {"params": weights, "weight_decay": 0.2},
            {"params": [self.first.bias, self.second.bias], "weight_decay": 0.0},
        ]

    def players(self):
        everything = [*self.first.parameters(), *self.second.parameters(), self.frozen, self.unread]
        return (Player("model", self.loss, self.groups() if self.grouped else everything),)


def made(grouped=False):
    with seeded(1, CPU):
        return Net(grouped), torch.randn(8, 3)


def by_torch(setting, grouped):
    """The weights after torch's own optimiser has moved the plain parameters."""
    model, x = made(grouped)
    plain = [model.first.weight, model.unread], [model.first.bias, model.second.bias]
    groups = [{"params": p, **({"weight_decay": d} if grouped else {})} for p, d in zip(plain, (0.2, 0.0), strict=True)]
    kind = {"adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "sgd": "SGD", "rmsprop": "RMSprop"}[setting.name]
    optimizer = getattr(torch.optim, kind)(groups, lr=setting.lr, **setting.options)
    for p in (p for group in plain for p in group):
        p.grad = torch.zeros_like(p)
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=False)
        model.loss(x).backward()
        nn.utils.clip_grad_norm_([p for group in plain for p in group], 0.5)
        optimizer.step()
    return model.state_dict()


def fitted(setting, grouped):
    model, x = made(grouped)
    settings = TrainSettings(epochs=STEPS, batch=len(x), optimizer=setting, clip=0.5)
    rows = MemoryExamples([x])
    trainer = Trainer(model, rows, rows, settings, open_device("cpu"))
    trainer.run(Callbacks())
    return model, trainer


@pytest.mark.parametrize("small", [0, 3, 9], ids=["apart", "some as a vector", "as a vector"])
@pytest.mark.parametrize("grouped", [False, True], ids=["one group", "two groups"])
@pytest.mark.parametrize("name", OPTIONS)
def test_weights_move_as_by_torch(name, grouped, small, monkeypatch):
    monkeypatch.setattr(flat, "SMALL", small)
    setting = OptimizerSetting(name, 0.05, OPTIONS[name])
    model, trainer = fitted(setting, grouped)
    (player,) = trainer.players
    assert len(player.moved) == {0: (4, 4), 3: (2, 3), 9: (1, 2)}[small][grouped]
    expected = by_torch(setting, grouped)
    for key, value in model.state_dict().items():
        assert torch.allclose(value, expected[key], rtol=1e-4, atol=1e-6), key
    assert model.first.weight is model.second.weight
    assert torch.equal(model.frozen, torch.ones(3))


def test_every_optimiser_says_whether_it_is_elementwise():
    assert set(OPTIONS) == set(OPTIMIZERS)
    assert set(OPTIMIZERS) >= ELEMENTWISE


def test_an_optimiser_that_is_not_elementwise_has_its_weights_apart(monkeypatch):
    monkeypatch.setattr("dgmppl.train.players.ELEMENTWISE", frozenset())
    _, trainer = fitted(OptimizerSetting("adam", 0.05), False)
    assert len(trainer.players[0].moved) == 4


def test_weights_of_two_types_stay_apart():
    model, _ = made()
    model.unread = nn.Parameter(torch.ones(3, dtype=torch.float64))
    rows = MemoryExamples([torch.zeros(4, 3)])
    trainer = Trainer(model, rows, rows, TrainSettings(), open_device("cpu"))
    assert len(trainer.players[0].moved) == 4


class Shared(GenerativeModel):
    """Two players that both move `body`; each also moves a weight of its own."""

    data = ("x",)

    def __init__(self):
        super().__init__()
        self.body, self.one, self.two = (nn.Parameter(torch.tensor(value)) for value in (0.5, 1.0, -1.0))

    def players(self):
        return (
            Player("adversary", lambda x: (self.body * self.one * x - 1).square().mean(), [self.body, self.one], True),
            Player("model", lambda x: (self.body * self.two * x + 2).square().mean(), [self.body, self.two]),
        )


def test_a_weight_of_two_players_is_moved_by_both():
    with seeded(1, CPU):
        model, x = Shared(), torch.randn(8)
    plain = copy.deepcopy(model)
    setting = OptimizerSetting("adam", 0.05)
    rows = MemoryExamples([x])
    settings = TrainSettings(epochs=STEPS, batch=8, optimizer=setting, adversary_optimizer=setting)
    Trainer(model, rows, rows, settings, open_device("cpu")).run(Callbacks())
    players = plain.players()
    optimizers = [build_optimizer(setting, player.parameters) for player in players]
    for _ in range(STEPS):
        for player, optimizer in zip(players, optimizers, strict=True):
            for p in plain.parameters():
                p.grad = None
            player.loss(x).backward(inputs=player.parameters)
            optimizer.step()
    for name, value in plain.state_dict().items():
        assert torch.allclose(model.state_dict()[name], value, rtol=1e-4), name


@pytest.mark.parametrize("small", [0, 3, 9], ids=["apart", "some as a vector", "as a vector"])
@pytest.mark.parametrize("grouped", [False, True], ids=["one group", "two groups"])
def test_a_resumed_fit_has_the_same_bits(grouped, small, monkeypatch):
    monkeypatch.setattr(flat, "SMALL", small)
    setting = OptimizerSetting("adam", 0.05, {"weight_decay": 0.1})
    expected = fitted(setting, grouped)[0].state_dict()
    model, x = made(grouped)
    rows = MemoryExamples([x])
    settings = TrainSettings(epochs=STEPS, batch=len(x), optimizer=setting, clip=0.5)
    first = Trainer(model, rows, rows, settings, open_device("cpu"))
    steps = Counter()

    def interrupted():
        steps["done"] += 1
        return steps["done"] == 3

    assert first.run(Callbacks(should_stop=interrupted)).stopped == "interrupted"
    state = copy.deepcopy(first.state())
    other = Trainer(made(grouped)[0], rows, rows, settings, open_device("cpu"))
    other.restore(state)
    other.run(Callbacks())
    found = other.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
