"""The life of a run: begun, killed or interrupted and gone on with, ended. Its folder is on disk all the while."""

from __future__ import annotations

import errno
import io
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from dgmppl import pipeline
from dgmppl.closing import Listener, close_run, missing
from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from dgmppl.syntax.format import format_spec
from dgmppl.train import failures
from dgmppl.train.batches import open_examples
from dgmppl.train.checkpoint import damaged, read_checkpoint, write_atomically, write_checkpoint
from dgmppl.train.compilation import compile_networks
from dgmppl.train.contents import (
    Figures,
    digest,
    end_record,
    metrics_line,
    parts,
    settings_as_data,
    start_record,
    write_arrays,
    write_start,
)
from dgmppl.train.course import Epoch, Fit, State, Watch
from dgmppl.train.device import open_device, seeded
from dgmppl.train.engine import Fitting
from dgmppl.train.events import Events
from dgmppl.train.folder import (
    BATCH,
    EVENTS,
    METRICS,
    RECORD,
    SPEC,
    WEIGHTS,
    append,
    hold,
    new_folder,
    read_record,
    remove_run,
    verify_ended,
    verify_free,
    verify_writable,
    write_json,
    write_weights,
)
from dgmppl.train.how import How, how_as_data, recorded_how
from dgmppl.train.rank import is_first_process
from dgmppl.train.runs import Run, fingerprint_of, load_data, load_run, located, open_spec
from dgmppl.train.sides import trainable_groups
from dgmppl.train.signals import Interrupted, Request, interruptible, requests_to_end
from dgmppl.train.spans import term_spans

# What may differ from the run's own when it is gone on with: they change when a fit ends, and nothing before that.
_EXTENSIONS = ("train.epochs", "train.patience")


@dataclass(frozen=True)
class Hooks:
    """Who is told of a fit's course: `epoch` after each epoch, `step` as `Watch.step` is, `warn` of what was odd,
    `goes_on` of the epoch and the number of steps behind it where a run goes on, the epoch being 0 where only its
    closing is left, and `closing` of what is done in the closing, and how much of how much of it.

    `every` is the number of seconds between checkpoints. `ended` is asked after each step whether to end, as a signal
    would have it.
    """

    epoch: Callable[[Epoch], None] = lambda epoch: None
    step: Callable[[int, int, int], None] = lambda step, steps, epoch: None
    warn: Callable[[Diagnostic], None] = lambda diagnostic: None
    goes_on: Callable[[int, int], None] = lambda epoch, step: None
    closing: Callable[[str, int, int], None] = lambda what, done, total: None
    every: float = 30.0
    ended: Callable[[], bool] = lambda: False


def train_spec(
    checked: Checked, out: Path, how: How | None = None, hooks: Hooks | None = None, *, overwrite: bool = False
) -> tuple[GenerativeModel, Run]:
    """Fits a checked spec and leaves a run folder, from which a fit that is killed can go on.

    Args:
        checked: a spec without errors.
        out: the folder to write.
        overwrite: replace `out` if it is a run.

    Raises:
        SpecError: when the data does not fit, the device is not there, `out` is taken or cannot be written (all said
            before anything is written), or the fit fails.
    """
    how, hooks, started = how or How(), hooks or Hooks(), time.perf_counter()
    parts(checked)
    # `a/../b` is a place even where there is no `a`.
    out = Path(os.path.normpath(out))
    fabric = open_device(how.device, how.devices, how.precision)
    if is_first_process():
        verify_free(out, overwrite)
        verify_writable(out)
    base = checked.path.parent if checked.path else Path()
    splits = load_data(checked, base)
    with _model(checked, fabric, how) as model:
        if not any(map(trainable_groups, model.players())):
            raise failures.nothing_to_fit()
        record = start_record(checked, model, splits, base, how_as_data(how, fabric))
        if is_first_process():
            with new_folder(out, overwrite) as folder:
                undrawn = write_start(folder, checked, record)
            if undrawn is not None:
                command = f"`dgmppl graph {out / SPEC} -o {out / 'graph.svg'}` draws it"
                hooks.warn(missing(out / "graph.svg", undrawn, command))
        work = _Work(Run(out, checked, record), model, splits, fabric, hooks, started)
        try:
            return model, work.go_on(None)
        except BaseException:
            if is_first_process() and work.left_nothing:
                remove_run(out)
            raise


def resume_run(
    path: Path,
    how: Mapping[str, Any] | None = None,
    hooks: Hooks | None = None,
    overrides: Sequence[str] = (),
    expected: Checked | None = None,
) -> tuple[GenerativeModel, Run]:
    """Goes on with a run that was killed or interrupted, to the bits of one that was not.

    A run that has finished is opened as it is.

    Args:
        path: the run folder.
        how: fields of `How` that are to differ from how the run was computed before.
        overrides: new values of `train.epochs` and `train.patience`, to lengthen a run that has finished.
        expected: the spec that the run is thought to be of.

    Raises:
        SpecError: when it is no run, or not of the spec that is expected; its spec, settings or data changed since;
            none of its checkpoints is whole; or another process works on it.
    """
    path, hooks, started = Path(path), hooks or Hooks(), time.perf_counter()
    record = read_record(path)
    checked = read_run_spec(path, overrides)
    if expected is not None:
        _verify_expected(path, record, expected)
    _, plan = parts(checked)
    if record["state"] == "finished" and not overrides:
        verify_ended(path, record)
        return load_run(path)
    now = replace(recorded_how(record), **(how or {}))
    if now.precision != recorded_how(record).precision:
        headline = f"{path} was begun with --precision {recorded_how(record).precision}, which changes its results"
        raise _error("E625", headline, "leave --precision out to go on as it was begun")
    fabric = open_device(now.device, now.devices, now.precision)
    splits = load_data(checked, Path(record.get("data_folder", path)))
    if splits.fingerprint != fingerprint_of(record):
        help_ = "put the data back as it was, or train anew with --out"
        raise _error("E626", f"the data of {path} is not what the run was begun with", help_)
    state, problems = read_checkpoint(path)
    if state is None and problems:
        raise damaged(path, problems)
    if state is None and is_first_process():
        headline = f"{path} has no checkpoint: the run begins again"
        hooks.warn(Diagnostic("W623", headline, severity="warning", help="it comes to the same end"))
    for problem in problems if is_first_process() else ():
        help_ = "the run goes on from the checkpoint before it"
        hooks.warn(Diagnostic("W620", problem, severity="warning", help=help_))
    if state is not None and ("fit" not in state or _fixed(state.get("overrides")) != _fixed(record["overrides"])):
        raise _changed(path, f"{RECORD} does not have the settings of the checkpoint")
    with _model(checked, fabric, now) as model:
        record = {**record, **how_as_data(now, fabric), "state": "running", "overrides": list(checked.overrides)}
        record["settings"] = settings_as_data(plan.settings)
        run = Run(path, checked, record)
        # What passed until the checkpoint is known; of a process that was killed, no more is.
        before = max(_seconds(state or {}), _seconds(record))
        work = _Work(run, model, splits, fabric, hooks, started - before)
        return model, work.go_on(state["fit"] if state else None, lengthened=bool(overrides))


def read_run_spec(path: Path, overrides: Sequence[str] = ()) -> Checked:
    """The spec of a run, its overrides and the new ones applied.

    Raises:
        SpecError: when it is no run, its spec changed since, or an override is none that may change.
    """
    record = read_record(path)
    names = [override.partition("=")[0].strip() for override in overrides]
    for name in names:
        if name not in _EXTENSIONS:
            help_ = f"only {' and '.join(_EXTENSIONS)} may change; train anew with --out for others"
            raise _error("E625", f"{name} cannot be set anew: the run would not be the one that was begun", help_)
    old = [o for o in record["overrides"] if o.partition("=")[0].strip() not in names]
    checked = open_spec(path, record, (*old, *overrides))
    if digest(checked.source.text) != record.get("spec_digest"):
        raise _changed(path, f"{path / SPEC} was edited since")
    _, plan = parts(checked)
    if names and plan.settings.decay is not None:
        headline = "a run whose learning rate decays cannot be lengthened: it decays over all its epochs"
        raise _error("E625", headline, "train anew with --out")
    return checked


def extensions(overrides: Sequence[str]) -> list[str]:
    """Those overrides that may change while a run lasts."""
    return [o for o in overrides if o.partition("=")[0].strip() in _EXTENSIONS]


def _fixed(overrides: object) -> list[str] | None:
    """The overrides that may not change while a run lasts."""
    if not isinstance(overrides, list):
        return None
    may = extensions(overrides)
    return [o for o in overrides if o not in may]


def _verify_expected(path: Path, record: Mapping[str, Any], expected: Checked) -> None:
    name = expected.source.name
    if digest(format_spec(expected.source.text)) != record.get("spec_digest"):
        raise _error("E624", f"{path} is not a run of {name} as it is now", "train anew with --out")
    if _fixed(list(expected.overrides)) != _fixed(record["overrides"]):
        made = " ".join(f"--set {o}" for o in record["overrides"]) or "no --set"
        raise _error("E624", f"{path} was begun with {made}, which is not what is set now", "train anew with --out")


@contextmanager
def _model(checked: Checked, fabric: Fabric, how: How) -> Iterator[GenerativeModel]:
    """The model with its initial weights, in whose random numbers the body runs."""
    _, plan = parts(checked)
    with located(checked), seeded(plan.settings.seed, fabric.device):
        fabric.launch()
        model = pipeline.build(checked).to(fabric.device)
        if how.compiled:
            compile_networks(model)
        yield model


class _Work:
    """A run while its fit goes on.

    Args:
        started: when it began by `time.perf_counter`, as if no time had passed between the processes that worked on it.
    """

    def __init__(
        self, run: Run, model: GenerativeModel, splits: Splits, fabric: Fabric, hooks: Hooks, started: float
    ) -> None:
        self.started = started
        self.run, self.model, self.splits = run, model, splits
        self.graph, self.plan = parts(run.checked)
        self.first = is_first_process()
        self.hooks = hooks if self.first else Hooks(every=hooks.every)
        self.rows = {name: open_examples(table, model.data, model.device) for name, table in splits}
        spans = term_spans(run.checked.source, self.graph, self.plan)
        rows = self.rows["train"], self.rows["validation"]
        self.fitting = Fitting(model, *rows, self.plan.settings, fabric, spans)

    def go_on(self, state: State | None, lengthened: bool = False) -> Run:
        """Fits from `state`, or from the start, to the end or until a signal comes.

        Raises:
            SpecError: besides what goes wrong in the fit, when it is said to be lengthened and is not.
        """
        path = self.run.path
        if state is not None:
            try:
                self.fitting.restore(state)
            except (KeyError, ValueError, RuntimeError, TypeError):
                raise _changed(path, "its checkpoint is of another model") from None
            if lengthened and self.fitting.stopped:
                behind = f"{len(self.fitting.epochs)} epochs behind it, the best being {self.fitting.best_epoch}"
                help_ = "a larger train.epochs or train.patience lengthens it"
                raise _error("E625", f"{path} has {behind}: with these settings nothing is left to do", help_)
        with ExitStack() as stack:
            if self.first:
                stack.enter_context(hold(path))
                self._write(lambda: self._begin(self.run.record))
            following = len(self.fitting.epochs) + 1 if state else None
            events = stack.enter_context(Events(path, following, self._no_events)) if self.first else None

            def told(epoch: Epoch) -> None:
                if events is not None:
                    self._write(lambda: append(path / METRICS, metrics_line(epoch)))
                    events.write(epoch)
                self.hooks.epoch(epoch)

            if state is not None:
                self.hooks.goes_on(0 if self.fitting.stopped else len(self.fitting.epochs) + 1, self.fitting.steps)
            with requests_to_end() as request:
                result = self._fit(told, request)
                # Before the interpreter takes the connections down in an order of its own, which may abort a process.
                self.fitting.processes.part()
                if result.stopped == "interrupted":
                    return self._end("interrupted", result, request)
                if not self.first:
                    return replace(self.run, record=self._record("finished", result, {}))
                return self._close(result, request)

    def _fit(self, told: Callable[[Epoch], None], request: Request) -> Fit:
        """Runs the epochs that are left, or those until a signal comes."""
        watch = Watch(told, self.hooks.step, self._keep, self.hooks.every, lambda: request() or self.hooks.ended())
        try:
            return self.fitting.run(watch)
        except failures.NotFinite as error:
            raise self._failed(error) from None
        except Exception:
            if not self.left_nothing:
                self._end("failed")
            raise

    def _close(self, result: Fit, request: Request) -> Run:
        """Writes what a finished run has besides; where that is interrupted, resuming the run does it again."""

        def finished(figures: Figures) -> dict[str, Any]:
            return self._record("finished", result, figures)

        listener = Listener(self.hooks.closing, self.hooks.warn)
        try:
            with interruptible(request):
                return close_run(self.run, self.model, self.splits, self.rows, listener, self._write, finished)
        except Interrupted:
            return self._end("interrupted", result, request)
        except Exception:
            with suppress(SpecError):
                self._end("failed", result)
            raise

    @property
    def left_nothing(self) -> bool:
        """Whether there is nothing in the folder that a process before this one could not write again."""
        return self.fitting.steps == 0 and not (self.run.path / BATCH).exists()

    def _begin(self, record: Mapping[str, Any]) -> None:
        path = self.run.path
        lines = "".join(metrics_line(epoch) for epoch in self.fitting.epochs)
        write_atomically(path / METRICS, lines.encode())
        write_json(path / RECORD, record)

    def _keep(self, state: State) -> None:
        seconds = time.perf_counter() - self.started
        whole = {"fit": state, "overrides": self.run.record["overrides"], "seconds": seconds}
        self._write(lambda: write_checkpoint(self.run.path, whole))

    def _failed(self, error: failures.NotFinite) -> SpecError:
        """Keeps what is needed to look into a loss that was not finite."""
        path = self.run.path
        if self.first:
            names = self.model.data
            content = io.BytesIO()
            batch = {n: t.detach().cpu().numpy() for n, t in zip(names, error.batch, strict=True)}
            write_arrays(batch, self.graph, content)
            self._write(lambda: write_atomically(path / BATCH, content.getvalue()))
            self._write(lambda: write_weights(self.model.state_dict(), path / WEIGHTS))
            self._end("failed")
        found = error.diagnostics[0]
        help_ = f"{found.help}. {path / BATCH} has the batch, {path / WEIGHTS} the last finite weights"
        return SpecError([replace(found, help=help_)])

    def _end(self, state: str, result: Fit | None = None, request: Request | None = None) -> Run:
        """Leaves a run that has not finished, with the weights that are best so far."""
        result = result or Fit(tuple(self.fitting.epochs), self.fitting.steps, self.fitting.best_epoch, state)
        record = self._record(state, result, {})
        if self.first:
            if state == "interrupted":
                self._write(lambda: write_weights(self.model.state_dict(), self.run.path / WEIGHTS))
            self._write(lambda: write_json(self.run.path / RECORD, record))
        return replace(self.run, record=record, signal=request.signal if request else 0)

    def _record(self, state: str, result: Fit, figures: Figures) -> dict[str, Any]:
        return end_record(self.run.record, state, result, figures, time.perf_counter() - self.started)

    def _no_events(self, error: Exception) -> None:
        help_ = f"the run goes on without; {METRICS} has the same, and report.html its curves"
        self.hooks.warn(missing(f"what is left of {self.run.path / EVENTS}", error, help_))

    def _write(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            help_ = f"`dgmppl train --resume {self.run.path}` goes on from the last checkpoint"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                help_ = f"make room; {help_}"
            headline = f"cannot write to {self.run.path}: {error.strerror or error}"
            raise _error("E607", headline, help_) from None


def _seconds(record: Mapping[str, Any]) -> float:
    """How long processes had worked on a run; 0 where its record or checkpoint does not say."""
    found = record.get("seconds")
    return float(found) if isinstance(found, (int, float)) and 0 <= found < math.inf else 0.0


def _changed(path: Path, why: str) -> SpecError:
    help_ = "put it back as it was, or train anew: `dgmppl train SPEC --out RUN`"
    return _error("E624", f"{path} is not the run that was begun: {why}", help_)


def _error(code: str, headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
