"""What a row of data is, as far as it is known without its values: from the catalogue, or from a file's header."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from dgmppl.data.catalogue import DATASETS
from dgmppl.data.formats.arrays import map_npy
from dgmppl.data.table import SPLITS
from dgmppl.syntax import tree

Shape = tuple[int, ...]


def row_shape(field: tree.Field, base: Path) -> Shape | None:
    """The shape of a row of a field; None where nothing says it but the values, or the file cannot be read.

    Args:
        base: folder that relative file paths start from.
    """
    if not field.file:
        known = DATASETS[field.dataset].fields.get(field.name or "") if field.dataset in DATASETS else None
        return None if known is None else known.type.shape
    if field.columns:
        return (len(field.columns),)
    path = base / field.dataset
    try:
        if path.suffix.lower() == ".npy":
            return tuple(map_npy(path).shape[1:])
        if path.suffix.lower() == ".npz" and field.name:
            return _of_archive(path, field.name)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # what is wrong with it is told when it is loaded
    return None


def _of_archive(path: Path, name: str) -> Shape | None:
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        for member in (f"{name}.npy", *(f"{name}_{split}.npy" for split in SPLITS)):
            if member in members:
                with archive.open(member) as file:
                    return _of_array(file)
    return None


def _of_array(file: IO[bytes]) -> Shape:
    """The shape of a row of an array whose header comes next. Raises ValueError for what is none."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"the header of an array has version {version}")
    shape, _, _ = read(file)
    return tuple(shape[1:])
