"""IDX, the format of MNIST: a magic number, the sizes of each axis, and the values, maybe compressed by gzip.

The magic number is two zero bytes, a byte for the type of the values and one for the number of axes; sizes are
32-bit integers, all with the high byte first (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from dgmppl.data.formats.binary import BinaryRows
from dgmppl.data.rows import ArrayRows, Origin, Rows
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import are, counted

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

Bounds = tuple[float | None, float | None]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 2**20
_NAMES = {"image": ("images", 3), "label": ("labels", 1)}
_PREFIXES = {"train": "train", "test": "t10k"}


def open_idx(source: DataSource, base: Path, declared: Type) -> Opened:
    """The array of a file."""
    rows, bounds = _read(base / source.dataset, Origin(source.dataset))
    return Opened({"all": rows}, *bounds)


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds one of the files that MNIST comes in."""
    return any(
        path.is_file() for field in _NAMES for prefix in _PREFIXES.values() for path in _places(folder, prefix, field)
    )


def open_idx_folder(source: DataSource, folder: Path) -> Opened:
    """Images or labels of the four files that MNIST comes in; validation rows come from the end of train."""
    parts: dict[str, Rows] = {}
    bounds: Bounds = (None, None)
    for split, prefix in _PREFIXES.items():
        path = next((path for path in _places(folder, prefix, source.field) if path.is_file()), None)
        if path is None:
            wanted = next(_places(folder, prefix, source.field)).name
            headline = f"{source.dataset} has no file {wanted}, compressed or not"
            raise SpecError(
                [Diagnostic("E504", headline, source.span, help="MNIST comes in four files, named like this")]
            )
        parts[split], bounds = _read(path, Origin(f"{source.dataset}/{path.name}"))
    return Opened(parts, *bounds)


def _places(folder: Path, prefix: str, field: str) -> Iterator[Path]:
    name, axes = _NAMES[field]
    for between in ("-", "."):
        for end in ("", ".gz"):
            yield folder / f"{prefix}-{name}{between}idx{axes}-ubyte{end}"


def _read(path: Path, origin: Origin) -> tuple[Rows, Bounds]:
    """The rows of a file, and the bounds of images: bytes of two axes or more a row."""
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
            dtype, sizes = _header(file)
            bounds: Bounds = (0.0, 255.0) if dtype == ">u1" and len(sizes) > 2 else (None, None)
            if not isinstance(file, gzip.GzipFile):
                return BinaryRows(path, dtype, file.tell(), sizes[0], sizes[1:], origin), bounds
            wanted = math.prod(sizes) * np.dtype(dtype).itemsize
            # Piece by piece: what is announced may be more than there is, and than there is memory.
            values = bytearray()
            while len(values) < wanted and (piece := file.read(min(_PIECE, wanted - len(values)))):
                values += piece
            # The end of a compressed file has the checksum of all that came before.
            if file.read(1):
                raise ValueError(f"it has more than the {counted(wanted, 'byte')} of values that it announces")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"it is cut off or damaged: {error}") from None
    if len(values) < wanted:
        raise ValueError(
            f"it is cut off: {counted(wanted, 'byte')} of values {are(wanted)} announced, and it has {len(values)}"
        )
    array = np.frombuffer(values, dtype).reshape(sizes)
    return ArrayRows(array.astype(array.dtype.newbyteorder("=")), origin), bounds


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _header(file: IO[bytes] | gzip.GzipFile) -> tuple[str, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise ValueError("it is no IDX file: it begins with other bytes")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError("it is cut off in its header")
    return _TYPES[magic[2]], struct.unpack(f">{magic[3]}I", sizes)
