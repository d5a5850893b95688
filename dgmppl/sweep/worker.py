"""The work of one process of a sweep: takes trials until there are none left, and runs each as `dgmppl train` would."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.pipeline import Checked
from dgmppl.sweep.study import Study, Trial
from dgmppl.train.contents import parts
from dgmppl.train.engine import Epoch
from dgmppl.train.folder import METRICS, RECORD
from dgmppl.train.lifecycle import Hooks, How, resume_run, train_spec

_HOPELESS = 3
"""So many trials that fail alike, and none that does not, end a sweep."""
_OF_NUMBERS = ("E610", "E611", "E613")
"""Fits that failed by their numbers, which other values may spare."""
_TO_BEGIN = ("E602", "E621")
"""There is no run of the trial yet, or none of its checkpoints is whole."""


@dataclass(frozen=True)
class Watch:
    """What is told while a sweep runs: a trial begins, an epoch of it is over, it ends in a state with a value."""

    begins: Callable[[Trial], None] = lambda trial: None
    epoch: Callable[[Trial, Epoch], None] = lambda trial, epoch: None
    ends: Callable[[Trial, str, float | None, str], None] = lambda trial, state, value, why: None


class _Pruned(Exception):
    """Ends a fit from within its report."""


class Interrupted(Exception):
    """The user ended the sweep; its trial is taken up again when it goes on."""


def work(study: Study, spec: Path, budget: int, *, device: str = "auto", watch: Watch = Watch()) -> None:
    """Runs trials until the study has `budget` of them.

    A trial whose fit fails by its numbers is recorded as failed, with what was said; so is one whose values the
    spec does not take. Anything else that is wrong, such as the data or a full disk, ends the sweep, and the trial
    stays to be taken up again.

    Raises:
        SpecError: what is wrong with all trials.
        Interrupted: at an interrupt from the keyboard or SIGTERM.
    """
    failures: list[Diagnostic] = []
    while (trial := study.take(budget)) is not None:
        try:
            watch.begins(trial)
            failed = _run_trial(study, trial, spec, device, watch)
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            trial.lock.release(force=True)
        if failed is None:
            failures = []
        elif failed.code not in _OF_NUMBERS:
            failures.append(failed)
        if len(failures) == _HOPELESS and not any(row.state == "done" for row in study.rows()):
            help_ = f"no trial came to its end; the last {_HOPELESS} failed alike. {failed.help if failed else ''}"
            raise SpecError([Diagnostic(failures[-1].code, failures[-1].headline, help=help_.strip())])


def _run_trial(study: Study, trial: Trial, spec: Path, device: str, watch: Watch) -> Diagnostic | None:
    """Runs a trial and tells the study. What its values made fail, if they did."""
    out = study.folder.trial(trial.number)
    same = next((row for row in study.rows() if row.state == "done" and row.values == trial.values), None)
    if same is not None and same.value is not None:
        # Few choices are soon drawn again; the run would end with the same weights.
        study.finish(trial, same.value, f"as trial {same.number}")
        watch.ends(trial, "done", same.value, f"as trial {same.number}")
        return None

    try:
        checked = pipeline.read(spec, (*study.folder.search.overrides, *trial.overrides))
        _, plan = parts(checked)

        def report(epoch: Epoch) -> None:
            watch.epoch(trial, epoch)
            value = epoch.validation.get(study.folder.search.figure)
            # Nothing is saved by pruning after the last epoch.
            if value is not None and study.report(trial, epoch.number, value) and epoch.number < plan.settings.epochs:
                raise _Pruned

        _train(checked, out, device, report)
        value = _value(out, study.folder.search.figure)
    except _Pruned:
        study.prune(trial)
        watch.ends(trial, "pruned", None, "")
        return None
    except SpecError as error:
        failed = error.diagnostics[0]
        if not _is_of_values(failed):
            raise
        study.fail(trial, f"{failed.code}: {failed.headline}")
        watch.ends(trial, "failed", None, failed.headline)
        return failed
    study.finish(trial, value)
    watch.ends(trial, "done", value, "")
    return None


def _train(checked: Checked, out: Path, device: str, report: Callable[[Epoch], None]) -> None:
    """The run of a trial: begun, gone on with where its process was killed, or found finished.

    Raises:
        KeyboardInterrupt: when a signal interrupted it.
    """
    hooks = Hooks(epoch=report)
    try:
        _, run = resume_run(out, None, hooks, expected=checked)
    except SpecError as error:
        if error.diagnostics[0].code not in _TO_BEGIN:
            raise
        _, run = train_spec(checked, out, How(device), hooks, overwrite=True)
    if run.signal:
        raise KeyboardInterrupt


def _is_of_values(found: Diagnostic) -> bool:
    """Whether it is the values of a trial that are wrong, and not what all trials share."""
    return found.code < "E5" or found.code in ("E601", *_OF_NUMBERS)


def _value(run: Path, figure: str) -> float:
    """The best value of a figure on the validation rows over a run's epochs; where they have none, at its end."""
    lines = (run / METRICS).read_text(encoding="utf-8").splitlines()
    values = [json.loads(line)["validation"].get(figure) for line in lines]
    finite = [float(value) for value in values if value is not None]
    if finite:
        return max(finite)
    record: dict[str, Any] = json.loads((run / RECORD).read_text(encoding="utf-8"))
    figures = record["figures"].get("validation", {})
    value = figures.get(figure, {}).get("mean")
    if value is None or not math.isfinite(value):
        known = ", ".join(figures) or "none"
        headline = f"a run of this spec has no figure {figure} on its validation rows; its figures: {known}"
        raise SpecError([Diagnostic("E726", headline, help="--by names one of them")])
    return float(value)
