"""Rows to a block of a file and back: coded some at a time, decoded again, and held against checksums."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from dgmppl.coding.coder import Coder
from dgmppl.coding.factors import Row
from dgmppl.coding.file import DIGEST, Block
from dgmppl.coding.gaps import elements
from dgmppl.coding.stack import CodingError, Stack, initial_words, is_initial

_TABLES = 2**22  # entries of the tables of the rows that are coded side by side
_SIDE_BY_SIDE = 256  # rows, at most
_GROWTH = 4  # rows of which the latents are taken from the bits of this many times as many rows
_SLOW_GROWTH = 16  # where these latents may take more bits than their row: told finely, or as many as there are data


class Differs(CodingError):
    """What is decoded is not what was coded: the probabilities are not the same."""


def blocked(coder: Coder, rows: Row) -> tuple[Block, float]:
    """Rows as a block, decoded again to see that they come back; and the bits that an ideal code of them takes.

    Raises:
        CodingError: when they have no code.
    """
    n = len(next(iter(rows.values())))
    told = coder.side_information.of(rows)
    coder.side_information.tell(told, n)
    side = _side(coder)
    count = _initial(coder, side)
    stack = Stack(initial_words(count), sealed=bool(count))
    for start, stop in _groups(n, side, _growth(coder)):
        coder.encode({name: v[start:stop] for name, v in rows.items()}, stack)
    # Below these no latent was taken. The two highest words of a stack are at work.
    untouched = max(0, min(stack.lowest - 3, count)) if count else 0
    if count and not untouched:
        raise CodingError("the latents of the rows take more bits than there are")
    block = Block(told, count - untouched, stack.tables, _digest(rows), stack.words()[untouched:])
    unblocked(coder, block, n)
    return block, stack.bits


def unblocked(coder: Coder, block: Block, n: int) -> Row:
    """The n rows of a block.

    Raises:
        Differs: when they are not those that were coded.
    """
    coder.side_information.tell(block.told, n)
    side = _side(coder)
    count = _initial(coder, side)
    try:
        stack = Stack(block.words, sealed=False)
        parts = [coder.decode(stop - start, stack) for start, stop in reversed(_groups(n, side, _growth(coder)))]
    except (ValueError, IndexError, RuntimeError) as error:
        raise Differs from error
    rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    same = stack.tables == block.tables and _digest(rows) == block.rows
    if not same or not is_initial(stack.words(), block.initial, count):
        raise Differs
    return rows


def _side(coder: Coder) -> int:
    """How many rows are coded side by side, at most."""
    return max(1, min(_SIDE_BY_SIDE, _TABLES // max(1, coder.side_information.cells_of_a_row)))


def _initial(coder: Coder, side: int) -> int:
    """How many words of noise there are for the latents of the first rows: more than enough."""
    return 4 * side * coder.side_information.words_of_a_row + 16 if coder.side_information.words_of_a_row else 0


def _growth(coder: Coder) -> int:
    """From how many times as many rows the latents of some are taken; 0 where they have none."""
    if not coder.side_information.words_of_a_row:
        return 0
    program = coder.program
    latents, data = (sum(elements(program.graph[n]) for n in names) for names in (program.bits_back, program.gives))
    return _SLOW_GROWTH if program.mapped or program.rounded or latents >= data else _GROWTH


def _groups(n: int, side: int, growth: int) -> list[tuple[int, int]]:
    """Rows that are coded side by side, in the order in which they are put on the stack: the last rows first.

    `growth`: their latents are taken from the bits of as many times as many before, so that few bits need be there at
    first; 0 where they have none.
    """
    found: list[tuple[int, int]] = []
    stop = n
    while stop > 0:
        count = min(side, stop, max(1, (n - stop) // growth) if growth else side)
        found.append((stop - count, stop))
        stop -= count
    return found


def _digest(rows: Row) -> bytes:
    """A checksum of rows."""
    found = hashlib.sha256()
    for name in sorted(rows):
        values = rows[name].numpy().astype("<f8")
        found.update(np.where(np.isnan(values), np.nan, values).tobytes())
    return found.digest()[:DIGEST]


__all__ = ["Differs", "blocked", "unblocked"]
