"""Signals that ask a fit to end: Ctrl-C, and the SIGTERM that schedulers send before they take a machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Request:
    """The signal that came, 0 for none. Called, it says whether one came."""

    signal: int = 0

    def __call__(self) -> bool:
        return self.signal != 0


@contextmanager
def requests_to_end() -> Iterator[Request]:
    """Notes SIGINT and SIGTERM while the body runs, so that it can end where nothing is lost.

    A second Ctrl-C interrupts at once. Python lets only the main thread see signals: elsewhere none is noted.
    """
    request = Request()
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
