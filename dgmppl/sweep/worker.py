"""The work of one process of a sweep: takes trials until there are none left, and runs each as `dgmppl train` would."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, resume_run, train_spec
from dgmppl.pipeline import Checked
from dgmppl.sweep.study import Study, Trial
from dgmppl.sweep.values import value_of
from dgmppl.train.contents import parts
from dgmppl.train.history import Epoch
from dgmppl.train.runs import Run

_HOPELESS = 3
"""So many trials that fail alike, and none that does not, end a sweep."""
_OF_NUMBERS = ("E610", "E611", "E613")
"""Fits that failed by their numbers, which other values may spare."""
_TO_BEGIN = ("E602", "E621")
"""There is no run of the trial yet, or none of its checkpoints is whole."""


@dataclass(frozen=True)
class SweepCallbacks:
    """Callbacks of a sweep: when a trial begins, after each of its epochs, when it ends in a state with a value, and
    where something is odd about its run.
    """

    on_begin: Callable[[Trial], None] = lambda trial: None
    on_epoch: Callable[[Trial, Epoch], None] = lambda trial, epoch: None
    on_end: Callable[[Trial, str, float | None, str], None] = lambda trial, state, value, why: None
    on_warning: Callable[[Trial, Diagnostic], None] = lambda trial, diagnostic: None


class SweepInterrupted(Exception):
    """A signal, by its number, ended the sweep; its trial is taken up again when it is resumed."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.signal = int(number)


def work(
    study: Study,
    spec: Path,
    budget: int,
    *,
    device: str = "auto",
    callbacks: SweepCallbacks = SweepCallbacks(),
    allow_python: bool = False,
) -> None:
    """Runs trials until the study has `budget` of them.

    A trial whose fit fails by its numbers is recorded as failed, with what was said; so is one whose values the
    spec does not take. Anything else that is wrong, such as the data or a full disk, ends the sweep, and the trial
    stays to be taken up again.

    Raises:
        SpecError: what is wrong with all trials.
        SweepInterrupted: at an interrupt from the keyboard or SIGTERM.
    """
    failures: list[Diagnostic] = []
    while (trial := study.take(budget)) is not None:
        try:
            callbacks.on_begin(trial)
            failed = _run_trial(study, trial, spec, device, callbacks, allow_python)
        except KeyboardInterrupt:
            raise SweepInterrupted from None
        finally:
            trial.lock.release(force=True)
        if failed is None:
            failures = []
        elif failed.code not in _OF_NUMBERS:
            failures.append(failed)
        if len(failures) == _HOPELESS and not any(row.state == "done" for row in study.rows()):
            help_ = f"no trial came to its end; the last {_HOPELESS} failed alike. {failed.help if failed else ''}"
            raise SpecError([Diagnostic(failures[-1].code, failures[-1].headline, help=help_.strip())])


def _run_trial(
    study: Study, trial: Trial, spec: Path, device: str, callbacks: SweepCallbacks, allow_python: bool
) -> Diagnostic | None:
    """Runs a trial and tells the study. What its values made fail, if they did."""
    out = study.folder.trial(trial.number)
    same = next((row for row in study.rows() if row.state == "done" and row.values == trial.values), None)
    if same is not None and same.value is not None:
        # Few choices are soon drawn again; the run would end with the same weights.
        study.finish(trial, same.value, f"as trial {same.number}")
        callbacks.on_end(trial, "done", same.value, f"as trial {same.number}")
        return None

    pruned = False

    def report(epoch: Epoch) -> None:
        nonlocal pruned
        callbacks.on_epoch(trial, epoch)
        found = epoch.validation.get(study.figure.name)
        if found is not None:
            pruned = study.report(trial, epoch.number, found)

    try:
        checked = pipeline.read(spec, (*study.folder.search.overrides, *trial.overrides), allow_python)
        run = _train(
            checked,
            out,
            device,
            RunCallbacks(
                report, on_warning=lambda found: callbacks.on_warning(trial, found), should_stop=lambda: pruned
            ),
        )
        if run.signal:
            raise SweepInterrupted(run.signal)
        if run.record["state"] != "finished":
            study.prune(trial)
            callbacks.on_end(trial, "pruned", None, "")
            return None
        value = value_of(run, study.figure)
    except SpecError as error:
        failed = error.diagnostics[0]
        if not _is_of_values(failed):
            raise
        study.fail(trial, f"{failed.code}: {failed.headline}")
        callbacks.on_end(trial, "failed", None, failed.headline)
        return failed
    study.finish(trial, value)
    callbacks.on_end(trial, "done", value, "")
    return None


def _train(checked: Checked, out: Path, device: str, callbacks: RunCallbacks) -> Run:
    """The run of a trial: begun, resumed where its process was killed, or found finished."""
    parts(checked)
    try:
        return resume_run(out, None, callbacks, expected=checked, allow_python=checked.python.allowed)[1]
    except SpecError as error:
        if error.diagnostics[0].code not in _TO_BEGIN:
            raise
    return train_spec(checked, out, ComputeOptions(device), callbacks, overwrite=True)[1]


def _is_of_values(found: Diagnostic) -> bool:
    """Whether it is the values of a trial that are wrong, and not what all trials share."""
    return found.code < "E5" or found.code in ("E601", *_OF_NUMBERS)
