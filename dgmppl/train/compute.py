"""Options of computing a fit: what a user asks for, what `run.json` records, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric

from dgmppl.train.device import DEVICES, PRECISIONS


@dataclass(frozen=True)
class ComputeOptions:
    """The devices and the precision of a fit. Only half precision changes what comes of it by more than rounding.

    Args:
        device: "auto", "cpu" or "cuda".
        devices: processes on this machine, each with a device of its own.
        precision: "32", "bf16" or "16", see `open_device`.
        compiled: whether networks are compiled by torch first.
    """

    device: str = "auto"
    devices: int = 1
    precision: str = "32"
    compiled: bool = False


def compute_as_data(options: ComputeOptions, fabric: Fabric) -> dict[str, Any]:
    """The entries of `run.json`, with the device that it turned out to be."""
    return {
        "device": fabric.device.type,
        "devices": fabric.world_size,
        "precision": options.precision,
        "compiled": options.compiled,
    }


def recorded_compute(record: Mapping[str, Any]) -> ComputeOptions:
    """As the run was computed before, where that can be: its record may have been edited, or the device be gone."""
    device, devices, precision = (record.get(name) for name in ("device", "devices", "precision"))
    return ComputeOptions(
        device if device in DEVICES else "auto",
        devices if type(devices) is int and 0 < devices < 1000 else 1,
        precision if precision in PRECISIONS else "32",
        record.get("compiled") is True,
    )
