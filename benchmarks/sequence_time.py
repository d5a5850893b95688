"""Seconds of a training step of models along an index of T members, as ratios to hand-written ones.

    python benchmarks/sequence_time.py

Both sides run in one process, in turns, from the same weights, with the same optimiser and batch; a ratio is that of
the medians. The hand-written side goes along the index in a loop where it has to, and computes all else at once, as one
would write it for this model. Before it is timed, its loss is checked against the compiled one's. A hidden Markov model
has Pyro's as another peer. Then the time of `check` by T.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from hand_written import HandDeepMarkov, HandHmm, HandKalman, PyroHmm
from step_time import same_start
from torch import Tensor, nn

from dgmppl import pipeline

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
""",
}
HAND: dict[str, tuple[type[nn.Module], ...]] = {
    "deep_markov": (HandDeepMarkov,),
    "hmm": (HandHmm, PyroHmm),
    "kalman": (HandKalman,),
}


def measure(name: str, length: int, steps: int, clock: Callable[[], float]) -> dict[str, object]:
    before = time.perf_counter()
    checked = pipeline.check(pipeline.Source(f"{name}.dgm", SPECS[name].format(length=length)))
    seconds_to_check = time.perf_counter() - before
    model, peers = pipeline.build(checked), [made() for made in HAND[name]]
    x = torch.randn(64, length, 4)
    for peer in peers:
        same_start(model, peer, x)
    sides: dict[str, tuple[Callable[[Tensor], Tensor], torch.optim.Optimizer, list[float]]] = {
        side: (loss, torch.optim.Adamax(module.parameters(), 1e-3), [])
        for side, loss, module in (("compiled", model.loss, model), *((type(p).__name__, p, p) for p in peers))
    }
    for _ in range(steps + 3):
        for loss, optimizer, times in sides.values():
            start = clock()
            optimizer.zero_grad()
            loss(x).backward()
            optimizer.step()
            times.append(clock() - start)
    compiled, *others = (median(times[3:]) for _, _, times in sides.values())
    return {
        "spec": name,
        "T": length,
        "compiled_ms": round(1000 * compiled, 2),
        **{f"{type(p).__name__}_ms": round(1000 * o, 2) for p, o in zip(peers, others)},
        **{f"ratio_to_{type(p).__name__}": round(compiled / o, 3) for p, o in zip(peers, others)},
        "check_s": round(seconds_to_check, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", default=",".join(SPECS))
    parser.add_argument("--lengths", default="10,100,1000")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    for name in arguments.specs.split(","):
        for length in map(int, arguments.lengths.split(",")):
            print(json.dumps(measure(name, length, arguments.steps, clock)), flush=True)


if __name__ == "__main__":
    main()
