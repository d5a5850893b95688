"""The figures of specs, most of them on the digits: each is fitted with several seeds and measured on the test rows.

    python benchmarks/figures.py                        everything, seeds 0, 1 and 2: hours on one core
    python benchmarks/figures.py --only vae,realnvp --seeds 0

Of the digits, rows 0 to 999 train, 1000 to 1349 choose the epoch, 1350 to 1796 are measured, once, with the weights of
that epoch; the other data sets have splits of their own.
A bound is averaged over ten draws of its noise at a fixed seed; an exact likelihood is computed once. Each run
prints a JSON line; a table follows on stderr. `--out` keeps the run folders, and a run that is there is measured
again, not fitted again.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from chosen import only
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.plan.figures import likelihood_of
from dgmppl.report.evaluate import evaluate
from dgmppl.train import runs
from dgmppl.train.device import seeded

SPECS = Path(__file__).resolve().parent.parent / "specs"
TRAIN, TEST = slice(0, 1000), slice(1350, None)
DRAWS = 10
SAMPLES = 2000

Measure = Callable[[Path], dict[str, float]]


def nats(path: Path) -> dict[str, float]:
    """Minus the test mean of the likelihood or of the bound on it, in nats a row."""
    plan = runs.load_run(path)[1].checked.plan
    likelihood = likelihood_of(plan) if plan is not None else None
    assert likelihood is not None, f"{path}: no likelihood"
    name = likelihood.name
    test = evaluate(path, samples=1 if name == "log_prob" else DRAWS)["test"][name].estimate
    return {"value": -test.mean, "standard_error": test.standard_error}


def log_likelihood(path: Path) -> dict[str, float]:
    """The test mean of the exact log-likelihood, in nats an image."""
    test = evaluate(path)["test"]["log_prob"].estimate
    return {"value": test.mean, "standard_error": test.standard_error}


def error(path: Path) -> dict[str, float]:
    """The share of test images whose class is not the most probable one, in percent."""
    test = evaluate(path)["test"]["error"].estimate
    return {"value": 100 * test.mean, "standard_error": 100 * test.standard_error}


def coverage(path: Path) -> dict[str, float]:
    """The smallest share of a class among samples, in percent, as a classifier of real digits finds them."""
    images, classifier, accuracy = _classifier()
    model, _ = runs.load_run(path)
    with seeded(0, torch.device("cpu")):
        drawn = model.sample(SAMPLES)
    assert isinstance(drawn, torch.Tensor)
    found = np.bincount(classifier.predict(_as_pixels(drawn)), minlength=10) / SAMPLES
    return {
        "value": 100 * float(found.min()),
        "largest share": 100 * float(found.max()),
        "classifier's test accuracy": 100 * accuracy,
        **_distances(images, _as_pixels(drawn)),
    }


def agreement(path: Path) -> dict[str, float]:
    """The share of samples, in percent, that a classifier of real digits puts in the class they were drawn for."""
    images, classifier, accuracy = _classifier()
    model, _ = runs.load_run(path)
    asked = torch.arange(SAMPLES) % 10
    with seeded(0, torch.device("cpu")):
        drawn = model.sample(SAMPLES, y=asked.float())
    assert isinstance(drawn, torch.Tensor)
    right = classifier.predict(_as_pixels(drawn)) == asked.numpy()
    return {
        "value": 100 * float(right.mean()),
        "worst class": 100 * min(float(right[asked.numpy() == k].mean()) for k in range(10)),
        "classifier's test accuracy": 100 * accuracy,
        **_distances(images, _as_pixels(drawn)),
    }


def _as_pixels(samples: torch.Tensor) -> np.ndarray:
    """Samples in [-1, 1] on the scale of the images, 0 to 16."""
    return (samples.numpy().reshape(len(samples), 64) + 1) * 8


def _classifier() -> tuple[np.ndarray, SVC, float]:
    digits = load_digits()
    classifier = SVC(gamma=0.001).fit(digits.data[TRAIN], digits.target[TRAIN])
    accuracy = float(classifier.score(digits.data[TEST], digits.target[TEST]))
    return digits.data, classifier, accuracy


def _distances(images: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Median distance to the nearest training image, of samples and, for scale, of test images: far larger means
    samples that are no digits, far smaller means copies of the training images."""

    def nearest(rows: np.ndarray) -> float:
        squares = (rows**2).sum(1)[:, None] + (images[TRAIN] ** 2).sum(1) - 2 * rows @ images[TRAIN].T
        return float(np.median(np.sqrt(squares.clip(0).min(1))))

    return {"distance of samples": nearest(drawn), "distance of test images": nearest(images[TEST])}


@dataclass(frozen=True)
class Row:
    """A line of the table. `sign` is -1 where less is better; `reference` is a published implementation's figure."""

    spec: str
    measure: Measure
    unit: str
    sign: int
    target: float | None = None
    reference: str = ""
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return Path(self.spec).name


ROWS = (
    Row("latent/vae", nats, "nats", -1, 96.8, "96.85 ± 0.5"),
    Row("latent/two_level_vae", nats, "nats", -1),
    Row("latent/top_down_vae", nats, "nats", -1, 96.5, "96.6 ± 0.2"),
    Row("latent/deep_vae", nats, "nats", -1),
    Row("latent/vae_vampprior", nats, "nats", -1, 100.0, "103.2"),
    Row("latent/vae_mog", nats, "nats", -1, 99.0, "99.0"),
    Row("latent/vae_gtm", nats, "nats", -1, 101.0, "101.0"),
    Row("latent/two_stage_vae", nats, "nats", -1),
    Row("latent/vae_gtm_vampprior", nats, "nats", -1, 100.2, "100.2"),
    Row("latent/vae_flow_prior", nats, "nats", -1, 100.1, "100.1"),
    Row("latent/vae_householder", nats, "nats", -1),
    Row("latent/vae_iaf", nats, "nats", -1),
    Row("latent/vae_planar", nats, "nats", -1),
    Row("latent/vae_sylvester_orthogonal", nats, "nats", -1),
    Row("latent/vae_sylvester_householder", nats, "nats", -1),
    Row("latent/vae_sylvester_triangular", nats, "nats", -1),
    Row("latent/conv_vae", nats, "nats", -1, 96.8),
    Row("sequence/deep_markov", nats, "nats", -1),
    Row("sequence/vrnn", nats, "nats", -1),
    Row("diffusion/ddpm", nats, "nats", -1, 106.4),
    Row("diffusion/flow_matching", nats, "nats", -1, 106.4),
    Row("diffusion/score", nats, "nats", -1, 106.4),
    Row("flow/realnvp", nats, "nats", -1, 141.0, "168, 162, 197"),
    Row("flow/nice", nats, "nats", -1),
    Row("flow/maf", nats, "nats", -1),
    Row("flow/spline_coupling", nats, "nats", -1),
    Row("flow/gin", nats, "nats", -1),
    Row("flow/glow", nats, "nats", -1, 95.0),
    Row("flow/realnvp_multiscale", nats, "nats", -1),
    Row("flow/reversible_flow", nats, "nats", -1),
    Row("flow/neural_autoregressive", nats, "nats", -1, 95.0),
    Row("flow/integer_flow", nats, "nats", -1, 105.0, "136"),
    Row("flow/integer_flow_quad", nats, "nats", -1, 105.0, "143"),
    Row("flow/variational_dequantization", nats, "nats", -1),
    Row("flow/iaf", nats, "nats", -1),
    Row("flow/learned_base", nats, "nats", -1),
    Row("flow/point_cloud", nats, "nats", -1),
    Row("flow/simulation_posterior", nats, "nats", -1, None, "-3.8, the posterior's own"),
    Row("autoregressive/causal_cnn", nats, "nats", -1, 86.4, "86.5"),
    Row("autoregressive/made", nats, "nats", -1),
    Row("autoregressive/gated_pixelcnn", nats, "nats", -1, 86.0),
    Row("autoregressive/pixelcnn", nats, "nats", -1, 86.0),
    Row("autoregressive/pixelcnnpp", nats, "nats", -1),
    Row("autoregressive/rnn", nats, "nats", -1),
    Row("autoregressive/transformer", nats, "nats", -1, 83.5),
    Row("hybrid/shared_integer_flow", error, "% wrong", -1, 6.0, "11.6"),
    Row("hybrid/diglm", error, "% wrong", -1),
    Row("semi_supervised/m1", error, "% wrong", -1),
    Row("semi_supervised/m2", error, "% wrong", -1),
    Row("semi_supervised/m1_m2", error, "% wrong", -1),
    Row("energy/rbm", log_likelihood, "nats", 1, -20.0, "", ("H=12",)),
    Row("energy/jem", error, "% wrong", -1, 7.0, "7.8"),
    Row("adversarial/gan", coverage, "% rarest", 1, 4.0),
    Row("adversarial/dcgan", coverage, "% rarest", 1),
    Row("adversarial/conditional_gan", agreement, "% right", 1),
)


def baselines() -> list[dict[str, object]]:
    """What pixels that know nothing of each other get: histograms of the training rows, each count plus one."""
    pixels = load_digits().data.astype(int)
    on = (pixels >= 8).astype(int)
    return [
        {"spec": "independent histograms", "value": -_independent(pixels, 17), "unit": "nats"},
        {"spec": "independent binary pixels", "value": _independent(on, 2), "unit": "nats"},
    ]


def _independent(pixels: np.ndarray, size: int) -> float:
    counts = np.stack([(pixels[TRAIN] == k).sum(0) for k in range(size)]) + 1.0
    logs = np.log(counts / counts.sum(0))
    return float(logs[pixels[TEST], np.arange(pixels.shape[1])].sum(1).mean())


def measure(row: Row, seed: int, folder: Path) -> dict[str, object]:
    """Fits one spec with one seed, unless its run is there, and measures it."""
    path = folder / f"{row.name}_{seed}"
    start = time.perf_counter()
    if not path.exists():
        checked = pipeline.read(SPECS / f"{row.spec}.dgm", (*row.overrides, f"train.seed={seed}"))
        train_spec(checked, path, ComputeOptions("cpu"))
    _, run = runs.load_run(path)
    if run.record["state"] != "finished":
        raise SystemExit(f"{path} was interrupted: there is no figure of what it would have become")
    return {
        "spec": row.name,
        "seed": seed,
        **{k: round(v, 3) for k, v in row.measure(path).items()},
        "unit": row.unit,
        "target": row.target,
        "epochs": run.record["epochs"],
        "best_epoch": run.record["best_epoch"],
        "seconds": round(time.perf_counter() - start, 1),
    }


def show(results: list[dict[str, object]], console: Console) -> None:
    """The table: a line a spec, with the mean over its seeds (the worst seed where each has to reach the target)."""
    table = Table("spec", "each seed", "mean", "target", "reference", "")
    for row in ROWS:
        values = [float(str(r["value"])) for r in results if r["spec"] == row.name]
        if not values:
            continue
        mean = sum(values) / len(values)
        counted = min(values) if row.measure is coverage else mean
        reached = "" if row.target is None else "yes" if row.sign * counted >= row.sign * row.target else "no"
        target = "" if row.target is None else f"{'≤' if row.sign < 0 else '≥'} {row.target:g}"
        each = " ".join(f"{v:.2f}" for v in values)
        table.add_row(row.name, each, f"{mean:.2f} {row.unit}", target, row.reference, reached)
    for line in baselines():
        table.add_row(str(line["spec"]), "", f"{float(str(line['value'])):.2f} {line['unit']}", "", "", "")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in ROWS]
    parser.add_argument("--only", type=only(names), default=names, help="names of specs, separated by commas")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, help="folder that keeps the runs (default: none are kept)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for row in ROWS:
            for seed in (int(s) for s in arguments.seeds.split(",") if row.name in arguments.only):
                results.append(measure(row, seed, folder))
                assert math.isfinite(float(str(results[-1]["value"])))
                print(json.dumps(results[-1]), flush=True)
    for line in baselines():
        print(json.dumps(line))
    show(results, Console(stderr=True))


if __name__ == "__main__":
    main()
