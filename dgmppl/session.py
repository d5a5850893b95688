"""The work of a process on a run: its fit from where it is to its end, with all that its folder holds meanwhile."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from dgmppl.closing import ClosingCallbacks, close_run, missing
from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.runtime import GenerativeModel
from dgmppl.train import failures
from dgmppl.train.batches import open_examples
from dgmppl.train.checkpoint import write_atomically, write_checkpoint
from dgmppl.train.contents import (
    Figures,
    end_record,
    metrics_line,
    parts,
    write_arrays,
)
from dgmppl.train.densities import DensityUnits
from dgmppl.train.events import Events
from dgmppl.train.folder import (
    BATCH,
    EVENTS,
    METRICS,
    RECORD,
    WEIGHTS,
    append,
    hold,
    write_json,
    write_weights,
)
from dgmppl.train.history import Callbacks, Epoch, FitResult, State
from dgmppl.train.rank import is_first_process
from dgmppl.train.runs import Run
from dgmppl.train.signals import Interrupted, StopRequest, interruptible, stop_requests
from dgmppl.train.spans import term_spans
from dgmppl.train.trainer import Trainer
from dgmppl.words import counted


@dataclass(frozen=True)
class RunCallbacks:
    """Callbacks of a run.

    Args:
        on_epoch: called after each epoch.
        on_step: as that of `Callbacks`.
        on_warning: called with what is odd.
        on_resume: called where a run is resumed with the epoch that it is in, 0 where only its closing is left, and the
            number of steps behind it.
        on_closing: called with what is done after the last epoch, and how much of how much of it.
        checkpoint_every: seconds between checkpoints.
        should_stop: asked after each step whether to end, as a signal would have it.
        pictures: whether a run has its graph and, when it has finished, samples and a page to be looked at.
    """

    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    on_step: Callable[[int, int, int], None] = lambda step, steps, epoch: None
    on_warning: Callable[[Diagnostic], None] = lambda diagnostic: None
    on_resume: Callable[[int, int], None] = lambda epoch, step: None
    on_closing: Callable[[str, int, int], None] = lambda what, done, total: None
    checkpoint_every: float = 30.0
    should_stop: Callable[[], bool] = lambda: False
    pictures: bool = True


class Session:
    """The work of one process on a run: fits it to its end, or until a signal comes, and closes it.

    Args:
        started: when it began by `time.perf_counter`, as if no time had passed between the processes that worked on it.
    """

    def __init__(
        self, run: Run, model: GenerativeModel, splits: Splits, fabric: Fabric, callbacks: RunCallbacks, started: float
    ) -> None:
        self.started = started
        self.run, self.model, self.splits = run, model, splits
        self.graph, self.plan = parts(run.checked)
        self.first = is_first_process()
        self.callbacks = callbacks if self.first else RunCallbacks(checkpoint_every=callbacks.checkpoint_every)
        self.rows = {name: open_examples(table, model.data, model.device) for name, table in splits}
        spans = term_spans(run.checked.source, self.graph, self.plan)
        rows = self.rows["train"], self.rows["validation"]
        densities = DensityUnits(self.graph, self.plan, splits.fields)
        self.trainer = Trainer(model, *rows, self.plan.settings, fabric, spans, densities.give)

    def fit(self, state: State | None, lengthened: bool = False) -> Run:
        """Fits from `state`, or from the start, to the end or until a signal comes.

        Raises:
            SpecError: besides what goes wrong in the fit, when it is said to be lengthened and is not.
        """
        path = self.run.path
        if state is not None:
            try:
                self.trainer.restore(state)
            except (KeyError, ValueError, RuntimeError, TypeError):
                raise changed(path, "its checkpoint is of another model") from None
            if lengthened and self.trainer.stopped:
                behind = (
                    f"{counted(len(self.trainer.epochs), 'epoch')} behind it, the best being {self.trainer.best_epoch}"
                )
                help_ = "a larger train.epochs or train.patience lengthens it"
                raise error_of("E625", f"{path} has {behind}: with these settings nothing is left to do", help_)
        with ExitStack() as stack:
            if self.first:
                stack.enter_context(hold(path))
                self._write(lambda: self._begin(self.run.record))
            following = len(self.trainer.epochs) + 1 if state else None
            events = stack.enter_context(Events(path, following, self._no_events)) if self.first else None

            def on_epoch(epoch: Epoch) -> None:
                if events is not None:
                    self._write(lambda: append(path / METRICS, metrics_line(epoch)))
                    events.write(epoch)
                self.callbacks.on_epoch(epoch)

            if state is not None:
                self.callbacks.on_resume(
                    0 if self.trainer.stopped else len(self.trainer.epochs) + 1, self.trainer.steps
                )
            with stop_requests() as request:
                result = self._train(on_epoch, request)
                # Before the interpreter takes the connections down in an order of its own, which may abort a process.
                self.trainer.processes.disconnect()
                if result.stopped == "interrupted":
                    return self._end("interrupted", result, request)
                if not self.first:
                    return replace(self.run, record=self._record("finished", result, {}))
                return self._close(result, request)

    def _train(self, on_epoch: Callable[[Epoch], None], request: StopRequest) -> FitResult:
        """Runs the epochs that are left, or those until a signal comes."""
        watching = Callbacks(
            on_epoch,
            self.callbacks.on_step,
            self._checkpoint,
            self.callbacks.checkpoint_every,
            lambda: request() or self.callbacks.should_stop(),
        )
        try:
            return self.trainer.run(watching)
        except failures.NotFinite as error:
            raise self._failed(error) from None
        except Exception:
            if not self.nothing_written:
                self._end("failed")
            raise

    def _close(self, result: FitResult, request: StopRequest) -> Run:
        """Writes what a finished run has besides; where that is interrupted, resuming the run does it again."""

        def finished(figures: Figures) -> dict[str, Any]:
            return self._record("finished", result, figures)

        told = ClosingCallbacks(self.callbacks.on_closing, self.callbacks.on_warning, self.callbacks.pictures)
        try:
            with interruptible(request):
                return close_run(self.run, self.model, self.splits, self.rows, told, self._write, finished)
        except Interrupted:
            return self._end("interrupted", result, request)
        except Exception:
            with suppress(SpecError):
                self._end("failed", result)
            raise

    @property
    def nothing_written(self) -> bool:
        """Whether there is nothing in the folder that a process before this one could not write again."""
        return self.trainer.steps == 0 and not (self.run.path / BATCH).exists()

    def _begin(self, record: Mapping[str, Any]) -> None:
        path = self.run.path
        lines = "".join(metrics_line(epoch) for epoch in self.trainer.epochs)
        write_atomically(path / METRICS, lines.encode())
        write_json(path / RECORD, record)

    def _checkpoint(self, state: State) -> None:
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
            if error.numbers:
                batch["row" if "row" not in names else "row number"] = np.array(error.numbers)
            write_arrays(batch, self.graph, content)
            self._write(lambda: write_atomically(path / BATCH, content.getvalue()))
            self._write(lambda: write_weights(self.model.state_dict(), path / WEIGHTS))
            self._end("failed")
        found = error.diagnostics[0]
        help_ = f"{found.help}. {path / BATCH} has the batch, {path / WEIGHTS} the last finite weights"
        return SpecError([replace(found, help=help_)])

    def _end(self, state: str, result: FitResult | None = None, request: StopRequest | None = None) -> Run:
        """Leaves a run that has not finished, with the weights that are best so far."""
        result = result or FitResult(tuple(self.trainer.epochs), self.trainer.steps, self.trainer.best_epoch, state)
        record = self._record(state, result, {})
        if self.first:
            if state == "interrupted":
                self._write(lambda: write_weights(self.model.state_dict(), self.run.path / WEIGHTS))
            self._write(lambda: write_json(self.run.path / RECORD, record))
        return replace(self.run, record=record, signal=request.signal if request else 0)

    def _record(self, state: str, result: FitResult, figures: Figures) -> dict[str, Any]:
        return end_record(self.run.record, state, result, figures, time.perf_counter() - self.started)

    def _no_events(self, error: Exception) -> None:
        help_ = f"the run does without; {METRICS} has the same, and report.html its curves"
        self.callbacks.on_warning(missing(f"what is left of {self.run.path / EVENTS}", error, help_))

    def _write(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            help_ = f"`dgmppl train --resume {self.run.path}` resumes it from the last checkpoint"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                help_ = f"make room; {help_}"
            headline = f"cannot write to {self.run.path}: {error.strerror or error}"
            raise error_of("E607", headline, help_) from None


def changed(path: Path, why: str) -> SpecError:
    help_ = "put it back as it was, or train anew: `dgmppl train SPEC --out RUN`"
    return error_of("E624", f"{path} is not the run that was begun: {why}", help_)


def error_of(code: str, headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
