"""Commands in processes of their own, which can be signalled and killed.

They are forked from a process that has imported torch and done nothing else: starting one takes a moment, not seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch", "dgmppl.cli", "dgmppl.lifecycle", "dgmppl.sweep.run", "dgmppl.sweep.worker"])


class Command:
    """`dgmppl ...` in a process, on one thread. `out` and `err` are what it has said so far.

    Args:
        folder: where it runs; what it says is written there.
    """

    def __init__(self, folder: Path, *arguments: object) -> None:
        words = [str(a) for a in arguments]
        self.files = [folder / f".said.{time.monotonic_ns()}.{stream}" for stream in ("out", "err")]
        self.process = _CONTEXT.Process(target=_run, args=(str(folder), words, [str(f) for f in self.files]))
        self.process.start()

    @property
    def out(self) -> str:
        return self.files[0].read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.files[1].read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait(self) -> int:
        """The exit status, minus the signal's number for a process that was killed."""
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Until something is reached, or the process has ended."""
        while self.process.exitcode is None and not reached():
            time.sleep(0.002)

    def kill(self) -> bool:
        """Kills it, and the processes that it has started; whether it had not ended before."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL


def _run(folder: str, words: list[str], files: list[str]) -> None:
    os.setsid()
    os.chdir(folder)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p for p in sys.path if p))
    import torch

    from dgmppl import cli

    torch.set_num_threads(1)
    # What a fit of several processes starts anew.
    sys.argv = [str(Path(cli.__file__).with_name("__main__.py")), *words]
    sys.exit(cli.main(words))
