"""Parts of a batch, by one process or by two, give the noise, the loss and the gradient of the whole batch."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Cauchy, Exponential, Gamma, Laplace, Normal, Uniform

from dgmppl.plan.settings import OptimizerSetting, TrainSettings
from dgmppl.runtime import Chain, Part, Start, part_of_batch
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.course import Watch
from dgmppl.train.device import open_device, seeded
from dgmppl.train.engine import Fitting

from .models import Gaussian, TinyGan, TinyVae

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
ROWS = 23

# Each draws noise for `n` rows, starting with row `first` of a batch.
DRAWS = {
    "rand": lambda n, first: torch.rand(n, 3),
    "rand of a size": lambda n, first: torch.rand((n,)),
    "randn": lambda n, first: torch.randn((n, 2, 3)),
    "randint": lambda n, first: torch.randint(5, (n, 4)),
    "rand_like": lambda n, first: torch.rand_like(torch.zeros(n, 3)),
    "normal": lambda n, first: Normal(torch.arange(first, first + n).float(), 2.0).rsample(),
    "normal of a size": lambda n, first: Normal(torch.zeros(3), 1.0).sample((n,)),
    "several draws a row": lambda n, first: Normal(torch.zeros(n * 4, 2), 1.0).sample(),
    "uniform": lambda n, first: Uniform(torch.zeros(n, 2), 3.0).rsample(),
    "laplace": lambda n, first: Laplace(torch.zeros(n, 2), 3.0).rsample(),
    "bernoulli": lambda n, first: Bernoulli(torch.arange(first, first + n) / 50).sample(),
    "categorical": lambda n, first: Categorical(
        logits=torch.arange(first, first + n)[:, None] * torch.ones(5)
    ).sample(),
    "categorical of a size": lambda n, first: Categorical(logits=torch.arange(5.0)).sample((n,)),
    "exponential": lambda n, first: Exponential(torch.ones(n, 2)).rsample(),
    "cauchy": lambda n, first: Cauchy(torch.zeros(n, 2), 1.0).rsample(),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("count", [2, 5])
def test_parts_draw_the_noise_of_the_whole(name, count):
    with seeded(0, CPU):
        whole = DRAWS[name](ROWS, 0)
        after = torch.rand(2)
    pieces = []
    for k in range(count):
        part = Part(k, count)
        own = part.of(ROWS)
        with seeded(0, CPU):
            with part_of_batch(part, ROWS):
                pieces.append(DRAWS[name](own.stop - own.start, own.start))
            assert torch.equal(torch.rand(2), after), "the generator has moved as far"
    assert torch.equal(torch.cat(pieces), whole)


def test_draws_by_rejection_follow_their_own_parameters():
    part = Part(1, 2)
    with seeded(0, CPU), part_of_batch(part, 4000):
        concentration = torch.full((2000,), 7.0, requires_grad=True)
        drawn = Gamma(concentration, 1.0).rsample()
    assert drawn.mean().item() == pytest.approx(7.0, abs=0.3)
    drawn.sum().backward()
    assert concentration.grad.abs().min() > 0


def test_what_belongs_to_no_row_is_the_same_in_every_part():
    drawn = []
    for k in range(2):
        with seeded(0, CPU), part_of_batch(Part(k, 2), 10):
            drawn.append(torch.randn(7))
    assert torch.equal(*drawn)


def test_parts_of_chains_move_as_the_whole():
    def sweep(x):
        return (x + torch.randn_like(x),)

    def chain():
        with seeded(1, CPU):
            return Chain(Start("normal", (2,)), persistent=True, chains=12, restart=0.5)

    whole, pieces = chain(), chain()
    x = torch.zeros(20, 2)
    with seeded(0, CPU):
        (expected,) = whole(sweep, x)
    found = []
    for k in range(3):
        part = Part(k, 3)
        with seeded(0, CPU), part_of_batch(part, 20):
            found.append(pieces(sweep, x[part.of(20)])[0])
    assert torch.equal(torch.cat(found), expected)
    assert torch.equal(pieces.state_0, whole.state_0)


@pytest.mark.parametrize("kind", [Gaussian, TinyVae, TinyGan])
@pytest.mark.parametrize("parts", [2, 3, 64])
def test_accumulation_changes_no_loss(kind, parts):
    shape = (130, 4) if kind is TinyVae else (130,)
    rows = MemoryExamples([torch.randn(shape, generator=torch.Generator().manual_seed(1))])
    settings = TrainSettings(epochs=3, batch=50, optimizer=OptimizerSetting("adam", 0.01), clip=1.0)
    epochs = []
    for accumulate in (1, parts):
        with seeded(0, CPU):
            fit = Fitting(kind(), rows, rows, dataclasses.replace(settings, accumulate=accumulate), open_device("cpu"))
            epochs.append(fit.run(Watch()).epochs)
    for one, several in zip(*epochs, strict=True):
        for figures in ("losses", "terms", "validation"):
            assert getattr(several, figures) == pytest.approx(getattr(one, figures), rel=1e-5, abs=1e-5)


# --- two processes -------------------------------------------------------------------------------

SPECS = {
    "vae": "latent/vae.dgm",
    "realnvp": "flow/realnvp.dgm",
    "rbm": "energy/rbm.dgm",
}


def train(spec, out, *flags, launcher=()):
    command = [sys.executable, *launcher, "-m", "dgmppl.cli", "train", ROOT / "specs" / spec, "--out", out]
    command += ["--device", "cpu", "--set", "train.epochs=2", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done, [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", SPECS)
def test_two_processes_have_the_losses_of_one(name, tmp_path):
    _, one = train(SPECS[name], tmp_path / "one")
    done, two = train(SPECS[name], tmp_path / "two", "--devices", "2")
    for alone, shared in zip(one, two, strict=True):
        for figures in ("losses", "terms", "validation"):
            # The rbm's loss is a small difference of large terms.
            assert shared[figures] == pytest.approx(alone[figures], rel=1e-5, abs=1e-5)
    assert done.stdout.count("results in") == 1, "one process speaks for both"
    assert json.loads((tmp_path / "two" / "run.json").read_text())["devices"] == 2


def test_torchrun_starts_the_processes_too(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
    train("latent/vae.dgm", tmp_path / "run", launcher=launcher)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["devices"] == 2


@pytest.mark.skipif(not Path("/proc").exists(), reason="the other process is found through /proc")
def test_a_signal_to_one_process_interrupts_the_run(tmp_path):
    """Whichever process it reaches, and the exit status tells."""
    command = [sys.executable, "-m", "dgmppl.cli", "train", ROOT / "specs" / "latent" / "vae.dgm"]
    command += ["--out", tmp_path / "run", "--device", "cpu", "--devices", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text()):
        time.sleep(0.01)
    (other,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(other), signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "goes on" in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "interrupted"
