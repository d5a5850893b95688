"""A hybrid of a classifier and a density (Nalisnick et al., 2019) on the digits: what the density's weight changes.

    python benchmarks/hybrid.py                                  five weights, a fit each: some minutes on one core
    python benchmarks/hybrid.py --out runs/hybrid --picture a.png

`specs/hybrid/diglm.dgm` is fitted with each weight of log p(x); the test digits are then compared with rows that are
none: the same with their grey levels inverted, with the pixels of each shuffled, and the letters A to J drawn as they
are. A JSON line for each weight has the error and -log p(y | x) of the digits, the entropy of p(y | x) and the mean of
log p(x) of each set, and the area under the ROC curve by which log p(x) tells the digits from it. The picture has
log p(x) of the digits and the letters, with the first weight and the second. A run that is there in `--out` is not
fitted again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.report.evaluate import evaluate
from dgmppl.train.device import seeded
from dgmppl.train.runs import load_run

SPEC = Path(__file__).resolve().parent.parent / "specs" / "hybrid" / "diglm.dgm"
WEIGHTS = (0.0, 0.01, 0.001, 0.1, 1.0)
DRAWS = 10
LETTERS = "ABCDEFGHIJ"


def letters(count: int, seed: int = 0) -> np.ndarray:
    """Letters as the digits are: 8 rows high, turned a little, grey levels from 0 to 16."""
    order = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        canvas = Image.new("L", (64, 64), 0)
        font = ImageFont.load_default(size=int(order.integers(52, 64)))
        draw = ImageDraw.Draw(canvas)
        left, top, right, bottom = draw.textbbox((0, 0), LETTERS[k % 10], font=font)
        place = 32 - (left + right) / 2 + order.uniform(-3, 3), 32 - (top + bottom) / 2 + order.uniform(-2, 2)
        draw.text(place, LETTERS[k % 10], fill=255, font=font)
        turned = canvas.rotate(order.uniform(-12, 12))
        ink = turned.crop(turned.getbbox())
        width = max(1, min(8, round(8 * ink.width / ink.height)))
        small, begin = np.zeros((8, 8)), (8 - width) // 2
        small[:, begin : begin + width] = np.asarray(ink.resize((width, 8), Image.Resampling.BOX), float)
        rows.append(np.rint(small / small.max() * 16).ravel())
    return np.array(rows, np.float32)


def sets() -> dict[str, dict[str, np.ndarray]]:
    """The test digits with their classes, and what are none."""
    digits = load_digits()
    x, y = digits.data[1350:].astype(np.float32), digits.target[1350:].astype(np.float32)
    order = np.random.default_rng(0)
    shuffled = np.stack([row[order.permutation(64)] for row in x])
    return {
        "digits": {"x": x, "y": y},
        "inverted": {"x": 16 - x},
        "shuffled": {"x": shuffled},
        "letters": {"x": letters(len(x))},
    }


def measure(weight: float, path: Path, given: dict[str, dict[str, np.ndarray]]) -> dict[str, object]:
    """Fits the spec with one weight, unless its run is there, and measures it."""
    if not path.exists():
        train_spec(pipeline.read(SPEC, (f"lambda={weight:g}",)), path, ComputeOptions("cpu"))
    found = evaluate(path, samples=DRAWS, data=list(given.values()))
    line: dict[str, object] = {"lambda": weight}
    for name, figures in zip(given, found.values(), strict=True):
        if name == "digits":
            line["error"] = round(100 * figures["error"].estimate.mean, 2)
            line["nll"] = round(-figures["log p(y | x)"].estimate.mean, 3)
        one: dict[str, float] = {"log p(x)": round(figures["log p(x)"].estimate.mean, 1)}
        one["entropy"] = round(_entropy(path, given[name]["x"]), 4)
        if "auroc" in figures:
            one["auroc"] = round(figures["auroc"].estimate.mean, 4)
        line[name] = one
    return line


def _entropy(path: Path, x: np.ndarray) -> float:
    """The mean entropy of p(y | x), nats."""
    model, _ = load_run(path)
    rows = torch.from_numpy(x)
    with torch.no_grad(), seeded(0, torch.device("cpu")):
        features = model.infer(rows, torch.zeros(len(rows)))["u"]
        density = model.p_y(features)
    return float(density.entropy().mean())


def draw(paths: list[tuple[float, Path]], given: dict[str, dict[str, np.ndarray]], out: Path) -> None:
    """Histograms of log p(x), a panel for each weight."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(paths), figsize=(4.5 * len(paths), 2.6), constrained_layout=True)
    for panel, (weight, path) in zip(panels, paths, strict=True):
        model, _ = load_run(path)
        scores = {}
        for name in ("digits", "letters"):
            rows = torch.from_numpy(given[name]["x"])
            with torch.no_grad(), seeded(0, torch.device("cpu")):
                scores[name] = model.figures(rows, torch.zeros(len(rows)))["log p(x)"].numpy()
        both = np.concatenate(list(scores.values()))
        bins = np.linspace(np.quantile(both, 0.05), both.max(), 40)
        for name, values in scores.items():
            panel.hist(values.clip(bins[0]), bins, alpha=0.6, label=name)
        panel.set_title(f"λ = {weight:g}")
        panel.set_xlabel("log p(x), nats")
        panel.locator_params(axis="x", nbins=5)
        panel.legend(frameon=False)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder that keeps the runs (default: none are kept)")
    parser.add_argument("--picture", type=Path, help="a picture of log p(x)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given = sets()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [(weight, folder / f"diglm_{weight:g}") for weight in WEIGHTS]
        for weight, path in paths:
            print(json.dumps(measure(weight, path, given)), flush=True)
        if arguments.picture:
            draw(paths[:2], given, arguments.picture)


if __name__ == "__main__":
    main()
