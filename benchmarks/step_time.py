"""Seconds a training step of compiled specs takes, as a ratio to a hand-written torch loop of the same model.

    python benchmarks/step_time.py

Both sides run in one process, in turns (A B A B ...), from the same weights, with the same optimiser and batch size; a
ratio is that of the medians over the turns. The hand-written side is what one would write for this one model and no
other: plain tensors, no distribution objects. Before it is timed, its loss is checked against the compiled one's. The
compiled side is the training loop itself.
For the VAE, Pyro's own SVI of the emitted Pyro model takes its turn as well, for flows zuko, and for couplings of
splines normflows, where it is installed.
`--cpu-time` counts the seconds of the processor, for a machine that has other things to do.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

import pyro
import torch
from chosen import only
from hand_written import (
    HandConvVae,
    HandGlow,
    HandMaf,
    HandPixelCnn,
    HandRbm,
    HandRealNvp,
    HandSplineCoupling,
    HandTransformer,
    HandVae,
    normflows_flow,
    zuko_flow,
)
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dgmppl import pipeline
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import MemoryExamples, batches_of, with_next
from dgmppl.train.device import open_device
from dgmppl.train.runs import load_data
from dgmppl.train.trainer import Trainer

SPECS = Path(__file__).resolve().parent.parent / "specs"
BATCH = 64
TARGET = 1.05


CONTESTS: dict[str, type[nn.Module]] = {
    "autoregressive/pixelcnn": HandPixelCnn,
    "autoregressive/transformer": HandTransformer,
    "flow/glow": HandGlow,
    "flow/spline_coupling": HandSplineCoupling,
    "latent/vae": HandVae,
    "latent/conv_vae": HandConvVae,
    "flow/maf": HandMaf,
    "flow/realnvp": HandRealNvp,
    "energy/rbm": HandRbm,
}


def same_start(model: GenerativeModel, hand: nn.Module, batch: Tensor) -> None:
    """Gives the hand-written model the compiled one's weights, and verifies that both have the same loss."""
    with torch.no_grad():
        model.loss(batch)  # what starts from data does so now
        for theirs, ours in zip(
            [*model.parameters(), *model.buffers()], [*hand.parameters(), *hand.buffers()], strict=True
        ):
            ours.copy_(theirs)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        losses = []
        # The same noise gives the same draws only where both make them in the same way.
        with patch("torch.bernoulli", lambda p: (torch.rand_like(p) < p).to(p.dtype)):
            for loss in (model.loss, hand):
                torch.manual_seed(0)
                losses.append(float(loss(batch)))
        model.load_state_dict(state)
        for theirs, ours in zip(model.buffers(), hand.buffers(), strict=True):
            ours.copy_(theirs)
    if not math.isclose(*losses, rel_tol=1e-4):
        raise SystemExit(f"{type(model).__name__}: the compiled loss is {losses[0]}, the hand-written {losses[1]}")


def compiled_epoch(checked: Checked, model: GenerativeModel, x: Tensor) -> Callable[[], object]:
    """An epoch of the training loop, without validation: what `dgmppl train` does."""
    assert checked.plan is not None
    rows = MemoryExamples([x])
    trainer = Trainer(model, rows, rows, checked.plan.settings, open_device("cpu"))
    model.check_rows = False  # as in a fit, which the steps are taken out of
    model.observer = trainer._observe

    def epoch() -> None:
        trainer.totals = trainer._no_totals()
        for group in with_next(batches_of(rows, trainer.order, BATCH), trainer._lookahead()):
            trainer._step(group, False, False)
        trainer.totals.means()

    return epoch


def hand_epoch(checked: Checked, model: nn.Module, x: Tensor) -> Callable[[], object]:
    """The loop that everybody writes, with the mean loss of the epoch."""
    assert checked.plan is not None
    settings = checked.plan.settings
    kind = {"adam": torch.optim.Adam, "adamax": torch.optim.Adamax}[settings.optimizer.name]
    optimizer = kind(model.parameters(), lr=settings.optimizer.lr)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema)) if settings.ema else None

    def epoch() -> float:
        total = 0.0
        for index in torch.randperm(len(x)).split(BATCH):
            loss = model(x[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if average is not None:
                average.update_parameters(model)
            total += loss.item() * len(index)
        return total / len(x)

    return epoch


def pyro_epoch(checked: Checked, x: Tensor) -> Callable[[], object]:
    """The same loop with Pyro's SVI of the emitted Pyro model; its mean-field ELBO has the KL in closed form too."""
    assert checked.plan is not None
    model = pipeline.build(checked, "pyro")
    optimizer = pyro.optim.PyroOptim(torch.optim.Adamax, {"lr": checked.plan.settings.optimizer.lr})
    svi = SVI(model.model, model.guide, optimizer, TraceMeanField_ELBO())

    def epoch() -> float:
        return sum(svi.step(x[index]) for index in torch.randperm(len(x)).split(BATCH)) / len(x)

    return epoch


def in_turns(epochs: dict[str, Callable[[], object]], blocks: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each, run one after the other, again and again; the first three rounds warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for block in range(blocks + 3):
        # Who goes first changes from round to round, so that neither always follows the other's heat.
        for name in sorted(epochs, reverse=block % 2 == 1):
            start = clock()
            epochs[name]()
            if block >= 3:
                seconds[name].append(clock() - start)
    return {name: median(values) for name, values in seconds.items()}


def measure(
    spec: str, hand: type[nn.Module], threads: int, blocks: int, clock: Callable[[], float]
) -> dict[str, object]:
    """Milliseconds a step of each side, and their ratio to the hand-written one."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    checked = pipeline.read(SPECS / f"{spec}.dgm")
    model = pipeline.build(checked)
    x = torch.from_numpy(load_data(checked, Path()).train.read(0, 1000)["x"])
    other = hand()
    same_start(model, other, x[:BATCH])
    epochs = {"compiled": compiled_epoch(checked, model, x), "hand": hand_epoch(checked, other, x)}
    if spec == "latent/vae":
        epochs["pyro"] = pyro_epoch(checked, x)
    if spec in ("flow/maf", "flow/spline_coupling"):
        epochs["zuko"] = hand_epoch(checked, zuko_flow(spec), x)
    if spec == "flow/spline_coupling" and importlib.util.find_spec("normflows"):
        epochs["normflows"] = hand_epoch(checked, normflows_flow(), x)
    seconds = in_turns(epochs, blocks, clock)
    steps = math.ceil(len(x) / BATCH)
    return {
        "spec": spec,
        "threads": threads,
        **{f"{name}_ms": round(1000 * value / steps, 3) for name, value in seconds.items()},
        **{f"{name}_ratio": round(value / seconds["hand"], 3) for name, value in seconds.items() if name != "hand"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [Path(spec).name for spec in CONTESTS]
    parser.add_argument("--only", type=only(names), default=names, help="names of specs, separated by commas")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--blocks", type=int, default=60, help="epochs of each side that are timed")
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    worst = 0.0
    for threads in (int(t) for t in arguments.threads.split(",")):
        for spec, hand in CONTESTS.items():
            if Path(spec).name in arguments.only:
                found = measure(spec, hand, threads, arguments.blocks, clock)
                print(json.dumps(found), flush=True)
                worst = max(worst, float(str(found["compiled_ratio"])))
    print(json.dumps({"worst_ratio": worst, "target": TARGET, "reached": worst <= TARGET}))


if __name__ == "__main__":
    main()
