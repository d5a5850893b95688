"""Signals that ask a fit to end: Ctrl-C, and the SIGTERM that schedulers send before they take a machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """The signal that came, 0 for none. Called, it says whether one came."""

    signal: int = 0

    def __call__(self) -> bool:
        return self.signal != 0


class Interrupted(KeyboardInterrupt):
    """A signal, by its number, that ends at once what can be done again from its beginning."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes SIGINT and SIGTERM while the body runs, so that it can end where nothing is lost.

    A second Ctrl-C interrupts at once. Python lets only the main thread see signals: elsewhere none is noted.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible(request: StopRequest) -> Iterator[None]:
    """SIGINT and SIGTERM end the body at once, and so does one that was noted before. Within `stop_requests`.

    Raises:
        Interrupted: in the body, when a signal comes; not again while it is being left.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not request.signal:
            request.signal = number
            raise Interrupted(number)

    here = threading.current_thread() is threading.main_thread()
    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)} if here else {}
    try:
        if request.signal:
            raise Interrupted(request.signal)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
