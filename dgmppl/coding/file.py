"""The file of compressed rows, `.dgz`: a head that says of which model and rows it is, and blocks of rows.

    head    magic, version, length of what follows, [ checksum of the model, rows, whether lossy, schema ], CRC-32
    block   length of what follows, [ what is told, initial words, checksums, losses, words ], CRC-32

Whole numbers of any size are written seven bits a byte, the lowest first; the others are little-endian.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from dgmppl.coding.stack import CodingError, Words

MAGIC = b"\x89DGZ\r\n"
VERSION = 3
DIGEST = 8  # bytes of a checksum of a model, or of rows
_LONGEST = 2**32


@dataclass(frozen=True)
class Head:
    """`schema`: the names and types of the variables, as a spec writes them. `lossy`: codes of the rows are kept."""

    model: bytes
    rows: int
    schema: str
    lossy: bool = False

    def written(self) -> bytes:
        inner = self.model + _number(2 * self.rows + self.lossy) + self.schema.encode()
        return MAGIC + bytes([VERSION]) + _framed(inner)


@dataclass(frozen=True)
class Block:
    """Rows on a stack.

    Attributes:
        told: of variables without a finite range, the least value and how many there are from it on; of what may be
            missing how often it is.
        initial: how many words of noise lay on the stack before the rows.
        tables: checksum of the tables of probabilities.
        rows: checksum of the rows.
        losses: how far what is not kept is off.
    """

    told: tuple[int, ...]
    initial: int
    tables: int
    rows: bytes
    words: Words
    losses: tuple[float, ...] = ()

    def written(self) -> bytes:
        told = b"".join(_number(2 * value if value >= 0 else -2 * value - 1) for value in self.told)
        checks = struct.pack("<I", self.tables) + self.rows
        checks += struct.pack(f"<{len(self.losses)}f", *self.losses)
        return _framed(told + _number(self.initial) + checks + self.words.astype("<u4").tobytes())


def read_head(file: IO[bytes]) -> Head:
    """The head of a file.

    Raises:
        CodingError: when it is something else, or damaged.
    """
    start = file.read(len(MAGIC) + 1)
    if not start.startswith(MAGIC):
        raise CodingError("it is no file of compressed rows")
    if start[-1:] != bytes([VERSION]):
        written = start[len(MAGIC)] if len(start) > len(MAGIC) else None
        raise CodingError("it is cut off" if written is None else f"it is of version {written}, and this is {VERSION}")
    inner = io.BytesIO(_unframed(file))
    model = inner.read(DIGEST)
    rows = _read_number(inner)
    try:
        return Head(model, rows // 2, inner.read().decode(), bool(rows % 2))
    except UnicodeDecodeError:
        raise CodingError("it is damaged") from None


def read_blocks(file: IO[bytes], told: int, losses: int = 0) -> Iterator[Block]:
    """The blocks behind the head, each with so many numbers that are told, and losses.

    Raises:
        CodingError: when one is cut off or damaged.
    """
    while file.peek(1) if isinstance(file, io.BufferedReader) else file.tell() < _size(file):
        inner = io.BytesIO(_unframed(file))
        numbers = [_read_number(inner) for _ in range(told)]
        found = tuple(-(number + 1) // 2 if number % 2 else number // 2 for number in numbers)
        initial = _read_number(inner)
        checks, lost, words = inner.read(4 + DIGEST), inner.read(4 * losses), inner.read()
        if len(checks) < 4 + DIGEST or len(lost) < 4 * losses or len(words) % 4:
            raise CodingError("it is damaged")
        (tables,) = struct.unpack("<I", checks[:4])
        off = struct.unpack(f"<{losses}f", lost)
        coded = np.frombuffer(words, "<u4").astype(np.uint32)
        yield Block(found, initial, tables, checks[4:], coded, off)


def _size(file: IO[bytes]) -> int:
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    return end


def _number(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value % 128 + 128)
        value //= 128
    found.append(value)
    return bytes(found)


def _read_number(file: IO[bytes]) -> int:
    found, place = 0, 1
    while place < 2**64:
        byte = file.read(1)
        if not byte:
            raise CodingError("it is cut off")
        found += byte[0] % 128 * place
        if byte[0] < 128:
            return found
        place *= 128
    raise CodingError("it is damaged")


def _framed(inner: bytes) -> bytes:
    return _number(len(inner)) + inner + struct.pack("<I", zlib.crc32(inner))


def _unframed(file: IO[bytes]) -> bytes:
    length = _read_number(file)
    if length > _LONGEST:
        raise CodingError("it is damaged")
    inner, check = file.read(length), file.read(4)
    if len(inner) < length or len(check) < 4:
        raise CodingError("it is cut off")
    if check != struct.pack("<I", zlib.crc32(inner)):
        raise CodingError("it is damaged: its bytes are not those that were written")
    return inner


__all__ = ["DIGEST", "Block", "Head", "read_blocks", "read_head"]
