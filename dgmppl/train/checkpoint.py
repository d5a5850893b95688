"""Checkpoints: the whole state of a fit in one safetensors file, that is there whole or not at all.

Tensors are stored as such, everything else as JSON in the file's header, together with a checksum of the tensors. A new
checkpoint is written beside the old one and takes its place when it is whole; the old one is kept as the previous.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dgmppl.diagnostics import Diagnostic, SpecError

CHECKPOINT, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
FORMAT = 1
_TENSOR = "tensor"


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes a state of nested dicts, lists, tensors, numbers and texts.

    Raises:
        OSError: when it cannot be written; the checkpoint before it is still there.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_packed(state, tensors))
    header = {"format": str(FORMAT), "structure": structure, "checksum": checksum(tensors)}
    write_atomically(folder / CHECKPOINT, save(tensors, header), keep=folder / PREVIOUS)


def write_atomically(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Writes a file beside its place and moves it there when it is on the disk; what was there moves to `keep`."""
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            # A link, because a moment without any checkpoint would be one in which a run can be lost.
            spare = keep.with_name(f"{keep.name}.new")
            spare.unlink(missing_ok=True)
            try:
                os.link(path, spare)
            except OSError:  # a file system without links
                shutil.copyfile(path, spare)
            spare.replace(keep)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_checkpoint(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest whole checkpoint of a run, and what is wrong with those that are not whole.

    Returns:
        None when there is no whole one.
    """
    problems: list[str] = []
    for name in (CHECKPOINT, PREVIOUS):
        path = folder / name
        if path.exists():
            try:
                return _read(path), problems
            except _Damaged as error:
                problems.append(f"{path} is damaged: {error}")
    return None, problems


class _Damaged(Exception):
    pass


def _read(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _Damaged(str(error)) from None
    if header.get("format") != str(FORMAT):
        raise _Damaged(f"it has format {header.get('format')!r}, this version reads {FORMAT}")
    if header.get("checksum") != checksum(tensors):
        raise _Damaged("its checksum is not that of its content")
    try:
        state = _unpacked(json.loads(header.get("structure", "")), tensors)
    except (ValueError, KeyError, RecursionError) as error:
        raise _Damaged(f"its header cannot be read ({error})") from None
    if not isinstance(state, dict):
        raise _Damaged("its header is none of a checkpoint")
    return state


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON, its tensors replaced by their names in `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        # Pairs, because JSON's keys are texts and an optimiser's are numbers.
        return {"dict": [[_packed(k, tensors), _packed(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_packed(v, tensors) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(v, tensors) for v in value]
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in value["dict"]}
    return value


def checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def damaged(folder: Path, problems: list[str]) -> SpecError:
    """The error for a run none of whose checkpoints is whole."""
    headline = f"no checkpoint of {folder} can be read: {'; '.join(problems)}"
    help_ = f"put a whole one back, or remove them: `dgmppl train --resume {folder}` then begins the run again"
    return SpecError([Diagnostic("E621", headline, help=help_)])
