"""Seconds of a training step of models along an index of T members, as ratios to hand-written ones.

    python benchmarks/sequence_time.py

All sides run in one process, in turns, from the same weights and on the same batch; a ratio is that of the medians. The
hand-written side has the same optimiser, goes along the index in a loop where it has to, and computes all else at once,
as one would write it for this model. Pyro and, where it is installed (`pip install numpyro`), NumPyro are peers of two
of the models; a step of NumPyro's is a program of XLA, on one thread as well, with Adam. Before a side is timed, its
loss is checked against the compiled one's. The data are standard normal: nothing is
counted in their units. Then chains of the library from the data to noise, of which a step draws one member: those of
each T in turns, as ratios to the shortest. Each line has the time of `check` too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from chosen import only
from hand_written_sequences import HandDeepMarkov, HandHmm, HandKalman
from sequence_peers import NumPyroDeepMarkov, NumPyroHmm, PyroDeepMarkov, PyroHmm
from step_time import same_start
from torch import Tensor, nn

from dgmppl import pipeline

SPECS_OF_DIFFUSION = Path(__file__).resolve().parent.parent / "specs" / "diffusion"
SPECS = {
    "deep_markov": """model deep_markov
const T = {length}
observed x[t in 1..T] : real[4] from "walks.npz".xy
latent   z[t in 1..T] : real[8]
let r[t in 1..T] : real[32] = gru[32](x)[t]
p(z[1])             = Normal(0, 1)
p(z[t] | z[t-1])    = Normal(mlp[32](z[t-1]))
p(x[t] | z[t])      = Normal(mlp[32](z[t]))
q(z[1] | x)         = Normal(linear(r[1]))
q(z[t] | z[t-1], x) = Normal(mlp[32](z[t-1], r[t]))
train {{ units = false }}
""",
    "hmm": """model hmm
const T = {length}
param A  : real[8, 8]
param mu : real[8, 4]
observed x[t in 1..T] : real[4] from "walks.npz".xy
latent   s[t in 1..T] : categorical(8)
p(s[1])          = Categorical(param)
p(s[t] | s[t-1]) = Categorical(A[s[t-1]])
p(x[t] | s[t])   = Normal(mu[s[t]], param)
train {{ units = false }}
""",
    "kalman": """model kalman
const T = {length}
param A : real[4, 4] = normal(0.3)
param C : real[4, 4]
observed x[t in 1..T] : real[4] from "walks.npz".xy
latent   z[t in 1..T] : real[4]
p(z[1])          = Normal(param, 1)
p(z[t] | z[t-1]) = Normal(A @ z[t-1], param)
p(x[t] | z[t])   = Normal(C @ z[t], param)
train {{ units = false }}
""",
}
HAND: dict[str, type[nn.Module]] = {"deep_markov": HandDeepMarkov, "hmm": HandHmm, "kalman": HandKalman}
PEERS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "deep_markov": {"pyro": PyroDeepMarkov, "numpyro": NumPyroDeepMarkov},
    "hmm": {"pyro": PyroHmm, "numpyro": NumPyroHmm},
    "kalman": {},
}

CHAINS = {name: SPECS_OF_DIFFUSION / f"{name}.dgm" for name in ("diffusion", "ddpm", "discrete_diffusion")}


def training_step(loss: Callable[[Tensor], Tensor], module: nn.Module) -> Callable[[Tensor], None]:
    optimizer = torch.optim.Adamax(module.parameters(), 1e-3)

    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()

    return step


@torch.no_grad()
def same_loss(name: str, side: str, hand: nn.Module, peer: Any, x: Tensor) -> None:
    """Verifies that a peer has the hand-written model's loss; where noise is in it, but for that."""
    draws = 5 if name == "deep_markov" else 1
    ours = float(sum(hand(x) for _ in range(draws)) / draws)
    theirs = float(sum(float(peer.loss(x)) for _ in range(draws)) / draws)
    if not math.isclose(ours, theirs, rel_tol=2e-2 if name == "deep_markov" else 1e-4):
        raise SystemExit(f"{name}: the hand-written loss is {ours}, that of {side} {theirs}")


def measure(name: str, length: int, steps: int, clock: Callable[[], float], libraries: list[str]) -> dict[str, object]:
    """Milliseconds of a step of each side, and the ratios of the compiled one's to the others'."""
    before = time.perf_counter()
    checked = pipeline.check(pipeline.Source(f"{name}.dgm", SPECS[name].format(length=length)))
    seconds_to_check = time.perf_counter() - before
    model, hand, x = pipeline.build(checked), HAND[name](), torch.randn(64, length, 4)
    same_start(model, hand, x)
    model.check_rows = False  # as in a fit
    sides = {"compiled": training_step(model.loss, model)}
    for side in (s for s in PEERS[name] if s in libraries):
        peer = PEERS[name][side](hand)
        same_loss(name, side, hand, peer, x)
        sides[side] = peer.step
    sides["hand"] = training_step(hand, hand)
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(steps + 3):
        for side, step in sides.items():
            start = clock()
            step(x)
            times[side].append(clock() - start)
    found = {side: median(each[3:]) for side, each in times.items()}
    return {
        "spec": name,
        "T": length,
        **{f"{side}_ms": round(1000 * each, 2) for side, each in found.items()},
        **{
            f"ratio_to_{side}": round(found["compiled"] / each, 3) for side, each in found.items() if side != "compiled"
        },
        "check_s": round(seconds_to_check, 3),
    }


def measure_chain(name: str, lengths: list[int], steps: int, clock: Callable[[], float]) -> list[dict[str, object]]:
    """Milliseconds of a step of one chain by its T, from the same weights, as ratios to those of the first T."""
    checks, sides, x = [], [], None
    for length in lengths:
        before = time.perf_counter()
        checked = pipeline.read(CHAINS[name], [f"T={length}"])
        checks.append(time.perf_counter() - before)
        torch.manual_seed(0)
        model = pipeline.build(checked)
        if x is None:
            x = model.sample(64)
        model.check_rows = False  # as in a fit
        sides.append(training_step(model.loss, model))
    times: list[list[float]] = [[] for _ in sides]
    pairs = list(zip(sides, times, strict=True))
    for round_ in range(5 * steps + 3):  # short steps, and a ratio near 1: forwards and backwards in turns
        for step, seconds in pairs[:: 1 if round_ % 2 else -1]:
            start = clock()
            step(x)
            seconds.append(clock() - start)
    found = [median(each[3:]) for each in times]
    return [
        {
            "spec": name,
            "T": length,
            "compiled_ms": round(1000 * each, 2),
            f"ratio_to_{lengths[0]}": round(each / found[0], 3),
            "check_s": round(check, 3),
        }
        for length, each, check in zip(lengths, found, checks, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=only({**SPECS, **CHAINS}), default=[*SPECS, *CHAINS], help="names of specs, separated by commas"
    )
    parser.add_argument("--lengths", default="10,100,1000")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    libraries = ["pyro"]
    if importlib.util.find_spec("numpyro"):
        libraries.append("numpyro")
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    else:
        print("numpyro is not installed: left out", file=sys.stderr)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    lengths = [int(length) for length in arguments.lengths.split(",")]
    for name in arguments.only:
        if name in CHAINS:
            for line in measure_chain(name, lengths, arguments.steps, clock):
                print(json.dumps(line), flush=True)
            continue
        for length in lengths:
            print(json.dumps(measure(name, length, arguments.steps, clock, libraries)), flush=True)


if __name__ == "__main__":
    main()
