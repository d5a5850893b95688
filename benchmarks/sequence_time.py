"""Seconds of a training step of a deep Markov model along an index of T members, as a ratio to a hand-written one's.

    python benchmarks/sequence_time.py

Both sides run in one process, in turns, from the same weights, with the same optimiser and batch; a ratio is that of
the medians. The hand-written side draws the states in a loop and computes all else at once, as one would write it for
this model. Before it is timed, its loss is checked against the compiled one's. Then the time of `check` by T.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from hand_written import HandDeepMarkov
from step_time import same_start
from torch import Tensor

from dgmppl import pipeline

SPEC = """model deep_markov
const T = {length}
observed x[t in 1..T] : real[4] from "walks.npz".xy
latent   z[t in 1..T] : real[8]
let r[t in 1..T] : real[32] = gru[32](x)[t]
p(z[1])             = Normal(0, 1)
p(z[t] | z[t-1])    = Normal(mlp[32](z[t-1]))
p(x[t] | z[t])      = Normal(mlp[32](z[t]))
q(z[1] | x)         = Normal(linear(r[1]))
q(z[t] | z[t-1], x) = Normal(mlp[32](z[t-1], r[t]))
"""


def measure(length: int, steps: int, clock: Callable[[], float]) -> dict[str, object]:
    before = time.perf_counter()
    checked = pipeline.check(pipeline.Source("deep_markov.dgm", SPEC.format(length=length)))
    seconds_to_check = time.perf_counter() - before
    model, hand = pipeline.build(checked), HandDeepMarkov()
    x = torch.randn(64, length, 4)
    same_start(model, hand, x)
    sides: dict[str, tuple[Callable[[Tensor], Tensor], torch.optim.Optimizer, list[float]]] = {
        name: (loss, torch.optim.Adamax(module.parameters(), 1e-3), [])
        for name, loss, module in (("compiled", model.loss, model), ("hand", hand, hand))
    }
    for _ in range(steps + 3):
        for loss, optimizer, times in sides.values():
            start = clock()
            optimizer.zero_grad()
            loss(x).backward()
            optimizer.step()
            times.append(clock() - start)
    compiled, by_hand = (median(times[3:]) for _, _, times in sides.values())
    return {
        "T": length,
        "compiled_ms": round(1000 * compiled, 2),
        "hand_ms": round(1000 * by_hand, 2),
        "ratio": round(compiled / by_hand, 3),
        "check_s": round(seconds_to_check, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="10,100,1000")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    for length in map(int, arguments.lengths.split(",")):
        print(json.dumps(measure(length, arguments.steps, clock)), flush=True)


if __name__ == "__main__":
    main()
