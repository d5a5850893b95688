"""Seconds an epoch of `dgmppl train` takes, as a ratio to a plain torch loop of the same model.

    python benchmarks/epoch_time.py

Both sides run in one process, in turns (A B A B ...): whenever `dgmppl train` has ended an epoch, the other loop runs
one. The time of dgmppl is all that passes between: shuffling, steps, validation, the copy of the best weights, the line
in metrics.jsonl, the events, a checkpoint when one is due. The other loop does what one needs for the same result: an
epoch of steps with its mean loss, the figure on the validation rows, a copy of the best weights. A ratio is that of the
medians over the turns.

    vae            against a hand-written model, its data in tensors that are shuffled and indexed    at most 1.05
    rbm            against a hand-written model, its batches from torch's DataLoader                  at most 0.5
    moons          a flow, against the same compiled model, its batches from torch's DataLoader       at most 0.5
    moons_64       the same in batches of 64 rows rather than 256
    rbm_compiled   against the same compiled model, as for moons

`--cpu-time` counts the seconds of the processor, for a machine that has other things to do.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from chosen import only
from step_time import HandRbm, HandVae, same_start
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, train_spec
from dgmppl.pipeline import Checked
from dgmppl.train.history import Epoch
from dgmppl.train.runs import load_data

SPECS = Path(__file__).resolve().parent.parent / "specs"
WARMUP = 3

FLOW_ON_MOONS = """\
model moons

observed x : real[2] from moons.point
latent   u : real[2]
flow f = 4 * (coupling[scale = mlp[32, out = tanh], shift = mlp[32]] >> reverse)

p(u) = Normal(0, 1)
x    = f(u)

train { batch = 256, optimizer = adamax(1e-3) }
"""

EpochOf = Callable[[], object]
Loss = Callable[[Tensor], Tensor]


def hand_loop(model: nn.Module, train: Tensor, validation: Tensor, batch: int, lr: float) -> EpochOf:
    """The loop over tensors in memory that one writes for one model."""
    optimizer = torch.optim.Adamax(model.parameters(), lr=lr)
    kept = _Best(model)

    def epoch() -> float:
        total = 0.0
        model.train()
        for index in torch.randperm(len(train)).split(batch):
            loss = model(train[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
        model.eval()
        with torch.no_grad():
            kept.offer(-model(validation).item())
        return total / len(train)

    return epoch


def loader_loop(
    model: nn.Module, loss_of: Loss, figure_of: Loss, train: Tensor, validation: Tensor, batch: int, lr: float
) -> EpochOf:
    """The loop of torch's tutorials: a DataLoader for each split, in this process, the fastest way for small rows."""
    optimizer = torch.optim.Adamax(model.parameters(), lr=lr)
    batches = DataLoader(TensorDataset(train), batch_size=batch, shuffle=True)
    rows = DataLoader(TensorDataset(validation), batch_size=batch)
    kept = _Best(model)

    def epoch() -> float:
        total = 0.0
        model.train()
        for (x,) in batches:
            loss = loss_of(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        model.eval()
        with torch.no_grad():
            figures = [figure_of(x) for (x,) in rows]
        kept.offer(torch.cat(figures).mean().item())
        return total / len(train)

    return epoch


class _Best:
    """The weights with the best figure so far."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.value = model, -math.inf

    def offer(self, value: float) -> None:
        if value > self.value:
            self.value = value
            self.weights = {name: weight.clone() for name, weight in self.model.state_dict().items()}


class _Turns:
    """Called after each epoch of dgmppl: notes what it took, and lets the other loop run one."""

    def __init__(self, other: EpochOf, clock: Callable[[], float]) -> None:
        self.other, self.clock = other, clock
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.left = math.nan

    def __call__(self, epoch: Epoch) -> None:
        entered = self.clock()
        self.ours.append(entered - self.left)
        self.other()
        self.left = self.clock()
        self.theirs.append(self.left - entered)


def measure(name: str, threads: int, turns: int, clock: Callable[[], float]) -> dict[str, object]:
    """Milliseconds an epoch of each side, and their ratio."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    spec, more = CONTESTS[name]
    overrides = tuple(f"train.{setting}={turns + WARMUP}" for setting in ("epochs", "patience"))
    checked = pipeline.read(spec, (*overrides, *more))
    taken = _Turns(_other(name, checked), clock)
    with tempfile.TemporaryDirectory() as folder:
        train_spec(checked, Path(folder) / "run", ComputeOptions("cpu"), RunCallbacks(on_epoch=taken))
    ours = median(taken.ours[WARMUP:])
    theirs = median(taken.theirs[WARMUP:])
    return {
        "model": name,
        "threads": threads,
        "dgmppl_ms": round(1000 * ours, 2),
        "plain_ms": round(1000 * theirs, 2),
        "ratio": round(ours / theirs, 3),
        "target": TARGETS.get(name),
    }


def _other(name: str, checked: Checked) -> EpochOf:
    assert checked.plan is not None
    settings = checked.plan.settings
    splits = load_data(checked, Path())
    train, validation = (torch.from_numpy(t.read(0, t.rows)["x"]) for t in (splits.train, splits.validation))
    model = pipeline.build(checked)
    if name == "vae":
        hand = HandVae()
        same_start(model, hand, train[: settings.batch])
        return hand_loop(hand, train, validation, settings.batch, settings.optimizer.lr)
    data = (train, validation, settings.batch, settings.optimizer.lr)
    if name == "rbm":
        rbm = HandRbm()
        same_start(model, rbm, train[: settings.batch])
        return loader_loop(rbm, rbm, rbm.pseudo_likelihood, *data)
    return loader_loop(model, model.loss, lambda x: model.figures(x)[str(model.criterion)], *data)


CONTESTS: dict[str, tuple[str | Path, tuple[str, ...]]] = {
    "vae": (SPECS / "latent/vae.dgm", ()),
    "rbm": (SPECS / "energy/rbm.dgm", ()),
    "moons": (FLOW_ON_MOONS, ()),
    "moons_64": (FLOW_ON_MOONS, ("train.batch=64",)),
    "rbm_compiled": (SPECS / "energy/rbm.dgm", ()),
}
TARGETS = {"vae": 1.05, "moons": 0.5, "rbm": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=only(CONTESTS), default=list(CONTESTS), help="names of models, separated by commas"
    )
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, default=60, help="epochs of each side that are timed")
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    for threads in (int(t) for t in arguments.threads.split(",")):
        for name in arguments.only:
            print(json.dumps(measure(name, threads, arguments.turns, clock)), flush=True)


if __name__ == "__main__":
    main()
