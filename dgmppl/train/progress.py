"""Shows a fit's progress: live on a terminal, plain lines elsewhere. Both go to standard error."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from dgmppl.plan.families import Families

if TYPE_CHECKING:
    from dgmppl.train.history import Epoch

_MEMBERS = Families(None)
"""Terms of members one after another are shown as their sum; a history has each of them."""

_REFRESH = 0.1
_LINE_SECONDS = 30.0
"""So much time passes at most without a plain line."""

_LONG_EPOCH = 2.0
"""An epoch that takes longer has a bar of its own."""


class Progress:
    """Told of each step, each epoch and what is done after the last one. Called as a function it is told of an epoch.

    A terminal that is gone takes no more, and keeps no fit from going on: nothing is shown from then on.
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.epochs = epochs
        self.clock = clock
        self.started = self.epoch_started = clock()
        self._looked = self.started
        self._steps: deque[tuple[float, int]] = deque(maxlen=50)
        self._done = 0
        self._seconds: deque[float] = deque(maxlen=20)
        self._gone = False

    def __call__(self, epoch: Epoch) -> None:
        self.on_epoch(epoch)

    def on_step(self, step: int, steps: int, epoch: int) -> None:
        """After step `step` of `steps` in an epoch, counted from 1. Almost free: it looks ten times a second."""
        self._done += 1
        now = self.clock()
        if now - self._looked < _REFRESH:
            return
        self._looked = now
        self._steps.append((now, self._done))
        self._show(lambda: self.show_step(step, steps, epoch, now - self.epoch_started))

    def on_epoch(self, epoch: Epoch) -> None:
        """After an epoch and its validation."""
        now = self.clock()
        self._seconds.append(epoch.seconds)
        self.epoch_started = now
        self._show(lambda: self.show_epoch(epoch))

    def on_closing(self, what: str, done: int, total: int) -> None:
        """While `what` is made after the last epoch; `total` is 0 where its size is not known."""
        self._show(lambda: self.show_closing(what, done, total))

    def _show(self, action: Callable[[], None]) -> None:
        if not self._gone:
            try:
                action()
            except OSError:
                self._gone = True

    @property
    def rate(self) -> float:
        """Steps a second, lately; 0 while that is not known."""
        if len(self._steps) < 2:
            return 0.0
        (start, first), (end, last) = self._steps[0], self._steps[-1]
        return (last - first) / (end - start)

    def left(self, epoch: int, share: float = 0.0) -> float | None:
        """Seconds until all epochs are over, `share` of the one after `epoch` being done; None: not known yet."""
        if not self._seconds:
            return None
        return max(0.0, self.epochs - epoch - share) * sum(self._seconds) / len(self._seconds)

    def show_step(self, step: int, steps: int, epoch: int, seconds: float) -> None: ...

    def show_epoch(self, epoch: Epoch) -> None: ...

    def show_closing(self, what: str, done: int, total: int) -> None: ...


class _Lines(Progress):
    """A line for some of the epochs, and within an epoch that takes long."""

    def __init__(self, epochs: int, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(epochs, clock)
        self._printed = self.started

    def show_step(self, step: int, steps: int, epoch: int, seconds: float) -> None:
        if self.clock() - self._printed >= _LINE_SECONDS:
            self._print(f"epoch {epoch:4d}  step {step} of {steps}{self._speed(epoch - 1, step / steps)}")

    def show_epoch(self, epoch: Epoch) -> None:
        n = epoch.number
        late = self.clock() - self._printed >= _LINE_SECONDS
        if n <= 5 or n % 10 == 0 or n == self.epochs or late:
            mark = "  *" if epoch.best and epoch.validation else ""
            self._print(f"epoch {n:4d}  {describe(epoch)}{self._speed(n)}{mark}")

    def show_closing(self, what: str, done: int, total: int) -> None:
        if done == 0:
            self._print(f"closing: {what}")
        elif done < total and self.clock() - self._printed >= _LINE_SECONDS:
            self._print(f"closing: {what}, {done} of {total}")

    def _speed(self, epoch: int, share: float = 0.0) -> str:
        left = self.left(epoch, share)
        rate = f"  {self.rate:.3g} steps/s" if self.rate else ""
        # What takes a moment needs no forecast.
        return rate + (f"  {clock_text(left)} left at most" if left is not None and left >= 10 else "")

    def _print(self, line: str) -> None:
        self._printed = self.clock()
        print(line, file=sys.stderr, flush=True)


class _Bars(Progress):
    """A bar over the epochs, one within a long epoch, and the numbers of the last epoch below."""

    def __init__(self, epochs: int, live: Live) -> None:
        super().__init__(epochs)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Bars(*columns, TextColumn("{task.fields[left]}", markup=False), auto_refresh=False)
        self._epochs = self._bars.add_task("epochs", total=epochs, left="")
        self._steps_of = self._bars.add_task("steps", total=None, visible=False, left="")
        self._live = live
        self._best = ""
        self._last: Epoch | None = None
        self._live.update(self._bars)

    def show_step(self, step: int, steps: int, epoch: int, seconds: float) -> None:
        self._bars.update(self._steps_of, completed=step, total=steps, visible=seconds > _LONG_EPOCH)
        self._forecast(epoch - 1, step / steps)
        self._draw()

    def show_epoch(self, epoch: Epoch) -> None:
        if epoch.best and epoch.validation:
            self._best = f"best in epoch {epoch.number}"
        self._last = epoch
        self._bars.update(self._epochs, completed=epoch.number)
        self._bars.reset(self._steps_of, visible=self._bars.tasks[1].visible)
        self._forecast(epoch.number)
        self._draw()

    def show_closing(self, what: str, done: int, total: int) -> None:
        """In the place of the bar within an epoch; it moves to and fro where the size is not known."""
        self._bars.update(self._steps_of, description=what, completed=done, total=total or None, visible=True)
        self._bars.update(self._epochs, left="")
        self._draw()

    def _forecast(self, epoch: int, share: float = 0.0) -> None:
        left = self.left(epoch, share)
        known = [f"{self.rate:.3g} steps/s"] if self.rate else []
        known += [] if left is None else [f"{clock_text(left)} left at most"]
        self._bars.update(self._epochs, left=", ".join(known))

    def _draw(self) -> None:
        if self._last is None:
            return
        table = Table.grid(padding=(0, 2))
        for kind, name, value in numbers(self._last):
            # As text: the brackets of z[3] would be taken for markup.
            table.add_row(Text(kind), Text(name), Text(f"{value:.4g}", justify="right"))
        if self._best:
            table.add_row(Text(""), Text(self._best), Text(""))
        self._live.update(Group(self._bars, table))


@contextmanager
def show_progress(epochs: int) -> Iterator[Progress]:
    """Who is to be told of steps and epochs, for as long as the body runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(epochs)
        return
    # Drawing takes a few milliseconds, which the fit is to keep.
    live = Live(console=console, refresh_per_second=4)
    with suppress(OSError):
        live.start()
    try:
        yield _Bars(epochs, live)
    finally:
        with suppress(OSError):
            live.stop()


def numbers(epoch: Epoch) -> Iterator[tuple[str, str, float]]:
    """What an epoch came to: kind, name and value."""
    for name, value in epoch.losses.items():
        yield "loss", "" if name == "model" else name, value
    for name, value in _MEMBERS.totals(epoch.terms).items():
        yield "term", name, value
    for name, value in epoch.validation.items():
        yield "validation", name, value
    for name, value in epoch.rates.items():
        yield "learning rate", "" if name == "model" else name, value


def describe(epoch: Epoch) -> str:
    """An epoch's losses and figures in a line."""
    losses = [f"{'loss' if name == 'model' else f'{name} loss'} {value:.4g}" for name, value in epoch.losses.items()]
    terms = [f"{name} {value:.4g}" for name, value in _MEMBERS.totals(epoch.terms).items()]
    terms = terms if len(epoch.terms) > 1 else []
    figures = [f"validation {name} {value:.4g}" for name, value in epoch.validation.items()]
    return "  ".join(losses + terms + figures)


def clock_text(seconds: float) -> str:
    """Seconds as 0:07, 12:30 or 3:05:00."""
    whole = math.ceil(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
