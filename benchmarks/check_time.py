"""Seconds of `dgmppl check` on a valid spec, whole process, as a ratio to those of `import torch` alone.

    python benchmarks/check_time.py

Both are started in turns, and a ratio is that of the medians. That the check leaves torch out is verified first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from chosen import only

SPECS = Path(__file__).resolve().parent.parent / "specs"
TARGET = 0.35

CHECK = "import sys; from dgmppl.cli import main; code = main(['check', {spec!r}])"
VERIFY = CHECK + "; sys.exit(code or ('torch was imported' if 'torch' in sys.modules else 0))"
TORCH = "import torch"


def seconds(code: str) -> float:
    """Of one fresh interpreter that runs this."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(spec: Path, runs: int) -> dict[str, object]:
    subprocess.run([sys.executable, "-c", VERIFY.format(spec=str(spec))], check=True, stdout=subprocess.DEVNULL)
    check = CHECK.format(spec=str(spec))
    seconds(TORCH)  # the first start reads its files from the disk
    found: dict[str, list[float]] = {check: [], TORCH: []}
    for _ in range(runs):
        for code, values in found.items():
            values.append(seconds(code))
    ours, theirs = median(found[check]), median(found[TORCH])
    return {
        "spec": spec.stem,
        "check_seconds": round(ours, 3),
        "torch_seconds": round(theirs, 3),
        "ratio": round(ours / theirs, 3),
        "target": TARGET,
        "reached": ours / theirs < TARGET,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    paths = {path.stem: path for path in SPECS.glob("*/*.dgm")}
    parser.add_argument(
        "--only", type=only(paths), default="vae,deep_vae,rbm", help="names of specs, separated by commas"
    )
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    for name in arguments.only:
        print(json.dumps(measure(paths[name], arguments.runs)), flush=True)


if __name__ == "__main__":
    main()
