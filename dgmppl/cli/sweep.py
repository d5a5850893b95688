"""The command that runs a spec many times over ranges of its settings."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from dgmppl.cli.arguments import FINE, SIGNALLED, WRONG, Add, add_device, add_spec, argument, count, path, positive

if TYPE_CHECKING:
    from dgmppl.diagnostics import Diagnostic
    from dgmppl.sweep.run import Summary
    from dgmppl.sweep.study import Row, Trial
    from dgmppl.sweep.worker import SweepCallbacks
    from dgmppl.train.history import Epoch

_BEST = 10
"""Trials in the table; the page has them all."""


def add_commands(add: Add) -> None:
    sub = add("sweep", _sweep, "train a spec many times over ranges of its settings, and say which values are best")
    add_spec(sub)
    help_ = "what to vary: train.clip=0.1..10, train.lr=log(1e-4..1e-2), H=16..64 or train.batch=32|64|128"
    sub.add_argument("--over", action="append", required=True, metavar="NAME=RANGE", help=help_)
    help_ = "how many, by all processes that share SWEEP (default 20)"
    sub.add_argument("--trials", type=positive, default=20, metavar="N", help=help_)
    help_ = "the folder to write; the same command again resumes it, or takes part in it"
    sub.add_argument("--out", type=path, required=True, metavar="SWEEP", help=help_)
    help_ = "the figure on the validation rows that is best; by default the one that chooses the epoch"
    sub.add_argument("--by", type=argument, metavar="FIGURE", help=help_)
    sub.add_argument("--no-prune", action="store_true", help="let every trial come to its end")
    sub.add_argument("--seed", type=count, default=0, metavar="N", help="of the values that are tried (default 0)")
    help_ = "a database for the study, sqlite:///study.db say, in place of a file in SWEEP"
    sub.add_argument("--storage", type=argument, metavar="URL", help=help_)
    sub.add_argument("--format", choices=("text", "json"), default="text")
    add_device(sub, "auto")


def _sweep(options: argparse.Namespace) -> int:
    from dgmppl.sweep.folder import verify_folder
    from dgmppl.sweep.run import check_sweep, open_sweep, sum_up

    wanted = check_sweep(
        options.spec,
        options.over,
        fixed=options.set,
        by=options.by,
        seed=options.seed,
        prune=not options.no_prune,
        storage=options.storage or "",
        allow_python=options.allow_python,
    )
    verify_folder(options.out, wanted.search)
    from dgmppl.sweep.page import write_page
    from dgmppl.sweep.values import verify_data
    from dgmppl.sweep.worker import SweepInterrupted, work

    verify_data(wanted.checked)
    study = open_sweep(wanted, options.out, options.storage or "")
    status = FINE
    with _watching(options.trials) as callbacks:
        try:
            work(
                study,
                options.spec,
                options.trials,
                device=options.device,
                callbacks=callbacks,
                allow_python=options.allow_python,
            )
        except SweepInterrupted as interrupted:
            status = SIGNALLED + interrupted.signal
    summary = sum_up(wanted, study)
    write_page(summary, wanted.search)
    if options.format == "json":
        print(json.dumps(_as_data(summary, wanted.search.figure), indent=2))
    else:
        _print_summary(summary, wanted.search.figure)
    if status != FINE:
        print("interrupted: the same command resumes the sweep", file=sys.stderr)
    elif summary.rows and all(row.state == "failed" for row in summary.rows):
        print("every trial failed, for the reasons above: are the ranges too wide?", file=sys.stderr)
        return WRONG
    return status


@contextmanager
def _watching(trials: int) -> Iterator[SweepCallbacks]:
    """Says how each trial ended, in a line; on a terminal also what the present one is at."""
    from rich.console import Console

    from dgmppl.sweep.worker import SweepCallbacks

    console = Console(stderr=True, highlight=False)
    bar = console.status("") if console.is_terminal else None

    def begins(trial: Trial) -> None:
        if bar:
            bar.update(f"trial {trial.number} of {trials}")

    def epoch(trial: Trial, epoch: Epoch) -> None:
        if bar:
            bar.update(f"trial {trial.number} of {trials}, epoch {epoch.number}")

    def ends(trial: Trial, state: str, value: float | None, why: str) -> None:
        parts = [f"trial {trial.number:4d}", f"{state:<6}", " ".join(trial.overrides), why]
        if value is not None:
            parts.insert(2, _number(value))
        console.print(_plain("  ".join(part for part in parts if part)), markup=False, soft_wrap=True)

    def warns(trial: Trial, found: Diagnostic) -> None:
        line = f"trial {trial.number:4d}  {found.severity}[{found.code}]: {found.headline}"
        console.print(_plain(line), markup=False, soft_wrap=True)

    with bar or nullcontext():
        yield SweepCallbacks(begins, epoch, ends, warns)


def _print_summary(summary: Summary, figure: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dgmppl.sweep.run import ranked

    best = ranked(summary.rows, summary.lower)[:_BEST]
    console = Console(highlight=False)
    if best:
        table = Table(box=None, pad_edge=False)
        for name in ("trial", figure, *best[0].values):
            table.add_column(Text(_plain(name)))
        for row in best:
            table.add_row(str(row.number), _number(row.value or 0.0), *(Text(_plain(v)) for v in row.values.values()))
        console.print(table)
    print(_counted(summary.rows))
    if summary.importances:
        shares = sorted(summary.importances.items(), key=lambda item: -item[1])
        print("what matters: " + ", ".join(f"{name} {share:.0%}" for name, share in shares))
    if best:
        print(f"the best is in {summary.folder.trial(best[0].number)}; to train it again:\n{summary.command}")
    print(f"all trials in {summary.folder.path / 'report.html'}")


def _counted(rows: tuple[Row, ...]) -> str:
    states = [row.state for row in rows]
    counts = [f"{states.count(state)} {state}" for state in ("done", "pruned", "failed", "running") if state in states]
    return f"{len(rows)} trial{'' if len(rows) == 1 else 's'}: {', '.join(counts)}"


def _as_data(summary: Summary, figure: str) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "figure": figure,
        "lower_is_better": summary.lower,
        "trials": [{**asdict(row), "run": str(summary.folder.trial(row.number))} for row in summary.rows],
        "best": None if summary.best is None else summary.best.number,
        "command": summary.command or None,
        "importances": summary.importances,
    }


def _number(value: float) -> str:
    return f"{value:.5g}"


def _plain(text: str) -> str:
    """A text that comes out of a study, with nothing that a terminal could take for a command."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
