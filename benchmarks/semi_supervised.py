"""What rows without a class are worth: classifiers of digits from 100 classes, with the other 900 images and without.

    python benchmarks/semi_supervised.py                        five seeds, half an hour on one core
    python benchmarks/semi_supervised.py --seeds 0 --out runs/semi_supervised

`specs/semi_supervised/m2.dgm` and `m1_m2.dgm` are fitted with several seeds, and beside each the network by which it
tells the class of an image, to the 100 rows that have one: of the same sizes, by the same optimiser with the same
patience. All choose their epoch by the error on the validation rows, 1000 to 1349 of the digits; the test rows, 1350 to
1796, are measured once. A JSON line for each seed has the test errors in percent, the last one their means. Where
q(y | z) reads a draw of z, the error is averaged over ten draws, and `at the mean` is that of the network which reads
the mean of z. A run that is there in `--out` is not fitted again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.report.evaluate import evaluate
from dgmppl.train.runs import load_run, run_data

SPECS = Path(__file__).resolve().parent.parent / "specs" / "semi_supervised"
DRAWS = 10

# The network by which each spec tells the class.
CLASSIFIERS = {
    "m2": "p(y | x) = Categorical(mlp[256](x))",
    "m1_m2": "let z : real[32] = mlp[256](x)\np(y | z) = Categorical(mlp[128](z))",
}


def alone(name: str) -> str:
    """A spec of the classifier of `name` by itself, fitted as that is: rows without a class teach it nothing."""
    plan = pipeline.read(SPECS / f"{name}.dgm").plan
    assert plan is not None
    fit = plan.settings
    return f"""
        model {name}_alone
        observed x : binary[64] from threshold(digits.image, 8)
        partial  y : categorical(10) from labelled(digits.label, 100)
        {CLASSIFIERS[name]}
        train {{
            epochs = {fit.epochs},
            patience = {fit.patience},
            batch = {fit.batch},
            optimizer = {fit.optimizer.name}({fit.optimizer.lr:g}),
            best = error(y)
        }}
    """


def measure(spec: str | Path, path: Path, seed: int) -> dict[str, float]:
    """Fits a spec with a seed, unless its run is there; its errors on the test rows, percent."""
    if not path.exists():
        train_spec(pipeline.read(spec, (f"train.seed={seed}",)), path, ComputeOptions("cpu"))
    error = evaluate(path, samples=DRAWS)["test"]["error"].estimate.mean
    model, run = load_run(path)
    test = run_data(run).test
    rows = test.read(0, len(test))
    x, y = torch.from_numpy(rows["x"]), torch.from_numpy(rows["y"])
    with torch.no_grad():
        at_mean = model.infer(x, torch.full_like(y, torch.nan), mean=True)["y"] != y
    return {"error": round(100 * error, 2), "at the mean": round(100 * float(at_mean.float().mean()), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--out", type=Path, help="folder that keeps the runs (default: none are kept)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in map(int, arguments.seeds.split(",")):
            line: dict[str, dict[str, float]] = {}
            for name in CLASSIFIERS:
                line[f"{name} alone"] = measure(alone(name), folder / f"{name}_alone_{seed}", seed)
                line[name] = measure(SPECS / f"{name}.dgm", folder / f"{name}_{seed}", seed)
            print(json.dumps({"seed": seed, **line}), flush=True)
            found.append(line)
    means = {
        name: {figure: round(float(np.mean([one[name][figure] for one in found])), 2) for figure in found[0][name]}
        for name in found[0]
    }
    print(json.dumps({"mean of seeds": len(found), **means}))


if __name__ == "__main__":
    main()
