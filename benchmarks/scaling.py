"""Seconds an epoch takes with two processes (gloo, on the CPU), as a ratio to one process with the same global batch.

    python benchmarks/scaling.py

Both fit the same model to the same data, with one thread a process: the ratio would be 0.5 if nothing but the model's
arithmetic took time. Each is a run of `dgmppl train`, in turns; an epoch's seconds are those in its metrics.jsonl, the
medians over all epochs but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from chosen import only

SPECS = Path(__file__).resolve().parent.parent / "specs"

MODELS = {"vae": ("latent/vae.dgm", (64, 512)), "realnvp": ("flow/realnvp.dgm", (64, 512))}


def train(spec: Path, batch: int, epochs: int, processes: int, out: Path) -> list[dict[str, object]]:
    """The epochs of a run, as its metrics.jsonl has them."""
    command = [sys.executable, "-m", "dgmppl.cli", "train", str(spec), "--out", str(out), "--device", "cpu"]
    command += ["--devices", str(processes)]
    for setting in (f"batch={batch}", f"epochs={epochs}", f"patience={epochs}"):
        command += ["--set", f"train.{setting}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def measure(name: str, batch: int, epochs: int, turns: int) -> dict[str, object]:
    """Milliseconds an epoch with one process and with two."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            for processes in (1, 2):
                out = Path(folder) / f"{turn}_{processes}"
                found = train(SPECS / MODELS[name][0], batch, epochs, processes, out)
                seconds[processes] += [float(str(epoch["seconds"])) for epoch in found[1:]]
    one, two = median(seconds[1]), median(seconds[2])
    return {
        "model": name,
        "batch": batch,
        "one_ms": round(1000 * one, 1),
        "two_ms": round(1000 * two, 1),
        "ratio": round(two / one, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=only(MODELS), default=list(MODELS), help="names of models, separated by commas")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.only:
        for batch in MODELS[name][1]:
            print(json.dumps(measure(name, batch, arguments.epochs, arguments.turns)), flush=True)


if __name__ == "__main__":
    main()
