"""TensorBoard events: what a reader of the file finds."""

from __future__ import annotations

import math
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from dgmppl.train.events import Events
from dgmppl.train.folder import EVENTS as FOLDER
from dgmppl.train.history import Epoch


def epoch(number, **changes):
    known = {
        "step": number * 10,
        "seconds": 0.5,
        "losses": {"model": 3.0},
        "terms": {"log p(x | z[2])": -2.0},
        "rates": {"model": 1e-3},
        "validation": {"elbo": -4.0},
        "best": True,
    }
    return Epoch(number, **{**known, **changes})


def read(path):
    """The events of a file: each is its length, a checksum of that, itself, and its checksum."""
    found, content = [], path.read_bytes()
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        found.append(Event.FromString(content[12 : 12 + size]))
        content = content[16 + size :]
    return found


def scalars(path):
    return {(e.step, v.tag): v.simple_value for e in read(path) for v in e.summary.value}


def test_what_an_epoch_says_is_there_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr("dgmppl.train.events._FLUSH_SECONDS", 0.0, raising=False)
    with Events(tmp_path) as events:
        events.write(epoch(1))
        events.write(epoch(2, losses={"adversary": 1.0, "model": math.nan}))
        (file,) = (tmp_path / FOLDER).iterdir()
        # Before the file is closed: a run that is killed keeps it.
        found = scalars(file)
    assert found[1, "loss/model"] == 3.0
    assert found[1, "term/log_p_x_z_2"] == -2.0
    assert found[1, "rate/model"] == pytest.approx(1e-3)
    assert found[1, "validation/elbo"] == -4.0
    assert found[2, "loss/adversary"] == 1.0
    assert (2, "loss/model") not in found


def test_a_run_that_goes_on_hides_what_is_written_again(tmp_path):
    with Events(tmp_path) as events:
        events.write(epoch(1))
    (first,) = (tmp_path / FOLDER).iterdir()
    with Events(tmp_path, first=1) as events:
        events.write(epoch(1))
    (second,) = set((tmp_path / FOLDER).iterdir()) - {first}
    (start,) = [e for e in read(second) if e.session_log.status == SessionLog.START]
    assert start.step == 1
    assert (1, "loss/model") in scalars(second)


def test_what_cannot_be_written_ends_no_run(tmp_path):
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    events = Events(tmp_path)
    events.write(epoch(1))
    events.close()
    events.close()


def test_a_full_disk_ends_the_writing(tmp_path):
    events = Events(tmp_path)

    class Full:
        closed = False

        def write_event(self, event):
            raise OSError(28, "No space left on device")

        def close(self):
            self.closed = True
            raise OSError(28, "No space left on device")

    writer = events._writer = Full()
    events.write(epoch(1))
    assert writer.closed
    events.write(epoch(2))
