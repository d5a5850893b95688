"""Where to compute: one device or several, in which precision; and seeds that leave other random numbers alone."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lightning_fabric import Fabric

from dgmppl.diagnostics import Diagnostic, SpecError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def open_device(name: str = "auto", devices: int = 1, precision: str = "32") -> Fabric:
    """The devices to compute on: `auto` takes CUDA devices where there are any, else the CPU.

    Processes that torchrun started take their number from it; otherwise `Fabric.launch` starts `devices` of them.

    Args:
        name: "auto", "cpu" or "cuda".
        devices: processes on this machine, each with a device of its own; on the CPU they share its cores.
        precision: "32"; "bf16" or "16" for networks in half precision where torch's autocast deems it safe.

    Raises:
        SpecError: for a device of another name, where `cuda`, or as many devices, are asked for and not there, and for
            half precision that the device lacks.
    """
    if name not in DEVICES:
        raise _error("E612", f"there is no device `{name}`", f"devices are {', '.join(DEVICES)}")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cuda" and not available:
        raise _error("E612", "there is no CUDA device on this machine", "leave --device out to use what is there")
    cuda = bool(available) and name in ("auto", "cuda")
    if precision == "16" and not cuda:
        raise _error("E620", "--precision 16 needs a CUDA device", "--precision bf16 works on the CPU as well")
    nodes = 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    if cuda and devices > available:
        found = f"{available} CUDA device{'' if available == 1 else 's'}"
        raise _error("E612", f"there are {found} on this machine, not {devices}", f"--devices {available}")
    if cuda:  # torch would round the inputs of convolutions to ten bits by default, and "32" says otherwise
        torch.backends.cudnn.allow_tf32 = precision != "32"
    several = devices * nodes > 1
    # Its notes on what it found are of no use to somebody who asked for it.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Fabric(
            accelerator="cuda" if cuda else "cpu",
            strategy="ddp" if several else "auto",
            devices=devices,
            num_nodes=nodes,
            precision=PRECISIONS[precision],  # type: ignore[arg-type]
        )


def derived_seed(*numbers: int) -> int:
    """A seed that depends on all of these numbers, none below 0, as if each set of them had been drawn by itself."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Runs its body with torch's generators at `seed`, and puts them back afterwards."""
    before = random_states(device)
    # Not torch.manual_seed, which takes half a millisecond to see which kinds of devices there are.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        restore_random(before, device)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's generators."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore_random(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Puts torch's generators where `random_states` found them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def _error(code: str, headline: str, help_: str) -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
