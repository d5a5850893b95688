"""The command on specs that makes a run: train."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from dgmppl.cli.arguments import (
    FINE,
    SIGNALLED,
    Add,
    add_allow_python,
    add_data_folder,
    add_device,
    add_set,
    count,
    path,
    positive,
    seconds,
)
from dgmppl.cli.files import print_warning, read_good
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.train.runs import Run


def add_commands(add: Add) -> None:
    sub = add("train", _train, "fit a spec to its data and leave a run folder; resume one that was stopped")
    sub.add_argument("spec", type=path, nargs="?", metavar="SPEC")
    add_set(sub, "change a setting of the spec, such as train.epochs=5")
    add_allow_python(sub)
    place = sub.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=path, metavar="RUN", help="the folder to write")
    place.add_argument(
        "--resume", type=path, metavar="RUN", help="resume this run; with SPEC, begin it if it is not there"
    )
    sub.add_argument("--seed", type=count, metavar="N", help="short for --set train.seed=N")
    sub.add_argument("--overwrite", action="store_true", help="replace RUN if it holds a run")
    add_data_folder(sub)
    add_device(sub, None)
    sub.add_argument(
        "--devices", type=positive, metavar="N", help="processes, each with a device of its own (default 1)"
    )
    sub.add_argument("--precision", choices=("32", "bf16", "16"), help="half precision inside networks (default 32)")
    sub.add_argument("--compile", action="store_true", default=None, help="have torch compile the networks")
    help_ = "between checkpoints (default 30); 0 writes one after each step"
    sub.add_argument("--checkpoint-every", type=seconds, default=30.0, metavar="SECONDS", help=help_)


def _train(options: argparse.Namespace) -> int:
    overrides = [*options.set, *([] if options.seed is None else [f"train.seed={options.seed}"])]
    _verify_train(options)
    begun = options.resume is not None and (options.spec is None or (options.resume / "run.json").exists())
    if options.data_folder is not None and not begun:
        raise _misused("--data-folder is for a run that was begun", "paths of a spec start from the spec's own folder")
    checked = read_good(options.spec, overrides, options.allow_python)[0] if options.spec else None
    from dgmppl.lifecycle import ComputeOptions, RunCallbacks, extensions, read_run_spec, resume_run, train_spec
    from dgmppl.train.folder import read_record
    from dgmppl.train.progress import show_progress
    from dgmppl.train.rank import is_first_process

    how = {"device": options.device, "devices": options.devices, "precision": options.precision}
    how = {name: value for name, value in {**how, "compiled": options.compile}.items() if value is not None}
    out = options.resume or options.out
    set_anew, ended = overrides, False
    if begun:
        record = read_record(out)
        if checked is not None:
            # Of a run that was begun with this spec, only what may change is set anew.
            set_anew = [o for o in extensions(overrides) if o not in record["overrides"]]
        ended = record["state"] == "finished" and not set_anew
    plan = (checked or read_run_spec(out, set_anew, options.allow_python)).plan
    with ExitStack() as stack:
        callbacks = RunCallbacks(checkpoint_every=options.checkpoint_every)
        if is_first_process():
            progress = stack.enter_context(show_progress(plan.settings.most_epochs if plan else 0))
            callbacks = RunCallbacks(
                progress.on_epoch,
                progress.on_step,
                print_warning,
                _say_where,
                progress.on_closing,
                options.checkpoint_every,
            )
        if begun:
            _, run = resume_run(out, how, callbacks, set_anew, checked, options.data_folder, options.allow_python)
        elif checked is not None:
            _, run = train_spec(checked, out, ComputeOptions(**how), callbacks, overwrite=options.overwrite)
    if not is_first_process():
        return FINE
    if ended:
        print(f"{out} had ended already, and is left as it is")
    return _tell(run)


def _say_where(epoch: int, steps: int) -> None:
    where = f"resumed in epoch {epoch}, after {counted(steps, 'step')}" if epoch else "resumed after the last epoch"
    with suppress(OSError):
        print(where, file=sys.stderr)


def _verify_train(options: argparse.Namespace) -> None:
    """What argparse cannot say of flags that depend on each other."""
    if options.spec is None and options.resume is None:
        raise _misused("there is no spec to train", "dgmppl train SPEC --out RUN, or dgmppl train --resume RUN")
    if options.resume is not None and options.overwrite:
        raise _misused("--resume resumes a run and --overwrite replaces it", "give one of them")


def _misused(headline: str, help_: str) -> SpecError:
    return SpecError([Diagnostic("E713", headline, help=help_)])


def _tell(run: Run) -> int:
    """What became of a run, in a few lines; the exit status."""
    from dgmppl.report.sections import duration

    record, out = run.record, run.path
    kept = f"weights of epoch {record['best_epoch']} of {record['epochs']}"
    if record["state"] == "interrupted":
        if record["stopped"] == "interrupted":
            print(
                f"{record['model']}: interrupted after {counted(record['steps'], 'step')}, "
                f"in epoch {record['epochs'] + 1}"
            )
            print(f"`dgmppl train --resume {out}` resumes it; until then {out} has the {kept}")
        else:
            print(f"{record['model']}: interrupted after the last epoch, while its results were written")
            print(f"`dgmppl train --resume {out}` writes them; {out} has the {kept}")
        # Where the signal came to another process of the run, this one knows only that it came.
        return SIGNALLED + (run.signal or signal.SIGTERM)
    print(f"{record['model']}: {kept}, {duration(record['seconds'])} on {record['device']}")
    _print_figures(record["figures"])
    if record["criterion"] and record["stopped"] == "epochs" and record["best_epoch"] == record["epochs"]:
        print(f"the last epoch was the best by {record['criterion']}: with more `epochs` the fit may do better")
    samples = f", samples in {out / 'samples.png'}" if (out / "samples.png").exists() else ""
    print(f"results in {out}{samples}")
    return FINE


def _print_figures(figures: dict[str, dict[str, dict[str, float | None]]]) -> None:
    """A line for each split and figure; the mean and its standard error over the rows."""
    if not any(figures.values()):
        print("no figures: this kind of model gives its samples no probability that could be scored")
    wide = max([16, *(len(name) for found in figures.values() for name in found)])
    for split, found in figures.items():
        for name, estimate in found.items():
            mean, error = (
                "not finite" if value is None else f"{value:.3f}"
                for value in (estimate["mean"], estimate["standard_error"])
            )
            print(f"{split:<12}{name:<{wide}}{mean:>12} ± {error:<10} {counted(estimate['rows'] or 0, 'row')}")
