"""Seconds to draw 64 images of 28 x 28 pixels, as a ratio to a pass of the networks for each pixel.

    python benchmarks/sample_time.py

A sampler that recomputes the past takes one pass of the networks over the whole image for each of its 784 pixels. That
is timed for a few pixels and multiplied, since all of them would take minutes; a draw is timed as a whole. Both sides
run in one process on one thread. `--only pixelcnn` measures a part.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median

import torch
from chosen import only

from dgmppl import pipeline
from dgmppl.runtime import GenerativeModel

SAMPLES, SIDE, PIXELS = 64, 28, 3
TARGET = 10.0
SEQUENCE = 'observed x : integer(0..16)[784] from "images.npz".x\np(x[d] | x[<d]) = Categorical({}(x[<d]))'
GRID = 'observed x : integer(0..16)[28, 28] from "images.npz".x\np(x[i, j] | x[<i, <j]) = Categorical({}(x[<i, <j]))'
MODELS = {
    "causal_cnn": SEQUENCE.format("causal[64, 64, 64, kernel = 7]"),
    "rnn": SEQUENCE.format("gru[128]"),
    "transformer": SEQUENCE.format("transformer[64, 64, 64]"),
    "pixelcnn": GRID.format("pixelcnn[64, 64, 64, 64]"),
    "gated_pixelcnn": GRID.format("gated_pixelcnn[64, 64, 64]"),
}


def recomputed(model: GenerativeModel) -> float:
    """Seconds that one pixel takes where the past is computed anew, times the number of pixels."""
    law = model.p_x()
    x = torch.zeros(SAMPLES, *law.event_shape)
    seconds = []
    with torch.no_grad():
        for _ in range(PIXELS + 1):
            start = time.perf_counter()
            law.step(x).sample()
            seconds.append(time.perf_counter() - start)
    return median(seconds[1:]) * SIDE**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=only(MODELS), default=list(MODELS), help="names of models, separated by commas")
    chosen = parser.parse_args().only
    torch.set_num_threads(1)
    worst = float("inf")
    for name, text in MODELS.items():
        if name not in chosen:
            continue
        model = pipeline.build(pipeline.read(f"model drawn\n{text}\n")).eval()
        start = time.perf_counter()
        model.sample(SAMPLES)
        drawn = time.perf_counter() - start
        again = recomputed(model)
        worst = min(worst, again / drawn)
        figures = {"seconds": round(drawn, 2), "recomputed_seconds": round(again, 1), "ratio": round(again / drawn, 1)}
        print(json.dumps({"model": name, **figures}), flush=True)
    print(json.dumps({"worst_ratio": round(worst, 1), "target": TARGET, "reached": worst >= TARGET}))


if __name__ == "__main__":
    main()
