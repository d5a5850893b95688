"""Events for TensorBoard: what `metrics.jsonl` says of each epoch, as scalars in the folder `tensorboard` of a run."""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dgmppl.train.folder import EVENTS

if TYPE_CHECKING:
    from dgmppl.train.history import Epoch

_FLUSH_SECONDS = 1.0


class Events:
    """Writes one file of events a process, to the disk at most once a second: short epochs are not to wait for it.

    tensorboardX's own `SummaryWriter` writes from a thread behind a queue, which stands still for good when the
    disk is full; its file writer is used directly. Events are there to be looked at: whatever keeps them from being
    written ends the writing, not the run, and is said once.

    Args:
        run: the run folder.
        first: the number of the first epoch to come, where a run is resumed: what earlier files say from there
            on is hidden, because it is written again.
        failed: told the error that ended the writing.
    """

    def __init__(
        self, run: Path, first: int | None = None, failed: Callable[[Exception], None] = lambda error: None
    ) -> None:
        self._failed = failed
        self._writer: Any = None
        try:
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event, SessionLog

            folder = run / EVENTS
            folder.mkdir(parents=True, exist_ok=True)
            # Two files of the same second would have the same name.
            self._writer = EventsWriter(str(folder / "events"), f".{secrets.token_hex(4)}")
            if first is not None:
                self._writer.write_event(Event(step=first, session_log=SessionLog(status=SessionLog.START)))
            self._writer.flush()
        except Exception as error:
            self.close()
            failed(error)
        self._flushed = time.monotonic()

    def write(self, epoch: Epoch) -> None:
        """The losses, terms, rates and validation figures of an epoch; what is not finite is left out."""
        if self._writer is None:
            return
        try:
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.proto.summary_pb2 import Summary

            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(epoch)]
            if not values:
                return
            self._writer.write_event(Event(step=epoch.number, wall_time=time.time(), summary=Summary(value=values)))
            if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
                self._writer.flush()
                self._flushed = time.monotonic()
        except Exception as error:
            self.close()
            self._failed(error)

    def close(self) -> None:
        """Ends the file; may be called again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):
                writer.close()

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scalars(epoch: Epoch) -> Iterator[tuple[str, float]]:
    """The finite numbers of an epoch by tag: `loss/model`, `term/log_p_x_z`, `rate/model`, `validation/elbo`."""
    groups: dict[str, Mapping[str, float]] = {
        "loss": epoch.losses,
        "term": epoch.terms,
        "rate": epoch.rates,
        "validation": epoch.validation,
    }
    for group, found in groups.items():
        for name, value in found.items():
            if math.isfinite(value):
                yield f"{group}/{tag(name)}", value
    if epoch.seconds > 0:
        yield "time/seconds", epoch.seconds


def tag(name: str) -> str:
    """A name in the letters that TensorBoard allows in a tag."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_") or "_"
