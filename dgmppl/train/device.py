"""Where to compute, and seeds that leave the caller's random numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from dgmppl.diagnostics import Diagnostic, SpecError

DEVICES = ("auto", "cpu", "cuda")


def open_device(name: str = "auto") -> Fabric:
    """The one device to compute on: `auto` takes a CUDA device where there is one, else the CPU.

    Raises:
        SpecError: where `cuda` is asked for and not there.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        help_ = "leave --device out to use what is there"
        raise SpecError([Diagnostic("E612", "there is no CUDA device on this machine", help=help_)])
    cuda = available and name in ("auto", "cuda")
    return Fabric(accelerator="cuda" if cuda else "cpu", devices=1)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Runs its body with torch's generators at `seed`, and puts them back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
