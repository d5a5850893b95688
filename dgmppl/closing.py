"""The closing of a fit: weights and figures first, then what is there to be looked at, samples and a page.

Weights and figures are a run's results: where they cannot be had, that is an error. A picture, or the page, that cannot
be made costs a warning, which says how to have it made again. Every step can be interrupted, and is done again when the
run is resumed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic
from dgmppl.report.page import PAGE, write_report
from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import Examples
from dgmppl.train.contents import Figures, Record, figures_as_data, parts, write_picture
from dgmppl.train.densities import DensityUnits
from dgmppl.train.ends import with_ends
from dgmppl.train.figures import evaluate_figures
from dgmppl.train.folder import RECORD, SAMPLES, WEIGHTS, write_json, write_weights
from dgmppl.train.runs import Run, draw
from dgmppl.train.units import DataUnits

_PICTURED = 64


@dataclass(frozen=True)
class ClosingCallbacks:
    """Callbacks of the closing.

    Args:
        on_step: called with what is done, and how much of how much of it; 0 and 0 where its size is not known.
        on_warning: called with what could not be made.
        pictures: whether samples and a page are made.
    """

    on_step: Callable[[str, int, int], None] = lambda what, done, total: None
    on_warning: Callable[[Diagnostic], None] = lambda diagnostic: None
    pictures: bool = True


def close_run(
    run: Run,
    model: GenerativeModel,
    splits: Splits,
    rows: Mapping[str, Examples],
    callbacks: ClosingCallbacks,
    write: Callable[[Callable[[], object]], None],
    finished: Callable[[Figures], Record],
) -> Run:
    """Leaves in its folder what a finished run has, and in `run.json` that it has finished.

    Args:
        model: with its best weights.
        rows: of each split.
        write: runs an action that writes to the folder, and says what its errors mean.
        finished: `run.json` of the finished run with these figures, as of the moment when it is called.

    Raises:
        SpecError: when a figure cannot be computed, or weights or `run.json` cannot be written.
    """
    path = run.path
    write(lambda: write_weights(model.state_dict(), path / WEIGHTS))
    give = DensityUnits(*parts(run.checked), splits.fields).give(model.figures)
    figures = {name: evaluate_figures(model, _Counted(of, name, callbacks), give=give) for name, of in rows.items()}
    # From here on they are safe, whatever becomes of the rest.
    write(lambda: write_json(path / RECORD, {**run.record, "figures": figures_as_data(figures)}))

    def draw_samples() -> None:
        given = splits.validation.read(0, min(_PICTURED, len(splits.validation)))
        graph, _ = parts(run.checked)
        drawn = with_ends(draw(model, graph, _PICTURED, given), graph, given)
        write_picture(drawn, DataUnits(graph, splits.fields), path / SAMPLES)

    def draw_page() -> None:
        write_report(path, model, replace(run, record=finished(figures)), splits)

    conditions = "".join(f" --set {name}=VALUE" for name in parts(run.checked)[0].asked)
    again = {
        SAMPLES: (draw_samples, f"dgmppl sample {path}{conditions} -o {path / SAMPLES}"),
        PAGE: (draw_page, f"dgmppl report {path}"),
    }
    for name, (action, command) in again.items() if callbacks.pictures else ():
        callbacks.on_step(name, 0, 0)
        try:
            action()
        except Exception as error:
            if os.environ.get("DGMPPL_DEBUG"):
                raise
            callbacks.on_warning(missing(path / name, error, f"`{command}` writes it; figures and weights are there"))
    record = finished(figures)
    write(lambda: write_json(path / RECORD, record))
    return replace(run, record=record)


def missing(what: object, error: Exception, help_: str) -> Diagnostic:
    """The warning for a part of a run's folder that could not be made."""
    why = str(error).partition("\n")[0] or type(error).__name__
    return Diagnostic("W627", f"{what} is not there: {why}", severity="warning", help=help_)


class _Counted:
    """Rows of a split whose reading is told."""

    def __init__(self, rows: Examples, name: str, callbacks: ClosingCallbacks) -> None:
        self.rows, self.name, self.callbacks = rows, name, callbacks

    def chunks(self, size: int) -> Iterator[list[Tensor]]:
        what, done = f"figures on the {self.name} rows", 0
        self.callbacks.on_step(what, done, self.rows.count)
        for chunk in self.rows.chunks(size):
            yield chunk
            done += len(chunk[0])
            self.callbacks.on_step(what, done, self.rows.count)
