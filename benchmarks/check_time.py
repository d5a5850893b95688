"""Seconds of `dgmppl check` on a valid spec, whole process, as a ratio to those of `import torch` alone.

    python benchmarks/check_time.py

Both are started in turns, and a ratio is that of the medians. That the check leaves torch out is verified first.
`ddpm` is checked with a chain of 1,000 steps. `causes` has 200 latents of a mean and a posterior each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from chosen import only

SPECS = Path(__file__).resolve().parent.parent / "specs"
TARGET = 0.35
# Of large specs the target is a time.
SECONDS = {"ddpm": 1.0, "causes": 2.0}
OPTIONS = {"ddpm": ["--set", "T=1000"]}

CHECK = "import sys; from dgmppl.cli import main; code = main(['check', {spec!r}, *{options!r}])"
VERIFY = CHECK + "; sys.exit(code or ('torch was imported' if 'torch' in sys.modules else 0))"
TORCH = "import torch"


def seconds(code: str) -> float:
    """Of one fresh interpreter that runs this."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def causes(count: int) -> str:
    """A spec of independent latents, each with a name of its own."""
    names = [f"z{i}" for i in range(count)]
    return "\n".join(
        [
            "model causes",
            'observed x : real[8] from "rows.npz".x',
            *(f"latent {name} : real\np({name}) = Normal(0, 1)" for name in names),
            f"p(x | {', '.join(names)}) = Normal(mlp[32]({', '.join(names)}))",
        ]
    )


def measure(spec: Path, options: list[str], runs: int) -> dict[str, object]:
    named = {"spec": str(spec), "options": options}
    subprocess.run([sys.executable, "-c", VERIFY.format(**named)], check=True, stdout=subprocess.DEVNULL)
    check = CHECK.format(**named)
    seconds(TORCH)  # the first start reads its files from the disk
    found: dict[str, list[float]] = {check: [], TORCH: []}
    for _ in range(runs):
        for code, values in found.items():
            values.append(seconds(code))
    ours, theirs = median(found[check]), median(found[TORCH])
    target = SECONDS[spec.stem] / theirs if spec.stem in SECONDS else TARGET
    return {
        "spec": spec.stem,
        "check_seconds": round(ours, 3),
        "torch_seconds": round(theirs, 3),
        "ratio": round(ours / theirs, 3),
        "target": round(target, 3),
        "reached": ours / theirs < target,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    paths = {path.stem: path for path in SPECS.glob("*/*.dgm")}
    parser.add_argument(
        "--only",
        type=only([*paths, "causes"]),
        default="vae,deep_vae,rbm,ddpm,causes",
        help="names of specs, separated by commas",
    )
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths["causes"] = Path(folder) / "causes.dgm"
        paths["causes"].write_text(causes(200))
        for name in arguments.only:
            print(json.dumps(measure(paths[name], OPTIONS.get(name, []), arguments.runs)), flush=True)


if __name__ == "__main__":
    main()
