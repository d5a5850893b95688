"""Batches shared by microbatches or processes: the same loss and gradient without noise, the same law with it."""

import dataclasses
import json
import os
import subprocess
import sys
from itertools import chain

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from dgmppl.cli import main
from dgmppl.plan.settings import OptimizerSetting, TrainSettings
from dgmppl.runtime import Chain, GenerativeModel, Start
from dgmppl.runtime.shards import Shard
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.device import derived_seed, open_device, seeded
from dgmppl.train.history import Callbacks
from dgmppl.train.trainer import Trainer

from .models import Gaussian, TinyGan, TinyVae
from .specs import RBM

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=3, batch=50, optimizer=OptimizerSetting("adam", 0.01), clip=1.0)


def fit(model, rows, **settings):
    rows = MemoryExamples([rows])
    with seeded(0, CPU):
        return Trainer(model, rows, rows, dataclasses.replace(SETTINGS, **settings), open_device("cpu")).run(
            Callbacks()
        )


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("total", [0, 1, 7, 23])
@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_shards_have_every_row_once(total, count):
    rows = [list(range(total))[Shard(k, count).rows(total)] for k in range(count)]
    assert list(chain.from_iterable(rows)) == list(range(total))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize("microbatches", [2, 3, 64])
def test_a_loss_without_noise_is_the_same_in_microbatches(microbatches):
    one, several = (fit(Gaussian(), noise(130), accumulate=count).epochs for count in (1, microbatches))
    for whole, shared in zip(one, several, strict=True):
        for figures in ("losses", "terms", "validation"):
            assert getattr(shared, figures) == pytest.approx(getattr(whole, figures), rel=1e-5, abs=1e-5)


class Noisy(GenerativeModel):
    """Records the noise of each microbatch; dropout is noise that no argument of a distribution tells of."""

    data = ("x",)

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(0.3)
        self.seen = []

    def terms(self, x):
        kept = self.dropout(torch.ones(len(x), 5))
        self.seen.append((x, torch.randn_like(x), kept))
        return {"log p(x)": Normal(self.loc, 1.0).log_prob(x) + 0 * kept.sum(-1)}


def test_every_row_of_every_step_has_noise_of_its_own():
    model = Noisy()
    rows = noise(400)
    fit(model, rows, accumulate=4, batch=200, epochs=2)
    assert len(model.seen) == 2 * 2 * 4
    for epoch in (model.seen[:8], model.seen[8:]):
        assert torch.equal(torch.cat([x for x, _, _ in epoch]).sort()[0], rows.sort()[0])
    drawn = torch.cat([drawn for _, drawn, _ in model.seen])
    assert len(drawn.unique()) == 800
    # Standard normal to five standard errors, and kept with probability 0.7.
    assert abs(drawn.mean().item()) < 5 / 800**0.5
    kept = torch.cat([kept for *_, kept in model.seen])
    assert (kept > 0).double().mean().item() == pytest.approx(0.7, abs=5 * (0.21 / 4000) ** 0.5)
    assert torch.stack([k.sum() for *_, k in model.seen]).unique().numel() > 8


def test_the_noise_of_a_run_does_not_depend_on_what_was_drawn_before():
    fits = []
    for before in (0, 7):
        model = Noisy()
        rows = MemoryExamples([noise(100)])
        settings = dataclasses.replace(SETTINGS, accumulate=2)
        with seeded(before, CPU):
            Trainer(model, rows, rows, settings, open_device("cpu")).run(Callbacks())
        fits.append(torch.cat([drawn for _, drawn, _ in model.seen]))
    assert torch.equal(*fits)


def test_a_loss_with_noise_has_the_same_mean_in_microbatches():
    rows = noise(20_000, 4)
    found = {}
    for count in (1, 7):
        torch.manual_seed(3)
        model = TinyVae()
        with torch.no_grad(), seeded(5, CPU):
            terms = torch.stack(list(model.terms(rows).values())).sum(0)
        result = fit(model, rows, epochs=1, batch=len(rows), accumulate=count)
        found[count] = result.epochs[0].losses["model"]
        assert found[count] == pytest.approx(-terms.mean().item(), abs=5 * terms.std().item() / len(rows) ** 0.5)
    assert found[1] != found[7]


def test_players_have_noise_of_their_own():
    assert len({derived_seed(0, *moved) for moved in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))}) == 4
    result = fit(TinyGan(), noise(130), accumulate=3, adversary_steps=2)
    assert len(result.epochs) == 3


# --- persistent chains ---------------------------------------------------------------------------


def sweep(x):
    return (x + 1 + 0.1 * torch.randn_like(x),)


@pytest.mark.parametrize(("chains", "count"), [(12, 3), (7, 3), (5, 5)])
def test_shards_move_every_chain_once(chains, count):
    module = Chain(Start("real", (2,)), persistent=True, chains=chains)
    before = module.state_0.clone()
    moved = []
    for k in range(count):
        module.shard = Shard(k, count)
        moved.append(module(sweep, torch.zeros(4, 2))[0])
    assert torch.equal(torch.cat(moved), module.state_0)
    assert (module.state_0 - before).mean().item() == pytest.approx(1, abs=0.2)


def test_more_shards_than_chains():
    module = Chain(Start("real", ()), persistent=True, chains=2)
    before = module.state_0.clone()
    for k in range(5):
        module.shard = Shard(k, 5)
        (found,) = module(sweep, torch.zeros(4))
        assert len(found) == 1
    assert (module.state_0 - before).tolist() == pytest.approx([1, 1], abs=0.5)


# --- two processes -------------------------------------------------------------------------------

# Without noise: the likelihood is exact.
EXACT = """\
model exact
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
p(x)     = Normal(param)
p(y | x) = Categorical(mlp[8](x))
train { epochs = 2, batch = 200 }
"""

# Weights that start from the first batch, at a minimum, where Adam would make steps of rounding errors.
STARTED = """\
model started
observed x : real[2] from moons.point
p(x) = Normal(0, 1) >> lu >> actnorm >> lu
train { epochs = 2, batch = 200, optimizer = sgd(0.1) }
"""

SHARED = {
    "exact": (EXACT, ("-m", "torch.distributed.run", "--nproc-per-node", "2"), (), ()),
    "started": (STARTED, (), ("--devices", "2"), ()),
    "chains": (RBM, (), ("--devices", "2"), ("--set", "train.accumulate=2")),
}


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "name", ["exact", *(pytest.param(name, marks=pytest.mark.slow) for name in ("started", "chains"))]
)
def test_two_processes_have_the_losses_of_one(name, tmp_path):
    """Of one process with as many microbatches, where there is noise; `test_kills` has a model with latents.

    torchrun starts the processes where there is none; their number comes from it.
    """
    text, launcher, flags, alike = SHARED[name]
    spec = tmp_path / "model.dgm"
    spec.write_text(text, encoding="utf-8")
    common = ["train", str(spec), "--device", "cpu", "--set", "train.epochs=2"]
    assert main([*common, *alike, "--out", str(tmp_path / "one")]) == 0
    command = [sys.executable, *launcher, "-m", "dgmppl.cli", *common, *flags, "--out", tmp_path / "two"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for alone, shared in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        for figures in ("losses", "terms", "validation"):
            # The rbm's loss is a small difference of large terms.
            assert shared[figures] == pytest.approx(alone[figures], rel=1e-5, abs=1e-5)
    assert done.stdout.count("results in") == 1, "one process speaks for both"
    assert json.loads((tmp_path / "two" / "run.json").read_text(encoding="utf-8"))["devices"] == 2
