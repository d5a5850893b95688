"""Shows a fit's progress: a bar on a terminal, plain lines elsewhere. Both go to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dgmppl.train.engine import Epoch

Report = Callable[[Epoch], None]


@contextmanager
def show_progress(epochs: int) -> Iterator[Report]:
    """A function to call after each epoch, for as long as the body runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _report_lines(epochs)
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=epochs)
        best = ""

        def report(epoch: Epoch) -> None:
            nonlocal best
            if epoch.best and epoch.validation:
                best = f"  best in epoch {epoch.number}"
            progress.update(task, advance=1, description=describe(epoch) + best)

        yield report


def _report_lines(epochs: int) -> Report:
    def report(epoch: Epoch) -> None:
        if epoch.number <= 5 or epoch.number % 10 == 0 or epoch.number == epochs:
            mark = "  *" if epoch.best and epoch.validation else ""
            print(f"epoch {epoch.number:4d}  {describe(epoch)}{mark}", file=sys.stderr, flush=True)

    return report


def describe(epoch: Epoch) -> str:
    """An epoch's losses and figures in a line."""
    losses = [f"{'loss' if name == 'model' else f'{name} loss'} {value:.4g}" for name, value in epoch.losses.items()]
    figures = [f"validation {name} {value:.4g}" for name, value in epoch.validation.items()]
    return "  ".join(losses + figures)
