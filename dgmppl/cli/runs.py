"""Commands on runs: train one, draw samples from its model, evaluate it."""

from __future__ import annotations

import argparse
import json

from dgmppl.cli.arguments import FINE, Add, add_device, add_set, add_spec, count, path, positive
from dgmppl.cli.files import read_good


def add_commands(add: Add) -> None:
    sub = add("train", _train, "fit a spec to its data and leave a run folder")
    add_spec(sub)
    sub.add_argument("--out", type=path, required=True, metavar="RUN", help="the folder to write")
    sub.add_argument("--seed", type=count, metavar="N", help="short for --set train.seed=N")
    sub.add_argument("--overwrite", action="store_true", help="replace RUN if it holds a run")
    add_device(sub, "auto")

    sub = add("sample", _sample, "draw samples from a run's model")
    sub.add_argument("run", type=path, metavar="RUN")
    sub.add_argument("-n", type=positive, default=64, metavar="N", help="how many (default 64)")
    sub.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help=".png or .npz")
    sub.add_argument("--seed", type=count, default=0, metavar="N")
    add_set(sub, "the value of a condition, such as y=3")
    add_device(sub, "cpu")

    sub = add("evaluate", _evaluate, "figures of a run's model on each split of its data")
    sub.add_argument("run", type=path, metavar="RUN")
    sub.add_argument("--samples", type=positive, default=1, metavar="N", help="draws an example (default 1)")
    sub.add_argument("--seed", type=count, default=0, metavar="N")
    sub.add_argument("--format", choices=("text", "json"), default="text")
    add_device(sub, "cpu")


def _train(options: argparse.Namespace) -> int:
    overrides = [*options.set, *([] if options.seed is None else [f"train.seed={options.seed}"])]
    checked, _, plan = read_good(options.spec, overrides)
    from dgmppl.train.progress import show_progress
    from dgmppl.train.runs import train_spec

    with show_progress(plan.settings.epochs) as report:
        _, run = train_spec(
            checked,
            options.out,
            device=options.device,
            overwrite=options.overwrite,
            report=report,
        )
    record = run.record
    kept = f"weights of epoch {record['best_epoch']} of {record['epochs']}"
    interrupted = ", interrupted" if record["stopped"] == "interrupted" else ""
    print(f"{record['model']}: {kept}, {record['seconds']:.0f} s on {record['device']}{interrupted}")
    _print_figures(record["figures"])
    print(f"results in {options.out}, samples in {options.out / 'samples.png'}")
    return FINE


def _sample(options: argparse.Namespace) -> int:
    from dgmppl.train.runs import sample_run

    sample_run(
        options.run,
        options.n,
        options.out,
        seed=options.seed,
        conditions=options.set,
        device=options.device,
    )
    return FINE


def _evaluate(options: argparse.Namespace) -> int:
    from dgmppl.train.contents import figures_as_data
    from dgmppl.train.folder import finite_only
    from dgmppl.train.runs import evaluate_run

    found = evaluate_run(options.run, samples=options.samples, seed=options.seed, device=options.device)
    figures = finite_only(figures_as_data(found))
    if options.format == "json":
        print(json.dumps(figures, indent=2))
    else:
        _print_figures(figures)
    return FINE


def _print_figures(figures: dict[str, dict[str, dict[str, float | None]]]) -> None:
    """A line for each split and figure; the mean and its standard error over the rows."""
    if not any(figures.values()):
        print("no figures: this kind of model gives its samples no probability that could be scored")
    for split, found in figures.items():
        for name, estimate in found.items():
            mean, error = (
                "not finite" if value is None else f"{value:.3f}"
                for value in (estimate["mean"], estimate["standard_error"])
            )
            print(f"{split:<12}{name:<16}{mean:>12} ± {error:<10} {estimate['rows']} rows")
